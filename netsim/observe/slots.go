package observe

import (
	"github.com/edgebft/edgebft/protocols"
)

// slots checks that no slot of an instance is decided in two ways, neither by
// one correct replica (also across its lives) nor by two.
type slots struct {
	found  *findings
	window int
	paths  map[string]*slotRing
	oldest []string
}

// maxPaths bounds the instances that are watched; the oldest are forgotten.
const maxPaths = 1024

// slotRing keeps the decisions of the last window slots of an instance.
type slotRing struct{ ring []slot }

type slot struct {
	seq    uint64
	digest protocols.Digest
	node   protocols.NodeID
	set    bool
}

func newSlots(window int, f *findings) *slots {
	return &slots{found: f, window: window, paths: make(map[string]*slotRing)}
}

func (s *slots) committed(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	s.found.saw(Agreement)
	p := s.paths[ev.Path]
	if p == nil {
		if len(s.oldest) >= maxPaths {
			delete(s.paths, s.oldest[0])
			s.oldest = append(s.oldest[:0], s.oldest[1:]...)
		}
		p = &slotRing{ring: make([]slot, min(1024, s.window))}
		s.paths[ev.Path] = p
		s.oldest = append(s.oldest, ev.Path)
	}
	x := p.at(ev.Seq, s.window)
	switch {
	case !x.set || x.seq < ev.Seq:
		*x = slot{seq: ev.Seq, digest: ev.Digest, node: node, set: true}
	case x.seq == ev.Seq && x.digest != ev.Digest:
		where := ""
		if ev.Path != "" {
			where = " of " + ev.Path
		}
		s.found.violate(Agreement, at, node, "decides %s in slot %d%s (view %d), replica %d decided %s", ev.Digest, ev.Seq, where, ev.View, x.node, x.digest)
	}
}

// at returns the place of a slot. The ring grows while slots that are still
// within the window collide.
func (p *slotRing) at(seq uint64, window int) *slot {
	for {
		x := &p.ring[seq%uint64(len(p.ring))]
		if !x.set || x.seq == seq || len(p.ring) >= window {
			return x
		}
		bigger := make([]slot, min(2*len(p.ring), window))
		for _, old := range p.ring {
			if y := &bigger[old.seq%uint64(len(bigger))]; old.set && (!y.set || y.seq < old.seq) {
				*y = old
			}
		}
		p.ring = bigger
	}
}
