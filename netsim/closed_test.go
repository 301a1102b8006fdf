package netsim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// A lane under Poisson arrivals of equal work is an M/D/1 queue: the mean wait is
// rho*s/(2(1-rho)).
func TestMD1Wait(t *testing.T) {
	const service = 100 * time.Microsecond
	for _, c := range []struct {
		rho      float64
		arrivals int
	}{{0.5, 500_000}, {0.8, 500_000}, {0.9, 1_000_000}} {
		t.Run(fmt.Sprint(c.rho), func(t *testing.T) {
			s := newStage(t, Config{Seed: 3, NoRing: true})
			free, busy := s.host(HostSpec{}), s.host(HostSpec{Profile: &profile.Profile{StepBase: int64(service) * 1000}})
			rng := rand.New(rand.NewPCG(1, 2))
			gap := func() time.Duration {
				return time.Duration(rng.ExpFloat64() * float64(service) / c.rho)
			}
			n := 0
			s.addOn(free, 0, &puppet{
				start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(gap(), 0, 0) },
				timeout: func(p *puppet, _ protocols.Timer) {
					p.ask(1, uint64(p.env.Now()), 0)
					if n++; n < c.arrivals {
						p.env.SetTimer(gap(), 0, 0)
					}
				},
			})
			wait, got := time.Duration(0), 0
			s.addOn(busy, 1, &puppet{receive: func(p *puppet, _ *protocols.Envelope, m protocols.Message) {
				wait += p.env.Now().Sub(protocols.Time(m.(*msg).Seq).Add(time.Millisecond))
				got++
			}})
			s.run(time.Hour)
			require.Equal(t, c.arrivals, got)
			want := c.rho * float64(service) / (2 * (1 - c.rho))
			require.InEpsilon(t, want, float64(wait)/float64(got), 0.02)
		})
	}
}

// A FIFO NIC finishes the k-th copy of a broadcast at k times its serialisation,
// and a message of many packets is not stored and forwarded.
func TestBroadcastLeavesCopyByCopy(t *testing.T) {
	const rate, delay, copies = int64(1e9), 2 * time.Millisecond, 9
	for _, size := range []int{100, 1 << 20} {
		for _, fwd := range []Forward{Cut, Store} {
			s := newStage(t, Config{Topology: flat(1, delay, rate), Forward: fwd})
			s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
				p.env.Multicast(protocols.Replicas(copies+1), &msg{tag: tagPrepare, Data: make([]byte, size)})
			}})
			var a arrivals
			for i := 1; i <= copies; i++ {
				s.add(i, &puppet{receive: a.receive})
			}
			s.run(time.Second)
			sort.Slice(a.at, func(i, j int) bool { return a.at[i] < a.at[j] })
			require.Len(t, a.at, copies)
			wire := wireOf(size)
			tail := min(wire, 1538)
			if fwd == Store {
				tail = wire
			}
			for k, at := range a.at {
				want := float64(k+1)*float64(wire)*8e9/float64(rate) + float64(delay) + float64(tail)*8e9/float64(rate)
				require.InDelta(t, want, float64(at), 2, "size %d, copy %d", size, k)
			}
		}
	}
}

// Under fair sharing all copies of a large broadcast finish at nearly the same
// time; the link is busy as long as under FIFO.
func TestFairBroadcast(t *testing.T) {
	const rate, delay, copies, size = int64(1e9), 2 * time.Millisecond, 9, 1 << 20
	for _, size := range []int{100, size} {
		s := newStage(t, Config{Topology: flat(1, delay, rate), Sched: Fair})
		s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
			p.env.Multicast(protocols.Replicas(copies+1), &msg{tag: tagPrepare, Data: make([]byte, size)})
			p.ask(1, 1, 0) // behind all of it
		}})
		var a arrivals
		for i := 1; i <= copies; i++ {
			s.add(i, &puppet{receive: a.receive})
		}
		s.run(time.Second)
		require.Len(t, a.at, copies+1)
		whole := float64(copies) * float64(wireOf(size)) * 8e9 / float64(rate)
		if size > 1500 {
			for _, at := range a.at[:copies] {
				require.InDelta(t, whole+float64(delay), float64(at), float64((copies+1)*13_000), "within a round of packets")
			}
		}
		require.InDelta(t, whole+float64(delay)+2*float64(wireOf(0))*8, float64(a.at[copies]), 13_000)
	}
	_, err := New(Config{Table: testTable(), Topology: flat(1, delay, rate), Sched: Fair, Forward: Store})
	require.ErrorContains(t, err, "FIFO")
}

