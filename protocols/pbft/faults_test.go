package pbft

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/adversary"
)

// quick makes time-outs short against one hop of 1 ms, and checkpoints frequent.
func quick() map[string]int64 {
	return map[string]int64{
		"checkpoint": 4, "batch_max": 2, "pipeline": 3,
		"view_change_timeout": int64(40 * time.Millisecond), "client_timeout": int64(30 * time.Millisecond), "resend": int64(10 * time.Millisecond),
	}
}

func attack(t testing.TB, name string, n, f int, set map[string]int64, peers ...protocols.NodeID) map[protocols.NodeID]protocols.Adversary {
	options, err := protocols.ResolveOptions(Options(), nil)
	require.NoError(t, err)
	for _, a := range adversary.All(Messages()) {
		if a.Name != name {
			continue
		}
		o, err := protocols.ResolveOptions(a.Options, set)
		require.NoError(t, err)
		out := make(map[protocols.NodeID]protocols.Adversary)
		for _, id := range peers {
			c := &protocols.Config{Cluster: 7, Self: id, N: n, F: f, Replicas: protocols.Replicas(n), Options: options}
			out[id] = a.New(c, o, peers)
		}
		return out
	}
	t.Fatalf("no attack %q", name)
	return nil
}

func crash(at, d time.Duration, wipe bool, nodes ...protocols.NodeID) func(*netsim.Config) {
	return func(c *netsim.Config) {
		c.Faults = append(c.Faults, netsim.Fault{Kind: netsim.FaultCrash, At: protocols.Time(at), For: d, Nodes: nodes, Wipe: wipe})
	}
}

