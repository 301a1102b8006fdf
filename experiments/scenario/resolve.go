package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
)

// App declares an application with its clients.
type App struct {
	Name, Doc string
	// Classes are the names of the classes of operations that a mix weighs.
	Classes []string
	Options []protocols.Option
	// Zipf and Arrivals hold where the scenario does not say; "" is poisson.
	Zipf     strict.Milli
	Arrivals string
	// Warmup, if not nil, says how long the load takes to become stationary: the
	// least default of window.warmup.
	Warmup func(protocols.Options) time.Duration
	// Sessions says that what clients ask for depends on the results of earlier
	// requests, so that a process of clients cannot crash and go on.
	Sessions bool
}

// Catalog is what a scenario is resolved against. A nil list switches the check
// of its names off.
type Catalog struct {
	Registry *protocols.Registry
	// Attacks that work on every protocol.
	Attacks []protocols.Attack
	Apps    []App
	// Topologies and Profiles are the embedded ones.
	Topologies, Profiles []string
	// Files are read instead of those on disk, by the names that scenarios have for
	// them: what a recorded scenario ran with.
	Files map[string]*File
	// Topology and Profile parse a file that a scenario names; nil lets every
	// content pass.
	Topology, Profile func(path string, data []byte) error
	// Check looks over a scenario when all else is in order, with what only those
	// who run it know. fail builds its error, at the value with that path. It may
	// be nil.
	Check func(s *Scenario, fail func(path, format string, args ...any) error) error
	// DefaultTopology and DefaultCosts are used where the scenario names none;
	// empty means lan and none. Costs that the topology names come before
	// DefaultCosts.
	DefaultTopology, DefaultCosts string
	// TopologyModel and ProfileHash look into a topology or profile, embedded or
	// from a file (nil for embedded). Nil functions know nothing of contents.
	TopologyModel func(name string, file *File) (TopologyModel, error)
	ProfileHash   func(name string, file *File) (string, error)
}

// Attacks returns the attacks that apply to a protocol: its own, then the
// generic ones.
func (c *Catalog) attacks(e *protocols.Entry) []protocols.Attack {
	return append(append([]protocols.Attack(nil), e.Attacks...), c.Attacks...)
}

// FindAttack returns the attack of that name for a protocol.
func (c *Catalog) FindAttack(e *protocols.Entry, name string) (*protocols.Attack, error) {
	all := c.attacks(e)
	names := make([]string, len(all))
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
		names[i] = all[i].Name
	}
	sort.Strings(names)
	return nil, fmt.Errorf("unknown attack %q for %s%s", name, e.Name, strict.Suggest(name, names))
}

// Load reads a scenario file and applies overrides. It is not resolved yet.
func Load(path string, overrides ...string) (*Scenario, error) {
	doc, err := strict.Read(path)
	if err != nil {
		return nil, err
	}
	return FromDocument(doc, overrides...)
}

// Parse is Load for text that is already in memory. file is used in messages,
// and relative files are looked up beside it.
func Parse(file string, data []byte, overrides ...string) (*Scenario, error) {
	doc, err := strict.Parse(file, data)
	if err != nil {
		return nil, err
	}
	return FromDocument(doc, overrides...)
}

// FromDocument decodes a document that may have been changed by overrides.
func FromDocument(doc *strict.Document, overrides ...string) (*Scenario, error) {
	doc = doc.Clone()
	for _, o := range overrides {
		if strings.HasPrefix(o, "duration=") {
			doc.Delete("window.measure")
		}
		if strings.HasPrefix(o, "window.measure=") {
			doc.Delete("duration")
		}
		if err := doc.Override(o); err != nil {
			return nil, err
		}
	}
	if doc.Has("duration") {
		if doc.Has("window.measure") {
			return nil, doc.Errorf("duration", "duration is shorthand for window.measure; give one of the two")
		}
		d := doc.At("duration")
		if d.IsMap() || d.IsList() {
			return nil, doc.Errorf("duration", "one value is needed, for example 5s")
		}
		if err := doc.SetNode("window.measure", d.Node, ""); err != nil {
			return nil, err
		}
		doc.Delete("duration")
	}
	s := Default()
	if err := doc.Decode(s); err != nil {
		return nil, err
	}
	s.doc = doc
	return s, nil
}

