package workloads

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/agents"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/kv"
	"github.com/edgebft/edgebft/workloads/load"
	"github.com/edgebft/edgebft/workloads/micro"
	"github.com/edgebft/edgebft/workloads/mix"
)

// Kinds of load.
const (
	Open   = "open"
	Closed = "closed"
)

// Spec describes a workload. Fields that its application or kind does not use
// must be zero, except Keys and Zipf, which have a meaning for every application
// that has keys at all.
type Spec struct {
	// App is the name of the application, Kind open or closed.
	App, Kind string
	// Arrivals of an open load, of all clients together.
	Arrivals arrival.Config
	// Queue bounds the arrivals that wait for a client in one process (open); 0 is
	// load.DefaultQueue.
	Queue int
	// Outstanding operations per client, 0 for 1 in a closed load and for
	// Env.Outstanding in an open one.
	Outstanding int
	// Think between a result and the next operation (closed); with
	// ThinkExponential it is the mean. Ramp spreads the start.
	Think            time.Duration
	ThinkExponential bool
	Ramp             time.Duration
	// Timeout of an operation; 0 is none.
	Timeout time.Duration
	// Until is when the load ends, counted from its start; 0 is never.
	Until time.Duration
	// RequestBytes and ReplyBytes are the sizes of micro.
	RequestBytes, ReplyBytes int
	// Mix holds weights by name; App.Weights lists the names. Empty is the
	// application's own mix. Names left out of a mix that is given weigh nothing.
	Mix map[string]int
	// Zipf is the exponent of the popularity of keys (kv) or of devices and payees
	// (market), Keys the number of keys or devices, of all processes together.
	Zipf arrival.Milli
	Keys int
	// Options of the application, in base units; what is left out has its default.
	Options map[string]int64
}

// App describes an application with its clients.
type App struct {
	Name, Doc string
	// Weights are the names that a mix may weigh.
	Weights []string
	// Options that it takes.
	Options []protocols.Option
	// Classes are the names of the classes of operations, by their index in
	// samples.
	Classes []string
	// Ledger says that it keeps a time of its own and needs the clock agents.
	Ledger bool
	// Zipf is the exponent that the workload table uses, Arrivals its arrival
	// process in an open load ("" is poisson).
	Zipf     arrival.Milli
	Arrivals string
	// warmTicks of ledger time pass until sessions of all kinds end as often as they
	// begin.
	warmTicks int
}

// Warmup is how long a load takes until it is stationary: before, sessions have
// been opened and none has come to its end, so that the shares of the classes are
// not those of the mix.
func (a *App) Warmup(o protocols.Options) time.Duration {
	if a.warmTicks == 0 {
		return 0
	}
	ticks := a.warmTicks
	for i := range a.Options {
		if a.Options[i].Name == "epoch_ticks" {
			ticks = max(ticks, o.Int("epoch_ticks"))
		}
	}
	return time.Duration(ticks) * o.Duration("tick")
}

// Env is what a workload has to know of the cluster.
type Env struct {
	// Scheme signs for the accounts of a ledger; the hosts' AppScheme.
	Scheme protocols.AppScheme
	// Chain is the ledger's chain id.
	Chain uint32
	// N replicas of which F may fail. Minimum selects the ledger's 2f+1 mode, for
	// protocols with n = 2f+1.
	N, F    int
	Minimum bool
	// Clients per process of clients.
	Clients []int
	// Outstanding is what the protocol allows per client; 0 stands for 1.
	Outstanding int
	// Origin is the wall clock when the load begins: 0 in the simulator, the time of
	// deployment elsewhere. Ledger time counts from it, or from one epoch before it if
	// there are services under vote. All hosts must agree on it.
	Origin protocols.Time
	// Seed of the run: what the loads of all processes have in common is drawn from
	// it.
	Seed uint64
	// ReplicaSeed returns the seed of a replica's application key; nil derives
	// well-known ones.
	ReplicaSeed func(replica int) [32]byte
	// Collector is the id of the client that makes ledger time advance. Standbys
	// whose requests clocks answer as well may follow.
	Collector protocols.Group
}

