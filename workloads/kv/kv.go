package kv

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/edgebft/edgebft/protocols"
)

// MaxKeys bounds the number of registers.
const MaxKeys = 1 << 16

// pageSize is the number of registers that are hashed together.
const pageSize = 64

// App is the application; it implements protocols.Application.
type App struct {
	values  []uint64
	version uint64
	// undo[i] takes back the operation that led to version
	// version-len(undo)+i+1; entries before keep are released.
	undo []undo
	keep int

	pages []protocols.Digest
	dirty []bool
}

type undo struct {
	key     uint32
	changed bool
	value   uint64
}

var _ protocols.Application = (*App)(nil)

// New returns a store of keys registers, 1..MaxKeys, at genesis. It panics if
// keys is out of bounds.
func New(keys int) *App {
	if keys < 1 || keys > MaxKeys {
		panic(fmt.Sprintf("kv: %d keys; allowed is 1 to %d", keys, MaxKeys))
	}
	n := (keys + pageSize - 1) / pageSize
	a := &App{values: make([]uint64, keys), pages: make([]protocols.Digest, n), dirty: make([]bool, n)}
	a.touchAll()
	return a
}

func (a *App) touchAll() {
	for i := range a.dirty {
		a.dirty[i] = true
	}
}

// Checks implements protocols.Application: operations carry no signatures.
func (*App) Checks(dst []protocols.SigCheck, _ []byte) []protocols.SigCheck { return dst }

// Apply implements protocols.Application.
func (a *App) Apply(op []byte, _ protocols.Verify) []byte {
	a.version++
	in, err := DecodeInput(op)
	if err != nil {
		a.undo = append(a.undo, undo{})
		return Output{Status: Malformed}.encode()
	}
	if int(in.Key) >= len(a.values) {
		a.undo = append(a.undo, undo{})
		return Output{Status: NoKey}.encode()
	}
	old := a.values[in.Key]
	out := Output{Previous: old}
	if in.Kind == CAS && in.Expected != old {
		out.Status = Mismatch
	}
	change := in.Kind != Get && out.Status == OK
	a.undo = append(a.undo, undo{in.Key, change, old})
	if change {
		a.set(in.Key, in.Value)
	}
	return out.encode()
}

func (a *App) set(key uint32, v uint64) {
	a.values[key] = v
	a.dirty[key/pageSize] = true
}

// Query implements protocols.Application: q is a get operation.
func (a *App) Query(q []byte) []byte {
	in, err := DecodeInput(q)
	switch {
	case err != nil || in.Kind != Get:
		return Output{Status: Malformed}.encode()
	case int(in.Key) >= len(a.values):
		return Output{Status: NoKey}.encode()
	}
	return Output{Previous: a.values[in.Key]}.encode()
}

// Version implements protocols.Application.
func (a *App) Version() uint64 { return a.version }

// Rollback implements protocols.Application.
func (a *App) Rollback(v uint64) error {
	released := a.version - uint64(len(a.undo)-a.keep)
	if v < released || v > a.version {
		return fmt.Errorf("kv: rollback to version %d; allowed is %d to %d", v, released, a.version)
	}
	for a.version > v {
		n := len(a.undo) - 1
		if u := a.undo[n]; u.changed {
			a.set(u.key, u.value)
		}
		a.undo = a.undo[:n]
		a.version--
	}
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

var magic = [8]byte{'k', 'v', '/', 'v', '1', 0, 0, 0}

// Snapshot implements protocols.Application: magic, version, number of registers,
// values.
func (a *App) Snapshot(w io.Writer) error {
	b := make([]byte, 0, 20+8*len(a.values))
	b = append(b, magic[:]...)
	b = binary.BigEndian.AppendUint64(b, a.version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.values)))
	for _, v := range a.values {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	_, err := w.Write(b)
	return err
}

// Restore implements protocols.Application. The snapshot must have as many
// registers as the store.
func (a *App) Restore(r io.Reader) error {
	b := make([]byte, 20+8*len(a.values)+1)
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n != len(b)-1:
		return fmt.Errorf("kv: snapshot of %d bytes or more; a store of %d registers has %d", n, len(a.values), len(b)-1)
	case !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("kv: %w", err)
	case [8]byte(b) != magic || binary.BigEndian.Uint32(b[16:]) != uint32(len(a.values)):
		return fmt.Errorf("kv: snapshot header %x; want %q and %d registers", b[:20], magic[:], len(a.values))
	}
	a.version = binary.BigEndian.Uint64(b[8:])
	for i := range a.values {
		a.values[i] = binary.BigEndian.Uint64(b[20+8*i:])
	}
	a.undo, a.keep = a.undo[:0], 0
	a.touchAll()
	return nil
}

// Root implements protocols.Application.
func (a *App) Root() protocols.Digest {
	var b [8 * pageSize]byte
	for p := range a.pages {
		if !a.dirty[p] {
			continue
		}
		page := a.values[p*pageSize : min((p+1)*pageSize, len(a.values))]
		for i, v := range page {
			binary.BigEndian.PutUint64(b[8*i:], v)
		}
		a.pages[p], a.dirty[p] = sha256.Sum256(b[:8*len(page)]), false
	}
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, a.version))
	for i := range a.pages {
		h.Write(a.pages[i][:])
	}
	return protocols.Digest(h.Sum(nil))
}
