package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
)

// Record is a cell that was read back. Its files have been checked.
type Record struct {
	Dir      string
	Manifest *Manifest
	// Result is nil if the run failed before it had one.
	Result *result.Result
	files  map[string]string
}

// State returns the state of the cell.
func (r *Record) State() result.State { return result.State(r.Manifest.State) }

// Has says whether the cell has a file of that name.
func (r *Record) Has(name string) bool { return r.files[name] != "" }

// Files returns the hash of every file by its name.
func (r *Record) Files() map[string]string { return r.files }

// Read returns a file of the cell after checking its hash.
func (r *Record) Read(name string) ([]byte, error) {
	sum := r.files[name]
	if sum == "" {
		return nil, &CorruptError{File: filepath.Join(r.Dir, name), Reason: "the cell has no such file", Fix: "run the cell again with --rerun, recording it"}
	}
	return readChecked(r.Dir, name, sum)
}

// Load returns load.csv.zst; nil if the cell has none.
func (r *Record) Load() ([]result.LoadRow, error) {
	if !r.Has(LoadFile) {
		return nil, nil
	}
	return decodeFile(r, LoadFile, result.DecodeLoad)
}

// Timeline returns timeline.csv.zst; nil if the cell has none.
func (r *Record) Timeline() ([]result.ReplicaRow, error) {
	if !r.Has(TimelineFile) {
		return nil, nil
	}
	return decodeFile(r, TimelineFile, result.DecodeTimeline)
}

// Latency returns the histograms of latency.hlog; nil if the cell has none.
func (r *Record) Latency() ([]result.Interval, error) {
	if !r.Has(HLogFile) {
		return nil, nil
	}
	return decodeFile(r, HLogFile, result.ReadLog)
}

// Scenario returns the resolved scenario that ran, resolved again with the files that
// it ran with.
func (r *Record) Scenario(c *scenario.Catalog) (*scenario.Scenario, error) {
	file := filepath.Join(r.Dir, ManifestFile)
	s, err := scenario.Parse(file, r.Manifest.Scenario)
	if err != nil {
		return nil, err
	}
	with := *c
	with.Files = map[string]*scenario.File{}
	for input, name := range map[string]string{TopologyInput: s.Topology, CostsInput: s.Costs} {
		if !r.Has(input) {
			continue
		}
		data, err := r.Read(input)
		if err != nil {
			return nil, err
		}
		with.Files[name] = scenario.NewFile(name, filepath.Join(r.Dir, input), data)
	}
	if err := s.Resolve(&with); err != nil {
		return nil, err
	}
	if h := s.Hash(); h != r.Manifest.ConfigHash {
		return nil, &CorruptError{File: file, Reason: fmt.Sprintf("the scenario now hashes to %.12s, not %.12s: a file it names, a default or an option has changed", h, r.Manifest.ConfigHash), Fix: "check out revision " + r.Manifest.Revision.String()}
	}
	return s, nil
}

func decodeFile[T any](r *Record, name string, decode func([]byte) (T, error)) (T, error) {
	var zero T
	data, err := r.Read(name)
	if err != nil {
		return zero, err
	}
	v, err := decode(data)
	if err != nil {
		return zero, corrupt(filepath.Join(r.Dir, name), err.Error())
	}
	return v, nil
}

func corrupt(file, reason string) error {
	return &CorruptError{File: file, Reason: reason, Fix: "move its cell away, or run the sweep with --rerun corrupt, which keeps it in superseded/"}
}

func readChecked(dir, name, sum string) ([]byte, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, corrupt(path, "is missing, but listed in "+SumsFile)
		}
		return nil, fmt.Errorf("result store: %w", err)
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
		return nil, corrupt(path, fmt.Sprintf("is damaged or was changed: its SHA-256 (%d bytes) is not that of %s", len(data), SumsFile))
	}
	return data, nil
}

