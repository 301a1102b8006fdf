package netsim

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// flood sends numbered messages, several at a time.
func flood(count, burst int, period time.Duration, to protocols.NodeID, size int) *puppet {
	n := uint64(0)
	return &puppet{
		start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(1, 0, 0) },
		timeout: func(p *puppet, _ protocols.Timer) {
			for range burst {
				n++
				p.ask(to, n, size)
			}
			if n < uint64(count) {
				p.env.SetTimer(period, 0, 0)
			}
		},
	}
}

// Whatever the jitter, a connection keeps its order; classes are connections of
// their own.
func TestStreamsKeepOrder(t *testing.T) {
	for _, transport := range []Transport{Stream, TCP} {
		for _, rate := range []int64{0, 1e9} {
			s := newStage(t, Config{Transport: transport, Topology: jittered(1, ms, 10*ms, rate)})
			s.add(0, flood(5000, 3, 100*us, 1, 500))
			var a arrivals
			s.add(1, &puppet{receive: a.receive})
			s.run(time.Second)
			require.Len(t, a.seq, 5001)
			require.IsIncreasing(t, a.seq)
		}
	}
}

func TestDatagrams(t *testing.T) {
	top := jittered(1, ms, 2*ms, 0)
	top.Paths[0][0].LossPPM, top.Paths[0][0].Burst = 50_000, 5
	cfg := Config{Transport: Datagram, Topology: top, Datagram: Impairments{DuplicatePPM: 20_000, ReorderPPM: 100_000, Window: 20 * ms}}
	s := newStage(t, cfg)
	const count = 40_000
	s.add(0, flood(count, 1, 100*us, 1, 0))
	var h heard
	s.add(1, &puppet{receive: h.receive})
	st := s.run(time.Minute)
	seen := map[uint64]int{}
	disorder := 0
	for i, q := range h.seq {
		seen[q]++
		if i > 0 && q < h.seq[i-1] {
			disorder++
		}
	}
	lost, bursts, twice := 0, 0, 0
	for q := uint64(1); q <= count; q++ {
		switch seen[q] {
		case 0:
			lost++
			if seen[q-1] > 0 || q == 1 {
				bursts++
			}
		case 2:
			twice++
		}
	}
	require.InEpsilon(t, 0.05*count, lost, 0.15)
	require.InEpsilon(t, 5, float64(lost)/float64(bursts), 0.2, "mean burst")
	require.InEpsilon(t, 0.02*0.95*count, twice, 0.2)
	require.Greater(t, disorder, count/100)
	require.EqualValues(t, lost, st.Nodes[1].Drops[DropLoss])
	require.Empty(t, h.notices, "a datagram that is lost is lost in silence")
}

// A loss fault is loss for datagrams and delay for TCP.
func TestLossFault(t *testing.T) {
	for _, transport := range []Transport{Datagram, TCP} {
		s := newStage(t, Config{Transport: transport, Faults: []Fault{{Kind: FaultLoss, PPM: 100_000}}})
		s.add(0, flood(2000, 1, ms, 1, 0))
		var a arrivals
		s.add(1, &puppet{receive: a.receive})
		s.run(time.Hour)
		if transport == Datagram {
			require.InDelta(t, 1800, len(a.seq), 60)
			continue
		}
		require.Len(t, a.seq, 2000)
		require.IsIncreasing(t, a.seq)
	}
}