// Resolve looks up every name, fills in what follows from the rest and checks
// the whole. It is idempotent.
func (s *Scenario) Resolve(c *Catalog) error {
	if s.resolved {
		return nil
	}
	if s.Protocol == "" {
		return s.doc.Errorf("protocol", "a scenario needs a protocol; known: %s", strings.Join(c.Registry.Names(), ", "))
	}
	entry, err := c.Registry.Lookup(s.Protocol)
	if err != nil {
		return s.doc.Errorf("protocol", "%v", err)
	}
	if !entry.Complete {
		return s.doc.Errorf("protocol", "%s is an instance that works only inside a composition", s.Protocol)
	}
	if err := s.checkHost(entry); err != nil {
		return err
	}
	if err := s.resolveSize(entry); err != nil {
		return err
	}
	if err := s.Options.resolve(entry.Options, s.doc, "options"); err != nil {
		return err
	}
	if s.Clients == 0 {
		s.Clients = 16
		if s.Workload.Kind == "open" {
			s.Clients = int(min(max(s.Workload.Rate.PerSecond(), 64), 4096))
		}
	}
	app, err := s.resolveWorkload(c, entry)
	if err != nil {
		return err
	}
	if s.ClientHosts == 0 {
		// Few arrivals cannot be divided among many.
		for s.ClientHosts = min(4, s.Clients); s.ClientHosts > 1 && !s.divides(); {
			s.ClientHosts--
		}
	}
	if s.ClientHosts > s.Clients {
		return s.doc.Errorf("client_hosts", "%d hosts for %d clients; at most one host per client", s.ClientHosts, s.Clients)
	}
	if err := s.resolveNetwork(c); err != nil {
		return err
	}
	if err := s.checkHosts(app); err != nil {
		return err
	}
	for i := range s.Faults {
		f, path := &s.Faults[i], fmt.Sprintf("faults[%d]", i)
		if err := f.check(s, path); err != nil {
			return err
		}
		if app != nil && app.Sessions && f.Kind == "crash" && f.client() {
			return s.doc.Errorf(path+".nodes", "clients of %s depend on the results of earlier requests and do not survive a crash; pause or isolate them, or take another workload", app.Name)
		}
	}
	if err := s.resolveAdversaries(c, entry); err != nil {
		return err
	}
	if c.Check != nil {
		if err := c.Check(s, s.doc.Errorf); err != nil {
			return err
		}
	}
	s.resolved = true
	return nil
}

// divides reports whether every process of clients gets a part of an open load.
func (s *Scenario) divides() bool {
	n := len(s.Spread())
	for i := range n {
		if s.Workload.Kind == "open" && s.Workload.Process.Share(i, n).Check() != nil {
			return false
		}
	}
	return true
}

func (s *Scenario) checkHost(e *protocols.Entry) error {
	need := protocols.OnTCP
	if s.Mode == Sim {
		need = protocols.OnSimulator
	}
	if e.Hosts != 0 && e.Hosts&need == 0 {
		return s.doc.Errorf("mode", "%s does not run in mode %s", e.Name, s.Mode)
	}
	return nil
}

// resolveSize fills in n from f or f from n.
func (s *Scenario) resolveSize(e *protocols.Entry) error {
	switch {
	case s.F < 0 && s.N == 0:
		s.F = 1
		s.N = e.Replicas(1)
	case s.N == 0:
		s.N = e.Replicas(s.F)
	case s.F < 0:
		if least := e.Replicas(0); s.N < least {
			return s.doc.Errorf("n", "%s needs at least %d replicas, not %d", e.Name, least, s.N)
		}
		lo, hi := 0, s.N
		for lo < hi {
			if mid := (lo + hi + 1) / 2; e.Replicas(mid) <= s.N {
				lo = mid
			} else {
				hi = mid - 1
			}
		}
		s.F = lo
	}
	key := "n"
	if !s.doc.HasKey("n") {
		key = "f"
	}
	if err := e.Check(s.N, s.F); err != nil {
		return s.doc.Errorf(key, "%v", err)
	}
	return nil
}