// That faults are possible changes nothing on a fair card, with CPU costs and
// without; and a crash while the copies of a broadcast leave loses all of them.
func TestFairBroadcastWithFaults(t *testing.T) {
	const rate, delay, copies, size = int64(1e9), 2 * time.Millisecond, 5, 100_000 // 4.2 ms
	play := func(cfg Config) (string, []arrivals) {
		cfg.Topology, cfg.Sched = flat(1, delay, rate), Fair
		s := newStage(t, cfg)
		n := uint64(0)
		s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(ms, 0, 0) }, timeout: func(p *puppet, _ protocols.Timer) {
			for range 2 {
				n++
				p.env.Multicast(protocols.Replicas(copies+1), &msg{tag: tagPrepare, Seq: n, Data: make([]byte, size)})
			}
			p.ask(1, 100+n, 0)
			if n < 6 {
				p.env.SetTimer(10*ms, 0, 0)
			}
		}})
		heard := make([]arrivals, copies)
		for i := range copies {
			s.add(i+1, &puppet{receive: heard[i].receive})
		}
		s.run(time.Second)
		requireNothingLeft(t, s.Sim)
		return s.TraceHash(), heard
	}
	for _, prof := range []*profile.Profile{nil, testProfile()} {
		want, _ := play(Config{Profile: prof})
		got, _ := play(Config{Profile: prof, Interactive: true})
		require.Equal(t, want, got)
		for at, sent := range map[time.Duration][]uint64{
			14 * ms: {1, 2, 102},    // in the middle of the third
			17 * ms: {1, 2, 102, 3}, // of the fourth
		} {
			_, heard := play(Config{Profile: prof, Faults: []Fault{{Kind: FaultCrash, At: protocols.Time(at), Nodes: ids(0)}}})
			for i := range heard {
				var want []uint64
				for _, x := range sent {
					if x < 100 || i == 0 {
						want = append(want, x)
					}
				}
				require.Equal(t, want, heard[i].seq, "node %d, crash at %v", i+1, at)
			}
		}
	}
}

// The remainder of the serialisation time is carried: a million votes at 25
// Gb/s take exactly as long as their bits.
func TestNICCarriesRemainder(t *testing.T) {
	for _, rate := range []uint64{1e9, 10e9, 25e9, 100e9, 3} {
		n := nic{rate: rate}
		q, r := serial(142, rate)
		const k = 1_000_003
		for range k {
			n.serve(0, q, r)
		}
		want := new128(142*k, 8e9, rate)
		require.EqualValues(t, want, n.busy, "rate %d", rate)
	}
	q, r := serial(1<<40, 1e9) // beyond 64 bits on the way
	require.EqualValues(t, 8<<40, q)
	require.Zero(t, r)
}

func new128(a, b, d uint64) uint64 { return mulDiv(a, b, d) }

// With a free CPU and an idle network every phase costs one one-way delay.
func TestDelaysAreCounted(t *testing.T) {
	for _, n := range []int{4, 7, 31} {
		s, st := runShape(t, Config{Topology: flat(1, time.Millisecond, 0)}, n, 1, 52*time.Millisecond, nil)
		require.Len(t, s.samples, 10)
		for _, x := range s.samples {
			require.Equal(t, 5*time.Millisecond, x.Finished.Sub(x.Sent), "request, propose, prepare, commit, answer")
		}
		require.EqualValues(t, 11*(n-1), st.Type("PROPOSE").Sent)
		require.EqualValues(t, 10*(n-1)*(n-1), st.Type("PREPARE").Sent)
	}
}

// A leader under a free network is limited by its CPU, under a free CPU by its
// link: throughput is min(1/CPU per request, rate/bytes per request).
func TestSaturatedLeader(t *testing.T) {
	const size, per = 1000, 20 * time.Microsecond
	for _, rate := range []int64{50e6, 10e9} {
		topology := flat(1, time.Millisecond, 0)
		s := newStage(t, Config{Topology: topology})
		src := s.host(HostSpec{Link: &topology.Places[0].Link})
		leader := s.host(HostSpec{Profile: &profile.Profile{StepBase: int64(per) * 1000}, Link: link(rate)})
		s.addOn(src, 0, &puppet{start: func(p *puppet, _ protocols.Boot) {
			for i := range 5000 {
				p.ask(1, uint64(i), size)
			}
		}})
		s.addOn(leader, 1, &puppet{receive: func(p *puppet, _ *protocols.Envelope, m protocols.Message) {
			p.ask(2, m.(*msg).Seq, size)
		}})
		var a arrivals
		s.addOn(src, 2, &puppet{receive: a.receive})
		s.run(10 * time.Second)
		require.Len(t, a.at, 5000)
		got := float64(a.at[4999]-a.at[999]) / 4000
		want := math.Max(float64(per), float64(wireOf(size))*8e9/float64(rate))
		require.InEpsilon(t, want, got, 0.002)
		require.IsIncreasing(t, a.seq)
	}
}

func link(rate int64) *topology.Link { return &topology.Link{Up: rate, Down: rate} }
