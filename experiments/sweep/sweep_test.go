package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/anacrolix/chansync"
	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/internal/testrun"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/internal/strict"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

const fifty = `
suite: fifty
base: {workload: {kind: open, rate: 200/s, timeout: 1s}, window: {warmup: 50ms, measure: 300ms}}
matrix:
  protocol: [alpha, beta]
  f: [1, 2, 3, 4, 5]
  seed: {count: 5}
`

var env = &store.Environment{Revision: store.Revision{Commit: "abc"}}

func run(_ context.Context, c *suite.Cell) (*result.Outcome, error) {
	return testrun.Run(context.Background(), c.Scenario)
}

func config(t *testing.T, text, dir string, r Run) Config {
	t.Helper()
	s, err := suite.Parse("s.yaml", []byte(text), "")
	require.NoError(t, err)
	cells, err := s.Expand(testrun.Catalog())
	require.NoError(t, err)
	st, err := store.Open(dir)
	require.NoError(t, err)
	return Config{Suite: s, Cells: cells, Store: st, Run: r, Env: env, Jobs: 2}
}

func index(t *testing.T, dir string) string {
	t.Helper()
	csv, err := os.ReadFile(filepath.Join(dir, "index.csv"))
	require.NoError(t, err)
	bench, err := os.ReadFile(filepath.Join(dir, "index.bench"))
	require.NoError(t, err)
	return string(csv) + string(bench)
}

// whole returns the index of the suite fifty without interruptions.
var whole = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sweep")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	s, err := suite.Parse("s.yaml", []byte(fifty), "")
	if err != nil {
		return "", err
	}
	cells, err := s.Expand(testrun.Catalog())
	if err != nil {
		return "", err
	}
	st, err := store.Open(dir)
	if err != nil {
		return "", err
	}
	rep, err := Sweep(context.Background(), Config{Suite: s, Cells: cells, Store: st, Env: env, Run: run, Jobs: 2})
	if err != nil {
		return "", err
	}
	if len(rep.Cells) != 50 || rep.ExitCode() != exit.OK {
		return "", fmt.Errorf("%d cells, code %d", len(rep.Cells), rep.ExitCode())
	}
	csv, err := os.ReadFile(filepath.Join(dir, "index.csv"))
	if err != nil {
		return "", err
	}
	bench, err := os.ReadFile(filepath.Join(dir, "index.bench"))
	return string(csv) + string(bench), err
})

const childDir = "EDGEBFT_TEST_SWEEP_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

// child sweeps until it has finished 17 runs and then kills itself while others
// are being written.
func child(dir string) {
	s, err := suite.Parse("s.yaml", []byte(fifty), "")
	if err != nil {
		panic(err)
	}
	cells, err := s.Expand(testrun.Catalog())
	if err != nil {
		panic(err)
	}
	st, err := store.Open(dir)
	if err != nil {
		panic(err)
	}
	var n atomic.Int32
	_, err = Sweep(context.Background(), Config{Suite: s, Cells: cells, Store: st, Env: env, Jobs: 4, Run: func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		if n.Add(1) == 17 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				panic(err)
			}
		}
		return run(ctx, c)
	}})
	panic(fmt.Sprint("not killed: ", err))
}

// T2: kill -9 in the middle of a suite, run it again: the index is the same
// bytes as without the interruption.
func TestKilledSweepResumesToTheSameIndex(t *testing.T) {
	want, err := whole()
	require.NoError(t, err)
	killed := filepath.Join(t.TempDir(), "fifty")
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+killed)
	out, err := cmd.CombinedOutput()
	var exited *exec.ExitError
	require.ErrorAs(t, err, &exited, "%s", out)
	require.Equal(t, syscall.SIGKILL, exited.Sys().(syscall.WaitStatus).Signal(), "%s", out)
	left, err := (&store.Store{Dir: killed}).Leftovers()
	require.NoError(t, err)
	require.NotEmpty(t, left, "the killed process left unfinished cells")

	var again atomic.Int32
	rep, err := Sweep(context.Background(), config(t, fifty, killed, func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		again.Add(1)
		return run(ctx, c)
	}))
	require.NoError(t, err)
	require.Less(t, int(again.Load()), 50, "what was recorded is not run again")
	require.Greater(t, int(again.Load()), 0)
	require.Equal(t, len(left), rep.Removed)
	require.Equal(t, want, index(t, killed))
}

