package suite

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
)

// MaxCells bounds a suite.
const MaxCells = 100_000

// Cell is one run of a suite. A cell with Auto is a search: it has no scenario
// of its own but gives one for every rate it is asked for.
type Cell struct {
	// ID names the cell; for a search it names the search.
	ID string
	// Scenario is resolved; for a search it is resolved at Auto.From.
	Scenario *scenario.Scenario
	Axes     []scenario.Axis
	// Run is the name of the run it belongs to, "" for the main matrix.
	Run string
	// Repetition counts the values of the axis seed from 1.
	Repetition int
	// Auto is set for a search.
	Auto *Auto

	catalog *scenario.Catalog
}

// ListCell is a cell as data.
type ListCell struct {
	ID       string          `key:"id" doc:"checked against the scenario if given"`
	Run      string          `key:"run"`
	Axes     []scenario.Axis `key:"axes"`
	Auto     bool            `key:"auto" doc:"look for the knee"`
	Scenario Base            `key:"scenario"`
}

// Label describes the cell by its coordinates.
func (c *Cell) Label() string {
	var parts []string
	if c.Run != "" {
		parts = append(parts, c.Run)
	}
	for _, a := range c.Axes {
		path := a.Path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			path = path[i+1:]
		}
		if a.Path == "protocol" || a.Path == Variant {
			parts = append(parts, a.Value)
			continue
		}
		parts = append(parts, path+"="+a.Value)
	}
	if len(parts) == 0 {
		return c.Scenario.Protocol
	}
	return strings.Join(parts, " ")
}

// At returns the cell of a search at a rate.
func (c *Cell) At(rate strict.Rate) (*Cell, error) {
	s, err := c.Scenario.Clone(ratePath + "=" + rate.String())
	if err != nil {
		return nil, err
	}
	if err := s.Resolve(c.catalog); err != nil {
		return nil, err
	}
	p := &Cell{ID: s.ID(), Scenario: s, Run: c.Run, Repetition: c.Repetition, catalog: c.catalog}
	for _, a := range c.Axes {
		if a.Path == ratePath {
			a.Value = "auto:" + rate.String()
		}
		p.Axes = append(p.Axes, a)
	}
	return p, nil
}

// Expand returns the cells in the order of the file, without those that are
// excluded and without repeating any.
func (s *Suite) Expand(c *scenario.Catalog) ([]*Cell, error) {
	e := expander{s: s, catalog: c, seen: map[string]bool{}}
	if len(s.Cells) > 0 {
		return e.list()
	}
	base := strict.Of(s.Base.v)
	if s.Mode != "" && !base.Has("mode") {
		if err := base.SetNode("mode", s.doc.At("mode").Node, ""); err != nil {
			return nil, err
		}
	}
	if err := e.product(base, s.Matrix.axes, "", nil); err != nil {
		return nil, err
	}
	for _, r := range s.Runs {
		doc := base.Clone()
		for _, kv := range r.Set.pairs {
			if err := doc.SetNode(kv.Key, kv.Value.Node, ""); err != nil {
				return nil, s.doc.Errorf("runs", "run %s: %v", r.Name, err)
			}
		}
		if err := e.product(doc, r.Matrix.axes, r.Name, nil); err != nil {
			return nil, err
		}
	}
	if len(e.cells) == 0 {
		return nil, s.doc.Errorf("exclude", "nothing is left to run: every cell is excluded")
	}
	return e.cells, nil
}

type expander struct {
	s       *Suite
	catalog *scenario.Catalog
	cells   []*Cell
	seen    map[string]bool
}

func (e *expander) product(base *strict.Document, axes []axis, run string, coords []value) error {
	if len(coords) == 0 {
		size := 1
		for _, a := range axes {
			if size *= len(a.values); size > MaxCells {
				return e.s.doc.Errorf("matrix", "the axes span more than %d cells", MaxCells)
			}
		}
	}
	if len(coords) < len(axes) {
		for _, v := range axes[len(coords)].values {
			if err := e.product(base, axes, run, append(coords[:len(coords):len(coords)], v)); err != nil {
				return err
			}
		}
		return nil
	}
	doc := base.Clone()
	cell := &Cell{Run: run, Repetition: 1, catalog: e.catalog}
	for i, a := range axes {
		v := coords[i]
		cell.Axes = append(cell.Axes, scenario.Axis{Path: a.path, Value: v.text})
		switch {
		case v.auto:
			auto := e.s.Auto
			cell.Auto = &auto
			if err := doc.Set(ratePath, auto.From.String(), e.s.doc.File); err != nil {
				return err
			}
		case a.path == Variant:
			for _, kv := range v.set {
				if err := doc.SetNode(kv.Key, kv.Value.Node, ""); err != nil {
					return kv.Value.Errorf("%v", err)
				}
			}
		default:
			if err := doc.SetNode(a.path, v.node.Node, ""); err != nil {
				return v.node.Errorf("%v", err)
			}
		}
		if a.path == "seed" {
			for k := range a.values {
				if a.values[k].text == v.text {
					cell.Repetition = k + 1
				}
			}
		}
	}
	return e.add(cell, doc)
}