func (s *Scenario) resolveWindow(app *App) {
	w := &s.Window
	if w.Warmup < 0 {
		w.Warmup = min(w.Measure/10, strict.Duration(5*time.Second))
		if app != nil && app.Warmup != nil {
			w.Warmup = max(w.Warmup, strict.Duration(app.Warmup(s.Workload.Options.Resolved)))
		}
	}
	if w.Cooldown < 0 {
		w.Cooldown = min(w.Measure/50, strict.Duration(2*time.Second))
	}
}

// resolveWorkload returns the application, if it is declared.
func (s *Scenario) resolveWorkload(c *Catalog, e *protocols.Entry) (*App, error) {
	w := &s.Workload
	fail := func(key, format string, args ...any) (*App, error) {
		return nil, s.doc.Errorf("workload."+key, format, args...)
	}
	var app *App
	if c.Apps != nil {
		names := make([]string, len(c.Apps))
		for i := range c.Apps {
			names[i] = c.Apps[i].Name
			if c.Apps[i].Name == w.App {
				app = &c.Apps[i]
			}
		}
		if app == nil {
			return fail("app", "unknown workload %q%s", w.App, strict.Suggest(w.App, names))
		}
		if !s.doc.HasKey("workload.zipf") && w.Zipf == 0 {
			w.Zipf = app.Zipf
		}
	}
	switch w.Kind {
	case "open":
		if w.Arrivals == "" {
			w.Arrivals = arrival.Poisson
			if app != nil {
				w.Arrivals = orElse(app.Arrivals, arrival.Poisson)
			}
		}
		kind, _, _ := strings.Cut(w.Arrivals, ":")
		if !contains(arrival.Kinds(), kind) {
			return fail("arrivals", "unknown arrival process %q%s", kind, strict.Suggest(kind, arrival.Kinds()))
		}
		if w.Rate == 0 && contains([]string{arrival.Poisson, arrival.Constant, arrival.MMPP, arrival.Diurnal}, kind) {
			return fail("rate", "an open workload needs a rate, for example 10k/s")
		}
		process, err := arrival.Parse(w.Arrivals, arrival.Rate(w.Rate))
		if err != nil {
			return fail("arrivals", "%v", err)
		}
		w.Process = process
		if w.Outstanding != 0 {
			return fail("outstanding", "outstanding belongs to a closed workload; write kind: closed, or leave it out")
		}
		if w.Think != 0 {
			return fail("think", "think belongs to a closed workload; write kind: closed, or leave it out")
		}
	case "closed":
		if w.Rate != 0 {
			return fail("rate", "rate belongs to an open workload; write kind: open, or leave it out")
		}
		if w.Arrivals != "" {
			return fail("arrivals", "arrivals belongs to an open workload; write kind: open, or leave it out")
		}
		if w.Outstanding == 0 {
			w.Outstanding = 1
		}
		if w.Outstanding > e.Outstanding {
			return fail("outstanding", "%s lets a client have %d requests open, not %d; use more clients", e.Name, e.Outstanding, w.Outstanding)
		}
	}
	classes := make([]string, 0, len(w.Mix))
	total := 0
	for class, weight := range w.Mix {
		classes = append(classes, class)
		if weight < 0 || weight > 1_000_000 {
			return fail("mix."+class, "a weight is 0 to 1000000, not %d", weight)
		}
		total += weight
	}
	sort.Strings(classes)
	if len(w.Mix) > 0 && total == 0 {
		return fail("mix", "all weights are 0")
	}
	if app != nil {
		for _, class := range classes {
			if !contains(app.Classes, class) {
				return fail("mix."+class, "%s has no class %q%s", w.App, class, strict.Suggest(class, app.Classes))
			}
		}
		if err := w.Options.resolve(app.Options, s.doc, "workload.options"); err != nil {
			return nil, err
		}
	}
	s.resolveWindow(app)
	return app, nil
}

