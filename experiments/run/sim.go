package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/adversary"
	"github.com/edgebft/edgebft/workloads"
	"github.com/edgebft/edgebft/workloads/arrival"
)

// Options are what does not belong to the scenario because it does not change the
// result.
type Options struct {
	// Sink receives the full trace.
	Sink netsim.TraceSink
	// SinkFrom and SinkTo bound it; SinkTo 0 is the end.
	SinkFrom, SinkTo time.Duration
	// Inspect is called with the simulation when it has ended.
	Inspect func(*netsim.Sim)
	// Mode and Streams of the kernel; traces are equal.
	Mode    netsim.Mode
	Streams netsim.Streams
}

const (
	livenessBound = time.Minute
	chain         = 7
	cluster       = 1
	clientCores   = 8
)

// netsim tells the checker of new lives, which Config.Restarts relies on.
var _ netsim.Restarter = (*observe.Checker)(nil)

// run is one simulation of a scenario.
type run struct {
	s        *scenario.Scenario
	opt      Options
	entry    *protocols.Entry
	top      *topology.Topology
	costs    *costs
	sim      *netsim.Sim
	load     *workloads.Workload
	config   protocols.Config
	lies     map[protocols.NodeID]protocols.Adversary
	hosts    []netsim.HostID // of replicas
	cores    map[netsim.HostID]int64
	clients  []protocols.NodeID // first client of each process
	loads    []*process
	progress *progress
	checker  *observe.Checker
	history  *observe.History
	recorder *result.Recorder
	twins    []twinOf
	timeline []result.ReplicaRow
	before   []netsim.NodeStats // at the last tick of the timeline
	executed []int64            // at the last tick
	cut      bool               // the timeline has reached its bound
	trace    *traceFile
	requests *requestFile
}

// Sim runs a resolved scenario in the simulator. The error says that the run itself
// failed; broken invariants and the like are in the outcome.
func Sim(ctx context.Context, c *scenario.Catalog, s *scenario.Scenario, opt Options) (*result.Outcome, error) {
	if !s.Resolved() {
		return nil, fmt.Errorf("run: the scenario is not resolved")
	}
	x := newRun(s, opt)
	if err := x.build(c); err != nil {
		return nil, err
	}
	start := time.Now()
	out, err := x.play(ctx)
	if err != nil {
		return nil, err
	}
	st := x.sim.Stats()
	wall := time.Since(start)
	out.Result.Sim = &result.Sim{
		VirtualS: result.Seconds(st.Now), WallS: result.Seconds(wall), Events: int64(st.Events),
		EventsPerS: result.FixedRatio(int64(st.Events)*result.Second, max(int64(wall), 1)), TraceHash: st.TraceHash,
		Mode: st.Mode, Streams: st.Streams, TopologyHash: x.top.Hash, Profiles: x.costs.profiles(),
	}
	if opt.Inspect != nil {
		opt.Inspect(x.sim)
	}
	return out, nil
}

func newRun(s *scenario.Scenario, opt Options) *run {
	x := &run{
		s: s, opt: opt, lies: make(map[protocols.NodeID]protocols.Adversary), executed: make([]int64, s.N),
		cores: make(map[netsim.HostID]int64),
	}
	x.progress = newProgress(s.N, x.collectorID(), protocols.Time(s.Window.Total()))
	return x
}

