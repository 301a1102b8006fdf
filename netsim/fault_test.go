package netsim

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

func ids(x ...protocols.NodeID) []protocols.NodeID { return x }

// ticker sends a numbered message to each of the given nodes every period.
func ticker(period time.Duration, to ...protocols.NodeID) *puppet {
	n := uint64(0)
	return &puppet{
		start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(period, 0, 0) },
		timeout: func(p *puppet, _ protocols.Timer) {
			n++
			for _, id := range to {
				p.ask(id, n, 0)
			}
			p.env.SetTimer(period, 0, 0)
		},
	}
}

type heard struct {
	arrivals
	notices []protocols.Notice
	noticed []protocols.Time
}

func (h *heard) receive(p *puppet, e *protocols.Envelope, m protocols.Message) {
	if n, ok := m.(*protocols.Notice); ok {
		h.notices = append(h.notices, *n)
		h.noticed = append(h.noticed, p.env.Now())
		return
	}
	h.arrivals.receive(p, e, m)
}

func TestPartition(t *testing.T) {
	part := Fault{Kind: FaultPartition, At: protocols.Time(10 * ms), For: 20 * ms}
	for name, c := range map[string]struct {
		change     func(*Fault)
		there, bak int // messages lost 0->1 and 1->0
		toThird    int
	}{
		"groups":  {func(f *Fault) { f.Groups = [][]protocols.NodeID{ids(0), ids(1, 2)} }, 20, 20, 20},
		"bridge":  {func(f *Fault) { f.Groups = [][]protocols.NodeID{ids(0), ids(1)} }, 20, 20, 0},
		"isolate": {func(f *Fault) { f.Nodes = ids(0) }, 20, 20, 20},
		"one way": {func(f *Fault) { f.Nodes, f.Peers, f.OneWay = ids(0), ids(1), true }, 20, 0, 0},
		"pair":    {func(f *Fault) { f.Nodes, f.Peers = ids(0), ids(1) }, 20, 20, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := part
			c.change(&f)
			s := newStage(t, Config{Faults: []Fault{f}})
			h := make([]heard, 3)
			for i, p := range []*puppet{ticker(ms, 1, 2), ticker(ms, 0), {}} {
				p.receive = h[i].receive
				s.add(i, p)
			}
			st := s.run(100*ms + ms + 1)
			require.Len(t, h[1].seq, 100-c.there)
			require.Len(t, h[0].seq, 100-c.bak)
			require.Len(t, h[2].seq, 100-c.toThird)
			require.EqualValues(t, c.there+c.bak+c.toThird, st.Nodes[0].Drops[DropPartition]+st.Nodes[1].Drops[DropPartition]+st.Nodes[2].Drops[DropPartition])
			require.IsIncreasing(t, h[1].seq)
			// The sender hears of the first loss at once, the receiver of all when
			// something comes through again; of the rest they hear a second later.
			require.Equal(t, protocols.Notice{Kind: protocols.Lost, Peer: 1, Count: 1}, h[0].notices[0])
			require.Equal(t, protocols.Time(10*ms), h[0].noticed[0])
			if c.bak == 0 {
				require.Equal(t, []protocols.Notice{{Kind: protocols.Lost, Peer: 0, Count: 20}}, h[1].notices)
				require.Equal(t, protocols.Time(31*ms), h[1].noticed[0])
			}
			s.run(2 * time.Second)
			for i := range 2 {
				total := 0
				for _, n := range h[i].notices {
					if n.Peer == protocols.NodeID(1-i) {
						total += int(n.Count)
					}
				}
				require.Equal(t, c.there+c.bak, total, "node %d", i)
			}
		})
	}
}

// Notices about one peer come at most once a second and lose nothing.
func TestNoticesAreRateLimited(t *testing.T) {
	s := newStage(t, Config{Faults: []Fault{{Kind: FaultPartition, Nodes: ids(0)}}})
	var h heard
	p := ticker(100*ms, 1)
	p.receive = h.receive
	s.add(0, p)
	s.add(1, &puppet{})
	s.run(3500 * ms)
	total := uint64(0)
	for i, n := range h.notices {
		total += n.Count
		if i > 0 {
			require.Equal(t, time.Second, h.noticed[i].Sub(h.noticed[i-1]))
		}
	}
	require.Len(t, h.notices, 4)
	require.EqualValues(t, 30, total, "the messages of 0.1 s to 3.0 s")
}

func TestClogReleasesABurstInOrder(t *testing.T) {
	s := newStage(t, Config{Faults: []Fault{{Kind: FaultClog, At: protocols.Time(10 * ms), For: 20 * ms, Nodes: ids(0), Peers: ids(1)}}})
	var h heard
	s.add(0, ticker(ms, 1))
	s.add(1, &puppet{receive: h.receive})
	s.run(100*ms + ms + 1)
	require.Len(t, h.seq, 100)
	require.IsIncreasing(t, h.seq)
	require.Empty(t, h.notices)
	for i := 9; i < 30; i++ { // sent from 10 ms on, arrive after 30 ms
		require.InDelta(t, int64(31*ms), int64(h.at[i]), 100, "message %d", i+1)
	}
}