// Slow start costs ceil(log2(B/14480+1))-1 round trips on an idle connection, and
// an idle connection forgets its window.
func TestTCPSlowStart(t *testing.T) {
	const delay = 20 * ms
	for _, c := range []struct{ size, rounds int }{{1000, 0}, {14_000, 0}, {100_000, 2}, {1_000_000, 6}} {
		s := newStage(t, Config{Transport: TCP, Topology: flat(1, delay, 0)})
		sent := []time.Duration{0, 130 * ms, 2 * time.Second}
		var a arrivals
		s.add(0, &puppet{
			start: func(p *puppet, _ protocols.Boot) {
				for _, d := range sent {
					p.env.SetTimer(d+1, 0, 0)
				}
			},
			timeout: func(p *puppet, _ protocols.Timer) { p.ask(1, 0, c.size) },
		})
		s.add(1, &puppet{receive: a.receive})
		s.run(10 * time.Second)
		var took []int
		for i, at := range a.at {
			took = append(took, int(math.Round(float64(at.Sub(protocols.Time(sent[i]))-delay)/float64(2*delay))))
		}
		require.Equal(t, c.rounds, took[0], "%d bytes, cold", c.size)
		require.LessOrEqual(t, took[1], min(c.rounds, 4), "%d bytes, warm", c.size)
		require.Equal(t, c.rounds, took[2], "%d bytes, after idling", c.size)
	}
}

// The long-run rate of a lossy connection is 1.22*MSS/(RTT*sqrt(p)) at most:
// 147 kB/s at 120 ms and 1 %.
func TestTCPCeiling(t *testing.T) {
	top := flat(1, 60*ms, 1e9)
	top.Paths[0][0].LossPPM = 10_000
	s := newStage(t, Config{Transport: TCP, Topology: top})
	s.add(0, flood(3000, 1, ms, 1, 1300))
	var a arrivals
	s.add(1, &puppet{receive: a.receive})
	s.run(time.Hour)
	require.Len(t, a.at, 3000)
	rate := float64(2000*(1300+60)) / a.at[2999].Sub(a.at[999]).Seconds()
	require.InEpsilon(t, 147_000, rate, 0.05)
	for x := range uint64(100_000) {
		r := isqrt(x * 37)
		require.True(t, r*r <= x*37 && (r+1)*(r+1) > x*37)
	}
	require.EqualValues(t, uint64(1)<<32-1, isqrt(1<<64-1))
}

// A full NIC queue drops with a reason, and both ends learn of it.
func TestNICQueueIsBounded(t *testing.T) {
	for _, down := range []bool{false, true} {
		top := flat(1, ms, 0)
		s := newStage(t, Config{Topology: top})
		narrow := &topology.Link{Up: 1e6, Queue: 50_000}
		wide := &topology.Link{}
		if down {
			narrow, wide = wide, &topology.Link{Down: 1e6, Queue: 50_000}
		}
		a, b := heard{}, heard{}
		p := flood(100, 100, ms, 1, 1000)
		p.receive = a.receive
		s.addOn(s.host(HostSpec{Link: narrow}), 0, p)
		s.addOn(s.host(HostSpec{Link: wide}), 1, &puppet{receive: b.receive})
		st := s.run(time.Minute)
		lost := st.Nodes[0].Drops[DropSendQueue] + st.Nodes[1].Drops[DropRecvQueue]
		require.InDelta(t, 100-44, lost, 4)
		require.EqualValues(t, 100, len(b.seq)+int(lost))
		require.IsIncreasing(t, b.seq)
		for _, h := range []heard{a, b} {
			total := uint64(0)
			for _, n := range h.notices {
				require.Equal(t, protocols.Lost, n.Kind)
				total += n.Count
			}
			require.Equal(t, lost, total)
		}
	}
}

func TestInboxIsBounded(t *testing.T) {
	for _, mode := range []Mode{Exact, Fast} {
		s := newStage(t, Config{Inbox: 20, Mode: mode, Profile: &profile.Profile{StepBase: int64(ms) * 1000}})
		s.addOn(s.host(HostSpec{Profile: &profile.Profile{}}), 0, flood(100, 100, ms, 1, 0))
		var h heard
		s.add(1, &puppet{receive: h.receive})
		st := s.run(time.Minute)
		accepted := map[Mode]int{Exact: 21, Fast: 40}[mode]
		require.EqualValues(t, 100-accepted, st.Nodes[1].Drops[DropInbox], mode)
		require.Len(t, h.seq, accepted)
	}
}

