package stats

import (
	"sort"
	"strings"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
)

// Group holds the repetitions of one configuration: records that differ in the
// seed only.
type Group struct {
	Run      string
	Axes     []scenario.Axis // without the seed
	Scenario *scenario.Scenario
	Records  []*store.Record
}

// Groups puts repetitions together, in the order of store.Order. Records
// without a result are left out; so are invalid ones, which no figure may use.
func Groups(records []*store.Record) ([]*Group, error) {
	sorted := append([]*store.Record(nil), records...)
	store.Order(sorted)
	var out []*Group
	byKey := map[string]*Group{}
	for _, r := range sorted {
		if r.Result == nil || r.State() == result.Invalid {
			continue
		}
		s, err := scenario.Parse(r.Dir+"/"+store.ManifestFile, r.Manifest.Scenario)
		if err != nil {
			return nil, err
		}
		same := *s
		same.Seed = 0
		text, err := same.MarshalJSON()
		if err != nil {
			return nil, err
		}
		key := r.Manifest.Run + "\x00" + string(text)
		g := byKey[key]
		if g == nil {
			g = &Group{Run: r.Manifest.Run, Scenario: s}
			for _, a := range r.Manifest.Axes {
				if a.Path != "seed" {
					g.Axes = append(g.Axes, a)
				}
			}
			byKey[key] = g
			out = append(out, g)
		}
		g.Records = append(g.Records, r)
	}
	return out, nil
}

// Select returns the groups that match.
func Select(groups []*Group, m suite.Match) []*Group {
	var out []*Group
	for _, g := range groups {
		if m.Matches(g.Run, g.Axes, g.Scenario) {
			out = append(out, g)
		}
	}
	return out
}

// Value returns the coordinate of the group on an axis, or a plain field of its
// scenario; for auto rates it is the rate.
func (g *Group) Value(path string) string {
	for _, a := range g.Axes {
		if a.Path == path {
			return strings.TrimPrefix(a.Value, "auto:")
		}
	}
	switch path {
	case "run":
		return g.Run
	case "seed":
		return "" // of all of them
	case "workload.rate":
		if g.Scenario.Workload.Rate == 0 {
			return "" // closed
		}
		return g.Scenario.Workload.Rate.String()
	}
	return suite.Field(path, g.Scenario)
}

// Label lists the coordinates.
func (g *Group) Label() string {
	c := suite.Cell{Run: g.Run, Axes: g.Axes, Scenario: g.Scenario}
	return c.Label()
}

// Values returns a metric of every run, in the order of the seeds.
func (g *Group) Values(m Metric) []float64 {
	var out []float64
	for _, r := range g.Records {
		if v, ok := m.Of(r.Result); ok {
			out = append(out, v)
		}
	}
	return out
}

// BySeed returns a metric of every run by its seed.
func (g *Group) BySeed(m Metric) map[int64]float64 {
	out := map[int64]float64{}
	for _, r := range g.Records {
		if v, ok := m.Of(r.Result); ok {
			out[r.Manifest.Seed] = v
		}
	}
	return out
}

// Saturated says whether most of the runs are.
func (g *Group) Saturated() bool {
	n := 0
	for _, r := range g.Records {
		if r.Result.Steady.Saturated {
			n++
		}
	}
	return 2*n > len(g.Records)
}

// PeakBySeed returns, for every seed, the highest throughput among the groups of
// a series at which the metric stays at or below the cap (in ms) and the run is
// not saturated.
func PeakBySeed(groups []*Group, cap Metric, capMS float64) map[int64]float64 {
	out := map[int64]float64{}
	for _, g := range groups {
		for _, r := range g.Records {
			v, ok := cap.Of(r.Result)
			if !ok || v > capMS || r.Result.Steady.Saturated {
				continue
			}
			t := r.Result.ThroughputTPS.Float()
			if t > out[r.Manifest.Seed] {
				out[r.Manifest.Seed] = t
			}
		}
	}
	return out
}

// Revisions lists the revisions that ran, in ascending order. Figures of more
// than one are refused unless mixing is asked for.
func Revisions(groups []*Group) []string {
	seen := map[string]bool{}
	var out []string
	for _, g := range groups {
		for _, r := range g.Records {
			if v := r.Manifest.Revision.String(); !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	sort.Strings(out)
	return out
}
