package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/exit"
)

var (
	binaryDir string
	build     = sync.OnceValues(func() (string, error) {
		path := filepath.Join(binaryDir, "edgebft")
		out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return path, err
	})
)

func TestMain(m *testing.M) {
	var err error
	if binaryDir, err = os.MkdirTemp("", "edgebft"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(binaryDir)
	os.Exit(code)
}

// binary builds the command once per test process.
func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
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

// The codes that runs end with, on the binary; 2 has a test of its own, 130 follows, and 6
// takes a run that fails by itself, as in the tests of package sweep. What broke an invariant prints the line that breaks it again.
func TestExitCodesOfRuns(t *testing.T) {
	edgebft, dir := binary(t), t.TempDir()
	run := func(args ...string) (code int, stdout, stderr string) {
		cmd := exec.Command(edgebft, args...)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, dir
		_ = cmd.Run() // the code is what matters
		return cmd.ProcessState.ExitCode(), out.String(), errs.String()
	}
	suite := func(name, base string) string {
		p := filepath.Join(dir, name+".yaml")
		require.NoError(t, os.WriteFile(p, []byte("suite: "+name+"\nbase: {"+base+", clients: 8, window: {warmup: 10ms, measure: 100ms, cooldown: 10ms}}\n"), 0o644))
		return p
	}
	const broken = "protocol: pbft, workload: {app: kv, kind: closed}, beyond_f: true, adversaries: [{nodes: [0, 1], attack: equivocate}]"

	// 3, from sim and from sweep, quiet as well, and by the printed line.
	code, _, stderr := run("sweep", suite("broken", broken), "-q")
	require.Equal(t, exit.Safety, code, stderr)
	_, line, found := strings.Cut(stderr, "reproduce: edgebft sim '")
	require.True(t, found, stderr)
	line, _, _ = strings.Cut(line, "'")
	code, first, stderr := run("sim", line, "--json")
	require.Equal(t, exit.Safety, code, stderr)
	require.Contains(t, stderr, "reproduce: edgebft sim '"+line+"'")
	_, again, _ := run("sim", line, "--json")
	hash := regexp.MustCompile(`"trace_hash": *"[0-9a-f]+"`)
	require.NotEmpty(t, hash.FindString(first))
	require.Equal(t, hash.FindString(first), hash.FindString(again))

	// 4: two of four replicas are gone for good.
	code, _, stderr = run("sim", "--protocol", "pbft", "--clients", "4", "--duration", "100ms", "--set", "faults=[{kind: crash, at: 20ms, nodes: [2, 3]}]", "--set", "checks.liveness_bound=1s")
	require.Equal(t, exit.Liveness, code, stderr)

	// 5: the record is of a program that did something else.
	code, _, stderr = run("sweep", suite("good", "protocol: pbft, workload: {app: micro, kind: closed}"), "-q", "--no-figures")
	require.Equal(t, exit.OK, code, stderr)
	cells, err := filepath.Glob(filepath.Join(dir, "results", "good", "cells", "*"))
	require.NoError(t, err)
	summary := filepath.Join(cells[0], "summary.json")
	text, err := os.ReadFile(summary)
	require.NoError(t, err)
	changed := hash.ReplaceAll(text, []byte(`"trace_hash": "00"`))
	require.NotEqual(t, string(text), string(changed))
	sums := filepath.Join(cells[0], "SHA256SUMS")
	list, err := os.ReadFile(sums)
	require.NoError(t, err)
	list = []byte(strings.Replace(string(list), fmt.Sprintf("%x", sha256.Sum256(text)), fmt.Sprintf("%x", sha256.Sum256(changed)), 1))
	require.NoError(t, os.WriteFile(summary, changed, 0o644))
	require.NoError(t, os.WriteFile(sums, list, 0o644))
	code, stdout, stderr := run("replay", cells[0])
	require.Equal(t, exit.Invalid, code, stderr)
	require.Contains(t, stdout, "recorded  00")
	// 5, too: more load than the clients can carry.
	code, _, stderr = run("sim", "--protocol", "pbft", "--clients", "1", "--rate", "20k/s", "--duration", "300ms", "--set", "workload.timeout=200ms")
	require.Equal(t, exit.Invalid, code, stderr)

	// 7: no time to check a history.
	code, _, stderr = run("sim", "--protocol", "pbft", "--workload", "kv", "--duration", "100ms", "--set", "checks.timeout=1ns")
	require.Equal(t, exit.Undecided, code, stderr)

	// 1: results cannot be written there.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	code, _, stderr = run("sweep", filepath.Join(dir, "good.yaml"), "--results", filepath.Join(dir, "file"))
	require.Equal(t, exit.Infrastructure, code, stderr)
}

// An interrupted sweep says so by 130 and keeps what it has: it is told to stop when its
// short cell, which does not pass, is reported, while a long one runs.
func TestInterruptedSweep(t *testing.T) {
	edgebft, dir := binary(t), t.TempDir()
	suite := filepath.Join(dir, "long.yaml")
	require.NoError(t, os.WriteFile(suite, []byte(`suite: long
base: {protocol: pbft, clients: 8, workload: {app: micro, kind: closed}, window: {warmup: 0s, measure: 1000h, cooldown: 0s}}
runs:
  - name: fails
    set: {window.measure: 100ms, checks.liveness_bound: 1s, faults: [{kind: crash, at: 20ms, nodes: [2, 3]}]}
`), 0o644))
	cmd := exec.Command(edgebft, "sweep", suite, "--jobs", "2", "-q")
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	var all []string
	for lines.Scan() {
		if all = append(all, lines.Text()); len(all) == 1 {
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
		}
	}
	_ = cmd.Wait() // the code is what matters
	require.Equal(t, exit.Interrupted, cmd.ProcessState.ExitCode(), "%v", all)
	require.Contains(t, all[0], "no-progress")
	require.Contains(t, strings.Join(all, "\n"), "interrupted; run the same command again to go on")
}
