package explore

import (
	"fmt"
	"sort"
	"time"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
)

// faultDraw draws the faults of one schedule.
type faultDraw struct {
	draw
	s         *scenario.Scenario
	horizon   time.Duration
	byzantine []int
	// wipes is how many replicas may still lose their disk: a replica that forgot
	// what it signed is as bad as a Byzantine one. With liars one of them may even
	// deny that it lost anything.
	wipes int
	liars bool
	wiped map[int]bool
	// volatile: every crash loses what was promised.
	volatile bool
}

func node(replica int) scenario.Node { return scenario.Node(fmt.Sprint(replica)) }

func nodes(replicas []int) []scenario.Node {
	out := make([]scenario.Node, len(replicas))
	for i, r := range replicas {
		out[i] = node(r)
	}
	return out
}

// draw1 appends faults of a random selection of the kinds to the scenario.
func (f *faultDraw) draw1(kinds []string, st Strategy) {
	f.wiped = make(map[int]bool)
	if st.lossy {
		f.s.Faults = append(f.s.Faults, scenario.Fault{
			Kind: "loss", For: strict.Duration(f.horizon), Loss: strict.PPM(f.between(100_000, 666_000)),
		})
	}
	for _, kind := range kinds {
		on, count := f.oneIn(3), f.between(1, 3)
		if len(kinds) <= 3 {
			on = !f.oneIn(3)
		}
		if st.Name == "delays" {
			on, count = true, f.between(1, 6)
		}
		if !on {
			continue
		}
		for range count {
			if fault, ok := f.one(kind); ok {
				f.s.Faults = append(f.s.Faults, fault)
			}
		}
	}
	if st.leaders {
		for range f.between(2, 6) {
			f.s.Faults = append(f.s.Faults, f.leader())
		}
	}
	if st.triggers && f.oneIn(2) {
		for range f.between(1, 3) {
			f.s.Faults = append(f.s.Faults, f.triggered())
		}
	}
	sort.SliceStable(f.s.Faults, func(i, j int) bool { return f.s.Faults[i].At < f.s.Faults[j].At })
}

// leader draws a fault of whoever leads when it strikes. It is over soon, so that
// several views come to be in one schedule.
func (f *faultDraw) leader() scenario.Fault {
	at := time.Duration(f.between(0, int64(f.horizon*9/10))).Truncate(time.Microsecond)
	length := f.duration(f.horizon/50, min(f.horizon/3, f.horizon-at))
	fault := scenario.Fault{Kind: "isolate", At: strict.Duration(at), For: strict.Duration(length), Nodes: []scenario.Node{scenario.Primary}}
	switch f.IntN(6) {
	case 0:
		fault.Kind = "pause"
	case 1:
		if !f.volatile { // it would count as one of the f
			fault.Kind = "crash"
		}
	case 2:
		fault.OneWay = true
	}
	return fault
}

// triggered draws a fault that strikes just after an event.
func (f *faultDraw) triggered() scenario.Fault {
	events := [...]protocols.EventKind{
		protocols.EventNewView, protocols.EventNewView, protocols.EventViewChange, protocols.EventCommitted,
		protocols.EventExecuted, protocols.EventCheckpoint, protocols.EventTransfer,
	}
	fault := scenario.Fault{
		Kind: "isolate", For: strict.Duration(f.duration(f.horizon/50, f.horizon/3)), Nodes: nodes(f.subset(f.s.N, 2)),
		On: &scenario.Trigger{Event: events[f.IntN(len(events))].String(), Count: int(f.spread(1, 8))},
	}
	if f.oneIn(2) {
		fault.On.Node = node(f.IntN(f.s.N))
	}
	if !f.oneIn(3) {
		fault.At = strict.Duration(f.duration(time.Microsecond, 3*time.Millisecond))
	}
	switch f.IntN(4) {
	case 0:
		fault.Kind = "pause"
	case 1:
		if !f.volatile {
			fault.Kind = "crash"
		}
	case 2:
		fault.OneWay = true
	}
	return fault
}

