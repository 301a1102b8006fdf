package netsim

import (
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// stepProfile charges so much per step and nothing else.
func stepProfile(d time.Duration) *profile.Profile {
	return &profile.Profile{StepBase: int64(d) * 1000}
}

// The processes of a host share its cores.
func TestHostsShareCores(t *testing.T) {
	for _, c := range []struct {
		cores int
		ends  time.Duration
	}{{1, 8 * ms}, {2, 4 * ms}, {4, 2 * ms}, {8, 2 * ms}} {
		s := newStage(t, Config{})
		h := s.host(HostSpec{Cores: c.cores, Profile: stepProfile(ms)})
		last := protocols.Time(0)
		for i := range 4 {
			s.addOn(h, i, &puppet{receive: func(p *puppet, _ *protocols.Envelope, m protocols.Message) { last = max(last, p.env.Now()) }})
		}
		s.add(4, &puppet{start: func(p *puppet, _ protocols.Boot) {
			for i := range 4 {
				p.ask(protocols.NodeID(i), 1, 0)
				p.ask(protocols.NodeID(i), 2, 0)
			}
		}})
		st := s.run(time.Second)
		require.Equal(t, protocols.Time(ms+c.ends-ms), last, "%d cores", c.cores)
		for i := range 4 {
			require.EqualValues(t, 2*ms, st.Nodes[i].CPU)
		}
	}
}

// The lanes of a node run beside each other where there are cores, each in the
// order of its inbox.
func TestLanes(t *testing.T) {
	for _, cores := range []int{1, 3} {
		s := newStage(t, Config{Profile: stepProfile(ms), Table: lanesTable()})
		var a [3]arrivals
		s.addOn(s.host(HostSpec{Cores: cores}), 0, &puppet{receive: a[0].receive}, &puppet{receive: a[1].receive}, &puppet{receive: a[2].receive})
		s.addOn(s.host(HostSpec{Profile: &profile.Profile{}}), 1, &puppet{start: func(p *puppet, _ protocols.Boot) {
			for i := range uint64(30) {
				p.ask(0, i, 0)
			}
		}})
		st := s.run(time.Second)
		last := protocols.Time(0)
		for i := range a {
			require.Len(t, a[i].at, 10)
			require.IsIncreasing(t, a[i].seq)
			last = max(last, a[i].at[9])
		}
		want := ms + 29*ms
		if cores == 3 {
			want = ms + 9*ms
		}
		require.InDelta(t, int64(want), int64(last), 30)
		require.Equal(t, []int64{int64(10 * ms), int64(10 * ms), int64(10 * ms)}, st.Nodes[0].LaneCPU)
	}
}

func lanesTable() *protocols.MessageTable {
	mt := testType(tagPrepare, "PREPARE", protocols.ClassOrder, protocols.SealMAC)
	mt.Lane = func(_ *protocols.Envelope, m protocols.Message) int { return int(m.(*msg).Seq % 3) }
	return protocols.NewMessageTable([]protocols.MessageType{mt})
}

// Posts between lanes come in the order they were posted.
func TestPostsKeepOrder(t *testing.T) {
	for _, p := range []*profile.Profile{nil, testProfile()} {
		s := newStage(t, Config{Profile: p})
		var got []uint64
		s.addOn(s.host(HostSpec{Cores: 2}), 0, &puppet{
			start: func(p *puppet, _ protocols.Boot) {
				for i := range uint64(1000) {
					p.env.Post(1, record(i))
				}
				p.env.SetTimer(us, 0, 0)
			},
			timeout: func(p *puppet, _ protocols.Timer) {
				for i := range uint64(1000) {
					p.env.Post(1, record(1000+i))
				}
			},
		}, &puppet{receive: func(_ *puppet, _ *protocols.Envelope, m protocols.Message) { got = append(got, m.(*msg).Seq) }})
		s.run(time.Second)
		require.Len(t, got, 2000)
		require.IsIncreasing(t, got)
	}
}

// Admission has the cores beside the lane, and keeps each sender's order though
// verification takes unequal time.
func TestAdmissionInParallel(t *testing.T) {
	prof := &profile.Profile{}
	prof.Ops[protocols.OpVerify].A = int64(ms) * 1000
	prof.Ops[protocols.OpMACVerify].A = int64(10*us) * 1000
	for _, cores := range []int{1, 4} {
		s := newStage(t, Config{Topology: flat(1, ms, 0)})
		var a arrivals
		from := map[protocols.NodeID][]uint64{}
		s.addOn(s.host(HostSpec{Cores: cores, Profile: prof}), 0, &puppet{receive: func(p *puppet, e *protocols.Envelope, m protocols.Message) {
			a.receive(p, e, m)
			from[e.From] = append(from[e.From], m.(*msg).Seq)
		}})
		for i := 1; i <= 4; i++ {
			s.add(i, &puppet{start: func(p *puppet, _ protocols.Boot) {
				for k := range uint64(20) {
					tag := tagCommit
					if k%2 == 1 {
						tag = tagPrepare
					}
					p.env.Send(0, &msg{tag: tag, Seq: k})
				}
			}})
		}
		st := s.run(time.Minute)
		work := 40*ms + 40*10*us
		require.InDelta(t, int64(work), st.Nodes[0].CPU, 10)
		last := time.Duration(a.at[len(a.at)-1]) - ms
		if cores == 1 {
			require.Zero(t, st.Nodes[0].AdmissionCPU)
			require.Less(t, last, work)
			require.Greater(t, last, work-2*ms)
		} else {
			require.InDelta(t, int64(work), st.Nodes[0].AdmissionCPU, 10)
			require.InDelta(t, int64(work/4), int64(last), float64(2*ms))
		}
		for id, seq := range from {
			require.Len(t, seq, 20)
			require.IsIncreasing(t, seq, "from %d", id)
		}
	}
}

// Env.Check is answered by the cores.
func TestCheck(t *testing.T) {
	prof := &profile.Profile{}
	prof.Ops[protocols.OpAppVerify].A = int64(ms) * 1000
	for _, real := range []bool{false, true} {
		for _, cores := range []int{1, 2} {
			s := newStage(t, Config{RealCrypto: real, Profile: prof})
			scheme := s.AppScheme()
			seed := [32]byte{7}
			good := protocols.SigCheck{Key: scheme.Public(seed), Message: []byte("yes")}
			sig := scheme.Sign(seed, good.Message)
			good.Signature = sig[:]
			bad := good
			bad.Message = []byte("no")
			var got []protocols.Checked
			var path string
			var at protocols.Time
			s.addOn(s.host(HostSpec{Cores: cores}), 0, &puppet{
				start: func(p *puppet, _ protocols.Boot) {
					p.env.Sub("inner").Check(42, []protocols.SigCheck{good, bad, good, bad})
				},
				receive: func(p *puppet, e *protocols.Envelope, m protocols.Message) {
					got = append(got, *m.(*protocols.Checked))
					require.True(t, e.Local)
					require.Equal(t, -1, e.FromLane)
					path, at = e.Path, p.env.Now()
				},
			})
			st := s.run(time.Second)
			require.Equal(t, []protocols.Checked{{ID: 42, Bad: []int{1, 3}}}, got)
			require.Equal(t, "inner", path)
			require.Equal(t, protocols.Time(4*ms), at)
			require.EqualValues(t, 4, st.Nodes[0].Ops[protocols.OpAppVerify])
		}
	}
}

// All messages of a step to one peer share a flush; so do those of a backlogged
// lane, 16 at most.
func TestFlushes(t *testing.T) {
	prof := &profile.Profile{StepBase: 100_000, Send: profile.IO{Flush: 1_000_000, Message: 1000}, Recv: profile.IO{Flush: 2_000_000, Message: 1000}}
	s := newStage(t, Config{Profile: prof})
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		for i := range uint64(20) {
			p.ask(1, i, 0) // two flushes: 16 + 4
		}
		p.ask(2, 0, 0)                                                                // one
		p.env.Multicast(protocols.Replicas(4), &msg{tag: tagPrepare})                 // three
		p.env.Multicast(protocols.Replicas(4), &msg{tag: tagPrepare})                 // none
		p.env.Send(3, &msg{tag: tagPrepare})                                          // none
		p.env.Multicast(protocols.Replicas(3), &msg{tag: tagPrepare, Data: []byte{}}) // two: another group
	}})
	for i := 1; i < 4; i++ {
		s.add(i, &puppet{})
	}
	st := s.run(time.Second)
	messages := int64(20 + 1 + 3 + 3 + 1 + 2)
	require.EqualValues(t, 8*1000+messages, st.Nodes[0].CPU)
	recv := st.Nodes[1].CPU + st.Nodes[2].CPU + st.Nodes[3].CPU
	require.InDelta(t, 8*2000+messages*(100+1), recv, 30, "a flush is a read at the other end")
}

