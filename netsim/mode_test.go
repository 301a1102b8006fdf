package netsim

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// testProfile costs something everywhere, with fractions of nanoseconds.
func testProfile() *profile.Profile {
	p := &profile.Profile{
		Name: "test", ScalePermille: 1100, Cores: 1,
		Send: profile.IO{Flush: 2_280_000, Message: 120_000, Byte: 160}, Recv: profile.IO{Flush: 1_550_000, Message: 100_000, Byte: 100},
		StepBase: 200_000, StepTimer: 100_000, Fsync: 68_000_000, PerRecord: 2_500_000,
	}
	for i := range p.Ops {
		p.Ops[i].A, p.Ops[i].B = int64(100_000*(i+1)), 460
	}
	return p
}

func runShape(t testing.TB, cfg Config, n, clients int, d time.Duration, tune func(*shapeNode)) (*shape, Stats) {
	t.Helper()
	s, err := newShapeSim(cfg, n, clients, tune)
	require.NoError(t, err)
	require.NoError(t, s.Run(protocols.Time(d)))
	st := s.Stats()
	require.NotEmpty(t, s.samples, "nothing was answered")
	return s, st
}

// All ways to run the kernel give one trace.
func TestModesGiveOneTrace(t *testing.T) {
	for _, jit := range []time.Duration{0, 200 * time.Microsecond} {
		for _, logs := range []bool{false, true} {
			for _, prof := range []*profile.Profile{nil, testProfile()} {
				t.Run(fmt.Sprintf("jitter %v, logs %v, costs %v", jit, logs, prof != nil), func(t *testing.T) {
					base := Config{Seed: 5, Profile: prof, Topology: flat(3, 250*time.Microsecond, 1e9)}
					if jit > 0 {
						base.Topology = jittered(3, 250*time.Microsecond, jit, 1e9)
					}
					tune := func(r *shapeNode) { r.log = logs }
					run := func(change func(*Config)) (string, uint64) {
						cfg := base
						change(&cfg)
						_, st := runShape(t, cfg, 7, 5, 10*time.Millisecond, tune)
						return st.TraceHash, st.Steps
					}
					want, steps := run(func(c *Config) { c.Mode, c.Streams = Exact, StreamsOff })
					require.Greater(t, steps, uint64(500))
					for name, change := range map[string]func(*Config){
						"fast":          func(c *Config) { c.Mode = Fast },
						"exact streams": func(c *Config) { c.Mode, c.Streams = Exact, StreamsOn },
						"fast streams":  func(c *Config) { c.Mode, c.Streams = Fast, StreamsOn },
						"binary heap":   func(c *Config) { c.heapQueue = true },
						"wire":          func(c *Config) { c.Wire = true },
						"real":          func(c *Config) { c.RealCrypto = true },
						"wire and real": func(c *Config) { c.Wire, c.RealCrypto = true, true },
						"interactive":   func(c *Config) { c.Interactive = true },
					} {
						got, n := run(change)
						require.Equal(t, steps, n, name)
						require.Equal(t, want, got, name)
					}
					other, _ := run(func(c *Config) { c.Seed = 6 })
					require.NotEqual(t, want, other, "the seed must matter")
				})
			}
		}
	}
}

// chatter is a node with lanes that does a bit of everything, as its random
// stream decides.
type chatter struct {
	env   protocols.Env
	n     int
	lanes int
	left  int
	timer protocols.TimerID
}

func (c *chatter) Start(env protocols.Env, _ protocols.Boot) {
	c.env = env
	c.timer = env.SetTimer(time.Duration(1+env.Rand().IntN(300_000)), 0, 0)
}

func (c *chatter) Timeout(protocols.Timer) { c.act() }

func (c *chatter) Receive(e *protocols.Envelope, m protocols.Message, _ protocols.Verdicts) {
	if x, ok := m.(*msg); ok {
		c.env.Auth().Digest(x.Data)
	}
	if c.env.Rand().IntN(3) == 0 {
		c.act()
	}
}

