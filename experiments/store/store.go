package store

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
)

// Names of files in a cell.
const (
	ManifestFile = "manifest.json"
	SummaryFile  = "summary.json"
	HLogFile     = "latency.hlog"
	LoadFile     = "load.csv.zst"
	TimelineFile = "timeline.csv.zst"
	SumsFile     = "SHA256SUMS"

	cellsDir      = "cells"
	supersededDir = "superseded"
	tmpPrefix     = ".tmp-"
)

// CorruptError is a damaged file of the store.
type CorruptError struct {
	File, Reason, Fix string
}

func (e *CorruptError) Error() string { return e.File + ": " + e.Reason + "; " + e.Fix }

// ExitCode says that the input is bad.
func (e *CorruptError) ExitCode() int { return 2 }

// ErrExists says that a cell is already recorded.
var ErrExists = errors.New("the cell is already recorded")

// Store is the directory of one suite.
type Store struct {
	// Dir is results/<suite>.
	Dir string
	// Now returns the wall clock; it is replaced in tests.
	Now func() time.Time
}

// At returns the store of a directory that need not exist: then it holds nothing. Open
// makes it.
func At(dir string) *Store { return &Store{Dir: dir, Now: time.Now} }

// Open opens or creates the directory of a suite.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, cellsDir), 0o755); err != nil {
		return nil, fmt.Errorf("result store: %w", err)
	}
	return At(dir), nil
}

// OpenExisting opens a directory that must already hold results. path may also
// be a directory of results whose name is "latest".
func OpenExisting(path string) (*Store, error) {
	info, err := os.Stat(filepath.Join(path, cellsDir))
	if err != nil || !info.IsDir() {
		return nil, &CorruptError{File: path, Reason: "is not a result directory (it has no " + cellsDir + "/)", Fix: "name the directory of a suite, for example results/quickstart, or results/latest"}
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	return At(real), nil
}

// Name is the name of the suite.
func (s *Store) Name() string { return filepath.Base(s.Dir) }

// CellDir is where a cell is kept.
func (s *Store) CellDir(id string) string { return filepath.Join(s.Dir, cellsDir, id) }

// ids returns the recorded cells in ascending order.
func (s *Store) ids() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.Dir, cellsDir))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpPrefix) {
			continue
		}
		if !e.IsDir() || !isID(e.Name()) {
			return nil, &CorruptError{File: filepath.Join(s.Dir, cellsDir, e.Name()), Reason: "does not belong here", Fix: "move it away"}
		}
		ids = append(ids, e.Name())
	}
	sort.Strings(ids)
	return ids, nil
}

