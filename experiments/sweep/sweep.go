package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/anacrolix/chansync"
	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/internal/strict"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// Run runs one cell. It returns early with the error of ctx when ctx ends. An
// error means that there is no result; a safety violation is a result.
type Run func(ctx context.Context, c *suite.Cell) (*result.Outcome, error)

// Config is one sweep.
type Config struct {
	Suite *suite.Suite
	// Cells to run, as Suite.Expand returned them.
	Cells []*suite.Cell
	Store *store.Store
	Run   Run
	Env   *store.Environment
	// Jobs is how many cells run at once; 0 means as many as GOMAXPROCS allows.
	Jobs int
	// Estimate forecasts the work and the memory (bytes) of a cell; it may be nil.
	// Cells with the most work start first, so that the last ones end together.
	Estimate func(*suite.Cell) (work float64, memory int64)
	// Memory bounds the estimated memory of the running cells, in bytes; 0 is no
	// bound. A cell that needs more runs alone.
	Memory int64
	// Shard selects a part of the cells.
	Shard suite.Shard
	// Rerun lists the statuses that are run again: failed, invalid, stale, ...
	Rerun    map[store.Status]bool
	FailFast bool
	// Stop is set to interrupt the sweep, for example by NotifyInterrupt.
	Stop *chansync.SetOnce
	// Stderr gets progress and failures; nil is silent. Terminal says that it is
	// one. Quiet leaves the progress out; failures are reported all the same.
	Stderr   io.Writer
	Terminal bool
	Quiet    bool
	// Verbose reports every cell when it ends, not only those with something wrong.
	Verbose bool
	// Reproduce returns the command line that repeats a cell, made by the program
	// that the manifest describes; it may be nil.
	Reproduce func(*suite.Cell, *store.Manifest) string
	Gates     *stats.Gates
}

// Rerunnable lists the statuses that may be run again.
func Rerunnable() []store.Status {
	return []store.Status{
		store.Status(result.Failed), store.Status(result.Invalid), store.Stale, store.Corrupt,
		store.Status(result.UndecidedState), store.Status(result.NoProgress), store.Status(result.Violated),
	}
}

// ParseRerun reads "failed,invalid"; "all" means everything.
func ParseRerun(text string) (map[store.Status]bool, error) {
	out := map[store.Status]bool{}
	if text == "" {
		return out, nil
	}
	var names []string
	for _, s := range Rerunnable() {
		names = append(names, string(s))
	}
	for _, word := range strings.Split(text, ",") {
		if word == "all" {
			for _, s := range Rerunnable() {
				out[s] = true
			}
			out[store.Status(result.OK)] = true
			continue
		}
		known := false
		for _, n := range names {
			known = known || n == word
		}
		if !known {
			return nil, &strict.Error{File: "--rerun " + text, Msg: fmt.Sprintf("unknown status %q%s", word, strict.Suggest(word, append(names, "all")))}
		}
		out[store.Status(word)] = true
	}
	return out, nil
}

// CellReport is what became of one cell.
type CellReport struct {
	ID     string       `json:"cell"`
	Label  string       `json:"what"`
	State  result.State `json:"state"`
	Reason string       `json:"reason,omitempty"`
	Code   int          `json:"exit_code"`
	// Ran is false if the cell was already recorded; a search ran if one of its
	// probes did.
	Ran bool `json:"ran"`
	// Probe is the cell of a search that gave the search its state.
	Probe string `json:"probe,omitempty"`
	// Reproduce is the command line that shows a violation again.
	Reproduce string `json:"reproduce,omitempty"`
}

// Report is what became of a sweep.
type Report struct {
	Cells []CellReport
	// Total is how many cells the shard has.
	Total       int
	Interrupted bool
	// Records are all recorded cells of the store, in the order of the index;
	// Groups holds those of this suite.
	Records  []*store.Record
	Groups   []*stats.Group
	Claims   []stats.ClaimVerdict
	Breaches []stats.Breach
	// Halted says that FailFast ended the sweep before all cells had run.
	Halted bool
	// Removed counts the unfinished cells of dead processes that were removed.
	Removed int
}