func (e *expander) add(cell *Cell, doc *strict.Document) error {
	sc, err := scenario.FromDocument(doc)
	if err != nil {
		return err
	}
	cell.Scenario = sc
	// Excluded cells need not be possible: that is often why they are excluded. What
	// follows from other keys (n from f, the default topology) is known only of
	// those that are.
	asWritten := e.excluded(cell)
	if err := sc.Resolve(e.catalog); err != nil {
		if asWritten {
			return nil
		}
		return err
	}
	if e.excluded(cell) {
		return nil
	}
	cell.ID = sc.ID()
	if cell.Auto != nil {
		cell.ID = searchID(sc, cell.Auto)
	}
	if e.seen[cell.ID] {
		return nil
	}
	if len(e.cells) == MaxCells {
		return e.s.doc.Errorf("matrix", "the suite has more than %d cells", MaxCells)
	}
	e.seen[cell.ID] = true
	e.cells = append(e.cells, cell)
	return nil
}

func (e *expander) excluded(c *Cell) bool {
	for _, m := range e.s.Exclude {
		if m.matches(c) {
			return true
		}
	}
	return false
}

// searchID names a search by its first scenario and its rule.
func searchID(s *scenario.Scenario, a *Auto) string {
	rule, err := strict.Canonical(*a)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte("auto " + s.Hash() + " " + string(rule)))
	return hex.EncodeToString(sum[:6])
}

func (e *expander) list() ([]*Cell, error) {
	for i, l := range e.s.Cells {
		at := fmt.Sprintf("cells[%d]", i)
		if l.Scenario.v == nil {
			return nil, e.s.doc.Errorf(at, "a cell needs a scenario")
		}
		cell := &Cell{Run: l.Run, Axes: l.Axes, Repetition: 1, catalog: e.catalog}
		if l.Auto {
			auto := e.s.Auto
			cell.Auto = &auto
		}
		before := len(e.cells)
		if err := e.add(cell, strict.Of(l.Scenario.v)); err != nil {
			return nil, err
		}
		if len(e.cells) > before && l.ID != "" && l.ID != cell.ID {
			return nil, e.s.doc.Errorf(at+".id", "the scenario is cell %s, not %s; leave id out after a change", cell.ID, l.ID)
		}
	}
	return e.cells, nil
}

// Class of faults: none, crash or byzantine.
func faultClass(s *scenario.Scenario) string {
	switch {
	case len(s.Adversaries) > 0:
		return "byzantine"
	case len(s.Faults) > 0:
		return "crash"
	}
	return "none"
}

// fields of the scenario that a Match can name.
var fields = map[string]func(s *scenario.Scenario) string{
	"protocol":      func(s *scenario.Scenario) string { return s.Protocol },
	"mode":          func(s *scenario.Scenario) string { return s.Mode },
	"n":             func(s *scenario.Scenario) string { return strconv.Itoa(s.N) },
	"f":             func(s *scenario.Scenario) string { return strconv.Itoa(s.F) },
	"clients":       func(s *scenario.Scenario) string { return strconv.Itoa(s.Clients) },
	"topology":      func(s *scenario.Scenario) string { return s.Topology },
	"costs":         func(s *scenario.Scenario) string { return s.Costs },
	"transport":     func(s *scenario.Scenario) string { return s.Transport },
	"seed":          func(s *scenario.Scenario) string { return strconv.FormatInt(s.Seed, 10) },
	"workload.app":  func(s *scenario.Scenario) string { return s.Workload.App },
	"workload.kind": func(s *scenario.Scenario) string { return s.Workload.Kind },
	"fault_class":   faultClass,
}

// Field returns a plain field of a scenario that a Match can name, "" for others.
func Field(path string, s *scenario.Scenario) string {
	if f := fields[path]; f != nil {
		return f(s)
	}
	return ""
}

// Matches says whether a cell with these coordinates is selected.
func (m Match) Matches(run string, axes []scenario.Axis, s *scenario.Scenario) bool {
	for key, want := range m {
		if key == "run" {
			if run != want {
				return false
			}
			continue
		}
		got, ok := "", false
		for _, a := range axes {
			if a.Path == key {
				got, ok = a.Value, true
				if key == ratePath && strings.HasPrefix(got, "auto:") && want == "auto" {
					got = "auto"
				}
			}
		}
		if f := fields[key]; !ok && f != nil && s != nil {
			got = f(s)
		}
		if got != want {
			return false
		}
	}
	return true
}

