package store

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgebft/edgebft/experiments/internal/testrun"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/stretchr/testify/require"
)

var env = &Environment{Revision: Revision{Commit: "abc", Source: "git"}}

func cell(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("s.yaml", []byte("{window: {measure: 2s}, "+text+"}"))
	require.NoError(t, err)
	require.NoError(t, s.Resolve(testrun.Catalog()))
	return s
}

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "suite"))
	require.NoError(t, err)
	return s
}

func record(t *testing.T, st *Store, s *scenario.Scenario, replace bool) error {
	t.Helper()
	p, err := st.Begin(NewManifest(s, "suite", []Axis{{Path: "protocol", Value: s.Protocol}}, env))
	require.NoError(t, err)
	out, err := testrun.Run(context.Background(), s)
	require.NoError(t, err)
	out.Attachments = []result.Attachment{{Name: "logs/run.log", Data: []byte("x")}}
	return p.Commit(out, result.OK, "", replace)
}

func TestCommitAndRead(t *testing.T) {
	st, s := open(t), cell(t, "protocol: alpha")
	require.NoError(t, record(t, st, s, false))
	r, err := st.Read(s.ID())
	require.NoError(t, err)
	require.Equal(t, "ok", r.Manifest.State)
	require.Equal(t, s.Hash(), r.Manifest.ConfigHash)
	require.NotEmpty(t, r.Manifest.EndUTC)
	require.Equal(t, r.Result.Sim.TraceHash, r.Manifest.TraceHash)
	out, err := testrun.Run(context.Background(), s)
	require.NoError(t, err)
	rows, err := r.Load()
	require.NoError(t, err)
	require.Equal(t, out.Load.Rows, rows)
	tl, err := r.Timeline()
	require.NoError(t, err)
	require.Equal(t, out.Timeline, tl)
	h, err := r.Latency()
	require.NoError(t, err)
	require.Equal(t, out.Load.Window.TotalCount(), result.WindowHistogram(h).TotalCount())
	back, err := r.Scenario(testrun.Catalog())
	require.NoError(t, err)
	require.Equal(t, s.Hash(), back.Hash())
	left, err := st.Leftovers()
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestNothingIsOverwritten(t *testing.T) {
	st, s := open(t), cell(t, "protocol: alpha")
	st.Now = func() time.Time { return time.Unix(1e9, 0) }
	require.NoError(t, record(t, st, s, false))
	before, err := os.ReadFile(filepath.Join(st.CellDir(s.ID()), SumsFile))
	require.NoError(t, err)
	require.ErrorIs(t, record(t, st, s, false), ErrExists)
	after, err := os.ReadFile(filepath.Join(st.CellDir(s.ID()), SumsFile))
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	for i := 0; i < 3; i++ {
		require.NoError(t, record(t, st, s, true))
	}
	old, err := os.ReadDir(filepath.Join(st.Dir, "superseded"))
	require.NoError(t, err)
	require.Len(t, old, 3)
	_, err = ReadCell(filepath.Join(st.Dir, "superseded", old[0].Name()))
	require.NoError(t, err, "a superseded cell is still readable")
	left, err := st.Leftovers()
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestDamageNamesFileAndFix(t *testing.T) {
	st, s := open(t), cell(t, "protocol: alpha")
	require.NoError(t, record(t, st, s, false))
	dir := st.CellDir(s.ID())
	for _, c := range []struct {
		file   string
		damage func(path string, data []byte)
		want   string
	}{
		{SummaryFile, func(p string, d []byte) { require.NoError(t, os.WriteFile(p, d[:len(d)/2], 0o644)) }, "summary.json: is damaged or was changed"},
		{LoadFile, func(p string, d []byte) { d[10] ^= 1; require.NoError(t, os.WriteFile(p, d, 0o644)) }, "load.csv.zst: is damaged"},
		{HLogFile, func(p string, _ []byte) { require.NoError(t, os.Remove(p)) }, "latency.hlog: is missing, but listed"},
		{ManifestFile, func(p string, d []byte) { require.NoError(t, os.WriteFile(p, nil, 0o644)) }, "manifest.json: is damaged"},
		{SumsFile, func(p string, d []byte) { require.NoError(t, os.Remove(p)) }, "SHA256SUMS: is missing, so the cell is not complete"},
		{SumsFile, func(p string, d []byte) { require.NoError(t, os.WriteFile(p, d[:len(d)-5], 0o644)) }, "SHA256SUMS: is truncated"},
		{SumsFile, func(p string, d []byte) { require.NoError(t, os.WriteFile(p, []byte("x\n"), 0o644)) }, "line 1 is not a hash and a name"},
		{SumsFile, func(p string, d []byte) {
			require.NoError(t, os.WriteFile(p, []byte(strings.Replace(string(d), "summary.json", "../evil.json", 1)), 0o644))
		}, "is not a hash and a name"},
		{SumsFile, func(p string, d []byte) { require.NoError(t, os.WriteFile(p, nil, 0o644)) }, "does not list manifest.json"},
	} {
		path := filepath.Join(dir, c.file)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		keep := append([]byte(nil), data...)
		c.damage(path, data)
		_, err = st.Read(s.ID())
		var damaged *CorruptError
		require.ErrorAs(t, err, &damaged, "%s", c.want)
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, dir)
		require.NotEmpty(t, damaged.Fix)
		require.Equal(t, 2, damaged.ExitCode())
		_, err = st.WriteIndex()
		require.Error(t, err, "a damaged cell is never skipped")
		status, err := st.Status(s.ID(), s.Hash(), env.Revision)
		require.NoError(t, err)
		require.Equal(t, Corrupt, status.Status)
		require.NoError(t, os.WriteFile(path, keep, 0o644))
	}
	_, err := st.Read(s.ID())
	require.NoError(t, err)
}

func TestStatus(t *testing.T) {
	st, s := open(t), cell(t, "protocol: alpha")
	c, err := st.Status(s.ID(), s.Hash(), env.Revision)
	require.NoError(t, err)
	require.Equal(t, Missing, c.Status)
	require.NoError(t, record(t, st, s, false))
	c, err = st.Status(s.ID(), s.Hash(), env.Revision)
	require.NoError(t, err)
	require.EqualValues(t, result.OK, c.Status)
	c, err = st.Status(s.ID(), s.Hash(), Revision{Commit: "def"})
	require.NoError(t, err)
	require.Equal(t, Stale, c.Status)
	require.Equal(t, "recorded with revision abc, now def", c.Reason)
	_, err = st.Status(s.ID(), strings.Repeat("0", 64), env.Revision)
	require.ErrorContains(t, err, "its configuration hash is")
}

func TestFailedRunsAreKept(t *testing.T) {
	st, s := open(t), cell(t, "protocol: alpha")
	p, err := st.Begin(NewManifest(s, "suite", nil, env))
	require.NoError(t, err)
	require.NoError(t, p.Commit(nil, result.Failed, "panic: boom", false))
	c, err := st.Status(s.ID(), s.Hash(), env.Revision)
	require.NoError(t, err)
	require.EqualValues(t, result.Failed, c.Status)
	require.Equal(t, "panic: boom", c.Reason)
	require.Nil(t, c.Record.Result)
	records, err := st.WriteIndex()
	require.NoError(t, err)
	require.Len(t, records, 1)
}

func TestLeftovers(t *testing.T) {
	st, s := open(t), cell(t, "protocol: alpha")
	p, err := st.Begin(NewManifest(s, "suite", nil, env))
	require.NoError(t, err)
	left, err := st.Leftovers()
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, []Leftover{{Dir: p.Dir(), Cell: s.ID(), Host: host, PID: os.Getpid(), Alive: true}}, left)
	// A process that has made its directory and not yet its manifest is alive too.
	require.NoError(t, os.Remove(filepath.Join(p.Dir(), ManifestFile)))
	n, err := st.RemoveDead()
	require.NoError(t, err)
	require.Zero(t, n)
	// One of another host is never removed from here, and always told of.
	away := filepath.Join(st.Dir, cellsDir, tmpPrefix+"1073741824-00-else-where")
	require.NoError(t, os.Rename(p.Dir(), away))
	left, err = st.Leftovers()
	require.NoError(t, err)
	require.Equal(t, []Leftover{{Dir: away, Host: "else-where", PID: 1 << 30, Foreign: true, Alive: true}}, left)
	n, err = st.RemoveDead()
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, os.Rename(away, filepath.Join(st.Dir, cellsDir, tmpPrefix+"1073741824-00-"+host))) // no such process
	n, err = st.RemoveDead()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	records, err := st.Records()
	require.NoError(t, err)
	require.Empty(t, records)
}