func isID(s string) bool {
	if len(s) != 12 {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// Pending is a cell that is being written.
type Pending struct {
	store    *Store
	dir      string
	Manifest *Manifest
}

// Begin starts a cell: a directory of its own with a manifest in state running.
func (s *Store) Begin(m *Manifest) (*Pending, error) {
	if !isID(m.Cell) {
		return nil, fmt.Errorf("result store: %q is not a cell id", m.Cell)
	}
	var r [16]byte
	if _, err := rand.Read(r[:]); err != nil {
		return nil, err
	}
	m.State, m.Reason = "running", ""
	m.StartUTC = s.Now().UTC().Format(time.RFC3339Nano)
	m.PID = os.Getpid()
	m.HostName, _ = os.Hostname()
	// The name says who writes it, because there is a moment before the manifest does.
	name := fmt.Sprintf("%s%d-%x-%s", tmpPrefix, m.PID, r, m.HostName)
	p := &Pending{store: s, dir: filepath.Join(s.Dir, cellsDir, name), Manifest: m}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return nil, fmt.Errorf("result store: %w", err)
	}
	if err := p.write(ManifestFile, m.encode()); err != nil {
		return nil, err
	}
	// What ran is kept with what came of it: the files may change.
	for name, f := range m.inputs {
		if f == nil {
			continue
		}
		if err := p.write(name, f.Data); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Dir is the temporary directory; files written there become part of the cell.
func (p *Pending) Dir() string { return p.dir }

func (p *Pending) write(name string, data []byte) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("result store: %q is not a name inside the cell", name)
	}
	path := filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	return nil
}

// Abort removes the temporary directory.
func (p *Pending) Abort() error { return os.RemoveAll(p.dir) }

// Commit writes the outcome with its final state and moves the cell into place.
// out may be nil when the run itself failed. With replace an earlier version of
// the cell is moved to superseded; without, an earlier version is ErrExists and
// the new one is thrown away.
func (p *Pending) Commit(out *result.Outcome, state result.State, reason string, replace bool) error {
	m := p.Manifest
	m.State, m.Reason, m.ExitCode = string(state), reason, state.Code()
	end := p.store.Now()
	m.EndUTC = end.UTC().Format(time.RFC3339Nano)
	if start, err := time.Parse(time.RFC3339Nano, m.StartUTC); err == nil {
		m.WallNS = int64(end.UTC().Sub(start))
	}
	if out != nil {
		if err := p.writeOutcome(out); err != nil {
			return err
		}
	}
	// Never truncated: another process may look at it at any time.
	if err := Replace(filepath.Join(p.dir, ManifestFile), m.encode()); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	if err := seal(p.dir); err != nil {
		return err
	}
	final := p.store.CellDir(m.Cell)
	if _, err := os.Lstat(final); err == nil {
		if !replace {
			return errors.Join(ErrExists, p.Abort())
		}
		// Gone by now is as good: another process replaces it too.
		if err := p.store.supersede(final, m.Cell); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return p.place()
}

// place moves the finished directory to its name. A cell that another process put there
// in the meantime stays, and is ErrExists.
func (p *Pending) place() error {
	final := p.store.CellDir(p.Manifest.Cell)
	err := os.Rename(p.dir, final)
	switch {
	case errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOTEMPTY):
		return errors.Join(ErrExists, p.Abort())
	case err != nil:
		return fmt.Errorf("result store: %w", err)
	}
	return syncDir(filepath.Dir(final))
}

func (p *Pending) writeOutcome(out *result.Outcome) error {
	if out.Result != nil {
		b, err := out.Result.Encode()
		if err != nil {
			return err
		}
		if err := p.write(SummaryFile, b); err != nil {
			return err
		}
		if out.Result.Sim != nil {
			p.Manifest.TraceHash = out.Result.Sim.TraceHash
		}
	}
	if out.Load != nil {
		b, err := result.EncodeLoad(out.Load.Rows)
		if err != nil {
			return err
		}
		if err := errors.Join(p.write(LoadFile, b), p.write(HLogFile, out.Load.HLog)); err != nil {
			return err
		}
	}
	if out.Timeline != nil {
		b, err := result.EncodeTimeline(out.Timeline)
		if err != nil {
			return err
		}
		if err := p.write(TimelineFile, b); err != nil {
			return err
		}
	}
	for _, a := range out.Attachments {
		if err := p.write(a.Name, a.Data); err != nil {
			return err
		}
	}
	return nil
}

// supersede moves a file or directory away under a name that is free.
func (s *Store) supersede(path, name string) error {
	dir := filepath.Join(s.Dir, supersededDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	base := filepath.Join(dir, name+"-"+s.Now().UTC().Format("20060102T150405Z"))
	to := base
	for i := 2; ; i++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = base + "-" + strconv.Itoa(i)
	}
	if err := os.Rename(path, to); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	return syncDir(dir)
}

// seal writes SHA256SUMS over every file below dir and makes all of it durable.
func seal(dir string) error {
	var names []string
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, path)
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel != SumsFile {
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	sort.Strings(names)
	var sums strings.Builder
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("result store: %w", err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		if err := syncFile(path); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, SumsFile)
	if err := os.WriteFile(path, []byte(sums.String()), 0o644); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	if err := syncFile(path); err != nil {
		return err
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := syncDir(dirs[i]); err != nil {
			return err
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	err = f.Sync()
	// Some file systems cannot sync a directory; the rename is still atomic.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("result store: %w", err)
	}
	return nil
}

// Leftover is a cell that a process did not finish.
type Leftover struct {
	// Cell is "" if the process had not come to the manifest.
	Dir, Cell string
	// Host and PID name the process that writes it.
	Host string
	PID  int
	// Foreign says that it is a process of another host. Alive says that it still
	// runs, as far as can be seen from here: a foreign one counts as alive.
	Foreign, Alive bool
}

// Leftovers lists the unfinished cells.
func (s *Store) Leftovers() ([]Leftover, error) {
	entries, err := os.ReadDir(filepath.Join(s.Dir, cellsDir))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	host, _ := os.Hostname()
	var out []Leftover
	for _, e := range entries {
		l, ok := writer(e.Name())
		if !ok {
			continue
		}
		l.Dir = filepath.Join(s.Dir, cellsDir, e.Name())
		if data, err := os.ReadFile(filepath.Join(l.Dir, ManifestFile)); err == nil {
			if m, err := decodeManifest(data); err == nil {
				l.Cell = m.Cell
			}
		}
		l.Foreign = l.PID > 0 && l.Host != host
		l.Alive = l.Foreign || processAlive(l.PID)
		out = append(out, l)
	}
	return out, nil
}

// writer reads the name of a temporary directory.
func writer(name string) (l Leftover, ok bool) {
	rest, ok := strings.CutPrefix(name, tmpPrefix)
	if !ok {
		return l, false
	}
	pid, rest, _ := strings.Cut(rest, "-")
	_, l.Host, _ = strings.Cut(rest, "-")
	l.PID, _ = strconv.Atoi(pid)
	return l, true
}

func processAlive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, syscall.EPERM))
}

