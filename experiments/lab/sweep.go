package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/figure"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/experiments/sweep"

	"github.com/anacrolix/chansync"
)

// SweepOptions are the flags of edgebft sweep.
type SweepOptions struct {
	// Suite is the name of an embedded suite or a file, Profile one of its profiles.
	Suite, Profile string
	// Results is the directory of results.
	Results string
	Jobs    int
	// Shard is i/N, Rerun a list of statuses; both may be empty.
	Shard, Rerun string
	FailFast     bool
	// NoFigures leaves figures and report out.
	NoFigures bool
	// DryRun prints the cells that would run, and runs nothing.
	DryRun bool
	// Verbose reports every cell when it ends.
	Verbose bool
	Stop    *chansync.SetOnce
}

// opened is a suite with its store and its cells.
type opened struct {
	catalog *scenario.Catalog
	suite   *suite.Suite
	store   *store.Store
	cells   []*suite.Cell
	env     *store.Environment
	// ids are the cells that the store has on record as those of the suite; nil
	// where it has none.
	ids []string
	// unknown is why this program cannot expand a recorded suite; what was recorded
	// can be drawn all the same.
	unknown error
}

// openSuite reads a suite and opens its store; the directory is made only when the
// first cell is written.
func openSuite(o SweepOptions) (*opened, error) {
	x := &opened{catalog: run.Catalog(), env: store.Discover("")}
	var err error
	if x.suite, err = suite.Load(o.Suite, o.Profile); err != nil {
		return nil, exit.Wrap(exit.Usage, err)
	}
	if x.cells, err = x.suite.Expand(x.catalog); err != nil {
		return nil, exit.Wrap(exit.Usage, err)
	}
	x.store = store.At(filepath.Join(o.Results, x.suite.Name))
	return x, nil
}

// runner runs a cell of a suite in the simulator.
func runner(c *scenario.Catalog) sweep.Run {
	return func(ctx context.Context, cell *suite.Cell) (*result.Outcome, error) {
		if cell.Scenario.Mode != scenario.Sim {
			return nil, exit.Errorf(exit.Usage, "mode %s is not available in this version; use mode: sim", cell.Scenario.Mode)
		}
		return run.Sim(ctx, c, cell.Scenario, run.Options{})
	}
}

// Sweep runs what is missing of a suite, prints the table, draws the figures and
// writes the report.
func Sweep(ctx context.Context, w IO, o SweepOptions) error {
	if o.Jobs < 0 {
		return exit.Errorf(exit.Usage, "--jobs is %d; it must be 0 (one per core) or more", o.Jobs)
	}
	var shard suite.Shard
	var rerun map[store.Status]bool
	var err error
	if o.Shard != "" {
		if shard, err = suite.ParseShard(o.Shard); err != nil {
			return exit.Wrap(exit.Usage, err)
		}
	}
	if o.Rerun != "" {
		if rerun, err = sweep.ParseRerun(o.Rerun); err != nil {
			return exit.Wrap(exit.Usage, err)
		}
	}
	x, err := openSuite(o)
	if err != nil {
		return err
	}
	if o.DryRun {
		return dryRun(w, x, shard, rerun)
	}
	if x.store, err = store.Open(x.store.Dir); err != nil {
		return err
	}
	if err := foreign(w, x.store); err != nil {
		return err
	}
	rep, err := sweep.Sweep(ctx, sweep.Config{
		Suite: x.suite, Cells: x.cells, Store: x.store, Run: runner(x.catalog), Env: x.env, Jobs: o.Jobs, FailFast: o.FailFast,
		Shard: shard, Rerun: rerun, Stop: o.Stop, Stderr: w.Err, Terminal: w.Terminal, Quiet: w.Quiet, Verbose: o.Verbose,
		Reproduce: func(c *suite.Cell, m *store.Manifest) string { return Reproduce(c.Scenario, m) },
		Estimate:  func(c *suite.Cell) (float64, int64) { return run.Estimate(c.Scenario) }, Memory: x.env.Host.Usable(),
	})
	if err != nil {
		return err
	}
	if !w.JSON {
		if err := sweep.WriteResults(w.Out, rep); err != nil {
			return err
		}
	}
	code := rep.ExitCode()
	out := swept{Store: x.store.Dir, ExitCode: code, Interrupted: rep.Interrupted, Cells: rep.Cells, Claims: claims(rep.Claims), Breaches: breaches(rep.Breaches)}
	if !o.NoFigures && !rep.Interrupted && len(rep.Records) > 0 {
		// What could not be drawn must not hide what the cells say: their code is
		// the one that counts, if they have one.
		if err := illustrate(x, &out); err != nil {
			if code == exit.OK {
				return err
			}
			fmt.Fprintln(w.Err, "edgebft: no figures:", err)
		} else if !w.JSON {
			fmt.Fprintf(w.Out, "\nresults  %s\nfigures  %s (%d files)\nreport   %s\n", out.Store, filepath.Join(x.store.Dir, "figures"), len(out.Figures), out.Report)
		}
	}
	if w.JSON {
		if err := w.json(out); err != nil {
			return err
		}
	}
	if code != exit.OK {
		return exit.Errorf(code, "%s", failures(rep))
	}
	return nil
}

// illustrate draws the figures of a sweep and writes its report.
func illustrate(x *opened, out *swept) error {
	// Cells of earlier code are kept until they are asked for; the captions say so.
	figures, written, err := draw(x, DrawOptions{Style: figure.StyleNames()[0], Formats: figure.Formats(), Mixed: true})
	if err != nil {
		return err
	}
	page := filepath.Join(x.store.Dir, "report.html")
	if err := writeReport(x, page, figures, false); err != nil {
		return err
	}
	out.Figures, out.Report = written, page
	return nil
}

