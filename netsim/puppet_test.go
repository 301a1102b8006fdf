package netsim

import (
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// puppet is a node made of functions.
type puppet struct {
	env     protocols.Env
	start   func(p *puppet, b protocols.Boot)
	receive func(p *puppet, e *protocols.Envelope, m protocols.Message)
	timeout func(p *puppet, t protocols.Timer)
}

func (p *puppet) Start(env protocols.Env, b protocols.Boot) {
	p.env = env
	if p.start != nil {
		p.start(p, b)
	}
}

func (p *puppet) Receive(e *protocols.Envelope, m protocols.Message, _ protocols.Verdicts) {
	if p.receive != nil {
		p.receive(p, e, m)
	}
}

func (p *puppet) Timeout(t protocols.Timer) {
	if p.timeout != nil {
		p.timeout(p, t)
	}
}

func (p *puppet) ask(to protocols.NodeID, seq uint64, size int) {
	p.env.Send(to, &msg{tag: tagPrepare, Seq: seq, Data: make([]byte, size)})
}

// stage is a simulation of puppets, by default each on a host of its own.
type stage struct {
	*Sim
	t testing.TB
}

func newStage(t testing.TB, cfg Config) *stage {
	t.Helper()
	if cfg.Table == nil {
		cfg.Table = testTable()
	}
	if cfg.Topology == nil {
		cfg.Topology = flat(1, time.Millisecond, 0)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	return &stage{Sim: s, t: t}
}

func (s *stage) host(spec HostSpec) HostID {
	h, err := s.AddHost(spec)
	require.NoError(s.t, err)
	return h
}

func (s *stage) add(id int, lanes ...*puppet) *puppet {
	return s.addOn(s.host(HostSpec{}), id, lanes...)
}

func (s *stage) addOn(h HostID, id int, lanes ...*puppet) *puppet {
	s.t.Helper()
	_, err := s.AddNode(NodeSpec{ID: protocols.NodeID(id), Host: h, New: func() []protocols.Node {
		var out []protocols.Node
		for _, l := range lanes {
			out = append(out, l)
		}
		return out
	}})
	require.NoError(s.t, err)
	return lanes[0]
}

func (s *stage) run(d time.Duration) Stats {
	s.t.Helper()
	require.NoError(s.t, s.Run(protocols.Time(d)))
	return s.Stats()
}

// arrivals notes when messages were handled.
type arrivals struct {
	at  []protocols.Time
	seq []uint64
}

func (a *arrivals) receive(p *puppet, _ *protocols.Envelope, m protocols.Message) {
	if x, ok := m.(*msg); ok {
		a.at = append(a.at, p.env.Now())
		a.seq = append(a.seq, x.Seq)
	}
}

// wireOf is the size on the link of a test message with so many bytes of data.
func wireOf(size int) int64 {
	b, _ := (&msg{tag: tagPrepare, Data: make([]byte, size)}).MarshalMsg(nil)
	return WireBytes(Stream, 1500, 0, protocols.FrameSize("", len(b), protocols.SealMAC))
}

func topo(t *topology.Topology, change func(*topology.Topology)) *topology.Topology {
	change(t)
	return t
}
