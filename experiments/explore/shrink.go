package explore

import (
	"maps"
	"slices"
	"time"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
)

// Shrunk is what is left of a finding.
type Shrunk struct {
	// Scenario is not resolved.
	Scenario *scenario.Scenario
	Outcome  Outcome
	// Runs is how many candidates were tried.
	Runs int
}

// Shrink takes away whatever a finding does not need, with at most budget runs.
// Every accepted candidate broke the same invariant as the finding.
func Shrink(sp *Space, runner Runner, f *Finding, budget int) Shrunk {
	sh := &shrinker{sp: sp, runner: runner, goal: f.Outcome, budget: budget}
	sh.best = Shrunk{Scenario: clone(f.Schedule.Scenario), Outcome: f.Outcome}
	for changed := true; changed && sh.best.Runs < budget; {
		changed = false
		for _, pass := range []func() bool{
			sh.faults, sh.adversaries, sh.network, sh.clients, sh.requests,
			sh.options, sh.size, sh.withinFaults,
		} {
			changed = pass() || changed
		}
	}
	return sh.best
}

type shrinker struct {
	sp     *Space
	runner Runner
	goal   Outcome
	budget int
	best   Shrunk
}

// try runs a candidate made by change from the best so far, and keeps it if it
// fails alike. change returns false if there is nothing to change.
func (sh *shrinker) try(change func(s *scenario.Scenario) bool) bool {
	if sh.best.Runs >= sh.budget {
		return false
	}
	c := clone(sh.best.Scenario)
	if !change(c) || sh.sp.excuse(c) != "" { // fewer replicas withstand less
		return false
	}
	sh.best.Runs++
	out, err := sh.sp.Run(sh.runner, c)
	if err != nil || !out.same(&sh.goal) { // what does not resolve is no candidate
		return false
	}
	sh.best.Scenario, sh.best.Outcome = c, out
	return true
}

// ddmin removes parts of a list of n elements, all at once first, single elements
// last, and leaves at least least. drop removes the elements [i,j) from a
// candidate.
func (sh *shrinker) ddmin(least int, n func(*scenario.Scenario) int, drop func(s *scenario.Scenario, i, j int)) bool {
	changed := false
	for size := n(sh.best.Scenario); size >= 1; size /= 2 {
		for i := 0; i < n(sh.best.Scenario); {
			j := min(i+size, n(sh.best.Scenario))
			if sh.try(func(s *scenario.Scenario) bool { drop(s, i, j); return n(s) >= least }) {
				changed = true // what was at j is now at i
			} else {
				i = j
			}
		}
	}
	return changed
}

func (sh *shrinker) faults() bool {
	return sh.ddmin(0, func(s *scenario.Scenario) int { return len(s.Faults) }, func(s *scenario.Scenario, i, j int) {
		s.Faults = append(s.Faults[:i], s.Faults[j:]...)
	})
}

func (sh *shrinker) adversaries() bool {
	changed := sh.ddmin(0, func(s *scenario.Scenario) int { return len(s.Adversaries) }, func(s *scenario.Scenario, i, j int) {
		s.Adversaries = append(s.Adversaries[:i], s.Adversaries[j:]...)
	})
	for a := range sh.best.Scenario.Adversaries {
		changed = sh.ddmin(1, func(s *scenario.Scenario) int { return len(s.Adversaries[a].Nodes) }, func(s *scenario.Scenario, i, j int) {
			s.Adversaries[a].Nodes = append(s.Adversaries[a].Nodes[:i], s.Adversaries[a].Nodes[j:]...)
		}) || changed
		changed = sh.words(func(s *scenario.Scenario) map[string]string { return s.Adversaries[a].Options.Set }) || changed
	}
	return changed
}

// network replaces what is special about the network by what is plain.
func (sh *shrinker) network() bool {
	changed := false
	for _, plain := range []func(s *scenario.Scenario) bool{
		func(s *scenario.Scenario) bool { was := s.Wire; s.Wire = false; return was },
		func(s *scenario.Scenario) bool { was := s.Loss; s.Loss = 0; return was != 0 },
		func(s *scenario.Scenario) bool { was := s.Duplicate; s.Duplicate = 0; return was != 0 },
		func(s *scenario.Scenario) bool { was := s.Reorder; s.Reorder = 0; return was != 0 },
		func(s *scenario.Scenario) bool { was := s.Costs; s.Costs = "none"; return was != "none" },
		func(s *scenario.Scenario) bool { was := s.Topology; s.Topology = "lan"; return was != "lan" },
		func(s *scenario.Scenario) bool {
			was := s.Transport
			s.Transport = "stream"
			return was != "stream" && s.Loss == 0 && s.Duplicate == 0 && s.Reorder == 0
		},
	} {
		changed = sh.try(plain) || changed
	}
	return changed
}

