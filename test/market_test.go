package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/catalog"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/adversary"
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

// script is how a story is replicated.
type script struct {
	n, f    int // 0 is 4 and 1
	options map[string]int64
	gap     time.Duration // between two submissions; 0 waits for the answer
	faults  []netsim.Fault
	// after is how many operations are executed when then strikes.
	after uint64
	then  netsim.Fault
	// attack is what replica 0 does; "" is nothing.
	attack string
}

// replicated runs a story through a protocol and returns the state of every correct
// replica. The order in which requests reach the primary is that of the story: all
// paths take equally long.
func replicated(t *testing.T, protocol string, st *stories.Story, sc script) ([]*market.State, *recording, *netsim.Sim) {
	n, f := max(sc.n, 4), max(sc.f, 1)
	entry, err := catalog.Protocols().Lookup(protocol)
	require.NoError(t, err)
	resolved, err := protocols.ResolveOptions(entry.Options, sc.options)
	require.NoError(t, err)
	top := &topology.Topology{
		Name: "one hop", Places: []topology.Place{{Name: "here"}},
		Paths: [][]topology.Path{{{Floor: int64(time.Millisecond), Burst: 1}}}, Replicas: []int{0}, Clients: []int{0},
	}
	correct := func(id protocols.NodeID) bool { return sc.attack == "" || id != 0 }
	checker := observe.New(observe.Config{N: n, Finality: entry.Finality, Correct: correct})
	table := entry.Messages()
	sim, err := netsim.New(netsim.Config{
		Seed: 1, Cluster: 1, Table: table, Topology: top, Observers: []protocols.Observer{checker}, Faults: sc.faults, RealCrypto: true,
		Interactive: sc.after > 0,
	})
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
		var lies protocols.Adversary
		if !correct(c.Self) {
			for _, a := range adversary.All(table) {
				if a.Name == sc.attack {
					options, err := protocols.ResolveOptions(a.Options, nil)
					require.NoError(t, err)
					lies = a.New(c, options, protocols.Group{c.Self})
				}
			}
			require.NotNil(t, lies, sc.attack)
		}
		_, err = sim.AddNode(netsim.NodeSpec{ID: c.Self, Host: host, Adversary: lies, New: func() []protocols.Node { return entry.NewReplica(c) }})
		require.NoError(t, err)
	}
	load := &recording{at: sc.gap}
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
	for sc.after > 0 && checker.Executed() < sc.after {
		require.NoError(t, sim.Run(sim.Now().Add(500*time.Microsecond)))
	}
	if sc.after > 0 {
		require.Equal(t, sc.after, checker.Executed(), "it strikes right there")
		f := sc.then
		f.At = sim.Now()
		require.NoError(t, sim.Inject(f))
	}
	for end := protocols.Time(10 * time.Minute); !load.done() && sim.Now() < end; {
		require.NoError(t, sim.Run(sim.Now().Add(100*time.Millisecond)))
	}
	require.True(t, load.done(), "%s: %d of %d answered", st.Name, load.next, len(load.ops))
	require.NoError(t, sim.Run(sim.Now().Add(2*time.Second)))
	require.Empty(t, sim.Finish())
	require.Equal(t, observe.True, checker.Report().Application)
	if !correct(0) {
		states = states[1:]
	}
	return states, load, sim
}

// same demands the story's codes, its balances and the root that the state machine
// has alone.
func same(t *testing.T, st *stories.Story, root protocols.Digest, states []*market.State, load *recording) {
	t.Helper()
	for k, step := range st.Steps {
		require.Equal(t, step.Want, market.CodeOf(load.results[k]), "step %d (%s)", k, step.Comment)
	}
	for r, s := range states {
		require.Equal(t, root, s.Root(), "replica %d", r)
		require.NoError(t, st.Check(s), "replica %d", r)
		require.NoError(t, market.Check(s))
	}
}

// calm are options of a cluster in which nobody is ever suspected.
func calm(batch int64) map[string]int64 {
	return map[string]int64{"batch_max": batch, "pipeline": 1, "client_timeout": int64(time.Hour), "client_timeout_max": int64(time.Hour), "view_change_timeout": int64(time.Hour)}
}

