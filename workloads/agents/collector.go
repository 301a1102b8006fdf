package agents

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// CollectorConfig configures a collector.
type CollectorConfig struct {
	Ledger Ledger
	// Agents are the clocks; the one at index i belongs to replica i, whose
	// application key is Keys[i].
	Agents protocols.Group
	Keys   [][32]byte
	// Quorum is how many readings a tick needs: 2f+1, or f+1 where the ledger
	// takes the minimum (n = 2f+1).
	Quorum int
	// Weak is f+1: so many clocks include a correct one.
	Weak int
	// Median is the index, in the ascending readings of a quorum, of the one that
	// becomes ledger time: f for the lower median, 0 for the minimum.
	Median int
	// Period is the time between ticks, 1 ms to 1 h.
	Period time.Duration
	// Retry is how long to wait for a quorum before asking again; 0 stands for
	// the period, but at most 1 s.
	Retry time.Duration
	// Genesis is the ledger time at genesis in ms.
	Genesis uint64
}

// Check reports what is wrong with the configuration.
func (c CollectorConfig) Check() error {
	n := len(c.Agents)
	switch {
	case n < 1 || len(c.Keys) != n:
		return fmt.Errorf("agents: %d clocks with %d keys; every clock needs its replica's key", n, len(c.Keys))
	case c.Quorum < 1 || c.Quorum > n:
		return fmt.Errorf("agents: clock quorum of %d; allowed is 1 to %d", c.Quorum, n)
	case c.Weak < 1 || c.Weak > n:
		return fmt.Errorf("agents: weak clock quorum of %d; allowed is 1 to %d", c.Weak, n)
	case c.Median < 0 || c.Median >= c.Quorum:
		return fmt.Errorf("agents: median at index %d; allowed is 0 to %d", c.Median, c.Quorum-1)
	case c.Period < time.Millisecond || c.Period > time.Hour:
		return fmt.Errorf("agents: tick period of %v; allowed is 1ms to 1h", c.Period)
	case c.Retry < 0 || c.Retry > time.Hour:
		return fmt.Errorf("agents: retry after %v; allowed is 0s to 1h", c.Retry)
	}
	return nil
}

// Collector makes ledger time advance. It wraps the protocol's client, whose
// node it is: operations invoked from outside pass through it, one at a time and
// after the tick that may be under way. It implements protocols.Client.
type Collector struct {
	cfg   CollectorConfig
	inner protocols.Client
	outer protocols.Env // the node's
	env   protocols.Env // of the path of the agents

	tick    uint64 // being collected or under way
	now     uint64 // ledger time as far as known
	reports []*Report
	// heard is the last report that each clock was heard to have signed.
	heard   []ClockReport
	asking  bool
	stuck   bool // the readings of this tick did not move time
	began   protocols.Time
	synced  bool // the tick before was applied and came from here
	timer   protocols.TimerID
	applied uint64

	busy  bool // the inner client has an operation
	ours  uint64
	ready []byte // a tick that waits for the inner client
	queue []invocation
}

type invocation struct {
	id uint64
	op []byte
}

// Kinds of timer.
const (
	timerTick uint32 = iota + 1
	timerRetry
)

// ownID marks the ids of the collector's own operations.
const ownID = 1 << 63

var _ protocols.Client = (*Collector)(nil)

// NewCollector wraps a protocol's client. It panics if the configuration fails
// its Check.
func NewCollector(cfg CollectorConfig, inner protocols.Client) *Collector {
	if err := cfg.Check(); err != nil {
		panic(err.Error())
	}
	if cfg.Retry == 0 {
		cfg.Retry = min(cfg.Period, time.Second)
	}
	return &Collector{
		cfg: cfg, inner: inner, tick: 1, now: cfg.Genesis,
		reports: make([]*Report, len(cfg.Agents)), heard: make([]ClockReport, len(cfg.Agents)),
	}
}

// Applied counts the ticks that this collector brought through.
func (c *Collector) Applied() uint64 { return c.applied }

// LedgerTime returns the last ledger time in ms that the collector knows.
func (c *Collector) LedgerTime() uint64 { return c.now }

// Start implements protocols.Node.
func (c *Collector) Start(env protocols.Env, boot protocols.Boot) {
	c.outer, c.env = env, env.Sub(Path)
	for _, r := range boot.For(c.env.Path()).Records {
		if p, ok := r.Message.(*ClockProgress); ok {
			c.tick, c.now = p.Tick, p.Now
		}
	}
	c.inner.Start(&tap{env, c}, boot)
	c.arm(0, timerTick)
}

// Receive implements protocols.Node.
func (c *Collector) Receive(e *protocols.Envelope, m protocols.Message, v protocols.Verdicts) {
	if e.Local || e.Path != c.env.Path() {
		c.inner.Receive(e, m, v)
		return
	}
	if r, ok := m.(*ClockReport); ok {
		if i := c.cfg.Agents.Index(e.From); i >= 0 {
			c.report(i, r)
		}
	}
}

// Timeout implements protocols.Node.
func (c *Collector) Timeout(t protocols.Timer) {
	if t.Path != c.env.Path() {
		c.inner.Timeout(t)
		return
	}
	if t.ID != c.timer {
		return
	}
	c.timer = 0
	switch t.Kind {
	case timerTick:
		c.collect()
	case timerRetry:
		c.ask()
	}
}

// Invoke implements protocols.Client.
func (c *Collector) Invoke(id uint64, op []byte) {
	c.queue = append(c.queue, invocation{id, op})
	c.pump()
}

