package explore

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sort"
	"strings"
	"time"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
)

// Strategy is a way of choosing what goes wrong.
type Strategy struct {
	Name, Doc string
	// weight in the choice among strategies.
	weight int
	// faults are the kinds drawn from; byzantine says how many of the f
	// replicas are: 0 none, 1 some, 2 all of them.
	faults    []string
	byzantine int
	// attack, if set, is the only attack used; the strategy needs it registered.
	attack string
	// own prefers the protocol's own attacks, if it has any.
	own bool
	// lossy schedules lose a large part of all messages in the safety phase.
	lossy bool
	// leaders has whoever leads fail several times, so that views change.
	leaders bool
	// triggers adds faults that strike on events.
	triggers bool
	// long schedules have many requests and small windows, so that checkpoints,
	// snapshots, certificates and transfers of state come often.
	long bool
}

var (
	nodeFaults = []string{"crash", "pause", "slow-disk", "disk-corrupt", "disk-error", "disk-full", "isolate", "clock"}
	pathFaults = []string{"partition", "isolate", "slow-link", "loss", "duplicate", "reorder", "corrupt", "capacity", "clog"}
	allFaults  = []string{"crash", "pause", "partition", "isolate", "slow-link", "loss", "duplicate", "reorder", "corrupt", "capacity", "clog", "slow-cpu", "slow-disk", "disk-corrupt", "disk-error", "disk-full", "clock"}
)

// strategies in the order in which they are reported.
var strategies = []Strategy{
	{Name: "swarm", Doc: "any mixture of faults, with up to f Byzantine replicas", weight: 30, faults: allFaults, byzantine: 1},
	{Name: "crashes", Doc: "crashes with, without and with damaged disks, pauses, disks that are slow, full or broken; nobody lies", weight: 12, faults: nodeFaults},
	{Name: "network", Doc: "partitions, loss, delay, congestion, narrow links; nobody lies or stops", weight: 8, faults: pathFaults},
	{Name: "byzantine", Doc: "f Byzantine replicas, each with an attack of its own, and few other faults", weight: 14, faults: []string{"isolate", "slow-link", "clog"}, byzantine: 2},
	{Name: "traitors", Doc: "f replicas that attack in the protocol's own terms, while leaders fail and others restart", weight: 14, faults: []string{"isolate", "crash", "slow-link"}, byzantine: 2, own: true, leaders: true},
	{Name: "views", Doc: "leaders fail one after another, replicas restart from their logs, faults strike on events", weight: 10, faults: []string{"crash", "isolate", "partition", "clog"}, byzantine: 1, leaders: true, triggers: true},
	{Name: "byzzfuzz", Doc: "f replicas that tell plausible lies in some rounds, and random partitions", weight: 8, faults: []string{"partition", "isolate"}, byzantine: 2, attack: "byzzfuzz"},
	{Name: "twins", Doc: "f identities that two replicas share, each of which talks with a part of the others", weight: 6, faults: []string{"isolate", "crash"}, byzantine: 2, attack: "twins", leaders: true},
	{Name: "lossy", Doc: "a tenth to two thirds of all messages are lost, with f Byzantine replicas: quorums form in many ways", weight: 13, faults: []string{"isolate", "crash"}, byzantine: 2, lossy: true},
	{Name: "long", Doc: "50 to 200 requests and small windows: checkpoints, state transfer and compacted logs under crashes", weight: 5, faults: []string{"crash", "pause", "isolate", "partition", "loss", "clog"}, byzantine: 1, long: true},
	{Name: "delays", Doc: "no faults: random delays and contention, and timers of any length", weight: 4, faults: []string{"slow-link"}},
}

// Strategies lists all strategies.
func Strategies() []Strategy { return append([]Strategy(nil), strategies...) }

// Space is what schedules are drawn from.
type Space struct {
	entry      *protocols.Entry
	catalog    *scenario.Catalog
	apps       []string
	topologies []string
	profiles   []string
	market     bool               // among the applications
	attacks    []protocols.Attack // that replicas may get
	chosen     []Strategy
	total      int    // weights of chosen
	restricted string // names of chosen, if not all that apply
	key        uint64
}