// The costs of a step are rounded up once, not per operation.
func TestRoundingOncePerStep(t *testing.T) {
	prof := &profile.Profile{}
	prof.Ops[protocols.OpApply].A = 100 // a tenth of a nanosecond
	s := newStage(t, Config{Profile: prof})
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		for range 25 {
			p.env.Auth().Charge(protocols.OpApply, 10)
		}
	}})
	st := s.run(time.Second)
	require.EqualValues(t, 3, st.Nodes[0].CPU)
	require.EqualValues(t, 25, st.Nodes[0].Ops[protocols.OpApply])
	require.EqualValues(t, 250, st.Nodes[0].OpBytes[protocols.OpApply])
}

// Breaking the contract ends the run with an error that says who and what.
func TestContractIsEnforced(t *testing.T) {
	var kept protocols.Env
	for want, do := range map[string]func(p *puppet){
		"posts to lane 3":           func(p *puppet) { p.env.Post(3, record(1)) },
		"not a message type":        func(p *puppet) { p.env.Send(1, &msg{tag: 0xF1FF}) },
		"which is not in the":       func(p *puppet) { p.env.Log(&msg{tag: 0xF1FF}) },
		"is no client":              func(p *puppet) { p.env.Complete(protocols.Completion{}) },
		"a label has 1 to 16":       func(p *puppet) { p.env.Sub("a/b") },
		"outside its handlers":      func(p *puppet) { kept.Send(0, &msg{tag: tagPrepare}) },
		"unknown operation":         func(p *puppet) { p.env.Auth().Charge(200, 1) },
		"a message with tag 0xf106": func(p *puppet) { p.env.Send(1, record(1)) },
	} {
		s := newStage(t, Config{})
		s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) { kept = p.env }})
		s.add(1, &puppet{
			start:   func(p *puppet, _ protocols.Boot) { p.env.SetTimer(1, 0, 0) },
			timeout: func(p *puppet, _ protocols.Timer) { do(p) },
		})
		require.ErrorContains(t, s.Run(1000), want, want)
	}
}

