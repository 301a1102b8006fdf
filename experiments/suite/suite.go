package suite

import (
	"embed"
	"fmt"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
)

//go:embed suites/*.yaml
var embedded embed.FS

// Suite is a suite file.
type Suite struct {
	Name       string      `key:"suite" doc:"name of the suite and of its result directory"`
	Doc        string      `key:"doc" doc:"one line for people"`
	Mode       string      `key:"mode" enum:"sim,local,cluster" doc:"mode of every cell"`
	Base       Base        `key:"base" doc:"the scenario that the axes vary"`
	Matrix     Matrix      `key:"matrix" doc:"axes by path in the scenario; their cross product is run"`
	Runs       []Run       `key:"runs" doc:"cells beside the matrix"`
	Exclude    []Match     `key:"exclude" doc:"cells to leave out: all of the keys must match"`
	Profiles   Profiles    `key:"profiles" doc:"named overrides of this file, for example laptop and paper"`
	Auto       Auto        `key:"auto" doc:"how the rate auto looks for the knee"`
	Figures    []Figure    `key:"figures" doc:"figures to draw"`
	Claims     []Claim     `key:"claims" doc:"what the results are to show"`
	Thresholds []Threshold `key:"thresholds" doc:"bounds that every matching cell must keep"`
	Cells      []ListCell  `key:"cells" doc:"a list of cells as printed by sweep expand --json, instead of base and matrix"`

	doc     *strict.Document
	profile string
}

// Base is the raw scenario.
type Base struct{ v *strict.Value }

// DecodeNode implements strict.NodeDecoder.
func (b *Base) DecodeNode(v *strict.Value) error {
	if !v.IsMap() {
		return v.Errorf("a scenario (a mapping) is needed")
	}
	b.v = v
	return nil
}

// JSONSchema implements strict.Schematic.
func (b Base) JSONSchema() map[string]any {
	s := scenario.JSONSchema()
	delete(s, "$schema")
	return s
}

// Matrix holds the axes in the order of the file.
type Matrix struct{ axes []axis }

type axis struct {
	path   string
	values []value
}

// value is one point of an axis: a node to put at the path, or for the axis
// variant a set of overrides.
type value struct {
	text string
	node *strict.Value
	set  []strict.Pair
	auto bool
}

// Variant is the axis whose values are named sets of overrides.
const Variant = "variant"

const ratePath = "workload.rate"

// DecodeNode implements strict.NodeDecoder.
func (m *Matrix) DecodeNode(v *strict.Value) error {
	pairs, err := v.Pairs()
	if err != nil {
		return err
	}
	m.axes = nil
	for _, p := range pairs {
		a := axis{path: p.Key}
		switch {
		case p.Key == Variant:
			variants, err := p.Value.Pairs()
			if err != nil {
				return err
			}
			for _, one := range variants {
				set, err := one.Value.Pairs()
				if err != nil {
					return err
				}
				a.values = append(a.values, value{text: one.Key, set: set})
			}
		case p.Key == "seed" && p.Value.IsMap():
			var seeds struct {
				Count int   `key:"count" min:"1" max:"1000000"`
				From  int64 `key:"from" min:"0"`
			}
			seeds.From = 1
			if err := p.Value.Decode(&seeds); err != nil {
				return err
			}
			if seeds.Count == 0 {
				return p.Value.Errorf("count is missing; write for example {count: 7, from: 1}")
			}
			for i := int64(0); i < int64(seeds.Count); i++ {
				text := fmt.Sprint(seeds.From + i)
				a.values = append(a.values, value{text: text, node: p.Value.Scalar(text)})
			}
		default:
			items, err := p.Value.Items()
			if err != nil {
				return err
			}
			for i, it := range items {
				x := value{node: it, text: fmt.Sprintf("#%d", i+1)}
				if !it.IsMap() && !it.IsList() {
					text, err := it.Text()
					if err != nil {
						return err
					}
					x.text = text
					x.auto = p.Key == ratePath && text == "auto"
				}
				a.values = append(a.values, x)
			}
		}
		if len(a.values) == 0 {
			return p.Value.Errorf("an axis needs at least one value; leave it out to keep the base")
		}
		seen := map[string]bool{}
		for _, x := range a.values {
			if seen[x.text] {
				return p.Value.Errorf("the value %s is given twice", x.text)
			}
			seen[x.text] = true
		}
		m.axes = append(m.axes, a)
	}
	return nil
}