func (x *run) build(c *scenario.Catalog) error {
	s := x.s
	var err error
	if x.entry, err = c.Registry.Lookup(s.Protocol); err != nil {
		return err
	}
	if x.top, err = loadTopology(s.Topology, s.TopologyFile); err != nil {
		return err
	}
	if x.costs, err = newCosts(s, x.top); err != nil {
		return err
	}
	app, err := workloads.Lookup(s.Workload.App)
	if err != nil {
		return err
	}
	var types []protocols.MessageType
	for _, mt := range x.entry.Messages().Types() {
		types = append(types, *mt)
	}
	table := protocols.NewMessageTable(types, app.Messages())
	x.config = protocols.Config{Cluster: cluster, N: s.N, F: s.F, Replicas: protocols.Replicas(s.N), Options: s.Options.Resolved}
	if x.recorder, err = result.NewRecorder(result.RecorderConfig{
		Classes: app.Classes, Start: s.Window.Start(), End: s.Window.End(), Timeout: s.Workload.Timeout.Std(),
	}); err != nil {
		return err
	}
	cfg := netsim.Config{
		Seed: uint64(s.Seed), Cluster: cluster, Table: table, Topology: x.top,
		Mode: x.opt.Mode, Streams: x.opt.Streams,
		Wire: s.Wire, RealCrypto: s.Crypto == "real",
		Datagram: netsim.Impairments{DuplicatePPM: int64(s.Duplicate), ReorderPPM: int64(s.Reorder), Window: HoldBack},
		Sink:     x.opt.Sink, SinkFrom: protocols.Time(x.opt.SinkFrom), SinkTo: protocols.Time(x.opt.SinkTo),
	}
	if s.Duplicate == 0 && s.Reorder == 0 {
		cfg.Datagram = netsim.Impairments{}
	}
	if s.NIC.Sched == "fair" {
		cfg.Sched = netsim.Fair
	}
	if s.NIC.Forward == "store" {
		cfg.Forward = netsim.Store
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
	if x.trace, err = newTraceFile(s); err != nil {
		return err
	}
	if cfg.Sink == nil && x.trace != nil {
		cfg.Sink = x.trace
	}
	if x.requests, err = newRequestFile(s, app.Classes); err != nil {
		return err
	}
	counts := s.Spread()
	if err := x.workload(netsim.AppSchemeOf(&cfg), counts); err != nil {
		return err
	}
	if err := x.adversaries(table); err != nil {
		return err
	}
	if err := x.faults(&cfg); err != nil {
		return err
	}
	x.observers(&cfg)
	if x.sim, err = netsim.New(cfg); err != nil {
		return err
	}
	if err := x.replicas(); err != nil {
		return err
	}
	return x.processes(counts)
}

// faults translates the fault plan. The agents of a replica share its fate.
func (x *run) faults(cfg *netsim.Config) error {
	beside := make(map[protocols.NodeID][]protocols.NodeID)
	for _, a := range x.load.Agents {
		beside[a.Beside] = append(beside[a.Beside], a.ID)
	}
	plan := NewFaults(x.s, beside)
	fs, err := plan.All()
	if err != nil {
		return err
	}
	cfg.Faults = append(cfg.Faults, fs...)
	cfg.Leader = func() []protocols.NodeID { return plan.Machine(x.progress.primary) }
	return nil
}

func attackNamed(list []protocols.Attack, name string) *protocols.Attack {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func (x *run) adversaries(table *protocols.MessageTable) error {
	for _, n := range x.s.Byzantine() {
		x.progress.faulty[NodeID(n)] = true
	}
	all := adversary.All(table)
	for i := range x.s.Adversaries {
		a := &x.s.Adversaries[i]
		generic := attackNamed(all, a.Attack)
		attack := attackNamed(x.entry.Attacks, a.Attack)
		if attack == nil {
			attack = generic
		}
		if attack == nil {
			return fmt.Errorf("attack %q cannot be built for %s", a.Attack, x.s.Protocol)
		}
		peers := protocols.Group(NodeIDs(a.Nodes))
		for _, id := range peers {
			cfg := x.config
			cfg.Self = id
			x.lies[id] = attack.New(&cfg, a.Options.Resolved, peers)
			for k := 1; k < attack.Copies; k++ {
				if !id.IsReplica() {
					return fmt.Errorf("attack %s runs several endpoints with one identity, which clients cannot have; give it to a replica, not to c%d", a.Attack, id-protocols.FirstClient)
				}
				twin := cfg
				twin.Copy = k
				x.twins = append(x.twins, twinOf{id, attack.New(&twin, a.Options.Resolved, peers)})
			}
			// Who has the replica has the whole machine. A protocol's own attacks say
			// nothing that an agent could say.
			for _, agent := range x.load.Agents {
				if agent.Beside == id && generic != nil {
					x.lies[agent.ID] = generic.New(&cfg, a.Options.Resolved, peers)
				}
			}
		}
	}
	return nil
}

// twinOf is a further endpoint with the identity of a Byzantine replica.
type twinOf struct {
	id  protocols.NodeID
	lie protocols.Adversary
}

func (x *run) correct(id protocols.NodeID) bool {
	return x.lies[id] == nil && !(id.IsReplica() && int(id) < len(x.progress.faulty) && x.progress.faulty[id])
}

func (x *run) observers(cfg *netsim.Config) {
	s := x.s
	end := protocols.Time(s.Window.Total())
	oc := observe.Config{N: s.N, Correct: x.correct, Finality: x.entry.Finality, StopAtFirst: true, Restarts: true}
	if s.Checks.Liveness {
		oc.Deadline = end
		if !x.waiting() {
			// Once the faults are over, nobody waits longer than that.
			oc.Calm, oc.Stall = x.calm(), x.bound()
		}
	}
	if s.Checks.Linearizability {
		scheme := netsim.AppSchemeOf(cfg)
		hc := observe.HistoryConfig{NewApplication: x.load.NewApplication, Verify: func(c protocols.SigCheck) bool {
			return scheme.Verify(c.Key, c.Message, c.Signature)
		}}
		if s.Workload.App == "kv" {
			hc.Windows = observe.NewWindows(KVModel(), s.Checks.Timeout.Std(), 6*s.Checks.Timeout.Std())
		}
		x.history = observe.NewHistory(hc)
		oc.History = x.history
	}
	x.checker = observe.New(oc)
	cfg.Observers = append(cfg.Observers, x.checker, x.progress)
	if x.entry.Observers != nil {
		c := x.config
		cfg.Observers = append(cfg.Observers, x.entry.Observers(&c, x.correct)...)
	}
}

// specOf describes the workload of a resolved scenario.
func specOf(s *scenario.Scenario) workloads.Spec {
	w := &s.Workload
	spec := workloads.Spec{
		App: w.App, Kind: w.Kind, Arrivals: w.Process, Outstanding: w.Outstanding, Think: w.Think.Std(),
		Timeout: w.Timeout.Std(), Until: s.Window.Total(), RequestBytes: int(w.RequestBytes), ReplyBytes: int(w.ReplyBytes),
		Zipf: arrival.Milli(w.Zipf), Keys: w.Keys, Options: w.Options.Values,
	}
	if len(w.Mix) > 0 {
		spec.Mix = w.Mix
	}
	return spec
}

// workload assembles the application, its loads and its agents.
func (x *run) workload(scheme protocols.AppScheme, counts []int) error {
	var err error
	x.load, err = workloads.New(specOf(x.s), workloads.Env{
		Scheme: scheme, Chain: chain, N: x.s.N, F: x.s.F, Minimum: x.entry.FaultModel == protocols.CrossFault,
		Clients: counts, Outstanding: x.entry.Outstanding, Collector: protocols.Group{x.collectorID()}, Seed: uint64(x.s.Seed),
	})
	if err != nil {
		return err
	}
	x.config.NewApplication = x.load.NewApplication
	return nil
}

// collectorID is the client that makes ledger time advance: one more than the load
// has.
func (x *run) collectorID() protocols.NodeID {
	return protocols.FirstClient + protocols.NodeID(x.s.Clients)
}

// hostmate returns the first replica on the host of a replica.
func (x *run) hostmate(i int) int {
	switch {
	case x.s.Placement == "shared":
		return 0
	case len(x.s.Hosts) > 0:
		return slices.Index(x.s.Hosts, x.s.Hosts[i])
	}
	return i
}

// place is where a replica's host stands.
func (x *run) place(replica int) int {
	return x.top.Replicas[x.hostmate(replica)%len(x.top.Replicas)]
}

func (x *run) replicas() error {
	s := x.s
	x.hosts = make([]netsim.HostID, s.N)
	for i := range s.N {
		if first := x.hostmate(i); first < i {
			x.hosts[i] = x.hosts[first]
		} else {
			place := x.place(i)
			p := x.costs.replica(place)
			h, err := x.sim.AddHost(netsim.HostSpec{Name: fmt.Sprintf("replica-%d", i), Place: place, Cores: s.Cores, Profile: p})
			if err != nil {
				return err
			}
			x.hosts[i], x.cores[h] = h, int64(s.Cores)
			if s.Cores == 0 && p != nil {
				x.cores[h] = int64(p.Cores)
			}
			x.cores[h] = max(x.cores[h], 1)
		}
		c := x.config
		c.Self = protocols.NodeID(i)
		c.NewApplication = x.checker.Audit(c.Self, c.NewApplication)
		if _, err := x.sim.AddNode(netsim.NodeSpec{
			ID: c.Self, Host: x.hosts[i], Adversary: x.lies[c.Self], Lanes: x.entry.Lanes(&c),
			New: func() []protocols.Node { return x.entry.NewReplica(&c) },
		}); err != nil {
			return err
		}
	}
	for _, t := range x.twins {
		c := x.config
		c.Self = t.id
		if _, err := x.sim.AddNode(netsim.NodeSpec{
			ID: t.id, Host: x.hosts[t.id], Adversary: t.lie, Lanes: x.entry.Lanes(&c), Twin: true,
			New: func() []protocols.Node { return x.entry.NewReplica(&c) },
		}); err != nil {
			return err
		}
	}
	for _, a := range x.load.Agents {
		if _, err := x.sim.AddNode(netsim.NodeSpec{ID: a.ID, Host: x.hosts[a.Beside], Adversary: x.lies[a.ID], New: func() []protocols.Node { return []protocols.Node{a.New()} }}); err != nil {
			return err
		}
	}
	return nil
}

func (x *run) newClient(id protocols.NodeID) protocols.Client {
	c := x.config
	c.Self = id
	return x.entry.NewClient(&c)
}

// processes puts the clients on their hosts; Byzantine ones have a process of their
// own, without a load that anybody waits for.
func (x *run) processes(counts []int) error {
	s := x.s
	id := protocols.FirstClient
	for i, count := range counts {
		place := x.top.Clients[i%len(x.top.Clients)]
		spec := netsim.HostSpec{Name: fmt.Sprintf("clients-%d", i), Place: place, Cores: x.costs.clientCores, Profile: x.costs.client(place)}
		host := x.hosts[0]
		if s.Placement != "shared" {
			var err error
			if host, err = x.sim.AddHost(spec); err != nil {
				return err
			}
		}
		first := id
		l := &process{Load: x.load.Loads[i], first: first, history: x.history}
		x.loads = append(x.loads, l)
		liar := x.lies[first] // then it is alone
		if liar != nil {
			l.ignored = true
		}
		x.clients = append(x.clients, first)
		if err := x.sim.AddClients(netsim.ClientsSpec{
			Host: host, First: first, Count: count, New: x.newClient, Load: l, Outstanding: x.load.Outstanding, Adversary: liar,
			Record: func(sample protocols.Sample) {
				if !l.ignored {
					x.recorder.Add(sample)
					x.requests.add(&sample)
				}
			},
		}); err != nil {
			return err
		}
		id += protocols.NodeID(count)
		if i == 0 && x.load.Collector != nil {
			if err := x.sim.AddClients(netsim.ClientsSpec{
				Host: host, First: x.collectorID(), Count: 1,
				New: func(id protocols.NodeID) protocols.Client {
					inner := x.newClient(id)
					if x.history != nil {
						inner = x.history.Watch(inner, id)
					}
					return x.load.Collector(inner)
				},
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// play runs the simulation to its end and gathers the outcome.
func (x *run) play(ctx context.Context) (*result.Outcome, error) {
	s := x.s
	total := protocols.Time(s.Window.Total())
	var from, to counters
	marks := []struct {
		at protocols.Time
		do func()
	}{
		{protocols.Time(s.Window.Start()), func() { from = x.count() }},
		{protocols.Time(s.Window.End()), func() { to = x.count() }},
	}
	stopped := func() bool { return len(x.checker.Stopped()) > 0 }
	advance := func(until protocols.Time) error {
		for x.sim.Now() < until && !stopped() {
			if err := ctx.Err(); err != nil {
				return err
			}
			next := min(until, (x.sim.Now()/protocols.Time(time.Second)+1)*protocols.Time(time.Second))
			if err := x.sim.Run(next); err != nil {
				return err
			}
			if x.sim.Now()%protocols.Time(time.Second) == 0 {
				x.tick()
			}
		}
		return nil
	}
	for _, m := range marks {
		if err := advance(m.at); err != nil {
			return nil, err
		}
		m.do()
	}
	if err := advance(total); err != nil {
		return nil, err
	}
	end := max(total, x.calm()).Add(x.bound())
	for step := 10 * time.Millisecond; x.open() > 0 && x.sim.Now() < end && !stopped(); step = min(2*step, time.Second) {
		if err := advance(min(end, x.sim.Now().Add(step))); err != nil {
			return nil, err
		}
	}
	if x.sim.Now()%protocols.Time(time.Second) != 0 {
		x.tick()
	}
	for _, l := range x.loads {
		l.Close(x.sim.Now())
	}
	return x.outcome(from, to)
}

// bound is how long answers may take once load and faults are over.
func (x *run) bound() time.Duration {
	if b := x.s.Checks.LivenessBound.Std(); b > 0 {
		return b
	}
	return livenessBound
}

// waiting says whether some fault waits for an event, so that nobody knows in advance
// when the faults are over.
func (x *run) waiting() bool {
	for i := range x.s.Faults {
		if x.s.Faults[i].On != nil {
			return true
		}
	}
	return false
}

// calm is when the last fault with an end is over.
func (x *run) calm() protocols.Time {
	t := protocols.Time(0)
	for _, f := range x.s.Faults {
		t = max(t, protocols.Time(f.At+f.For))
	}
	return t
}

// open counts what correct clients wait for: operations without a result, arrivals
// without a client, and the last ticks of ledger time.
func (x *run) open() int {
	n := len(x.progress.ticks)
	for _, l := range x.loads {
		if !l.ignored {
			st := l.Stats()
			n += st.Open + st.Waiting
		}
	}
	return n
}