// swept is what edgebft sweep --json prints.
type swept struct {
	Store       string             `json:"store"`
	ExitCode    int                `json:"exit_code"`
	Interrupted bool               `json:"interrupted"`
	Cells       []sweep.CellReport `json:"cells"`
	Claims      []claim            `json:"claims"`
	Breaches    []breach           `json:"thresholds_broken"`
	Figures     []string           `json:"figures"`
	Report      string             `json:"report,omitempty"`
}

type claim struct {
	ID      string `json:"id"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
	Found   string `json:"found"`
}

type breach struct {
	Cell  string `json:"cell"`
	Found string `json:"found"`
}

func claims(list []stats.ClaimVerdict) []claim {
	out := make([]claim, len(list))
	for i, c := range list {
		out[i] = claim{c.Claim.ID, string(c.Verdict), c.Claim.Text, c.Sentence}
	}
	return out
}

func breaches(list []stats.Breach) []breach {
	out := make([]breach, len(list))
	for i, b := range list {
		out[i] = breach{b.Cell, b.Sentence}
	}
	return out
}

// failures says what is wrong with a sweep. It is printed last and also when all else
// is quiet, so it has the lines that reproduce violations.
func failures(rep *sweep.Report) string {
	var bad []string
	for _, c := range rep.Cells {
		if c.Code == exit.OK {
			continue
		}
		bad = append(bad, fmt.Sprintf("%s (%s): %s", c.ID, c.Label, c.Reason))
		if c.Reproduce != "" {
			bad = append(bad, "reproduce: "+c.Reproduce)
		}
	}
	for _, c := range rep.Claims {
		if c.Verdict != stats.Holds {
			bad = append(bad, fmt.Sprintf("claim %s: %s", c.Claim.ID, c.Verdict))
		}
	}
	for _, b := range rep.Breaches {
		bad = append(bad, "threshold broken: "+b.Sentence)
	}
	switch {
	case rep.Interrupted:
		bad = append(bad, "interrupted; run the same command again to go on")
	case rep.Halted:
		bad = append(bad, fmt.Sprintf("stopped at the first failure: %d of %d cells are recorded", len(rep.Cells), rep.Total))
	}
	if len(bad) == 0 {
		return "not every cell passed; see the table"
	}
	return strings.Join(bad, "\n")
}

// dryRun prints what a sweep would run.
func dryRun(w IO, x *opened, shard suite.Shard, rerun map[store.Status]bool) error {
	var cells []*suite.Cell
	for _, c := range x.cells {
		if shard.Has(c.ID) {
			cells = append(cells, c)
		}
	}
	list, err := sweep.Statuses(cells, x.store, x.env)
	if err != nil {
		return err
	}
	var due []*suite.Cell
	var why []store.CellStatus
	for i, st := range list {
		if st.Status == store.Missing || rerun[st.Status] || st.Stale && rerun[store.Stale] {
			due, why = append(due, cells[i]), append(why, st)
		}
	}
	if w.JSON {
		return w.json(statuses(due, why))
	}
	return sweep.WriteStatuses(w.Out, due, why)
}

// foreign tells of unfinished cells that this host cannot judge: their processes run
// elsewhere, or are dead there.
func foreign(w IO, st *store.Store) error {
	left, err := st.Leftovers()
	if err != nil {
		return err
	}
	for _, l := range left {
		if l.Foreign {
			fmt.Fprintf(w.Err, "%s is being written by process %d on %s; remove it if that one is gone\n", l.Dir, l.PID, l.Host)
		}
	}
	return nil
}

// status is one line of edgebft sweep status --json.
type status struct {
	Cell   string       `json:"cell"`
	What   string       `json:"what"`
	Status store.Status `json:"status"`
	Stale  bool         `json:"stale"`
	Reason string       `json:"reason,omitempty"`
}

func statuses(cells []*suite.Cell, list []store.CellStatus) []status {
	out := make([]status, len(list))
	for i, c := range list {
		out[i] = status{c.ID, cells[i].Label(), c.Status, c.Stale, c.Reason}
	}
	return out
}

// SweepStatus prints what the store has of a suite: an embedded one, a file, or one
// that is recorded under that name.
func SweepStatus(w IO, o SweepOptions) error {
	x, err := openSuite(o)
	if err != nil {
		named, e := recorded(filepath.Join(o.Results, o.Suite))
		if e != nil || named.unknown != nil || o.Profile != "" || strings.ContainsAny(o.Suite, `/\.`) {
			return err
		}
		x = named
	}
	list, err := sweep.Statuses(x.cells, x.store, x.env)
	if err != nil {
		return err
	}
	if err := foreign(w, x.store); err != nil {
		return err
	}
	if w.JSON {
		return w.json(statuses(x.cells, list))
	}
	return sweep.WriteStatuses(w.Out, x.cells, list)
}

// SweepExpand prints the cells of a suite as data.
func SweepExpand(w IO, o SweepOptions) error {
	c := run.Catalog()
	s, err := suite.Load(o.Suite, o.Profile)
	if err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	cells, err := s.Expand(c)
	if err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	b, err := s.ExpandJSON(cells)
	if err != nil {
		return err
	}
	_, err = w.Out.Write(b)
	return err
}

// SweepIndex rebuilds the indexes of a store.
func SweepIndex(w IO, path string) error {
	st, err := store.OpenExisting(path)
	if err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	records, err := st.WriteIndex()
	if err != nil {
		return err
	}
	index := filepath.Join(st.Dir, "index.csv")
	if w.JSON {
		return w.json(struct {
			Cells int    `json:"cells"`
			Index string `json:"index"`
		}{len(records), index})
	}
	fmt.Fprintf(w.Out, "%d cells in %s\n", len(records), index)
	return nil
}