// ExitCode is the first of 3, 5, 7, 4, 6 that applies to the recorded cells, the
// claims and thresholds; 130 if the sweep was interrupted before it was complete.
func (r *Report) ExitCode() int {
	var codes []int
	for _, c := range r.Cells {
		codes = append(codes, c.Code)
	}
	for _, c := range r.Claims {
		if c.Verdict == stats.Fails {
			codes = append(codes, exit.Liveness)
		}
	}
	if len(r.Breaches) > 0 {
		codes = append(codes, exit.Liveness)
	}
	code := exit.Worst(codes)
	if r.Interrupted && code != exit.Safety {
		return exit.Interrupted
	}
	if len(r.Cells) < r.Total && (code == exit.OK || code == exit.Incomplete) {
		return exit.Incomplete
	}
	return code
}

type sweeper struct {
	Config
	ctx      context.Context
	stop     *chansync.SetOnce
	memory   *semaphore.Weighted
	progress *progress

	mu      sync.Mutex
	reports map[string]CellReport
	touched map[string]bool
	halted  bool
}

// Sweep runs what is missing. An error means that the sweep itself could not
// run; failing cells are in the report.
func Sweep(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Jobs <= 0 {
		cfg.Jobs = runtime.GOMAXPROCS(0)
	}
	if cfg.Stderr == nil {
		cfg.Stderr = io.Discard
	}
	if cfg.Stop == nil {
		cfg.Stop = new(chansync.SetOnce)
	}
	if cfg.Gates == nil {
		cfg.Gates = &stats.DefaultGates
	}
	if err := stats.CheckMetrics(cfg.Suite); err != nil {
		return nil, err
	}
	resolved, err := cfg.Suite.Resolved()
	if err != nil {
		return nil, err
	}
	if err := cfg.Store.WriteSuite(recorded(resolved, cfg.Suite.Profile(), cfg.Cells)); err != nil {
		return nil, err
	}
	rep := &Report{}
	if rep.Removed, err = cfg.Store.RemoveDead(); err != nil {
		return nil, err
	}
	if rep.Removed > 0 {
		fmt.Fprintf(cfg.Stderr, "removed %d unfinished cells of earlier processes\n", rep.Removed)
	}
	var cells []*suite.Cell
	for _, c := range cfg.Cells {
		if cfg.Shard.Has(c.ID) {
			cells = append(cells, c)
		}
	}
	rep.Total = len(cells)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &sweeper{Config: cfg, stop: cfg.Stop, ctx: ctx, reports: map[string]CellReport{}, touched: map[string]bool{}}
	if cfg.Memory > 0 && cfg.Estimate != nil {
		s.memory = semaphore.NewWeighted(cfg.Memory)
	}
	// One goroutine turns the one-way stop signal into a cancelled context.
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.stop.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	s.progress = newProgress(cfg.Suite.Name, len(cells), cfg.Stderr, cfg.Terminal, cfg.Quiet)
	err = s.all(s.longestFirst(cells))
	s.progress.finish()
	cancel()
	<-watched
	if err != nil {
		return nil, err
	}
	for _, c := range cells {
		if r, ok := s.reports[c.ID]; ok {
			rep.Cells = append(rep.Cells, r)
		}
	}
	rep.Halted = len(rep.Cells) < rep.Total && s.halted
	rep.Interrupted = len(rep.Cells) < rep.Total && !s.halted
	if rep.Records, err = s.Store.WriteIndex(); err != nil {
		return nil, err
	}
	if err := s.Store.MarkLatest(); err != nil {
		return nil, err
	}
	// The store may hold cells of earlier versions of the suite.
	for _, c := range cfg.Cells {
		s.touched[c.ID] = true
	}
	var mine []*store.Record
	for _, r := range rep.Records {
		if s.touched[r.Manifest.Cell] {
			mine = append(mine, r)
		}
	}
	if rep.Groups, err = stats.Groups(mine); err != nil {
		return nil, err
	}
	if !rep.Interrupted && !rep.Halted && cfg.Shard.N <= 1 {
		rep.Claims, rep.Breaches, err = stats.Evaluate(cfg.Suite, rep.Groups)
	}
	return rep, err
}