func TestDelayFaultKeepsOrder(t *testing.T) {
	s := newStage(t, Config{Faults: []Fault{{Kind: FaultDelay, At: protocols.Time(10 * ms), For: 20 * ms, Delay: 5 * ms, Jitter: 3 * ms, Nodes: ids(0), OneWay: true}}})
	var there, back heard
	a, b := ticker(ms, 1), ticker(ms, 0)
	a.receive, b.receive = back.receive, there.receive
	s.add(0, a)
	s.add(1, b)
	s.run(200 * ms)
	require.IsIncreasing(t, there.seq)
	require.Len(t, there.seq, 199-1)
	slow := there.at[19].Sub(protocols.Time(20 * ms))
	require.GreaterOrEqual(t, slow, 6*ms)
	require.LessOrEqual(t, slow, 9*ms+us)
	require.Equal(t, 10*ms+ms, time.Duration(back.at[9]), "the way back is not concerned")
}

// A crash: what has not departed does not depart, what is on its way arrives,
// what reaches a dead or newborn process does not.
func TestCrashOnTheWire(t *testing.T) {
	// 1 MB at 1 Gb/s takes 8 ms; the crash comes after 4.
	s := newStage(t, Config{Topology: flat(1, ms, 1e9), Faults: []Fault{
		{Kind: FaultCrash, At: protocols.Time(5 * ms), For: ms / 2, Nodes: ids(0)},
		{Kind: FaultCrash, At: protocols.Time(20 * ms), For: ms / 2, Nodes: ids(1)},
	}})
	var h heard
	sent := 0
	s.add(0, &puppet{
		start: func(p *puppet, b protocols.Boot) {
			if b.Kind == protocols.Fresh {
				p.env.SetTimer(ms, 1, 0)
			}
			p.env.SetTimer(19*ms-time.Duration(p.env.Now())+ms/2, 2, 0)
		},
		timeout: func(p *puppet, tm protocols.Timer) {
			if tm.Kind == 1 {
				p.ask(1, 1, 100) // leaves
				p.ask(1, 2, 1e6) // in the middle of the NIC
				p.ask(1, 3, 100) // behind it
				return
			}
			sent++
			p.ask(1, 4, 0) // on its way when node 1 crashes and comes back
		},
	})
	s.add(1, &puppet{receive: h.receive})
	st := s.run(time.Second)
	require.Equal(t, []uint64{1}, h.seq)
	require.Equal(t, 1, sent)
	require.EqualValues(t, 2, st.Nodes[0].Drops[DropCrash])
	require.EqualValues(t, 1, st.Nodes[1].Drops[DropDown])
}

// lives notes what nodes emit and when they begin a new life.
type lives struct{ seen []string }

func (l *lives) Observe(_ protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	l.seen = append(l.seen, fmt.Sprintf("%d in view %d", node, ev.View))
}

func (l *lives) Restarted(node protocols.NodeID) {
	l.seen = append(l.seen, fmt.Sprintf("%d again", node))
}
func (l *lives) Finish(protocols.Time) []protocols.Violation { return nil }

func TestObserversHearOfNewLives(t *testing.T) {
	var l lives
	s := newStage(t, Config{Topology: flat(1, ms, 1e9), Observers: []protocols.Observer{&l}, Faults: []Fault{
		{Kind: FaultCrash, At: protocols.Time(5 * ms), For: ms, Nodes: ids(1)},
		{Kind: FaultCrash, At: protocols.Time(8 * ms), For: ms, Nodes: ids(1), Wipe: true},
		{Kind: FaultPause, At: protocols.Time(12 * ms), For: ms, Nodes: ids(0)},
	}})
	for id := range 2 {
		s.add(id, &puppet{start: func(p *puppet, b protocols.Boot) {
			p.env.Emit(protocols.Event{Kind: protocols.EventNewView, View: uint64(b.Incarnation)})
		}})
	}
	s.run(time.Second)
	require.Equal(t, []string{"0 in view 0", "1 in view 0", "1 again", "1 in view 1", "1 again", "1 in view 2"}, l.seen)
}

func TestPauseAndResume(t *testing.T) {
	s := newStage(t, Config{Profile: &profile.Profile{StepBase: int64(100*us) * 1000}, Faults: []Fault{{Kind: FaultPause, At: protocols.Time(5*ms + 50*us), For: 10 * ms, Nodes: ids(1)}}})
	var h, back heard
	var timeouts []protocols.Time
	s.add(0, &puppet{start: ticker(ms, 1).start, timeout: ticker(ms, 1).timeout, receive: back.receive})
	s.add(1, &puppet{
		start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(7*ms, 0, 0) },
		receive: func(p *puppet, e *protocols.Envelope, m protocols.Message) {
			h.receive(p, e, m)
			p.ask(0, m.(*msg).Seq, 0)
		},
		timeout: func(p *puppet, _ protocols.Timer) { timeouts = append(timeouts, p.env.Now()) },
	})
	s.run(30 * ms)
	require.IsIncreasing(t, h.seq)
	for _, at := range append(h.at, timeouts...) {
		require.False(t, at > protocols.Time(5*ms+50*us) && at < protocols.Time(15*ms+50*us), "handled at %d during the pause", at)
	}
	require.Len(t, timeouts, 1)
	// The step that was going on when the pause began ends, but its answer leaves
	// afterwards.
	require.Equal(t, protocols.Time(5*ms), h.at[3])
	require.GreaterOrEqual(t, back.at[3], protocols.Time(16*ms))
	require.IsIncreasing(t, back.seq)
}

