package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/catalog"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/market"
	"github.com/edgebft/edgebft/workloads/market/stories"
)

// recording is a Load that submits a list of operations, one client each, in
// order: the next once the one before was answered, or all a microsecond apart.
type recording struct {
	ops     [][]byte
	at      time.Duration // between two submissions; 0 waits for the answer
	results [][]byte
	next    int
	env     protocols.LoadEnv
}

func (r *recording) Start(env protocols.LoadEnv, _ int) {
	r.env = env
	r.results = make([][]byte, len(r.ops))
	r.submit()
}

func (r *recording) submit() {
	if r.next == len(r.ops) {
		return
	}
	r.env.Invoke(r.next, uint64(r.next), r.ops[r.next])
	r.next++
	if r.at > 0 {
		r.env.WakeAt(r.env.Now().Add(r.at))
	}
}

func (r *recording) Wake(protocols.Time) { r.submit() }

func (r *recording) Completed(_ int, c protocols.Completion) {
	r.results[c.ID] = c.Result
	if r.at == 0 {
		r.submit()
	}
}

func (r *recording) done() bool {
	for _, x := range r.results {
		if x == nil {
			return false
		}
	}
	return r.next == len(r.ops)
}

// replicated runs a story through a protocol and returns the state of every
// replica. The order in which requests reach the primary is that of the story: all
// paths take equally long.
func replicated(t *testing.T, protocol string, st *stories.Story, options map[string]int64, gap time.Duration, faults ...netsim.Fault) ([]*market.State, *recording, *netsim.Sim) {
	const n, f = 4, 1
	entry, err := catalog.Protocols().Lookup(protocol)
	require.NoError(t, err)
	resolved, err := protocols.ResolveOptions(entry.Options, options)
	require.NoError(t, err)
	top := &topology.Topology{
		Name: "one hop", Places: []topology.Place{{Name: "here"}},
		Paths: [][]topology.Path{{{Floor: int64(time.Millisecond), Burst: 1}}}, Replicas: []int{0}, Clients: []int{0},
	}
	checker := observe.New(observe.Config{N: n, Finality: entry.Finality})
	sim, err := netsim.New(netsim.Config{Seed: 1, Cluster: 1, Table: entry.Messages(), Topology: top, Observers: []protocols.Observer{checker}, Faults: faults, RealCrypto: true})
	require.NoError(t, err)
	states := make([]*market.State, n)
	for i := range n {
		host, err := sim.AddHost(netsim.HostSpec{})
		require.NoError(t, err)
		c := &protocols.Config{Cluster: 1, Self: protocols.NodeID(i), N: n, F: f, Replicas: protocols.Replicas(n), Options: resolved}
		c.NewApplication = func() protocols.Application {
			s, err := market.New(st.Genesis)
			require.NoError(t, err)
			states[i] = s
			return s
		}
		c.NewApplication = checker.Audit(c.Self, c.NewApplication)
		_, err = sim.AddNode(netsim.NodeSpec{ID: c.Self, Host: host, New: func() []protocols.Node { return entry.NewReplica(c) }})
		require.NoError(t, err)
	}
	load := &recording{at: gap}
	for _, step := range st.Steps {
		load.ops = append(load.ops, step.Tx)
	}
	host, err := sim.AddHost(netsim.HostSpec{})
	require.NoError(t, err)
	require.NoError(t, sim.AddClients(netsim.ClientsSpec{
		Host: host, First: protocols.FirstClient, Count: len(load.ops), Load: load,
		New: func(id protocols.NodeID) protocols.Client {
			return entry.NewClient(&protocols.Config{Cluster: 1, Self: id, N: n, F: f, Replicas: protocols.Replicas(n), Options: resolved})
		},
	}))
	for end := protocols.Time(10 * time.Minute); !load.done() && sim.Now() < end; {
		require.NoError(t, sim.Run(sim.Now().Add(100*time.Millisecond)))
	}
	require.True(t, load.done(), "%s: %d of %d answered", st.Name, load.next, len(load.ops))
	require.NoError(t, sim.Run(sim.Now().Add(2*time.Second)))
	require.Empty(t, sim.Finish())
	return states, load, sim
}

