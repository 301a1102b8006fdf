package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
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
	"github.com/edgebft/edgebft/internal/strict"

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

// merged is what edgebft sweep merge --json prints of one pair of directories.
type merged struct {
	Into string `json:"into"`
	From string `json:"from"`
	*store.MergeReport
}

// SweepMerge adds the cells of other directories to the first one: those of one suite,
// or of all suites below roots such as results/. Nothing is overwritten; conflicts end
// with exit.Invalid, because one of two equal runs must be wrong.
func SweepMerge(w IO, into string, from []string) error {
	pairs, err := mergePairs(into, from)
	if err != nil {
		return err
	}
	all := []merged{}
	conflicts := 0
	for i, p := range pairs {
		dst, err := store.Open(p.Into)
		if err != nil {
			return err
		}
		src, err := store.OpenExisting(p.From)
		if err != nil {
			return exit.Wrap(exit.Usage, err)
		}
		if p.MergeReport, err = dst.Merge(src); err != nil {
			return err
		}
		conflicts += len(p.Conflicts)
		all = append(all, p)
		if i+1 == len(pairs) || pairs[i+1].Into != p.Into {
			if _, err := dst.WriteIndex(); err != nil {
				return err
			}
		}
	}
	if w.JSON {
		err = w.json(all)
	} else {
		err = writeMerged(w, all)
	}
	if err == nil && conflicts > 0 {
		err = exit.Errorf(exit.Invalid, "%d cells are recorded with different outcomes; both records are kept where they were", conflicts)
	}
	return err
}

// mergePairs says which directories go into which, the targets in order. It makes
// nothing.
func mergePairs(into string, from []string) ([]merged, error) {
	var pairs []merged
	for _, path := range from {
		if store.IsStore(path) {
			if names, err := store.Below(into); err == nil && len(names) > 0 && !store.IsStore(into) {
				return nil, exit.Errorf(exit.Usage, "%s holds one suite and %s several (%s); name the directory that it belongs to, for example %s", path, into, strings.Join(names, ", "), filepath.Join(into, filepath.Base(path)))
			}
			pairs = append(pairs, merged{Into: into, From: path})
			continue
		}
		names, err := store.Below(path)
		if err != nil {
			return nil, exit.Wrap(exit.Usage, err)
		}
		switch {
		case len(names) == 0:
			return nil, exit.Errorf(exit.Usage, "%s holds no results; name the directory of a suite, for example results/quickstart, or one that holds such directories", path)
		case store.IsStore(into):
			return nil, exit.Errorf(exit.Usage, "%s holds one suite and %s several (%s); name one of them", into, path, strings.Join(names, ", "))
		}
		for _, name := range names {
			pairs = append(pairs, merged{Into: filepath.Join(into, name), From: filepath.Join(path, name)})
		}
	}
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i].Into < pairs[j].Into })
	return pairs, nil
}

func writeMerged(w IO, all []merged) error {
	var rows [][]string
	for _, m := range all {
		note := ""
		if m.SuitesDiffer {
			note = "made from another version of the suite"
		}
		rows = append(rows, []string{m.Into, m.From, fmt.Sprint(len(m.Added)), fmt.Sprint(len(m.Same)), fmt.Sprint(len(m.Conflicts)), note})
	}
	if err := sweep.WriteTable(w.Out, []string{"into", "from", "added", "the same", "conflicts", "note"}, rows); err != nil {
		return err
	}
	for _, m := range all {
		for _, c := range m.Conflicts {
			fmt.Fprintf(w.Out, "conflict  cell %s: %s (%s and %s)\n", c.Cell, c.Reason, c.Here, c.There)
		}
	}
	return nil
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
	x.catalog.Files, x.ids = data.Files, data.Cells
	if x.suite, err = suite.Parse(filepath.Join(st.Dir, "suite.resolved.yaml"), data.Text, ""); err != nil {
		return nil, err
	}
	x.suite.ResolvedWith(data.Profile)
	if x.cells, err = x.suite.Expand(x.catalog); err != nil && x.ids == nil {
		return nil, err
	}
	x.unknown = err
	return x, nil
}