func (c *chatter) act() {
	if c.left--; c.left < 0 {
		return
	}
	r := c.env.Rand()
	m := &msg{tag: []protocols.Tag{tagAsk, tagPropose, tagPrepare, tagCommit}[r.IntN(4)], Seq: r.Uint64() >> r.IntN(64), Data: make([]byte, r.IntN(40)*r.IntN(40)*r.IntN(20))}
	m.Hash[0] = byte(r.IntN(5))
	c.env.Emit(protocols.Event{Kind: protocols.EventCommitted, Digest: m.Hash})
	for range 1 + r.IntN(3) {
		switch r.IntN(9) {
		case 0, 1:
			c.env.Multicast(protocols.Replicas(c.n), m)
		case 2:
			c.env.Send(protocols.NodeID(r.IntN(c.n)), m)
		case 3:
			c.env.Post(r.IntN(c.lanes), m)
		case 4:
			c.env.CancelTimer(c.timer)
			c.timer = c.env.SetTimer(time.Duration(1+r.IntN(500_000)), 1, 2)
		case 5:
			c.env.Log(record(m.Seq))
		case 6:
			c.env.LogLazily(record(m.Seq))
		case 7:
			c.env.Check(m.Seq, make([]protocols.SigCheck, r.IntN(3)))
		case 8:
			c.env.Sub("inner").Multicast(protocols.Replicas(c.n), m)
		}
	}
	c.env.SetTimer(time.Duration(1+r.IntN(200_000)), 0, 0)
}

// Random programs on random hosts and networks have one trace in every mode that
// is allowed.
func TestModesAgreeOnRandomPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "n")
		lanes := rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "lanes")
		cores := rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(t, "cores")
		perHost := rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "nodes per host")
		places := rapid.IntRange(1, 3).Draw(t, "places")
		rate := rapid.SampledFrom([]int64{0, 1e7, 1e9, 25e9}).Draw(t, "rate")
		jitter := rapid.SampledFrom([]time.Duration{0, 1, 10 * us, 3 * ms}).Draw(t, "jitter")
		costs := rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "costs")
		seed := rapid.Uint64().Draw(t, "seed")
		run := func(change func(*Config)) (string, Stats, error) {
			cfg := Config{Seed: seed, Table: testTable(), Topology: flat(places, 100*us, rate)}
			if jitter > 0 {
				cfg.Topology = jittered(places, 100*us, jitter, rate)
			}
			switch costs {
			case 1:
				cfg.Profile = testProfile()
			case 2:
				cfg.Profile = diskProfile()
			}
			change(&cfg)
			s, err := New(cfg)
			if err != nil {
				return "", Stats{}, err
			}
			var h HostID
			for i := range n {
				if i%perHost == 0 {
					if h, err = s.AddHost(HostSpec{Place: i % places, Cores: cores}); err != nil {
						return "", Stats{}, err
					}
				}
				if _, err := s.AddNode(NodeSpec{ID: protocols.NodeID(i), Host: h, New: func() []protocols.Node {
					var out []protocols.Node
					for range lanes {
						out = append(out, &chatter{n: n, lanes: lanes, left: 15})
					}
					return out
				}}); err != nil {
					return "", Stats{}, err
				}
			}
			if err := s.Run(protocols.Time(20 * ms)); err != nil {
				return "", Stats{}, err
			}
			if err := s.Run(protocols.Time(time.Hour)); err != nil {
				return "", Stats{}, err
			}
			requireNothingLeft(t, s)
			st := s.Stats()
			return st.TraceHash, st, nil
		}
		want, first, err := run(func(c *Config) { c.Mode, c.Streams = Exact, StreamsOff })
		require.NoError(t, err)
		for name, change := range map[string]func(*Config){
			"auto":          func(c *Config) {},
			"exact streams": func(c *Config) { c.Mode, c.Streams = Exact, StreamsOn },
			"auto streams":  func(c *Config) { c.Streams = StreamsOn },
			"binary heap":   func(c *Config) { c.heapQueue = true },
			"wire":          func(c *Config) { c.Wire = true },
			"faults ready":  func(c *Config) { c.Interactive = true },
		} {
			got, st, err := run(change)
			require.NoError(t, err, name)
			require.Equal(t, first.Steps, st.Steps, name)
			require.Equal(t, want, got, name)
		}
	})
}

// requireNothingLeft checks that a run that has come to rest holds nothing.
func requireNothingLeft(t require.TestingT, s *Sim) {
	require.Zero(t, s.q.len(), "events")
	require.Zero(t, s.payloads.live, "payloads")
	require.Zero(t, s.locals.live, "local messages")
	require.Zero(t, s.jobs.live, "jobs")
	require.Zero(t, s.streamsSlab.live, "streams")
	require.Zero(t, s.checks.live, "checks")
	require.Zero(t, s.verdicts.live, "verdicts")
	for _, l := range s.lanes {
		require.Zero(t, l.count, "inbox")
		require.Zero(t, l.pending, "pending")
		require.Empty(t, l.wakes)
		require.Zero(t, len(l.held)-l.heldAt, "held outputs")
		require.Zero(t, l.timers.len())
	}
}