// RemoveDead removes the unfinished cells of dead processes and says how many.
func (s *Store) RemoveDead() (int, error) {
	left, err := s.Leftovers()
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, l := range left {
		if l.Alive {
			continue
		}
		if err := os.RemoveAll(l.Dir); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// Suite is what a store keeps of the suite that it was made from.
type Suite struct {
	// Text is the resolved suite file, with Profile applied; "" is none.
	Text    []byte
	Profile string
	// Files are those that its scenarios name.
	Files map[string]*scenario.File
	// Cells are the ids of its cells and searches, nil in records of old versions.
	// They say which results are of this suite also when a later version of the
	// program expands it to other cells.
	Cells []string
}

// suiteInputs is the form of the rest of a Suite on disk.
type suiteInputs struct {
	Schema  int               `json:"schema"`
	Profile string            `json:"profile,omitempty"`
	Files   map[string]string `json:"files"`
	Cells   []string          `json:"cells"`
}

// Names of the files that hold a Suite.
const (
	suiteFile  = "suite.resolved.yaml"
	inputsFile = "suite.inputs.json"
)

// WriteSuite records the suite. An earlier version that differs is moved to superseded.
func (s *Store) WriteSuite(x Suite) error {
	in := suiteInputs{Schema: 1, Profile: x.Profile, Files: map[string]string{}, Cells: x.Cells}
	for name, f := range x.Files {
		in.Files[name] = string(f.Data)
	}
	b, err := json.MarshalIndent(in, "", " ")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{inputsFile, append(b, '\n')}, {suiteFile, x.Text}} {
		path := filepath.Join(s.Dir, f.name)
		old, err := os.ReadFile(path)
		if err == nil && bytes.Equal(old, f.data) {
			continue
		}
		if err == nil {
			if err := s.supersede(path, f.name); err != nil {
				return err
			}
		}
		if err := Replace(path, f.data); err != nil {
			return err
		}
	}
	return nil
}

// ReadSuite returns the recorded suite; nil if there is none.
func (s *Store) ReadSuite() (*Suite, error) {
	var x Suite
	var err error
	x.Text, err = os.ReadFile(filepath.Join(s.Dir, suiteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.Dir, inputsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &x, nil
	}
	if err != nil {
		return nil, err
	}
	var in suiteInputs
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err = d.Decode(&in)
	if err == nil && in.Schema != 1 {
		err = fmt.Errorf("schema %d is not known; this program reads 1", in.Schema)
	}
	if err != nil {
		return nil, &CorruptError{File: path, Reason: err.Error(), Fix: "move it away; the next sweep of the suite writes it again"}
	}
	x.Files, x.Cells, x.Profile = make(map[string]*scenario.File, len(in.Files)), in.Cells, in.Profile
	for name, text := range in.Files {
		x.Files[name] = scenario.NewFile(name, path, []byte(text))
	}
	return &x, nil
}

// Replace writes a derived file (index, figure, report) so that readers see the
// old or the new content and never a part.
func Replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.tmp-%d", path, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// MarkLatest points results/latest to this suite. A file or directory of that
// name that is no link is left alone.
func (s *Store) MarkLatest() error {
	link := filepath.Join(filepath.Dir(s.Dir), "latest")
	info, err := os.Lstat(link)
	if err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return &CorruptError{File: link, Reason: "is not a symbolic link", Fix: "move it away"}
	}
	tmp := fmt.Sprintf("%s.tmp-%d", link, os.Getpid())
	if err := os.Symlink(filepath.Base(s.Dir), tmp); err != nil {
		return err
	}
	return os.Rename(tmp, link)
}