// The start of a broadcast rotates: over many of them every recipient is first,
// and last, about equally often.
func TestBroadcastsRotate(t *testing.T) {
	const n, rounds = 8, 4000
	first, last := make([]int, n), make([]int, n)
	type seen struct{ order []int }
	got := map[uint64]*seen{}
	s := newStage(t, Config{Topology: flat(3, ms, 1e9)})
	k := uint64(0)
	for i := range n {
		p := &puppet{receive: func(p *puppet, _ *protocols.Envelope, m protocols.Message) {
			q := m.(*msg).Seq
			if got[q] == nil {
				got[q] = &seen{}
			}
			got[q].order = append(got[q].order, int(p.env.Self()))
		}}
		if i == 0 {
			p.start = func(p *puppet, _ protocols.Boot) { p.env.SetTimer(1, 0, 0) }
			p.timeout = func(p *puppet, _ protocols.Timer) {
				if k++; k <= rounds {
					p.env.Multicast(protocols.Replicas(n), &msg{tag: tagPrepare, Seq: k})
					p.env.SetTimer(ms, 0, 0)
				}
			}
		}
		s.addOn(s.host(HostSpec{Place: i % 3}), i, p)
	}
	s.run(time.Minute)
	require.Len(t, got, rounds)
	for _, x := range got {
		require.Len(t, x.order, n-1)
		first[x.order[0]]++
		last[x.order[n-2]]++
	}
	require.Zero(t, first[0])
	for i := 1; i < n; i++ {
		want := rounds / 3 / []int{2, 3, 2}[i%3] // the places take turns, and their members
		require.InEpsilon(t, want, first[i], 0.15, "node %d first", i)
		require.InEpsilon(t, want, last[i], 0.15, "node %d last", i)
	}
}

// Jitter tables come out as they went in.
func TestJitterDistribution(t *testing.T) {
	top := flat(1, ms, 0)
	q := &topology.Quantiles{}
	for i := range 4097 {
		x := int64(i)
		q.Values = append(q.Values, x*x)
	}
	top.Paths[0][0].Jitter = q
	s := newStage(t, Config{Transport: Datagram, Topology: top})
	const count = 50_000
	var sent []protocols.Time
	s.add(0, flood(count, 1, 100*us, 1, 0))
	var d []int64
	s.add(1, &puppet{receive: func(p *puppet, _ *protocols.Envelope, m protocols.Message) {
		d = append(d, int64(p.env.Now())-int64(m.(*msg).Seq-1)*int64(100*us)-1-int64(ms))
	}})
	_ = sent
	s.run(time.Minute)
	slices.Sort(d)
	require.Len(t, d, count)
	require.InEpsilon(t, 2048*2048, d[count/2], 0.02)
	require.InEpsilon(t, 4055*4055, d[count*99/100], 0.02)
	require.GreaterOrEqual(t, d[0], int64(0))
	require.LessOrEqual(t, d[count-1], int64(4096*4096))
}

// Messages between processes of one host skip the NIC and cost CPU on both
// sides.
func TestSameHost(t *testing.T) {
	s := newStage(t, Config{Topology: flat(1, ms, 1e6), Profile: &profile.Profile{Send: profile.IO{Message: 5e6}, StepBase: 7e6}})
	h := s.host(HostSpec{})
	s.addOn(h, 0, &puppet{start: func(p *puppet, _ protocols.Boot) { p.ask(1, 1, 1000) }})
	var a arrivals
	s.addOn(h, 1, &puppet{receive: a.receive})
	st := s.run(time.Second)
	require.Equal(t, []protocols.Time{5000}, a.at)
	require.EqualValues(t, 5000, st.Nodes[0].CPU)
	require.EqualValues(t, 7000, st.Nodes[1].CPU)

	// In a run with faults nothing of it stays behind.
	s = newStage(t, Config{Interactive: true})
	h = s.host(HostSpec{})
	s.addOn(h, 0, flood(1000, 1, ms, 1, 0))
	s.addOn(h, 1, &puppet{})
	s.run(2 * time.Second)
	require.LessOrEqual(t, len(s.pushed), 2)
	require.Zero(t, s.payloads.live)
}