func TestNamesStayInsideTheCell(t *testing.T) {
	st, s := open(t), cell(t, "protocol: alpha")
	p, err := st.Begin(NewManifest(s, "suite", nil, env))
	require.NoError(t, err)
	err = p.Commit(&result.Outcome{Attachments: []result.Attachment{{Name: "../x"}}}, result.OK, "", false)
	require.ErrorContains(t, err, "is not a name inside the cell")
	_, err = st.Begin(&Manifest{Cell: "../../x"})
	require.ErrorContains(t, err, "is not a cell id")
}

func TestIndexDoesNotDependOnTheOrder(t *testing.T) {
	texts := []string{"protocol: alpha", "protocol: beta", "protocol: alpha, f: 2", "protocol: alpha, f: 3", "protocol: alpha, seed: 10", "protocol: alpha, seed: 9"}
	index := func(order []int) (string, string) {
		st := open(t)
		for _, i := range order {
			require.NoError(t, record(t, st, cell(t, texts[i]), false))
		}
		_, err := st.WriteIndex()
		require.NoError(t, err)
		csv, err := os.ReadFile(filepath.Join(st.Dir, "index.csv"))
		require.NoError(t, err)
		bench, err := os.ReadFile(filepath.Join(st.Dir, "index.bench"))
		require.NoError(t, err)
		return string(csv), string(bench)
	}
	c1, b1 := index([]int{0, 1, 2, 3, 4, 5})
	c2, b2 := index([]int{5, 3, 1, 4, 2, 0})
	require.Equal(t, c1, c2)
	require.Equal(t, b1, b2)
	require.Len(t, strings.Split(strings.TrimSpace(c1), "\n"), 7)
	require.NotContains(t, c1, "wall")
	require.Less(t, sortable("9"), sortable("10"))
	require.Less(t, sortable("10"), sortable("1k/s"))
}