func TestStopIsSafeAndResumes(t *testing.T) {
	part := filepath.Join(t.TempDir(), "b")
	want, err := whole()
	require.NoError(t, err)
	stop := new(chansync.SetOnce)
	var n atomic.Int32
	cfg := config(t, fifty, part, func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		if n.Add(1) == 10 {
			stop.Set()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return run(ctx, c)
	})
	cfg.Stop = stop
	rep, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.True(t, rep.Interrupted)
	require.Equal(t, exit.Interrupted, rep.ExitCode())
	left, err := cfg.Store.Leftovers()
	require.NoError(t, err)
	require.Empty(t, left)
	rep, err = Sweep(context.Background(), config(t, fifty, part, run))
	require.NoError(t, err)
	require.Equal(t, exit.OK, rep.ExitCode())
	require.Equal(t, want, index(t, part))
}

func TestShardsAndMergeGiveTheSameIndex(t *testing.T) {
	root := t.TempDir()
	want, err := whole()
	require.NoError(t, err)
	merged, err := store.Open(filepath.Join(root, "merged"))
	require.NoError(t, err)
	for i := 0; i < 3; i++ {
		cfg := config(t, fifty, filepath.Join(root, fmt.Sprint(i)), run)
		cfg.Shard = suite.Shard{I: i, N: 3}
		rep, err := Sweep(context.Background(), cfg)
		require.NoError(t, err)
		require.Less(t, len(rep.Cells), 50)
		_, err = merged.Merge(cfg.Store)
		require.NoError(t, err)
	}
	_, err = merged.WriteIndex()
	require.NoError(t, err)
	require.Equal(t, want, index(t, filepath.Join(root, "merged")))
}

const few = `
suite: few
base: {protocol: alpha, workload: {kind: open, rate: 200/s, timeout: 1s}, window: {warmup: 100ms, measure: 500ms}}
matrix: {seed: {count: 6}}
`

func TestBadCellsAreReportedAtOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "few")
	var buf bytes.Buffer
	var calls atomic.Int32
	bad := func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		calls.Add(1)
		out, err := run(ctx, c)
		switch c.Scenario.Seed {
		case 1:
			return nil, errors.New("no space left")
		case 2:
			panic("boom")
		case 3:
			out.Result.Safety.Agreement = result.Fail
		case 4:
			out.Result.Validity.Valid, out.Result.Validity.Reasons = false, []string{"throttled"}
		case 5:
			out.Result.Safety.Linearizable = result.Undecided
		}
		return out, err
	}
	cfg := config(t, few, dir, bad)
	cfg.Stderr, cfg.Jobs = &buf, 1
	cfg.Reproduce = func(c *suite.Cell, _ *store.Manifest) string {
		return fmt.Sprintf("edgebft sim x --seed %d", c.Scenario.Seed)
	}
	rep, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Equal(t, exit.Safety, rep.ExitCode(), "the first of 3, 5, 7, 4, 6")
	for _, want := range []string{
		"failed: no space left", "failed: the run panicked: boom", "violation: safety violated: agreement", "reproduce: edgebft sim x --seed 3",
		"invalid: throttled", "undecided: undecided: linearizable", "few  6/6 cells  0 running  4 failed  1 invalid",
	} {
		require.Contains(t, buf.String(), want)
	}
	log, err := os.ReadFile(filepath.Join(cfg.Store.CellDir(cfg.Cells[1].ID), "logs", "error.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "sweep_test.go", "the stack is kept")

	// Nothing is run again by itself; quiet hides the progress, never a violation.
	buf.Reset()
	cfg.Quiet, cfg.Verbose = true, true
	rep, err = Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.EqualValues(t, 6, calls.Load())
	require.Equal(t, "edgebft sim x --seed 3", rep.Cells[2].Reproduce)
	require.Contains(t, buf.String(), "reproduce: edgebft sim x --seed 3")
	require.NotContains(t, buf.String(), "6/6 cells")
	require.Contains(t, buf.String(), "cell "+rep.Cells[5].ID+" (seed=6): ok")

	// Only what is asked for is.
	cfg = config(t, few, dir, run)
	cfg.Rerun, err = ParseRerun("failed,violation")
	require.NoError(t, err)
	rep, err = Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Equal(t, exit.Invalid, rep.ExitCode())
	old, err := os.ReadDir(filepath.Join(dir, "superseded"))
	require.NoError(t, err)
	require.Len(t, old, 3)
	list, err := Statuses(cfg.Cells, cfg.Store, env)
	require.NoError(t, err)
	require.Equal(t, "1 invalid, 4 ok, 1 undecided", Counts(list))
	var table bytes.Buffer
	require.NoError(t, WriteStatuses(&table, cfg.Cells, list))
	require.Contains(t, table.String(), "throttled")

	_, err = ParseRerun("faild")
	require.ErrorContains(t, err, `did you mean "failed"?`)
}

func TestStaleCellsAreKeptUntilAskedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "few")
	_, err := Sweep(context.Background(), config(t, few, dir, run))
	require.NoError(t, err)
	var calls atomic.Int32
	counted := func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		calls.Add(1)
		return run(ctx, c)
	}
	cfg := config(t, few, dir, counted)
	cfg.Env = &store.Environment{Revision: store.Revision{Commit: "def"}}
	rep, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Equal(t, exit.OK, rep.ExitCode())
	require.Zero(t, calls.Load(), "a change of code runs nothing by itself")
	list, err := Statuses(cfg.Cells, cfg.Store, cfg.Env)
	require.NoError(t, err)
	require.Equal(t, "6 stale", Counts(list))
	cfg.Rerun = map[store.Status]bool{store.Stale: true}
	_, err = Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.EqualValues(t, 6, calls.Load())
}

func TestCorruptCellsAreReportedAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "few")
	cfg := config(t, few, dir, run)
	_, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	path := filepath.Join(cfg.Store.CellDir(cfg.Cells[0].ID), store.SummaryFile)
	require.NoError(t, os.Truncate(path, 10))
	var buf bytes.Buffer
	cfg = config(t, few, dir, run)
	cfg.Stderr = &buf
	_, err = Sweep(context.Background(), cfg)
	require.ErrorContains(t, err, path)
	require.Equal(t, exit.Usage, exit.Code(err))
	require.Contains(t, buf.String(), "--rerun corrupt")
	cfg.Rerun = map[store.Status]bool{store.Corrupt: true}
	rep, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Equal(t, exit.OK, rep.ExitCode())
	old, err := os.ReadDir(filepath.Join(dir, "superseded"))
	require.NoError(t, err)
	require.Len(t, old, 1)
}

func TestFailFast(t *testing.T) {
	cfg := config(t, few, filepath.Join(t.TempDir(), "few"), func(context.Context, *suite.Cell) (*result.Outcome, error) { return nil, errors.New("boom") })
	cfg.FailFast, cfg.Jobs = true, 1
	rep, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Len(t, rep.Cells, 1)
	require.Equal(t, exit.Incomplete, rep.ExitCode())
	require.True(t, rep.Halted)

	// A failure that is on record does not stop the next attempt, and claims are judged
	// over whole suites only.
	cfg = config(t, few+"\nclaims: [{id: C, text: x, check: {value: latency_p99, max: 1}}]\n", cfg.Store.Dir, func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		if c.Scenario.Seed == 4 {
			return nil, errors.New("boom")
		}
		return run(ctx, c)
	})
	cfg.FailFast, cfg.Jobs = true, 1
	rep, err = Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Len(t, rep.Cells, 4)
	require.Empty(t, rep.Claims)
	rep, err = Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Len(t, rep.Cells, 6)
	require.Len(t, rep.Claims, 1)
}

