package mix

import (
	"crypto/ed25519"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
	"github.com/edgebft/edgebft/workloads/load"
	"github.com/edgebft/edgebft/workloads/market"
)

// stage is a host with one marketplace that orders and applies operations after a
// while, and ticks.
type stage struct {
	t       require.TestingT
	world   *World
	state   *market.State
	load    protocols.Load
	scheme  protocols.AppScheme
	now     protocols.Time
	wake    protocols.Time
	latency func() time.Duration
	queue   []pending
	serial  int
	tick    uint64
	nextAt  protocols.Time
	samples []protocols.Sample
	bytes   map[uint8]int // by class
	count   map[uint8]int
	origin  protocols.Time
	applied func(op, result []byte)
}

type pending struct {
	apply, done protocols.Time // when it is ordered, when the client knows
	serial      int
	client      int
	id          uint64
	op          []byte
	result      []byte
	applied     bool
}

func (s *stage) Now() protocols.Time              { return s.now }
func (s *stage) Clock() protocols.Time            { return s.now + s.origin }
func (s *stage) WakeAt(t protocols.Time)          { s.wake = t }
func (s *stage) Scheme() protocols.AppScheme      { return s.scheme }
func (s *stage) Stream(p string) (uint64, uint64) { return uint64(len(p)), 99 }
func (s *stage) Record(x protocols.Sample)        { s.samples = append(s.samples, x) }
func (s *stage) verify(c protocols.SigCheck) bool {
	return s.scheme.Verify(c.Key, c.Message, c.Signature)
}

func (s *stage) Invoke(client int, id uint64, op []byte) {
	d := s.latency()
	s.serial++
	s.queue = append(s.queue, pending{apply: s.now.Add(d / 2), done: s.now.Add(d), serial: s.serial, client: client, id: id, op: op})
}

const never = protocols.Time(1<<63 - 1)

func cluster() Cluster { return Cluster{Chain: 7, N: 4, F: 1} }

func newStage(t require.TestingT, cfg Config, scheme protocols.AppScheme) *stage {
	w, err := NewWorld(cfg, cluster(), scheme)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(5, 6))
	return &stage{
		t: t, world: w, state: w.Application().(*market.State), scheme: scheme, wake: never, origin: cfg.Origin.Add(w.cfg.Lead()),
		latency: func() time.Duration { return time.Duration(2000+r.IntN(6000)) * time.Microsecond },
		bytes:   map[uint8]int{}, count: map[uint8]int{}, applied: func([]byte, []byte) {},
	}
}

// generator returns a load.Config whose generator is g once started.
func (s *stage) config(g **Generator) load.Config {
	return load.Config{Unsent: Unsent, Generator: func(env protocols.LoadEnv, users int) load.Generator {
		*g = s.world.NewGenerator(env, users)
		return *g
	}}
}

// clockTick advances ledger time; it is ordered like any other operation.
func (s *stage) clockTick() {
	s.tick++
	now := uint64(s.Clock()-s.world.cfg.Origin) / uint64(time.Millisecond)
	var reports []market.ClockReport
	for i := range 3 {
		reports = append(reports, market.SignClock(s.scheme, DerivedSeed(7)(i), 7, uint16(i), s.tick, now))
	}
	op, err := market.NewClockTick(7, s.tick, reports)
	require.NoError(s.t, err)
	s.queue = append(s.queue, pending{apply: s.now.Add(3 * time.Millisecond), done: never, serial: s.serial, client: -1, op: op})
}

func (s *stage) play(clients int, end time.Duration) {
	s.now = protocols.Time(time.Millisecond)
	s.load.Start(s, clients)
	for {
		at, best := s.wake, -1
		tickAt := s.nextAt
		at = min(at, tickAt)
		for i := range s.queue {
			p := &s.queue[i]
			t := p.apply
			if p.applied {
				t = p.done
			}
			if t < at || t == at && best >= 0 && p.serial < s.queue[best].serial {
				at, best = t, i
			}
		}
		if at > protocols.Time(end) {
			s.now = protocols.Time(end)
			return
		}
		s.now = max(at, s.now)
		switch {
		case best >= 0 && !s.queue[best].applied:
			p := &s.queue[best]
			p.applied = true
			p.result = s.state.Apply(p.op, s.verify)
			s.state.Release(s.state.Version())
			s.applied(p.op, p.result)
			if p.client < 0 {
				require.Equal(s.t, market.OK, market.CodeOf(p.result), "tick")
				s.queue = append(s.queue[:best], s.queue[best+1:]...)
			}
		case best >= 0:
			p := s.queue[best]
			s.queue = append(s.queue[:best], s.queue[best+1:]...)
			s.load.Completed(p.client, protocols.Completion{ID: p.id, Result: p.result})
		case at == tickAt:
			s.clockTick()
			s.nextAt = s.nextAt.Add(s.world.cfg.Tick)
		default:
			s.wake = never
			s.load.Wake(s.now)
		}
	}
}

func modelled() protocols.AppScheme { return auth.ModelledApp(1) }

// realScheme is Ed25519 without a cache.
type realScheme struct{}

func (realScheme) Public(seed [32]byte) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

func (realScheme) Sign(seed [32]byte, m []byte) [64]byte {
	return [64]byte(ed25519.Sign(ed25519.NewKeyFromSeed(seed[:]), m))
}

func (realScheme) Verify(key [32]byte, m, sig []byte) bool { return ed25519.Verify(key[:], m, sig) }
