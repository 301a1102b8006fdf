package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// Generator makes the operations of all clients of one process. It obeys the
// determinism rules of a protocols.Node.
//
// A user is what has one operation open at a time: a client if Config.Outstanding
// is 1, otherwise one of the Outstanding users that share a client. User u
// belongs to client u/Outstanding.
type Generator interface {
	// Next returns the operation that this user shall submit now and its class.
	// ok is false if there is nothing for it at present. The operation must not
	// be changed afterwards.
	Next(user int, now protocols.Time) (class uint8, op []byte, ok bool)
	// Result is told the result of the operation that Next last gave to the
	// user, and says how it ended: Done or Rejected.
	Result(user int, now protocols.Time, op, result []byte) protocols.Outcome
}

// Forgetter is a Generator that goes on when results stay away for good, because
// the process of the clients crashed.
type Forgetter interface {
	Generator
	// Forget says that the operation that Next last gave to the user has no result.
	Forget(user int)
}

// Counter is what a Generator may implement to have its own counters in the result.
type Counter interface {
	// Counters calls add for every counter, in a fixed order. All of them add up.
	Counters(add func(name string, value uint64))
}

// Config is what both kinds of load share.
type Config struct {
	// Generator builds the generator when the load starts.
	Generator func(env protocols.LoadEnv, users int) Generator
	// Outstanding is how many operations a client may have open, at most the
	// protocol's Entry.Outstanding; 0 stands for 1.
	Outstanding int
	// Timeout of an operation; 0 is none.
	Timeout time.Duration
	// Until is when the load ends, counted from its start; 0 is never. Nothing is
	// intended for that time or later. What was intended before goes on: an open
	// loop still submits the arrivals that wait.
	Until time.Duration
	// Unsent is the class of samples of operations that were never submitted.
	Unsent uint8
}

// Load is what both kinds of load can do.
type Load interface {
	protocols.Restarter
	// Stats returns the counters so far.
	Stats() Stats
	// Counters calls add for every counter of the load and of its generator, in a
	// fixed order. Counts of several processes add up, except of those for which
	// peak is true: there the highest stands.
	Counters(add func(name string, value uint64, peak bool))
	// Close records what has neither ended nor timed out yet as timed out now: the
	// run is over, so that it is censored. The load is not used afterwards.
	Close(now protocols.Time)
}

// Retry is how often a generator that had nothing is asked again.
const Retry = 10 * time.Millisecond

// MaxOutstanding bounds Config.Outstanding.
const MaxOutstanding = 1 << 16

// MaxTimeout bounds Config.Timeout and think times.
const MaxTimeout = time.Hour

