package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/explore"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/netsim"
)

func capture() (IO, *bytes.Buffer) {
	var out bytes.Buffer
	return IO{Out: &out, Err: new(bytes.Buffer), Quiet: true}, &out
}

func TestListKnowsEverythingItOffers(t *testing.T) {
	for _, what := range Listable {
		w, out := capture()
		require.NoError(t, List(w, what, ""))
		require.NotEmpty(t, out.String(), what)
		w.JSON = true
		out.Reset()
		require.NoError(t, List(w, what, ""))
		var all []listed
		require.NoError(t, json.Unmarshal(out.Bytes(), &all))
		for _, l := range all {
			require.NotEmpty(t, l.Name)
			require.NotEmpty(t, l.Doc, "%s %s", what, l.Name)
			require.NoError(t, List(w, what, l.Name))
		}
	}
	w, _ := capture()
	require.Equal(t, exit.Usage, exit.Code(List(w, "protocols", "pbtf")))
}

func TestSchemasAreJSON(t *testing.T) {
	for _, what := range []string{"scenario", "suite", "result"} {
		w, out := capture()
		require.NoError(t, Schema(w, what))
		require.True(t, json.Valid(out.Bytes()))
	}
}

func TestDryRunIsAScenario(t *testing.T) {
	w, out := capture()
	require.NoError(t, Sim(context.Background(), w, SimOptions{Set: []string{"protocol=pbft", "seed=9", "duration=20ms"}, DryRun: true}))
	// What it prints runs, and is the same scenario again.
	text := out.String()
	out.Reset()
	require.NoError(t, Sim(context.Background(), w, SimOptions{File: text, DryRun: true}))
	require.Equal(t, text, out.String())
	out.Reset()
	w.JSON = true
	require.NoError(t, Sim(context.Background(), w, SimOptions{File: text}))
	require.Contains(t, out.String(), `"trace_hash"`)
}

func TestTraceFilesAndTranscript(t *testing.T) {
	set := []string{"protocol=pbft", "clients=1", "duration=5ms", "window.warmup=0s"}
	w, out := capture()
	require.NoError(t, Trace(context.Background(), w, TraceOptions{Set: set, Limit: 30}))
	require.Contains(t, out.String(), "PRE-PREPARE")
	require.Contains(t, out.String(), "cut here")

	dir := t.TempDir()
	var files []string
	for _, name := range []string{"a.jsonl", "b.json", "c.shiviz", "d.jsonl.zst"} {
		files = append(files, filepath.Join(dir, name))
	}
	require.NoError(t, Trace(context.Background(), w, TraceOptions{Set: set, Files: files, Bytes: 1 << 20, To: 3 * time.Millisecond}))
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.NotZero(t, info.Size())
	}
	err := Trace(context.Background(), w, TraceOptions{Set: set, Files: files[:1]})
	require.Equal(t, exit.Usage, exit.Code(err), "nothing is overwritten")

	// What fails leaves no file that is in the way of the next try.
	a, b := filepath.Join(dir, "e.json"), filepath.Join(dir, "e.txt")
	err = Trace(context.Background(), w, TraceOptions{Set: set, Files: []string{a, b}})
	require.Equal(t, exit.Usage, exit.Code(err))
	require.NoFileExists(t, a)
	stopped, stop := context.WithCancel(context.Background())
	stop()
	require.Error(t, Trace(stopped, w, TraceOptions{Set: set, Files: []string{a}}))
	require.NoFileExists(t, a)
}

func TestTheTranscriptHoldsNothingBack(t *testing.T) {
	var out bytes.Buffer
	text := &transcript{out: &out, left: 10}
	text.Record(&netsim.Record{Kind: netsim.RecordSend})
	require.Empty(t, out.String(), "a step comes before what it sends")
	text.flush()
	require.NotEmpty(t, out.String())
}

