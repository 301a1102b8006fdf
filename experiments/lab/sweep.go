package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/figure"
	"github.com/edgebft/edgebft/experiments/report"
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
	Stop      *chansync.SetOnce
}

// opened is a suite with its store and its cells.
type opened struct {
	catalog *scenario.Catalog
	suite   *suite.Suite
	store   *store.Store
	cells   []*suite.Cell
	env     *store.Environment
}

func openSuite(o SweepOptions, create bool) (*opened, error) {
	x := &opened{catalog: run.Catalog(), env: store.Discover("")}
	var err error
	if x.suite, err = suite.Load(o.Suite, o.Profile); err != nil {
		return nil, exit.Wrap(exit.Usage, err)
	}
	if x.cells, err = x.suite.Expand(x.catalog); err != nil {
		return nil, exit.Wrap(exit.Usage, err)
	}
	dir := filepath.Join(o.Results, x.suite.Name)
	if create {
		x.store, err = store.Open(dir)
	} else {
		x.store, err = store.OpenExisting(dir)
	}
	return x, err
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
	x, err := openSuite(o, true)
	if err != nil {
		return err
	}
	cfg := sweep.Config{
		Suite: x.suite, Cells: x.cells, Store: x.store, Run: runner(x.catalog), Env: x.env, Jobs: o.Jobs, FailFast: o.FailFast,
		Stop: o.Stop, Terminal: w.Terminal, Reproduce: func(c *suite.Cell) string { return Reproduce(c.Scenario) },
		Estimate: func(c *suite.Cell) (float64, int64) { return run.Estimate(c.Scenario) }, Memory: x.env.Host.Usable(),
	}
	if !w.Quiet {
		cfg.Stderr = w.Err
	}
	if o.Shard != "" {
		if cfg.Shard, err = suite.ParseShard(o.Shard); err != nil {
			return exit.Wrap(exit.Usage, err)
		}
	}
	if o.Rerun != "" {
		if cfg.Rerun, err = sweep.ParseRerun(o.Rerun); err != nil {
			return exit.Wrap(exit.Usage, err)
		}
	}
	rep, err := sweep.Sweep(ctx, cfg)
	if err != nil {
		return err
	}
	if w.JSON {
		if err := w.json(rep.Cells); err != nil {
			return err
		}
	} else if err := sweep.WriteResults(w.Out, rep); err != nil {
		return err
	}
	if !o.NoFigures && !rep.Interrupted && len(rep.Records) > 0 {
		figures, written, err := draw(x, DrawOptions{Style: figure.StyleNames()[0], Formats: figure.Formats()})
		if err != nil {
			return err
		}
		page := filepath.Join(x.store.Dir, "report.html")
		if err := writeReport(x, page, figures, false); err != nil {
			return err
		}
		if !w.JSON {
			fmt.Fprintf(w.Out, "\nresults  %s\nfigures  %s (%d files)\nreport   %s\n", x.store.Dir, filepath.Join(x.store.Dir, "figures"), len(written), page)
		}
	}
	if code := rep.ExitCode(); code != exit.OK {
		return exit.Errorf(code, "%s", failures(rep))
	}
	return nil
}

func failures(rep *sweep.Report) string {
	var bad []string
	for _, c := range rep.Cells {
		if c.Code != exit.OK {
			bad = append(bad, fmt.Sprintf("%s (%s): %s", c.ID, c.Label, c.Reason))
		}
	}
	for _, c := range rep.Claims {
		if c.Verdict != stats.Holds {
			bad = append(bad, fmt.Sprintf("claim %s: %s", c.Claim.ID, c.Verdict))
		}
	}
	if rep.Interrupted {
		bad = append(bad, "interrupted; run the same command again to go on")
	}
	if len(bad) == 0 {
		return "not every cell passed; see the table"
	}
	return strings.Join(bad, "\n")
}

// SweepStatus prints what the store has of a suite.
func SweepStatus(w IO, o SweepOptions) error {
	x, err := openSuite(o, true)
	if err != nil {
		return err
	}
	list, err := sweep.Statuses(x.cells, x.store, x.env)
	if err != nil {
		return err
	}
	if w.JSON {
		return w.json(list)
	}
	if err := sweep.WriteStatuses(w.Out, x.cells, list); err != nil {
		return err
	}
	fmt.Fprintln(w.Out, sweep.Counts(list))
	return nil
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
	fmt.Fprintf(w.Out, "%d cells in %s\n", len(records), filepath.Join(st.Dir, "index.csv"))
	return nil
}

// SweepMerge adds the cells of stores to the first one.
func SweepMerge(w IO, into string, from []string) error {
	dst, err := store.Open(into)
	if err != nil {
		return err
	}
	for _, path := range from {
		src, err := store.OpenExisting(path)
		if err != nil {
			return exit.Wrap(exit.Usage, err)
		}
		rep, err := dst.Merge(src)
		if err != nil {
			return err
		}
		if err := w.json(rep); err != nil {
			return err
		}
	}
	_, err = dst.WriteIndex()
	return err
}

// DrawOptions are the flags of edgebft plot.
type DrawOptions struct {
	Store string
	// Figure limits drawing to one figure.
	Figure  string
	Formats []string
	Style   string
	// Mixed allows results of several revisions in one figure.
	Mixed bool
}

