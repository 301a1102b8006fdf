package workloads_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/pbft"
	"github.com/edgebft/edgebft/workloads"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/market"
)

// roots gathers what replicas executed.
type roots struct {
	digests map[uint64]protocols.Digest
	bad     int
	high    uint64
}

func (r *roots) Observe(_ protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if ev.Kind != protocols.EventExecuted || !node.IsReplica() {
		return
	}
	if d, ok := r.digests[ev.Index]; ok && d != ev.Digest {
		r.bad++
	}
	r.digests[ev.Index] = ev.Digest
	r.high = max(r.high, ev.Index)
}

func (r *roots) Finish(protocols.Time) []protocols.Violation { return nil }

type outcome struct {
	trace   string
	samples []protocols.Sample
	apps    []protocols.Application
	roots   *roots
	w       *workloads.Workload
}

// simulate runs a workload over PBFT in the simulator.
func simulate(t *testing.T, s workloads.Spec, end time.Duration, seed uint64, faults ...netsim.Fault) outcome {
	t.Helper()
	const n, f = 4, 1
	entry := pbft.Protocol()
	app, err := workloads.Lookup(s.App)
	require.NoError(t, err)
	var types []protocols.MessageType
	for _, mt := range entry.Messages().Types() {
		types = append(types, *mt)
	}
	lan, err := topology.Load("lan")
	require.NoError(t, err)
	out := outcome{roots: &roots{digests: map[uint64]protocols.Digest{}}}
	epoch := protocols.Time(1_800_000_000_000_000_000)
	sim, err := netsim.New(netsim.Config{
		Seed: seed, Cluster: 7, Table: protocols.NewMessageTable(types, app.Messages()), Topology: lan, Epoch: epoch,
		Observers: []protocols.Observer{out.roots}, NoRing: true, Faults: faults,
	})
	require.NoError(t, err)
	clients := []int{5, 3}
	collector := protocols.FirstClient + 8
	w, err := workloads.New(s, workloads.Env{
		Scheme: sim.AppScheme(), Chain: 7, N: n, F: f, Clients: clients, Outstanding: entry.Outstanding, Origin: epoch,
		Collector: protocols.Group{collector},
	})
	require.NoError(t, err)
	out.w = w
	options, err := protocols.ResolveOptions(entry.Options, nil)
	require.NoError(t, err)
	config := func(id protocols.NodeID) *protocols.Config {
		return &protocols.Config{Cluster: 7, Self: id, N: n, F: f, Replicas: protocols.Replicas(n), Options: options, NewApplication: func() protocols.Application {
			a := w.NewApplication()
			out.apps = append(out.apps, a)
			return a
		}}
	}
	var hosts []netsim.HostID
	for i := range n {
		h, err := sim.AddHost(netsim.HostSpec{Place: lan.Replicas[i%len(lan.Replicas)]})
		require.NoError(t, err)
		hosts = append(hosts, h)
		id := protocols.NodeID(i)
		_, err = sim.AddNode(netsim.NodeSpec{ID: id, Host: h, New: func() []protocols.Node { return entry.NewReplica(config(id)) }})
		require.NoError(t, err)
	}
	for _, a := range w.Agents {
		_, err := sim.AddNode(netsim.NodeSpec{ID: a.ID, Host: hosts[a.Beside], New: func() []protocols.Node { return []protocols.Node{a.New()} }})
		require.NoError(t, err)
	}
	client := func(id protocols.NodeID) protocols.Client { return entry.NewClient(config(id)) }
	first := protocols.FirstClient
	for i, count := range clients {
		h, err := sim.AddHost(netsim.HostSpec{Place: lan.Clients[i%len(lan.Clients)]})
		require.NoError(t, err)
		require.NoError(t, sim.AddClients(netsim.ClientsSpec{
			Host: h, First: first, Count: count, New: client, Load: w.Loads[i], Outstanding: w.Outstanding,
			Record: func(x protocols.Sample) { out.samples = append(out.samples, x) },
		}))
		first += protocols.NodeID(count)
		if i == 0 && w.Collector != nil {
			require.NoError(t, sim.AddClients(netsim.ClientsSpec{
				Host: h, First: collector, Count: 1,
				New: func(id protocols.NodeID) protocols.Client { return w.Collector(client(id)) },
			}))
		}
	}
	require.NoError(t, sim.Run(protocols.Time(end)))
	require.Empty(t, sim.Finish())
	out.trace = sim.TraceHash()
	return out
}

