package adversary

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// memory remembers the last messages seen, up to a bound.
type memory struct {
	bound, next int
	seen        []remembered
}

type remembered struct {
	path string
	m    protocols.WireMessage
}

func (r *memory) add(path string, m protocols.WireMessage) {
	if len(r.seen) < r.bound {
		r.seen = append(r.seen, remembered{path, m})
		return
	}
	r.seen[r.next] = remembered{path, m}
	r.next = (r.next + 1) % r.bound
}

func (r *memory) random(l *lane) (remembered, bool) {
	if len(r.seen) == 0 {
		return remembered{}, false
	}
	return r.seen[l.rand().IntN(len(r.seen))], true
}

// resend sends a remembered message to the replicas, from the Env it belongs to.
func (l *lane) resend(r remembered) {
	if e := l.envs[r.path]; e != nil {
		outsiders, _ := l.split(l.cfg.Replicas, l.outsider)
		pass(e, outsiders, r.m)
	}
}

// stale repeats what the node itself said before.
type stale struct {
	honest
	rate    int
	instead bool
	memory  memory
}

func staleOptions() []protocols.Option {
	return []protocols.Option{
		rateOption(300, "messages attacked, in 1,000"),
		{Name: "instead", Kind: protocols.OptionBool, Doc: "whether the old message replaces the new one"},
	}
}

func newStale(_ *protocols.Config, o protocols.Options) func() attacker {
	rate, instead := o.Int("rate"), o.Bool("instead")
	return func() attacker { return &stale{rate: rate, instead: instead, memory: memory{bound: 64}} }
}

func (a *stale) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	old, ok := a.memory.random(l)
	a.memory.add(e.Path(), m)
	if !ok || !l.chance(a.rate) {
		pass(e, to, m)
		return
	}
	outsiders, peers := l.split(to, l.outsider)
	if !a.instead {
		pass(e, outsiders, m)
	}
	pass(e, peers, m)
	if e := l.envs[old.path]; e != nil {
		pass(e, outsiders, old.m)
	}
}

// replay sends on what others said.
type replay struct {
	honest
	rate   int
	memory memory
}

func newReplay(_ *protocols.Config, o protocols.Options) func() attacker {
	rate := o.Int("rate")
	return func() attacker { return &replay{rate: rate, memory: memory{bound: 64}} }
}

func (a *replay) receive(l *lane, e *protocols.Envelope, m protocols.WireMessage) {
	old, ok := a.memory.random(l)
	a.memory.add(e.Path, m)
	if ok && l.chance(a.rate) {
		l.resend(old)
	}
}

// flood sends without end.
type flood struct {
	every        time.Duration
	burst, limit int
	memory       memory
}

func floodOptions() []protocols.Option {
	return []protocols.Option{
		{Name: "every", Kind: protocols.OptionDuration, Default: int64(10 * time.Millisecond), Min: int64(time.Microsecond), Max: hour, Doc: "time between bursts"},
		{Name: "burst", Kind: protocols.OptionInt, Default: 5, Min: 1, Max: 10000, Doc: "messages to each replica in a burst"},
		{Name: "limit", Kind: protocols.OptionInt, Default: 20000, Min: 1, Max: 1 << 40, Doc: "messages to each replica in all"},
	}
}

func newFlood(_ *protocols.Config, o protocols.Options) func() attacker {
	a := flood{every: o.Duration("every"), burst: o.Int("burst"), limit: o.Int("limit"), memory: memory{bound: 16}}
	return func() attacker { c := a; return &c }
}

func (a *flood) start(l *lane) { l.setTimer(max(a.every, l.after), 0) }

func (a *flood) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	a.memory.add(e.Path(), m)
	pass(e, to, m)
}

func (a *flood) receive(_ *lane, e *protocols.Envelope, m protocols.WireMessage) {
	a.memory.add(e.Path, m)
}

func (a *flood) timeout(l *lane, _ uint64) {
	for range a.burst {
		if r, ok := a.memory.random(l); ok && l.active() && a.limit > 0 {
			a.limit--
			l.resend(r)
		}
	}
	if a.limit > 0 && (l.until == 0 || l.root.Now().Sub(l.begin) < l.until) {
		l.setTimer(a.every, 0)
	}
}