func TestSlowCPUAndDisk(t *testing.T) {
	p := diskProfile()
	p.StepTimer = int64(100*us) * 1000
	s := newStage(t, Config{Profile: p, Faults: []Fault{
		{Kind: FaultSlowCPU, At: protocols.Time(10 * ms), For: 10 * ms, Permille: 5000, Nodes: ids(0)},
		{Kind: FaultSlowDisk, At: protocols.Time(30 * ms), For: 10 * ms, Permille: 2000, Delay: us, Nodes: ids(0)},
	}})
	var a arrivals
	n := uint64(0)
	s.add(0, &puppet{
		start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(5*ms, 0, 0) },
		timeout: func(p *puppet, _ protocols.Timer) {
			n++
			p.env.Log(record(n))
			p.ask(1, n, 0)
			p.env.SetTimer(10*ms, 0, 0)
		},
	})
	s.add(1, &puppet{receive: a.receive})
	s.run(50 * ms)
	var took []time.Duration
	for i, at := range a.at {
		took = append(took, at.Sub(protocols.Time(5*ms+time.Duration(i)*10*ms+ms)))
	}
	require.Equal(t, []time.Duration{201 * us, 601 * us, 201 * us, 303 * us}, took[:4])
}

// Without a cost model of its own a disk is as slow as faults make it.
func TestSlowDiskWithoutCosts(t *testing.T) {
	for _, c := range []struct {
		fault    Fault
		min, max time.Duration // what a sync takes
	}{
		{Fault{Delay: 3 * ms}, 3 * ms, 3 * ms},
		{Fault{Permille: 1000, Delay: 3 * ms}, 3 * ms, 3 * ms},
		{Fault{Jitter: 3 * ms}, 1, 3 * ms},
	} {
		c.fault.Kind, c.fault.Nodes = FaultSlowDisk, ids(0)
		s := newStage(t, Config{Faults: []Fault{c.fault}})
		var a arrivals
		s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
			p.env.Log(record(1))
			p.ask(1, 1, 0)
		}})
		s.add(1, &puppet{receive: a.receive})
		s.run(time.Second)
		require.Len(t, a.at, 1)
		took := a.at[0].Sub(protocols.Time(ms))
		require.GreaterOrEqual(t, took, c.min)
		require.LessOrEqual(t, took, c.max)
	}
}

// Leader is whoever leads when the fault begins, at a time or after an event, and
// belongs to the group where it stands.
func TestLeaderIsResolvedWhenAFaultBegins(t *testing.T) {
	third := &Trigger{Event: protocols.EventExecuted, Node: protocols.Nobody, Nth: 3}
	at := protocols.Time(10 * ms)
	for name, c := range map[string]struct {
		fault Fault
		cut   [3][3]bool // which links the fault cuts while 1 leads
		down  [3]bool
	}{
		"crash":            {fault: Fault{Kind: FaultCrash, At: at, Nodes: ids(Leader)}, down: [3]bool{1: true}},
		"crash with more":  {fault: Fault{Kind: FaultCrash, At: at, Nodes: ids(1, Leader, 2)}, down: [3]bool{1: true, 2: true}},
		"crash after":      {fault: Fault{Kind: FaultCrash, At: 500, On: third, Nodes: ids(Leader)}, down: [3]bool{1: true}},
		"groups":           {fault: Fault{Kind: FaultPartition, At: at, Groups: [][]protocols.NodeID{ids(Leader, 0), ids(1, 2)}}, cut: [3][3]bool{{2: true}, {2: true}, {true, true, false}}},
		"groups after":     {fault: Fault{Kind: FaultPartition, On: third, Groups: [][]protocols.NodeID{ids(Leader), ids(0, 1, 2)}}, cut: [3][3]bool{{1: true}, {true, false, true}, {1: true}}},
		"from the leader":  {fault: Fault{Kind: FaultPartition, At: at, OneWay: true, Nodes: ids(Leader), Peers: ids(1, 2)}, cut: [3][3]bool{1: {2: true}}},
		"to the leader":    {fault: Fault{Kind: FaultPartition, At: at, OneWay: true, Nodes: ids(0), Peers: ids(Leader)}, cut: [3][3]bool{{1: true}}},
		"leader to itself": {fault: Fault{Kind: FaultPartition, At: at, OneWay: true, Nodes: ids(1), Peers: ids(Leader)}},
	} {
		t.Run(name, func(t *testing.T) {
			var s *stage
			s = newStage(t, Config{Faults: []Fault{c.fault}, Leader: func() []protocols.NodeID {
				return ids(protocols.NodeID(min(s.Now()/protocols.Time(ms), 1))) // 0, and 1 from 1 ms on
			}})
			var last [3][3]uint64
			for i := range 3 {
				n := uint64(0)
				s.add(i, &puppet{
					start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(ms, 0, 0) },
					receive: func(p *puppet, e *protocols.Envelope, m protocols.Message) {
						if x, ok := m.(*msg); ok {
							last[e.From][i] = x.Seq
						}
					},
					timeout: func(p *puppet, _ protocols.Timer) {
						n++
						if i == 0 {
							p.env.Emit(protocols.Event{Kind: protocols.EventExecuted, Index: n})
						}
						for to := range 3 {
							if to != i {
								p.ask(protocols.NodeID(to), n, 0)
							}
						}
						p.env.SetTimer(ms, 0, 0)
					},
				})
			}
			s.run(30*ms + 1)
			for from := range 3 {
				for to := range 3 {
					if from != to {
						alive := !c.cut[from][to] && !c.down[from] && !c.down[to]
						require.Equal(t, alive, last[from][to] >= 28, "%d to %d: %d", from, to, last[from][to])
					}
				}
			}
		})
	}
}

