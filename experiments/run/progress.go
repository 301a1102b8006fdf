package run

import (
	"sort"

	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/protocols"
)

// progress follows the correct replicas: what they execute, which views they enter,
// who leads.
type progress struct {
	executed []uint64
	view     []uint64
	faulty   []bool
	primary  protocols.NodeID
	views    map[viewKey]bool
}

type viewKey struct {
	path string
	view uint64
}

func newProgress(n int) *progress {
	return &progress{executed: make([]uint64, n), view: make([]uint64, n), faulty: make([]bool, n), views: make(map[viewKey]bool)}
}

// Observe implements protocols.Observer.
func (p *progress) Observe(_ protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if !node.IsReplica() || int(node) >= len(p.executed) || p.faulty[node] {
		return
	}
	switch ev.Kind {
	case protocols.EventExecuted, protocols.EventRolledBack, protocols.EventTransfer:
		p.executed[node] = ev.Index
	case protocols.EventNewView:
		p.view[node] = ev.View
		p.views[viewKey{ev.Path, ev.View}] = true
		// Whoever leads the view that most correct replicas are in.
		views := append([]uint64(nil), p.view...)
		sort.Slice(views, func(i, j int) bool { return views[i] < views[j] })
		if ev.View >= views[len(views)/2] {
			p.primary = ev.Peer
		}
	}
}

// Finish implements protocols.Observer.
func (p *progress) Finish(protocols.Time) []protocols.Violation { return nil }

// last stops a Load: after until, nothing new is submitted. It knows how many
// operations are open.
type last struct {
	protocols.Load
	env     protocols.LoadEnv
	until   protocols.Time
	open    int
	clients int
	first   protocols.NodeID
	history *observe.History // may be nil
	ignored bool             // Byzantine: nobody waits for it
}

// Restarted implements protocols.Restarter.
func (l *last) Restarted() error {
	l.open = 0
	if l.history != nil {
		for i := range l.clients {
			l.history.Restarted(l.first + protocols.NodeID(i))
		}
	}
	return l.Load.(protocols.Restarter).Restarted()
}

type lastEnv struct {
	protocols.LoadEnv
	l *last
}

// Start implements protocols.Load.
func (l *last) Start(env protocols.LoadEnv, clients int) {
	l.env, l.clients = env, clients
	l.Load.Start(&lastEnv{env, l}, clients)
}

// Completed implements protocols.Load.
func (l *last) Completed(client int, c protocols.Completion) {
	l.open--
	if l.history != nil {
		l.history.Completed(l.env.Now(), l.first+protocols.NodeID(client), c.ID, c.Result)
	}
	l.Load.Completed(client, c)
}

// Invoke implements protocols.LoadEnv.
func (e *lastEnv) Invoke(client int, id uint64, op []byte) {
	if e.Now() < e.l.until {
		e.l.open++
		if e.l.history != nil {
			e.l.history.Invoked(e.Now(), e.l.first+protocols.NodeID(client), id, op)
		}
		e.LoadEnv.Invoke(client, id, op)
	}
}

// WakeAt implements protocols.LoadEnv.
func (e *lastEnv) WakeAt(t protocols.Time) {
	// Time-outs of what is open must still fire; arrivals that come with them are
	// swallowed by Invoke.
	if t < e.l.until || e.l.open > 0 {
		e.LoadEnv.WakeAt(t)
	}
}
