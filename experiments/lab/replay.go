package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/export"
	"github.com/edgebft/edgebft/protocols"
)

// readCell opens a recorded cell with its scenario.
func readCell(c *scenario.Catalog, dir string) (*store.Record, *scenario.Scenario, error) {
	rec, err := store.ReadCell(dir)
	if err != nil {
		return nil, nil, exit.Wrap(exit.Usage, err)
	}
	s, err := rec.Scenario(c)
	return rec, s, exit.Wrap(exit.Usage, err)
}

// Replay runs a recorded cell of the simulator again and compares the trace. Where
// it differs, it names the node and the part of its life in which the runs diverge.
func Replay(ctx context.Context, w IO, dir string) error {
	c := run.Catalog()
	rec, s, err := readCell(c, dir)
	if err != nil {
		return err
	}
	if rec.Result == nil || rec.Result.Sim == nil {
		return exit.Errorf(exit.Usage, "%s was not recorded in the simulator; only such cells can be replayed", dir)
	}
	seen := replayed{Recorded: rec.Result.Sim.TraceHash}
	var chains run.Chains
	out, err := run.Sim(ctx, c, s, run.Options{Inspect: func(sim *netsim.Sim) { chains = run.ChainsOf(sim) }})
	if err != nil {
		return err
	}
	seen.Replayed, seen.Events = out.Result.Sim.TraceHash, out.Result.Sim.Events
	seen.Same = seen.Recorded == seen.Replayed
	if seen.Same {
		if w.JSON {
			return w.json(seen)
		}
		fmt.Fprintf(w.Out, "same trace: %s (%d events)\n", seen.Replayed, seen.Events)
		return nil
	}
	if here := store.Discover("").Revision; !here.Same(rec.Manifest.Revision) {
		seen.Revisions = []string{rec.Manifest.Revision.String(), here.String()}
	}
	err = divergence(ctx, c, s, rec, chains, &seen)
	if w.JSON {
		return errors.Join(err, w.json(seen))
	}
	fmt.Fprintf(w.Out, "recorded  %s\nreplayed  %s\n", seen.Recorded, seen.Replayed)
	if len(seen.Revisions) > 0 {
		fmt.Fprintf(w.Out, "the record was made by revision %s, this is %s\n", seen.Revisions[0], seen.Revisions[1])
	}
	if d := seen.Divergence; d != nil {
		fmt.Fprintf(w.Out, "node %d diverges between its steps %d and %d, by %s of virtual time\n", d.Node, d.After, d.Before, time.Duration(d.UntilNS))
		for _, line := range d.Records {
			fmt.Fprintln(w.Out, line)
		}
	}
	return err
}

// replayed is what a replay showed.
type replayed struct {
	Same     bool   `json:"same"`
	Recorded string `json:"recorded_trace_hash"`
	Replayed string `json:"replayed_trace_hash"`
	Events   int64  `json:"events"`
	// Revisions are that of the record and that of this program, where they differ.
	Revisions  []string  `json:"revisions,omitempty"`
	Divergence *diverged `json:"divergence,omitempty"`
}

// diverged says where: a node, the numbers of its steps around the difference, and the
// window of virtual time with its first records, in this version.
type diverged struct {
	Node    protocols.NodeID `json:"node"`
	After   uint64           `json:"after_step"`
	Before  uint64           `json:"before_step"`
	FromNS  int64            `json:"from_ns"`
	UntilNS int64            `json:"until_ns"`
	Records []string         `json:"records"`
}

// divergence finds where a replay left the record, notes it in seen, and returns the
// error that the program ends with.
func divergence(ctx context.Context, c *scenario.Catalog, s *scenario.Scenario, rec *store.Record, chains run.Chains, seen *replayed) error {
	data, err := rec.Read(run.ChainsFile)
	if err != nil {
		return exit.Errorf(exit.Invalid, "the replay differs, and the record has no checkpoints that would tell where: %v", err)
	}
	old, err := run.DecodeChains(data)
	if err != nil {
		return exit.Wrap(exit.Invalid, err)
	}
	d, found := old.Compare(chains)
	if !found {
		return exit.Errorf(exit.Invalid, "the replay differs after the last common checkpoint of every node")
	}
	// Record that window of this version in full.
	first := &firstOf{node: d.Node, left: 20}
	if _, err := run.Sim(ctx, c, s, run.Options{Sink: first, SinkFrom: time.Duration(d.From), SinkTo: time.Duration(d.Until) + 1}); err != nil {
		return err
	}
	seen.Divergence = &diverged{Node: d.Node, After: d.After, Before: d.Before, FromNS: int64(d.From), UntilNS: int64(d.Until), Records: first.lines}
	return exit.Errorf(exit.Invalid, "the replay diverged at node %d; its first records in that window, in this version, are printed", d.Node)
}