func TestMergeIsUnionCommutativeAndIdempotent(t *testing.T) {
	fill := func(texts ...string) *Store {
		st := open(t)
		for _, text := range texts {
			require.NoError(t, record(t, st, cell(t, text), false))
		}
		return st
	}
	index := func(st *Store) string {
		_, err := st.WriteIndex()
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(st.Dir, "index.csv"))
		require.NoError(t, err)
		return string(b)
	}
	a := []string{"protocol: alpha", "protocol: beta"}
	b := []string{"protocol: beta", "protocol: alpha, f: 2"}
	ab, ba := fill(a...), fill(b...)
	rep, err := ab.Merge(fill(b...))
	require.NoError(t, err)
	require.Len(t, rep.Added, 1)
	require.Len(t, rep.Same, 1)
	_, err = ba.Merge(fill(a...))
	require.NoError(t, err)
	require.Equal(t, index(ab), index(ba))
	rep, err = ab.Merge(fill(b...))
	require.NoError(t, err)
	require.Empty(t, rep.Added)
	require.Equal(t, index(ab), index(ba))

	other := open(t)
	s := cell(t, "protocol: beta")
	p, err := other.Begin(NewManifest(s, "suite", nil, env))
	require.NoError(t, err)
	require.NoError(t, p.Commit(nil, result.Failed, "boom", false))
	before := index(ab)
	rep, err = ab.Merge(other)
	require.NoError(t, err)
	require.Len(t, rep.Conflicts, 1)
	require.Equal(t, "states ok and failed", rep.Conflicts[0].Reason)
	require.Equal(t, before, index(ab))
}

func TestSuiteFileAndLatest(t *testing.T) {
	st := open(t)
	x, err := st.ReadSuite()
	require.NoError(t, err)
	require.Nil(t, x)
	files := map[string]*scenario.File{"pi.yaml": scenario.NewFile("pi.yaml", "pi.yaml", []byte("x"))}
	require.NoError(t, st.WriteSuite(Suite{Text: []byte("a"), Files: files, Cells: []string{"1"}}))
	require.NoError(t, st.WriteSuite(Suite{Text: []byte("a"), Files: files, Cells: []string{"1"}}))
	require.NoFileExists(t, filepath.Join(st.Dir, "superseded"))
	x, err = st.ReadSuite()
	require.NoError(t, err)
	require.Equal(t, "a", string(x.Text))
	require.Equal(t, "x", string(x.Files["pi.yaml"].Data))
	require.Equal(t, []string{"1"}, x.Cells)
	require.NoError(t, st.WriteSuite(Suite{Text: []byte("b"), Files: files, Cells: []string{"1"}}))
	old, err := os.ReadDir(filepath.Join(st.Dir, "superseded"))
	require.NoError(t, err)
	require.Len(t, old, 1)
	require.NoError(t, os.WriteFile(filepath.Join(st.Dir, inputsFile), []byte("{"), 0o644))
	var damaged *CorruptError
	_, err = st.ReadSuite()
	require.ErrorAs(t, err, &damaged)
	require.NoError(t, st.MarkLatest())
	require.NoError(t, st.MarkLatest())
	l, err := OpenExisting(filepath.Join(filepath.Dir(st.Dir), "latest"))
	require.NoError(t, err)
	require.Equal(t, "suite", l.Name())
	link := filepath.Join(filepath.Dir(st.Dir), "latest")
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Mkdir(link, 0o755))
	require.ErrorContains(t, st.MarkLatest(), "is not a symbolic link")
	_, err = OpenExisting(t.TempDir())
	require.ErrorContains(t, err, "is not a result directory")
}

