package netsim

import (
	"encoding/binary"

	"github.com/edgebft/edgebft/protocols"
)

// chain is the running hash over the steps of one process.
type chain struct {
	h, steps uint64
	every    uint64
	points   []Checkpoint
}

// CheckpointEvery is the number of steps of a node between two checkpoints of
// its chain. It doubles whenever a node has more than maxCheckpoints.
const CheckpointEvery = 1 << 12

const maxCheckpoints = 1 << 10

// Checkpoint is the state of a node's chain after so many of its steps, the last
// of which began at At.
type Checkpoint struct {
	Steps uint64
	Chain uint64
	At    protocols.Time
}

func (c *chain) add(start int64, key uint64, kind, content, out uint64) {
	h := fold(c.h, uint64(start))
	h = fold(h, key)
	h = fold(h, kind)
	h = fold(h, content)
	c.h = fold(h, out)
	c.steps++
	if c.every == 0 {
		c.every = CheckpointEvery
	}
	if c.steps&(c.every-1) == 0 {
		c.points = append(c.points, Checkpoint{Steps: c.steps, Chain: c.h, At: protocols.Time(start)})
		if len(c.points) > maxCheckpoints {
			k := 0
			for i := 1; i < len(c.points); i += 2 {
				c.points[k] = c.points[i]
				k++
			}
			c.points = c.points[:k]
			c.every *= 2
		}
	}
}

// Checkpoints returns the checkpoints of a node's chain (for a client: of its
// process).
func (s *Sim) Checkpoints(id protocols.NodeID) []Checkpoint {
	eps := s.lookup(id)
	if len(eps) == 0 {
		return nil
	}
	return append([]Checkpoint(nil), s.eps[eps[0]].proc.chain.points...)
}

// tracer collects what identifies the content of a message.
type tracer struct {
	h uint64
	d *digestTable
}

func (t *tracer) U64(v uint64)              { t.h = fold(t.h, v) }
func (t *tracer) Digest(d protocols.Digest) { t.h = fold(t.h, t.d.number(&d)) }

// contentOf is the trace of a message as its sender saw it.
func (s *Sim) contentOf(p *proc, mt *protocols.MessageType, m protocols.WireMessage, body int) uint64 {
	t := &s.tracer
	t.h, t.d = fold(uint64(mt.Tag), uint64(body)), &p.digests
	switch {
	case mt.Trace != nil:
		mt.Trace(m, t)
	case mt.Round != nil:
		r := mt.Round(m)
		t.U64(r.View)
		t.U64(r.Seq)
		t.U64(uint64(r.Phase))
	}
	return t.h
}

// digestTable numbers digests by their first occurrence at one node, so that
// real and modelled cryptography give one trace. It holds digestLimit of them
// and then begins anew; numbers go on.
type digestTable struct {
	slots []digestSlot
	n     int
	next  uint64
}

type digestSlot struct {
	d   protocols.Digest
	num uint64 // 0 is empty
}

const digestLimit = 1 << 8 // 20 kB per node

func (t *digestTable) number(d *protocols.Digest) uint64 {
	if len(t.slots) == 0 {
		t.grow()
	}
	x := t.find(d)
	if x.num != 0 {
		return x.num
	}
	if 2*(t.n+1) > len(t.slots) {
		t.grow()
		x = t.find(d)
	}
	t.next++
	t.n++
	x.d, x.num = *d, t.next
	return x.num
}

// find returns the slot of a digest, or the empty one where it belongs.
func (t *digestTable) find(d *protocols.Digest) *digestSlot {
	mask := uint64(len(t.slots) - 1)
	for i := mix(binary.LittleEndian.Uint64(d[:])) & mask; ; i = (i + 1) & mask {
		if x := &t.slots[i]; x.num == 0 || x.d == *d {
			return x
		}
	}
}

func (t *digestTable) grow() {
	if t.n >= digestLimit {
		clear(t.slots)
		t.n = 0
		return
	}
	old := t.slots
	t.slots = make([]digestSlot, max(32, 2*len(old)))
	mask := uint64(len(t.slots) - 1)
	for k := range old {
		if old[k].num == 0 {
			continue
		}
		i := mix(binary.LittleEndian.Uint64(old[k].d[:])) & mask
		for t.slots[i].num != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = old[k]
	}
}

func hashBytes(b []byte) uint64 {
	h := uint64(len(b))
	for len(b) >= 8 {
		h = fold(h, binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	for _, c := range b {
		h = fold(h, uint64(c))
	}
	return h
}