// NewSpace returns the space of a protocol of the catalog. names restricts it to
// some strategies; none means all that apply to the protocol.
func NewSpace(c *scenario.Catalog, protocol string, names ...string) (*Space, error) {
	e, err := c.Registry.Lookup(protocol)
	if err != nil {
		return nil, err
	}
	if !e.Complete {
		return nil, fmt.Errorf("%s is an instance that works only inside a composition; check the composition", e.Name)
	}
	if e.Hosts != 0 && e.Hosts&protocols.OnSimulator == 0 {
		return nil, fmt.Errorf("%s does not run in the simulator, so its schedules cannot be explored", e.Name)
	}
	sp := &Space{entry: e, catalog: c, key: hash(e.Name)}
	sp.attacks = append(append(sp.attacks, e.Attacks...), c.Attacks...)
	for _, app := range c.Apps {
		if app.Name == "kv" || app.Name == "micro" {
			sp.apps = append(sp.apps, app.Name)
		}
		sp.market = sp.market || app.Name == "market" && len(app.Options) > 0
	}
	if len(sp.apps) == 0 {
		sp.apps = []string{"micro"}
	}
	for _, name := range c.Topologies {
		if t, err := topology.Load(name); err == nil && quick(t) {
			sp.topologies = append(sp.topologies, name)
		}
	}
	sort.Strings(sp.topologies)
	sp.profiles = append(sp.profiles, c.Profiles...)
	sort.Strings(sp.profiles)
	if err := sp.choose(names); err != nil {
		return nil, err
	}
	return sp, nil
}

// quick reports whether a topology carries the traffic of a cluster with the
// default timers of a protocol: narrowband radio does not, whatever the schedule.
func quick(t *topology.Topology) bool {
	const least = 10_000_000 // bit/s
	for _, p := range t.Places {
		if p.Link.Up != 0 && p.Link.Up < least || p.Link.Down != 0 && p.Link.Down < least {
			return false
		}
	}
	for _, row := range t.Paths {
		for _, p := range row {
			if time.Duration(p.Floor) > 250*time.Millisecond {
				return false
			}
		}
	}
	return true
}

// choose fixes the strategies.
func (sp *Space) choose(names []string) error {
	var usable []string
	for _, s := range strategies {
		if why := sp.unusable(s); why == "" {
			usable = append(usable, s.Name)
		}
	}
	if len(names) == 0 {
		names = usable
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		i := 0
		for i < len(strategies) && strategies[i].Name != name {
			i++
		}
		if i == len(strategies) {
			return fmt.Errorf("unknown strategy %q%s", name, protocols.Suggest(name, usable))
		}
		if why := sp.unusable(strategies[i]); why != "" {
			return fmt.Errorf("strategy %s does not apply to %s: %s", name, sp.entry.Name, why)
		}
		wanted[name] = true
	}
	var chosen []string
	for _, s := range strategies {
		if wanted[s.Name] {
			sp.chosen = append(sp.chosen, s)
			sp.total += s.weight
			chosen = append(chosen, s.Name)
		}
	}
	if len(chosen) < len(usable) {
		sp.restricted = strings.Join(chosen, ",")
	}
	return nil
}

// unusable says why a strategy does not apply.
func (sp *Space) unusable(s Strategy) string {
	if s.byzantine > 1 && sp.entry.FaultModel == protocols.Crash {
		return "it does not withstand Byzantine replicas"
	}
	if s.byzantine > 1 && len(sp.attacks) == 0 {
		return "no attack is registered"
	}
	if s.attack != "" && sp.attack(s.attack) == nil {
		return "attack " + s.attack + " is not registered"
	}
	return ""
}

func (sp *Space) attack(name string) *protocols.Attack {
	for i := range sp.attacks {
		if sp.attacks[i].Name == name {
			return &sp.attacks[i]
		}
	}
	return nil
}

// Schedule is one drawn scenario.
type Schedule struct {
	Seed     int64
	Strategy string
	// Scenario is not resolved; resolving changes it, so resolve a copy (Clone).
	Scenario *scenario.Scenario
	// restricted names the strategies that were chosen among, if not all.
	restricted string
}

// stream returns an independent random stream for a part of the drawing, so that
// one more draw in one part leaves the others as they were.
func (sp *Space) stream(seed int64, part string) draw {
	return draw{rand.New(rand.NewPCG(uint64(seed), sp.key^hash(part)))}
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum64()
}

// draw has the distributions that schedules are made of.
type draw struct{ *rand.Rand }

// oneIn is true once in n times.
func (d draw) oneIn(n int) bool { return d.IntN(n) == 0 }

// between draws uniformly from lo to hi, both included.
func (d draw) between(lo, hi int64) int64 {
	if hi <= lo {
		return lo
	}
	return lo + d.Int64N(hi-lo+1)
}