// Agent is a node beside a replica.
type Agent struct {
	// ID of the agent, on the host of the replica Beside.
	ID, Beside protocols.NodeID
	// New returns a fresh node; it is called again at every restart.
	New func() protocols.Node
}

// Workload is what New assembled.
type Workload struct {
	App *App
	// NewApplication returns the application at genesis.
	NewApplication func() protocols.Application
	// Loads has one load per process of Env.Clients.
	Loads []load.Load
	// Outstanding is how many operations a client may have open.
	Outstanding int
	// Agents beside the replicas; none if the application keeps no time.
	Agents []Agent
	// Collector wraps the protocol's client of Env.Collector; nil if there are no
	// agents. That client gets no load.
	Collector func(inner protocols.Client) protocols.Client
}

// Messages returns the types of the application's agents, for the message table of
// the cluster.
func (a *App) Messages() []protocols.MessageType {
	if a.Ledger {
		return agents.Messages()
	}
	return nil
}

// kvDefault is the mix of kv: half reads.
var kvDefault = map[string]int{"get": 50, "put": 40, "cas": 10}

// paramPrefix begins the names of options that are parameters of the marketplace.
const paramPrefix = "param."

func ledgerOptions(defaults mix.Config) []protocols.Option {
	count := func(name string, def, low, high int, doc string) protocols.Option {
		return protocols.Option{Name: name, Kind: protocols.OptionInt, Default: int64(def), Min: int64(low), Max: int64(high), Doc: doc}
	}
	options := []protocols.Option{
		{Name: "tick", Kind: protocols.OptionDuration, Default: int64(100 * time.Millisecond), Min: int64(10 * time.Millisecond), Max: int64(time.Hour), Doc: "period of ledger time; all deadlines scale with it"},
		count("users", 0, 0, mix.MaxUsers, "accounts without a role per process; 0 is 64 and twice the clients"),
	}
	for _, p := range mix.Tunable() {
		low, high := p.Bounds()
		options = append(options, protocols.Option{
			Name: paramPrefix + p.String(), Kind: protocols.OptionInt, Default: int64(p.Default()), Min: int64(low), Max: int64(min(high, math.MaxInt64)),
			Doc: "parameter of the marketplace in genesis",
		})
	}
	if defaults.Weights[mix.Auction] > 0 {
		options = append(options,
			protocols.Option{Name: "alpha", Kind: protocols.OptionInt, Default: 200, Min: 50, Max: 1000, Doc: "exponent of the power law of late bids, in thousandths"},
			count("bidders", 5, 1, 16, "bidders of an auction"),
			count("bidder_zipf", 600, 0, int(arrival.MaxTheta), "exponent of the popularity of bidders, in thousandths"),
			count("bond", defaults.BondPermille, 0, 1000, "auctions in bond mode, of a thousand"),
			count("default", defaults.DefaultPermille, 0, 1000, "candidates of bond auctions who do not pay, of a thousand"),
			count("unrevealed", defaults.UnrevealedPermille, 0, 1000, "bids that are never revealed, of a thousand"),
		)
	}
	if defaults.Weights[mix.Service] > 0 {
		options = append(options,
			count("services", defaults.Services, 1, mix.MaxServices, "services under vote from the start, per process"),
			count("epochs", 0, 0, mix.MaxEpochs, "epochs that they run; 0 is as many as the load lasts"),
			count("epoch_ticks", defaults.EpochTicks, 10, 10_000, "length of an epoch in ticks"),
			count("panel", 5, 1, 64, "voters of a panel"),
			count("fail", defaults.FailPermille, 0, 1000, "verdicts that are FAIL, of a thousand"),
		)
	}
	return options
}

// The marketplace applications and their mixes.
var ledgers = map[string]mix.Config{
	"market": {
		Weights:      [5]int{mix.Register: 10, mix.Auction: 30, mix.Service: 25, mix.Channel: 25, mix.Transfer: 10},
		BondPermille: 400, DefaultPermille: 200, UnrevealedPermille: 20, FailPermille: 50, Services: 16, EpochTicks: 10,
	},
	"w1": {Weights: [5]int{mix.Register: 1}},
	"w3": {Weights: [5]int{mix.Auction: 1}, BondPermille: 1000, Explicit: true},
	"w4": {Weights: [5]int{mix.Service: 1}, NoSampling: true, Services: 200, EpochTicks: 20, FailPermille: 50},
	"w5": {Weights: [5]int{mix.Channel: 1}, Explicit: true},
}

