package micro

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/edgebft/edgebft/protocols"
)

// Generator makes operations of a fixed size. Each differs from all others of the
// run as far as its size allows: it begins with a counter and the client, 12 bytes.
// It implements load.Generator.
type Generator struct {
	first  uint32
	size   int
	counts []uint64
	fill   []byte
}

// NewGenerator returns a generator of operations of size bytes, which are
// 0..protocols.MaxOperation, for the clients first to first+clients-1 of the run.
func NewGenerator(size, first, clients int, seed1, seed2 uint64) (*Generator, error) {
	if size < 0 || size > protocols.MaxOperation {
		return nil, fmt.Errorf("request of %d bytes; allowed is 0 to %d", size, protocols.MaxOperation)
	}
	if first < 0 || first > math.MaxUint32-clients {
		return nil, fmt.Errorf("the first of %d clients is %d; allowed is 0 to %d", clients, first, math.MaxUint32-clients)
	}
	g := &Generator{first: uint32(first), size: size, counts: make([]uint64, clients), fill: make([]byte, size)}
	r := rand.NewPCG(seed1, seed2)
	for i := 0; i < size; i += 8 {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], r.Uint64())
		copy(g.fill[i:], b[:])
	}
	return g, nil
}

// Next implements load.Generator.
func (g *Generator) Next(client int, _ protocols.Time) (uint8, []byte, bool) {
	g.counts[client]++
	if g.size == 0 {
		return 0, nil, true
	}
	op := make([]byte, g.size)
	copy(op, g.fill)
	var id [12]byte
	binary.BigEndian.PutUint64(id[:], g.counts[client])
	binary.BigEndian.PutUint32(id[8:], g.first+uint32(client))
	copy(op, id[max(0, 8-g.size):]) // a short operation keeps the digits that change
	return 0, op, true
}

// Forget implements load.Forgetter: no operation depends on another.
func (*Generator) Forget(int) {}

// Result implements load.Generator: every result is welcome.
func (*Generator) Result(int, protocols.Time, []byte, []byte) protocols.Outcome {
	return protocols.Done
}