func TestClocks(t *testing.T) {
	f := func(at int64, spec ClockSpec) int64 {
		s := &Sim{cfg: Config{Epoch: 1000}}
		var c clock
		require.NoError(t, c.set(s, 0, spec))
		return c.read(at) - at - 1000
	}
	require.Zero(t, f(5, ClockSpec{}))
	require.EqualValues(t, -7+500, f(1e9, ClockSpec{Offset: -7, Drift: 500}))
	require.EqualValues(t, -500, f(1e9, ClockSpec{Drift: -500}))
	require.EqualValues(t, 30, f(3500, ClockSpec{Shape: ClockStep, Amplitude: 10, Period: 1000}))
	for i := range int64(1000) {
		want := 1e6 * math.Sin(2*math.Pi*float64(i)/1000)
		require.InDelta(t, want, float64(f(i, ClockSpec{Shape: ClockPeriodic, Amplitude: 1e6, Period: 1000})), 500)
		noisy := f(i*17, ClockSpec{Shape: ClockNoisy, Amplitude: 1e6, Period: 1000})
		require.LessOrEqual(t, abs(noisy), uint64(1.125e6))
	}
	var c clock
	require.ErrorContains(t, c.set(&Sim{}, 0, ClockSpec{Shape: ClockStep}), "period")
	require.ErrorContains(t, c.set(&Sim{}, 0, ClockSpec{Drift: 1e9}), "drift")

	// In a run: the fault holds for its time and Now is not affected.
	s := newStage(t, Config{Epoch: protocols.Time(time.Hour), Faults: []Fault{{Kind: FaultClock, At: protocols.Time(10 * ms), For: 10 * ms, Nodes: ids(0), Clock: ClockSpec{Offset: int64(time.Second), Drift: 1e6}}}})
	var read []time.Duration
	p := ticker(10 * ms)
	tick := p.timeout
	p.timeout = func(p *puppet, tm protocols.Timer) {
		read = append(read, p.env.Clock().Sub(p.env.Now().Add(time.Hour)))
		tick(p, tm)
	}
	s.addOn(s.host(HostSpec{Clock: ClockSpec{Offset: 5}}), 0, &puppet{
		start:   func(p *puppet, _ protocols.Boot) { p.env.SetTimer(5*ms, 0, 0) },
		timeout: p.timeout,
	})
	s.run(40 * ms)
	require.Equal(t, []time.Duration{5, time.Second + 5*us, 5, 5}, read)
}

// A fault may wait for an event: here the crash of whoever executes third.
func TestTriggeredFault(t *testing.T) {
	s := newStage(t, Config{Faults: []Fault{{Kind: FaultCrash, On: &Trigger{Event: protocols.EventExecuted, Node: protocols.Nobody, Nth: 3}, At: protocols.Time(500 * us), Nodes: ids(0)}}})
	n := 0
	s.add(0, &puppet{
		start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(ms, 0, 0) },
		timeout: func(p *puppet, _ protocols.Timer) {
			n++
			p.env.Emit(protocols.Event{Kind: protocols.EventExecuted, Index: uint64(n)})
			p.env.SetTimer(ms, 0, 0)
		},
	})
	s.run(time.Second)
	require.Equal(t, 3, n)
}

// A damaged message never reaches a handler; the node is told of the sender.
func TestCorruptionFailsAdmission(t *testing.T) {
	for _, wire := range []bool{false, true} {
		for _, real := range []bool{false, true} {
			s := newStage(t, Config{Wire: wire, RealCrypto: real, Faults: []Fault{{Kind: FaultCorrupt, PPM: 300_000}}})
			var h heard
			s.add(0, ticker(ms, 1))
			s.add(1, &puppet{receive: h.receive})
			st := s.run(1000 * ms)
			bad := st.Nodes[1].Drops[DropBadSeal]
			require.InDelta(t, 300, bad, 60)
			require.EqualValues(t, 998, int(bad)+len(h.seq))
			require.Equal(t, protocols.Notice{Kind: protocols.BadSeal, Peer: 0, Count: 1}, h.notices[0])
		}
	}
}

