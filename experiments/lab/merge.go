package lab

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/sweep"
)

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