// checkHosts validates which replicas share a host, and what their network cards do.
func (s *Scenario) checkHosts(app *App) error {
	if len(s.Hosts) > 0 {
		if s.Placement == "shared" {
			return s.doc.Errorf("hosts", "placement: shared puts all nodes on one host; leave one of the two out")
		}
		if len(s.Hosts) != s.N {
			return s.doc.Errorf("hosts", "%d hosts are named for %d replicas; name one for each", len(s.Hosts), s.N)
		}
		next := 0
		for i, h := range s.Hosts {
			if h < 0 || h > next {
				return s.doc.Errorf(fmt.Sprintf("hosts[%d]", i), "host %d; hosts are numbered in the order in which they appear, so this is one of 0 to %d", h, next)
			}
			next = max(next, h+1)
		}
	}
	if s.NIC.Sched != "fair" {
		return nil
	}
	why := ""
	switch {
	case s.NIC.Forward == "store":
		why = "forward: store"
	case s.Placement == "shared" || len(s.Hosts) > 0:
		why = "several nodes on a host"
	case app != nil && app.Sessions:
		why = "the agents that " + app.Name + " has beside replicas"
	default:
		return nil
	}
	return s.doc.Errorf("nic.sched", "fair is modelled for one node per host, not together with %s; choose fifo", why)
}

func (s *Scenario) resolveNetwork(c *Catalog) error {
	var err error
	if s.Topology == "" {
		s.Topology = orElse(c.DefaultTopology, "lan")
	}
	if s.TopologyFile, err = s.resolveName(c, "topology", s.Topology, c.Topologies, c.Topology); err != nil {
		return err
	}
	if err := s.resolveModels(c); err != nil {
		return err
	}
	for _, l := range []struct {
		key string
		v   strict.PPM
	}{{"loss", s.Loss}, {"duplicate", s.Duplicate}, {"reorder", s.Reorder}} {
		if l.v == 0 {
			continue
		}
		if s.Transport == "stream" {
			return s.doc.Errorf(l.key, "transport stream has no %s; choose transport: datagram (the protocol sees it) or tcp (messages come late)", l.key)
		}
		if l.key != "loss" && s.Transport == "tcp" {
			return s.doc.Errorf(l.key, "transport tcp hides %s from the protocol; choose transport: datagram", l.key)
		}
	}
	return nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// resolveName checks an embedded name, or reads a file.
func (s *Scenario) resolveName(c *Catalog, key, name string, known []string, parse func(string, []byte) error) (*File, error) {
	if !strings.ContainsAny(name, `/\`) && !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
		if known != nil && !contains(known, name) {
			return nil, s.doc.Errorf(key, "unknown name %q%s; a file is written with its path, ./name.yaml", name, strict.Suggest(name, known))
		}
		return nil, nil
	}
	if f := c.Files[name]; f != nil {
		return f, nil
	}
	path := name
	if s.doc != nil && !filepath.IsAbs(name) {
		if beside := filepath.Join(filepath.Dir(s.doc.File), name); exists(beside) {
			path = beside
		}
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > strict.MaxFile {
		return nil, s.doc.Errorf(key, "%s is larger than %d bytes", path, strict.MaxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, s.doc.Errorf(key, "cannot read %s: %v", path, err)
	}
	if parse != nil {
		if err := parse(path, data); err != nil {
			return nil, s.doc.Errorf(key, "%v", err)
		}
	}
	return NewFile(name, path, data), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (s *Scenario) resolveAdversaries(c *Catalog, e *protocols.Entry) error {
	bad := map[Node]bool{}
	for i := range s.Adversaries {
		a := &s.Adversaries[i]
		path := fmt.Sprintf("adversaries[%d]", i)
		if len(a.Nodes) == 0 {
			return s.doc.Errorf(path, "an adversary needs nodes")
		}
		if err := s.checkNodes(a.Nodes, true, false); err != nil {
			return s.doc.Errorf(path+".nodes", "%v", err)
		}
		for _, n := range a.Nodes {
			if bad[n] {
				return s.doc.Errorf(path+".nodes", "node %s has two attacks; one node has one", n)
			}
			bad[n] = true
		}
		if a.Attack == "" {
			return s.doc.Errorf(path, "an adversary needs an attack")
		}
		attack, err := c.FindAttack(e, a.Attack)
		if err != nil {
			return s.doc.Errorf(path+".attack", "%v", err)
		}
		if err := a.Options.resolve(attack.Options, s.doc, path+".options"); err != nil {
			return err
		}
	}
	if replicas := len(s.Byzantine()); replicas > s.F && !s.BeyondF {
		return s.doc.Errorf("adversaries", "%d Byzantine replicas with f=%d; no guarantee holds beyond f: write beyond_f: true if that is meant", replicas, s.F)
	}
	return nil
}