func TestForeignFilesAreNotIgnored(t *testing.T) {
	st := open(t)
	require.NoError(t, os.WriteFile(filepath.Join(st.Dir, "cells", "x"), nil, 0o644))
	_, err := st.Records()
	require.ErrorContains(t, err, "does not belong here")
}

func TestDiscover(t *testing.T) {
	e := Discover("")
	require.NotEmpty(t, e.Build.Go)
	require.NotZero(t, e.Host.Cores)
	require.Contains(t, []string{"build-info", "ldflags", "git", "none"}, e.Revision.Source)
	require.Equal(t, "none", gitRevision(t.TempDir()).Source, "some other place is not our revision")
	LinkedRevision = "0123456789abcdef-dirty"
	defer func() { LinkedRevision = "" }()
	r := discoverRevision("")
	if r.Source == "ldflags" {
		require.Equal(t, "0123456789+changes."+programHash()[:6], r.String(), "two builds with changes differ in the program")
	}
	LinkedRevision = ""
	if r = discoverRevision(t.TempDir()); r.Source == "none" {
		require.Equal(t, "unknown."+programHash()[:6], r.String())
	}
}

// Changes are told apart wherever they are in the tree and whether git knows the file.
func TestGitRevisionSeesEveryChange(t *testing.T) {
	top := t.TempDir()
	write := func(name, text string) {
		p := filepath.Join(top, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	git := func(args ...string) {
		c := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
		c.Dir = top
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	write("go.mod", "module "+modulePath+"\n")
	write("a/a.go", "package a\n")
	write("b/b.go", "package b\n")
	git("init", "-q")
	git("add", "-A")
	git("commit", "-q", "-m", "x")
	sub := filepath.Join(top, "a")
	clean := gitRevision(sub)
	require.False(t, clean.Dirty)
	require.NotEmpty(t, clean.Commit)
	write("README.md", "text")
	write("results/x.json", "{}")
	require.Equal(t, clean, gitRevision(sub), "neither documentation nor results are code")

	seen := []Revision{clean}
	for _, change := range [][2]string{
		{"b/b.go", "package b // elsewhere\n"},
		{"b/b.go", "package b // elsewhere, again\n"},
		{"c/new.go", "package c\n"},
		{"c/new.go", "package c // changed\n"},
	} {
		write(change[0], change[1])
		r := gitRevision(sub)
		require.True(t, r.Dirty)
		for _, old := range seen {
			require.False(t, r.Same(old), "%v", change)
		}
		require.Equal(t, r, gitRevision(top), "wherever it is asked")
		seen = append(seen, r)
	}
}

// A recorded scenario runs with the files that it ran with, whatever became of them.
func TestFilesAreKeptWithTheCell(t *testing.T) {
	st := open(t)
	file := filepath.Join(t.TempDir(), "costs.yaml")
	require.NoError(t, os.WriteFile(file, []byte("a"), 0o644))
	s := cell(t, "protocol: alpha, costs: "+file)
	require.NoError(t, record(t, st, s, false))
	r, err := st.Read(s.ID())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("b"), 0o644))
	back, err := r.Scenario(testrun.Catalog())
	require.NoError(t, err)
	require.Equal(t, "a", string(back.CostsFile.Data))
	require.Equal(t, filepath.Join(r.Dir, "inputs", "costs.yaml"), back.CostsFile.From)
	require.NoError(t, os.Remove(file))
	_, err = r.Scenario(testrun.Catalog())
	require.NoError(t, err)

	// A record without them is told from one that still means the same.
	require.NoError(t, os.WriteFile(file, []byte("a"), 0o644))
	old := open(t)
	m := NewManifest(s, "suite", nil, env)
	m.inputs = nil
	p, err := old.Begin(m)
	require.NoError(t, err)
	require.NoError(t, p.Commit(nil, result.Failed, "", false))
	r, err = old.Read(s.ID())
	require.NoError(t, err)
	_, err = r.Scenario(testrun.Catalog())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("b"), 0o644))
	_, err = r.Scenario(testrun.Catalog())
	var damaged *CorruptError
	require.True(t, errors.As(err, &damaged))
	require.ErrorContains(t, err, "a file it names, a default or an option has changed")
}
