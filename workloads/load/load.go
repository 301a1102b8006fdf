package load

import (
	"fmt"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// Generator makes the operations of all clients of one process. It obeys the
// determinism rules of a protocols.Node.
type Generator interface {
	// Next returns the operation that this client shall submit now and its class.
	// ok is false if there is nothing for it at present. The operation must not
	// be changed afterwards.
	Next(client int, now protocols.Time) (class uint8, op []byte, ok bool)
	// Result is told the result of the operation that Next last gave to the
	// client, and says how it ended: Done or Rejected.
	Result(client int, now protocols.Time, op, result []byte) protocols.Outcome
}

// Config is what both kinds of load share.
type Config struct {
	// Generator builds the generator when the load starts.
	Generator func(env protocols.LoadEnv, clients int) Generator
	// Timeout of an operation; 0 is none.
	Timeout time.Duration
	// Unsent is the class of samples of operations that were never submitted.
	Unsent uint8
}

// Retry is how often a generator that had nothing is asked again.
const Retry = 10 * time.Millisecond

// MaxTimeout bounds Config.Timeout and think times.
const MaxTimeout = time.Hour

func (c *Config) check() error {
	if c.Generator == nil {
		return fmt.Errorf("load: a generator is missing")
	}
	return checkDuration("timeout", c.Timeout)
}

func checkDuration(name string, d time.Duration) error {
	if d < 0 || d > MaxTimeout {
		return fmt.Errorf("load: %s is %v; allowed is 0s to %v", name, d, MaxTimeout)
	}
	return nil
}

// Stats counts what a load did so far.
type Stats struct {
	// Submitted operations; Completed counts those with a result, late ones
	// included.
	Submitted, Completed uint64
	// TimedOut operations, unsent ones included, and Dropped arrivals.
	TimedOut, Dropped uint64
	// Open operations and Waiting arrivals at present, and the most that waited.
	Open, Waiting, MostWaiting int
	// Starved counts how often the generator had nothing to give.
	Starved uint64
}

// slot is one client.
type slot struct {
	busy, late     bool
	class          uint8
	id             uint64
	op             []byte
	intended, sent protocols.Time
}

type deadline struct {
	at     protocols.Time
	client int
	id     uint64
}

// pool is what both loads do with their clients.
type pool struct {
	cfg       Config
	env       protocols.LoadEnv
	gen       Generator
	slots     []slot
	deadlines ring[deadline]
	lastID    uint64
	// pending is the wake-up that was asked for, never if there is none.
	pending protocols.Time
	stats   Stats
}

func (p *pool) start(env protocols.LoadEnv, clients int) {
	p.env = env
	p.gen = p.cfg.Generator(env, clients)
	p.slots = make([]slot, clients)
	p.pending = never
}

// wakeAt asks for a wake-up unless an earlier one is due anyway.
func (p *pool) wakeAt(at protocols.Time) {
	if at = max(at, p.env.Now()); at < p.pending {
		p.pending = at
		p.env.WakeAt(at)
	}
}

// submit asks the generator and invokes. It reports whether there was something.
func (p *pool) submit(client int, intended protocols.Time) bool {
	now := p.env.Now()
	class, op, ok := p.gen.Next(client, now)
	if !ok {
		p.stats.Starved++
		return false
	}
	p.lastID++
	p.slots[client] = slot{busy: true, class: class, id: p.lastID, op: op, intended: intended, sent: now}
	if p.cfg.Timeout > 0 {
		p.deadlines.push(deadline{intended.Add(p.cfg.Timeout), client, p.lastID})
	}
	p.stats.Submitted++
	p.stats.Open++
	p.env.Invoke(client, p.lastID, op)
	return true
}

// completed frees the client; it reports false for a completion that belongs to
// nothing open.
func (p *pool) completed(client int, c protocols.Completion) bool {
	if client < 0 || client >= len(p.slots) {
		return false
	}
	s := &p.slots[client]
	if !s.busy || s.id != c.ID {
		return false
	}
	now := p.env.Now()
	outcome := p.gen.Result(client, now, s.op, c.Result)
	if !s.late {
		p.env.Record(protocols.Sample{Class: s.class, Intended: s.intended, Sent: s.sent, Finished: now, Outcome: outcome, Retransmissions: c.Retransmissions})
	}
	*s = slot{}
	p.stats.Completed++
	p.stats.Open--
	return true
}

// expire records the time-outs up to now.
func (p *pool) expire(now protocols.Time) {
	for p.deadlines.len() > 0 {
		d := p.deadlines.front()
		s := &p.slots[d.client]
		open := s.busy && s.id == d.id && !s.late
		if open && d.at > now {
			return
		}
		p.deadlines.pop()
		if open {
			s.late = true
			p.stats.TimedOut++
			p.env.Record(protocols.Sample{Class: s.class, Intended: s.intended, Sent: s.sent, Finished: d.at, Outcome: protocols.TimedOut})
		}
	}
}

// nextDeadline returns when expire has something to do, or later.
func (p *pool) nextDeadline() protocols.Time {
	if p.deadlines.len() == 0 {
		return never
	}
	return p.deadlines.front().at
}

// Stats returns the counters.
func (p *pool) Stats() Stats { return p.stats }

const never = protocols.Time(1<<63 - 1)

// ring is a queue that reuses its memory.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) front() T { return r.buf[r.head] }

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		grown := make([]T, max(16, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)%len(r.buf)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = v
	r.n++
}

func (r *ring[T]) pop() T {
	v := r.buf[r.head]
	var zero T
	r.buf[r.head] = zero
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return v
}
