package pbft

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
	"github.com/edgebft/edgebft/workloads/load"
	"github.com/edgebft/edgebft/workloads/micro"
)

// oneHop is a network in which every message takes exactly hop, and nothing else
// takes any time.
const hop = time.Millisecond

func oneHop() *topology.Topology {
	return &topology.Topology{
		Name: "one hop", Places: []topology.Place{{Name: "here"}},
		Paths: [][]topology.Path{{{Floor: int64(hop), Burst: 1}}}, Replicas: []int{0}, Clients: []int{0},
	}
}

// world is a simulated PBFT cluster for tests.
type world struct {
	sim      *netsim.Sim
	check    *observe.Checker
	orderers map[protocols.NodeID]*Orderer
	replicas map[protocols.NodeID]*smr.Replica
	loads    []*limited
	samples  []protocols.Sample
}

type setup struct {
	n, f, clients int
	perClient     int // operations that each client invokes
	seed          uint64
	options       map[string]int64
	config        func(*netsim.Config)
	adversaries   map[protocols.NodeID]protocols.Adversary
	bug           mutation
	liar          protocols.NodeID // the only one whom bug.usurp concerns
	top           *topology.Topology
}

// limited is a closed loop that ends after a number of operations per client.
type limited struct {
	inner     load.Generator
	left      []int
	submitted int
}

func (l *limited) Next(user int, now protocols.Time) (uint8, []byte, bool) {
	if l.left[user] == 0 {
		return 0, nil, false
	}
	class, op, ok := l.inner.Next(user, now)
	if ok {
		l.left[user]--
		l.submitted++
	}
	return class, op, ok
}

func (l *limited) Result(user int, now protocols.Time, op, result []byte) protocols.Outcome {
	return l.inner.Result(user, now, op, result)
}

func newWorld(t testing.TB, s setup) *world {
	w := &world{orderers: make(map[protocols.NodeID]*Orderer), replicas: make(map[protocols.NodeID]*smr.Replica)}
	options, err := protocols.ResolveOptions(Options(), s.options)
	require.NoError(t, err)
	if s.top == nil {
		s.top = oneHop()
	}
	correct := func(id protocols.NodeID) bool { return s.adversaries[id] == nil }
	w.check = observe.New(observe.Config{N: s.n, Correct: correct})
	cfg := netsim.Config{Seed: s.seed + 1, Cluster: 7, Table: Messages(), Topology: s.top, Observers: []protocols.Observer{w.check}, Interactive: true}
	if s.config != nil {
		s.config(&cfg)
	}
	w.sim, err = netsim.New(cfg)
	require.NoError(t, err)
	base := protocols.Config{
		Cluster: 7, N: s.n, F: s.f, Replicas: protocols.Replicas(s.n), Options: options,
		NewApplication: func() protocols.Application { return micro.New(micro.Config{ReplyBytes: 8}) },
	}
	for i := range s.n {
		host, err := w.sim.AddHost(netsim.HostSpec{})
		require.NoError(t, err)
		c := base
		c.Self = protocols.NodeID(i)
		_, err = w.sim.AddNode(netsim.NodeSpec{ID: c.Self, Host: host, Adversary: s.adversaries[c.Self], New: func() []protocols.Node {
			oc := Configure(&c)
			oc.mutate = s.bug
			oc.mutate.usurp = s.bug.usurp && c.Self == s.liar
			o := NewOrderer(oc)
			w.orderers[c.Self], w.replicas[c.Self] = o, smr.NewReplica(&c, o, replicaOptions(&c, oc))
			return []protocols.Node{w.replicas[c.Self]}
		}})
		require.NoError(t, err)
	}
	for i := range s.clients {
		host, err := w.sim.AddHost(netsim.HostSpec{})
		require.NoError(t, err)
		l := &limited{}
		w.loads = append(w.loads, l)
		closed, err := load.NewClosed(load.ClosedConfig{Config: load.Config{Generator: func(env protocols.LoadEnv, users int) load.Generator {
			a, b := env.Stream("operations")
			g, err := micro.NewGenerator(16, i, users, a, b)
			require.NoError(t, err)
			l.inner, l.left = g, []int{s.perClient}
			return l
		}}})
		require.NoError(t, err)
		id := protocols.FirstClient + protocols.NodeID(i)
		require.NoError(t, w.sim.AddClients(netsim.ClientsSpec{
			Host: host, First: id, Count: 1, Load: closed, Adversary: s.adversaries[id],
			New: func(id protocols.NodeID) protocols.Client {
				c := base
				c.Self = id
				return NewClient(&c)
			},
			Record: func(x protocols.Sample) { w.samples = append(w.samples, x) },
		}))
	}
	return w
}

