package explore

import (
	"fmt"
	"time"

	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/adversary"
	"github.com/edgebft/edgebft/workloads"
	"github.com/edgebft/edgebft/workloads/kv"
	"github.com/edgebft/edgebft/workloads/load"
	"github.com/edgebft/edgebft/workloads/micro"
)

// Simulator runs scenarios in netsim. It keeps the read-only tables that runs
// share: topologies, profiles, message tables. One worker has one.
type Simulator struct {
	catalog    *scenario.Catalog
	topologies map[string]*topology.Topology
	profiles   map[string]*profile.Profile
	protocols  map[string]*protocolTables
}

// protocolTables are what all runs of a protocol share.
type protocolTables struct {
	entry    *protocols.Entry
	messages *protocols.MessageTable
	ledger   *protocols.MessageTable // with the messages of the marketplace's clocks
	attacks  map[string]*protocols.Attack
}

// NewSimulator returns a runner for the scenarios of a catalog.
func NewSimulator(c *scenario.Catalog) *Simulator {
	return &Simulator{
		catalog:    c,
		topologies: make(map[string]*topology.Topology),
		profiles:   make(map[string]*profile.Profile),
		protocols:  make(map[string]*protocolTables),
	}
}

func (r *Simulator) protocol(name string) (*protocolTables, error) {
	if t := r.protocols[name]; t != nil {
		return t, nil
	}
	e, err := r.catalog.Registry.Lookup(name)
	if err != nil {
		return nil, err
	}
	t := &protocolTables{entry: e, messages: e.Messages(), attacks: make(map[string]*protocols.Attack)}
	if app, err := workloads.Lookup("market"); err == nil {
		var types []protocols.MessageType
		for _, mt := range t.messages.Types() {
			types = append(types, *mt)
		}
		t.ledger = protocols.NewMessageTable(types, app.Messages())
	}
	generic := adversary.All(t.messages)
	for _, list := range [][]protocols.Attack{generic, e.Attacks} { // the protocol's own win
		for i := range list {
			t.attacks[list[i].Name] = &list[i]
		}
	}
	r.protocols[name] = t
	return t, nil
}

// cached returns m[name], made by load when it is asked for first.
func cached[T any](m map[string]*T, name string, load func(string) (*T, error)) (*T, error) {
	if x := m[name]; x != nil {
		return x, nil
	}
	x, err := load(name)
	if err == nil {
		m[name] = x
	}
	return x, err
}

// topology returns the topology of a scenario.
func (r *Simulator) topology(s *scenario.Scenario) (*topology.Topology, error) {
	if f := s.TopologyFile; f != nil {
		return topology.Parse(f.Path, f.Data)
	}
	return cached(r.topologies, s.Topology, topology.Load)
}

