package observe

import (
	"encoding/binary"

	"github.com/edgebft/edgebft/protocols"
)

// promises checks that no correct node contradicts what it said, also across its
// lives: of the message types that declare MessageType.Once it says one thing about
// each subject. Whether anybody was deceived does not matter: a contradiction that
// does no harm in this run does in another one.
type promises struct {
	found *findings
	keep  int
	nodes map[protocols.NodeID]*said
}

// said is what one node has promised: subjects and contents as 64-bit hashes, in two
// generations, of which the older one is forgotten as a whole when the younger one is
// full.
type said struct{ young, old map[uint64]uint64 }

// Bounds: a node's last leastPromises promises are remembered at least, and of all
// nodes together about allPromises at most (16 MB).
const (
	leastPromises = 1 << 8
	mostPromises  = 1 << 14
	allPromises   = 1 << 18
)

func newPromises(n int, f *findings) *promises {
	keep := max(leastPromises, min(mostPromises, allPromises/max(n, 1)))
	return &promises{found: f, keep: keep, nodes: make(map[protocols.NodeID]*said)}
}

func (p *promises) sent(at protocols.Time, node protocols.NodeID, path string, mt *protocols.MessageType, m protocols.WireMessage) {
	p.found.saw(Promise)
	about := mt.Once(m)
	k := newContent(uint64(mt.Tag))
	for i := range len(path) {
		k.U64(uint64(path[i]))
	}
	k.U64(about.View)
	k.U64(about.Seq)
	k.U64(uint64(about.Phase))
	what := newContent(uint64(mt.Tag))
	if mt.Trace != nil {
		mt.Trace(m, &what)
	} else if body, err := m.MarshalMsg(nil); err == nil {
		for _, b := range body {
			what.U64(uint64(b))
		}
	}
	s := p.nodes[node]
	if s == nil {
		s = &said{young: make(map[uint64]uint64)}
		p.nodes[node] = s
	}
	before, known := s.young[k.h]
	if !known {
		before, known = s.old[k.h]
		if len(s.young) >= p.keep {
			s.young, s.old = make(map[uint64]uint64, p.keep), s.young
		}
		if !known {
			before = what.h
		}
		s.young[k.h] = before
	}
	if before != what.h {
		where := ""
		if path != "" {
			where = " of " + path
		}
		p.found.violate(Promise, at, node, "contradicts itself: a second, different %s%s about view %d, slot %d", mt.Name, where, about.View, about.Seq)
	}
}

// content is a protocols.TraceHash that digests enter as they are.
type content struct{ h uint64 }

func newContent(seed uint64) content { return content{mix(seed + 1)} }

// U64 implements protocols.TraceHash.
func (c *content) U64(v uint64) { c.h = mix(c.h ^ v) }

// Digest implements protocols.TraceHash.
func (c *content) Digest(d protocols.Digest) {
	for i := 0; i < protocols.DigestSize; i += 8 {
		c.h = mix(c.h ^ binary.LittleEndian.Uint64(d[i:]))
	}
}
