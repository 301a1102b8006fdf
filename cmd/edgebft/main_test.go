package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/exit"
)

// binary builds the command once per test process.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edgebft")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// Bad input ends with the exit code of the sheet, says what was wrong and what is
// allowed, and leaves nothing behind.
func TestExitCodesAndMessages(t *testing.T) {
	edgebft := binary(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
		return p
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"sim", "--protocol", "pbtf"}, exit.Usage, `did you mean "pbft"?`},
		{[]string{"sim", "--protocl", "pbft"}, exit.Usage, `did you mean "protocol"?`},
		{[]string{"sim", "--protocol", "pbft", "--n", "3", "--f", "1"}, exit.Usage, "needs at least 4 replicas, not 3"},
		{[]string{"sim", "--protocol", "pbft", "--f", "-1"}, exit.Usage, "least allowed is 0"},
		{[]string{"sim", "--protocol", "pbft", "--rate=-5/s"}, exit.Usage, "too small"},
		{[]string{"sim", "--protocol", "pbft", "--duration", "5"}, exit.Usage, "has no unit"},
		{[]string{"sim", write("a.yaml", "protocol: pbft\nduraton: 5s\n")}, exit.Usage, `a.yaml:2:1: duraton: unknown key "duraton"; did you mean "duration"?`},
		{[]string{"sim", write("b.yaml", "protocol: pbft\nclients: 010\n")}, exit.Usage, "leading zero"},
		{[]string{"sim", filepath.Join(dir, "absent.yaml")}, exit.Usage, "no such file"},
		{[]string{"sweep", "quickstrt"}, exit.Usage, `did you mean "quickstart"?`},
		{[]string{"sweep"}, exit.Usage, "accepts 1 arg"},
		{[]string{"list", "protocls"}, exit.Usage, `did you mean "protocols"?`},
		{[]string{"schema", "resutl"}, exit.Usage, `did you mean "result"?`},
		{[]string{"plot", dir}, exit.Usage, "not a result directory"},
		{[]string{"replay", filepath.Join(dir, "cells", "x")}, exit.Usage, "no such file"},
		{[]string{"trace", "--protocol", "pbft", "--duration", "1ms", "--out", filepath.Join(dir, "x.txt")}, exit.Usage, "must end in"},
		{[]string{"check", "--seeds", "0"}, exit.Usage, "at least 1"},
		{[]string{"nonsense"}, exit.Usage, "unknown command"},
	} {
		cmd := exec.Command(edgebft, c.args...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, dir
		_ = cmd.Run() // the code is what matters
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%v: %s", c.args, stderr.String())
		require.Contains(t, stderr.String(), c.want, c.args)
		require.Empty(t, stdout.String(), "stdout is for results")
	}
	_, err := os.Stat(filepath.Join(dir, "results"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// One run is the same in every process and with any number of threads; another seed
// is another run.
func TestSimIsReproducible(t *testing.T) {
	edgebft := binary(t)
	hash := func(seed, procs string) string {
		cmd := exec.Command(edgebft, "sim", "--protocol", "pbft", "--f", "1", "--workload", "market", "--clients", "16", "--duration", "200ms", "--set", "window.warmup=20ms", "--seed", seed, "--json")
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+procs, "GOGC=20")
		out, err := cmd.Output()
		require.NoError(t, err)
		var r struct {
			Committed int
			Safety    map[string]any
			Sim       struct {
				Hash string `json:"trace_hash"`
			}
		}
		require.NoError(t, json.Unmarshal(out, &r))
		require.NotZero(t, r.Committed)
		require.Equal(t, true, r.Safety["agreement"])
		return r.Sim.Hash
	}
	want := hash("7", "1")
	require.Equal(t, want, hash("7", "2"))
	require.NotEqual(t, want, hash("8", "2"))
}

// A sweep records, draws and reports; a second one runs nothing; a recorded cell
// replays to the same trace.
func TestSweepAndReplay(t *testing.T) {
	edgebft := binary(t)
	dir := t.TempDir()
	suite := filepath.Join(dir, "tiny.yaml")
	require.NoError(t, os.WriteFile(suite, []byte(`suite: tiny
base: {protocol: pbft, clients: 4, workload: {app: micro, kind: closed}, window: {warmup: 50ms, measure: 200ms, cooldown: 10ms}}
matrix: {f: [1, 2], seed: {count: 2}}
`), 0o644))
	run := func(args ...string) string {
		cmd := exec.Command(edgebft, args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		require.NoError(t, err, args)
		return string(out)
	}
	first := run("sweep", suite, "-q")
	require.Contains(t, first, "report.html")
	index, err := os.ReadFile(filepath.Join(dir, "results", "tiny", "index.csv"))
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(dir, "results", "tiny", "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "<svg")
	run("sweep", suite, "-q")
	again, err := os.ReadFile(filepath.Join(dir, "results", "tiny", "index.csv"))
	require.NoError(t, err)
	require.Equal(t, string(index), string(again))
	cells, err := filepath.Glob(filepath.Join(dir, "results", "tiny", "cells", "*"))
	require.NoError(t, err)
	require.Len(t, cells, 4)
	require.Contains(t, run("replay", cells[0]), "same trace")
	require.NotEmpty(t, run("trace", cells[0], "--limit", "5"))
	require.Contains(t, run("sweep", "status", suite), "4 ok")
}
