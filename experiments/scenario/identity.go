package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/edgebft/edgebft/internal/strict"
)

// Resolved says whether Resolve has succeeded.
func (s *Scenario) Resolved() bool { return s.resolved }

// Canonical returns the canonical JSON of a resolved scenario: sorted keys,
// integers in base units (ns, bytes, millionths of a request per second, parts
// per million), no floats. Files appear by the hash of their content; embedded
// topologies and profiles by name and hash, so that a change of their content is
// another cell.
func (s *Scenario) Canonical() ([]byte, error) {
	if !s.resolved {
		return nil, errors.New("scenario: it must be resolved before it has a canonical form")
	}
	c := *s
	c.Topology, c.Costs = s.identity()
	return strict.Canonical(c)
}

// Hash is the full configuration hash: SHA-256 of the canonical form in hex. It
// panics on a scenario that was not resolved, which is a programming error.
func (s *Scenario) Hash() string {
	b, err := s.Canonical()
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ID names the cell: the first 12 hex digits of Hash.
func (s *Scenario) ID() string { return s.Hash()[:12] }

// MarshalJSON writes the scenario with units, as a file that Parse reads back to
// the same cell.
func (s *Scenario) MarshalJSON() ([]byte, error) { return json.Marshal(s.Text()) }

// Text returns the scenario with units and in the order of the file, for JSON
// and YAML.
func (s *Scenario) Text() strict.Ordered {
	o := strict.Text(*s, *Default())
	out := o[:0]
	for _, e := range o {
		if e.Key == "f" && s.F < 0 || e.Key == "window" && !s.resolved {
			continue
		}
		out = append(out, e)
	}
	if !s.resolved {
		out = append(out, strict.Entry{Key: "window", Value: s.Window.text()})
	}
	return out
}

// text leaves out what is not known before resolving.
func (w Window) text() strict.Ordered {
	o := strict.Ordered{}
	if w.Warmup >= 0 {
		o = append(o, strict.Entry{Key: "warmup", Value: w.Warmup.String()})
	}
	o = append(o, strict.Entry{Key: "measure", Value: w.Measure.String()})
	if w.Cooldown >= 0 {
		o = append(o, strict.Entry{Key: "cooldown", Value: w.Cooldown.String()})
	}
	return o
}

// Clone returns an unresolved copy with the overrides applied. The scenario must
// have been read from a document.
func (s *Scenario) Clone(overrides ...string) (*Scenario, error) {
	if s.doc == nil {
		return nil, errors.New("scenario: only one that was read from a document can be cloned")
	}
	return FromDocument(s.doc, overrides...)
}

// Axis is one coordinate of a cell in the matrix of a suite: the path in the
// scenario and the value as written.
type Axis struct {
	Path  string `json:"path" key:"path"`
	Value string `json:"value" key:"value"`
}
