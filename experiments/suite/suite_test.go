package suite

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgebft/edgebft/experiments/internal/testrun"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/stretchr/testify/require"
)

func expand(t *testing.T, text, profile string) ([]*Cell, error) {
	t.Helper()
	s, err := Parse("p.yaml", []byte(text), profile)
	if err != nil {
		return nil, err
	}
	return s.Expand(testrun.Catalog())
}

func must(t *testing.T, text, profile string) []*Cell {
	t.Helper()
	cells, err := expand(t, text, profile)
	require.NoError(t, err)
	return cells
}

const peak = `
suite: peak
mode: sim
base:
  f: 1
  workload: {kind: open, rate: 1k/s}
  window: {warmup: 1s, measure: 2s}
matrix:
  protocol: [alpha, beta]
  workload.rate: [1k/s, 5k/s, auto]
  variant:
    calm: {}
    bad: {adversaries: [{nodes: [0], attack: silent}], options.batch: 32}
  seed: {count: 3, from: 10}
runs:
  - {name: crash, set: {protocol: alpha, faults: [{kind: crash, at: 1s, nodes: [0]}]}, matrix: {f: [1, 2]}}
exclude:
  - {protocol: beta, fault_class: byzantine}
profiles:
  laptop: {matrix.workload.rate: [1k/s, auto], matrix.seed: {count: 1}, base.window.measure: 1s}
auto: {cap: 100ms}
figures: [{kind: tput-latency, by: protocol, y: latency_p50, band: latency_p99, where: {variant: calm}}]
claims:
  - id: C1
    text: alpha keeps up
    check: {ratio: peak_tput, of: {protocol: alpha}, to: {protocol: beta}, min: 0.9}
    scale: {laptop: {minutes: 6, disk_mb: 40}}
thresholds: [{metric: latency_p99, max: 500, below_load: 0.8}]
`

// Exclude sees what follows from other keys, and cells that are not possible.
func TestExcludeMatchesTheResolvedScenario(t *testing.T) {
	for _, x := range []struct {
		matrix, exclude string
		want            int
	}{
		{"f: [1, 2]", "{n: 7}", 1},
		{"n: [4, 7]", "{f: 1}", 1},
		{"f: [1, 2]", "{n: 0}", 2},
		{"topology: [lan, metro]", "{costs: none, topology: lan}", 1},
		{"protocol: [alpha, beta]", "{topology: lan, protocol: alpha}", 1},
		{"protocol: [alpha, beta]", "{clients: 16, protocol: alpha}", 1},
		{"protocol: [alpha, beta], n: [3, 4]", "{protocol: alpha, n: 3}", 3}, // alpha needs 4
	} {
		cells := must(t, "{suite: x, base: {protocol: alpha}, matrix: {"+x.matrix+"}, exclude: ["+x.exclude+"]}", "")
		require.Len(t, cells, x.want, "%s without %s", x.matrix, x.exclude)
	}
}

func TestExpand(t *testing.T) {
	cells := must(t, peak, "")
	require.Len(t, cells, 2*3*2*3-3*3+2)
	c := cells[0]
	require.Equal(t, []scenario.Axis{{Path: "protocol", Value: "alpha"}, {Path: "workload.rate", Value: "1k/s"}, {Path: "variant", Value: "calm"}, {Path: "seed", Value: "10"}}, c.Axes)
	require.Equal(t, "alpha rate=1k/s calm seed=10", c.Label())
	require.EqualValues(t, 10, c.Scenario.Seed)
	require.Equal(t, 1, c.Repetition)
	require.Equal(t, 2, cells[1].Repetition)
	last := cells[len(cells)-1]
	require.Equal(t, "crash", last.Run)
	require.Equal(t, 7, last.Scenario.N)
	require.Len(t, last.Scenario.Faults, 1)
	var auto, bad int
	for _, c := range cells {
		if c.Auto != nil {
			auto++
			require.EqualValues(t, 100e6, c.Auto.Cap)
		}
		if len(c.Scenario.Adversaries) > 0 {
			bad++
			require.Equal(t, "alpha", c.Scenario.Protocol)
			require.Equal(t, 32, c.Scenario.Options.Resolved.Int("batch"))
		}
	}
	require.Equal(t, 9, auto)
	require.Equal(t, 9, bad)

	require.Len(t, must(t, peak, "laptop"), 2*2*2-2+2)
}

