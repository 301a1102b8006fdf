package load

import (
	"math/rand/v2"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
)

// ClosedConfig configures a closed loop.
type ClosedConfig struct {
	Config
	// Think is the pause between a result and the next operation of the same
	// user, 0..MaxTimeout; with Exponential it is the mean of one.
	Think       time.Duration
	Exponential bool
	// Ramp spreads the first operations of the users evenly over this time.
	Ramp time.Duration
	// Purpose names the random stream of the think times; "" stands for "think".
	Purpose string
}

// Closed is a closed loop: each client keeps Config.Outstanding operations open.
type Closed struct {
	pool
	cfg     ClosedConfig
	rand    *rand.PCG
	think   heap
	starved ring[int] // users that the generator had nothing for
	retry   protocols.Time
}

var _ Load = (*Closed)(nil)

// NewClosed returns a closed loop, or what is wrong with its configuration.
func NewClosed(cfg ClosedConfig) (*Closed, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := checkDuration("think time", cfg.Think); err != nil {
		return nil, err
	}
	if err := checkDuration("ramp", cfg.Ramp); err != nil {
		return nil, err
	}
	if cfg.Purpose == "" {
		cfg.Purpose = "think"
	}
	return &Closed{pool: pool{cfg: cfg.Config}, cfg: cfg, retry: never}, nil
}

// Start implements protocols.Load.
func (l *Closed) Start(env protocols.LoadEnv, clients int) {
	l.start(env, clients)
	l.rand = rand.NewPCG(env.Stream(l.cfg.Purpose))
	now := env.Now()
	for u := range l.slots {
		l.think.push(event{now.Add(l.cfg.Ramp / time.Duration(len(l.slots)) * time.Duration(u)), u})
	}
	l.Wake(now)
}

// Wake implements protocols.Load.
func (l *Closed) Wake(now protocols.Time) {
	l.pending = never
	l.expire(now)
	if l.retry <= now {
		l.retryStarved()
	}
	for len(l.think) > 0 && l.think[0].at <= now {
		l.next(l.think.pop().user)
	}
	l.schedule(now)
}

// Restarted implements protocols.Restarter. Users whose operation was lost think
// about it like about a result.
func (l *Closed) Restarted() error {
	now := l.env.Now()
	if err := l.restarted(func(user int) { l.think.push(event{now.Add(l.cfg.Think), user}) }); err != nil {
		return err
	}
	l.Wake(now)
	return nil
}

func (l *Closed) next(user int) {
	if l.env.Now() >= l.end {
		return
	}
	if !l.submit(user, l.env.Now()) {
		l.starved.push(user)
	}
}

// retryStarved asks again for every user that got nothing, the first of them
// first.
func (l *Closed) retryStarved() {
	l.retry = never
	for range l.starved.len() {
		l.next(l.starved.pop())
	}
}

func (l *Closed) schedule(now protocols.Time) {
	at := l.nextDeadline()
	if len(l.think) > 0 && l.think[0].at < l.end {
		at = min(at, l.think[0].at)
	}
	if l.starved.len() > 0 {
		if l.retry == never {
			l.retry = now.Add(Retry)
		}
		at = min(at, l.retry)
	}
	l.wakeAt(at)
}

// Completed implements protocols.Load.
func (l *Closed) Completed(client int, c protocols.Completion) {
	now := l.env.Now()
	l.expire(now)
	user := l.completed(client, c)
	if user < 0 {
		return
	}
	switch think := l.cfg.Think; {
	case think == 0:
		l.next(user)
	case l.cfg.Exponential:
		l.think.push(event{now.Add(arrival.Exponential(l.rand.Uint64(), think)), user})
	default:
		l.think.push(event{now.Add(think), user})
	}
	if l.starved.len() > 0 {
		l.retryStarved()
	}
	l.schedule(now)
}

// event is the end of a user's think time. Events are totally ordered: a user has
// one at most.
type event struct {
	at   protocols.Time
	user int
}

func (e event) before(f event) bool {
	return e.at < f.at || e.at == f.at && e.user < f.user
}

// heap is a binary heap of events.
type heap []event

func (h *heap) push(e event) {
	*h = append(*h, e)
	for i := len(*h) - 1; i > 0; {
		up := (i - 1) / 2
		if !(*h)[i].before((*h)[up]) {
			return
		}
		(*h)[i], (*h)[up] = (*h)[up], (*h)[i]
		i = up
	}
}

func (h *heap) pop() event {
	s := *h
	top, n := s[0], len(s)-1
	s[0] = s[n]
	s = s[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if s[c].before(s[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	return top
}
