package netsim

import (
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

const us = time.Microsecond

// diskProfile has a slow disk and nothing else.
func diskProfile() *profile.Profile {
	return &profile.Profile{Fsync: int64(100*us) * 1000, PerRecord: int64(us) * 1000}
}

func record(seq uint64) *msg { return &msg{tag: tagRecord, Seq: seq} }

func recordSeqs(b protocols.Boot) []uint64 {
	var out []uint64
	for _, r := range b.Records {
		out = append(out, r.Message.(*msg).Seq)
	}
	return out
}

// What a lane logged is durable before anything it sends later leaves it; what it
// sent before goes at once.
func TestOutputsWaitForTheLog(t *testing.T) {
	for _, mode := range []Mode{Exact, Fast} {
		s := newStage(t, Config{Mode: mode, Profile: diskProfile()})
		var a arrivals
		s.add(0, &puppet{
			start: func(p *puppet, _ protocols.Boot) {
				p.ask(1, 1, 0)
				p.env.Log(record(1))
				p.ask(1, 2, 0)
				p.env.LogLazily(record(2))
				p.ask(1, 3, 0)
				p.env.SetTimer(50*us, 0, 0)
			},
			timeout: func(p *puppet, _ protocols.Timer) { p.ask(1, 4, 0) }, // waits with the others
		})
		s.add(1, &puppet{receive: a.receive})
		st := s.run(time.Second)
		require.Equal(t, []uint64{1, 2, 3, 4}, a.seq)
		ms := protocols.Time(time.Millisecond)
		durable := protocols.Time(100*us + 2*us) // both records are in the sync
		require.Equal(t, ms, a.at[0])
		for _, at := range a.at[1:] {
			require.Equal(t, ms+durable, at)
		}
		require.EqualValues(t, 1, st.Nodes[0].Fsyncs)
		require.EqualValues(t, 2, st.Nodes[0].Records)
	}
}

// Records appended before a sync begins share it.
func TestGroupCommit(t *testing.T) {
	s := newStage(t, Config{Profile: diskProfile()})
	var a arrivals
	s.add(0, &puppet{
		start: func(p *puppet, _ protocols.Boot) {
			for i := range 10 {
				p.env.SetTimer(time.Duration(i)*10*us, 0, uint64(i))
			}
		},
		timeout: func(p *puppet, tm protocols.Timer) {
			p.env.Log(record(tm.Arg))
			p.ask(1, tm.Arg, 0)
		},
	})
	s.add(1, &puppet{receive: a.receive})
	st := s.run(time.Second)
	require.EqualValues(t, 2, st.Nodes[0].Fsyncs, "the first record alone, the other nine together")
	require.Equal(t, protocols.Time(time.Millisecond+101*us+1), a.at[0])
	for _, at := range a.at[1:] {
		require.Equal(t, protocols.Time(time.Millisecond+101*us+109*us+1), at)
	}
}

// said notes what observers are shown of what nodes send.
type said struct {
	seq []uint64
	at  []protocols.Time
}

func (o *said) Observe(protocols.Time, protocols.NodeID, *protocols.Event) {}
func (o *said) Finish(protocols.Time) []protocols.Violation                { return nil }
func (o *said) Sent(at protocols.Time, node protocols.NodeID, _ string, _ *protocols.MessageType, m protocols.WireMessage) {
	o.seq = append(o.seq, m.(*msg).Seq)
	o.at = append(o.at, at)
}

// A promise counts from when it leaves its lane: one that waits for the disk when its
// node crashes was never made.
func TestObserversAreShownWhatIsSaid(t *testing.T) {
	table := testTable()
	table.Lookup(tagPrepare).Once = table.Lookup(tagPrepare).Round
	o := new(said)
	s := newStage(t, Config{
		Profile: diskProfile(), Table: table, Observers: []protocols.Observer{o},
		Faults: []Fault{{Kind: FaultCrash, At: protocols.Time(150 * us), For: time.Millisecond, Nodes: []protocols.NodeID{0}}},
	})
	s.add(0, &puppet{
		start: func(p *puppet, b protocols.Boot) {
			if b.Kind != protocols.Fresh {
				p.ask(1, 5, 0)
				return
			}
			p.ask(1, 1, 0)
			p.env.Log(record(1))
			p.ask(1, 2, 0) // durable at 101 us
			p.env.Multicast(protocols.Replicas(3), &msg{tag: tagCommit, Seq: 9})
			p.env.SetTimer(110*us, 0, 0)
		},
		timeout: func(p *puppet, _ protocols.Timer) {
			p.env.Multicast(protocols.Replicas(3), &msg{tag: tagPrepare, Seq: 3})
			p.env.Log(record(2))
			p.ask(1, 4, 0) // never leaves
		},
	})
	s.add(1, new(puppet))
	s.add(2, new(puppet))
	s.run(time.Second)
	require.Equal(t, []uint64{1, 2, 3, 5}, o.seq)
	at := func(d time.Duration) protocols.Time { return protocols.Time(d) }
	require.Equal(t, []protocols.Time{0, at(101 * us), at(110 * us), at(1150 * us)}, o.at)
}

// A crash loses exactly what was not durable, and what waited for it never
// left.
func TestCrashLosesWhatWasNotDurable(t *testing.T) {
	for _, wire := range []bool{false, true} {
		for _, c := range []struct {
			crash time.Duration
			want  []uint64 // records found
			sent  []uint64 // messages that left
		}{
			{50 * us, nil, nil},
			{150 * us, []uint64{1}, []uint64{1}},
			{150*us + 100*us, []uint64{1, 2, 3}, []uint64{1, 3}},
		} {
			s := newStage(t, Config{Profile: diskProfile(), Wire: wire, Faults: []Fault{{Kind: FaultCrash, At: protocols.Time(c.crash), For: time.Millisecond, Nodes: []protocols.NodeID{0}}}})
			var boots []protocols.Boot
			var a arrivals
			s.add(0, &puppet{
				start: func(p *puppet, b protocols.Boot) {
					boots = append(boots, b)
					if b.Kind == protocols.Fresh {
						p.env.Log(record(1))
						p.ask(1, 1, 0)
						p.env.SetTimer(10*us, 0, 2)
						p.env.SetTimer(20*us, 0, 3)
					}
				},
				timeout: func(p *puppet, tm protocols.Timer) {
					if tm.Arg == 2 {
						p.env.LogLazily(record(2))
						return
					}
					p.env.Log(record(3))
					p.ask(1, 3, 0)
				},
			})
			s.add(1, &puppet{receive: a.receive})
			s.run(time.Second)
			require.Len(t, boots, 2)
			require.Equal(t, protocols.Recovered, boots[1].Kind)
			require.EqualValues(t, 1, boots[1].Incarnation)
			require.Equal(t, c.want, recordSeqs(boots[1]), "crash at %v", c.crash)
			require.Equal(t, c.sent, a.seq, "crash at %v", c.crash)
		}
	}
}

// A summary replaces the records before it when it is durable, of its own path
// only; a wiped disk has nothing.
func TestCompactAndWipe(t *testing.T) {
	for _, wipe := range []bool{false, true} {
		s := newStage(t, Config{Profile: diskProfile(), Faults: []Fault{
			{Kind: FaultCrash, At: protocols.Time(time.Millisecond), For: time.Millisecond, Wipe: wipe, Nodes: []protocols.NodeID{0}},
			{Kind: FaultCrash, At: protocols.Time(3 * time.Millisecond), Nodes: []protocols.NodeID{0}},
			{Kind: FaultRecover, At: protocols.Time(4 * time.Millisecond), Nodes: []protocols.NodeID{0}},
		}})
		var boots []protocols.Boot
		s.add(0, &puppet{start: func(p *puppet, b protocols.Boot) {
			boots = append(boots, b)
			if b.Kind != protocols.Fresh {
				return
			}
			inner := p.env.Sub("x")
			p.env.Log(record(1))
			inner.Log(record(2))
			p.env.Log(record(3))
			p.env.Compact(record(4))
			inner.LogLazily(record(5))
			p.env.Log(record(6))
		}})
		s.run(time.Second)
		require.Len(t, boots, 3)
		if wipe {
			require.Equal(t, protocols.Wiped, boots[1].Kind)
			require.Empty(t, boots[1].Records)
			require.EqualValues(t, 2, boots[2].Incarnation)
			continue
		}
		for _, b := range boots[1:] {
			require.Equal(t, protocols.Recovered, b.Kind)
			require.Equal(t, []uint64{2, 4, 5, 6}, recordSeqs(b))
			require.Equal(t, []string{"x", "", "x", ""}, []string{b.Records[0].Path, b.Records[1].Path, b.Records[2].Path, b.Records[3].Path})
		}
	}
}

// A node that never compacts meets the bound with an error that says so.
func TestLogIsBounded(t *testing.T) {
	s := newStage(t, Config{Log: 10})
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		for i := range uint64(11) {
			p.env.Log(record(i))
		}
	}})
	require.ErrorContains(t, s.Run(1000), "Env.Compact")
}

