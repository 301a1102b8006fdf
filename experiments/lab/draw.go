package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/figure"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/experiments/sweep"
	"github.com/edgebft/edgebft/internal/strict"
)

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