// The faults of the acceptance 5, each on a few seeds; the suite "faults"
// and edgebft check run them by the thousand.
func TestFaults(t *testing.T) {
	const clients, perClient = 4, 60
	lossy := oneHop()
	lossy.Paths[0][0].LossPPM = 50_000
	for _, c := range []struct {
		name   string
		config func(*netsim.Config)
		attack func(t testing.TB) map[protocols.NodeID]protocols.Adversary
		top    *topology.Topology
		moved  bool // the view must have changed
	}{
		{name: "primary killed and recovered", config: crash(20*time.Millisecond, time.Second, false, 0), moved: true},
		{name: "primary killed for good", config: crash(20*time.Millisecond, 0, false, 0), moved: true},
		{name: "backup restarts with an empty disk", config: crash(50*time.Millisecond, 50*time.Millisecond, true, 2)},
		{name: "primary restarts with an empty disk", config: crash(50*time.Millisecond, 100*time.Millisecond, true, 0), moved: true},
		{name: "all killed at once", config: crash(50*time.Millisecond, 20*time.Millisecond, false, 0, 1, 2, 3)},
		{name: "partition two against two, then heal", config: func(c *netsim.Config) {
			c.Faults = append(c.Faults, netsim.Fault{Kind: netsim.FaultPartition, At: protocols.Time(30 * time.Millisecond), For: 500 * time.Millisecond, Groups: [][]protocols.NodeID{{0, 1}, {2, 3}}})
		}},
		{name: "primary cut off, then healed", config: func(c *netsim.Config) {
			c.Faults = append(c.Faults, netsim.Fault{Kind: netsim.FaultPartition, At: protocols.Time(30 * time.Millisecond), For: 800 * time.Millisecond, Groups: [][]protocols.NodeID{{0}, {1, 2, 3}}})
		}, moved: true},
		{name: "five per cent loss", top: lossy, config: func(c *netsim.Config) { c.Transport = netsim.Datagram }},
		{name: "equivocating primary", attack: func(t testing.TB) map[protocols.NodeID]protocols.Adversary {
			return attack(t, "equivocate", 4, 1, nil, 0)
		}},
		{name: "silent primary", moved: true, attack: func(t testing.TB) map[protocols.NodeID]protocols.Adversary {
			return attack(t, "silent", 4, 1, nil, 0)
		}},
		{name: "silent backup", attack: func(t testing.TB) map[protocols.NodeID]protocols.Adversary {
			return attack(t, "silent", 4, 1, nil, 3)
		}},
		{name: "bad MACs from a backup", attack: func(t testing.TB) map[protocols.NodeID]protocols.Adversary {
			return attack(t, "bad-macs", 4, 1, nil, 2)
		}},
		{name: "bad MACs from the primary", attack: func(t testing.TB) map[protocols.NodeID]protocols.Adversary {
			return attack(t, "bad-macs", 4, 1, nil, 0)
		}},
		{name: "lying replies", attack: func(t testing.TB) map[protocols.NodeID]protocols.Adversary {
			return attack(t, "wrong-replies", 4, 1, nil, 1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(5) {
				s := setup{n: 4, f: 1, clients: clients, perClient: perClient, seed: seed, options: quick(), config: c.config, top: c.top}
				if seed%2 == 1 {
					s.options["snapshot_every"] = 25
				}
				if c.attack != nil {
					s.adversaries = c.attack(t)
				}
				w := newWorld(t, s)
				w.finish(t, 5*time.Minute, clients*perClient)
				if c.moved {
					require.NotZero(t, w.orderers[3].view, "seed %d", seed)
				}
			}
		})
	}
}

// A replica that was away for longer than the log catches up by state transfer,
// and one without a disk votes again once it is safe.
func TestCatchUp(t *testing.T) {
	for _, wipe := range []bool{false, true} {
		t.Run(fmt.Sprintf("wiped=%v", wipe), func(t *testing.T) {
			w := newWorld(t, setup{n: 4, f: 1, clients: 4, perClient: 200, options: quick(), config: crash(30*time.Millisecond, 300*time.Millisecond, wipe, 2)})
			w.finish(t, time.Minute, 800)
			w.run(t, 5*time.Second)
			for i := range protocols.NodeID(4) {
				require.Equal(t, w.orderers[0].delivered, w.orderers[i].delivered, w.state())
				require.Nil(t, w.orderers[i].learner, "replica %d still counts as faulty: %s", i, w.state())
			}
			stats := w.sim.Stats()
			require.NotZero(t, stats.Type("STATE").Sent)
		})
	}
}

// Replicas lose their disks one after the other, each after the one before has
// recovered, and are killed with their disks in between; in the end all are killed.
func TestFaultsOneAfterTheOther(t *testing.T) {
	const clients, perClient = 3, 1500
	for seed := range uint64(4) {
		options := quick()
		options["view_change_timeout_max"] = int64(300 * time.Millisecond)
		options["snapshot_every"] = []int64{25, 16384}[seed%2]
		w := newWorld(t, setup{n: 4, f: 1, clients: clients, perClient: perClient, seed: seed, options: options, config: func(c *netsim.Config) {
			at := 20 * time.Millisecond
			hit := func(d time.Duration, wipe bool, nodes ...protocols.NodeID) {
				crash(at, d, wipe, nodes...)(c)
				at += time.Duration(350+13*(seed%16)) * time.Millisecond
			}
			for round := range protocols.NodeID(4) {
				victim := (round + protocols.NodeID(seed)) % 4
				hit(20*time.Millisecond, true, victim)
				hit(10*time.Millisecond, false, victim)
				hit(5*time.Millisecond, true, victim)
				hit(10*time.Millisecond, false, (victim+1)%4, (victim+2)%4)
			}
			hit(10*time.Millisecond, false, 0, 1, 2, 3)
		}})
		w.finish(t, 5*time.Minute, clients*perClient)
		w.run(t, 5*time.Second)
		for i := range protocols.NodeID(4) {
			require.Nil(t, w.orderers[i].learner, "seed %d, replica %d: %s", seed, i, w.state())
			require.Equal(t, w.orderers[0].delivered, w.orderers[i].delivered, "seed %d: %s", seed, w.state())
		}
	}
}

// Ten times as many requests leave as much in every table.
func TestTablesStayBounded(t *testing.T) {
	w := newWorld(t, setup{n: 4, f: 1, clients: 4, perClient: 2500, options: quick()})
	size := func() int {
		o := w.orderers[1]
		slots := 0
		for _, s := range o.log.ring {
			if s != nil {
				slots += 1 + len(s.bodies) + len(s.q)
			}
		}
		return slots + o.pending.Len() + len(o.inFlight) + len(o.checkpoints) + len(o.vcs) + len(o.acks) + len(o.future) + len(o.own)
	}
	w.run(t, time.Second)
	early, done := size(), len(w.samples)
	w.finish(t, time.Hour, 10000)
	require.Greater(t, len(w.samples), 9*done)
	require.LessOrEqual(t, size(), early+16)
}

// lie is an adversary that replaces what its node sends; nil is nothing.
type lie func(m protocols.WireMessage) protocols.WireMessage

func (l lie) Env(_ int, inner protocols.Env) protocols.Env    { return lyingEnv{inner, l} }
func (l lie) Node(_ int, inner protocols.Node) protocols.Node { return inner }

type lyingEnv struct {
	protocols.Env
	lie lie
}

func (e lyingEnv) Send(to protocols.NodeID, m protocols.WireMessage) {
	if m = e.lie(m); m != nil {
		e.Env.Send(to, m)
	}
}

func (e lyingEnv) Multicast(to protocols.Group, m protocols.WireMessage) {
	if m = e.lie(m); m != nil {
		e.Env.Multicast(to, m)
	}
}

func (e lyingEnv) Sub(label string) protocols.Env { return lyingEnv{e.Env.Sub(label), e.lie} }

func cut(at, d time.Duration, from, to []protocols.NodeID) netsim.Fault {
	return netsim.Fault{Kind: netsim.FaultPartition, At: protocols.Time(at), For: d, Nodes: from, Peers: to, OneWay: true}
}

func isolate(at, d time.Duration, node protocols.NodeID, others ...protocols.NodeID) netsim.Fault {
	return netsim.Fault{Kind: netsim.FaultPartition, At: protocols.Time(at), For: d, Groups: [][]protocols.NodeID{{node}, others}}
}

// Deliberate bugs must be found. Each schedule is one in which the rule that the
// bug breaks is what saves the cluster: without the bug nothing is violated,
// with it an invariant is, at some phase of the traffic.
func TestMutationsAreCaught(t *testing.T) {
	type nodes = []protocols.NodeID
	ms := time.Millisecond
	// forgetful denies in VIEW-CHANGE that anything prepared.
	forgetful := lie(func(m protocols.WireMessage) protocols.WireMessage {
		if v, ok := m.(*ViewChange); ok {
			c := *v
			c.Prepared = nil
			return &c
		}
		return m
	})
	// reticent sends no COMMIT in view 0.
	reticent := lie(func(m protocols.WireMessage) protocols.WireMessage {
		if c, ok := m.(*Commit); ok && c.View == 0 {
			return nil
		}
		return m
	})
	slow := quick()
	slow["view_change_timeout"], slow["resend"] = int64(10*ms), int64(60*ms)
	for _, c := range []struct {
		name   string
		bug    mutation
		liar   protocols.NodeID
		lie    protocols.Adversary
		faults func(at time.Duration) []netsim.Fault
	}{
		// Replica 3 alone collects PREPAREs and, with one COMMIT of the lying primary
		// beside its own, executes; the others then go on without it.
		{"2f commits instead of 2f+1", mutation{commitQuorum: 1}, 0, forgetful, func(at time.Duration) []netsim.Fault {
			return []netsim.Fault{
				cut(at, 50*ms, nodes{3, 1}, nodes{2}), cut(at, 50*ms, nodes{3, 2}, nodes{1}),
				isolate(at+50*ms, 400*ms, 3, 0, 1, 2),
			}
		}},
		// Replica 0 decides a slot that 2 and 3 have prepared only; the next primary
		// pretends that nothing was.
		{"NEW-VIEW without its certificate check", mutation{trustNewView: true, usurp: true}, 1, reticent, func(at time.Duration) []netsim.Fault {
			return []netsim.Fault{
				cut(at, 5*ms, nodes{0, 1, 3}, nodes{2}), cut(at, 5*ms, nodes{0, 1, 2}, nodes{3}), cut(at, 5*ms, nodes{0, 2, 3}, nodes{1}),
				isolate(at+5*ms, 400*ms, 0, 1, 2, 3),
			}
		}},
		// A proposal that only replica 3 got is executed there, and then lost.
		{"execution before commit", mutation{executeEarly: true}, 0, forgetful, func(at time.Duration) []netsim.Fault {
			return []netsim.Fault{
				cut(at, 50*ms, nodes{0}, nodes{1, 2}),
				isolate(at+5*ms, 400*ms, 3, 0, 1, 2),
			}
		}},
		// What replica 0 decided is in nobody's VIEW-CHANGE.
		{"P left out of VIEW-CHANGE", mutation{dropPrepared: true}, 1, reticent, func(at time.Duration) []netsim.Fault {
			return []netsim.Fault{
				cut(at, 5*ms, nodes{0, 1, 3}, nodes{2}), cut(at, 5*ms, nodes{0, 1, 2}, nodes{3}),
				isolate(at+5*ms, 400*ms, 0, 1, 2, 3),
			}
		}},
	} {
		violations := func(t *testing.T, bug mutation, phase int) []protocols.Violation {
			at := 30*ms + time.Duration(phase)*ms/4
			w := newWorld(t, setup{
				n: 4, f: 1, clients: 3, perClient: 1 << 20, seed: uint64(phase), options: slow, bug: bug, liar: c.liar,
				adversaries: map[protocols.NodeID]protocols.Adversary{c.liar: c.lie},
				config:      func(cfg *netsim.Config) { cfg.Faults = append(cfg.Faults, c.faults(at)...) },
			})
			w.run(t, 700*ms)
			return w.sim.Finish()
		}
		t.Run(c.name, func(t *testing.T) {
			caught := ""
			for phase := range 40 {
				require.Empty(t, violations(t, mutation{usurp: c.bug.usurp}, phase), "control, phase %d", phase)
				if v := violations(t, c.bug, phase); len(v) > 0 && caught == "" {
					caught = fmt.Sprintf("phase %d: %s: %s", phase, v[0].Invariant, v[0].Detail)
				}
			}
			require.NotEmpty(t, caught, "nothing noticed the bug")
			t.Log(caught)
		})
	}
}

// A run costs and says the same whether messages and records are encoded and decoded
// on their way or handed around as objects, restarts and fetched batches included.
func TestEncodingChangesNothing(t *testing.T) {
	pi, err := profile.Load("pi4")
	require.NoError(t, err)
	lossy := oneHop()
	lossy.Paths[0][0].LossPPM = 100_000
	fetched := uint64(0)
	for seed := range uint64(6) {
		run := func(wire bool) netsim.Stats {
			options := quick()
			options["snapshot_every"] = 20
			w := newWorld(t, setup{n: 4, f: 1, clients: 4, perClient: 30, seed: seed, options: options, top: lossy, config: func(c *netsim.Config) {
				c.Wire, c.Profile, c.Transport = wire, pi, netsim.Datagram
				crash(40*time.Millisecond, 20*time.Millisecond, false, 0, 1, 2, 3)(c)
				crash(150*time.Millisecond, 100*time.Millisecond, false, 0)(c)
				crash(400*time.Millisecond, 50*time.Millisecond, seed%2 == 0, 1)(c)
			}})
			w.finish(t, time.Minute, 120)
			st := w.sim.Stats()
			fetched += st.Type("BATCH").Sent
			return st
		}
		objects, bytes := run(false), run(true)
		require.Equal(t, objects.TraceHash, bytes.TraceHash, "seed %d", seed)
		for id := range protocols.NodeID(4) {
			require.Equal(t, objects.Node(id).Ops, bytes.Node(id).Ops, "seed %d, replica %d", seed, id)
		}
	}
	require.NotZero(t, fetched)
}