// An adversary's bad seals reach exactly the copies it chose.
func TestTamper(t *testing.T) {
	for _, real := range []bool{false, true} {
		for _, wire := range []bool{false, true} {
			for _, tag := range []protocols.Tag{tagPrepare, tagCommit} { // MAC, signature
				s := newStage(t, Config{Wire: wire, RealCrypto: real, Profile: testProfile()})
				h := make([]heard, 4)
				s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
					p.env.(protocols.Tamper).MulticastBad(protocols.Replicas(4), &msg{tag: tag, Seq: 5}, func(to protocols.NodeID) bool { return to == 2 })
				}})
				for i := 1; i < 4; i++ {
					s.add(i, &puppet{receive: h[i].receive})
				}
				st := s.run(time.Second)
				for i := 1; i < 4; i++ {
					if i == 2 {
						require.Empty(t, h[i].seq)
						require.Equal(t, []protocols.Notice{{Kind: protocols.BadSeal, Peer: 0, Count: 1}}, h[i].notices)
						continue
					}
					require.Equal(t, []uint64{5}, h[i].seq)
					require.Empty(t, h[i].notices)
				}
				verify := protocols.OpMACVerify
				if tag == tagCommit {
					verify = protocols.OpVerify
				}
				require.EqualValues(t, 1, st.Nodes[2].Ops[verify])
			}
		}
	}
}

func TestFaultsAreChecked(t *testing.T) {
	lossy := flat(1, ms, 0)
	lossy.Paths[0][0].LossPPM = 10
	for _, c := range []struct {
		want string
		cfg  Config
	}{
		{"loses nothing: choose", Config{Topology: lossy}},
		{"choose \"tcp\"", Config{Faults: []Fault{{Kind: FaultLoss, PPM: 5}}}},
		{"needs transport \"datagram\"", Config{Faults: []Fault{{Kind: FaultReorder, PPM: 5, Jitter: 1}}}},
		{"needs transport \"datagram\"", Config{Datagram: Impairments{DuplicatePPM: 1, Window: 1}}},
		{"at least 1 ns when", Config{Transport: Datagram, Datagram: Impairments{DuplicatePPM: 1}}},
		{"names no node", Config{Faults: []Fault{{Kind: FaultCrash}}}},
		{"node 9 does not exist", Config{Faults: []Fault{{Kind: FaultCrash, Nodes: ids(9)}}}},
		{"node 9 does not exist", Config{Faults: []Fault{{Kind: FaultPartition, Nodes: ids(0), Peers: ids(9)}}}},
		{"is in two groups", Config{Faults: []Fault{{Kind: FaultPartition, Groups: [][]protocols.NodeID{ids(0), ids(0)}}}}},
		{"at least two", Config{Faults: []Fault{{Kind: FaultPartition, Groups: [][]protocols.NodeID{ids(0)}}}}},
		{"needs For", Config{Faults: []Fault{{Kind: FaultClog}}}},
		{"allowed are 1 to 1000000", Config{Faults: []Fault{{Kind: FaultCorrupt, PPM: 2e6}}}},
		{"none may be negative", Config{Faults: []Fault{{Kind: FaultCrash, At: -1, Nodes: ids(0)}}}},
		{"fault kind 99", Config{Faults: []Fault{{Kind: 99}}}},
		{"trigger", Config{Faults: []Fault{{Kind: FaultCrash, Nodes: ids(0), On: &Trigger{}}}}},
		{"cannot be combined with faults", Config{Mode: Fast, Faults: []Fault{{Kind: FaultCrash, Nodes: ids(0)}}}},
		{"cannot be forced on", Config{Streams: StreamsOn, Interactive: true}},
		{"streams of broadcasts need", Config{Streams: StreamsOn, Transport: TCP}},
		{"has no CPU costs that could grow", Config{Faults: []Fault{{Kind: FaultSlowCPU, Permille: 2000, Nodes: ids(0)}}}},
		{"set Config.Leader", Config{Faults: []Fault{{Kind: FaultCrash, Nodes: ids(Leader)}}}},
		{"wipe says how", Config{Faults: []Fault{{Kind: FaultCrash, Wipe: true, Nodes: ids(0)}}}},
	} {
		err := func() error {
			c.cfg.Table = testTable()
			if c.cfg.Topology == nil {
				c.cfg.Topology = flat(1, ms, 0)
			}
			s, err := New(c.cfg)
			if err != nil {
				return err
			}
			st := &stage{s, t}
			st.add(0, &puppet{})
			return s.Run(10)
		}()
		require.ErrorContains(t, err, c.want)
	}
	_, err := ParseFaultKind("crahs")
	require.ErrorContains(t, err, "crash")
	k, err := ParseFaultKind("slow-cpu")
	require.NoError(t, err)
	require.Equal(t, FaultSlowCPU, k)

	_, err = New(Config{Table: testTable(), Topology: topo(flat(1, ms, 0), func(t *topology.Topology) { t.Paths[0][0].Floor = 0 })})
	require.ErrorContains(t, err, "minimum delay")
	s := newStage(t, Config{})
	s.add(0, &puppet{})
	s.run(10)
	require.ErrorContains(t, s.Crash(0), "Interactive")
	require.ErrorContains(t, s.Run(5), "already")
}