// groups reads the recorded cells that belong to the suite.
func (x *opened) groups() ([]*store.Record, []*stats.Group, error) {
	all, err := x.store.Records()
	if err != nil {
		return nil, nil, err
	}
	mine, err := sweep.Members(x.cells, x.store)
	if err != nil {
		return nil, nil, err
	}
	// A later version of the program may expand the suite to other cells; the results
	// are those of the cells that were run. It cannot tell then which of them are the
	// probes of a search.
	for _, id := range x.ids {
		mine[id] = true
	}
	other := false
	for _, c := range x.cells {
		other = other || c.Auto != nil && x.ids != nil && !slices.Contains(x.ids, c.ID)
	}
	var records []*store.Record
	for _, r := range all {
		if other || mine[r.Manifest.Cell] {
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
	for _, r := range rendered {
		if err := keepsData(dir, r); err != nil {
			return nil, nil, err
		}
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

// keepsData refuses to replace a figure that shows something by one that shows nothing.
func keepsData(dir string, r *figure.Rendered) error {
	path := filepath.Join(dir, r.Figure.Name+".csv")
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	table, err := r.CSV()
	if err != nil {
		return err
	}
	if bytes.Count(table, []byte("\n")) <= 1 && bytes.Count(old, []byte("\n")) > 1 {
		return exit.Errorf(exit.Usage, "no result belongs to figure %s any more, and %s shows some; remove or rename that figure's files to draw it empty", r.Figure.Name, path)
	}
	return nil
}

// stale counts the records of other code than this program.
func stale(records []*store.Record, here store.Revision) int {
	n := 0
	for _, r := range records {
		if !r.Manifest.Revision.Same(here) {
			n++
		}
	}
	return n
}

func render(x *opened, records []*store.Record, groups []*stats.Group, o DrawOptions) ([]*figure.Rendered, error) {
	style, err := figure.FindStyle(o.Style)
	if err != nil {
		return nil, exit.Wrap(exit.Usage, err)
	}
	for _, format := range o.Formats {
		if !slices.Contains(figure.Formats(), format) {
			return nil, exit.Errorf(exit.Usage, "unknown format %q%s", format, strict.Suggest(format, figure.Formats()))
		}
	}
	var warnings []string
	if n := stale(records, x.env.Revision); n > 0 {
		warnings = append(warnings, fmt.Sprintf("%d of %d results are stale: recorded by other code than this figure was drawn with (sweep --rerun stale renews them).", n, len(records)))
	}
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
	if names := figure.Names(x.suite); !slices.Contains(names, o.Figure) {
		return nil, exit.Errorf(exit.Usage, "the suite has no figure %q; it has: %s", o.Figure, strings.Join(names, ", "))
	}
	r, err := figure.RenderOne(data, o.Figure, style, o.Formats...)
	return []*figure.Rendered{r}, err
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
	if x.unknown != nil { // then nobody knows what is missing
		return x.unknown
	}
	own := filepath.Join(x.store.Dir, "report.html")
	if out == "" || same(out, own) {
		out = own
	} else if _, err := os.Lstat(out); err == nil {
		return exit.Errorf(exit.Usage, "%s exists; nothing but DIR/report.html is overwritten: remove it or give another name", out)
	}
	if err := writeReport(x, out, nil, noJS); err != nil {
		return err
	}
	if w.JSON {
		return w.json(struct {
			Report string `json:"report"`
		}{out})
	}
	fmt.Fprintln(w.Out, out)
	return nil
}

// same reports whether two names are of one file, as far as they say.
func same(a, b string) bool {
	x, err := filepath.Abs(a)
	y, err2 := filepath.Abs(b)
	return err == nil && err2 == nil && x == y
}

// commands returns the distinct commands that recorded the cells, as the manifests have
// them, and then those that draw the results again.
func commands(dir string, records []*store.Record) []string {
	const most = 10
	var out []string
	seen := map[string]bool{}
	for _, r := range records {
		words := []string{"edgebft"}
		for i, arg := range r.Manifest.Command {
			if i > 0 { // the first is where the program lay
				words = append(words, shellWord(arg))
			}
		}
		if line := strings.Join(words, " "); !seen[line] {
			seen[line] = true
			out = append(out, line)
		}
	}
	sort.Strings(out)
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("# and %d more; see the manifests", len(out)-most))
	}
	return append(out, "edgebft plot "+shellWord(dir), "edgebft report "+shellWord(dir))
}

// shellWord quotes a word where a shell would read it otherwise.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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
		Figures: figures, NoJS: noJS, Commands: commands(x.store.Dir, records),
	})
	if err != nil {
		return err
	}
	return store.Replace(out, page)
}