// The acceptance stories of the marketplace give the same codes, balances and root
// through consensus as on the state machine alone, whatever the batches are.
func TestStoriesThroughConsensus(t *testing.T) {
	scheme := netsim.AppSchemeOf(&netsim.Config{RealCrypto: true})
	all, err := stories.All(scheme)
	require.NoError(t, err)
	for i := range all {
		st := &all[i]
		t.Run(st.Name, func(t *testing.T) {
			alone, err := st.Run(func(c protocols.SigCheck) bool { return scheme.Verify(c.Key, c.Message, c.Signature) })
			require.NoError(t, err)
			for _, way := range []struct {
				name  string
				batch int64
				gap   time.Duration
			}{{"one at a time", 1, 0}, {"batches of 1", 1, time.Microsecond}, {"batches of 256", 256, time.Microsecond}} {
				states, load, sim := replicated(t, "pbft", st, map[string]int64{"batch_max": way.batch, "pipeline": 1, "client_timeout": int64(time.Hour), "client_timeout_max": int64(time.Hour), "view_change_timeout": int64(time.Hour)}, way.gap)
				for k, step := range st.Steps {
					require.Equal(t, step.Want, market.CodeOf(load.results[k]), "%s: step %d (%s)", way.name, k, step.Comment)
				}
				for r, s := range states {
					require.Equal(t, alone.Root(), s.Root(), "%s: replica %d", way.name, r)
					require.NoError(t, st.Check(s), "%s: replica %d", way.name, r)
					require.NoError(t, market.Check(s))
				}
				if way.batch > 1 && len(st.Steps) > 8 {
					stats := sim.Stats()
					require.Less(t, stats.Type("PRE-PREPARE").Sent/3, uint64(len(st.Steps)/2), "requests were batched")
				}
			}
		})
	}
}

// AC13: one recorded log under faults ends in one root.
func TestStoriesUnderFaults(t *testing.T) {
	scheme := netsim.AppSchemeOf(&netsim.Config{RealCrypto: true})
	st, err := stories.Named(scheme, "AC13")
	require.NoError(t, err)
	alone, err := st.Run(func(c protocols.SigCheck) bool { return scheme.Verify(c.Key, c.Message, c.Signature) })
	require.NoError(t, err)
	middle := protocols.Time(len(st.Steps)/2) * protocols.Time(5*time.Millisecond)
	ms := int64(time.Millisecond)
	for name, fault := range map[string]netsim.Fault{
		"primary killed in the middle":               {Kind: netsim.FaultCrash, At: middle, Nodes: []protocols.NodeID{0}, For: time.Second},
		"replica restarts from its log":              {Kind: netsim.FaultCrash, At: middle, Nodes: []protocols.NodeID{2}, For: 50 * time.Millisecond},
		"replica restarts with an empty disk":        {Kind: netsim.FaultCrash, At: middle, Nodes: []protocols.NodeID{2}, For: 50 * time.Millisecond, Wipe: true},
		"everybody is killed and comes back at once": {Kind: netsim.FaultCrash, At: middle, Nodes: []protocols.NodeID{0, 1, 2, 3}, For: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			states, load, _ := replicated(t, "pbft", &st, map[string]int64{"checkpoint": 8, "client_timeout": 100 * ms, "view_change_timeout": 200 * ms, "resend": 20 * ms}, 0, fault)
			for k, step := range st.Steps {
				require.Equal(t, step.Want, market.CodeOf(load.results[k]), fmt.Sprintf("step %d (%s)", k, step.Comment))
			}
			for r, s := range states {
				require.Equal(t, alone.Root(), s.Root(), "replica %d", r)
				require.NoError(t, st.Check(s))
			}
		})
	}
}