var apps = makeApps()

func makeApps() []App {
	list := []App{
		{
			Name: "micro", Doc: "no operation, requests and replies of chosen sizes (W12)", Classes: []string{"op"},
		},
		{
			Name: "kv", Doc: "registers with get, put and compare-and-swap; linearizability can be judged",
			Weights: kv.Classes(), Classes: append(kv.Classes(), "unsent"),
		},
	}
	for _, l := range []struct {
		name, arrivals string
		warmTicks      int
		doc            string
	}{
		{"market", arrival.Poisson, 20, "the IoT marketplace: registrations, auctions, verified services, channels and transfers at once"},
		{"w1", arrival.Beta, 0, "marketplace: devices register and check in (an open load is a registration storm of 10 s)"},
		{"w3", arrival.Poisson, 20, "marketplace: sealed auctions in bond mode from the opening to the key"},
		{"w4", arrival.Poisson, 10, "marketplace: panels vote on the epochs of services"},
		{"w5", arrival.MMPP, 12, "marketplace: payment channels, open to claim, promises off the ledger (an open load has bursts)"},
	} {
		a := App{
			Name: l.name, Doc: l.doc, Classes: mix.Classes(), Ledger: true, Zipf: 990, Arrivals: l.arrivals, warmTicks: l.warmTicks,
			Options: ledgerOptions(ledgers[l.name]),
		}
		if l.name == "market" {
			a.Weights = mix.Families()
		}
		list = append(list, a)
	}
	return list
}

// Apps returns the applications in the order in which they are listed.
func Apps() []App { return append([]App(nil), apps...) }

// Names returns the names of the applications, each with its line of
// documentation.
func Names() (names, docs []string) {
	for _, a := range apps {
		names, docs = append(names, a.Name), append(docs, a.Doc)
	}
	return names, docs
}

// Lookup returns the application with this name; the error names the nearest one.
func Lookup(name string) (*App, error) {
	for i := range apps {
		if apps[i].Name == name {
			return &apps[i], nil
		}
	}
	names, _ := Names()
	return nil, fmt.Errorf("unknown workload %q%s", name, protocols.Suggest(name, names))
}

