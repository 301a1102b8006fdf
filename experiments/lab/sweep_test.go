package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/netsim/profile"
)

// tiny is a suite of one short cell.
const tiny = `suite: tiny
base: {protocol: pbft, clients: 4, workload: {app: micro, kind: closed}, window: {warmup: 10ms, measure: 50ms, cooldown: 10ms}}
figures: [{kind: tput-latency}]
`

// broken has twice as many liars as PBFT withstands, which breaks its safety.
const broken = `suite: broken
base:
  protocol: pbft
  clients: 8
  workload: {app: kv, kind: closed}
  window: {warmup: 30ms, measure: 100ms, cooldown: 6ms}
  beyond_f: true
  adversaries: [{nodes: [0, 1], attack: equivocate}]
figures: [{kind: tput-latency}]
`

// inRoom writes a suite file into a directory of its own and returns the options that run
// it there.
func inRoom(t *testing.T, name, text string) (dir string, o SweepOptions) {
	t.Helper()
	dir = t.TempDir()
	o = SweepOptions{Suite: filepath.Join(dir, name), Results: filepath.Join(dir, "results"), Jobs: 1}
	require.NoError(t, os.WriteFile(o.Suite, []byte(text), 0o644))
	return dir, o
}

// A figure that cannot be drawn does not hide a violation, and quiet does not hide the
// line that shows it again.
func TestTheWorstCellGivesTheCodeOfASweep(t *testing.T) {
	_, o := inRoom(t, "broken.yaml", broken)
	require.NoError(t, os.MkdirAll(filepath.Join(o.Results, "broken"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(o.Results, "broken", "figures"), nil, 0o644))
	w, _ := capture()
	var progress bytes.Buffer
	w.Err = &progress
	for range 2 { // the second reads the record
		err := Sweep(context.Background(), w, o)
		require.Equal(t, exit.Safety, exit.Code(err))
		require.Contains(t, progress.String(), "no figures")
		_, line, found := strings.Cut(err.Error(), "reproduce: edgebft sim '")
		require.True(t, found, "%v", err)
		text, _, _ := strings.Cut(line, "'")
		again := Sim(context.Background(), w, SimOptions{File: text})
		require.Equal(t, exit.Safety, exit.Code(again))
		require.Equal(t, 1, strings.Count(again.Error(), "safety violated"))
	}
}

// Results of other code are drawn by sweep and said to be: they are no reason to end
// with a usage error after everything ran.
func TestStaleResultsAreDrawnAndMarked(t *testing.T) {
	_, o := inRoom(t, "tiny.yaml", tiny)
	w, out := capture()
	require.NoError(t, Sweep(context.Background(), w, o))
	caption := filepath.Join(o.Results, "tiny", "figures", "tput-latency.txt")
	text, err := os.ReadFile(caption)
	require.NoError(t, err)
	require.NotContains(t, string(text), "stale")

	store.LinkedRevision = "feedfeedfeed"
	defer func() { store.LinkedRevision = "" }()
	if store.Discover("").Revision.Source != "ldflags" {
		t.Skip("this test binary carries its own revision")
	}
	require.NoError(t, os.WriteFile(o.Suite, []byte(tiny+"matrix: {seed: [1, 2]}\n"), 0o644))
	w.JSON = true
	out.Reset()
	require.NoError(t, Sweep(context.Background(), w, o))
	var got swept
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Len(t, got.Cells, 2)
	require.Equal(t, exit.OK, got.ExitCode)
	require.NotEmpty(t, got.Figures)
	text, err = os.ReadFile(caption)
	require.NoError(t, err)
	require.Contains(t, string(text), "1 of 2 results are stale")
	require.Contains(t, string(text), "several revisions")
	require.Equal(t, exit.Usage, exit.Code(Plot(w, DrawOptions{Store: filepath.Join(o.Results, "tiny")})), "plot wants to be asked for it")
}

func TestNothingIsMadeBeforeTheFlagsAreRead(t *testing.T) {
	_, o := inRoom(t, "tiny.yaml", tiny)
	w, out := capture()
	for _, bad := range []SweepOptions{
		{Suite: o.Suite, Results: o.Results, Shard: "9/3"},
		{Suite: o.Suite, Results: o.Results, Rerun: "faild"},
		{Suite: o.Suite, Results: o.Results, Jobs: -3},
	} {
		require.Equal(t, exit.Usage, exit.Code(Sweep(context.Background(), w, bad)))
	}
	require.NoError(t, SweepStatus(w, o))
	require.Equal(t, 1, strings.Count(out.String(), "1 missing"))
	out.Reset()
	dry := o
	dry.DryRun = true
	require.NoError(t, Sweep(context.Background(), w, dry))
	require.Contains(t, out.String(), "1 missing")
	require.NoDirExists(t, o.Results)

	require.NoError(t, Sweep(context.Background(), w, o))
	out.Reset()
	require.NoError(t, Sweep(context.Background(), w, dry))
	require.NotContains(t, out.String(), "ok")
	// What is recorded is found by its name, too.
	out.Reset()
	named := o
	named.Suite = "tiny"
	require.NoError(t, SweepStatus(w, named))
	require.Contains(t, out.String(), "1 ok")
}

// The report repeats the commands that were given, and overwrites itself only.
func TestReportSaysHowAndOverwritesNothing(t *testing.T) {
	dir, o := inRoom(t, "tiny.yaml", tiny+"profiles: {small: {base.seed: 2}}\n")
	o.Profile = "small"
	w, out := capture()
	old := os.Args
	os.Args = []string{"/somewhere/edgebft", "sweep", o.Suite, "--profile", "it's small"}
	defer func() { os.Args = old }()
	require.NoError(t, Sweep(context.Background(), w, o))
	results := filepath.Join(o.Results, "tiny")
	page, err := os.ReadFile(filepath.Join(results, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "edgebft sweep "+o.Suite+" --profile &#39;it&#39;\\&#39;&#39;s small&#39;")

	require.NoError(t, Report(w, results, filepath.Join(results, "report.html"), false))
	again, err := os.ReadFile(filepath.Join(results, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "profile small")
	require.Contains(t, string(again), "profile small")
	taken := filepath.Join(dir, "notes.html")
	require.NoError(t, os.WriteFile(taken, []byte("mine"), 0o644))
	require.Equal(t, exit.Usage, exit.Code(Report(w, results, taken, false)))
	mine, err := os.ReadFile(taken)
	require.NoError(t, err)
	require.Equal(t, "mine", string(mine))
	w.JSON = true
	out.Reset()
	require.NoError(t, Report(w, results, filepath.Join(dir, "other.html"), true))
	require.True(t, json.Valid(out.Bytes()))
	out.Reset()
	require.NoError(t, SweepIndex(w, results))
	require.True(t, json.Valid(out.Bytes()))
	cells, err := filepath.Glob(filepath.Join(results, "cells", "*"))
	require.NoError(t, err)
	out.Reset()
	require.NoError(t, Replay(context.Background(), w, cells[0]))
	require.Contains(t, out.String(), `"same": true`)
	require.Equal(t, exit.Usage, exit.Code(Trace(context.Background(), w, TraceOptions{Cell: cells[0], Set: []string{"seed=2"}})), "a record has no overrides")
	require.Equal(t, exit.Usage, exit.Code(Plot(w, DrawOptions{Store: results, Formats: []string{"jpg"}})))
}

// A merged directory can be drawn; whole results directories are merged suite by suite;
// what two records disagree on is said and ends with a code.
func TestMergedResultsAreWhole(t *testing.T) {
	text := tiny + "matrix: {seed: [1, 2, 3, 4]}\n"
	dir, o := inRoom(t, "tiny.yaml", text)
	w, out := capture()
	for i := range 2 {
		part := o
		part.Results, part.Shard, part.NoFigures = filepath.Join(dir, fmt.Sprintf("host%d", i)), fmt.Sprintf("%d/2", i), true
		require.NoError(t, Sweep(context.Background(), w, part))
	}
	both := filepath.Join(dir, "both")
	out.Reset()
	require.NoError(t, SweepMerge(w, both, []string{filepath.Join(dir, "host0"), filepath.Join(dir, "host1")}))
	require.Contains(t, out.String(), "added")
	require.NoDirExists(t, filepath.Join(both, "cells"))
	require.NoError(t, Plot(w, DrawOptions{Store: filepath.Join(both, "tiny")}))
	out.Reset()
	w.JSON = true
	require.NoError(t, SweepMerge(w, filepath.Join(both, "tiny"), []string{filepath.Join(dir, "host0", "tiny"), filepath.Join(dir, "host1", "tiny")}))
	var got []merged
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Len(t, got, 2)
	require.Empty(t, got[0].Added)
	require.Len(t, append(got[0].Same, got[1].Same...), 4)
	w.JSON = false

	// Roots and suites are not mixed up.
	require.Equal(t, exit.Usage, exit.Code(SweepMerge(w, both, []string{filepath.Join(dir, "host0", "tiny")})))
	require.Equal(t, exit.Usage, exit.Code(SweepMerge(w, filepath.Join(both, "tiny"), []string{filepath.Join(dir, "host0")})))
	nothing := filepath.Join(dir, "nothing")
	require.NoError(t, os.Mkdir(nothing, 0o755))
	require.Equal(t, exit.Usage, exit.Code(SweepMerge(w, filepath.Join(dir, "new"), []string{nothing})))
	require.NoDirExists(t, filepath.Join(dir, "new"))

	// The same cell with another outcome.
	st := store.At(filepath.Join(dir, "other", "tiny"))
	records, err := store.At(filepath.Join(both, "tiny")).Records()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(st.Dir, "cells"), 0o755))
	p, err := st.Begin(records[0].Manifest)
	require.NoError(t, err)
	require.NoError(t, p.Commit(nil, result.Failed, "boom", false))
	out.Reset()
	require.Equal(t, exit.Invalid, exit.Code(SweepMerge(w, filepath.Join(both, "tiny"), []string{st.Dir})))
	require.Contains(t, out.String(), "states ok and failed")
}

// Results can be drawn and replayed when the files that the suite names have changed or
// are gone, and no figure loses its points.
func TestResultsOutliveTheirFiles(t *testing.T) {
	dir, o := inRoom(t, "edge.yaml", strings.Replace(tiny, "{protocol", "{costs: ./pi.yaml, protocol", 1))
	pi, err := profile.Load("pi4")
	require.NoError(t, err)
	costs := filepath.Join(dir, "pi.yaml")
	require.NoError(t, os.WriteFile(costs, pi.Encode(), 0o644))
	w, out := capture()
	require.NoError(t, Sweep(context.Background(), w, o))
	results := filepath.Join(o.Results, "tiny")
	cells, err := filepath.Glob(filepath.Join(results, "cells", "*"))
	require.NoError(t, err)
	figure := filepath.Join(results, "figures", "tput-latency.csv")
	drawn, err := os.ReadFile(figure)
	require.NoError(t, err)
	a53, err := profile.Load("a53")
	require.NoError(t, err)
	for _, change := range []func(){
		func() {},
		func() { require.NoError(t, os.WriteFile(costs, a53.Encode(), 0o644)) },
		func() { require.NoError(t, os.Remove(costs)) },
	} {
		change()
		require.NoError(t, Plot(w, DrawOptions{Store: results}))
		again, err := os.ReadFile(figure)
		require.NoError(t, err)
		require.Equal(t, string(drawn), string(again))
		require.NoError(t, Report(w, results, "", false))
		out.Reset()
		require.NoError(t, Replay(context.Background(), w, cells[0]))
		require.Contains(t, out.String(), "same trace")
	}
	// A version whose defaults lead to other cells draws what was recorded.
	x, err := recorded(results)
	require.NoError(t, err)
	x.cells[0].ID = "000000000000"
	records, _, err := x.groups()
	require.NoError(t, err)
	require.Len(t, records, 1)
	// So does one that knows some name of it no more.
	suite := filepath.Join(results, "suite.resolved.yaml")
	text, err := os.ReadFile(suite)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(suite, []byte(strings.Replace(string(text), "protocol: pbft", "protocol: gone", 1)), 0o644))
	require.NoError(t, Plot(w, DrawOptions{Store: results}))
	require.Equal(t, exit.Usage, exit.Code(Report(w, results, "", false)))
	require.NoError(t, os.WriteFile(suite, text, 0o644))
	// Without any result the figure stays.
	require.NoError(t, os.Rename(cells[0], filepath.Join(dir, "away")))
	require.Equal(t, exit.Usage, exit.Code(Plot(w, DrawOptions{Store: results})))
	again, err := os.ReadFile(figure)
	require.NoError(t, err)
	require.Equal(t, string(drawn), string(again))
}

// The line that reproduces a run finds its files from any directory.
func TestReproduceNamesFilesForGood(t *testing.T) {
	dir := t.TempDir()
	pi, err := profile.Load("pi4")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pi.yaml"), pi.Encode(), 0o644))
	file := filepath.Join(dir, "s.yaml")
	require.NoError(t, os.WriteFile(file, []byte("{protocol: pbft, costs: ./pi.yaml}"), 0o644))
	s, err := loadScenario(run.Catalog(), file, nil)
	require.NoError(t, err)
	_, line, _ := strings.Cut(Reproduce(s, nil), "'")
	text, _, _ := strings.Cut(line, "'")
	back, err := loadScenario(run.Catalog(), text, nil)
	require.NoError(t, err)
	require.Equal(t, s.ID(), back.ID())
}