// recorded opens what a store says about its own suite.
func recorded(path string) (*opened, error) {
	st, err := store.OpenExisting(path)
	if err != nil {
		return nil, exit.Wrap(exit.Usage, err)
	}
	data, err := st.ReadSuite()
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, exit.Errorf(exit.Usage, "%s holds no suite.resolved.yaml; give the directory of a suite, for example results/quickstart", path)
	}
	x := &opened{catalog: run.Catalog(), store: st, env: store.Discover("")}
	if x.suite, err = suite.Parse(filepath.Join(st.Dir, "suite.resolved.yaml"), data, ""); err != nil {
		return nil, err
	}
	x.cells, err = x.suite.Expand(x.catalog)
	return x, err
}

// groups reads the recorded cells that belong to the suite.
func (x *opened) groups() ([]*store.Record, []*stats.Group, error) {
	all, err := x.store.Records()
	if err != nil {
		return nil, nil, err
	}
	mine := make(map[string]bool, len(x.cells))
	search := false
	for _, c := range x.cells {
		mine[c.ID] = true
		search = search || c.Auto != nil
	}
	var records []*store.Record
	for _, r := range all {
		if search || mine[r.Manifest.Cell] {
			records = append(records, r)
		}
	}
	groups, err := stats.Groups(records)
	return records, groups, err
}

func revisions(records []*store.Record) []string {
	var seen []string
	for _, r := range records {
		s := r.Manifest.Revision.String()
		known := false
		for _, t := range seen {
			known = known || s == t
		}
		if !known {
			seen = append(seen, s)
		}
	}
	return seen
}

// draw writes the figures and returns them with the names of their files.
func draw(x *opened, o DrawOptions) ([]*figure.Rendered, []string, error) {
	records, groups, err := x.groups()
	if err != nil {
		return nil, nil, err
	}
	rendered, err := render(x, records, groups, o)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(x.store.Dir, "figures")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	var written []string
	for _, r := range rendered {
		names, err := r.Write(dir, store.Replace)
		if err != nil {
			return nil, nil, err
		}
		written = append(written, names...)
	}
	return rendered, written, nil
}

func render(x *opened, records []*store.Record, groups []*stats.Group, o DrawOptions) ([]*figure.Rendered, error) {
	style, err := figure.FindStyle(o.Style)
	if err != nil {
		return nil, exit.Wrap(exit.Usage, err)
	}
	var warnings []string
	if revs := revisions(records); len(revs) > 1 {
		if !o.Mixed {
			return nil, exit.Errorf(exit.Usage, "the results were made by %d revisions (%s); run sweep --rerun stale, or draw with --mixed-revisions", len(revs), strings.Join(revs, ", "))
		}
		warnings = append(warnings, "results of several revisions: "+strings.Join(revs, ", "))
	}
	data := figure.NewData(x.suite, groups, warnings...)
	if o.Figure == "" {
		return figure.RenderAll(data, style, o.Formats...)
	}
	var names []string
	for _, f := range x.suite.Figures {
		name := f.Name
		if name == "" {
			name = f.Kind
		}
		if names = append(names, name); name == o.Figure {
			fig, err := figure.Build(data, f)
			if err != nil {
				return nil, err
			}
			r, err := figure.Render(fig, style, data.Palette(f.By), o.Formats...)
			return []*figure.Rendered{r}, err
		}
	}
	return nil, exit.Errorf(exit.Usage, "the suite has no figure %q; it has: %s", o.Figure, strings.Join(names, ", "))
}

// Plot draws figures from recorded results.
func Plot(w IO, o DrawOptions) error {
	x, err := recorded(o.Store)
	if err != nil {
		return err
	}
	_, written, err := draw(x, o)
	if err != nil {
		return err
	}
	if w.JSON {
		return w.json(written)
	}
	for _, f := range written {
		fmt.Fprintln(w.Out, f)
	}
	return nil
}

// Report writes the self-contained page.
func Report(w IO, path, out string, noJS bool) error {
	x, err := recorded(path)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(x.store.Dir, "report.html")
	}
	if err := writeReport(x, out, nil, noJS); err != nil {
		return err
	}
	fmt.Fprintln(w.Out, out)
	return nil
}

// writeReport writes the page; it draws the figures unless they are given, as SVG.
func writeReport(x *opened, out string, figures []*figure.Rendered, noJS bool) error {
	records, groups, err := x.groups()
	if err != nil {
		return err
	}
	statuses, err := sweep.Statuses(x.cells, x.store, x.env)
	if err != nil {
		return err
	}
	claims, breaches, err := stats.Evaluate(x.suite, groups)
	if err != nil {
		return err
	}
	if figures == nil {
		if figures, err = render(x, records, groups, DrawOptions{Style: figure.StyleNames()[0], Formats: []string{"svg"}, Mixed: true}); err != nil {
			return err
		}
	}
	page, err := report.HTML(report.Input{
		Suite: x.suite, Cells: x.cells, Statuses: statuses, Records: records, Groups: groups, Claims: claims, Breaches: breaches,
		Figures: figures, NoJS: noJS, Commands: []string{"edgebft sweep " + x.suite.Name, "edgebft plot " + x.store.Dir, "edgebft report " + x.store.Dir},
	})
	if err != nil {
		return err
	}
	return store.Replace(out, page)
}