// recorded is what the store keeps of a suite.
func recorded(text []byte, profile string, cells []*suite.Cell) store.Suite {
	x := store.Suite{Text: text, Profile: profile, Files: map[string]*scenario.File{}}
	for _, c := range cells {
		x.Cells = append(x.Cells, c.ID)
		for _, f := range []*scenario.File{c.Scenario.TopologyFile, c.Scenario.CostsFile} {
			if f != nil {
				x.Files[f.Path] = f
			}
		}
	}
	sort.Strings(x.Cells)
	return x
}

// searchWork is how much longer a search takes than one of its probes.
const searchWork = 20

// longestFirst returns the cells in the order in which they start.
func (s *sweeper) longestFirst(cells []*suite.Cell) []*suite.Cell {
	if s.Estimate == nil {
		return cells
	}
	work := make(map[*suite.Cell]float64, len(cells))
	for _, c := range cells {
		work[c], _ = s.Estimate(c)
		if c.Auto != nil {
			work[c] *= searchWork
		}
	}
	order := slices.Clone(cells)
	slices.SortStableFunc(order, func(a, b *suite.Cell) int { return cmp.Compare(work[b], work[a]) })
	return order
}

func (s *sweeper) all(cells []*suite.Cell) error {
	var g errgroup.Group
	g.SetLimit(s.Jobs)
	for _, c := range cells {
		if s.over() {
			break
		}
		// Go blocks while all jobs are busy, so cells start in this order.
		g.Go(func() error {
			if s.over() {
				return nil
			}
			err := s.cell(c)
			if err != nil && !interrupted(err) {
				s.stop.Set()
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

// over reports whether no further cell may start. The signal comes before the
// context, which another goroutine ends.
func (s *sweeper) over() bool { return s.stop.IsSet() || s.ctx.Err() != nil }

func interrupted(err error) bool { return errors.Is(err, context.Canceled) }

// cell runs one cell or one search.
func (s *sweeper) cell(c *suite.Cell) error {
	if c.Auto == nil {
		r, err := s.one(c)
		if err != nil {
			return err
		}
		s.done(r, r.Ran)
		return nil
	}
	var worst CellReport
	ran, last := false, ""
	knee, err := Search(*c.Auto, func(rate strict.Rate) (bool, error) {
		probe, err := c.At(rate)
		if err != nil {
			return false, err
		}
		r, err := s.one(probe)
		if err != nil {
			return false, err
		}
		ran, last = ran || r.Ran, r.ID
		if r.Code != exit.OK && r.State != result.Invalid && (worst.ID == "" || exit.Worst([]int{r.Code, worst.Code}) == r.Code) {
			worst = r
		}
		rec, err := s.Store.Read(probe.ID)
		if err != nil {
			return false, err
		}
		return below(rec, *c.Auto), nil
	})
	if err != nil {
		return err
	}
	r := CellReport{ID: c.ID, Label: c.Label(), State: result.OK, Ran: ran, Reason: "knee at " + knee.String()}
	if worst.ID != "" {
		r.State, r.Reason, r.Code = worst.State, worst.Reason, worst.Code
		r.Probe, r.Reproduce = worst.ID, worst.Reproduce
		ran = worst.Ran
	} else if knee == 0 {
		r.State, r.Code, r.Probe = result.NoProgress, exit.Liveness, last
		r.Reason = fmt.Sprintf("no rate down to 1/s keeps %s at or below %s", c.Auto.Metric, c.Auto.Cap)
	}
	s.done(r, ran)
	return nil
}

// below says whether a recorded cell is on the good side of the knee.
func below(r *store.Record, a suite.Auto) bool {
	if r.Result == nil || !r.Result.Validity.Valid || r.Result.Steady.Saturated {
		return false
	}
	m, err := stats.FindMetric(a.Metric)
	if err != nil {
		return false
	}
	v, ok := m.Of(r.Result)
	return ok && v <= float64(a.Cap)/1e6
}

// one returns the recorded cell, or runs it.
func (s *sweeper) one(c *suite.Cell) (CellReport, error) {
	s.mu.Lock()
	s.touched[c.ID] = true
	s.mu.Unlock()
	st, err := s.Store.Status(c.ID, c.Scenario.Hash(), s.Env.Revision)
	if err != nil {
		return CellReport{}, err
	}
	replace := s.Rerun[st.Status] || st.Stale && s.Rerun[store.Stale]
	if st.Status != store.Missing && !replace {
		if st.Status == store.Corrupt {
			return CellReport{ID: c.ID, Label: c.Label(), State: result.Failed, Reason: st.Reason, Code: exit.Incomplete}, nil
		}
		state := result.State(st.Record.Manifest.State)
		return s.judged(c, CellReport{State: state, Reason: st.Record.Manifest.Reason}, st.Record.Manifest), nil
	}
	if s.memory != nil {
		_, need := s.Estimate(c)
		need = min(max(need, 1), s.Memory)
		if err := s.memory.Acquire(s.ctx, need); err != nil {
			return CellReport{}, err
		}
		defer s.memory.Release(need)
	}
	m := store.NewManifest(c.Scenario, s.Suite.Name, c.Axes, s.Env)
	m.Run, m.Repetition = c.Run, c.Repetition
	p, err := s.Store.Begin(m)
	if err != nil {
		return CellReport{}, err
	}
	s.progress.begin(c.Label())
	defer s.progress.end(c.Label())
	out, runErr := s.guarded(c)
	if s.ctx.Err() != nil && runErr != nil {
		return CellReport{}, errors.Join(context.Canceled, p.Abort())
	}
	r := CellReport{Ran: true}
	if runErr != nil {
		r.State, r.Reason = result.Failed, runErr.Error()
		out = &result.Outcome{Attachments: []result.Attachment{{Name: "logs/error.log", Data: []byte(longReason(runErr))}}}
	} else {
		stats.Judge(out, *s.Gates)
		r.State, r.Reason = out.Result.Judge()
	}
	r = s.judged(c, r, m)
	err = p.Commit(out, r.State, r.Reason, replace)
	if errors.Is(err, store.ErrExists) {
		// Another process was faster; its result is as good as ours.
		err = nil
	}
	return r, err
}

// judged completes the report of a cell whose state is known.
func (s *sweeper) judged(c *suite.Cell, r CellReport, m *store.Manifest) CellReport {
	r.ID, r.Label, r.Code = c.ID, c.Label(), r.State.Code()
	if r.State == result.Violated && s.Reproduce != nil {
		r.Reproduce = s.Reproduce(c, m)
	}
	return r
}

// panicError keeps the stack of a run that panicked.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the run panicked: %v", e.value) }

func longReason(err error) string {
	var p *panicError
	if errors.As(err, &p) {
		return fmt.Sprintf("%v\n\n%s", err, p.stack)
	}
	return err.Error() + "\n"
}

func (s *sweeper) guarded(c *suite.Cell) (out *result.Outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, &panicError{v, debug.Stack()}
		}
	}()
	out, err = s.Run(s.ctx, c)
	if err == nil && (out == nil || out.Result == nil) {
		err = errors.New("the run returned no result")
	}
	return out, err
}

// done notes a cell, and reports it at once if something is wrong with it. fresh
// says that what is wrong was found now: only that stops a sweep that is to fail
// fast, or one old failure would stop every attempt to go on.
func (s *sweeper) done(r CellReport, fresh bool) {
	s.mu.Lock()
	s.reports[r.ID] = r
	s.mu.Unlock()
	var line string
	if r.State != result.OK {
		line = fmt.Sprintf("cell %s (%s): %s: %s\n", r.ID, r.Label, r.State, r.Reason)
		switch {
		case r.Probe != "":
			line += "  files: " + s.Store.CellDir(r.Probe) + "\n"
		case r.Ran:
			line += "  files: " + s.Store.CellDir(r.ID) + "\n"
		}
		if r.Reproduce != "" {
			line += "  reproduce: " + r.Reproduce + "\n"
		}
	}
	if line == "" && s.Verbose {
		line = fmt.Sprintf("cell %s (%s): %s %s\n", r.ID, r.Label, r.State, r.Reason)
	}
	s.progress.cell(r, line)
	if r.State != result.OK && fresh && s.FailFast {
		s.mu.Lock()
		s.halted = true
		s.mu.Unlock()
		s.stop.Set()
	}
}

// Statuses says what the store knows about the cells, in their order. A search
// counts as recorded when all its probes are.
func Statuses(cells []*suite.Cell, st *store.Store, env *store.Environment) ([]store.CellStatus, error) {
	out := make([]store.CellStatus, 0, len(cells))
	for _, c := range cells {
		if c.Auto == nil {
			cs, err := st.Status(c.ID, c.Scenario.Hash(), env.Revision)
			if err != nil {
				return nil, err
			}
			out = append(out, cs)
			continue
		}
		cs := store.CellStatus{ID: c.ID, Status: store.Status(result.OK)}
		missing := errors.New("missing")
		knee, err := Search(*c.Auto, func(rate strict.Rate) (bool, error) {
			probe, err := c.At(rate)
			if err != nil {
				return false, err
			}
			ps, err := st.Status(probe.ID, probe.Scenario.Hash(), env.Revision)
			if err != nil {
				return false, err
			}
			if ps.Record == nil {
				cs.Status, cs.Reason = ps.Status, "the search has reached "+rate.String()
				return false, missing
			}
			if ps.Status != store.Status(result.OK) && ps.Status != store.Status(result.Invalid) {
				cs.Status, cs.Reason = ps.Status, ps.Reason
			}
			cs.Stale = cs.Stale || ps.Stale
			return below(ps.Record, *c.Auto), nil
		})
		if err != nil && !errors.Is(err, missing) {
			return nil, err
		}
		if err == nil && cs.Status == store.Status(result.OK) {
			cs.Reason = "knee at " + knee.String()
		}
		out = append(out, cs)
	}
	return out, nil
}

// Members returns the ids of the recorded cells that belong to cells: their own, and
// for a search those of the probes that it asks for. Other cells of the store belong
// to another profile or version of the suite.
func Members(cells []*suite.Cell, st *store.Store) (map[string]bool, error) {
	ids := make(map[string]bool, len(cells))
	missing := errors.New("missing")
	for _, c := range cells {
		if c.Auto == nil {
			ids[c.ID] = true
			continue
		}
		_, err := Search(*c.Auto, func(rate strict.Rate) (bool, error) {
			probe, err := c.At(rate)
			if err != nil {
				return false, err
			}
			r, err := st.Status(probe.ID, probe.Scenario.Hash(), store.Revision{})
			if err != nil {
				return false, err
			}
			if r.Record == nil {
				return false, missing
			}
			ids[probe.ID] = true
			return below(r.Record, *c.Auto), nil
		})
		if err != nil && !errors.Is(err, missing) {
			return nil, err
		}
	}
	return ids, nil
}

// Counts returns how many cells have each status, in a fixed order.
func Counts(list []store.CellStatus) string {
	counts := map[string]int{}
	for _, c := range list {
		counts[string(c.Status)]++
	}
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	sort.Strings(names)
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = fmt.Sprintf("%d %s", counts[n], n)
	}
	return strings.Join(parts, ", ")
}
