package scenario

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
)

// Fault is one timed entry of the faultload. Which fields apply depends on the
// kind; see FaultKinds.
type Fault struct {
	Kind string `key:"kind" doc:"what goes wrong"`
	// At counts from the start of the run. With On it is a delay after the event.
	At  strict.Duration `key:"at" max:"3600000000000000" doc:"when, from the start of the run; with on: how long after the event"`
	For strict.Duration `key:"for" max:"3600000000000000" doc:"how long; 0 means until the end"`
	On  *Trigger        `key:"on" doc:"strike on an event instead of at a time"`

	Nodes  []Node   `key:"nodes" doc:"the nodes concerned"`
	Groups [][]Node `key:"groups" doc:"sides of a partition; replicas in no group form one more, clients in none reach all; primary belongs where it is named, whatever its number"`
	OneWay bool     `key:"one_way" doc:"cut only what the first group sends"`
	// From and To select directed paths; empty means all nodes.
	From []Node `key:"from" doc:"senders of the paths concerned; all if left out"`
	To   []Node `key:"to" doc:"receivers of the paths concerned; all if left out"`

	Disk      string          `key:"disk" enum:"keep,torn,wipe,forget" doc:"what a crashed node finds when it restarts: what was durable; perhaps also the first of what was being written; nothing; nothing, and it does not know that it ever ran, which makes it Byzantine"`
	Delay     strict.Duration `key:"delay" max:"3600000000000000" doc:"additional one-way delay"`
	Jitter    strict.Duration `key:"jitter" max:"3600000000000000" doc:"uniform delay on top of it"`
	Loss      strict.PPM      `key:"loss" max:"1000000" doc:"fraction of messages lost"`
	Duplicate strict.PPM      `key:"duplicate" max:"1000000" doc:"fraction of messages delivered twice"`
	Corrupt   strict.PPM      `key:"corrupt" max:"1000000" doc:"fraction of messages that arrive damaged, and fail authentication"`
	Slowdown  int             `key:"slowdown" min:"0" max:"1000" doc:"CPU times multiplied by this"`
	Offset    strict.Duration `key:"offset" min:"-86400000000000" doc:"step of the wall clock, may be negative"`
	Drift     strict.PPM      `key:"drift" min:"-500000" max:"500000" doc:"rate error of the wall clock, may be negative"`
	Reorder   strict.PPM      `key:"reorder" later:"1" max:"1000000" doc:"fraction of messages held back past later ones"`
	Rate      strict.BitRate  `key:"rate" later:"1" min:"1" doc:"what each sender can send on the paths together"`
	Room      strict.Bytes    `key:"room" later:"1" doc:"how much more the log of a node may hold; compaction makes room again"`
	Shape     string          `key:"shape" later:"1" enum:"linear,periodic,step,noisy" doc:"how the wall clock errs beside offset and drift: not at all, by amplitude times a sine, by amplitude more after every period, or periodically with noise"`
	Amplitude strict.Duration `key:"amplitude" later:"1" min:"-86400000000000" max:"86400000000000" doc:"size of the error of a shape, may be negative"`
	Period    strict.Duration `key:"period" later:"1" max:"3600000000000000" doc:"period of a shape"`
	Fsync     strict.Duration `key:"fsync" max:"3600000000000000" doc:"additional time of each durable write"`
}

// Trigger is an event that a fault waits for.
type Trigger struct {
	Event string `key:"event" doc:"kind of event, for example view-change"`
	Node  Node   `key:"node" doc:"the node that emits it; any if left out"`
	Count int    `key:"count" min:"1" doc:"strike at this occurrence"`
}

// SetDefaults implements strict.Defaulter.
func (t *Trigger) SetDefaults() { t.Count = 1 }

// FaultKind says which fields a kind of fault has.
type FaultKind struct {
	Name, Doc string
	// Need are required, May are allowed beside kind, at, for and on.
	Need, May []string
	// Clients says that the nodes may be clients.
	Clients bool
	// NoPrimary says that "primary" is not a possible node.
	NoPrimary bool
	// Instant says that it happens at a point in time.
	Instant bool
}

