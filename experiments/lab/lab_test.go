package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/exit"
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
	require.Equal(t, exit.Usage, exit.Code(Check(context.Background(), w, CheckOptions{Protocol: "pbtf", Seeds: 1})))
}

func TestNothingIsOverwritten(t *testing.T) {
	p := filepath.Join(t.TempDir(), "profile.yaml")
	require.NoError(t, writeNew(p, []byte("a")))
	require.ErrorContains(t, writeNew(p, []byte("b")), "exists")
	b, err := os.ReadFile(p)
	require.NoError(t, err)
	require.Equal(t, "a", string(b))
}