// Random faults on random programs: nothing panics, nothing leaks, and wire mode,
// the other queue and a second run give the same trace.
func TestRandomFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(t, "n")
		lanes := rapid.IntRange(1, 2).Draw(t, "lanes")
		cores := rapid.SampledFrom([]int{1, 2}).Draw(t, "cores")
		perHost := rapid.SampledFrom([]int{1, 2}).Draw(t, "nodes per host")
		rate := rapid.SampledFrom([]int64{0, 1e8, 25e9}).Draw(t, "rate")
		jitter := rapid.SampledFrom([]time.Duration{0, 1, 50 * us}).Draw(t, "jitter")
		costs := rapid.IntRange(0, 2).Draw(t, "costs")
		seed := rapid.Uint64().Draw(t, "seed")
		transport := rapid.SampledFrom([]Transport{Stream, Datagram, TCP}).Draw(t, "transport")
		var faults []Fault
		for range rapid.IntRange(1, 6).Draw(t, "faults") {
			f := Fault{Kind: FaultKind(rapid.IntRange(1, int(lastFault)-1).Draw(t, "kind")), At: protocols.Time(rapid.Int64Range(0, int64(3*ms)).Draw(t, "at")), For: time.Duration(rapid.Int64Range(1, int64(2*ms)).Draw(t, "for"))}
			f.Nodes = []protocols.NodeID{protocols.NodeID(rapid.IntRange(0, n-1).Draw(t, "node"))}
			if rapid.Bool().Draw(t, "on event") {
				f.On = &Trigger{Event: protocols.EventCommitted, Node: protocols.Nobody, Nth: uint64(rapid.IntRange(1, 20).Draw(t, "nth"))}
			}
			f.PPM, f.Permille = 300_000, 3000
			f.Wipe = f.Kind <= FaultRecover && rapid.Bool().Draw(t, "wipe")
			f.Torn = f.Kind == FaultCrash && !f.Wipe && rapid.Bool().Draw(t, "torn")
			f.Rate, f.Room = 1_000_000, rapid.Int64Range(0, 100).Draw(t, "room")
			switch f.Kind {
			case FaultRecover, FaultResume, FaultDiskCorrupt:
				f.For = 0
			case FaultDelay, FaultDuplicate, FaultReorder, FaultSlowDisk:
				f.Delay, f.Jitter = 100*us, 300*us
			case FaultClock:
				f.Clock = ClockSpec{Shape: ClockNoisy, Amplitude: int64(ms), Period: int64(ms)}
			}
			if f.check(transport) == nil && (f.Kind != FaultSlowCPU || costs == 1) {
				faults = append(faults, f)
			}
		}
		run := func(change func(*Config)) string {
			cfg := Config{Seed: seed, Table: testTable(), Transport: transport, Topology: flat(2, 100*us, rate), Faults: faults, Interactive: true}
			if jitter > 0 {
				cfg.Topology = jittered(2, 100*us, jitter, rate)
			}
			if transport != Stream {
				cfg.Topology.Paths[0][1].LossPPM, cfg.Topology.Paths[0][1].Burst = 100_000, 3
			}
			if transport == Datagram {
				cfg.Datagram = Impairments{DuplicatePPM: 100_000, ReorderPPM: 100_000, Window: 200 * us}
			}
			switch costs {
			case 1:
				cfg.Profile = testProfile()
			case 2:
				cfg.Profile = diskProfile()
			}
			change(&cfg)
			s, err := New(cfg)
			require.NoError(t, err)
			var h HostID
			for i := range n {
				if i%perHost == 0 {
					h, err = s.AddHost(HostSpec{Place: i % 2, Cores: cores})
					require.NoError(t, err)
				}
				_, err = s.AddNode(NodeSpec{ID: protocols.NodeID(i), Host: h, New: func() []protocols.Node {
					var out []protocols.Node
					for range lanes {
						out = append(out, &chatter{n: n, lanes: lanes, left: 15})
					}
					return out
				}})
				require.NoError(t, err)
			}
			require.NoError(t, s.Run(protocols.Time(time.Hour)))
			for _, p := range s.procs { // what is still down or paused keeps its timers
				if p.paused {
					s.resume(p)
				}
			}
			require.NoError(t, s.Run(protocols.Time(2*time.Hour)))
			requireNothingLeft(t, s)
			return s.TraceHash()
		}
		want := run(func(*Config) {})
		require.Equal(t, want, run(func(*Config) {}), "again")
		require.Equal(t, want, run(func(c *Config) { c.Wire = true }), "wire")
		require.Equal(t, want, run(func(c *Config) { c.heapQueue = true }), "binary heap")
	})
}