var faultKinds = []FaultKind{
	{Name: "crash", Doc: "nodes stop and lose what was not durable; with for they restart after it, with their disk or without", Need: []string{"nodes"}, May: []string{"disk"}, Clients: true},
	{Name: "pause", Doc: "nodes stop for a while and lose nothing", Need: []string{"nodes", "for"}, Clients: true},
	{Name: "partition", Doc: "messages between the groups are lost; streams break, and both ends learn of it", Need: []string{"groups"}, May: []string{"one_way"}},
	{Name: "isolate", Doc: "each of the nodes reaches nobody, the others of the list included, and nobody reaches it", Need: []string{"nodes"}, May: []string{"one_way"}, Clients: true},
	{Name: "slow-link", Doc: "paths take longer", May: []string{"from", "to", "delay", "jitter"}, Clients: true},
	{Name: "loss", Doc: "paths lose messages (datagram) or deliver them late (tcp)", Need: []string{"loss"}, May: []string{"from", "to"}, Clients: true},
	{Name: "duplicate", Doc: "paths deliver messages twice (datagram)", Need: []string{"duplicate"}, May: []string{"from", "to"}, Clients: true},
	{Name: "corrupt", Doc: "paths damage messages, which then fail authentication", Need: []string{"corrupt"}, May: []string{"from", "to"}, Clients: true},
	{Name: "reorder", Doc: "paths hold messages back past later ones (datagram)", Need: []string{"reorder"}, May: []string{"from", "to"}, Clients: true},
	{Name: "capacity", Doc: "paths carry no more than a rate; what is more waits in a queue, and is lost when that is full", Need: []string{"rate"}, May: []string{"from", "to"}, Clients: true},
	{Name: "clog", Doc: "paths stop for a while and then deliver in a burst", Need: []string{"for"}, May: []string{"from", "to"}, Clients: true},
	{Name: "slow-cpu", Doc: "nodes compute more slowly", Need: []string{"nodes", "slowdown"}, Clients: true},
	{Name: "slow-disk", Doc: "durable writes take longer", Need: []string{"nodes", "fsync"}},
	{Name: "disk-corrupt", Doc: "records on the disks of nodes become unreadable; a node finds that out when it restarts, and starts without its disk", Need: []string{"nodes", "corrupt"}, Instant: true},
	{Name: "disk-error", Doc: "the disks of nodes take no write; a node stops at its next one, and restarts at the end with what was durable", Need: []string{"nodes"}},
	{Name: "disk-full", Doc: "the disks of nodes are full; a node stops at the record that has no room, and restarts at the end with what was durable", Need: []string{"nodes"}, May: []string{"room"}},
	{Name: "clock", Doc: "the wall clock of nodes jumps, drifts or swings", Need: []string{"nodes"}, May: []string{"offset", "drift", "shape", "amplitude", "period"}, Clients: true},
}

// FaultKinds lists the kinds of fault.
func FaultKinds() []FaultKind { return append([]FaultKind(nil), faultKinds...) }

func faultKind(name string) (FaultKind, error) {
	names := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		if k.Name == name {
			return k, nil
		}
		names[i] = k.Name
	}
	return FaultKind{}, fmt.Errorf("unknown kind of fault %q%s", name, strict.Suggest(name, names))
}

// EventNames lists the events that a trigger can wait for.
func EventNames() []string {
	var names []string
	for k := protocols.EventExecuted; k.String() != "?"; k++ {
		names = append(names, k.String())
	}
	return names
}

// given returns the keys of the kind-specific fields that are set.
func (f *Fault) given() map[string]bool {
	set := map[string]bool{
		"nodes": len(f.Nodes) > 0, "groups": len(f.Groups) > 0, "one_way": f.OneWay,
		"from": len(f.From) > 0, "to": len(f.To) > 0, "disk": f.Disk != "",
		"delay": f.Delay != 0, "jitter": f.Jitter != 0, "loss": f.Loss != 0,
		"duplicate": f.Duplicate != 0, "corrupt": f.Corrupt != 0,
		"slowdown": f.Slowdown != 0, "offset": f.Offset != 0, "drift": f.Drift != 0,
		"fsync": f.Fsync != 0, "for": f.For != 0, "reorder": f.Reorder != 0, "rate": f.Rate != 0, "room": f.Room != 0,
		"shape": f.Shape != "", "amplitude": f.Amplitude != 0, "period": f.Period != 0,
	}
	return set
}

// client reports whether the nodes of a fault include a client.
func (f *Fault) client() bool {
	return slices.ContainsFunc(f.Nodes, func(n Node) bool { _, is := n.Client(); return is })
}

