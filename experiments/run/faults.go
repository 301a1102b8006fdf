package run

import (
	"fmt"
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

// NodeID returns the id of a node of a scenario, or Nobody for the primary.
func NodeID(n scenario.Node) protocols.NodeID {
	if i, ok := n.Replica(); ok {
		return protocols.NodeID(i)
	}
	if i, ok := n.Client(); ok {
		return protocols.FirstClient + protocols.NodeID(i)
	}
	return protocols.Nobody
}

// NodeIDs returns the ids of a list of nodes, the primary left out.
func NodeIDs(list []scenario.Node) []protocols.NodeID {
	var ids []protocols.NodeID
	for _, n := range list {
		if id := NodeID(n); id != protocols.Nobody {
			ids = append(ids, id)
		}
	}
	return ids
}

// Leads reports whether a fault concerns the replica that leads when it strikes;
// it is injected when that is known.
func Leads(f *scenario.Fault) bool {
	for _, list := range [][]scenario.Node{f.Nodes, f.From, f.To} {
		for _, n := range list {
			if n == scenario.Primary {
				return true
			}
		}
	}
	return false
}

// WithPrimary returns the fault with the primary named.
func WithPrimary(f scenario.Fault, primary protocols.NodeID) scenario.Fault {
	name := func(list []scenario.Node) []scenario.Node {
		var out []scenario.Node
		for _, n := range list {
			if n == scenario.Primary {
				n = scenario.Node(fmt.Sprint(int(primary)))
			}
			seen := false
			for _, m := range out {
				seen = seen || m == n
			}
			if !seen {
				out = append(out, n)
			}
		}
		return out
	}
	f.Nodes, f.From, f.To = name(f.Nodes), name(f.From), name(f.To)
	return f
}

// NetFault translates a fault of a scenario with n replicas for the simulator.
func NetFault(f *scenario.Fault, n int) (netsim.Fault, error) {
	out := netsim.Fault{
		At: protocols.Time(f.At), For: f.For.Std(), Nodes: NodeIDs(f.Nodes), Wipe: f.Disk == "wipe",
		Delay: f.Delay.Std(), Jitter: f.Jitter.Std(),
	}
	if f.On != nil {
		out.On = &netsim.Trigger{Node: protocols.Nobody, Nth: uint64(f.On.Count)}
		if f.On.Node != "" {
			out.On.Node = NodeID(f.On.Node)
		}
		for k := protocols.EventExecuted; k.String() != "?"; k++ {
			if k.String() == f.On.Event {
				out.On.Event = k
			}
		}
	}
	paths := func(kind netsim.FaultKind, ppm int64) {
		out.Kind, out.PPM = kind, ppm
		out.Nodes, out.Peers, out.OneWay = NodeIDs(f.From), NodeIDs(f.To), true
	}
	switch f.Kind {
	case "crash":
		out.Kind = netsim.FaultCrash
	case "pause":
		out.Kind = netsim.FaultPause
	case "isolate":
		out.Kind, out.OneWay = netsim.FaultPartition, f.OneWay
	case "partition":
		out.Kind = netsim.FaultPartition
		out.Groups = sides(f, n)
		if f.OneWay && len(out.Groups) > 1 {
			out.Nodes, out.OneWay = out.Groups[0], true
			for _, g := range out.Groups[1:] {
				out.Peers = append(out.Peers, g...)
			}
			out.Groups = nil
		}
	case "slow-link":
		paths(netsim.FaultDelay, 0)
	case "loss":
		paths(netsim.FaultLoss, int64(f.Loss))
	case "duplicate":
		paths(netsim.FaultDuplicate, int64(f.Duplicate))
		out.Jitter = HoldBack
	case "corrupt":
		paths(netsim.FaultCorrupt, int64(f.Corrupt))
	case "clog":
		paths(netsim.FaultClog, 0)
	case "slow-cpu":
		out.Kind, out.Permille = netsim.FaultSlowCPU, int64(f.Slowdown)*1000
	case "slow-disk":
		out.Kind, out.Permille, out.Delay = netsim.FaultSlowDisk, 1000, f.Fsync.Std()
	case "clock":
		out.Kind = netsim.FaultClock
		out.Clock = netsim.ClockSpec{Offset: int64(f.Offset), Drift: int64(f.Drift) * 1000}
	default:
		return out, fmt.Errorf("the simulator has no fault %q", f.Kind)
	}
	return out, nil
}

// sides returns the groups of a partition; replicas in no group form one more.
func sides(f *scenario.Fault, n int) [][]protocols.NodeID {
	var groups [][]protocols.NodeID
	named := make(map[protocols.NodeID]bool)
	for _, g := range f.Groups {
		ids := NodeIDs(g)
		for _, id := range ids {
			named[id] = true
		}
		groups = append(groups, ids)
	}
	var rest []protocols.NodeID
	for r := range protocols.NodeID(n) {
		if !named[r] {
			rest = append(rest, r)
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
	return result.FaultInterval{Label: label, FromS: result.Seconds(f.At), ToS: result.Seconds(to)}, true
}