// Two processes of one host share its disk: one sync at a time.
func TestProcessesShareTheDisk(t *testing.T) {
	s := newStage(t, Config{Profile: diskProfile()})
	h := s.host(HostSpec{})
	var a arrivals
	for i := range 2 {
		s.addOn(h, i, &puppet{start: func(p *puppet, _ protocols.Boot) {
			p.env.Log(record(1))
			p.ask(2, uint64(i), 0)
		}})
	}
	s.add(2, &puppet{receive: a.receive})
	s.run(time.Second)
	require.Equal(t, []protocols.Time{protocols.Time(time.Millisecond + 101*us), protocols.Time(time.Millisecond + 202*us)}, a.at)
}

// A post waits like a message does, so what hears from a lane inherits its
// durability.
func TestPostsWaitForTheLog(t *testing.T) {
	s := newStage(t, Config{Profile: diskProfile()})
	var at []protocols.Time
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		p.env.Post(1, record(7))
		p.env.Log(record(1))
		p.env.Post(1, record(8))
		p.env.Send(0, &msg{tag: tagPrepare, Seq: 9})
	}, receive: func(p *puppet, e *protocols.Envelope, m protocols.Message) {
		require.False(t, e.Local)
		require.EqualValues(t, 9, m.(*msg).Seq)
		at = append(at, p.env.Now())
	}}, &puppet{receive: func(p *puppet, e *protocols.Envelope, m protocols.Message) {
		require.True(t, e.Local)
		require.Equal(t, 0, e.FromLane)
		at = append(at, p.env.Now())
	}})
	s.run(time.Second)
	require.ElementsMatch(t, []protocols.Time{0, protocols.Time(101 * us), protocols.Time(101 * us)}, at)
}