// Twins share an identity: what is sent to it reaches both.
func TestTwins(t *testing.T) {
	s := newStage(t, Config{})
	var a, b arrivals
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		p.ask(1, 1, 0)
		p.env.Multicast(protocols.Replicas(2), &msg{tag: tagPrepare, Seq: 2})
	}})
	one := &puppet{receive: a.receive, start: func(p *puppet, _ protocols.Boot) {
		p.env.Multicast(protocols.Replicas(2), &msg{tag: tagPrepare, Seq: 3})
	}}
	s.add(1, one)
	h := s.host(HostSpec{})
	_, err := s.AddNode(NodeSpec{ID: 1, Host: h, New: func() []protocols.Node { return []protocols.Node{&puppet{receive: b.receive}} }})
	require.ErrorContains(t, err, "Twin")
	_, err = s.AddNode(NodeSpec{ID: 1, Twin: true, Host: h, New: func() []protocols.Node { return []protocols.Node{&puppet{receive: b.receive}} }})
	require.NoError(t, err)
	s.run(time.Second)
	require.ElementsMatch(t, []uint64{1, 2}, a.seq)
	require.ElementsMatch(t, []uint64{1, 2}, b.seq)
}

// The messages of one flush occupy what their bytes occupy in a row: 16 of 1,000 B
// begin twelve segments and one record.
func TestAFlushIsOneStreamOfBytes(t *testing.T) {
	sum, before := int64(0), int64(0)
	for range 16 {
		sum += WireBytes(Stream, 1500, before, 1000)
		before += 1000
	}
	require.EqualValues(t, 16_000+22+12*90, sum)
	rapid.Check(t, func(t *rapid.T) {
		mtu := rapid.Int64Range(minMTU, maxMTU).Draw(t, "mtu")
		if rapid.Bool().Draw(t, "ethernet") {
			mtu = defaultMTU
		}
		sum, before := int64(0), int64(0)
		for _, size := range rapid.SliceOfN(rapid.IntRange(1, 40_000), 1, 16).Draw(t, "sizes") {
			add := WireBytes(Stream, mtu, before, size)
			require.GreaterOrEqual(t, add, int64(size))
			sum, before = sum+add, before+int64(size)
		}
		require.Equal(t, WireBytes(Stream, mtu, 0, int(before)), sum)
	})

	// In a run: 20 messages of one step are a flush of 16 and one of 4.
	s := newStage(t, Config{})
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		for i := range uint64(20) {
			p.ask(1, i, 900)
		}
	}})
	s.add(1, &puppet{})
	sent := s.run(time.Second).Nodes[0].Sent[protocols.ClassOrder]
	frame := int(sent.Bytes) / 20
	require.Equal(t, uint64(WireBytes(Stream, 1500, 0, 16*frame)+WireBytes(Stream, 1500, 0, 4*frame)), sent.Wire)
}

// Headers, losses and windows follow the MTU of the sender's link.
func TestMTU(t *testing.T) {
	require.EqualValues(t, 9000+22+2*90, WireBytes(Stream, 9000, 0, 9000))
	require.EqualValues(t, 8900+22+90, WireBytes(Stream, 9000, 0, 8900))
	require.EqualValues(t, 9000+2*66, WireBytes(Datagram, 9000, 0, 9000))
	require.EqualValues(t, 9000+7*66, WireBytes(Datagram, 1500, 0, 9000))
	for mtu, loss := range map[int64]int{1500: 430, 9000: 90} {
		top := flat(1, ms, 0)
		top.Paths[0][0].LossPPM, top.Paths[0][0].Burst = 100_000, 1
		s := newStage(t, Config{Transport: Datagram, Topology: top})
		s.addOn(s.host(HostSpec{Link: &topology.Link{MTU: mtu}}), 0, flood(1000, 1, ms, 1, 8000)) // 6 packets or one
		s.add(1, &puppet{})
		require.InDelta(t, loss, int(s.run(time.Minute).Nodes[1].Drops[DropLoss]), 60)
	}
	s := newStage(t, Config{})
	_, err := s.AddHost(HostSpec{Link: &topology.Link{MTU: 100}})
	require.ErrorContains(t, err, "256 to 65536")
}