// Tests drive faults by hand.
func TestInteractive(t *testing.T) {
	s := newStage(t, Config{Interactive: true})
	var h heard
	s.add(0, ticker(ms, 1))
	s.add(1, &puppet{receive: h.receive})
	s.run(10*ms + 1)
	require.NoError(t, s.Partition(5*ms, ids(0), ids(1)))
	s.run(20*ms + 1)
	require.NoError(t, s.Crash(1))
	s.run(30*ms + 1)
	require.NoError(t, s.Recover(true, 1))
	s.run(40*ms + 1)
	require.Error(t, s.Crash(7))
	// Lost: 11 to 15 to the partition; 20 was on its way when node 1 crashed, 21 to
	// 30 met nobody.
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 31, 32, 33, 34, 35, 36, 37, 38, 39}, h.seq)
}

// Splitting a run changes nothing.
func TestRunInPieces(t *testing.T) {
	for _, mode := range []Mode{Exact, Fast} {
		cfg := Config{Seed: 4, Mode: mode, Profile: testProfile(), Topology: jittered(2, 100*us, 50*us, 1e9)}
		_, whole := runShape(t, cfg, 4, 8, 20*ms, nil)
		s, err := newShapeSim(cfg, 4, 8, nil)
		require.NoError(t, err)
		for i := range 200 {
			require.NoError(t, s.Run(protocols.Time(time.Duration(i+1)*100*us)))
		}
		require.Equal(t, whole.TraceHash, s.TraceHash())
	}
}

// A paused process verifies nothing: what arrives meanwhile is admitted after the
// pause, in order.
func TestAPausedProcessVerifiesNothing(t *testing.T) {
	prof := &profile.Profile{}
	prof.Ops[protocols.OpMACVerify].A = int64(10*us) * 1000
	s := newStage(t, Config{Faults: []Fault{{Kind: FaultPause, At: protocols.Time(5*ms + ms/2), For: 10 * ms, Nodes: ids(1)}}})
	s.add(0, ticker(ms, 1))
	var h heard
	s.addOn(s.host(HostSpec{Cores: 4, Profile: prof}), 1, &puppet{receive: h.receive})
	st := s.run(15 * ms)
	require.EqualValues(t, 4*10*us, st.Nodes[1].AdmissionCPU, "what arrived from 2 to 5 ms")
	st = s.run(30 * ms)
	require.Len(t, h.seq, 28)
	require.IsIncreasing(t, h.seq)
	require.EqualValues(t, 28*10*us, st.Nodes[1].AdmissionCPU)
	require.Equal(t, protocols.Time(15*ms+ms/2+20*us), h.at[4], "when a core is free")
	require.LessOrEqual(t, h.at[13], protocols.Time(15*ms+ms/2+40*us), "four cores caught up")
}

// Nor does it answer Env.Check before the pause is over.
func TestAPausedProcessChecksNothing(t *testing.T) {
	prof := &profile.Profile{StepBase: int64(ms) * 1000}
	prof.StepTimer = int64(ms) * 1000
	s := newStage(t, Config{Profile: prof, Faults: []Fault{
		{Kind: FaultPause, At: protocols.Time(ms + ms/2), For: 10 * ms, Nodes: ids(0, 1)},
		{Kind: FaultCrash, At: protocols.Time(5 * ms), For: ms, Nodes: ids(1)},
	}})
	var at []protocols.Time
	for i := range 2 {
		s.addOn(s.host(HostSpec{Cores: 2}), i, &puppet{
			start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(ms, 0, 0) },
			timeout: func(p *puppet, _ protocols.Timer) { // until 2 ms
				p.env.Check(1, []protocols.SigCheck{{}})
			},
			receive: func(p *puppet, _ *protocols.Envelope, _ protocols.Message) { at = append(at, p.env.Now()) },
		})
	}
	st := s.run(10 * ms)
	require.Zero(t, st.Nodes[0].Ops[protocols.OpAppVerify])
	s.run(20 * ms)
	require.Equal(t, []protocols.Time{protocols.Time(8 * ms), protocols.Time(11*ms + ms/2)}, at, "the one that crashed asks again")
	require.Zero(t, s.checks.live)
}

// A crash during the pause loses what slept, and the next life hears of the rest.
func TestCrashOfAPausedProcess(t *testing.T) {
	prof := &profile.Profile{}
	prof.Ops[protocols.OpMACVerify].A = int64(10*us) * 1000
	s := newStage(t, Config{Faults: []Fault{
		{Kind: FaultPause, At: protocols.Time(5*ms + ms/2), For: 10 * ms, Nodes: ids(1)},
		{Kind: FaultCrash, At: protocols.Time(8*ms + ms/2), For: ms, Nodes: ids(1)},
	}})
	s.add(0, ticker(ms, 1))
	var h heard
	s.addOn(s.host(HostSpec{Cores: 4, Profile: prof}), 1, &puppet{receive: h.receive})
	st := s.run(20 * ms)
	require.Equal(t, []uint64{1, 2, 3, 4}, h.seq[:4])
	require.EqualValues(t, 10, h.seq[4])
	require.EqualValues(t, 5, st.Nodes[1].Drops[DropDown], "three slept, two met nobody")
	require.Equal(t, 1, s.payloads.live, "the one on its way")
}