// check validates one fault of a scenario.
func (f *Fault) check(s *Scenario, path string) error {
	fail := func(key, format string, args ...any) error {
		if key != "" {
			key = "." + key
		}
		return s.doc.Errorf(path+key, format, args...)
	}
	if f.Kind == "" {
		return fail("", "a fault needs a kind; allowed: %s", strings.Join(faultNames(), ", "))
	}
	kind, err := faultKind(f.Kind)
	if err != nil {
		return fail("kind", "%v", err)
	}
	given := f.given()
	allowed := map[string]bool{"for": !kind.Instant}
	for _, k := range kind.Need {
		if !given[k] {
			return fail("", "a %s fault needs %s", f.Kind, k)
		}
		allowed[k] = true
	}
	for _, k := range kind.May {
		allowed[k] = true
	}
	keys := make([]string, 0, len(given))
	for k := range given {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if given[k] && !allowed[k] {
			has := append(append([]string{"at", "for", "on"}, kind.Need...), kind.May...)
			if kind.Instant {
				has = append([]string{"at", "on"}, has[3:]...)
			}
			return fail(k, "a %s fault has no %s; it has: %s", f.Kind, k, strings.Join(has, ", "))
		}
	}
	if f.Disk != "" && f.For == 0 {
		return fail("disk", "disk says what a node finds when it restarts; give for too")
	}
	if f.Kind == "slow-link" && f.Delay == 0 && f.Jitter == 0 {
		return fail("", "a slow-link fault needs delay or jitter")
	}
	if len(f.From) == 1 && len(f.To) == 1 && f.From[0] == f.To[0] {
		return fail("to", "paths from %s to itself do not exist; name another node", f.To[0])
	}
	if f.Kind == "slow-cpu" && s.Costs == "none" {
		return fail("kind", "with costs: none there is no CPU time to multiply; name a profile")
	}
	if f.Kind == "clock" {
		swings := f.Shape != "" && f.Shape != "linear"
		switch {
		case !swings && (f.Amplitude != 0 || f.Period != 0):
			return fail("", "amplitude and period belong to a clock fault with shape: periodic, step or noisy")
		case swings && (f.Amplitude == 0 || f.Period < 64):
			return fail("", "a clock fault with shape: %s needs amplitude and a period of at least 64ns", f.Shape)
		case !swings && f.Offset == 0 && f.Drift == 0:
			return fail("", "a clock fault needs offset or drift, or a shape")
		}
	}
	if f.Disk == "forget" {
		if slices.Contains(f.Nodes, Primary) {
			return fail("nodes", "disk: forget makes a replica Byzantine, and which one must be known; name it by number")
		}
	}
	if f.Disk != "" && f.client() {
		return fail("disk", "clients keep nothing on a disk; leave it out")
	}
	if (f.Kind == "duplicate" || f.Kind == "reorder") && s.Transport == "tcp" {
		return fail("kind", "transport tcp hides repeated and reordered messages from the protocol; choose transport: datagram")
	}
	if (f.Kind == "loss" || f.Kind == "duplicate" || f.Kind == "reorder") && s.Transport == "stream" {
		return fail("kind", "transport stream neither loses nor repeats nor reorders messages; choose transport: datagram (the protocol sees it) or tcp (messages come late)")
	}
	if f.On == nil && f.At.Std() >= s.Window.Total() {
		return fail("at", "%s is not before the end of the run (%s)", f.At, s.Window.Total())
	}
	if f.On != nil {
		if !contains(EventNames(), f.On.Event) {
			return fail("on.event", "unknown event %q%s", f.On.Event, strict.Suggest(f.On.Event, EventNames()))
		}
		if f.On.Node != "" {
			if err := s.checkNode(f.On.Node, true, false); err != nil {
				return fail("on.node", "%v", err)
			}
		}
	}
	for _, list := range []struct {
		key   string
		nodes []Node
	}{{"nodes", f.Nodes}, {"from", f.From}, {"to", f.To}} {
		if err := s.checkNodes(list.nodes, kind.Clients, !kind.NoPrimary); err != nil {
			return fail(list.key, "%v", err)
		}
		if err := s.checkProcesses(list.nodes); err != nil {
			return fail(list.key, "%v", err)
		}
	}
	seen := map[Node]bool{}
	for i, g := range f.Groups {
		if len(g) == 0 {
			return fail(fmt.Sprintf("groups[%d]", i), "a group is empty")
		}
		for _, n := range g {
			if err := s.checkNode(n, true, true); err != nil {
				return fail(fmt.Sprintf("groups[%d]", i), "%v", err)
			}
			if seen[n] {
				return fail(fmt.Sprintf("groups[%d]", i), "node %s is in two groups", n)
			}
			seen[n] = true
		}
		if err := s.checkProcesses(g); err != nil {
			return fail(fmt.Sprintf("groups[%d]", i), "%v", err)
		}
	}
	if len(f.Groups) == 1 && s.holdsAll(f.Groups[0]) {
		return fail("groups", "one group of all %d replicas is no partition; leave some out, or write a second group", s.N)
	}
	return nil
}

// holdsAll reports whether every replica is certainly in the group.
func (s *Scenario) holdsAll(group []Node) bool {
	in := map[int]bool{}
	for _, n := range group {
		if i, ok := n.Replica(); ok {
			in[i] = true
		}
	}
	return len(in) == s.N
}

func faultNames() []string {
	names := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		names[i] = k.Name
	}
	return names
}

func (s *Scenario) checkNodes(nodes []Node, clients, primary bool) error {
	seen := map[Node]bool{}
	for _, n := range nodes {
		if err := s.checkNode(n, clients, primary); err != nil {
			return err
		}
		if seen[n] {
			return fmt.Errorf("node %s is named twice", n)
		}
		seen[n] = true
	}
	return nil
}

func (s *Scenario) checkNode(n Node, clients, primary bool) error {
	if n == Primary {
		if !primary {
			return fmt.Errorf("primary is not possible here; name a replica")
		}
		return nil
	}
	if i, ok := n.Replica(); ok {
		if i < 0 || i >= s.N {
			return fmt.Errorf("there is no replica %s; with n=%d they are 0 to %d", n, s.N, s.N-1)
		}
		return nil
	}
	if i, ok := n.Client(); ok {
		if !clients {
			return fmt.Errorf("client %s is not possible here; name a replica", n)
		}
		if i < 0 || i >= s.Clients {
			return fmt.Errorf("there is no client %s; with clients=%d they are c0 to c%d", n, s.Clients, s.Clients-1)
		}
		return nil
	}
	return fmt.Errorf("%q is not a node; write a replica (0), a client (c0) or primary", n)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
