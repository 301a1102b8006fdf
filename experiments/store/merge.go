package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
)

// MergeReport says what a merge did.
type MergeReport struct {
	// Added cells are new here, Same are equal (in the simulator: equal but for
	// wall-clock times).
	Added []string `json:"added"`
	Same  []string `json:"same"`
	// Conflicts are recorded in both with different outcomes. Neither is touched.
	Conflicts []Conflict `json:"conflicts"`
	// SuitesDiffer says that the two were made from different suites; this store
	// keeps its own.
	SuitesDiffer bool `json:"suites_differ"`
}

// Conflict is a cell that two stores disagree on.
type Conflict struct {
	Cell   string `json:"cell"`
	Here   string `json:"here"`
	There  string `json:"there"`
	Reason string `json:"reason"`
}

// mergeSuite takes over the suite of another store if this one has none, and says
// whether they differ.
func (s *Store) mergeSuite(from *Store) (differ bool, err error) {
	theirs, err := from.ReadSuite()
	if err != nil || theirs == nil {
		return false, err
	}
	ours, err := s.ReadSuite()
	switch {
	case err != nil:
		return false, err
	case ours == nil:
		return false, s.WriteSuite(*theirs)
	}
	return !reflect.DeepEqual(contents(ours), contents(theirs)), nil
}

// contents is what counts of a suite, wherever it was read.
func contents(x *Suite) (out suiteInputs) {
	out.Files, out.Cells = map[string]string{suiteFile: string(x.Text)}, x.Cells
	for name, f := range x.Files {
		out.Files[name] = string(f.Data)
	}
	return out
}

// IsStore reports whether a directory holds results of one suite.
func IsStore(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, cellsDir))
	return err == nil && info.IsDir()
}

// Below returns the names of the suites with results in a directory such as results/,
// in ascending order. Links such as latest are left out.
func Below(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && IsStore(filepath.Join(root, e.Name())) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Merge adds the cells of another store: the set union by cell id. It never
// overwrites, and merging again changes nothing. A store without a suite takes over the
// other's, so that it can be drawn.
func (s *Store) Merge(from *Store) (*MergeReport, error) {
	ids, err := from.ids()
	if err != nil {
		return nil, err
	}
	rep := MergeReport{Added: []string{}, Same: []string{}, Conflicts: []Conflict{}}
	if rep.SuitesDiffer, err = s.mergeSuite(from); err != nil {
		return nil, err
	}
	for _, id := range ids {
		there, err := from.Read(id)
		if err != nil {
			return &rep, err
		}
		here, err := s.Read(id)
		if errors.Is(err, fs.ErrNotExist) {
			if err = s.copyCell(there); err == nil {
				rep.Added = append(rep.Added, id)
				continue
			}
			if errors.Is(err, ErrExists) { // by another process, a moment ago
				here, err = s.Read(id)
			}
		}
		if err != nil {
			return &rep, err
		}
		if reason := differ(here, there); reason != "" {
			rep.Conflicts = append(rep.Conflicts, Conflict{id, here.Dir, there.Dir, reason})
			continue
		}
		rep.Same = append(rep.Same, id)
	}
	return &rep, nil
}

// differ says how two records of one cell disagree, "" if they do not.
func differ(a, b *Record) string {
	ma, mb := a.Manifest, b.Manifest
	switch {
	case ma.ConfigHash != mb.ConfigHash:
		return "the configuration hashes differ"
	case ma.State != mb.State:
		return fmt.Sprintf("states %s and %s", ma.State, mb.State)
	case ma.Mode == "sim" && ma.TraceHash != mb.TraceHash:
		return fmt.Sprintf("trace hashes %.12s and %.12s (revisions %s and %s)", ma.TraceHash, mb.TraceHash, ma.Revision, mb.Revision)
	}
	if ma.Mode == "sim" {
		ra, err := IndexCSV([]*Record{a})
		if err != nil {
			return err.Error()
		}
		rb, err := IndexCSV([]*Record{b})
		if err != nil {
			return err.Error()
		}
		if string(ra) != string(rb) {
			return "the summaries differ"
		}
		return ""
	}
	if len(a.files) != len(b.files) {
		return "different files"
	}
	for name, sum := range a.files {
		if b.files[name] != sum {
			return name + " differs"
		}
	}
	return ""
}

func (s *Store) copyCell(r *Record) error {
	m := *r.Manifest
	p, err := s.Begin(&m)
	if err != nil {
		return err
	}
	for name := range r.files {
		data, err := r.Read(name)
		if err == nil {
			err = p.write(name, data)
		}
		if err != nil {
			return errors.Join(err, p.Abort())
		}
	}
	if err := seal(p.dir); err != nil {
		return errors.Join(err, p.Abort())
	}
	return p.place()
}
