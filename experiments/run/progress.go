package run

import (
	"sort"

	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/load"
)

// progress follows the correct replicas: what they execute, which views they enter,
// who leads. Of the collector of ledger time it knows what is unanswered.
type progress struct {
	executed []int64  // requests executed for the first time
	reached  []uint64 // highest index executed or adopted so far
	view     []uint64
	faulty   []bool
	primary  protocols.NodeID
	views    map[viewKey]bool
	// ticks holds the open operations of the collector that were invoked before
	// until, by timestamp: their answers are due as those of any client.
	collector protocols.NodeID
	until     protocols.Time
	ticks     map[uint64]bool
}

type viewKey struct {
	path string
	view uint64
}

func newProgress(n int, collector protocols.NodeID, until protocols.Time) *progress {
	return &progress{
		executed: make([]int64, n), reached: make([]uint64, n), view: make([]uint64, n), faulty: make([]bool, n), views: make(map[viewKey]bool),
		collector: collector, until: until, ticks: make(map[uint64]bool),
	}
}

// Observe implements protocols.Observer.
func (p *progress) Observe(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if node == p.collector {
		switch {
		case ev.Kind == protocols.EventInvoked && at < p.until:
			p.ticks[ev.Timestamp] = true
		case ev.Kind == protocols.EventAccepted:
			delete(p.ticks, ev.Timestamp)
		}
		return
	}
	if !node.IsReplica() || int(node) >= len(p.executed) || p.faulty[node] {
		return
	}
	switch ev.Kind {
	case protocols.EventExecuted:
		if ev.Index > p.reached[node] { // not again after a restart
			p.reached[node] = ev.Index
			p.executed[node]++
		}
	case protocols.EventRolledBack:
		if ev.Index < p.reached[node] {
			p.executed[node] -= int64(p.reached[node] - ev.Index)
			p.reached[node] = ev.Index
		}
	case protocols.EventTransfer:
		p.reached[node] = max(p.reached[node], ev.Index)
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

// process is the load of one process of clients. It tells the history what they
// ask for and are told.
type process struct {
	load.Load
	env     protocols.LoadEnv
	clients int
	first   protocols.NodeID
	history *observe.History // may be nil
	ignored bool             // Byzantine: nobody waits for it, and it is not measured
}

// Restarted implements protocols.Restarter.
func (p *process) Restarted() error {
	if p.history != nil {
		for i := range p.clients {
			p.history.Restarted(p.first + protocols.NodeID(i))
		}
	}
	return p.Load.Restarted()
}

type processEnv struct {
	protocols.LoadEnv
	p *process
}

// Start implements protocols.Load.
func (p *process) Start(env protocols.LoadEnv, clients int) {
	p.env, p.clients = env, clients
	if p.history != nil {
		env = &processEnv{env, p}
	}
	p.Load.Start(env, clients)
}

// Completed implements protocols.Load.
func (p *process) Completed(client int, c protocols.Completion) {
	if p.history != nil {
		p.history.Completed(p.env.Now(), p.first+protocols.NodeID(client), c.ID, c.Result)
	}
	p.Load.Completed(client, c)
}

// Invoke implements protocols.LoadEnv.
func (e *processEnv) Invoke(client int, id uint64, op []byte) {
	e.p.history.Invoked(e.Now(), e.p.first+protocols.NodeID(client), id, op)
	e.LoadEnv.Invoke(client, id, op)
}