// Round trips are those of the path, not of its floor: LTE-M has 120 ms and loses
// 1 %, which TCP turns into 147 kB/s at most.
func TestTCPCeilingOfARadioProfile(t *testing.T) {
	top, err := topology.Load("lte-m")
	require.NoError(t, err)
	top.Paths = [][]topology.Path{top.Paths[0][:1]}
	p := top.Paths[0][0]
	top.Places = top.Places[:1]
	require.NotNil(t, p.Jitter)
	rtt := 2 * p.Quantile(500_000)
	s := newStage(t, Config{Transport: TCP, Topology: top})
	wide := HostSpec{Link: &topology.Link{}}
	s.addOn(s.host(wide), 0, flood(3000, 1, ms, 1, 1300))
	var a arrivals
	s.addOn(s.host(wide), 1, &puppet{receive: a.receive})
	s.run(time.Hour)
	require.Len(t, a.at, 3000)
	rate := float64(2000*(1300+60)) / a.at[2999].Sub(a.at[999]).Seconds()
	ceiling := 1.22 * 1448 / (float64(rtt) / 1e9 * math.Sqrt(float64(p.LossPPM)/1e6))
	require.InEpsilon(t, ceiling, rate, 0.1)
}

// What befalls messages befalls them between two processes of one host, too.
func TestDatagramsWithinAHost(t *testing.T) {
	const count = 4000
	run := func(cfg Config) (seq []uint64, st Stats) {
		cfg.Transport = Datagram
		s := newStage(t, cfg)
		h := s.host(HostSpec{})
		s.addOn(h, 0, flood(count, 1, 100*us, 1, 0))
		var a arrivals
		s.addOn(h, 1, &puppet{receive: a.receive})
		st = s.run(time.Second)
		return a.seq, st
	}
	disorder := func(seq []uint64) (n int) {
		for i := 1; i < len(seq); i++ {
			if seq[i] < seq[i-1] {
				n++
			}
		}
		return n
	}
	impaired := Impairments{DuplicatePPM: 200_000, ReorderPPM: 200_000, Window: ms}
	for name, cfg := range map[string]Config{
		"without faults": {Datagram: impaired},
		"with faults":    {Datagram: impaired, Interactive: true},
		"by faults":      {Faults: []Fault{{Kind: FaultDuplicate, PPM: 200_000, Jitter: ms}, {Kind: FaultReorder, PPM: 200_000, Jitter: ms}}},
	} {
		seq, _ := run(cfg)
		require.InDelta(t, 1.2*count, len(seq), 120, name)
		require.Greater(t, disorder(seq), count/10, name)
	}
	seq, st := run(Config{Faults: []Fault{{Kind: FaultLoss, PPM: 50_000}}})
	require.InDelta(t, 0.95*count, len(seq), 60)
	require.EqualValues(t, count-len(seq), st.Nodes[1].Drops[DropLoss])
	require.Zero(t, disorder(seq))

	s := newStage(t, Config{Transport: TCP, Faults: []Fault{{Kind: FaultLoss, PPM: 50_000}}})
	h := s.host(HostSpec{})
	s.addOn(h, 0, flood(100, 1, time.Second, 1, 0))
	var a arrivals
	s.addOn(h, 1, &puppet{receive: a.receive})
	s.run(time.Hour)
	require.Len(t, a.seq, 100)
	late := 0
	for i, at := range a.at {
		if at >= protocols.Time(time.Duration(i)*time.Second)+tcpMinRTO {
			late++
		}
	}
	require.InDelta(t, 5, late, 4.9, "retransmitted")
}
