package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/edgebft/edgebft/experiments/exit"
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
	var chains run.Chains
	out, err := run.Sim(ctx, c, s, run.Options{Inspect: func(sim *netsim.Sim) { chains = run.ChainsOf(sim) }})
	if err != nil {
		return exit.Wrap(exit.Infrastructure, err)
	}
	want, got := rec.Result.Sim.TraceHash, out.Result.Sim.TraceHash
	if want == got {
		fmt.Fprintf(w.Out, "same trace: %s (%d events)\n", got, out.Result.Sim.Events)
		return nil
	}
	fmt.Fprintf(w.Out, "recorded  %s\nreplayed  %s\n", want, got)
	if here := store.Discover("").Revision; !here.Same(rec.Manifest.Revision) {
		fmt.Fprintf(w.Out, "the record was made by revision %s, this is %s\n", rec.Manifest.Revision, here)
	}
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
	fmt.Fprintf(w.Out, "node %d diverges between its steps %d and %d, by %s of virtual time\n", d.Node, d.After, d.Before, time.Duration(d.Until))
	// Record that window of this version in full.
	first := &firstOf{node: d.Node, out: w.Out, left: 20}
	if _, err := run.Sim(ctx, c, s, run.Options{Sink: first, SinkFrom: time.Duration(d.From), SinkTo: time.Duration(d.Until) + 1}); err != nil {
		return exit.Wrap(exit.Infrastructure, err)
	}
	return exit.Errorf(exit.Invalid, "the replay diverged at node %d; above are its first records in that window, in this version", d.Node)
}

// firstOf prints the first records of one node.
type firstOf struct {
	node protocols.NodeID
	out  io.Writer
	left int
}

// Record implements netsim.TraceSink.
func (f *firstOf) Record(r *netsim.Record) {
	if r.Node == f.node && f.left > 0 {
		f.left--
		fmt.Fprintln(f.out, r)
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
		_, s, err = readCell(c, o.Cell)
	} else {
		s, err = loadScenario(c, o.Cell, o.Set)
	}
	if err != nil {
		return err
	}
	var sinks []netsim.TraceSink
	var files []*export.File
	for _, name := range o.Files {
		f, err := export.Create(name, export.Options{Limit: o.Bytes, Title: title})
		if err != nil {
			code := exit.Usage
			if errors.Is(err, fs.ErrPermission) {
				code = exit.Infrastructure
			}
			return exit.Wrap(code, err)
		}
		files = append(files, f)
		sinks = append(sinks, f)
	}
	if len(sinks) == 0 {
		sinks = append(sinks, &transcript{out: w.Out, left: o.Limit})
	}
	out, err := run.Sim(ctx, c, s, run.Options{Sink: export.Tee(sinks...), SinkFrom: o.From, SinkTo: o.To})
	for _, f := range files {
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return exit.Wrap(exit.Infrastructure, err)
	}
	for _, name := range o.Files {
		abs, err := filepath.Abs(name)
		if err != nil {
			abs = name
		}
		fmt.Fprintln(w.Out, abs)
	}
	return verdict(s, out.Result)
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
		for _, line := range t.held {
			t.print("  " + line)
		}
		t.held = t.held[:0]
	}
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
