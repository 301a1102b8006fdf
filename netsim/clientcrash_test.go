package netsim

import (
	"fmt"
	"testing"

	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// asker is a client that sends its operation to node 0 and completes with the
// answer.
type asker struct {
	puppet
	boots *[]protocols.Boot
}

func (a *asker) Start(env protocols.Env, b protocols.Boot) {
	a.puppet.Start(env, b)
	*a.boots = append(*a.boots, b)
}

func (a *asker) Invoke(id uint64, _ []byte) {
	a.env.Log(record(id))
	a.ask(0, id, 0)
}

func (a *asker) Receive(_ *protocols.Envelope, m protocols.Message, _ protocols.Verdicts) {
	if x, ok := m.(*msg); ok {
		a.env.Complete(protocols.Completion{ID: x.Seq})
	}
}

// users keep one operation per client open and remember what became of each.
type users struct {
	env  protocols.LoadEnv
	last uint64
	open map[int]uint64
	said []string
}

func (u *users) say(what string, x any) {
	u.said = append(u.said, fmt.Sprintf("%d us: %s %v", int64(u.env.Now())/1000, what, x))
}

func (u *users) invoke(client int) {
	u.last++
	u.open[client] = u.last
	u.env.Invoke(client, u.last, nil)
}

func (u *users) Start(env protocols.LoadEnv, clients int) {
	u.env, u.open = env, make(map[int]uint64)
	u.say("start", clients)
	for c := range clients {
		u.invoke(c)
	}
	env.WakeAt(protocols.Time(3 * ms)) // in the middle of the outage
}

func (u *users) Wake(protocols.Time) { u.say("wake", u.last) }

func (u *users) Completed(client int, c protocols.Completion) {
	u.say("done", c.ID)
	if u.last < 6 {
		u.invoke(client)
	}
}

func (u *users) Restarted() error {
	u.say("restart", len(u.open))
	for c := range len(u.open) {
		u.invoke(c)
	}
	return nil
}

// A crash of a process of clients loses what they had open and their wakes; the
// load learns of it when they are back, in a new incarnation, and goes on.
func TestProcessOfClientsCrashes(t *testing.T) {
	for _, wire := range []bool{false, true} {
		s := newStage(t, Config{Wire: wire, Faults: []Fault{{Kind: FaultCrash, At: protocols.Time(2500 * us), For: 2 * ms, Nodes: ids(protocols.FirstClient + 1)}}})
		s.add(0, &puppet{receive: func(p *puppet, e *protocols.Envelope, m protocols.Message) {
			if x, ok := m.(*msg); ok {
				p.ask(e.From, x.Seq, 0)
			}
		}})
		var boots []protocols.Boot
		u := new(users)
		require.NoError(t, s.AddClients(ClientsSpec{
			Host: s.host(HostSpec{}), First: protocols.FirstClient, Count: 2, Load: u,
			New: func(protocols.NodeID) protocols.Client { return &asker{boots: &boots} },
		}))
		s.run(20 * ms)
		require.Equal(t, []string{
			"0 us: start 2",
			"2000 us: done 1", "2000 us: done 2", // 3 and 4 are on their way when the clients crash
			"4500 us: restart 2",
			"6500 us: done 5", "6500 us: done 6",
		}, sortedSame(u.said))
		require.Equal(t, []string{"fresh 0", "fresh 0", "recovered 2", "recovered 2"}, kinds(boots))
		require.Equal(t, uint32(1), boots[3].Incarnation)
		requireNothingLeft(t, s.Sim)
	}
}

// sortedSame sorts the two completions of one instant.
func sortedSame(said []string) []string {
	for i := 1; i < len(said); i++ {
		if said[i] < said[i-1] && said[i][:7] == said[i-1][:7] {
			said[i], said[i-1] = said[i-1], said[i]
		}
	}
	return said
}

// stubborn is a load that cannot go on after a crash.
type stubborn struct{}

func (stubborn) Start(protocols.LoadEnv, int)        {}
func (stubborn) Wake(protocols.Time)                 {}
func (stubborn) Completed(int, protocols.Completion) {}

func TestCrashOfClientsIsChecked(t *testing.T) {
	for want, f := range map[string]Fault{
		"is no protocols.Restarter":  {Kind: FaultCrash},
		"so that its process cannot": {Kind: FaultDiskError},
	} {
		f.Nodes = ids(protocols.FirstClient)
		s := newStage(t, Config{Faults: []Fault{f}})
		require.NoError(t, s.AddClients(ClientsSpec{
			Host: s.host(HostSpec{}), First: protocols.FirstClient, Count: 2, Load: stubborn{},
			New: func(protocols.NodeID) protocols.Client { return &asker{boots: new([]protocols.Boot)} },
		}))
		require.ErrorContains(t, s.Run(1), want)
	}
}

// A wiped node may be told that it never ran: amnesia, which is Byzantine.
func TestAmnesia(t *testing.T) {
	crash := Fault{Kind: FaultCrash, At: protocols.Time(3500 * us), For: ms, Wipe: true, Amnesia: true, Nodes: ids(0)}
	again := crash
	again.At, again.Wipe, again.Amnesia = protocols.Time(7500*us), false, false
	s := newStage(t, Config{Faults: []Fault{crash, again}})
	l := newLogger(ms, 0)
	s.add(0, l.puppet)
	s.add(1, &puppet{})
	s.run(20 * ms)
	require.Equal(t, []string{"fresh 0", "fresh 0", "recovered 2"}, kinds(l.boots))
	require.Zero(t, l.boots[1].Incarnation)
}