// Read returns a recorded cell; fs.ErrNotExist if there is none.
func (s *Store) Read(id string) (*Record, error) { return ReadCell(s.CellDir(id)) }

// ReadCell reads a cell from its directory and checks every file of it.
func ReadCell(dir string) (*Record, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	sums, err := readSums(dir)
	if err != nil {
		return nil, err
	}
	r := &Record{Dir: dir, files: sums}
	for _, name := range []string{ManifestFile, SummaryFile} {
		if name == SummaryFile && !r.Has(name) {
			continue
		}
		data, err := r.Read(name)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, name)
		if name == ManifestFile {
			r.Manifest, err = decodeManifest(data)
		} else {
			r.Result, err = result.Decode(data)
		}
		if err != nil {
			return nil, corrupt(path, err.Error())
		}
	}
	if id := filepath.Base(dir); isID(id) && id != r.Manifest.Cell {
		return nil, corrupt(filepath.Join(dir, ManifestFile), fmt.Sprintf("describes cell %s", r.Manifest.Cell))
	}
	for name := range sums {
		if name == ManifestFile || name == SummaryFile {
			continue
		}
		if _, err := r.Read(name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func readSums(dir string) (map[string]string, error) {
	path := filepath.Join(dir, SumsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, corrupt(path, "is missing, so the cell is not complete")
	}
	if err != nil {
		return nil, fmt.Errorf("result store: %w", err)
	}
	sums := make(map[string]string)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return nil, corrupt(path, "is truncated")
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	for line := 1; sc.Scan(); line++ {
		sum, name, ok := strings.Cut(sc.Text(), "  ")
		if b, err := hex.DecodeString(sum); !ok || err != nil || len(b) != sha256.Size || !filepath.IsLocal(name) {
			return nil, corrupt(path, fmt.Sprintf("line %d is not a hash and a name", line))
		}
		sums[name] = sum
	}
	if err := sc.Err(); err != nil {
		return nil, corrupt(path, err.Error())
	}
	if sums[ManifestFile] == "" {
		return nil, corrupt(path, "does not list "+ManifestFile)
	}
	return sums, nil
}

// Records returns every recorded cell in ascending order of id.
func (s *Store) Records() ([]*Record, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	out := make([]*Record, 0, len(ids))
	for _, id := range ids {
		r, err := s.Read(id)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Status of a cell in the store, for people.
type Status string

// Statuses beside those of result.State.
const (
	Missing Status = "missing"
	Corrupt Status = "corrupt"
	Stale   Status = "stale"
)

// CellStatus is what the store knows about one cell of a suite.
type CellStatus struct {
	ID     string
	Status Status
	Reason string
	// Stale says that other code ran; Status stays what it was unless it is ok.
	Stale  bool
	Record *Record
}

// Status looks a cell up. configHash is the full hash; revision is that of the
// present code.
func (s *Store) Status(id, configHash string, revision Revision) (CellStatus, error) {
	c := CellStatus{ID: id}
	r, err := s.Read(id)
	var damaged *CorruptError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Status = Missing
		return c, nil
	case errors.As(err, &damaged):
		c.Status, c.Reason = Corrupt, err.Error()
		return c, nil
	case err != nil:
		return c, err
	}
	if r.Manifest.ConfigHash != configHash {
		return c, corrupt(filepath.Join(r.Dir, ManifestFile), fmt.Sprintf("the cell id is that of this suite, but its configuration hash is %.16s..., not %.16s...", r.Manifest.ConfigHash, configHash))
	}
	c.Record, c.Status, c.Reason = r, Status(r.Manifest.State), r.Manifest.Reason
	if !r.Manifest.Revision.Same(revision) {
		c.Stale = true
		if c.Status == Status(result.OK) {
			c.Status = Stale
			c.Reason = fmt.Sprintf("recorded with revision %s, now %s", r.Manifest.Revision, revision)
		}
	}
	return c, nil
}