// hasty are options of a cluster that recovers quickly.
func hasty(batch int64) map[string]int64 {
	ms := int64(time.Millisecond)
	return map[string]int64{"batch_max": batch, "checkpoint": 8, "client_timeout": 100 * ms, "view_change_timeout": 200 * ms, "resend": 20 * ms}
}

func story(t *testing.T, name string) (stories.Story, protocols.Digest) {
	scheme := netsim.AppSchemeOf(&netsim.Config{RealCrypto: true})
	st, err := stories.Named(scheme, name)
	require.NoError(t, err)
	alone, err := st.Run(func(c protocols.SigCheck) bool { return scheme.Verify(c.Key, c.Message, c.Signature) })
	require.NoError(t, err)
	return st, alone.Root()
}

// The acceptance stories of the marketplace give the same codes, balances and root
// through consensus as on the state machine alone, whatever the batches are.
func TestStoriesThroughConsensus(t *testing.T) {
	scheme := netsim.AppSchemeOf(&netsim.Config{RealCrypto: true})
	all, err := stories.All(scheme)
	require.NoError(t, err)
	for i := range all {
		t.Run(all[i].Name, func(t *testing.T) {
			st, root := story(t, all[i].Name)
			for _, way := range []struct {
				name  string
				batch int64
				gap   time.Duration
			}{{"one at a time", 1, 0}, {"batches of 1", 1, time.Microsecond}, {"batches of 256", 256, time.Microsecond}} {
				t.Log(way.name)
				states, load, sim := replicated(t, "pbft", &st, script{options: calm(way.batch), gap: way.gap})
				same(t, &st, root, states, load)
				if way.batch > 1 && len(st.Steps) > 8 {
					stats := sim.Stats()
					require.Less(t, stats.Type("PRE-PREPARE").Sent/3, uint64(len(st.Steps)/2), "requests were batched")
				}
			}
		})
	}
}

// The story's genesis fixes clock keys and validators whatever the number of
// replicas is.
func TestStoryInALargerCluster(t *testing.T) {
	st, root := story(t, "AC13")
	for _, batch := range []int64{1, 256} {
		states, load, _ := replicated(t, "pbft", &st, script{n: 7, f: 2, options: calm(batch), gap: time.Microsecond})
		require.Len(t, states, 7)
		same(t, &st, root, states, load)
	}
}

// AC13: one recorded log under faults ends in one root.
func TestStoriesUnderFaults(t *testing.T) {
	st, root := story(t, "AC13")
	step := func(comment string) uint64 { // how many are executed when it is
		for i := range st.Steps {
			if st.Steps[i].Comment == comment {
				return uint64(i + 1)
			}
		}
		require.Fail(t, "no such step", comment)
		return 0
	}
	closed, paid := step("tick to 300"), step("c2 pays") // the bond-mode auction
	require.Less(t, closed+1, paid)
	middle := uint64(len(st.Steps) / 2)
	crash := func(length time.Duration, wipe bool, nodes ...protocols.NodeID) netsim.Fault {
		return netsim.Fault{Kind: netsim.FaultCrash, Nodes: nodes, For: length, Wipe: wipe}
	}
	for name, sc := range map[string]script{
		"primary killed between the bond-mode close and the payment": {after: closed, then: crash(time.Second, false, 0)},
		"replica restarts from its log":                              {after: middle, then: crash(50*time.Millisecond, false, 2)},
		"replica restarts with an empty disk":                        {after: middle, then: crash(50*time.Millisecond, true, 2)},
		"everybody is killed and comes back at once":                 {after: middle, then: crash(50*time.Millisecond, false, 0, 1, 2, 3)},
		"an equivocating replica, which is the first primary":        {attack: "equivocate"},
	} {
		for _, batch := range []int64{1, 256} {
			t.Run(fmt.Sprintf("%s, batch %d", name, batch), func(t *testing.T) {
				sc.options = hasty(batch)
				states, load, sim := replicated(t, "pbft", &st, sc)
				same(t, &st, root, states, load)
				if strings.Contains(name, "primary") {
					stats := sim.Stats()
					require.NotZero(t, stats.Type("NEW-VIEW").Sent, "the primary was replaced")
				}
			})
		}
	}
}