// A connection does not outlive its processes: what a fault held up for long holds
// up nobody after a restart, whichever end it was.
func TestARestartHasNewConnections(t *testing.T) {
	for _, transport := range []Transport{Stream, TCP} {
		for _, down := range []protocols.NodeID{0, 1} {
			s := newStage(t, Config{Transport: transport, Faults: []Fault{
				{Kind: FaultDelay, At: protocols.Time(time.Second), For: time.Second, Delay: 30 * time.Second, Nodes: ids(0), OneWay: true},
				{Kind: FaultCrash, At: protocols.Time(3 * time.Second), For: time.Second, Nodes: ids(down)},
			}})
			var h heard
			s.add(0, ticker(500*ms, 1))
			s.add(1, &puppet{receive: h.receive})
			s.run(10 * time.Second)
			first := 0
			for first < len(h.at) && h.at[first] < protocols.Time(4*time.Second) {
				first++
			}
			require.Greater(t, len(h.at), first, "deaf after the restart of %d", down)
			require.LessOrEqual(t, h.at[first], protocols.Time(4501*ms))
		}
	}
	// Slow start begins anew, too: the second 100 kB take two round trips again.
	s := newStage(t, Config{Transport: TCP, Faults: []Fault{{Kind: FaultCrash, At: protocols.Time(20 * ms), For: ms, Nodes: ids(1)}}})
	s.add(0, flood(2, 1, 50*ms, 1, 100_000))
	var a arrivals
	s.add(1, &puppet{receive: a.receive})
	s.run(time.Second)
	require.Equal(t, []protocols.Time{protocols.Time(5*ms + 1), protocols.Time(55*ms + 1)}, a.at)

	c := connTable{procs: denseConns + 1} // the other representation
	*c.at(3, 4, 1, 0), *c.at(4, 3, 1, 0), *c.at(5, 6, 1, 0) = 100, 100, 100
	c.forget(3)
	require.Negative(t, *c.at(3, 4, 1, 0))
	require.Negative(t, *c.at(4, 3, 1, 0))
	require.EqualValues(t, 100, *c.at(5, 6, 1, 0))
}

// Times that do not fit are the end of time, never a panic.
func TestTimesSaturate(t *testing.T) {
	const ever = time.Duration(math.MaxInt64)
	top := flat(1, ms, 250)
	top.Places[0].Link.Queue = 1 << 40
	s := newStage(t, Config{Topology: top, Profile: diskProfile(), Faults: []Fault{
		{Kind: FaultCrash, At: protocols.Time(ms), For: ever, Nodes: ids(2)},
		{Kind: FaultDelay, At: protocols.Time(ms), For: ever, Delay: ever, Jitter: ever, Nodes: ids(0)},
		{Kind: FaultDelay, At: protocols.Time(ms), For: ever, Delay: ever, Nodes: ids(0)},
		{Kind: FaultSlowDisk, For: ever, Delay: ever, Jitter: ever, Permille: 1e9, Nodes: ids(0)},
		{Kind: FaultSlowDisk, For: ever, Delay: ever, Jitter: ever, Nodes: ids(0)},
		{Kind: FaultClog, At: protocols.Time(ever), For: ever},
		{Kind: FaultClock, At: protocols.Time(time.Second), For: ever, Nodes: ids(1), Clock: ClockSpec{Offset: 7, Drift: 1000}},
	}})
	s.add(0, &puppet{
		start: func(p *puppet, _ protocols.Boot) {
			p.env.Log(record(1))
			p.env.SetTimer(time.Minute, 0, 0)
			p.env.SetTimer(ever, 0, 0)
		},
		timeout: func(p *puppet, _ protocols.Timer) { p.ask(1, 1, 1<<20) },
	})
	var read time.Duration
	s.add(1, &puppet{
		start:   func(p *puppet, _ protocols.Boot) { p.env.SetTimer(time.Hour, 0, 0) },
		timeout: func(p *puppet, _ protocols.Timer) { read = p.env.Clock().Sub(p.env.Now()) },
	})
	s.add(2, &puppet{})
	s.run(1000 * time.Hour)
	require.Equal(t, 7+3599*us, read)
	require.ErrorContains(t, s.Run(protocols.Time(ever)), "36 years")

	q, r := serial(1<<50, 1)
	require.EqualValues(t, far, q)
	require.Zero(t, r)
	for _, q := range []*topology.Quantiles{{}, {Values: []int64{5}}, {Values: []int64{-1, 5}}, {Values: []int64{5, 4, 6}}, {Values: []int64{5, math.MaxInt64}}} {
		_, err := New(Config{Table: testTable(), Topology: topo(flat(1, ms, 0), func(t *topology.Topology) { t.Paths[0][0].Jitter = q })})
		require.ErrorContains(t, err, "jitter table", "%v", q.Values)
	}
}

