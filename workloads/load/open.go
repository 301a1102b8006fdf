package load

import (
	"fmt"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
)

// DefaultQueue and MaxQueue bound the arrivals that wait for a client.
const (
	DefaultQueue = 1 << 16
	MaxQueue     = 1 << 22
)

// OpenConfig configures an open loop.
type OpenConfig struct {
	Config
	// Arrivals says when operations arrive, counted from the start of the load.
	Arrivals arrival.Config
	// Queue bounds the arrivals that wait for a client, 1..MaxQueue; 0 stands for
	// DefaultQueue. One more is dropped.
	Queue int
	// Purpose names the random stream of the arrivals; "" stands for "arrivals".
	// Several open loops beside each other need different ones.
	Purpose string
}

// Open is an open loop over a pool of clients. Idle clients take turns, so that
// each of them is used.
type Open struct {
	pool
	cfg     OpenConfig
	process arrival.Process
	base    protocols.Time
	next    protocols.Time // the next arrival, never if there is none
	idle    ring[int]
	waiting ring[protocols.Time]
}

var _ Load = (*Open)(nil)

// NewOpen returns an open loop, or what is wrong with its configuration.
func NewOpen(cfg OpenConfig) (*Open, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.Arrivals.Check(); err != nil {
		return nil, err
	}
	if cfg.Queue < 0 || cfg.Queue > MaxQueue {
		return nil, fmt.Errorf("load: queue of %d arrivals; allowed is 1 to %d, or 0 for %d", cfg.Queue, MaxQueue, DefaultQueue)
	}
	if cfg.Queue == 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.Purpose == "" {
		cfg.Purpose = "arrivals"
	}
	return &Open{pool: pool{cfg: cfg.Config}, cfg: cfg}, nil
}

// Start implements protocols.Load.
func (o *Open) Start(env protocols.LoadEnv, clients int) {
	o.start(env, clients)
	s1, s2 := env.Stream(o.cfg.Purpose)
	process, err := arrival.New(o.cfg.Arrivals, s1, s2)
	if err != nil {
		panic("load: checked configuration: " + err.Error())
	}
	o.process, o.base = process, env.Now()
	for u := range o.slots {
		o.idle.push(u)
	}
	o.advance()
	o.Wake(o.base)
}

// advance fetches the next arrival.
func (o *Open) advance() {
	at, ok := o.process.Next()
	if !ok || at > time.Duration(never-o.base) {
		o.next = never
		return
	}
	if o.next = o.base.Add(at); o.next >= o.end {
		o.next = never
	}
}

// Wake implements protocols.Load.
func (o *Open) Wake(now protocols.Time) {
	o.pending = never
	for {
		// What happened first comes first: a time-out before the arrival that
		// might have taken its place in the queue.
		due := min(o.next, now)
		o.expire(due)
		o.giveUp(due)
		o.serve()
		if o.next > now {
			break
		}
		o.arrive(o.next)
		o.advance()
	}
	o.schedule(now)
}

func (o *Open) arrive(intended protocols.Time) {
	if o.waiting.len() == 0 && o.idle.len() > 0 && o.give(intended) {
		return
	}
	if o.idle.len() > 0 {
		o.stats.Held++
	}
	if o.waiting.len() >= o.cfg.Queue {
		o.stats.Dropped++
		o.env.Record(protocols.Sample{Class: o.cfg.Unsent, Intended: intended, Sent: intended, Finished: intended, Outcome: protocols.Dropped})
		return
	}
	o.waiting.push(intended)
	o.stats.MostWaiting = max(o.stats.MostWaiting, o.waiting.len())
}

// give hands an arrival to the idle user whose turn it is.
func (o *Open) give(intended protocols.Time) bool {
	user := o.idle.front()
	if !o.submit(user, intended) {
		return false
	}
	o.idle.pop()
	return true
}

// serve hands waiting arrivals to idle users.
func (o *Open) serve() {
	for o.waiting.len() > 0 && o.idle.len() > 0 && o.give(o.waiting.front()) {
		o.waiting.pop()
	}
}

// giveUp takes back arrivals that waited longer than the time-out.
func (o *Open) giveUp(now protocols.Time) {
	for o.cfg.Timeout > 0 && o.waiting.len() > 0 {
		intended := o.waiting.front()
		end := intended.Add(o.cfg.Timeout)
		if end > now {
			return
		}
		o.waiting.pop()
		o.stats.TimedOut++
		o.env.Record(protocols.Sample{Class: o.cfg.Unsent, Intended: intended, Sent: end, Finished: end, Outcome: protocols.TimedOut})
	}
}

func (o *Open) schedule(now protocols.Time) {
	at := min(o.next, o.nextDeadline())
	if o.waiting.len() > 0 {
		if o.cfg.Timeout > 0 {
			at = min(at, o.waiting.front().Add(o.cfg.Timeout))
		}
		if o.idle.len() > 0 { // the generator had nothing
			at = min(at, now.Add(Retry))
		}
	}
	o.wakeAt(at)
}

// Completed implements protocols.Load.
func (o *Open) Completed(client int, c protocols.Completion) {
	now := o.env.Now()
	o.expire(now)
	o.giveUp(now)
	user := o.completed(client, c)
	if user < 0 {
		return
	}
	o.idle.push(user)
	if o.waiting.len() > 0 {
		o.serve()
		o.schedule(now)
	}
}

// Restarted implements protocols.Restarter. What arrived meanwhile is handed out
// late, and counts from when it arrived.
func (o *Open) Restarted() error {
	if err := o.restarted(o.idle.push); err != nil {
		return err
	}
	o.Wake(o.env.Now())
	return nil
}

// Close implements Load.
func (o *Open) Close(now protocols.Time) {
	o.pool.Close(now)
	o.giveUp(now)
	for o.waiting.len() > 0 {
		o.stats.TimedOut++
		o.env.Record(protocols.Sample{Class: o.cfg.Unsent, Intended: o.waiting.pop(), Sent: now, Finished: now, Outcome: protocols.TimedOut})
	}
}

// Stats returns the counters.
func (o *Open) Stats() Stats {
	s := o.stats
	s.Waiting = o.waiting.len()
	return s
}