func count(o outcome) (done, rejected int, classes map[string]int) {
	classes = map[string]int{}
	for _, x := range o.samples {
		switch x.Outcome {
		case protocols.Done:
			done++
			classes[o.w.App.Classes[x.Class]]++
		case protocols.Rejected:
			rejected++
		}
	}
	return done, rejected, classes
}

func TestMarketOverPBFT(t *testing.T) {
	s := workloads.Spec{
		App: "market", Kind: workloads.Open, Arrivals: arrival.Config{Kind: arrival.Poisson, Rate: 400 * arrival.PerSecond},
		Keys: 200, Zipf: 990, Timeout: 5 * time.Second, Options: map[string]int64{"tick": 100e6},
	}
	a := simulate(t, s, 6*time.Second, 7)
	done, rejected, classes := count(a)
	t.Log(done, rejected, classes)
	require.InEpsilon(t, 2400, done, 0.05)
	require.Less(t, rejected*100, done)
	require.Zero(t, a.roots.bad)
	for _, name := range a.w.App.Classes {
		switch name {
		case "AuctionClose", "ChannelSettle", "unsent":
		default:
			require.Positive(t, classes[name], name)
		}
	}
	best := a.apps[0].(*market.State)
	for _, app := range a.apps {
		if st := app.(*market.State); st.Version() > best.Version() {
			best = st
		}
	}
	require.NoError(t, market.Check(best))
	require.InDelta(t, 6900, best.Now(), 250, "ledger time follows the wall clock; it began one epoch of the services before")
	b := simulate(t, s, 6*time.Second, 7)
	require.Equal(t, a.trace, b.trace)
	require.Equal(t, a.samples, b.samples)
	require.NotEqual(t, a.trace, simulate(t, s, time.Second, 8).trace)
}

// Ledger time survives the crash of a replica with its clock, and the
// collector's being held up.
func TestLedgerTimeSurvivesCrashes(t *testing.T) {
	s := workloads.Spec{App: "w3", Kind: workloads.Closed, Think: 50 * time.Millisecond, Keys: 100, Zipf: 990, Options: map[string]int64{"tick": 50e6}}
	a := simulate(t, s, 8*time.Second, 3,
		netsim.Fault{Kind: netsim.FaultCrash, At: protocols.Time(time.Second), Nodes: []protocols.NodeID{0, protocols.FirstAgent}},
		netsim.Fault{Kind: netsim.FaultPause, At: protocols.Time(2 * time.Second), Nodes: []protocols.NodeID{protocols.FirstClient + 8}, For: time.Second},
	)
	done, rejected, classes := count(a)
	t.Log(done, rejected, classes)
	require.Zero(t, a.roots.bad)
	var last protocols.Time
	for _, x := range a.samples {
		if x.Outcome == protocols.Done && a.w.App.Classes[x.Class] == "KeyDeliver" {
			last = x.Finished
		}
	}
	require.Greater(t, last, protocols.Time(7*time.Second), "auctions still end")
}

func TestPlainApplicationsOverPBFT(t *testing.T) {
	for _, app := range []string{"micro", "kv"} {
		s := workloads.Spec{App: app, Kind: workloads.Closed, Keys: 16, Zipf: 600, Timeout: time.Second}
		if app == "micro" {
			s.Keys, s.Zipf, s.RequestBytes, s.ReplyBytes = 0, 0, 1024, 16
		}
		a := simulate(t, s, 300*time.Millisecond, 1)
		done, rejected, _ := count(a)
		require.Greater(t, done, 500, fmt.Sprint(app, done))
		require.Zero(t, rejected)
		require.Zero(t, a.roots.bad)
	}
}