// spread draws from lo to hi so that every order of magnitude (of two) is
// equally likely, which prefers small values.
func (d draw) spread(lo, hi int64) int64 {
	if hi <= lo {
		return lo
	}
	width := hi - lo
	bits := 0
	for width>>bits != 0 {
		bits++
	}
	top := int64(1) << d.IntN(bits+1)
	return lo + d.Int64N(min(top, width+1))
}

// duration draws a time like spread, rounded to microseconds so that people can
// read it.
func (d draw) duration(lo, hi time.Duration) time.Duration {
	lo = max(lo, time.Microsecond)
	return time.Duration(d.spread(int64(lo/time.Microsecond), int64(hi/time.Microsecond))) * time.Microsecond
}

// subset draws a non-empty subset of 0..n-1 with at most most members, in
// ascending order.
func (d draw) subset(n, most int) []int {
	out := d.Perm(n)[:d.between(1, int64(min(most, n)))]
	sort.Ints(out)
	return out
}

// Draw returns the schedule of a seed.
func (sp *Space) Draw(seed int64) Schedule {
	d := sp.stream(seed, "strategy")
	pick := d.IntN(sp.total)
	i := 0
	for ; pick >= sp.chosen[i].weight; i++ {
		pick -= sp.chosen[i].weight
	}
	st := sp.chosen[i]

	s := scenario.Default()
	s.Name = fmt.Sprintf("%s, seed %d", st.Name, seed)
	s.Protocol = sp.entry.Name
	s.Seed = seed
	horizon := sp.cluster(s, st, sp.stream(seed, "cluster"))
	sp.load(s, st, horizon, sp.stream(seed, "load"))
	byzantine := sp.adversaries(s, st, horizon, sp.stream(seed, "adversaries"))
	f := faultDraw{draw: sp.stream(seed, "faults"), s: s, horizon: horizon, byzantine: byzantine}
	f.wipes = s.F - len(byzantine)
	if f.liars = sp.entry.FaultModel == protocols.Byzantine; !f.liars {
		f.wipes = 0
	}
	f.volatile = volatile(s)
	kinds := st.faults
	if sp.entry.FaultModel == protocols.CrossFault && len(byzantine) > 0 {
		kinds, st.lossy, st.leaders, st.triggers, s.Loss = nil, false, false, false, 0 // both at once is anarchy
	}
	f.draw1(kinds, st)
	return Schedule{Seed: seed, Strategy: st.Name, Scenario: s, restricted: sp.restricted}
}

// cluster draws size, options and network, and returns the length of the safety
// phase.
func (sp *Space) cluster(s *scenario.Scenario, st Strategy, d draw) time.Duration {
	s.F = 1
	if d.oneIn(6) {
		s.F = 2
	}
	s.N = sp.entry.Replicas(s.F)
	if d.oneIn(4) {
		s.N += int(d.between(1, 3))
	}
	switch d.IntN(10) {
	case 0, 1, 2, 3, 4:
		s.Transport = "stream"
	case 5:
		s.Transport = "tcp"
	default:
		s.Transport = "datagram"
	}
	s.Topology = "lan"
	if len(sp.topologies) > 0 && (s.Transport != "stream") && d.oneIn(4) {
		s.Topology = sp.topologies[d.IntN(len(sp.topologies))]
	}
	if st.lossy {
		s.Transport, s.Topology = "datagram", "lan"
	}
	if s.Transport == "datagram" && st.Name != "delays" {
		if d.oneIn(2) {
			s.Loss = strict.PPM(d.spread(1000, 200_000))
		}
		if d.oneIn(3) {
			s.Duplicate = strict.PPM(d.spread(1000, 300_000))
		}
		if d.oneIn(2) {
			s.Reorder = strict.PPM(d.spread(1000, 500_000))
		}
	}
	s.Costs = "none"
	if len(sp.profiles) > 0 && d.oneIn(3) {
		s.Costs = sp.profiles[d.IntN(len(sp.profiles))]
	}
	s.Wire = d.oneIn(16)

	// Time-outs are bounded above too; a bound below the round trip of the network
	// or the work of a step would be a mistake of the operator, not a schedule.
	scale := d.timeScale()
	if s.Costs != "none" {
		scale = max(scale, -3)
	}
	if s.Topology != "lan" {
		scale = max(scale, 0)
	}
	ratio := d.between(-4, 2)
	if st.leaders { // time for several views
		scale, ratio = min(scale, 0), d.between(1, 4)
	}
	s.Options = scenario.Options{Set: options(sp.entry.Options, scale, d)}
	if st.long || st.leaders && d.oneIn(2) {
		small(&s.Options, sp.entry.Options, d)
	}
	// From a few milliseconds of a run with fast timers to several time-outs of
	// one with slow ones (the defaults are in the order of a second).
	horizon := time.Duration(times(int64(time.Second), scale+ratio))
	horizon = max(20*time.Millisecond, min(horizon, 8*time.Second)).Round(time.Microsecond)
	return horizon
}

