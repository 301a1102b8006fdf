package run

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// HoldBack is how long a datagram is held back, or its copy comes later, where the
// scenario does not say.
const HoldBack = 20 * time.Millisecond

// NodeID returns the id of a node of a scenario; the primary is netsim.Leader.
func NodeID(n scenario.Node) protocols.NodeID {
	if i, ok := n.Replica(); ok {
		return protocols.NodeID(i)
	}
	if i, ok := n.Client(); ok {
		return protocols.FirstClient + protocols.NodeID(i)
	}
	return netsim.Leader
}

// NodeIDs returns the ids of a list of nodes.
func NodeIDs(list []scenario.Node) []protocols.NodeID {
	ids := make([]protocols.NodeID, len(list))
	for i, n := range list {
		ids[i] = NodeID(n)
	}
	return ids
}

// Faults translates the faults of a scenario for the simulator.
type Faults struct {
	s *scenario.Scenario
	// beside holds the agents on the host of each replica: they share its fate.
	beside map[protocols.NodeID][]protocols.NodeID
	// process names a client's process by its first client.
	process map[protocols.NodeID]protocols.NodeID
}

// NewFaults returns the translation for a resolved scenario. beside may be nil.
func NewFaults(s *scenario.Scenario, beside map[protocols.NodeID][]protocols.NodeID) *Faults {
	t := &Faults{s: s, beside: beside, process: make(map[protocols.NodeID]protocols.NodeID, s.Clients)}
	for _, p := range s.ClientProcesses() {
		first := protocols.FirstClient + protocols.NodeID(p.First)
		for c := range protocols.NodeID(p.Count) {
			t.process[first+c] = first
		}
	}
	return t
}

// Machine returns a replica and what fails with it.
func (t *Faults) Machine(replica protocols.NodeID) []protocols.NodeID {
	return append([]protocols.NodeID{replica}, t.beside[replica]...)
}

// machines returns what fails with each node of a list, one entry per replica and
// process of clients.
func (t *Faults) machines(list []scenario.Node) [][]protocols.NodeID {
	var out [][]protocols.NodeID
	seen := make(map[protocols.NodeID]bool)
	for _, id := range NodeIDs(list) {
		if first, ok := t.process[id]; ok {
			id = first
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, t.Machine(id))
		}
	}
	return out
}

// All translates all faults.
func (t *Faults) All() ([]netsim.Fault, error) {
	var out []netsim.Fault
	for i := range t.s.Faults {
		fs, err := t.Translate(&t.s.Faults[i])
		if err != nil {
			return nil, err
		}
		out = append(out, fs...)
	}
	return out, nil
}

