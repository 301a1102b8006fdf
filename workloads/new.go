package workloads

import (
	"fmt"
	"strings"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/agents"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/kv"
	"github.com/edgebft/edgebft/workloads/load"
	"github.com/edgebft/edgebft/workloads/market"
	"github.com/edgebft/edgebft/workloads/micro"
	"github.com/edgebft/edgebft/workloads/mix"
)

// New assembles the workload, or says what is wrong with its description.
func New(s Spec, env Env) (*Workload, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	app, err := Lookup(s.App)
	if err != nil {
		return nil, err
	}
	if len(env.Clients) == 0 {
		return nil, fmt.Errorf("workload %s: there is no process of clients; give at least one", s.App)
	}
	for i, n := range env.Clients {
		if n < 1 {
			return nil, fmt.Errorf("workload %s: process %d has %d clients; it needs 1 or more", s.App, i, n)
		}
	}
	if s.Arrivals.Kind == arrival.MMPP && s.Arrivals.Background == 0 {
		s.Arrivals.Background = env.Seed*2 + 1
	}
	allowed := max(env.Outstanding, 1)
	w := &Workload{App: app, Outstanding: max(s.Outstanding, 1)}
	if s.Outstanding == 0 && s.Kind == Open {
		w.Outstanding = allowed
	}
	if w.Outstanding > allowed {
		return nil, fmt.Errorf("workload %s: %d operations open per client; the protocol allows %d", s.App, w.Outstanding, allowed)
	}
	options, err := protocols.ResolveOptions(app.Options, s.Options)
	if err != nil {
		return nil, err
	}
	switch {
	case app.Ledger:
		err = w.ledger(&s, &env, options)
	case s.App == "kv":
		err = w.kv(&s, &env)
	default:
		err = w.micro(&s, &env)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// addLoads makes one load per process. generators returns the generator of a
// process.
func (w *Workload) addLoads(s *Spec, env *Env, unsent uint8, generator func(process int) func(protocols.LoadEnv, int) load.Generator) error {
	for i := range env.Clients {
		l, err := s.newLoad(generator(i), unsent, w.Outstanding, i, len(env.Clients))
		if err != nil {
			return err
		}
		w.Loads = append(w.Loads, l)
	}
	return nil
}

func (s *Spec) newLoad(g func(protocols.LoadEnv, int) load.Generator, unsent uint8, outstanding, process, processes int) (load.Load, error) {
	c := load.Config{Generator: g, Outstanding: outstanding, Timeout: s.Timeout, Until: s.Until, Unsent: unsent}
	if s.Kind == Open {
		return load.NewOpen(load.OpenConfig{Config: c, Arrivals: s.Arrivals.Share(process, processes), Queue: s.Queue})
	}
	return load.NewClosed(load.ClosedConfig{Config: c, Think: s.Think, Exponential: s.ThinkExponential, Ramp: s.Ramp})
}

// firstUser is the number of the first user of a process: users count through all
// processes.
func (w *Workload) firstUser(env *Env, process int) int {
	n := 0
	for _, clients := range env.Clients[:process] {
		n += clients * w.Outstanding
	}
	return n
}

func (w *Workload) micro(s *Spec, env *Env) error {
	cfg := micro.Config{ReplyBytes: s.ReplyBytes}
	w.NewApplication = func() protocols.Application { return micro.New(cfg) }
	return w.addLoads(s, env, 0, func(process int) func(protocols.LoadEnv, int) load.Generator {
		first := w.firstUser(env, process)
		return func(le protocols.LoadEnv, users int) load.Generator {
			s1, s2 := le.Stream("micro")
			g, err := micro.NewGenerator(s.RequestBytes, first, users, s1, s2)
			if err != nil {
				panic("workloads: checked description: " + err.Error())
			}
			return g
		}
	})
}

func (w *Workload) kv(s *Spec, env *Env) error {
	weights := s.Mix
	if len(weights) == 0 {
		weights = kvDefault
	}
	m := kv.Mix{Get: weights["get"], Put: weights["put"], CAS: weights["cas"]}
	zipf, err := arrival.NewZipf(s.Keys, s.Zipf)
	if err != nil {
		return err
	}
	keys := s.Keys
	w.NewApplication = func() protocols.Application { return kv.New(keys) }
	return w.addLoads(s, env, uint8(len(kv.Classes())), func(process int) func(protocols.LoadEnv, int) load.Generator {
		first := w.firstUser(env, process)
		return func(le protocols.LoadEnv, users int) load.Generator {
			s1, s2 := le.Stream("kv")
			g, err := kv.NewGenerator(m, keys, first, users, zipf.Key, s1, s2)
			if err != nil {
				panic("workloads: checked description: " + err.Error())
			}
			return g
		}
	})
}

// mix returns the configuration of a ledger's mix, but for its origin.
func (s *Spec) mix(app *App, clients []int, outstanding int, o protocols.Options) (mix.Config, error) {
	cfg := ledgers[s.App]
	for f, name := range mix.Families() {
		if len(s.Mix) > 0 {
			cfg.Weights[f] = s.Mix[name]
		}
	}
	cfg.Devices, cfg.Theta = s.Keys, s.Zipf
	cfg.Shards = len(clients)
	for _, n := range clients {
		cfg.Clients += n * outstanding
	}
	if s.Kind == Open {
		cfg.Rate = s.Arrivals.Rate
	}
	cfg.Tick = o.Duration("tick")
	cfg.Users = o.Int("users")
	for _, d := range app.Options {
		if name, ok := strings.CutPrefix(d.Name, paramPrefix); ok {
			if v := int64(o.Int(d.Name)); v != d.Default {
				p, err := market.ParamNamed(name)
				if err != nil {
					return cfg, err
				}
				cfg.Params = append(cfg.Params, market.GenesisParam{Key: p, Value: uint64(v)})
			}
			continue
		}
		v := o.Int(d.Name)
		switch d.Name {
		case "alpha":
			cfg.Alpha = arrival.Milli(v)
		case "bidder_zipf":
			cfg.BidderTheta = arrival.Milli(v)
		case "bidders":
			cfg.Bidders = v
		case "bond":
			cfg.BondPermille = v
		case "default":
			cfg.DefaultPermille = v
		case "unrevealed":
			cfg.UnrevealedPermille = v
		case "services":
			cfg.Services = v
		case "epochs":
			cfg.Epochs = v
		case "epoch_ticks":
			cfg.EpochTicks = v
		case "panel":
			cfg.Panel = v
		case "fail":
			cfg.FailPermille = v
		}
	}
	if err := cfg.ResolveEpochs(s.Until); err != nil {
		return cfg, fmt.Errorf("workload %s: %w", s.App, err)
	}
	return cfg, nil
}

func (w *Workload) ledger(s *Spec, env *Env, o protocols.Options) error {
	cfg, err := s.mix(w.App, env.Clients, w.Outstanding, o)
	if err != nil {
		return err
	}
	// With services under vote the load begins when their first epochs are over.
	cfg.Origin = env.Origin.Add(-cfg.Lead())
	if env.Scheme == nil {
		return fmt.Errorf("workload %s: its accounts sign; give a scheme", s.App)
	}
	if len(env.Collector) == 0 {
		return fmt.Errorf("workload %s: ledger time needs a collector; give the id of a client", s.App)
	}
	seed := env.ReplicaSeed
	if seed == nil {
		seed = mix.DerivedSeed(env.Chain)
	}
	cluster := mix.Cluster{Chain: env.Chain, N: env.N, F: env.F, Minimum: env.Minimum, Seed: seed}
	// The worlds of all processes have one genesis; they differ in the shard that
	// is played.
	worlds := make([]*mix.World, len(env.Clients))
	for i := range worlds {
		if i == 0 {
			var err error
			if worlds[0], err = mix.NewWorld(cfg, cluster, env.Scheme); err != nil {
				return err
			}
			continue
		}
		worlds[i] = worlds[0].Shard(i)
	}
	w.NewApplication = worlds[0].Application
	if err := w.clocks(env, cfg.Origin, cfg.Tick, cluster, worlds[0].ReplicaKeys()); err != nil {
		return err
	}
	return w.addLoads(s, env, mix.Unsent, func(process int) func(protocols.LoadEnv, int) load.Generator {
		return func(le protocols.LoadEnv, users int) load.Generator { return worlds[process].NewGenerator(le, users) }
	})
}

// clocks adds the agents that make ledger time advance.
func (w *Workload) clocks(env *Env, origin protocols.Time, tick time.Duration, c mix.Cluster, keys [][32]byte) error {
	ledger := ledgerRules(c.Chain)
	group := make(protocols.Group, c.N)
	for i := range group {
		group[i] = protocols.FirstAgent + protocols.NodeID(i)
	}
	for i, id := range group {
		cfg := agents.ClockConfig{Seed: c.Seed(i), Scheme: env.Scheme, Ledger: ledger, Origin: origin, Collectors: env.Collector}
		w.Agents = append(w.Agents, Agent{ID: id, Beside: protocols.NodeID(i), New: func() protocols.Node { return agents.NewClock(cfg) }})
	}
	cfg := agents.CollectorConfig{Ledger: ledger, Agents: group, Keys: keys, Quorum: 2*c.F + 1, Weak: c.F + 1, Median: c.F, Period: tick}
	if c.Minimum {
		cfg.Quorum, cfg.Median = c.F+1, 0
	}
	if err := cfg.Check(); err != nil {
		return err
	}
	w.Collector = func(inner protocols.Client) protocols.Client { return agents.NewCollector(cfg, inner) }
	return nil
}

// ledgerRules tells the agents about the marketplace's clock.
func ledgerRules(chain uint32) agents.Ledger {
	return agents.Ledger{
		Message: func(tick, now uint64) []byte { return market.ClockMessage(chain, tick, now) },
		Tick: func(tick uint64, reports []agents.Report) ([]byte, error) {
			list := make([]market.ClockReport, len(reports))
			for i, r := range reports {
				list[i] = market.ClockReport{Replica: uint16(r.Replica), Time: r.Time, Sig: r.Signature}
			}
			return market.NewClockTick(chain, tick, list)
		},
		Verdict: func(result []byte) agents.Verdict {
			switch market.CodeOf(result) {
			case market.OK:
				return agents.Applied
			case market.ErrClockNotAhead:
				return agents.NotAhead
			case market.ErrNonceReplay:
				return agents.Passed
			case market.ErrNonceGap:
				return agents.Early
			default:
				return agents.Short
			}
		},
	}
}