// A lane that waits for a core only is not backlogged: what it sends afterwards
// opens a flush of its own.
func TestWaitingForACoreIsNoBacklog(t *testing.T) {
	prof := &profile.Profile{Send: profile.IO{Flush: int64(us) * 1000}}
	prof.Ops[protocols.OpApply].A = int64(ms) * 1000
	s := newStage(t, Config{Profile: prof})
	h := s.host(HostSpec{Cores: 1})
	s.addOn(h, 0, &puppet{
		start: func(p *puppet, _ protocols.Boot) {
			p.ask(2, 1, 0)
			p.env.SetTimer(2*ms, 0, 0)
		},
		timeout: func(p *puppet, _ protocols.Timer) { p.ask(2, 2, 0) },
	})
	s.addOn(h, 1, &puppet{ // has the core from 1.5 to 2.5 ms
		start:   func(p *puppet, _ protocols.Boot) { p.env.SetTimer(1500*us, 0, 0) },
		timeout: func(p *puppet, _ protocols.Timer) { p.env.Auth().Charge(protocols.OpApply, 0) },
	})
	var a arrivals
	s.addOn(s.host(HostSpec{Profile: &profile.Profile{}}), 2, &puppet{receive: a.receive})
	st := s.run(time.Second)
	require.Equal(t, protocols.Time(ms+2500*us+2*us), a.at[1], "it did wait for the core")
	require.EqualValues(t, 2*us, st.Nodes[0].CPU)
	require.Equal(t, 2*uint64(wireOf(0)), st.Nodes[0].Sent[protocols.ClassOrder].Wire)
}

// Datagrams share no flush: each is a system call on both sides.
func TestDatagramsShareNoFlush(t *testing.T) {
	prof := &profile.Profile{Send: profile.IO{Flush: int64(us) * 1000}, Recv: profile.IO{Flush: 2 * int64(us) * 1000}}
	s := newStage(t, Config{Transport: Datagram, Profile: prof})
	s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) {
		for i := range uint64(10) {
			p.ask(1, i, 0)
			p.env.Multicast(protocols.Replicas(2), &msg{tag: tagPrepare})
		}
	}})
	s.add(1, &puppet{})
	st := s.run(time.Second)
	require.EqualValues(t, 20*us, st.Nodes[0].CPU)
	require.EqualValues(t, 40*us, st.Nodes[1].CPU)

	// A profile may know what datagrams cost.
	udp := *prof
	udp.UDP = &profile.Sockets{Send: profile.IO{Flush: 3 * int64(us) * 1000}, Recv: profile.IO{Message: int64(us) * 1000}}
	for transport, want := range map[Transport][2]time.Duration{Datagram: {3 * us, us}, Stream: {us, 2 * us}} {
		s := newStage(t, Config{Transport: transport, Profile: &udp})
		s.add(0, &puppet{start: func(p *puppet, _ protocols.Boot) { p.ask(1, 1, 0) }})
		s.add(1, &puppet{})
		st := s.run(time.Second)
		require.EqualValues(t, want[0], st.Nodes[0].CPU, transport)
		require.EqualValues(t, want[1], st.Nodes[1].CPU, transport)
	}
}