// options draws the parameters of a protocol or an attack: many keep their
// default, so that every one is seen alone; the others prefer small values, where
// buffers wrap, checkpoints are taken and states are transferred.
//
// Times have one scale per schedule, mostly small, and vary by a factor of four
// around it: timers are too short or too long for the network, together and
// against each other, but not so far apart that a run is all retransmissions.
func options(decl []protocols.Option, scale int64, d draw) map[string]string {
	set := make(map[string]string)
	for _, o := range decl {
		change := d.oneIn(2)
		var v int64
		switch o.Kind {
		case protocols.OptionBool:
			v = d.between(0, 1)
		case protocols.OptionChoice:
			v = d.between(0, int64(len(o.Choices)-1))
		case protocols.OptionDuration:
			own := d.between(-2, 2)
			if o.Default == 0 { // off unless asked for
				v = d.spread(o.Min, min(o.Max, int64(100*time.Millisecond)))
			} else {
				change, v = scale != 0 || change, times(o.Default, scale+own)
			}
			v -= v % int64(time.Microsecond)
			v = max(o.Min, min(v, o.Max))
		default:
			change = !d.oneIn(4)
			v = d.spread(o.Min, min(o.Max, max(o.Min+15, o.Default)))
			if o.Name == "rate" && o.Default >= 500 { // in 1,000, and not of what multiplies messages
				v = d.between(o.Min, o.Max)
			}
			if o.Name == "limit" { // bounds what an attack sends in all
				change, v = true, d.spread(o.Min, min(o.Max, o.Min+500))
			}
		}
		if change && v != o.Default {
			set[o.Name] = word(o, v)
		}
	}
	if len(set) == 0 {
		return nil
	}
	return set
}

// small gives most counts and sizes of a protocol one of their least values.
func small(o *scenario.Options, decl []protocols.Option, d draw) {
	if o.Set == nil {
		o.Set = make(map[string]string)
	}
	for _, x := range decl {
		if x.Kind == protocols.OptionInt && !d.oneIn(4) {
			o.Set[x.Name] = word(x, d.spread(x.Min, min(x.Max, x.Min+15)))
		}
	}
}

// timeScale draws a power of two: the scale of all times of a schedule.
func (d draw) timeScale() int64 {
	if d.oneIn(4) {
		return 0
	}
	return d.between(-6, 3)
}

// times returns v times two to the power of p.
func times(v, p int64) int64 {
	if p < 0 {
		return v >> -p
	}
	return v << p
}

// volatile reports whether a crashed replica of this scenario forgets what it
// promised even if its disk survives. By convention a protocol that can run
// without a durable log has an option "log" for it.
func volatile(s *scenario.Scenario) bool { return s.Options.Set["log"] == "false" }

// word prints a value so that a scenario file reads it back.
func word(o protocols.Option, v int64) string {
	switch o.Kind {
	case protocols.OptionDuration:
		return strict.Duration(v).String()
	case protocols.OptionBytes:
		return strict.Bytes(v).String()
	}
	return o.Format(v)
}

// load draws clients and requests. There are few of them: what a schedule finds
// is in its faults, and a campaign needs many schedules.
func (sp *Space) load(s *scenario.Scenario, st Strategy, horizon time.Duration, d draw) {
	s.Clients = int(d.between(1, 4))
	s.ClientHosts = int(d.between(1, int64(s.Clients)))
	requests := d.between(2, max(2, int64(12/s.Clients)))
	switch {
	case st.long:
		requests = d.between(50, 200) / int64(s.Clients)
	case st.leaders: // some in every view
		requests = d.between(4, int64(32/s.Clients))
	}
	w := &s.Workload
	w.App = sp.apps[d.IntN(len(sp.apps))]
	w.Kind = "closed"
	w.Outstanding = 1
	w.Keys = int(d.between(1, 4))
	w.Timeout = strict.Duration(time.Hour) // an answer that comes late is an answer
	// A quarter of the requests falls into the calm phase.
	total := horizon + horizon/3
	w.Think = strict.Duration((total / time.Duration(requests)).Round(time.Microsecond))
	s.Window = scenario.Window{Measure: strict.Duration(total)}
	if sp.market && d.oneIn(40) {
		drawMarket(s, horizon)
	}
	s.Checks.Linearizability = w.App == "kv" && d.oneIn(4) // the order as a witness is always checked
	s.Checks.Liveness = true
}

