package observe

import (
	"fmt"
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// Names of the invariants.
const (
	Agreement    = "agreement"
	Integrity    = "integrity"
	Validity     = "validity"
	Root         = "root"
	Linearizable = "linearizable"
	Liveness     = "liveness"
	// Application is what the application asks of its own state; see Checker.Audit.
	Application = "application"
	// Promise is violated by a correct node that contradicts what it said. It has no
	// verdict of its own in the Report.
	Promise = "promise"
)

// Verdict on a property. The zero value is Undecided.
type Verdict uint8

// Verdicts.
const (
	Undecided Verdict = iota
	True
	False
)

func (v Verdict) String() string { return [...]string{"undecided", "true", "false"}[min(v, 2)] }

// MarshalJSON writes true, false or "undecided".
func (v Verdict) MarshalJSON() ([]byte, error) {
	if v == True || v == False {
		return []byte(v.String()), nil
	}
	return []byte(`"undecided"`), nil
}

// Report is the outcome of a run.
type Report struct {
	Agreement    Verdict `json:"agreement"`
	Integrity    Verdict `json:"integrity"`
	Validity     Verdict `json:"validity"`
	Linearizable Verdict `json:"linearizable"`
	Liveness     Verdict `json:"liveness"`
	Root         Verdict `json:"root"`
	// Application is undecided, and not listed in Unchecked, if the application has
	// no invariants of its own.
	Application Verdict `json:"application"`
	// Unchecked lists the properties that were not looked at, or that had nothing
	// to look at; they are undecided for that reason.
	Unchecked []string `json:"unchecked,omitempty"`
	// Violations in the order in which they were found, at most MaxViolations;
	// Suppressed counts the others.
	Violations []protocols.Violation `json:"violations"`
	Suppressed int                   `json:"suppressed,omitempty"`
	// Notes say why a check gave up.
	Notes []string `json:"notes,omitempty"`
}

// OK reports whether nothing was found wrong. Undecided properties are no
// violation.
func (r *Report) OK() bool { return len(r.Violations) == 0 }

// MaxViolations bounds the violations that a run keeps.
const MaxViolations = 32

// findings collects violations and reasons.
type findings struct {
	list       []protocols.Violation
	suppressed int
	broken     map[string]bool
	gaveUp     map[string]string
	looked     map[string]bool
}

func newFindings() *findings {
	return &findings{broken: map[string]bool{}, gaveUp: map[string]string{}, looked: map[string]bool{}}
}

func (f *findings) violate(invariant string, at protocols.Time, node protocols.NodeID, format string, args ...any) {
	f.broken[invariant] = true
	if len(f.list) >= MaxViolations {
		f.suppressed++
		return
	}
	f.list = append(f.list, protocols.Violation{Invariant: invariant, At: at, Node: node, Detail: fmt.Sprintf(format, args...)})
}

// giveUp says that a property cannot be decided any more; the first reason stays.
func (f *findings) giveUp(invariant, reason string) {
	if _, ok := f.gaveUp[invariant]; !ok {
		f.gaveUp[invariant] = reason
	}
}

// saw says that there was something to look at.
func (f *findings) saw(invariant string) { f.looked[invariant] = true }

func (f *findings) verdict(invariant string) Verdict {
	switch {
	case f.broken[invariant]:
		return False
	case !f.looked[invariant] || f.gaveUp[invariant] != "":
		return Undecided
	default:
		return True
	}
}

func (f *findings) report() Report {
	r := Report{
		Agreement: f.verdict(Agreement), Integrity: f.verdict(Integrity), Validity: f.verdict(Validity),
		Linearizable: f.verdict(Linearizable), Liveness: f.verdict(Liveness), Root: f.verdict(Root), Application: f.verdict(Application),
		Violations: append([]protocols.Violation{}, f.list...), Suppressed: f.suppressed,
	}
	for _, name := range []string{Agreement, Integrity, Validity, Linearizable, Liveness, Root} {
		if !f.looked[name] && !f.broken[name] {
			r.Unchecked = append(r.Unchecked, name)
		}
	}
	for name, why := range f.gaveUp {
		r.Notes = append(r.Notes, name+": "+why)
	}
	sort.Strings(r.Notes)
	return r
}