func (c *Config) check() error {
	if c.Generator == nil {
		return fmt.Errorf("load: a generator is missing")
	}
	if c.Outstanding < 0 || c.Outstanding > MaxOutstanding {
		return fmt.Errorf("load: %d operations open per client; allowed is 1 to %d", c.Outstanding, MaxOutstanding)
	}
	c.Outstanding = max(c.Outstanding, 1)
	if c.Until < 0 {
		return fmt.Errorf("load: it ends after %v; allowed is a time above 0s, or 0s for never", c.Until)
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
	// Starved counts how often the generator had nothing to give, Held the arrivals of
	// an open loop that could not be submitted at once for that reason: there was a
	// client, but nothing to do for it.
	Starved, Held uint64
}

// slot is one user.
type slot struct {
	busy, late     bool
	class          uint8
	id             uint64
	op             []byte
	intended, sent protocols.Time
}

type deadline struct {
	at   protocols.Time
	user int
	id   uint64
}

// pool is what both loads do with their users.
type pool struct {
	cfg       Config
	env       protocols.LoadEnv
	gen       Generator
	slots     []slot
	deadlines ring[deadline]
	lastID    uint64
	end       protocols.Time // nothing is intended from here on
	// pending is the wake-up that was asked for, never if there is none.
	pending protocols.Time
	stats   Stats
}

func (p *pool) start(env protocols.LoadEnv, clients int) {
	p.env = env
	p.slots = make([]slot, clients*p.cfg.Outstanding)
	p.gen = p.cfg.Generator(env, len(p.slots))
	p.pending = never
	p.end = never
	if p.cfg.Until > 0 {
		p.end = env.Now().Add(p.cfg.Until)
	}
}

// wakeAt asks for a wake-up unless an earlier one is due anyway.
func (p *pool) wakeAt(at protocols.Time) {
	if at = max(at, p.env.Now()); at < p.pending {
		p.pending = at
		p.env.WakeAt(at)
	}
}

// submit asks the generator and invokes. It reports whether there was something.
func (p *pool) submit(user int, intended protocols.Time) bool {
	now := p.env.Now()
	class, op, ok := p.gen.Next(user, now)
	if !ok {
		p.stats.Starved++
		return false
	}
	p.lastID++
	p.slots[user] = slot{busy: true, class: class, id: p.lastID, op: op, intended: intended, sent: now}
	if p.cfg.Timeout > 0 {
		p.deadlines.push(deadline{intended.Add(p.cfg.Timeout), user, p.lastID})
	}
	p.stats.Submitted++
	p.stats.Open++
	p.env.Invoke(user/p.cfg.Outstanding, p.lastID, op)
	return true
}

// completed frees the user that waited for c and returns it, or -1 for a
// completion that belongs to nothing open.
func (p *pool) completed(client int, c protocols.Completion) int {
	user := p.find(client, c.ID)
	if user < 0 {
		return -1
	}
	s := &p.slots[user]
	now := p.env.Now()
	outcome := p.gen.Result(user, now, s.op, c.Result)
	if !s.late {
		p.env.Record(protocols.Sample{Class: s.class, Intended: s.intended, Sent: s.sent, Finished: now, Outcome: outcome, Retransmissions: c.Retransmissions})
	}
	*s = slot{}
	p.stats.Completed++
	p.stats.Open--
	return user
}

// restarted gives up what was open and calls each, in order, with the users that
// are free for that.
func (p *pool) restarted(each func(user int)) error {
	g, ok := p.gen.(Forgetter)
	if !ok {
		return errors.New("load: its operations depend on the results of earlier ones, which a crash of the clients loses")
	}
	p.pending = never
	now := p.env.Now()
	p.expire(now)
	for u := range p.slots {
		s := &p.slots[u]
		if !s.busy {
			continue
		}
		g.Forget(u)
		if !s.late {
			end := now
			if p.cfg.Timeout > 0 {
				end = s.intended.Add(p.cfg.Timeout)
			}
			p.stats.TimedOut++
			p.env.Record(protocols.Sample{Class: s.class, Intended: s.intended, Sent: s.sent, Finished: end, Outcome: protocols.TimedOut})
		}
		*s = slot{}
		p.stats.Open--
		each(u)
	}
	return nil
}

func (p *pool) find(client int, id uint64) int {
	first := client * p.cfg.Outstanding
	if client < 0 || first >= len(p.slots) {
		return -1
	}
	for u := first; u < first+p.cfg.Outstanding; u++ {
		if p.slots[u].busy && p.slots[u].id == id {
			return u
		}
	}
	return -1
}

// expire records the time-outs up to now.
func (p *pool) expire(now protocols.Time) {
	for p.deadlines.len() > 0 {
		d := p.deadlines.front()
		s := &p.slots[d.user]
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

// Close implements Load.
func (p *pool) Close(now protocols.Time) {
	p.expire(now)
	for u := range p.slots {
		if s := &p.slots[u]; s.busy && !s.late {
			s.late = true
			p.stats.TimedOut++
			p.env.Record(protocols.Sample{Class: s.class, Intended: s.intended, Sent: s.sent, Finished: now, Outcome: protocols.TimedOut})
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

// Counters implements Load.
func (p *pool) Counters(add func(name string, value uint64, peak bool)) {
	s := &p.stats
	add("submitted", s.Submitted, false)
	add("completed", s.Completed, false)
	add("timed_out", s.TimedOut, false)
	add("dropped", s.Dropped, false)
	add("starved", s.Starved, false)
	add("held", s.Held, false)
	add("most_waiting", uint64(s.MostWaiting), true)
	if c, ok := p.gen.(Counter); ok {
		c.Counters(func(name string, v uint64) { add(name, v, false) })
	}
}

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