// JSONSchema implements strict.Schematic.
func (m Matrix) JSONSchema() map[string]any {
	return map[string]any{
		"type": "object",
		"properties": map[string]any{
			"seed": map[string]any{"anyOf": []any{
				map[string]any{"type": "array", "items": map[string]any{"type": "integer"}},
				map[string]any{"type": "object", "properties": map[string]any{"count": map[string]any{"type": "integer", "minimum": 1}, "from": map[string]any{"type": "integer", "minimum": 0}}, "required": []any{"count"}, "additionalProperties": false},
			}},
			Variant: map[string]any{"type": "object", "description": "named sets of overrides", "additionalProperties": map[string]any{"type": "object"}},
		},
		"additionalProperties": map[string]any{"type": "array", "minItems": 1},
	}
}

// Run is one further cell, or a matrix of them, beside the main matrix.
type Run struct {
	Name   string    `key:"name" doc:"name, for figures and exclude"`
	Set    Overrides `key:"set" doc:"overrides of the base by path"`
	Matrix Matrix    `key:"matrix" doc:"axes of this run"`
}

// Overrides are values by path.
type Overrides struct{ pairs []strict.Pair }

// DecodeNode implements strict.NodeDecoder.
func (o *Overrides) DecodeNode(v *strict.Value) (err error) {
	o.pairs, err = v.Pairs()
	return err
}

// JSONSchema implements strict.Schematic.
func (o Overrides) JSONSchema() map[string]any {
	return map[string]any{"type": "object", "description": "values by path, for example {workload.rate: 1k/s}"}
}

// Profiles are sets of overrides of the suite file by name.
type Profiles struct{ byName []profile }

type profile struct {
	name string
	set  []strict.Pair
}

// DecodeNode implements strict.NodeDecoder.
func (p *Profiles) DecodeNode(v *strict.Value) error {
	pairs, err := v.Pairs()
	if err != nil {
		return err
	}
	p.byName = nil
	for _, kv := range pairs {
		set, err := kv.Value.Pairs()
		if err != nil {
			return err
		}
		p.byName = append(p.byName, profile{kv.Key, set})
	}
	return nil
}

// JSONSchema implements strict.Schematic.
func (p Profiles) JSONSchema() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "object", "description": "paths in this file, for example matrix.seed or base.window.measure"}}
}

// Match selects cells: every key must have the value. Keys are axes, run,
// fault_class (none, crash or byzantine), or plain fields of the scenario.
type Match map[string]string

// Figure is one figure of a suite.
type Figure struct {
	Name  string `key:"name" doc:"file name; the kind if left out"`
	Kind  string `key:"kind" enum:"tput-latency,peak-n,latency-n,messages-n,bytes-n,latency-cdf,latency-tail,fault-timeline,bars,robustness" doc:"what is drawn"`
	By    string `key:"by" doc:"axis that makes the series; protocol if left out"`
	Y     string `key:"y" doc:"metric of the vertical axis, where the kind leaves a choice"`
	Band  string `key:"band" doc:"second metric, drawn as a thin line"`
	Where Match  `key:"where" doc:"only cells that match"`
	// Cap is the latency cap of peak-n: peak without a cap means nothing.
	Cap   strict.Duration `key:"cap" doc:"latency cap of peak throughput"`
	Title string          `key:"title" doc:"caption"`
}

// Claim is a sentence that the results are to support.
type Claim struct {
	ID    string           `key:"id"`
	Text  string           `key:"text"`
	Check Check            `key:"check"`
	Scale map[string]Scale `key:"scale" doc:"cost by profile"`
}