func TestSearchGivesCellsByRate(t *testing.T) {
	for _, c := range must(t, peak, "laptop") {
		if c.Auto == nil {
			continue
		}
		p, err := c.At(2_500_000_000)
		require.NoError(t, err)
		require.Equal(t, "2500/s", p.Scenario.Workload.Rate.String())
		require.Contains(t, p.Axes, scenario.Axis{Path: "workload.rate", Value: "auto:2500/s"})
		again, err := c.At(2_500_000_000)
		require.NoError(t, err)
		require.Equal(t, p.ID, again.ID)
		require.True(t, Match{"workload.rate": "auto"}.Matches("", p.Axes, p.Scenario))
		return
	}
	t.Fatal("no search")
}

func TestEqualCellsRunOnce(t *testing.T) {
	cells := must(t, "{suite: x, base: {protocol: alpha}, matrix: {f: [1, 2]}, runs: [{name: again, set: {f: 2}}, {name: new, set: {f: 3}}]}", "")
	require.Len(t, cells, 3)
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, profile, want string }{
		{"{base: {protocol: alpha}}", "", "a suite needs a name"},
		{"{suite: a/b, base: {protocol: alpha}}", "", "not a possible name of a directory"},
		{"{suite: latest, base: {protocol: alpha}}", "", "not a possible name"},
		{"{suite: x}", "", "a suite needs a base"},
		{"{suite: x, base: {protocol: alpha}, matrx: {}}", "", `p.yaml:1:37: matrx: unknown key "matrx"; did you mean "matrix"?`},
		{"{suite: x, base: {protocl: alpha}}", "", `p.yaml:1:19: protocl: unknown key "protocl"; did you mean "protocol"?`},
		{"{suite: x, base: {protocol: alpha}, matrix: {wrkload.rate: [1/s]}}", "", `unknown key "wrkload"; did you mean "workload"?`},
		{"{suite: x, base: {protocol: alpha}, matrix: {f: [1, -2]}}", "", "p.yaml:1:53: f: -2 is too small"},
		{"{suite: x, base: {protocol: alpha}, matrix: {f: []}}", "", "an axis needs at least one value"},
		{"{suite: x, base: {protocol: alpha}, matrix: {f: 3}}", "", "a list [..] is needed"},
		{"{suite: x, base: {protocol: alpha}, matrix: {f: [1, 1]}}", "", "the value 1 is given twice"},
		{"{suite: x, base: {protocol: alpha}, matrix: {seed: {from: 1}}}", "", "count is missing"},
		{"{suite: x, base: {protocol: alpha}, matrix: {seed: {count: 0}}}", "", "the least allowed is 1"},
		{"{suite: x, base: {protocol: alpha}, matrix: {seed: [010]}}", "", "leading zero"},
		{"{suite: x, base: {protocol: gamma}}", "", "unknown protocol"},
		{"{suite: x, base: {protocol: alpha}, exclude: [{protocl: alpha}]}", "", `"protocl" is neither an axis nor a field; did you mean "protocol"?`},
		{"{suite: x, base: {protocol: alpha}, figures: [{kind: bars, by: workload.rte}]}", "", `"workload.rte" is no axis or field that tells series apart; did you mean "workload.rate"?`},
		{"{suite: x, base: {protocol: alpha}, figures: [{kind: bars, by: seed}]}", "", `"seed" is no axis or field`},
		{"{suite: x, base: {protocol: alpha}, exclude: [{protocol: alpha}]}", "", "every cell is excluded"},
		{"{suite: x, base: {protocol: alpha}}", "laptop", `there is no profile "laptop"`},
		{"{suite: x, base: {protocol: alpha}, profiles: {laptop: {matrx.f: [1]}}}", "laptop", "unknown key"},
		{"{suite: x, base: {protocol: alpha}, figures: [{kind: pie}]}", "", `"pie" is not allowed`},
		{"{suite: x, base: {protocol: alpha}, figures: [{by: n}]}", "", "a figure needs a kind"},
		{"{suite: x, base: {protocol: alpha}, figures: [{kind: bars}, {kind: bars}]}", "", "two figures are called bars"},
		{"{suite: x, base: {protocol: alpha}, claims: [{id: C}]}", "", "a claim needs an id of its own and a text"},
		{"{suite: x, base: {protocol: alpha}, claims: [{id: C, text: t, check: {}}]}", "", "either ratio"},
		{"{suite: x, base: {protocol: alpha}, claims: [{id: C, text: t, check: {value: v}}]}", "", "a check needs min or max"},
		{"{suite: x, base: {protocol: alpha}, thresholds: [{metric: m}]}", "", "a threshold needs a metric"},
		{"{suite: x, base: {protocol: alpha}, runs: [{set: {}}]}", "", "a run needs a name of its own"},
		{"{suite: x, base: {protocol: alpha}, cells: [{scenario: {protocol: alpha}}]}", "", "leave base, matrix and runs out"},
		{"{suite: x, cells: [{id: '0', scenario: {protocol: alpha}}]}", "", "leave id out after a change"},
		{"{suite: x, base: {protocol: alpha, workload: {kind: open}}, matrix: {workload.rate: [auto, -1/s]}}", "", "-1/s"},
		{"{suite: x, base: {protocol: alpha}, matrix: {seed: {count: 100001}}}", "", "the axes span more than 100000 cells"},
		{"{suite: x, base: {protocol: alpha}, auto: {from: 10/s, to: 5/s}}", "", "5/s is below auto.from"},
	} {
		_, err := expand(t, c.text, c.profile)
		require.ErrorContains(t, err, c.want, "%s", c.text)
	}
	_, err := Load("quickstrt", "")
	require.ErrorContains(t, err, `did you mean "quickstart"?`)
	_, err = Load("./missing.yaml", "")
	require.ErrorContains(t, err, "no such file")
}