// firstOf keeps the first records of one node.
type firstOf struct {
	node  protocols.NodeID
	lines []string
	left  int
}

// Record implements netsim.TraceSink.
func (f *firstOf) Record(r *netsim.Record) {
	if r.Node == f.node && f.left > 0 {
		f.left--
		f.lines = append(f.lines, r.String())
	}
}

// TraceOptions are the flags of edgebft trace.
type TraceOptions struct {
	// Cell is the directory of a recorded cell, or a scenario as for Sim.
	Cell string
	Set  []string
	// Files are written by extension: .jsonl, .jsonl.zst, .json (Perfetto), .shiviz.
	// None prints a transcript.
	Files    []string
	From, To time.Duration
	// Limit bounds the lines of a transcript, Bytes each file.
	Limit int
	Bytes int64
}

// Trace runs a cell again and records what it does.
func Trace(ctx context.Context, w IO, o TraceOptions) error {
	c := run.Catalog()
	var s *scenario.Scenario
	var err error
	title := o.Cell
	if info, e := os.Stat(o.Cell); e == nil && info.IsDir() {
		if len(o.Set) > 0 {
			return exit.Errorf(exit.Usage, "%s is a recorded cell, which runs as it was recorded; leave %s out, or give a scenario", o.Cell, strings.Join(o.Set, ", "))
		}
		_, s, err = readCell(c, o.Cell)
	} else {
		s, err = loadScenario(c, o.Cell, o.Set)
	}
	if err != nil {
		return err
	}
	if w.JSON && len(o.Files) == 0 {
		return exit.Errorf(exit.Usage, "a transcript is text for people; with --json name a file, for example --out run.jsonl")
	}
	files, err := traceFiles(o.Files, export.Options{Limit: o.Bytes, Title: title})
	if err != nil {
		return err
	}
	var sinks []netsim.TraceSink
	for _, f := range files {
		sinks = append(sinks, f)
	}
	text := &transcript{out: w.Out, left: o.Limit}
	if len(sinks) == 0 {
		sinks = append(sinks, text)
	}
	out, err := run.Sim(ctx, c, s, run.Options{Sink: export.Tee(sinks...), SinkFrom: o.From, SinkTo: o.To})
	text.flush()
	for _, f := range files {
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return errors.Join(err, removeAll(o.Files))
	}
	var names []string
	for _, name := range o.Files {
		abs, err := filepath.Abs(name)
		if err != nil {
			abs = name
		}
		names = append(names, abs)
	}
	if w.JSON {
		if err := w.json(struct {
			Files  []string       `json:"files"`
			Result *result.Result `json:"result"`
		}{names, out.Result}); err != nil {
			return err
		}
		return verdict(s, out.Result)
	}
	for _, name := range names {
		fmt.Fprintln(w.Out, name)
	}
	return verdict(s, out.Result)
}

// traceFiles creates the files of a trace: all of them, or none.
func traceFiles(names []string, o export.Options) ([]*export.File, error) {
	var files []*export.File
	for i, name := range names {
		f, err := export.Create(name, o)
		if err == nil {
			files = append(files, f)
			continue
		}
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
		err = errors.Join(err, removeAll(names[:i]))
		code := exit.Usage
		if errors.Is(err, fs.ErrPermission) {
			code = exit.Infrastructure
		}
		return nil, exit.Wrap(code, err)
	}
	return files, nil
}

// removeAll removes files that this process has created and not finished.
func removeAll(names []string) error {
	var err error
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// transcript prints records as text: what was handled first, then what came of it.
// (The simulator tells of a step when it is over, after what the step sent.)
type transcript struct {
	out  io.Writer
	left int
	cut  bool
	held []string
}

// Record implements netsim.TraceSink.
func (t *transcript) Record(r *netsim.Record) {
	switch r.Kind {
	case netsim.RecordSend, netsim.RecordEvent:
		t.held = append(t.held, r.String())
	default:
		t.print(r.String())
		t.flush()
	}
}

// flush prints what came of no step before the end of the record.
func (t *transcript) flush() {
	for _, line := range t.held {
		t.print("  " + line)
	}
	t.held = t.held[:0]
}

func (t *transcript) print(line string) {
	switch {
	case t.left > 0:
		t.left--
		fmt.Fprintln(t.out, line)
	case !t.cut:
		t.cut = true
		fmt.Fprintln(t.out, "... cut here; raise --limit, narrow --from and --to, or write a file with --out")
	}
}