// A violation that a search meets is reported with the probe that has it, and with the
// line that repeats that probe.
func TestASearchReproducesItsProbe(t *testing.T) {
	text := `
suite: knee
base: {protocol: alpha, workload: {kind: open, timeout: 1s}, window: {warmup: 100ms, measure: 1s}}
matrix: {workload.rate: [auto]}
auto: {cap: 20ms, metric: latency_p99, from: 1k/s, to: 2k/s}
`
	var buf bytes.Buffer
	cfg := config(t, text, filepath.Join(t.TempDir(), "knee"), func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		out, err := run(ctx, c)
		if c.Scenario.Workload.Rate == 2000*second {
			out.Result.Safety.Agreement = result.Fail
		}
		return out, err
	})
	cfg.Stderr, cfg.Quiet = &buf, true
	cfg.Reproduce = func(c *suite.Cell, m *store.Manifest) string { return c.ID + " " + m.Revision.Commit }
	rep, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Equal(t, exit.Safety, rep.ExitCode())
	r := rep.Cells[0]
	require.NotEqual(t, r.ID, r.Probe)
	require.Equal(t, r.Probe+" abc", r.Reproduce)
	require.Contains(t, buf.String(), "files: "+cfg.Store.CellDir(r.Probe))
	require.Contains(t, buf.String(), "reproduce: "+r.Reproduce)
}

func TestJobsAndMemoryBoundWhatRunsAtOnce(t *testing.T) {
	for _, c := range []struct {
		jobs   int
		memory int64
		want   int
	}{{4, 0, 4}, {4, 2, 2}, {1, 0, 1}, {4, 1, 1}} {
		var mu sync.Mutex
		now, most := 0, 0
		arrived := make(chan struct{}, 100)
		cfg := config(t, few, filepath.Join(t.TempDir(), "few"), func(ctx context.Context, cell *suite.Cell) (*result.Outcome, error) {
			mu.Lock()
			now++
			most = max(most, now)
			full := now == c.want
			mu.Unlock()
			if full {
				// As many as are allowed are here: let them all go on.
				for i := 0; i < c.want; i++ {
					arrived <- struct{}{}
				}
			}
			if cell.Scenario.Seed <= 4 && c.want > 1 {
				<-arrived
			}
			out, err := run(ctx, cell)
			mu.Lock()
			now--
			mu.Unlock()
			return out, err
		})
		cfg.Jobs, cfg.Memory = c.jobs, c.memory
		cfg.Estimate = func(*suite.Cell) (float64, int64) { return 1, 1 }
		_, err := Sweep(context.Background(), cfg)
		require.NoError(t, err)
		require.Equal(t, c.want, most, "%+v", c)
	}
}