func (sh *shrinker) clients() bool {
	changed := false
	for sh.try(func(s *scenario.Scenario) bool {
		s.Clients--
		s.ClientHosts = min(s.ClientHosts, s.Clients)
		return s.Clients > 0
	}) {
		changed = true
	}
	return sh.try(func(s *scenario.Scenario) bool {
		was := s.ClientHosts
		s.ClientHosts = 1
		return was != 1
	}) || changed
}

// requests shortens the time in which load is offered, and makes it rarer.
func (sh *shrinker) requests() bool {
	changed := false
	for sh.try(func(s *scenario.Scenario) bool {
		shorter := s.Window.Measure * 3 / 4
		s.Window.Measure = shorter
		for i := range s.Faults {
			if s.Faults[i].At >= shorter {
				return false
			}
		}
		return shorter >= strict.Duration(time.Millisecond)
	}) {
		changed = true
	}
	for sh.try(func(s *scenario.Scenario) bool {
		s.Workload.Think *= 2
		return s.Workload.Think > 0 && s.Workload.Think < 2*s.Window.Measure
	}) {
		changed = true
	}
	return changed
}

func (sh *shrinker) options() bool {
	return sh.words(func(s *scenario.Scenario) map[string]string { return s.Options.Set })
}

// words returns options to their defaults, one by one.
func (sh *shrinker) words(of func(s *scenario.Scenario) map[string]string) bool {
	changed := false
	for _, name := range slices.Sorted(maps.Keys(of(sh.best.Scenario))) {
		changed = sh.try(func(s *scenario.Scenario) bool { delete(of(s), name); return true }) || changed
	}
	return changed
}

// size removes replicas beyond the least number, the last first, and then
// lowers f. A candidate that still names a removed replica does not resolve.
func (sh *shrinker) size() bool {
	changed := false
	for sh.try(func(s *scenario.Scenario) bool {
		s.N--
		return s.N >= sh.sp.entry.Replicas(s.F)
	}) {
		changed = true
	}
	for sh.try(func(s *scenario.Scenario) bool {
		s.F--
		if s.F < 1 {
			return false
		}
		s.N = sh.sp.entry.Replicas(s.F)
		return true
	}) {
		changed = true
	}
	return changed
}

// withinFaults makes single faults smaller: fewer nodes, shorter, with a disk. A
// list never becomes empty, for that would mean all nodes.
func (sh *shrinker) withinFaults() bool {
	changed := false
	for i := range sh.best.Scenario.Faults {
		for _, list := range []func(f *scenario.Fault) *[]scenario.Node{
			func(f *scenario.Fault) *[]scenario.Node { return &f.Nodes },
			func(f *scenario.Fault) *[]scenario.Node { return &f.From },
			func(f *scenario.Fault) *[]scenario.Node { return &f.To },
		} {
			changed = sh.ddmin(1, func(s *scenario.Scenario) int { return len(*list(&s.Faults[i])) }, func(s *scenario.Scenario, a, b int) {
				l := list(&s.Faults[i])
				*l = append((*l)[:a], (*l)[b:]...)
			}) || changed
		}
		for _, plain := range []func(f *scenario.Fault) bool{
			func(f *scenario.Fault) bool { was := f.OneWay; f.OneWay = false; return was },
			func(f *scenario.Fault) bool { was := f.Disk; f.Disk = ""; return was != "" },
			func(f *scenario.Fault) bool { was := f.Jitter; f.Jitter = 0; return was != 0 && f.Delay != 0 },
		} {
			changed = sh.try(func(s *scenario.Scenario) bool { return plain(&s.Faults[i]) }) || changed
		}
		for sh.try(func(s *scenario.Scenario) bool {
			f := &s.Faults[i]
			f.For /= 2
			return f.For >= strict.Duration(10*time.Microsecond)
		}) {
			changed = true
		}
	}
	return changed
}