// Check is the test behind a claim. Exactly one of Ratio and Value names a
// metric.
type Check struct {
	Ratio string        `key:"ratio" doc:"metric whose ratio of is to is bounded"`
	Of    Match         `key:"of" doc:"numerator"`
	To    Match         `key:"to" doc:"denominator"`
	Value string        `key:"value" doc:"metric that is bounded itself"`
	Where Match         `key:"where" doc:"cells of value"`
	Min   *strict.Milli `key:"min" doc:"least ratio, or least value in the unit of the metric (ops/s, ms, 1)"`
	Max   *strict.Milli `key:"max" doc:"most ratio or value"`
}

// Scale is what it costs to check a claim.
type Scale struct {
	Minutes int `key:"minutes" min:"0"`
	DiskMB  int `key:"disk_mb" min:"0"`
}

// Threshold bounds a metric of every matching cell.
type Threshold struct {
	Metric string        `key:"metric" doc:"what is bounded"`
	Min    *strict.Milli `key:"min" doc:"least value in the unit of the metric"`
	Max    *strict.Milli `key:"max" doc:"most value in the unit of the metric"`
	// BelowLoad applies the bound only to cells whose offered load is below this
	// share of the peak of their series.
	BelowLoad strict.Milli `key:"below_load" max:"1000" doc:"only cells below this share of the peak load, for example 0.8"`
	Where     Match        `key:"where" doc:"only cells that match"`
}

// Auto says how the rate auto finds the knee: the highest rate at which Metric
// stays at or below Cap and the backlog does not grow. The rate doubles from
// From until it is too high and is then bisected until the bracket is narrower
// than Precision.
type Auto struct {
	Cap       strict.Duration `key:"cap" min:"1" doc:"latency cap"`
	Metric    string          `key:"metric" enum:"latency_p50,latency_p95,latency_p99" doc:"what must stay below the cap"`
	From      strict.Rate     `key:"from" min:"1000000" doc:"first rate"`
	To        strict.Rate     `key:"to" min:"1000000" max:"1000000000000000" doc:"highest rate"`
	Precision strict.PPM      `key:"precision" min:"1000" max:"500000" doc:"width of the final bracket"`
}

func defaults() *Suite {
	return &Suite{Auto: Auto{Cap: 500e6, Metric: "latency_p99", From: 100e6, To: 10_000_000e6, Precision: 50_000}}
}