func TestAutoFindsTheKneeAndResumes(t *testing.T) {
	text := `
suite: knee
base: {protocol: alpha, workload: {kind: open, timeout: 1s}, window: {warmup: 100ms, measure: 1s}}
matrix: {workload.rate: [500/s, auto], seed: {count: 2}}
auto: {cap: 20ms, metric: latency_p99, from: 100/s, precision: 2%}
`
	dir := filepath.Join(t.TempDir(), "knee")
	var calls atomic.Int32
	counted := func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		calls.Add(1)
		return run(ctx, c)
	}
	cfg := config(t, text, dir, counted)
	list, err := Statuses(cfg.Cells, cfg.Store, env)
	require.NoError(t, err)
	require.Equal(t, "4 missing", Counts(list))
	rep, err := Sweep(context.Background(), cfg)
	require.NoError(t, err)
	require.Equal(t, exit.OK, rep.ExitCode(), "%+v", rep.Cells)
	n := calls.Load()
	require.Greater(t, int(n), 10)
	knee := rep.Cells[2].Reason
	require.True(t, strings.HasPrefix(knee, "knee at 3") || strings.HasPrefix(knee, "knee at 4"), "capacity is 4000/s, %s", knee)
	list, err = Statuses(cfg.Cells, cfg.Store, env)
	require.NoError(t, err)
	require.Equal(t, "4 ok", Counts(list))
	require.Equal(t, knee, list[2].Reason)
	before := index(t, dir)
	members, err := Members(cfg.Cells, cfg.Store)
	require.NoError(t, err)
	require.Len(t, members, int(n))
	// Cells of another profile in the same directory are no members.
	other := strings.Replace(text, "measure: 1s", "measure: 500ms", 1)
	few, err := Members(config(t, other, dir, counted).Cells, cfg.Store)
	require.NoError(t, err)
	require.Len(t, few, 2, "the two cells at a fixed rate, by their ids")
	for id := range few {
		require.NotContains(t, members, id)
	}
	_, err = Sweep(context.Background(), config(t, text, dir, counted))
	require.NoError(t, err)
	require.Equal(t, n, calls.Load(), "a finished search runs nothing again")
	require.Equal(t, before, index(t, dir))

	// The results of an interrupted search are used when it goes on.
	stop := new(chansync.SetOnce)
	half := filepath.Join(t.TempDir(), "knee")
	var m atomic.Int32
	cfg = config(t, text, half, func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		if m.Add(1) == 8 {
			stop.Set()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return run(ctx, c)
	})
	cfg.Stop = stop
	_, err = Sweep(context.Background(), cfg)
	require.NoError(t, err)
	_, err = Sweep(context.Background(), config(t, text, half, run))
	require.NoError(t, err)
	require.Equal(t, before, index(t, half))
}

func TestSearchBracketsTheKnee(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		knee := strict.Rate(rapid.Int64Range(1, 5_000_000).Draw(rt, "knee")) * second
		a := suite.Auto{From: strict.Rate(rapid.Int64Range(1, 10_000).Draw(rt, "from")) * second, To: 10_000_000 * second, Precision: strict.PPM(rapid.Int64Range(1000, 500_000).Draw(rt, "precision"))}
		probes := 0
		got, err := Search(a, func(r strict.Rate) (bool, error) {
			probes++
			require.Zero(rt, r%second)
			return r <= knee, nil
		})
		require.NoError(rt, err)
		require.LessOrEqual(rt, got, knee)
		require.LessOrEqual(rt, float64(knee-got), max(float64(got)*float64(a.Precision)/1e6, float64(second))*1.01)
		require.Less(rt, probes, 60)
	})
	got, err := Search(suite.Auto{From: 100 * second, To: 1000 * second, Precision: 50_000}, func(strict.Rate) (bool, error) { return true, nil })
	require.NoError(t, err)
	require.Equal(t, 1000*second, got)
	got, err = Search(suite.Auto{From: 100 * second, To: 1000 * second, Precision: 50_000}, func(strict.Rate) (bool, error) { return false, nil })
	require.NoError(t, err)
	require.Zero(t, got)
	_, err = Search(suite.Auto{From: 100 * second, To: 1000 * second}, func(strict.Rate) (bool, error) { return false, errors.New("x") })
	require.Error(t, err)
}

func TestTableKeepsHeaders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "few")
	rep, err := Sweep(context.Background(), config(t, few, dir, run))
	require.NoError(t, err)
	var buf bytes.Buffer
	require.NoError(t, WriteResults(&buf, rep))
	require.Contains(t, buf.String(), "throughput ops/s")
	require.Contains(t, buf.String(), "alpha")
	require.NotContains(t, buf.String(), "THROUGHPUT")
}

func TestInterruptSetsStop(t *testing.T) {
	stop := new(chansync.SetOnce)
	release := NotifyInterrupt(stop)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	<-stop.Done()
	release()
	NotifyInterrupt(new(chansync.SetOnce))()
}