func TestCheckExploresAndShows(t *testing.T) {
	w, out := capture()
	require.NoError(t, Check(context.Background(), w, CheckOptions{Protocol: "pbft", First: 1, Seeds: 40, Jobs: 1}))
	require.Contains(t, out.String(), "not exhaustive")
	out.Reset()
	require.NoError(t, Check(context.Background(), w, CheckOptions{Protocol: "pbft", First: 5, Seeds: 1, Show: true}))
	require.Contains(t, out.String(), `"protocol": "pbft"`)
	shown := out.String()
	out.Reset()
	require.NoError(t, Check(context.Background(), w, CheckOptions{Scenario: shown}))
	require.Contains(t, out.String(), "trace hash")
	for _, o := range []CheckOptions{
		{Protocol: "pbtf", Seeds: 1},
		{Protocol: "pbft", Seeds: 0},
		{Protocol: "pbft", Seeds: 1, Jobs: -1},
		{Protocol: "pbft", Seeds: 1, First: -1},
		{Protocol: "pbft", Seeds: 10, First: math.MaxInt64 - 3},
		{Protocol: "pbft", Seeds: 10, First: math.MaxInt64 - 3, Show: true},
	} {
		require.Equal(t, exit.Usage, exit.Code(Check(context.Background(), w, o)), "%+v", o)
	}
}

// The worst finding gives the code, every one is printed, and what no checker decided
// is no success.
func TestAllFindingsOfACampaignCount(t *testing.T) {
	c := run.Catalog()
	sp, err := explore.NewSpace(c, "pbft")
	require.NoError(t, err)
	sum := func(undecided int, verdicts ...explore.Verdict) *explore.Summary {
		s := &explore.Summary{Ran: 9, Strategies: []explore.Counts{{Undecided: undecided}}}
		for i, v := range verdicts {
			sch := sp.Draw(int64(i))
			s.Findings = append(s.Findings, explore.Finding{Schedule: sch, Seed: sch.Seed, Outcome: explore.Outcome{Verdict: v}})
		}
		return s
	}
	err = campaignVerdict(c, sp, sum(1, explore.NoProgress, explore.Violation), 0)
	require.Equal(t, exit.Safety, exit.Code(err))
	require.ErrorContains(t, err, "--first-seed 0 --seeds 1")
	require.ErrorContains(t, err, "--first-seed 1 --seeds 1")
	require.Equal(t, exit.Liveness, exit.Code(campaignVerdict(c, sp, sum(1, explore.NoProgress), 0)))
	require.Equal(t, exit.Undecided, exit.Code(campaignVerdict(c, sp, sum(9), 0)))
	require.NoError(t, campaignVerdict(c, sp, sum(0), 0))
}

// Usage errors of a calibration are found before it measures, the file that it is to
// write among them.
func TestCalibrationBeginsWithItsInput(t *testing.T) {
	w, _ := capture()
	taken := filepath.Join(t.TempDir(), "pi.yaml")
	require.NoError(t, os.WriteFile(taken, []byte("a"), 0o644))
	for _, o := range []CalibrateOptions{{Rounds: 1}, {Name: "Pi 4"}, {Out: taken}} {
		require.Equal(t, exit.Usage, exit.Code(Calibrate(w, o)), "%+v", o)
	}
}

func TestReproduceLinesSurviveAShell(t *testing.T) {
	s, err := loadScenario(run.Catalog(), "", []string{"protocol=pbft", "name=it's; rm -rf x"})
	require.NoError(t, err)
	line, _, _ := strings.Cut(Reproduce(s, nil), "   #")
	out, err := exec.Command("sh", "-c", "edgebft() { printf '%s' \"$2\"; }; "+line).Output()
	require.NoError(t, err)
	back, err := loadScenario(run.Catalog(), string(out), nil)
	require.NoError(t, err)
	require.Equal(t, s.Name, back.Name)
	require.Equal(t, s.ID(), back.ID())
	require.Equal(t, `'it'\''s'`, shellWord("it's"))
}

func TestNothingIsOverwritten(t *testing.T) {
	p := filepath.Join(t.TempDir(), "profile.yaml")
	require.NoError(t, writeNew(p, []byte("a")))
	require.ErrorContains(t, writeNew(p, []byte("b")), "exists")
	b, err := os.ReadFile(p)
	require.NoError(t, err)
	require.Equal(t, "a", string(b))
}