func (m Match) matches(c *Cell) bool { return m.Matches(c.Run, c.Axes, c.Scenario) }

// checkMatches refuses keys that can never match.
func (s *Suite) checkMatches() error {
	known := map[string]bool{"run": true}
	for k := range fields {
		known[k] = true
	}
	for _, m := range append([]Matrix{s.Matrix}, runMatrices(s.Runs)...) {
		for _, a := range m.axes {
			known[a.path] = true
		}
	}
	for _, c := range s.Cells {
		for _, a := range c.Axes {
			known[a.Path] = true
		}
	}
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	sort.Strings(names)
	check := func(path string, m Match) error {
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			if !known[k] {
				return s.doc.Errorf(path, "%q is neither an axis nor a field%s", k, strict.Suggest(k, names))
			}
		}
		return nil
	}
	for i, m := range s.Exclude {
		if err := check(fmt.Sprintf("exclude[%d]", i), m); err != nil {
			return err
		}
	}
	for i, f := range s.Figures {
		if err := check(fmt.Sprintf("figures[%d].where", i), f.Where); err != nil {
			return err
		}
	}
	series := make([]string, 0, len(names)+1)
	for _, k := range append(names, ratePath) {
		if k != "seed" && !slices.Contains(series, k) { // runs of several seeds are one point
			series = append(series, k)
		}
	}
	for i, f := range s.Figures {
		if f.By != "" && !slices.Contains(series, f.By) {
			return s.doc.Errorf(fmt.Sprintf("figures[%d].by", i), "%q is no axis or field that tells series apart%s", f.By, strict.Suggest(f.By, series))
		}
	}
	for i, c := range s.Claims {
		for _, m := range []Match{c.Check.Of, c.Check.To, c.Check.Where} {
			if err := check(fmt.Sprintf("claims[%d].check", i), m); err != nil {
				return err
			}
		}
	}
	for i, t := range s.Thresholds {
		if err := check(fmt.Sprintf("thresholds[%d].where", i), t.Where); err != nil {
			return err
		}
	}
	return nil
}

func runMatrices(runs []Run) []Matrix {
	var out []Matrix
	for _, r := range runs {
		out = append(out, r.Matrix)
	}
	return out
}

// Shard is a part i of n of a suite.
type Shard struct{ I, N int }

// ParseShard reads "i/N" with 0 <= i < N.
func ParseShard(text string) (Shard, error) {
	a, b, ok := strings.Cut(text, "/")
	i, err1 := strict.ParseInt(a)
	n, err2 := strict.ParseInt(b)
	if !ok || err1 != nil || err2 != nil || i < 0 || n < 1 || i >= n || n > 1<<20 {
		return Shard{}, &strict.Error{File: "--shard " + text, Msg: "a shard is written i/N with 0 <= i < N, for example 3/200"}
	}
	return Shard{int(i), int(n)}, nil
}

// Has says whether a cell belongs to the shard. The partition depends on the
// cell id only, so it never moves when cells are added. The zero Shard has all.
func (s Shard) Has(id string) bool {
	if s.N <= 1 {
		return true
	}
	sum := sha256.Sum256([]byte("shard " + id))
	return binary.BigEndian.Uint64(sum[:8])%uint64(s.N) == uint64(s.I)
}

// ExpandJSON prints cells as a suite file that Load reads back.
func (s *Suite) ExpandJSON(cells []*Cell) ([]byte, error) {
	type listed struct {
		ID       string             `json:"id"`
		Run      string             `json:"run,omitempty"`
		Axes     []scenario.Axis    `json:"axes"`
		Auto     bool               `json:"auto,omitempty"`
		Scenario *scenario.Scenario `json:"scenario"`
	}
	out := struct {
		Suite string   `json:"suite"`
		Auto  any      `json:"auto"`
		Cells []listed `json:"cells"`
	}{Suite: s.Name, Auto: strict.Text(s.Auto, nil)}
	for _, c := range cells {
		axes := c.Axes
		if axes == nil {
			axes = []scenario.Axis{}
		}
		out.Cells = append(out.Cells, listed{c.ID, c.Run, axes, c.Auto != nil, c.Scenario})
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// JSONSchema describes a suite file.
func JSONSchema() map[string]any {
	return strict.JSONSchema(Suite{}, "edgebft suite", "A base scenario, axes to vary, and what the results are for.")
}

// AxisValues returns the values of an axis in the order of the file, of the main
// matrix first.
func (s *Suite) AxisValues(path string) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range append([]Matrix{s.Matrix}, runMatrices(s.Runs)...) {
		for _, a := range m.axes {
			if a.path != path {
				continue
			}
			for _, v := range a.values {
				if !seen[v.text] {
					seen[v.text] = true
					out = append(out, v.text)
				}
			}
		}
	}
	return out
}