// stopAfter ends a run at the nth event.
type stopAfter struct {
	n    int
	seen int
}

func (o *stopAfter) Observe(protocols.Time, protocols.NodeID, *protocols.Event) { o.seen++ }
func (o *stopAfter) Finish(protocols.Time) []protocols.Violation                { return nil }
func (o *stopAfter) Stopped() string {
	if o.seen >= o.n {
		return "enough"
	}
	return ""
}

// A run that an observer stops has one trace in all modes: what fast mode executed
// ahead of the end does not belong to it.
func TestStoppedRunsGiveOneTrace(t *testing.T) {
	for _, n := range []int{1, 50, 111} {
		for what, cfg := range map[string]Config{
			"costs and jitter": {Profile: testProfile(), Topology: jittered(3, 250*us, 100*us, 1e8)},
			"free":             {Topology: flat(3, 250*us, 1e8)}, // everything in lockstep
		} {
			run := func(change func(*Config)) (string, protocols.Time) {
				cfg := cfg
				cfg.Observers = []protocols.Observer{&stopAfter{n: n}}
				change(&cfg)
				s, err := newShapeSim(cfg, 7, 9, nil)
				require.NoError(t, err)
				require.NoError(t, s.Run(protocols.Time(time.Second)))
				st := s.Stats()
				require.Equal(t, "enough", st.Stopped)
				require.NoError(t, s.Run(protocols.Time(2*time.Second)))
				require.Equal(t, st.TraceHash, s.TraceHash(), "it goes on")
				for id := range protocols.NodeID(7) {
					for _, c := range s.Checkpoints(id) {
						require.LessOrEqual(t, c.At, st.Now)
					}
				}
				return st.TraceHash, st.Now
			}
			want, at := run(func(c *Config) { c.Mode, c.Streams = Exact, StreamsOff })
			for name, change := range map[string]func(*Config){
				"fast":         func(c *Config) { c.Mode = Fast },
				"fast streams": func(c *Config) { c.Mode, c.Streams = Fast, StreamsOn },
				"binary heap":  func(c *Config) { c.heapQueue = true },
			} {
				got, end := run(change)
				require.Equal(t, want, got, "%s, %s, event %d", what, name, n)
				require.Equal(t, at, end)
			}
		}
	}
	// From outside, nothing more happens.
	s := newStage(t, Config{})
	s.add(0, ticker(ms))
	steps := s.run(10 * ms).Steps
	s.Stop("by hand")
	require.Equal(t, steps, s.run(20*ms).Steps)
}

// Where fast mode reaches the bound of what it may handle ahead of time it goes on
// the exact way; who bounds the inbox gets it from the start.
func TestModesAgreeAtTheBound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		inbox, step := rapid.IntRange(1, 40).Draw(r, "inbox"), time.Duration(rapid.IntRange(1, 300).Draw(r, "step"))*us
		burst, jitter := rapid.IntRange(1, 60).Draw(r, "burst"), time.Duration(rapid.IntRange(0, 2).Draw(r, "jitter"))*ms
		rate := rapid.SampledFrom([]int64{0, 1e7, 1e9}).Draw(r, "rate")
		run := func(mode Mode) (string, uint64) {
			s := newStage(t, Config{Inbox: inbox, Mode: mode, Transport: Datagram, Topology: jittered(1, ms, jitter+1, rate)})
			free := HostSpec{Profile: &profile.Profile{}}
			s.addOn(s.host(free), 0, flood(300, burst, 7*ms, 2, 100))
			s.addOn(s.host(free), 1, flood(300, burst, 5*ms, 2, 10))
			s.addOn(s.host(HostSpec{Profile: stepProfile(step)}), 2, &puppet{})
			st := s.run(time.Second)
			return st.TraceHash, st.Nodes[2].Drops[DropInbox]
		}
		exact, dropped := run(Exact)
		auto, lost := run(Auto)
		require.Equal(r, dropped, lost)
		require.Equal(r, exact, auto)
		if fast, lost := run(Fast); dropped == 0 {
			require.Zero(r, lost)
			require.Equal(r, exact, fast)
		}
	})
}
