package explore

import (
	"math"
	"time"

	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/load"
)

// never is later than every run.
const never = protocols.Time(math.MaxInt64)

// pacer drives the clients of one process in a closed loop with a think time. It
// offers load until a time and knows when everything that it submitted has been
// answered, so that a run need not wait for anything else. It obeys the
// determinism rules of a node.
type pacer struct {
	generator func(env protocols.LoadEnv, clients int) (load.Generator, error)
	think     time.Duration
	until     protocols.Time
	left      int // bounds what is submitted, if not 0
	// done is called once, when load is no longer offered and all is answered.
	done func()
	// history, if not nil, is told what the clients, from first on, ask for and
	// are told.
	history *observe.History
	first   protocols.NodeID

	env      protocols.LoadEnv
	gen      load.Generator
	err      error
	next     []protocols.Time // when a client submits again; never while it waits
	ops      [][]byte         // open operation per client
	open     int
	finished bool

	submitted, answered int
	// retransmissions is the total that clients report.
	retransmissions int
}

// again offers some more requests, without think time, after everything was
// answered: a replica that fell behind learns from traffic that it did, and
// catches up at the next checkpoint at the latest.
func (p *pacer) again(now protocols.Time, requests int) {
	p.finished, p.until, p.left, p.think = false, never, requests, 0
	for i := range p.next {
		p.next[i] = now
	}
	p.env.WakeAt(now)
}

// Start implements protocols.Load.
func (p *pacer) Start(env protocols.LoadEnv, clients int) {
	p.env = env
	if p.gen, p.err = p.generator(env, clients); p.err != nil {
		return
	}
	p.next = make([]protocols.Time, clients)
	p.ops = make([][]byte, clients)
	for i := range p.next { // spread over the first think time
		p.next[i] = env.Now().Add(p.think * time.Duration(i) / time.Duration(clients))
	}
	p.Wake(env.Now())
}

// Restarted implements protocols.Restarter: what was open has no answer, and the
// clients go on with something else.
func (p *pacer) Restarted() error {
	now := p.env.Now()
	for i, at := range p.next {
		if p.history != nil {
			p.history.Restarted(p.first + protocols.NodeID(i))
		}
		if at == never {
			p.ops[i], p.next[i] = nil, now.Add(p.think)
			p.open--
			p.submitted--
		}
	}
	p.Wake(now)
	return nil
}

// Wake implements protocols.Load.
func (p *pacer) Wake(now protocols.Time) {
	for i, at := range p.next {
		if at > now || at >= p.until {
			continue
		}
		_, op, ok := p.gen.Next(i, now)
		if !ok {
			p.next[i] = now.Add(max(p.think, time.Millisecond))
			continue
		}
		p.next[i], p.ops[i] = never, op
		p.open++
		p.submitted++
		if p.history != nil {
			p.history.Invoked(now, p.first+protocols.NodeID(i), uint64(p.submitted), op)
		}
		p.env.Invoke(i, uint64(p.submitted), op)
		if p.left > 0 {
			if p.left--; p.left == 0 {
				p.until = now // enough
			}
		}
	}
	p.schedule(now)
}

// Completed implements protocols.Load.
func (p *pacer) Completed(client int, c protocols.Completion) {
	now := p.env.Now()
	p.gen.Result(client, now, p.ops[client], c.Result)
	if p.history != nil {
		p.history.Completed(now, p.first+protocols.NodeID(client), c.ID, c.Result)
	}
	p.open--
	p.answered++
	p.retransmissions += c.Retransmissions
	p.next[client] = now.Add(max(p.think, time.Nanosecond))
	p.schedule(now)
}

// schedule asks for the next wake, or finds that there is nothing left to do.
func (p *pacer) schedule(now protocols.Time) {
	soonest := never
	for _, at := range p.next {
		soonest = min(soonest, at)
	}
	switch {
	case soonest < p.until:
		p.env.WakeAt(max(soonest, now))
	case p.open == 0 && !p.finished:
		p.finished = true
		p.done()
	}
}
