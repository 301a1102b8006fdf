package explore

import (
	"time"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/load"
	"github.com/edgebft/edgebft/workloads/mix"
)

// The smallest market that has everything.
const (
	marketChain   = 7
	marketDevices = 4
)

// drawMarket makes the marketplace the application of a schedule.
func drawMarket(s *scenario.Scenario, horizon time.Duration) {
	w := &s.Workload
	w.App, w.Keys = "market", marketDevices
	tick := max(10*time.Millisecond, (horizon / 16).Truncate(time.Millisecond))
	w.Options.Set = map[string]string{"tick": strict.Duration(tick).String(), "users": "8", "services": "1"}
}

// market is the ledger of a run: the world that its clients play, and the clocks.
type market struct {
	world    *mix.World
	workload *workloads.Workload
	scheme   protocols.AppScheme
}

func (x *simulation) isMarket() bool { return x.s.Workload.App == "market" }

// collector is the id of the client that makes ledger time advance.
func (x *simulation) collector() protocols.NodeID {
	return protocols.FirstClient + protocols.NodeID(x.s.Clients)
}

// newMarket makes the ledger; there is one shard for each process of clients.
func (x *simulation) newMarket(cfg *netsim.Config) error {
	s := x.s
	m := &market{scheme: netsim.AppSchemeOf(cfg)}
	minimum := x.tables.entry.FaultModel == protocols.CrossFault
	var err error
	if m.world, err = mix.NewWorld(mix.Config{
		Weights: [5]int{mix.Register: 10, mix.Auction: 30, mix.Service: 25, mix.Channel: 25, mix.Transfer: 10},
		Tick:    s.Workload.Options.Resolved.Duration("tick"), Devices: s.Workload.Keys, Theta: arrival.Milli(s.Workload.Zipf), BidderTheta: min(arrival.Milli(s.Workload.Zipf), 600),
		Users: s.Workload.Options.Resolved.Int("users"), Services: s.Workload.Options.Resolved.Int("services"),
		Clients: s.Clients, Shards: s.Clients, BondPermille: 400, DefaultPermille: 200, FailPermille: 50,
	}, mix.Cluster{Chain: marketChain, N: s.N, F: s.F, Minimum: minimum}, m.scheme); err != nil {
		return err
	}
	// Of the workload only the clocks are used, which know no clients.
	if m.workload, err = workloads.New(workloads.Spec{
		App: "market", Kind: workloads.Closed, Outstanding: 1, Keys: 1, Options: s.Workload.Options.Values,
	}, workloads.Env{
		Scheme: m.scheme, Chain: marketChain, N: s.N, F: s.F, Minimum: minimum, Clients: []int{1}, Outstanding: 1,
		Collector: protocols.Group{x.collector()},
	}); err != nil {
		return err
	}
	x.market = m
	x.config.NewApplication = m.world.Application
	return nil
}

// verify checks an application signature.
func (m *market) verify(c protocols.SigCheck) bool {
	return m.scheme.Verify(c.Key, c.Message, c.Signature)
}

// generator plays the shard of the process whose first client is given.
func (m *market) generator(first int, env protocols.LoadEnv, clients int) load.Generator {
	return m.world.Shard(first).NewGenerator(env, clients)
}

// clocks adds the agents beside the replicas, and the client that collects what they
// report.
func (x *simulation) clocks(hosts []netsim.HostID) error {
	for _, a := range x.market.workload.Agents {
		if _, err := x.sim.AddNode(netsim.NodeSpec{ID: a.ID, Host: hosts[a.Beside], New: func() []protocols.Node { return []protocols.Node{a.New()} }}); err != nil {
			return err
		}
	}
	host, err := x.host(x.topology.Clients, x.s.Clients)
	if err != nil {
		return err
	}
	return x.sim.AddClients(netsim.ClientsSpec{Host: host, First: x.collector(), Count: 1, New: func(id protocols.NodeID) protocols.Client {
		c := x.config
		c.Self = id
		return x.market.workload.Collector(x.judges.history.Watch(x.tables.entry.NewClient(&c), id))
	}})
}
