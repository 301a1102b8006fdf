package micro

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/edgebft/edgebft/protocols"
)

// Config describes the application. All replicas must have the same.
type Config struct {
	// ReplyBytes is the size of every result, 0..protocols.MaxOperation.
	ReplyBytes int
}

// Check reports what is wrong with the configuration.
func (c Config) Check() error {
	if c.ReplyBytes < 0 || c.ReplyBytes > protocols.MaxOperation {
		return fmt.Errorf("reply of %d bytes; allowed is 0 to %d", c.ReplyBytes, protocols.MaxOperation)
	}
	return nil
}

type state struct{ a, b uint64 }

// App is the application; it implements protocols.Application.
type App struct {
	cfg     Config
	state   state
	version uint64
	// undo[i] is the state at version version-len(undo)+i.
	undo []state
	// keep is the first entry of undo that is not released; entries before it
	// are dropped in bulk.
	keep int
}

var _ protocols.Application = (*App)(nil)

// New returns the application at genesis. It panics if the configuration fails
// its Check.
func New(cfg Config) *App {
	if err := cfg.Check(); err != nil {
		panic("micro: " + err.Error())
	}
	return &App{cfg: cfg, state: state{0x6a09e667f3bcc908, 0xbb67ae8584caa73b}}
}

// Checks implements protocols.Application: operations carry no signatures.
func (*App) Checks(dst []protocols.SigCheck, _ []byte) []protocols.SigCheck { return dst }

// Apply implements protocols.Application.
func (a *App) Apply(op []byte, _ protocols.Verify) []byte {
	a.undo = append(a.undo, a.state)
	a.version++
	a.state.absorb(op)
	return a.result()
}

func (a *App) result() []byte {
	if a.cfg.ReplyBytes == 0 {
		return nil
	}
	out := make([]byte, a.cfg.ReplyBytes)
	var h [16]byte
	binary.BigEndian.PutUint64(h[:], a.state.a)
	binary.BigEndian.PutUint64(h[8:], a.state.b)
	for i := 0; i < len(out); i += len(h) {
		copy(out[i:], h[:])
	}
	return out
}

// Odd constants with balanced bits, from the fractional parts of square roots.
const (
	k0 = 0x3c6ef372fe94f82b
	k1 = 0xa54ff53a5f1d36f1
	k2 = 0x510e527fade682d1
	k3 = 0x9b05688c2b3e6c1f
)

// fold multiplies to 128 bits and folds the halves.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

func (s *state) absorb(op []byte) {
	n := uint64(len(op))
	a, b := s.a^n*k0, s.b+n
	for len(op) >= 16 {
		x, y := binary.LittleEndian.Uint64(op), binary.LittleEndian.Uint64(op[8:])
		a, b = fold(a^x, k1^b)+y, fold(b+y, k2^a)^x
		op = op[16:]
	}
	var tail [16]byte
	copy(tail[:], op)
	x, y := binary.LittleEndian.Uint64(tail[:]), binary.LittleEndian.Uint64(tail[8:])
	a, b = fold(a^x, k1^b)+y, fold(b+y, k2^a)^x
	s.a, s.b = fold(a^k3, b|1)+b, fold(b^k0, a|1)^a
}

// Query implements protocols.Application: whatever is asked, it answers with the
// counter and the running hash.
func (a *App) Query([]byte) []byte { return a.encode(nil) }

// Version implements protocols.Application.
func (a *App) Version() uint64 { return a.version }

// Rollback implements protocols.Application.
func (a *App) Rollback(v uint64) error {
	released := a.version - uint64(len(a.undo)-a.keep)
	if v < released || v > a.version {
		return fmt.Errorf("micro: rollback to version %d; allowed is %d to %d", v, released, a.version)
	}
	if v == a.version {
		return nil
	}
	i := len(a.undo) - int(a.version-v)
	a.state, a.undo, a.version = a.undo[i], a.undo[:i], v
	return nil
}

// Release implements protocols.Application.
func (a *App) Release(v uint64) {
	first := a.version - uint64(len(a.undo))
	if v <= first+uint64(a.keep) {
		return
	}
	a.keep = int(min(v, a.version) - first)
	if a.keep == len(a.undo) {
		a.undo, a.keep = a.undo[:0], 0
	} else if a.keep >= 1024 && a.keep >= len(a.undo)/2 {
		n := copy(a.undo, a.undo[a.keep:])
		a.undo, a.keep = a.undo[:n], 0
	}
}

const snapshotSize = 8 + 8 + 16

var magic = [8]byte{'m', 'i', 'c', 'r', 'o', '/', 'v', '1'}

func (a *App) encode(dst []byte) []byte {
	dst = append(dst, magic[:]...)
	dst = binary.BigEndian.AppendUint64(dst, a.version)
	dst = binary.BigEndian.AppendUint64(dst, a.state.a)
	return binary.BigEndian.AppendUint64(dst, a.state.b)
}

// Snapshot implements protocols.Application.
func (a *App) Snapshot(w io.Writer) error {
	_, err := w.Write(a.encode(nil))
	return err
}

// Restore implements protocols.Application.
func (a *App) Restore(r io.Reader) error {
	var b [snapshotSize + 1]byte
	n, err := io.ReadFull(r, b[:])
	if err != io.ErrUnexpectedEOF || n != snapshotSize {
		if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
			err = fmt.Errorf("snapshot of %d bytes or more; it must have %d", n, snapshotSize)
		}
		return fmt.Errorf("micro: %w", err)
	}
	if [8]byte(b[:8]) != magic {
		return fmt.Errorf("micro: snapshot begins with %q; want %q", b[:8], magic[:])
	}
	a.version = binary.BigEndian.Uint64(b[8:])
	a.state = state{binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])}
	a.undo, a.keep = a.undo[:0], 0
	return nil
}

// Root implements protocols.Application.
func (a *App) Root() protocols.Digest { return sha256.Sum256(a.encode(nil)) }
