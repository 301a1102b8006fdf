package netsim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
)

// punctual keeps its lane busy from 100 microseconds after an operation was invoked
// and completes it when the lane is free again.
type punctual struct {
	env protocols.Env
	id  uint64
}

func (p *punctual) Start(env protocols.Env, _ protocols.Boot) { p.env = env }
func (p *punctual) Invoke(id uint64, _ []byte) {
	p.id = id
	p.env.SetTimer(100*time.Microsecond, 0, 0)
	p.env.SetTimer(140*time.Microsecond, 1, 0)
}

func (p *punctual) Timeout(t protocols.Timer) {
	if t.Kind == 1 {
		p.env.Complete(protocols.Completion{ID: p.id})
	}
}

func (p *punctual) Receive(*protocols.Envelope, protocols.Message, protocols.Verdicts) {
}

// postponer moves its wake when its operation completes.
type postponer struct {
	env   protocols.LoadEnv
	wakes []protocols.Time
}

func (l *postponer) Start(env protocols.LoadEnv, _ int) {
	l.env = env
	env.Invoke(0, 1, nil)
	env.WakeAt(env.Now().Add(150 * time.Microsecond))
}

func (l *postponer) Wake(now protocols.Time) { l.wakes = append(l.wakes, now) }

func (l *postponer) Completed(int, protocols.Completion) {
	l.env.WakeAt(l.env.Now().Add(20 * time.Millisecond))
}

// A wake that is due and waits for the lane is gone once the Load asks for another:
// handling it all the same freed its timer twice, and two timers then shared a slot.
// (Found by exploration: a client whose retransmission never came.)
func TestAPostponedWakeThatWasDueIsGone(t *testing.T) {
	sim, err := New(Config{
		Table:    protocols.NewMessageTable([]protocols.MessageType{protocols.RequestType()}),
		Topology: &topology.Topology{Places: []topology.Place{{}}, Paths: [][]topology.Path{{{Floor: 1000, Burst: 1}}}},
		Profile:  &profile.Profile{ScalePermille: 1000, Cores: 1, StepTimer: int64(time.Millisecond) * 1000},
	})
	require.NoError(t, err)
	host, err := sim.AddHost(HostSpec{})
	require.NoError(t, err)
	l := &postponer{}
	require.NoError(t, sim.AddClients(ClientsSpec{
		Host: host, First: protocols.FirstClient, Count: 1, Load: l,
		New: func(protocols.NodeID) protocols.Client { return &punctual{} },
	}))
	// The first timer's step keeps the lane busy from 0.1 to 1.1 ms, so the second and
	// the wake both wait; then the Load, told of the completion, asks for a later one.
	require.NoError(t, sim.Run(protocols.Time(time.Second)))
	require.Len(t, l.wakes, 1)
	require.GreaterOrEqual(t, l.wakes[0], protocols.Time(20*time.Millisecond))
}