func ids(cells []*Cell) []string {
	var out []string
	for _, c := range cells {
		out = append(out, c.ID)
	}
	return out
}

func TestCellsAsDataAreReadBack(t *testing.T) {
	s, err := Parse("p.yaml", []byte(peak), "")
	require.NoError(t, err)
	cells, err := s.Expand(testrun.Catalog())
	require.NoError(t, err)
	data, err := s.ExpandJSON(cells)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cells.json")
	require.NoError(t, os.WriteFile(file, data, 0o644))
	s2, err := Load(file, "")
	require.NoError(t, err)
	cells2, err := s2.Expand(testrun.Catalog())
	require.NoError(t, err)
	require.Equal(t, ids(cells), ids(cells2))
	require.Equal(t, cells[0].Axes, cells2[0].Axes)
}

func TestResolvedExpandsToTheSameCells(t *testing.T) {
	for _, profile := range []string{"", "laptop"} {
		s, err := Parse("p.yaml", []byte(peak), profile)
		require.NoError(t, err)
		data, err := s.Resolved()
		require.NoError(t, err)
		require.Contains(t, string(data), "transport: stream", "defaults are written out")
		require.Equal(t, ids(must(t, peak, profile)), ids(must(t, string(data), "")), "%s", data)
	}
}

func TestShardsPartition(t *testing.T) {
	cells := must(t, peak, "")
	count := map[string]int{}
	for i := 0; i < 4; i++ {
		sh, err := ParseShard(fmt.Sprintf("%d/4", i))
		require.NoError(t, err)
		for _, c := range cells {
			if sh.Has(c.ID) {
				count[c.ID]++
			}
		}
	}
	require.Len(t, count, len(cells))
	for _, n := range count {
		require.Equal(t, 1, n)
	}
	require.True(t, Shard{}.Has("x"))
	for _, bad := range []string{"", "1", "4/4", "-1/4", "1/0", "a/b", "01/4", "1/4/5"} {
		_, err := ParseShard(bad)
		require.Error(t, err, bad)
	}
}

func TestJSONSchema(t *testing.T) {
	b, err := json.Marshal(JSONSchema())
	require.NoError(t, err)
	require.Contains(t, string(b), `"below_load"`)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(peak))
	f.Add([]byte("{suite: x, cells: [{scenario: {}}]}"))
	f.Add([]byte("{suite: x, base: {}, matrix: {seed: {count: 3}, variant: {a: {b: c}}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data, "")
		if err != nil {
			return
		}
		size := 1
		for _, a := range s.Matrix.axes {
			size *= len(a.values)
		}
		if size > 100 {
			return // possible, but too slow to be fuzzed
		}
		cells, err := s.Expand(testrun.Catalog())
		if err != nil {
			return
		}
		out, err := s.Resolved()
		require.NoError(t, err)
		s2, err := Parse("g", out, "")
		require.NoError(t, err, "%s", out)
		cells2, err := s2.Expand(testrun.Catalog())
		require.NoError(t, err)
		require.Equal(t, ids(cells), ids(cells2))
	})
}
