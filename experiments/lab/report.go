package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/figure"
	"github.com/edgebft/edgebft/experiments/report"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/sweep"
)

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