// Error is what is wrong with one part of a description.
type Error struct {
	// Key names the part as scenarios do: keys, mix, timeout and so on, or
	// client_hosts for the processes of clients.
	Key string
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func wrong(key, format string, args ...any) error {
	return &Error{Key: key, Err: fmt.Errorf(format, args...)}
}

// Check reports what is wrong with the description. Errors about one part of it are of
// type *Error.
func (s *Spec) Check() error {
	a, err := Lookup(s.App)
	if err != nil {
		return err
	}
	if err := s.checkMix(a); err != nil {
		return err
	}
	if _, err := protocols.ResolveOptions(a.Options, s.Options); err != nil {
		return wrong("options", "workload %s: %w", s.App, err)
	}
	for _, size := range []struct {
		key   string
		bytes int
	}{{"request_bytes", s.RequestBytes}, {"reply_bytes", s.ReplyBytes}} {
		if s.App != "micro" && size.bytes != 0 {
			return wrong(size.key, "workload %s: the sizes of its operations follow from them; request_bytes and reply_bytes belong to micro: leave them out", s.App)
		}
	}
	most := map[string]int{"kv": kv.MaxKeys}[s.App]
	if a.Ledger {
		most = mix.MaxDevices
	}
	if most > 0 && (s.Keys < 1 || s.Keys > most) {
		return wrong("keys", "workload %s: %d keys; allowed is 1 to %d", s.App, s.Keys, most)
	}
	if s.Zipf > arrival.MaxTheta {
		return wrong("zipf", "workload %s: zipf exponent %v; allowed is 0 to %v", s.App, s.Zipf, arrival.MaxTheta)
	}
	if s.RequestBytes < 0 || s.RequestBytes > protocols.MaxOperation {
		return wrong("request_bytes", "workload micro: request of %d bytes; allowed is 0 to %d", s.RequestBytes, protocols.MaxOperation)
	}
	if err := (micro.Config{ReplyBytes: s.ReplyBytes}).Check(); err != nil {
		return wrong("reply_bytes", "workload micro: %w", err)
	}
	return s.checkKind()
}

func (s *Spec) checkKind() error {
	switch s.Kind {
	case Open:
		if s.Think != 0 || s.ThinkExponential || s.Ramp != 0 {
			return fmt.Errorf("an open workload has no think time and no ramp; leave them out or make it closed")
		}
	case Closed:
		if s.Arrivals.Kind != "" || s.Queue != 0 {
			return fmt.Errorf("a closed workload has no arrivals and no queue; leave them out or make it open")
		}
	default:
		return fmt.Errorf("unknown kind of workload %q%s", s.Kind, protocols.Suggest(s.Kind, []string{Open, Closed}))
	}
	for _, d := range []struct {
		key string
		v   time.Duration
	}{{"timeout", s.Timeout}, {"think", s.Think}} {
		if d.v < 0 || d.v > load.MaxTimeout {
			return wrong(d.key, "%s is %v; allowed is 0s to %v", d.key, d.v, load.MaxTimeout)
		}
	}
	if s.Kind == Open {
		if err := s.Arrivals.Check(); err != nil {
			return wrong("arrivals", "%w", err)
		}
	}
	_, err := s.newLoad(func(protocols.LoadEnv, int) load.Generator { return nil }, 0, max(s.Outstanding, 1), 0, 1)
	return err
}

// CheckFor reports what is wrong with the description for a cluster: besides what Check
// finds, what follows from the number of clients in each process and from the open
// operations that the protocol allows a client. It builds nothing.
func (s *Spec) CheckFor(clients []int, outstanding int) error {
	if err := s.Check(); err != nil {
		return err
	}
	if s.Kind == Open {
		for i := range clients {
			if err := s.Arrivals.Share(i, len(clients)).Check(); err != nil {
				return wrong("client_hosts", "the arrivals cannot be divided among %d processes of clients: %w; use fewer", len(clients), err)
			}
		}
	}
	app, err := Lookup(s.App)
	if err != nil || !app.Ledger {
		return err
	}
	if len(clients) > mix.MaxShards {
		return wrong("client_hosts", "workload %s: %d processes of clients; allowed is 1 to %d", s.App, len(clients), mix.MaxShards)
	}
	o, err := protocols.ResolveOptions(app.Options, s.Options)
	if err != nil {
		return err
	}
	if s.Kind == Closed || s.Outstanding > 0 {
		outstanding = s.Outstanding
	}
	cfg, err := s.mix(app, clients, max(outstanding, 1), o)
	if err != nil {
		return wrong("options", "%w", err)
	}
	if err := cfg.Check(); err != nil {
		return wrong("options", "workload %s: %w", s.App, err)
	}
	return nil
}

func (s *Spec) checkMix(a *App) error {
	names := make([]string, 0, len(s.Mix))
	for name := range s.Mix {
		names = append(names, name)
	}
	sort.Strings(names)
	sum := 0
	for _, name := range names {
		known := false
		for _, w := range a.Weights {
			known = known || w == name
		}
		if !known {
			return wrong("mix."+name, "workload %s: mix weighs %q%s", a.Name, name, protocols.Suggest(name, a.Weights))
		}
		if w := s.Mix[name]; w < 0 || w > 1_000_000 {
			return wrong("mix."+name, "workload %s: weight of %s is %d; allowed is 0 to 1000000", a.Name, name, w)
		}
		sum += s.Mix[name]
	}
	if len(names) > 0 && sum == 0 {
		return wrong("mix", "workload %s: all weights are 0; give one of %s", a.Name, strings.Join(a.Weights, ", "))
	}
	return nil
}
