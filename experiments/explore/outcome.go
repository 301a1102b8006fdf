package explore

import (
	"fmt"
	"time"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/protocols"
)

// Verdict is how a run ended.
type Verdict uint8

// Verdicts, from good to bad.
const (
	// OK: no invariant broke, and every request was answered.
	OK Verdict = iota
	// Excused: requests stayed unanswered, for a reason that has a name and
	// follows from the scenario.
	Excused
	// Undecided: a checker ran out of its budget.
	Undecided
	// NoProgress: requests stayed unanswered although the network had calmed.
	NoProgress
	// Violation: an invariant broke.
	Violation
)

func (v Verdict) String() string {
	return [...]string{"ok", "excused", "undecided", "no-progress", "violation", "?"}[min(v, 5)]
}

// Excuses.
const (
	// ExcuseBeyondF: more replicas are Byzantine or lost their disk than the
	// protocol withstands.
	ExcuseBeyondF = "beyond-f"
)

// Outcome is what a run showed.
type Outcome struct {
	Verdict Verdict
	// Invariant is the broken one (agreement, integrity, ..., panic), "liveness"
	// for no-progress, the name of the excuse for excused runs.
	Invariant string
	// At and Node say when and where it was seen; Detail is one line for people.
	At     protocols.Time
	Node   protocols.NodeID
	Detail string
	// TraceHash identifies the run.
	TraceHash string
	// Events and Virtual say how much was simulated.
	Events  uint64
	Virtual time.Duration
	// Requests were submitted, Answered of them answered.
	Requests, Answered int
}

// bad reports whether a campaign stops at the outcome.
func (o *Outcome) bad() bool { return o.Verdict >= NoProgress }

// same reports whether p shows the same fault as o.
func (o *Outcome) same(p *Outcome) bool {
	return o.Verdict == p.Verdict && o.Invariant == p.Invariant
}

func (o *Outcome) String() string {
	switch o.Verdict {
	case OK:
		return "ok"
	case NoProgress, Violation:
		return fmt.Sprintf("%s of %s at %s, node %d: %s", o.Verdict, o.Invariant, time.Duration(o.At), o.Node, o.Detail)
	default:
		return fmt.Sprintf("%s (%s): %s", o.Verdict, o.Invariant, o.Detail)
	}
}

// Runner runs scenarios, one at a time. It may keep tables between runs, and
// nothing that changes their outcome.
type Runner interface {
	// Run runs a resolved scenario. The error says that it could not be run at
	// all.
	Run(s *scenario.Scenario) (Outcome, error)
}

// CalmAt returns when the safety phase of a scenario ends: when its last fault
// does. Faults that wait for an event strike only if they can be over after three
// quarters of the load.
func CalmAt(s *scenario.Scenario) time.Duration {
	var end time.Duration
	for i := range s.Faults {
		f := &s.Faults[i]
		if f.On != nil {
			end = max(end, s.Window.Total()*3/4)
			continue
		}
		end = max(end, f.At.Std()+f.For.Std())
	}
	return end
}

// Bound returns how long after the end of the load every request must have its
// answer. Time-outs that back off may have grown to about the length of the
// safety phase; from the longest of them the time-out doubles over f+2 views at
// most, a client retransmits once and a replica fetches a state. The scenario
// must be resolved.
func Bound(e *protocols.Entry, s *scenario.Scenario) time.Duration {
	longest := max(time.Second, 2*s.Window.Total())
	for _, o := range e.Options {
		if o.Kind == protocols.OptionDuration {
			longest = max(longest, s.Options.Resolved.Duration(o.Name))
		}
	}
	return longest << (min(s.F, 10) + 3)
}

// clone returns a deep copy of what drawing and shrinking change.
func clone(s *scenario.Scenario) *scenario.Scenario {
	c := *s
	c.Options.Set = cloneWords(s.Options.Set)
	c.Workload.Options.Set = cloneWords(s.Workload.Options.Set)
	c.Faults = append([]scenario.Fault(nil), s.Faults...)
	for i := range c.Faults {
		f := &c.Faults[i]
		f.Nodes = append([]scenario.Node(nil), f.Nodes...)
		f.From = append([]scenario.Node(nil), f.From...)
		f.To = append([]scenario.Node(nil), f.To...)
		groups := make([][]scenario.Node, len(f.Groups))
		for j := range groups {
			groups[j] = append([]scenario.Node(nil), f.Groups[j]...)
		}
		f.Groups = groups
		if f.On != nil {
			on := *f.On
			f.On = &on
		}
	}
	c.Adversaries = append([]scenario.Adversary(nil), s.Adversaries...)
	for i := range c.Adversaries {
		a := &c.Adversaries[i]
		a.Nodes = append([]scenario.Node(nil), a.Nodes...)
		a.Options.Set = cloneWords(a.Options.Set)
	}
	return &c
}

func cloneWords(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}