// placed returns the CPU profile of the hosts at each place, clients' included.
func (r *Simulator) placed(s *scenario.Scenario, t *topology.Topology) ([]*profile.Profile, error) {
	list := make([]*profile.Profile, len(t.Places))
	if s.Costs == scenario.CostsNone {
		return list, nil
	}
	var file *profile.Profile
	if f := s.CostsFile; f != nil {
		var err error
		if file, err = profile.Parse(f.Path, f.Data); err != nil {
			return nil, err
		}
	}
	for i := range list {
		if list[i] = file; file != nil {
			continue
		}
		name := s.Costs
		if name == scenario.CostsTopology {
			if name = t.Places[i].Profile; name == "" {
				name = scenario.HostProfile
			}
		}
		var err error
		if list[i], err = cached(r.profiles, name, profile.Load); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// simulation is one run.
type simulation struct {
	s        *scenario.Scenario
	tables   *protocolTables
	topology *topology.Topology
	profiles []*profile.Profile // by place; nil costs nothing
	sim      *netsim.Sim
	config   protocols.Config
	lies     map[protocols.NodeID]protocols.Adversary
	twins    map[protocols.NodeID][]protocols.Adversary // of further endpoints with its identity
	market   *market                                    // nil for other applications
	progress *progress
	judges   *judges
	loads    []*pacer
	pending  int // loads that are not done
	// target is the index up to which every correct replica has to come: what the
	// first had executed when all original requests were answered. Later ones may
	// be missing for ever, for a Byzantine primary may always leave one replica out
	// until the next checkpoint.
	target  uint64
	stopped bool // a checker has seen enough
	err     error
}

// Run implements Runner.
func (r *Simulator) Run(s *scenario.Scenario) (Outcome, error) {
	x := &simulation{s: s, lies: make(map[protocols.NodeID]protocols.Adversary), twins: make(map[protocols.NodeID][]protocols.Adversary), progress: newProgress(s.N)}
	if err := r.build(x); err != nil {
		return Outcome{}, err
	}
	return x.run()
}

// build makes the simulation of a scenario.
func (r *Simulator) build(x *simulation) error {
	s := x.s
	if err := honours(s); err != nil {
		return err
	}
	var err error
	if x.tables, err = r.protocol(s.Protocol); err != nil {
		return err
	}
	if x.topology, err = r.topology(s); err != nil {
		return err
	}
	if x.profiles, err = r.placed(s, x.topology); err != nil {
		return err
	}
	x.config = protocols.Config{
		Cluster: uint64(s.Seed) + 1, N: s.N, F: s.F, Replicas: protocols.Replicas(s.N),
		Options: s.Options.Resolved, NewApplication: application(s),
	}
	if err := x.adversaries(); err != nil {
		return err
	}
	cfg := netsim.Config{
		Seed: uint64(s.Seed), Cluster: x.config.Cluster, Table: x.tables.messages,
		Topology:   x.topology,
		Datagram:   netsim.Impairments{DuplicatePPM: int64(s.Duplicate), ReorderPPM: int64(s.Reorder), Window: run.HoldBack},
		Wire:       s.Wire,
		RealCrypto: s.Crypto == "real",
		NoRing:     true,
	}
	if x.isMarket() {
		cfg.Table = x.tables.ledger
		if err := x.newMarket(&cfg); err != nil {
			return err
		}
	}
	x.judges = newJudges(x)
	cfg.Observers = []protocols.Observer{x.progress, x.judges.checker}
	if own := x.tables.entry.Observers; own != nil {
		cfg.Observers = append(cfg.Observers, own(&x.config, x.correct)...)
	}
	switch s.Transport {
	case "datagram":
		cfg.Transport = netsim.Datagram
	case "tcp":
		cfg.Transport = netsim.TCP
	}
	if s.Loss > 0 {
		cfg.Faults = append(cfg.Faults, netsim.Fault{Kind: netsim.FaultLoss, PPM: int64(s.Loss)})
	}
	faults, err := run.NewFaults(s, nil).All()
	if err != nil {
		return err
	}
	for _, f := range faults {
		if f.On != nil { // it has to be over when the calm phase begins
			f.On.Until = protocols.Time(CalmAt(s)-f.For) - f.At
			if f.On.Until <= 0 {
				continue
			}
		}
		cfg.Faults = append(cfg.Faults, f)
	}
	cfg.Leader = func() []protocols.NodeID { return []protocols.NodeID{x.progress.primary} }
	if x.sim, err = netsim.New(cfg); err != nil {
		return err
	}
	if err := x.replicas(); err != nil {
		return err
	}
	return x.clients()
}

// application returns the constructor of the replicated application.
func application(s *scenario.Scenario) func() protocols.Application {
	if s.Workload.App == "kv" {
		return func() protocols.Application { return kv.New(s.Workload.Keys) }
	}
	return func() protocols.Application { return micro.New(micro.Config{ReplyBytes: int(s.Workload.ReplyBytes)}) }
}

// adversaries builds the Byzantine nodes.
func (x *simulation) adversaries() error {
	for i := range x.s.Adversaries {
		a := &x.s.Adversaries[i]
		attack := x.tables.attacks[a.Attack]
		if attack == nil {
			return fmt.Errorf("attack %q cannot be built for %s", a.Attack, x.s.Protocol)
		}
		peers := protocols.Group(run.NodeIDs(a.Nodes))
		for _, id := range peers {
			c := x.config
			c.Self = id
			x.lies[id] = attack.New(&c, a.Options.Resolved, peers)
			for k := 1; k < attack.Copies; k++ {
				if !id.IsReplica() {
					return fmt.Errorf("attack %s needs several endpoints, which clients do not have", a.Attack)
				}
				twin := c
				twin.Copy = k
				x.twins[id] = append(x.twins[id], attack.New(&twin, a.Options.Resolved, peers))
			}
		}
	}
	for _, n := range x.s.Byzantine() {
		x.progress.faulty[run.NodeID(n)] = true
	}
	return nil
}

// correct reports whether a node can be held to its word.
func (x *simulation) correct(id protocols.NodeID) bool {
	return x.lies[id] == nil && !(id.IsReplica() && x.progress.faulty[id])
}

func (x *simulation) host(places []int, i int) (netsim.HostID, error) {
	place := places[i%len(places)]
	return x.sim.AddHost(netsim.HostSpec{Place: place, Cores: x.s.Cores, Profile: x.profiles[place]})
}

func (x *simulation) replicas() error {
	var hosts []netsim.HostID
	for id := range protocols.NodeID(x.s.N) {
		host, err := x.host(x.topology.Replicas, int(id))
		if err != nil {
			return err
		}
		c := x.config
		c.Self = id
		c.NewApplication = x.judges.checker.Audit(id, c.NewApplication)
		entry := x.tables.entry
		if _, err := x.sim.AddNode(netsim.NodeSpec{
			ID: id, Host: host, Adversary: x.lies[id], Lanes: entry.Lanes(&c),
			New: func() []protocols.Node { return entry.NewReplica(&c) },
		}); err != nil {
			return err
		}
		hosts = append(hosts, host)
		for _, lie := range x.twins[id] {
			if host, err = x.host(x.topology.Replicas, int(id)); err != nil {
				return err
			}
			if _, err := x.sim.AddNode(netsim.NodeSpec{
				ID: id, Host: host, Adversary: lie, Twin: true,
				New: func() []protocols.Node { return entry.NewReplica(&c) },
			}); err != nil {
				return err
			}
		}
	}
	if x.market != nil {
		return x.clocks(hosts)
	}
	return nil
}

// clients puts the clients on their hosts.
func (x *simulation) clients() error {
	for _, p := range x.s.ClientProcesses() {
		if err := x.pool(protocols.FirstClient+protocols.NodeID(p.First), p.Count); err != nil {
			return err
		}
	}
	return nil
}

func (x *simulation) pool(first protocols.NodeID, count int) error {
	host, err := x.host(x.topology.Clients, int(first-protocols.FirstClient))
	if err != nil {
		return err
	}
	p := &pacer{think: x.s.Workload.Think.Std(), until: protocols.Time(x.s.Window.Total()), generator: x.generator(int(first - protocols.FirstClient)), done: func() {}}
	if x.lies[first] == nil { // nobody waits for a Byzantine client
		x.pending++
		p.done = func() { x.pending-- }
		p.history, p.first = x.judges.history, first
		x.loads = append(x.loads, p)
	}
	entry := x.tables.entry
	return x.sim.AddClients(netsim.ClientsSpec{
		Host: host, First: first, Count: count, Load: p, Adversary: x.lies[first], Outstanding: entry.Outstanding,
		New: func(id protocols.NodeID) protocols.Client {
			c := x.config
			c.Self = id
			return entry.NewClient(&c)
		},
	})
}

// generator makes the operations of a process of clients, the first of which has
// this number among all.
func (x *simulation) generator(first int) func(protocols.LoadEnv, int) (load.Generator, error) {
	return func(env protocols.LoadEnv, clients int) (load.Generator, error) {
		if x.market != nil {
			return x.market.generator(first, env, clients), nil
		}
		a, b := env.Stream("operations")
		w := &x.s.Workload
		var g load.Generator
		var err error
		if w.App == "kv" {
			g, err = kv.NewGenerator(kv.Mix{Get: 2, Put: 2, CAS: 1}, w.Keys, first, clients, func(u uint64) int { return int(u % uint64(w.Keys)) }, a, b)
		} else {
			g, err = micro.NewGenerator(int(w.RequestBytes), first, clients, a, b)
		}
		if err != nil {
			x.err = err
			x.sim.Stop("no generator")
			return nil, err
		}
		return g, nil
	}
}

// run lets the faults play, calms the network and waits for the answers.
func (x *simulation) run() (Outcome, error) {
	total := x.s.Window.Total()
	calm := CalmAt(x.s)
	err := x.advance(protocols.Time(max(total, calm)))
	bound := x.s.Checks.LivenessBound.Std()
	end := protocols.Time(max(total, calm) + bound)
	exhausted := false
	step := firstSlice
	for slice, round := 0, 0; err == nil && !x.stopped && !exhausted && !x.settled() && x.sim.Now() < end; slice++ {
		if x.pending == 0 && step > settling {
			x.again(1 << min(round, 8))
			round, step = round+1, firstSlice
		}
		err = x.advance(min(end, x.sim.Now().Add(step)))
		step = max(firstSlice, min(2*step, bound/64))
		exhausted = slice%8 == 7 && x.sim.Stats().Events > Budget
	}
	if x.err != nil {
		return Outcome{}, x.err
	}
	stats := x.sim.Stats()
	out := Outcome{Node: protocols.Nobody, At: stats.Now, Virtual: time.Duration(stats.Now), Events: stats.Events, TraceHash: stats.TraceHash}
	for _, l := range x.loads {
		out.Requests += l.submitted
		out.Answered += l.answered
	}
	if err != nil {
		out.Verdict, out.Invariant, out.Detail = Violation, "contract", err.Error()
		return out, nil
	}
	if found := x.sim.Finish(); len(found) > 0 {
		v := found[0]
		out.Verdict, out.Invariant, out.At, out.Node, out.Detail = Violation, v.Invariant, v.At, v.Node, v.Detail
		return out, nil
	}
	switch {
	case exhausted:
		out.Verdict, out.Invariant = Undecided, "budget"
		out.Detail = fmt.Sprintf("%d events and still %d requests unanswered (%s)", out.Events, out.Requests-out.Answered, x.progress)
	case x.pending > 0:
		out.Verdict, out.Invariant = NoProgress, "liveness"
		out.Detail = fmt.Sprintf("%d of %d requests unanswered %s after the network calmed (%s)", out.Requests-out.Answered, out.Requests, x.s.Checks.LivenessBound, x.progress)
	case !x.settled():
		out.Verdict, out.Invariant, out.Node = NoProgress, "convergence", x.progress.behind(x.target)
		out.Detail = fmt.Sprintf("replica %d did not catch up within %s after the network calmed (%s)", out.Node, x.s.Checks.LivenessBound, x.progress)
	default:
		x.judges.finish(&out)
	}
	return out, nil
}

// Budget bounds the events of one run, roughly. A run that needs more is
// undecided.
const Budget = 5_000_000

const (
	// firstSlice is how long a run goes on at first before it is looked at again.
	firstSlice = time.Millisecond
	// settling is how long a replica may be behind after the last answer before
	// more load is offered.
	settling = 50 * time.Millisecond
)

// again offers more load.
func (x *simulation) again(requests int) {
	for _, l := range x.loads {
		x.pending++
		l.again(x.sim.Now(), requests)
	}
}

// settled reports whether every request of a correct client is answered and every
// correct replica has come as far as the first one had when that was so first.
func (x *simulation) settled() bool {
	if x.pending > 0 {
		return false
	}
	if x.target == 0 {
		x.target = x.progress.most()
	}
	return x.progress.behind(x.target) == protocols.Nobody
}

// advance runs to a time, unless a checker stops the run before.
func (x *simulation) advance(to protocols.Time) error {
	err := x.sim.Run(to)
	x.stopped = x.stopped || err == nil && x.sim.Now() < to
	return err
}