// What waits for the disk when a pause begins leaves after the pause, behind what
// the step sent before.
func TestPausedOutputsWaitForTheDiskAndThePause(t *testing.T) {
	prof := &profile.Profile{Fsync: int64(5*ms) * 1000, StepTimer: int64(2*ms) * 1000}
	for name, first := range map[string]time.Duration{
		"sync before the pause": -ms / 2, // the step is over at 1.5 ms, its record is durable at 6.5 ms
		"step in the pause":     ms,      // the step is over at 3 ms, its record is durable at 8 ms
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{Profile: prof, Faults: []Fault{{Kind: FaultPause, At: protocols.Time(2 * ms), For: 18 * ms, Nodes: ids(0)}}})
			var a arrivals
			send := func(p *puppet) {
				p.ask(1, 1, 0)
				p.env.Log(record(1))
				p.ask(1, 2, 0)
				p.ask(1, 3, 0)
			}
			s.add(0, &puppet{
				start: func(p *puppet, _ protocols.Boot) {
					if first < 0 {
						send(p)
						return
					}
					p.env.SetTimer(first, 0, 0)
				},
				timeout: func(p *puppet, _ protocols.Timer) { send(p) },
			})
			s.add(1, &puppet{receive: a.receive})
			s.run(time.Second)
			require.Equal(t, []uint64{1, 2, 3}, a.seq)
			if first > 0 {
				require.Equal(t, protocols.Time(21*ms), a.at[0])
			}
			require.GreaterOrEqual(t, a.at[1], protocols.Time(21*ms))
		})
	}
}

// As many outputs as Config.Inbox may wait for the disk; then the lane waits, its
// timers included, and goes on when there is room.
func TestALaneThatIsFullWaitsForTheDisk(t *testing.T) {
	s := newStage(t, Config{Inbox: 16, Profile: diskProfile()})
	var a arrivals
	var fired protocols.Time
	s.add(0, &puppet{
		start: func(p *puppet, _ protocols.Boot) {
			p.env.Log(record(1))
			for i := range uint64(20) {
				p.ask(1, i, 0)
			}
			p.env.SetTimer(10*us, 0, 0)
		},
		timeout: func(p *puppet, _ protocols.Timer) { fired = p.env.Now() },
	})
	s.add(1, &puppet{receive: a.receive})
	s.run(time.Second)
	require.Len(t, a.seq, 20)
	require.Equal(t, protocols.Time(101*us), fired)
}

// A process whose disk was emptied is wiped until something of its new life is
// durable: killed before, it comes back as wiped, since it has promised nothing.
func TestWipedUntilSomethingIsDurable(t *testing.T) {
	s := newStage(t, Config{Profile: diskProfile(), Faults: []Fault{
		{Kind: FaultCrash, At: protocols.Time(1 * ms), For: ms, Wipe: true, Nodes: ids(0)},
		{Kind: FaultCrash, At: protocols.Time(2*ms + 50*us), For: ms, Nodes: ids(0)}, // before its record is durable
		{Kind: FaultCrash, At: protocols.Time(4*ms + 150*us), For: ms, Nodes: ids(0)},
	}})
	var boots []protocols.Boot
	s.add(0, &puppet{start: func(p *puppet, b protocols.Boot) {
		boots = append(boots, b)
		p.env.Log(record(uint64(len(boots))))
	}})
	s.run(time.Second)
	require.Len(t, boots, 4)
	for i, want := range []protocols.BootKind{protocols.Fresh, protocols.Wiped, protocols.Wiped, protocols.Recovered} {
		require.Equal(t, want, boots[i].Kind, "life %d", i)
	}
	require.Equal(t, []uint64{3}, recordSeqs(boots[3]))
}
