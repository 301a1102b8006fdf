package explore

import (
	"fmt"
	"time"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// window is how long a datagram is held back, or its copy comes later, where the
// scenario does not say.
const window = 20 * time.Millisecond

// nodeID returns the id of a node of a scenario, or Nobody for the primary.
func nodeID(n scenario.Node) protocols.NodeID {
	if i, ok := n.Replica(); ok {
		return protocols.NodeID(i)
	}
	if i, ok := n.Client(); ok {
		return protocols.FirstClient + protocols.NodeID(i)
	}
	return protocols.Nobody
}

func nodeIDs(list []scenario.Node) []protocols.NodeID {
	var ids []protocols.NodeID
	for _, n := range list {
		if id := nodeID(n); id != protocols.Nobody {
			ids = append(ids, id)
		}
	}
	return ids
}

// leads reports whether a fault concerns the replica that leads when it strikes.
func leads(f *scenario.Fault) bool {
	for _, list := range [][]scenario.Node{f.Nodes, f.From, f.To} {
		for _, n := range list {
			if n == scenario.Primary {
				return true
			}
		}
	}
	return false
}

// withPrimary returns the list with the primary named.
func withPrimary(list []scenario.Node, primary protocols.NodeID) []scenario.Node {
	var out []scenario.Node
	for _, n := range list {
		if n == scenario.Primary {
			n = node(int(primary))
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

// netFault translates a fault of a scenario for the simulator. n is the number
// of replicas.
func netFault(f *scenario.Fault, n int) (netsim.Fault, error) {
	out := netsim.Fault{
		At: protocols.Time(f.At), For: f.For.Std(), Nodes: nodeIDs(f.Nodes), Wipe: f.Disk == "wipe",
		Delay: f.Delay.Std(), Jitter: f.Jitter.Std(),
	}
	paths := func(kind netsim.FaultKind, ppm int64) {
		out.Kind, out.PPM = kind, ppm
		out.Nodes, out.Peers, out.OneWay = nodeIDs(f.From), nodeIDs(f.To), true
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
		named := make(map[protocols.NodeID]bool)
		for _, g := range f.Groups {
			ids := nodeIDs(g)
			for _, id := range ids {
				named[id] = true
			}
			out.Groups = append(out.Groups, ids)
		}
		var rest []protocols.NodeID // replicas in no group form one more
		for r := range protocols.NodeID(n) {
			if !named[r] {
				rest = append(rest, r)
			}
		}
		if len(rest) > 0 {
			out.Groups = append(out.Groups, rest)
		}
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
		out.Jitter = window
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
		return out, fmt.Errorf("the exploration has no fault %q", f.Kind)
	}
	return out, nil
}