// collect begins a tick.
func (c *Collector) collect() {
	c.asking, c.stuck, c.began = true, false, c.env.Now()
	clear(c.reports)
	c.env.Multicast(c.cfg.Agents, c.request())
	c.arm(c.cfg.Retry, timerRetry)
}

func (c *Collector) request() *ClockRequest {
	return &ClockRequest{Tick: c.tick, After: c.now, Synced: c.synced}
}

// ask requests the readings that are missing.
func (c *Collector) ask() {
	r := c.request()
	for i, a := range c.cfg.Agents {
		if c.reports[i] == nil {
			c.env.Send(a, r)
		}
	}
	c.arm(c.cfg.Retry, timerRetry)
}

func (c *Collector) arm(d time.Duration, kind uint32) {
	c.env.CancelTimer(c.timer)
	c.timer = c.env.SetTimer(max(d, 1), kind, 0)
}

func (c *Collector) report(i int, r *ClockReport) {
	known := c.reports[i] != nil
	if r.Tick != c.tick {
		known = r.Tick < c.tick || r.Tick <= c.heard[i].Tick
	}
	if !c.asking || known || len(r.Signature) != 64 {
		return
	}
	check := protocols.SigCheck{Key: c.cfg.Keys[i], Message: c.cfg.Ledger.Message(r.Tick, r.Time), Signature: r.Signature}
	if !c.env.Auth().VerifyApp(check) {
		return
	}
	if r.Tick > c.heard[i].Tick {
		c.heard[i] = *r
	}
	if r.Tick > c.tick {
		c.catchUp()
		return
	}
	c.reports[i] = &Report{Replica: i, Time: r.Time, Signature: [64]byte(r.Signature)}
	c.submit()
}

// catchUp joins a correct clock that is ahead. The readings there lie past the
// ledger time that they were asked for, so the lowest of them stands in for it.
func (c *Collector) catchUp() {
	heard := slices.Clone(c.heard)
	slices.SortFunc(heard, func(a, b ClockReport) int { return cmp.Compare(b.Tick, a.Tick) })
	t := heard[c.cfg.Weak-1].Tick
	if t <= c.tick {
		return
	}
	var times []uint64
	for i := range heard {
		if heard[i].Tick >= t {
			times = append(times, heard[i].Time)
		}
	}
	slices.Sort(times)
	c.now = max(c.now, times[len(times)-c.cfg.Weak]-1)
	c.tick, c.synced = t, false
	c.collect()
}

// chosen returns a quorum of the readings in ascending order of replica, or fewer:
// the first replicas' normally, the latest readings if others did not move time.
func (c *Collector) chosen() []Report {
	var reports []Report
	for _, r := range c.reports {
		if r != nil {
			reports = append(reports, *r)
		}
	}
	if c.stuck {
		slices.SortStableFunc(reports, func(a, b Report) int { return cmp.Compare(b.Time, a.Time) })
	}
	reports = reports[:min(len(reports), c.cfg.Quorum)]
	slices.SortFunc(reports, func(a, b Report) int { return cmp.Compare(a.Replica, b.Replica) })
	return reports
}

// submit builds the tick once a quorum has answered.
func (c *Collector) submit() {
	reports := c.chosen()
	if len(reports) < c.cfg.Quorum {
		return
	}
	op, err := c.cfg.Ledger.Tick(c.tick, reports)
	if err != nil { // more reports than a tick can carry: a wrong configuration
		c.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: c.tick, Note: "clock tick: " + err.Error()})
		return
	}
	c.asking = false
	c.env.CancelTimer(c.timer)
	c.timer = 0
	c.ready = op
	c.pump()
}

// pump gives the inner client its next operation.
func (c *Collector) pump() {
	switch {
	case c.busy:
	case c.ready != nil:
		op := c.ready
		c.busy, c.ready = true, nil
		c.ours++
		c.inner.Invoke(ownID|c.ours, op)
	case len(c.queue) > 0:
		inv := c.queue[0]
		c.queue = append(c.queue[:0], c.queue[1:]...)
		c.busy = true
		c.inner.Invoke(inv.id, inv.op)
	}
}

// complete takes the inner client's results.
func (c *Collector) complete(r protocols.Completion) {
	c.busy = false
	if r.ID != ownID|c.ours {
		c.outer.Complete(r)
	} else {
		c.decided(c.cfg.Ledger.Verdict(r.Result))
	}
	c.pump()
}

func (c *Collector) decided(v Verdict) {
	switch v {
	case Applied:
		c.applied++
		c.now = max(c.now, c.median())
		c.tick++
		c.synced = true
		c.env.Compact(&ClockProgress{Tick: c.tick, Now: c.now})
	case Passed:
		c.synced = false
		c.now = max(c.now, c.median()) // whoever brought it through had readings like these
		c.tick++
	case Early:
		c.synced = false
		c.tick = max(c.tick-1, 1)
	case NotAhead, Short:
		// The clocks cannot sign this tick again: only readings that are still
		// missing can help.
		c.stuck = true
		c.asking, c.began = true, c.env.Now()
		c.arm(c.cfg.Retry, timerRetry)
		return
	}
	c.arm(c.cfg.Period-c.env.Now().Sub(c.began), timerTick)
}

// median is the ledger time that the submitted readings stand for.
func (c *Collector) median() uint64 {
	reports := c.chosen()
	slices.SortFunc(reports, func(a, b Report) int { return cmp.Compare(a.Time, b.Time) })
	return reports[c.cfg.Median].Time
}

// tap is the Env of the inner client: the results pass through the collector.
type tap struct {
	protocols.Env
	c *Collector
}

func (t *tap) Complete(r protocols.Completion) { t.c.complete(r) }

func (t *tap) Sub(label string) protocols.Env { return &tap{t.Env.Sub(label), t.c} }
