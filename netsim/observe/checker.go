package observe

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// Config says what a Checker expects.
type Config struct {
	// N replicas, 0..N-1.
	N int
	// Correct says which replicas and clients follow the protocol; nil means all.
	// It must not change during the run.
	Correct  func(protocols.NodeID) bool
	Finality protocols.Finality
	// Window is how much of the order is kept, in requests and in slots; 0 means
	// 65,536.
	Window int
	// Restarts says that the host calls Restarted, as netsim does. Otherwise any
	// replica may begin again at index 1.
	Restarts bool
	// StopAtFirst makes the host stop at the first violation.
	StopAtFirst bool

	// Deadline: operations invoked before it by correct clients must be accepted
	// by the end. 0 switches the check off.
	Deadline protocols.Time
	// Stall is the longest time after Calm in which correct clients may wait
	// without any of them being answered. 0 switches the check off.
	Stall time.Duration
	// Calm is when the faults are over.
	Calm protocols.Time

	// History switches linearizability on; see NewHistory.
	History *History
}

// Checker is the observer of a run.
type Checker struct {
	cfg     Config
	correct []bool // replicas
	found   *findings
	order   *order
	slots   *slots
	vows    *promises
	live    *liveness
	audits  *audits
	done    bool
}

var _ protocols.SendObserver = (*Checker)(nil)

// New returns a Checker.
func New(cfg Config) *Checker {
	if cfg.Window <= 0 {
		cfg.Window = 1 << 16
	}
	if cfg.Correct == nil {
		cfg.Correct = func(protocols.NodeID) bool { return true }
	}
	c := &Checker{cfg: cfg, correct: make([]bool, cfg.N), found: newFindings()}
	for i := range c.correct {
		c.correct[i] = cfg.Correct(protocols.NodeID(i))
	}
	c.order = newOrder(&c.cfg, c.found)
	c.slots = newSlots(cfg.Window, c.found)
	c.vows = newPromises(cfg.N, c.found)
	c.live = newLiveness(&c.cfg, c.found)
	c.audits = &audits{found: c.found, last: make([]*audited, cfg.N)}
	if cfg.History != nil {
		cfg.History.bind(c.found, &c.cfg)
		c.order.listener = cfg.History
	}
	return c
}

// judged reports whether a node is judged.
func (c *Checker) judged(node protocols.NodeID) bool {
	if node.IsReplica() {
		return int(node) < len(c.correct) && c.correct[node]
	}
	return c.cfg.Correct(node)
}

// Observe implements protocols.Observer.
func (c *Checker) Observe(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if !c.judged(node) {
		return
	}
	c.audits.now = at
	if node.IsReplica() {
		switch ev.Kind {
		case protocols.EventExecuted:
			c.order.executed(at, node, ev)
		case protocols.EventRolledBack:
			c.order.rolledBack(at, node, ev.Index)
		case protocols.EventFinal:
			c.order.final(at, node, ev)
		case protocols.EventTransfer:
			c.order.transferred(at, node, ev.Index)
		case protocols.EventCommitted:
			c.slots.committed(at, node, ev)
		}
		return
	}
	switch ev.Kind {
	case protocols.EventInvoked:
		c.order.invoked(at, node, ev)
		c.live.invoked(at, node, ev.Timestamp)
		if c.cfg.History != nil {
			c.cfg.History.named(node, ev)
		}
	case protocols.EventAccepted:
		c.order.accepted(at, node, ev)
		c.live.accepted(at, node, ev.Timestamp)
	}
}

// Sent implements protocols.SendObserver.
func (c *Checker) Sent(at protocols.Time, node protocols.NodeID, path string, mt *protocols.MessageType, m protocols.WireMessage) {
	if c.judged(node) {
		c.vows.sent(at, node, path, mt, m)
	}
}

// Restarted tells that a replica begins a new life.
func (c *Checker) Restarted(node protocols.NodeID) {
	if c.judged(node) && node.IsReplica() {
		c.order.restarted(node)
	}
}

// Stopped gives the host a reason to stop; see Config.StopAtFirst.
func (c *Checker) Stopped() string {
	if !c.cfg.StopAtFirst || len(c.found.list) == 0 {
		return ""
	}
	return c.found.list[0].Invariant + ": " + c.found.list[0].Detail
}

// Finish implements protocols.Observer.
func (c *Checker) Finish(at protocols.Time) []protocols.Violation {
	if !c.done {
		c.done = true
		c.live.finish(at)
		c.audits.finish(at)
		if c.cfg.History != nil {
			c.cfg.History.finish(at)
		}
	}
	return append([]protocols.Violation(nil), c.found.list...)
}

// Report returns the verdicts; call it after Finish.
func (c *Checker) Report() Report { return c.found.report() }

// Executed is the length of the agreed order.
func (c *Checker) Executed() uint64 { return c.order.length }