// one draws one fault. It ends before the safety phase does.
func (f *faultDraw) one(kind string) (scenario.Fault, bool) {
	at := time.Duration(f.between(0, int64(f.horizon*9/10)))
	at -= at % time.Microsecond
	length := f.duration(f.horizon/100, f.horizon-at)
	fault := scenario.Fault{Kind: kind, At: strict.Duration(at), For: strict.Duration(length)}
	n := f.s.N
	switch kind {
	case "crash":
		return fault, f.crash(&fault)
	case "pause":
		fault.Nodes = nodes(f.subset(n, n))
		if f.oneIn(4) {
			fault.Nodes = f.clients()
		}
	case "disk-corrupt":
		return fault, f.rot(&fault)
	case "disk-error", "disk-full":
		if f.volatile {
			return fault, false
		}
		fault.Nodes = nodes(f.subset(n, n))
		if f.oneIn(4) {
			fault.Nodes = []scenario.Node{scenario.Primary}
		}
		if kind == "disk-full" {
			fault.Room = strict.Bytes(f.spread(0, 4096))
		}
	case "reorder":
		if f.s.Transport != "datagram" {
			return fault, false
		}
		f.paths(&fault)
		fault.Reorder = strict.PPM(f.spread(10_000, 1_000_000))
	case "capacity":
		f.paths(&fault)
		fault.Rate = strict.BitRate(f.spread(100_000, 100_000_000))
	case "isolate":
		fault.Nodes = nodes(f.subset(n, 1))
		if f.oneIn(4) {
			fault.Nodes = []scenario.Node{scenario.Primary}
		}
		fault.OneWay = f.oneIn(3)
	case "partition":
		for len(fault.Groups) == 0 { // uniform assignment to two or three sides
			sides := make([][]scenario.Node, f.between(2, 3))
			for r := range n {
				i := f.IntN(len(sides))
				sides[i] = append(sides[i], node(r))
			}
			for _, side := range sides {
				if len(side) > 0 && len(side) < n {
					fault.Groups = append(fault.Groups, side)
				}
			}
		}
		fault.OneWay = f.oneIn(3)
	case "slow-link":
		f.paths(&fault)
		fault.Delay = strict.Duration(f.duration(100*time.Microsecond, f.horizon/4))
		if f.oneIn(2) {
			fault.Jitter = strict.Duration(f.duration(100*time.Microsecond, f.horizon/4))
		}
	case "loss":
		if f.s.Transport == "stream" {
			return fault, false
		}
		f.paths(&fault)
		fault.Loss = strict.PPM(f.spread(10_000, 1_000_000))
		if f.s.Transport == "tcp" {
			fault.Loss = min(fault.Loss, 300_000) // beyond it TCP makes no headway
		}
	case "duplicate":
		if f.s.Transport != "datagram" {
			return fault, false
		}
		f.paths(&fault)
		fault.Duplicate = strict.PPM(f.spread(10_000, 1_000_000))
	case "corrupt":
		f.paths(&fault)
		fault.Corrupt = strict.PPM(f.spread(10_000, 500_000))
	case "clog":
		f.paths(&fault)
	case "slow-cpu":
		if f.s.Costs == "none" {
			return fault, false
		}
		fault.Nodes = nodes(f.subset(n, n))
		fault.Slowdown = int(f.spread(2, 1000))
	case "slow-disk":
		fault.Nodes = nodes(f.subset(n, n))
		fault.Fsync = strict.Duration(f.duration(100*time.Microsecond, 20*time.Millisecond))
	case "clock":
		fault.Nodes = nodes(f.subset(n, n))
		if f.oneIn(4) {
			fault.Shape = []string{"periodic", "step", "noisy"}[f.IntN(3)]
			fault.Amplitude = strict.Duration(f.duration(time.Millisecond, 10*time.Second))
			fault.Period = strict.Duration(f.duration(time.Millisecond, f.horizon))
		} else if f.oneIn(2) {
			fault.Offset = strict.Duration(f.duration(time.Millisecond, 10*time.Second))
			if f.oneIn(2) {
				fault.Offset = -fault.Offset
			}
		} else {
			fault.Drift = strict.PPM(f.spread(10, 400_000))
			if f.oneIn(2) {
				fault.Drift = -fault.Drift
			}
		}
	}
	return fault, true
}

// crash chooses who stops: one replica, a few, all at once, or a process of
// clients. Disks are lost within the bound only. It reports whether there is such
// a crash.
func (f *faultDraw) crash(fault *scenario.Fault) bool {
	n := f.s.N
	who, wipe, torn := f.IntN(7), f.oneIn(2), f.oneIn(2)
	if who == 6 {
		fault.Nodes = f.clients()
		return f.s.Workload.App != "market" // whose clients do not survive it
	}
	if torn {
		fault.Disk = "torn"
	}
	if who > 1 || f.volatile {
		victim := f.IntN(n)
		fault.Nodes = []scenario.Node{node(victim)}
		if !wipe && !f.volatile {
			return true
		}
		if !f.lose(victim) {
			return !f.volatile
		}
		if wipe {
			fault.Disk = "wipe"
			if f.liars && f.oneIn(3) {
				fault.Disk = "forget"
			}
		}
		return true
	}
	if who == 0 {
		fault.Nodes = nodes(f.subset(n, n))
	} else {
		fault.Nodes = []scenario.Node{scenario.Primary}
	}
	return true
}

// lose lets a replica lose its disk if that is within the bound.
func (f *faultDraw) lose(victim int) bool {
	switch {
	case contains(f.byzantine, victim), f.wiped[victim]: // counts as faulty already
	case len(f.wiped) < f.wipes:
		f.wiped[victim] = true
	default:
		return false
	}
	return true
}

// rot damages the disk of a replica, and lets it find out later.
func (f *faultDraw) rot(fault *scenario.Fault) bool {
	victim := f.IntN(f.s.N)
	if f.volatile || !f.lose(victim) {
		return false
	}
	later := *fault
	later.Kind, later.Nodes = "crash", []scenario.Node{node(victim)}
	later.At += strict.Duration(f.duration(time.Microsecond, later.For.Std()/2))
	later.For -= later.At - fault.At
	f.s.Faults = append(f.s.Faults, later)
	fault.For, fault.Nodes = 0, later.Nodes
	fault.Corrupt = strict.PPM(f.spread(10_000, 1_000_000))
	return true
}

// clients chooses a process of clients.
func (f *faultDraw) clients() []scenario.Node {
	all := f.s.ClientProcesses()
	p := all[f.IntN(len(all))]
	var out []scenario.Node
	for c := p.First; c < p.First+p.Count; c++ {
		out = append(out, scenario.Node(fmt.Sprintf("c%d", c)))
	}
	return out
}

// paths chooses senders and receivers: everything, from some, to some, or from
// some to some.
func (f *faultDraw) paths(fault *scenario.Fault) {
	n := f.s.N
	if f.oneIn(2) {
		fault.From = nodes(f.subset(n, n))
	}
	if f.oneIn(2) {
		fault.To = nodes(f.subset(n, n))
	}
	if len(fault.From) == 1 && len(fault.To) == 1 && fault.From[0] == fault.To[0] {
		fault.To = nil // to everybody, for there is no path to itself
	}
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}
