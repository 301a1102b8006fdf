package agents

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// Memory is how many of its last reports a clock can repeat.
const Memory = 16

// ClockConfig configures the clock of one replica.
type ClockConfig struct {
	// Seed is the seed of the replica's application key, Scheme what it signs
	// with.
	Seed   [32]byte
	Scheme protocols.AppScheme
	Ledger Ledger
	// Origin is the wall clock at ledger time 0.
	Origin protocols.Time
	// Collectors are the nodes whose requests are answered.
	Collectors protocols.Group
}

// Clock signs readings of the wall clock of its host. It implements
// protocols.Node.
type Clock struct {
	cfg   ClockConfig
	env   protocols.Env
	wiped bool
	// floor: no tick at or below it is signed anew.
	floor  uint64
	signed []ClockReport // the last ones, ascending by tick
	// waits holds at most one request per collector whose time has not come.
	waits []wait
}

type wait struct {
	request ClockRequest
	timer   protocols.TimerID
}

var _ protocols.Node = (*Clock)(nil)

// NewClock returns the clock of one replica.
func NewClock(cfg ClockConfig) *Clock {
	return &Clock{cfg: cfg, waits: make([]wait, len(cfg.Collectors))}
}

// Start implements protocols.Node.
func (c *Clock) Start(env protocols.Env, boot protocols.Boot) {
	c.env = env.Sub(Path)
	switch boot.Kind {
	case protocols.Wiped:
		c.wiped = true
		c.env.Compact(&ClockRecord{Wiped: true})
	case protocols.Recovered:
		for _, r := range boot.For(c.env.Path()).Records {
			if rec, ok := r.Message.(*ClockRecord); ok {
				c.wiped, c.floor, c.signed = rec.Wiped, rec.Floor, append([]ClockReport(nil), rec.Reports...)
			}
		}
	}
}

// Receive implements protocols.Node.
func (c *Clock) Receive(e *protocols.Envelope, m protocols.Message, _ protocols.Verdicts) {
	r, ok := m.(*ClockRequest)
	i := c.cfg.Collectors.Index(e.From)
	if !ok || i < 0 || e.Path != c.env.Path() {
		return
	}
	if c.wiped { // see the package comment
		if !r.Synced {
			return
		}
		c.wiped, c.floor = false, max(r.Tick, r.Tick+1)
		c.env.Compact(&ClockRecord{Floor: c.floor})
		return
	}
	c.answer(i, *r)
}

// Timeout implements protocols.Node: the reading passed the ledger time.
func (c *Clock) Timeout(t protocols.Timer) {
	if i := int(t.Arg); i < len(c.waits) && c.waits[i].timer == t.ID {
		c.waits[i].timer = 0
		c.answer(i, c.waits[i].request)
	}
}

func (c *Clock) answer(collector int, r ClockRequest) {
	w := &c.waits[collector]
	c.env.CancelTimer(w.timer)
	*w = wait{}
	to := c.cfg.Collectors[collector]
	if n := len(c.signed); n > 0 && r.Tick <= c.signed[n-1].Tick {
		for i := range c.signed[:n-1] {
			if c.signed[i].Tick == r.Tick {
				c.send(to, c.signed[i])
			}
		}
		c.send(to, c.signed[n-1]) // in any case tell how far time went
		return
	}
	if r.Tick <= c.floor {
		return
	}
	clock := int64(c.env.Clock() - c.cfg.Origin)
	now := clock / int64(time.Millisecond)
	if now <= 0 || uint64(now) <= r.After {
		if r.After >= 1<<43 { // beyond any clock
			return
		}
		past := int64(r.After+1)*int64(time.Millisecond) - clock
		*w = wait{request: r, timer: c.env.SetTimer(time.Duration(max(past, 1)), 0, uint64(collector))}
		return
	}
	c.sign(r.Tick, uint64(now))
	c.send(to, c.signed[len(c.signed)-1])
}

func (c *Clock) sign(tick, now uint64) {
	auth := c.env.Auth()
	auth.Charge(protocols.OpSign, 0)
	sig := c.cfg.Scheme.Sign(c.cfg.Seed, c.cfg.Ledger.Message(tick, now))
	if len(c.signed) == Memory {
		c.signed = append(c.signed[:0], c.signed[1:]...)
	}
	c.signed = append(c.signed, ClockReport{Tick: tick, Time: now, Signature: sig[:]})
	c.floor = tick
	// The record replaces all earlier ones, so the log stays small.
	c.env.Compact(&ClockRecord{Floor: c.floor, Reports: append([]ClockReport(nil), c.signed...)})
}

func (c *Clock) send(to protocols.NodeID, r ClockReport) { c.env.Send(to, &r) }