// Pauses that overlap hold a process until the last is over; a resume ends all.
func TestOverlappingPauses(t *testing.T) {
	pause := func(at, d time.Duration) Fault {
		return Fault{Kind: FaultPause, At: protocols.Time(at + us), For: d, Nodes: ids(1)}
	}
	for name, c := range map[string]struct {
		faults []Fault
		want   []uint64 // handled before 30 ms, of 1 to 28
	}{
		"overlap": {[]Fault{pause(5*ms, 5*ms), pause(7*ms, 10*ms)}, []uint64{17}},
		"within":  {[]Fault{pause(5*ms, 12*ms), pause(7*ms, 2*ms)}, []uint64{17}},
		"resume":  {[]Fault{pause(5*ms, 12*ms), pause(6*ms, 0), {Kind: FaultResume, At: protocols.Time(9*ms + us), Nodes: ids(1)}, pause(13*ms, 9*ms)}, []uint64{9, 22}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{Faults: c.faults})
			s.add(0, ticker(ms, 1))
			var h heard
			s.add(1, &puppet{receive: h.receive})
			s.run(30 * ms)
			var resumed []uint64 // whole milliseconds at which it went on
			for i := 1; i < len(h.at); i++ {
				if h.at[i].Sub(h.at[i-1]) > ms+ms/2 {
					resumed = append(resumed, uint64(h.at[i]/protocols.Time(ms)))
				}
			}
			require.Equal(t, c.want, resumed)
			require.Len(t, h.seq, 28)
		})
	}
}

// A fault on an event of a step that ran ahead of time, on a busy core, comes at
// the event's time, not at that of whatever happens next.
func TestTriggerOfAStepThatWaitedForACore(t *testing.T) {
	prof := &profile.Profile{StepTimer: int64(ms) * 1000}
	for _, after := range []time.Duration{0, 100 * us} {
		s := newStage(t, Config{Profile: prof, Faults: []Fault{
			{Kind: FaultCrash, On: &Trigger{Event: protocols.EventExecuted, Node: protocols.Nobody, Nth: 1}, At: protocols.Time(after), For: ms / 4, Nodes: ids(2)},
		}})
		h := s.host(HostSpec{Cores: 1})
		for i := range 2 {
			s.addOn(h, i, &puppet{ // both at 1 ms: one runs at 1 ms, the other ahead at 2 ms
				start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(ms, 0, 0) },
				timeout: func(p *puppet, _ protocols.Timer) {
					if p.env.Now() == protocols.Time(2*ms) {
						p.env.Emit(protocols.Event{Kind: protocols.EventExecuted})
					}
				},
			})
		}
		var boots []protocols.Time
		s.add(2, &puppet{start: func(p *puppet, _ protocols.Boot) {
			boots = append(boots, p.env.Now())
			p.env.SetTimer(10*ms, 0, 0) // what happens next
		}})
		s.run(time.Second)
		require.Equal(t, []protocols.Time{0, protocols.Time(2*ms + after + ms/4)}, boots[:2])
	}
}

// A crash in the middle of a datagram takes back that one, and its double; one
// that is lost on the way has nothing to take back.
func TestCrashInTheMiddleOfADatagram(t *testing.T) {
	for name, c := range map[string]struct {
		fault Fault
		want  []uint64
	}{
		"doubled": {Fault{Kind: FaultDuplicate, PPM: 1_000_000, Jitter: ms}, []uint64{1, 1}},
		"lost":    {Fault{Kind: FaultLoss, At: protocols.Time(3 * ms), PPM: 1_000_000}, []uint64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{Transport: Datagram, Topology: flat(1, 20*ms, 1e9), Faults: []Fault{
				c.fault, {Kind: FaultCrash, At: protocols.Time(6 * ms), Nodes: ids(0)},
			}})
			s.add(0, &puppet{
				start: func(p *puppet, _ protocols.Boot) {
					p.env.SetTimer(us, 1, 0)
					p.env.SetTimer(4*ms, 2, 0)
				},
				timeout: func(p *puppet, tm protocols.Timer) { p.ask(1, uint64(tm.Kind), 500_000) }, // 4 ms on the link
			})
			var h heard
			s.add(1, &puppet{receive: h.receive})
			s.run(time.Second)
			require.Equal(t, c.want, h.seq)
			require.Empty(t, s.aborted)
			require.Zero(t, s.payloads.live)
		})
	}
}

// Bad seals reach the copies they were meant for however the NIC is shared.
func TestTamperUnderFairSharing(t *testing.T) {
	s := newStage(t, Config{Sched: Fair, Topology: flat(1, ms, 1e9)})
	h := make([]heard, 4)
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		p.env.(protocols.Tamper).MulticastBad(protocols.Replicas(4), &msg{tag: tagPrepare, Seq: 5, Data: make([]byte, 20_000)}, func(to protocols.NodeID) bool { return to == 2 })
	}})
	for i := 1; i < 4; i++ {
		s.add(i, &puppet{receive: h[i].receive})
	}
	s.run(time.Second)
	require.Equal(t, []uint64{5}, h[1].seq)
	require.Empty(t, h[2].seq)
	require.Equal(t, []uint64{5}, h[3].seq)
}
