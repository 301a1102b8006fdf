package explore

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// progress is an observer that knows who leads and how far each replica is.
type progress struct {
	faulty  []bool   // Byzantine replicas: their word counts for nothing
	at      []uint64 // highest index executed or adopted
	view    uint64
	primary protocols.NodeID
}

func newProgress(n int) *progress {
	return &progress{faulty: make([]bool, n), at: make([]uint64, n)}
}

// Observe implements protocols.Observer.
func (p *progress) Observe(_ protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if int(node) >= len(p.at) || node < 0 || p.faulty[node] {
		return
	}
	switch ev.Kind {
	case protocols.EventExecuted, protocols.EventTransfer, protocols.EventRolledBack:
		p.at[node] = ev.Index
	case protocols.EventNewView:
		if ev.View >= p.view && ev.Peer.IsReplica() {
			p.view, p.primary = ev.View, ev.Peer
		}
	}
}

// Finish implements protocols.Observer.
func (p *progress) Finish(protocols.Time) []protocols.Violation { return nil }

// most is the highest index that a correct replica executed.
func (p *progress) most() uint64 {
	var most uint64
	for i, x := range p.at {
		if !p.faulty[i] {
			most = max(most, x)
		}
	}
	return most
}

// behind names a correct replica that has not executed everything up to the
// index, or Nobody.
func (p *progress) behind(index uint64) protocols.NodeID {
	for i, x := range p.at {
		if !p.faulty[i] && x < index {
			return protocols.NodeID(i)
		}
	}
	return protocols.Nobody
}

func (p *progress) String() string {
	return fmt.Sprintf("view %d, executed %v", p.view, p.at)
}