// Translate returns what a fault of the scenario is for the simulator; several
// entries where single nodes are cut off from everybody, each other included.
func (t *Faults) Translate(f *scenario.Fault) ([]netsim.Fault, error) {
	base := netsim.Fault{At: protocols.Time(f.At), For: f.For.Std(), Delay: f.Delay.Std(), Jitter: f.Jitter.Std()}
	if f.On != nil {
		base.On = &netsim.Trigger{Node: protocols.Nobody, Nth: uint64(f.On.Count)}
		if f.On.Node != "" {
			base.On.Node = NodeID(f.On.Node)
		}
		for k := protocols.EventExecuted; k.String() != "?"; k++ {
			if k.String() == f.On.Event {
				base.On.Event = k
			}
		}
	}
	nodes := func(kind netsim.FaultKind) []netsim.Fault {
		out := base
		out.Kind, out.Nodes = kind, slices.Concat(t.machines(f.Nodes)...)
		return []netsim.Fault{out}
	}
	paths := func(kind netsim.FaultKind, ppm int64) []netsim.Fault {
		out := base
		out.Kind, out.PPM, out.OneWay = kind, ppm, true
		return t.paths(out, t.machines(f.From), t.machines(f.To))
	}
	switch f.Kind {
	case "crash":
		out := nodes(netsim.FaultCrash)
		out[0].Wipe = f.Disk == "wipe" || f.Disk == "forget"
		out[0].Torn, out[0].Amnesia = f.Disk == "torn", f.Disk == "forget"
		return out, nil
	case "pause":
		return nodes(netsim.FaultPause), nil
	case "isolate":
		out := base
		out.Kind, out.OneWay = netsim.FaultPartition, f.OneWay
		return t.paths(out, t.machines(f.Nodes), nil), nil
	case "partition":
		out := base
		out.Kind, out.Groups = netsim.FaultPartition, t.sides(f)
		if f.OneWay && len(out.Groups) > 1 {
			out.Nodes, out.Peers, out.OneWay = out.Groups[0], slices.Concat(out.Groups[1:]...), true
			out.Groups = nil
		}
		return []netsim.Fault{out}, nil
	case "slow-link":
		return paths(netsim.FaultDelay, 0), nil
	case "loss":
		return paths(netsim.FaultLoss, int64(f.Loss)), nil
	case "duplicate":
		base.Jitter = HoldBack
		return paths(netsim.FaultDuplicate, int64(f.Duplicate)), nil
	case "corrupt":
		return paths(netsim.FaultCorrupt, int64(f.Corrupt)), nil
	case "reorder":
		base.Jitter = HoldBack
		return paths(netsim.FaultReorder, int64(f.Reorder)), nil
	case "capacity":
		base.Rate = int64(f.Rate)
		return paths(netsim.FaultCapacity, 0), nil
	case "disk-corrupt":
		base.PPM = int64(f.Corrupt)
		return nodes(netsim.FaultDiskCorrupt), nil
	case "disk-error":
		return nodes(netsim.FaultDiskError), nil
	case "disk-full":
		base.Room = int64(f.Room)
		return nodes(netsim.FaultDiskFull), nil
	case "clog":
		return paths(netsim.FaultClog, 0), nil
	case "slow-cpu":
		base.Permille = int64(f.Slowdown) * 1000
		return nodes(netsim.FaultSlowCPU), nil
	case "slow-disk":
		base.Permille, base.Delay = 1000, f.Fsync.Std()
		return nodes(netsim.FaultSlowDisk), nil
	case "clock":
		base.Clock = netsim.ClockSpec{
			Shape: clockShapes[f.Shape], Offset: int64(f.Offset), Drift: int64(f.Drift) * 1000,
			Amplitude: int64(f.Amplitude), Period: int64(f.Period),
		}
		return nodes(netsim.FaultClock), nil
	}
	return nil, fmt.Errorf("the simulator has no fault %q", f.Kind)
}

var clockShapes = map[string]netsim.ClockShape{"periodic": netsim.ClockPeriodic, "step": netsim.ClockStep, "noisy": netsim.ClockNoisy}

// paths makes one entry per sending machine, for in netsim the nodes of one entry
// still reach each other. No senders or no receivers mean all.
func (t *Faults) paths(f netsim.Fault, from, to [][]protocols.NodeID) []netsim.Fault {
	if len(from) == 0 {
		f.Peers = slices.Concat(to...)
		return []netsim.Fault{f}
	}
	var out []netsim.Fault
	for _, machine := range from {
		x := f
		x.Nodes = machine
		for _, other := range to {
			if other[0] != machine[0] {
				x.Peers = append(x.Peers[:len(x.Peers):len(x.Peers)], other...)
			}
		}
		if len(to) == 0 || len(x.Peers) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// sides returns the groups of a partition; replicas in no group form one more.
func (t *Faults) sides(f *scenario.Fault) [][]protocols.NodeID {
	var groups [][]protocols.NodeID
	named := make(map[protocols.NodeID]bool)
	for _, g := range f.Groups {
		ids := slices.Concat(t.machines(g)...)
		for _, id := range ids {
			named[id] = true
		}
		groups = append(groups, ids)
	}
	var rest []protocols.NodeID
	for r := range protocols.NodeID(t.s.N) {
		if !named[r] {
			rest = append(rest, t.Machine(r)...)
		}
	}
	if len(rest) > 0 {
		groups = append(groups, rest)
	}
	return groups
}

// interval is how a fault is shown in figures. Triggered faults have no place on
// the time axis before they strike, and are left out.
func interval(f *scenario.Fault, end time.Duration) (result.FaultInterval, bool) {
	if f.On != nil {
		return result.FaultInterval{}, false
	}
	label := f.Kind
	if len(f.Nodes) > 0 {
		names := make([]string, len(f.Nodes))
		for i, n := range f.Nodes {
			names[i] = string(n)
		}
		label += " " + strings.Join(names, ",")
	}
	to := end
	if f.For > 0 {
		to = min(end, f.At.Std()+f.For.Std())
	}
	if f.Kind == "disk-corrupt" { // at a point in time
		to = f.At.Std()
	}
	return result.FaultInterval{Label: label, FromS: result.Seconds(f.At), ToS: result.Seconds(to)}, true
}