// adversaries draws Byzantine replicas, and now and then a Byzantine client. It
// returns the replicas.
func (sp *Space) adversaries(s *scenario.Scenario, st Strategy, horizon time.Duration, d draw) []int {
	count := 0
	if sp.entry.FaultModel != protocols.Crash && len(sp.attacks) > 0 {
		switch st.byzantine {
		case 1:
			count = int(d.between(0, int64(s.F)))
		case 2:
			count = s.F
		}
	}
	if count == 0 {
		if st.byzantine > 0 && sp.entry.FaultModel == protocols.Byzantine && d.oneIn(4) {
			sp.traitorClient(s, horizon, d)
		}
		return nil
	}
	// The first primaries are the most interesting traitors.
	bad := d.Perm(s.N)[:count]
	if d.oneIn(2) {
		first := 0
		if st.leaders { // or the next ones, who begin views
			first = d.IntN(3)
		}
		for i := range bad {
			bad[i] = (first + i) % s.N
		}
	}
	sort.Ints(bad)
	// Requests that only some replicas find authentic are what traitors can use best.
	if st.attack == "" && (d.oneIn(4) || st.own && d.oneIn(3)) {
		sp.traitorClient(s, horizon, d)
	}
	together := d.oneIn(2)
	for i := 0; i < len(bad); i++ {
		a := &sp.attacks[d.IntN(len(sp.attacks))]
		if own := len(sp.entry.Attacks); own > 0 && (st.own && !d.oneIn(8) || d.oneIn(3)) {
			a = &sp.attacks[d.IntN(own)]
		}
		if st.attack != "" {
			a = sp.attack(st.attack)
		}
		adv := scenario.Adversary{Attack: a.Name, Options: scenario.Options{Set: attackOptions(a, horizon, d)}}
		members := bad[i : i+1]
		if together {
			members, i = bad[i:], len(bad)
		}
		for _, r := range members {
			adv.Nodes = append(adv.Nodes, node(r))
		}
		s.Adversaries = append(s.Adversaries, adv)
	}
	return bad
}

// attackOptions draws the parameters of an attack. It is mostly on for the whole run:
// the beginning and the end of its time are drawn now and then, within the safety phase.
func attackOptions(a *protocols.Attack, horizon time.Duration, d draw) map[string]string {
	set := options(a.Options, d.timeScale(), d)
	for _, o := range a.Options {
		if o.Kind != protocols.OptionDuration {
			continue
		}
		least := time.Duration(0)
		switch o.Name {
		case "after", "until":
			delete(set, o.Name)
			if !d.oneIn(6) {
				continue
			}
			least = horizon / 10
		case "period":
			least = horizon / 50
		default:
			continue
		}
		if set == nil {
			set = make(map[string]string)
		}
		set[o.Name] = word(o, max(o.Min, min(o.Max, int64(d.duration(least, horizon)))))
	}
	return set
}

// clientAttacks are the generic attacks that say something on a client.
var clientAttacks = []string{"bad-macs", "double-vote", "equivocate", "mutate", "replay", "selective", "silent-to", "stale"}

// traitorClient adds a Byzantine client.
func (sp *Space) traitorClient(s *scenario.Scenario, horizon time.Duration, d draw) {
	if sp.entry.FaultModel != protocols.Byzantine {
		return
	}
	var usable []*protocols.Attack
	for _, name := range clientAttacks {
		if a := sp.attack(name); a != nil {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 {
		return
	}
	a := usable[d.IntN(len(usable))]
	s.Clients++
	s.Adversaries = append(s.Adversaries, scenario.Adversary{
		Nodes: []scenario.Node{scenario.Node(fmt.Sprintf("c%d", s.Clients-1))}, Attack: a.Name,
		Options: scenario.Options{Set: attackOptions(a, horizon, d)},
	})
}