// Names lists the embedded suites.
func Names() []string {
	entries, err := embedded.ReadDir("suites")
	if err != nil {
		panic(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	sort.Strings(names)
	return names
}

// Load reads a suite: an embedded one by its name, or a file. profile may be "".
func Load(name, profile string) (*Suite, error) {
	var doc *strict.Document
	var err error
	if !strings.ContainsAny(name, `/\.`) {
		data, rerr := embedded.ReadFile(path.Join("suites", name+".yaml"))
		if rerr != nil {
			if _, serr := os.Stat(name); serr != nil {
				return nil, &strict.Error{File: name, Msg: "is neither an embedded suite nor a file" + protocols.Suggest(name, Names())}
			}
			doc, err = strict.Read(name)
		} else {
			doc, err = strict.Parse("suites/"+name+".yaml", data)
		}
	} else {
		doc, err = strict.Read(name)
	}
	if err != nil {
		return nil, err
	}
	return FromDocument(doc, profile)
}

// Parse reads a suite from memory.
func Parse(file string, data []byte, profile string) (*Suite, error) {
	doc, err := strict.Parse(file, data)
	if err != nil {
		return nil, err
	}
	return FromDocument(doc, profile)
}

// FromDocument decodes a suite and applies a profile.
func FromDocument(doc *strict.Document, profileName string) (*Suite, error) {
	doc = doc.Clone()
	s := defaults()
	if err := doc.Decode(s); err != nil {
		return nil, err
	}
	if profileName != "" {
		var names []string
		var set []strict.Pair
		found := false
		for _, p := range s.Profiles.byName {
			names = append(names, p.name)
			if p.name == profileName {
				set, found = p.set, true
			}
		}
		if !found {
			return nil, doc.Errorf("profiles", "there is no profile %q%s", profileName, protocols.Suggest(profileName, names))
		}
		for _, kv := range set {
			if err := applyToSuite(doc, kv); err != nil {
				return nil, err
			}
		}
		s = defaults()
		if err := doc.Decode(s); err != nil {
			return nil, err
		}
	}
	s.doc, s.profile = doc, profileName
	return s, s.check()
}

// applyToSuite applies one override of a profile. Axes have dots in their names,
// so what follows matrix. is one key.
func applyToSuite(doc *strict.Document, kv strict.Pair) error {
	top, rest, _ := strings.Cut(kv.Key, ".")
	if top != "matrix" || rest == "" {
		return doc.SetNode(kv.Key, kv.Value.Node, "")
	}
	return doc.SetKey("matrix", rest, kv.Value.Node)
}

// Profile is the profile that was applied, "" for none.
func (s *Suite) Profile() string { return s.profile }

// ResolvedWith notes that the suite was read in the form that Resolved gives it, with a profile
// applied already.
func (s *Suite) ResolvedWith(profile string) { s.profile = profile }

// ProfileNames lists the profiles of the suite.
func (s *Suite) ProfileNames() []string {
	var names []string
	for _, p := range s.Profiles.byName {
		names = append(names, p.name)
	}
	return names
}

// Document returns where the suite was read from.
func (s *Suite) Document() *strict.Document { return s.doc }

func (s *Suite) check() error {
	if s.Name == "" {
		return s.doc.Errorf("suite", "a suite needs a name: suite: peak")
	}
	if strings.ContainsAny(s.Name, `/\ `) || s.Name == "." || s.Name == ".." || s.Name == "latest" {
		return s.doc.Errorf("suite", "%q is not a possible name of a directory; use letters, digits and -", s.Name)
	}
	if len(s.Cells) > 0 {
		if s.Base.v != nil || len(s.Matrix.axes) > 0 || len(s.Runs) > 0 {
			return s.doc.Errorf("cells", "cells is a finished list; leave base, matrix and runs out")
		}
	} else if s.Base.v == nil {
		return s.doc.Errorf("", "a suite needs a base")
	}
	if s.Auto.To < s.Auto.From {
		return s.doc.Errorf("auto.to", "%s is below auto.from (%s)", s.Auto.To, s.Auto.From)
	}
	names := map[string]bool{}
	for i, r := range s.Runs {
		if r.Name == "" || names[r.Name] {
			return s.doc.Errorf(fmt.Sprintf("runs[%d]", i), "a run needs a name of its own")
		}
		names[r.Name] = true
	}
	if err := s.checkMatches(); err != nil {
		return err
	}
	figures := map[string]bool{}
	for i := range s.Figures {
		f := &s.Figures[i]
		if f.Kind == "" {
			return s.doc.Errorf(fmt.Sprintf("figures[%d]", i), "a figure needs a kind")
		}
		if f.Name == "" {
			f.Name = f.Kind
		}
		if strings.ContainsAny(f.Name, `/\ .`) {
			return s.doc.Errorf(fmt.Sprintf("figures[%d].name", i), "%q is not a possible file name; use letters, digits and -", f.Name)
		}
		if figures[f.Name] {
			return s.doc.Errorf(fmt.Sprintf("figures[%d].name", i), "two figures are called %s; give one another name", f.Name)
		}
		figures[f.Name] = true
	}
	ids := map[string]bool{}
	for i, c := range s.Claims {
		at := fmt.Sprintf("claims[%d]", i)
		if c.ID == "" || c.Text == "" || ids[c.ID] {
			return s.doc.Errorf(at, "a claim needs an id of its own and a text")
		}
		ids[c.ID] = true
		if (c.Check.Ratio == "") == (c.Check.Value == "") {
			return s.doc.Errorf(at+".check", "a check has either ratio (with of and to) or value (with where)")
		}
		if c.Check.Min == nil && c.Check.Max == nil {
			return s.doc.Errorf(at+".check", "a check needs min or max")
		}
	}
	for i, t := range s.Thresholds {
		if t.Metric == "" || t.Min == nil && t.Max == nil {
			return s.doc.Errorf(fmt.Sprintf("thresholds[%d]", i), "a threshold needs a metric, and min or max")
		}
	}
	return nil
}