func (w *world) run(t testing.TB, d time.Duration) {
	require.NoError(t, w.sim.Run(w.sim.Now().Add(d)))
}

// finish runs on until all operations are answered, at most for d, and requires
// that no invariant was broken and, unless told otherwise, that all were answered.
func (w *world) finish(t testing.TB, d time.Duration, want int) {
	end := w.sim.Now().Add(d)
	for len(w.samples) < want && w.sim.Now() < end {
		w.run(t, 100*time.Millisecond)
	}
	require.Empty(t, w.sim.Finish())
	require.Len(t, w.samples, want, w.state())
}

func (w *world) state() string {
	s := ""
	for i := range len(w.orderers) {
		o := w.orderers[protocols.NodeID(i)]
		s += fmt.Sprintf("replica %d: view %d active %v h %d delivered %d learner %v pending %d; ", i, o.view, o.active, o.h, o.delivered, o.learner != nil, o.pending.Len())
	}
	return s
}

// The analytical cost of the common case (acceptance 4 of the issue, and the
// tables of the sheets): per batch n-1 PRE-PREPARE, (n-1)^2 PREPARE, n(n-1)
// COMMIT, per request n REPLY; five one-way delays.
func TestCommonCaseCountsAndDelays(t *testing.T) {
	for _, n := range []int{4, 7, 10, 31} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			const requests = 20
			f := protocols.MaxByzantine(n)
			w := newWorld(t, setup{n: n, f: f, clients: 1, perClient: requests, options: map[string]int64{"pipeline": 1}})
			w.finish(t, time.Minute, requests)
			stats := w.sim.Stats()
			sent := func(name string) uint64 { return stats.Type(name).Sent }
			un, batches := uint64(n), uint64(requests)
			require.Equal(t, batches, sent("REQUEST"))
			require.Equal(t, batches*(un-1), sent("PRE-PREPARE"))
			require.Equal(t, batches*(un-1)*(un-1), sent("PREPARE"))
			require.Equal(t, batches*un*(un-1), sent("COMMIT"))
			require.Equal(t, batches*un, sent("REPLY"))
			for _, mt := range stats.Types {
				switch mt.Name {
				case "REQUEST", "PRE-PREPARE", "PREPARE", "COMMIT", "REPLY":
				default:
					require.Zero(t, mt.Sent, mt.Name)
				}
			}
			for _, s := range w.samples {
				require.Equal(t, 5*hop, s.Finished.Sub(s.Sent), "request, PRE-PREPARE, PREPARE, COMMIT, REPLY")
			}
			// MAC operations per request, batches of one. The primary checks the client's
			// MAC, makes n-1 for the PRE-PREPARE, checks n-1 PREPAREs, makes and checks
			// n-1 COMMITs, makes one for the REPLY. A backup checks the PRE-PREPARE and
			// the client's MAC in it, makes n-1 PREPAREs and checks n-2, then as above.
			for i := range n {
				ops := stats.Node(protocols.NodeID(i)).Ops
				macs := ops[protocols.OpMAC] + ops[protocols.OpMACVerify]
				want := 1 + (un - 1) + (un - 1) + 2*(un-1) + 1
				if i > 0 {
					want = 2 + (un - 1) + (un - 2) + 2*(un-1) + 1
				}
				require.Equal(t, want*batches, macs, "replica %d", i)
				require.Zero(t, ops[protocols.OpSign]+ops[protocols.OpVerify], "no signature in the common case")
			}
		})
	}
}
