package kv

import (
	"fmt"
	"math/rand/v2"

	"github.com/edgebft/edgebft/protocols"
)

// Mix holds the relative shares of the kinds of operation.
type Mix struct{ Get, Put, CAS int }

// Classes names the classes of the generator's operations by their index.
func Classes() []string { return []string{"get", "put", "cas"} }

// Generator makes operations on keys that pick draws. Every value that it writes
// is new, whatever process writes, which lets a history say more. It implements
// load.Generator.
type Generator struct {
	mix    Mix
	first  uint64
	pick   func(x uint64) int
	r      *rand.PCG
	counts []uint64
	// seen[k] is the last value of key k that some client saw: what the next
	// compare-and-swap expects.
	seen []uint64
}

// MaxClients bounds the clients of all generators of a run.
const MaxClients = 1<<24 - 1

// NewGenerator returns a generator for keys registers. Its clients are first to
// first+clients-1 of all clients of the run, which are at most MaxClients: no two
// generators of a run may share a client. pick maps a uniform 64-bit value to a key.
func NewGenerator(mix Mix, keys, first, clients int, pick func(x uint64) int, seed1, seed2 uint64) (*Generator, error) {
	if keys < 1 || keys > MaxKeys {
		return nil, fmt.Errorf("kv: %d keys; allowed is 1 to %d", keys, MaxKeys)
	}
	if sum := mix.Get + mix.Put + mix.CAS; mix.Get < 0 || mix.Put < 0 || mix.CAS < 0 || sum < 1 || sum > 1<<30 {
		return nil, fmt.Errorf("kv: mix of %d gets, %d puts, %d swaps; shares must not be negative, nor all 0", mix.Get, mix.Put, mix.CAS)
	}
	if first < 0 || clients < 0 || first+clients > MaxClients {
		return nil, fmt.Errorf("kv: clients %d to %d; allowed is 0 to %d", first, first+clients-1, MaxClients-1)
	}
	return &Generator{mix: mix, first: uint64(first), pick: pick, r: rand.NewPCG(seed1, seed2), counts: make([]uint64, clients), seen: make([]uint64, keys)}, nil
}

// Next implements load.Generator.
func (g *Generator) Next(client int, _ protocols.Time) (uint8, []byte, bool) {
	key := g.pick(g.r.Uint64())
	in := Input{Key: uint32(key)}
	total := uint64(g.mix.Get + g.mix.Put + g.mix.CAS)
	switch x := int(g.r.Uint64() >> 32 * total >> 32); {
	case x < g.mix.Get:
		in.Kind = Get
	case x < g.mix.Get+g.mix.Put:
		in.Kind = Put
	default:
		in.Kind, in.Expected = CAS, g.seen[key]
	}
	if in.Kind != Get {
		g.counts[client]++
		in.Value = (g.first+uint64(client)+1)<<40 | g.counts[client]
	}
	return uint8(in.Kind - Get), in.Append(nil), true
}

// Forget implements load.Forgetter: what the users know of keys is a guess anyway.
func (*Generator) Forget(int) {}

// Result implements load.Generator. A mismatch is an answer, not a refusal.
func (g *Generator) Result(_ int, _ protocols.Time, op, result []byte) protocols.Outcome {
	in, out, err := Decode(op, result)
	if err != nil || out.Unknown || out.Status > Mismatch {
		return protocols.Rejected
	}
	_, g.seen[in.Key] = Step(out.Previous, in, out)
	return protocols.Done
}
