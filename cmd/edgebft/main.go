// Command edgebft is the lab tool: it simulates, sweeps, draws, reports, replays
// and explores. It parses flags; package experiments/lab does the work.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anacrolix/chansync"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/lab"
	"github.com/edgebft/edgebft/experiments/sweep"
)

func main() { os.Exit(run(os.Args[1:])) }

// usageError marks what cobra and the flags find wrong.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func run(args []string) int {
	root := command()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exit.OK
	}
	fmt.Fprintln(os.Stderr, "edgebft:", err)
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		return exit.Usage
	}
	return exit.Code(err)
}

type common struct{ json, quiet bool }

func (c *common) io() lab.IO {
	return lab.IO{Out: os.Stdout, Err: os.Stderr, JSON: c.json, Quiet: c.quiet, Terminal: terminal(os.Stderr)}
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
}

func command() *cobra.Command {
	c := new(common)
	root := &cobra.Command{
		Use: "edgebft", Short: "BFT consensus research framework and simulator for the edge",
		Long: "BFT consensus research framework and simulator for the edge.\n\nExit codes:\n" + exitCodes(), SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
			var known []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
			err = lab.UnknownFlag(err, name, known)
		}
		return usageError{err}
	})
	root.PersistentFlags().BoolVar(&c.json, "json", false, "machine-readable results on stdout")
	root.PersistentFlags().BoolVarP(&c.quiet, "quiet", "q", false, "no progress on stderr")
	root.AddCommand(simCommand(c), sweepCommand(c), plotCommand(c), reportCommand(c), replayCommand(c), traceCommand(c),
		checkCommand(c), calibrateCommand(c), listCommand(c), schemaCommand(c))
	for _, sub := range root.Commands() {
		wrapArgs(sub)
	}
	return root
}

// exitCodes lists what the program ends with.
func exitCodes() string {
	var b strings.Builder
	for _, m := range exit.Meanings() {
		fmt.Fprintf(&b, "  %3d  %s\n", m.Code, m.Text)
	}
	return b.String()
}

// wrapArgs makes cobra's complaints about arguments usage errors.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

func simCommand(c *common) *cobra.Command {
	var o lab.SimOptions
	cmd := &cobra.Command{
		Use: "sim [SCENARIO]", Short: "run one scenario in the simulator",
		Long:    "Runs one scenario in the simulator. SCENARIO is a file, or a scenario as JSON text; the flags are shorthands for its keys and override it.",
		Example: "  edgebft sim --protocol pbft --f 1 --clients 4 --workload micro --topology lan --duration 5s --seed 7",
		Args:    cobra.MaximumNArgs(1),
	}
	set := scenarioFlags(cmd)
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "print the resolved scenario and do not run it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			o.File = args[0]
		}
		o.Set = set()
		return lab.Sim(cmd.Context(), c.io(), o)
	}
	return cmd
}

// scenarioFlags adds the shorthands for keys of a scenario, and --set. The function
// returns the overrides in the order of precedence: shorthands, then --set.
func scenarioFlags(cmd *cobra.Command) func() []string {
	f := cmd.Flags()
	keys := []struct{ flag, key, usage string }{
		{"protocol", "protocol", "name of a protocol"},
		{"f", "f", "tolerated faults"},
		{"n", "n", "replicas"},
		{"clients", "clients", "client nodes"},
		{"workload", "workload.app", "application: micro, kv, market, ..."},
		{"rate", "workload.rate", "offered load of an open loop, for example 10k/s"},
		{"topology", "topology", "name of a topology, or a file"},
		{"costs", "costs", "CPU profile, a file, or none"},
		{"transport", "transport", "stream, datagram or tcp"},
		{"duration", "duration", "measured time, for example 5s"},
		{"seed", "seed", "every random draw follows from it"},
	}
	values := make([]*string, len(keys))
	for i, k := range keys {
		values[i] = f.String(k.flag, "", k.usage)
	}
	more := f.StringArray("set", nil, "override one key of the scenario: path=value (may be repeated)")
	return func() []string {
		var out []string
		if f.Changed("rate") {
			out = append(out, "workload.kind=open")
		}
		for i, k := range keys {
			if f.Changed(k.flag) {
				out = append(out, k.key+"="+*values[i])
			}
		}
		return append(out, *more...)
	}
}

func sweepCommand(c *common) *cobra.Command {
	var o lab.SweepOptions
	cmd := &cobra.Command{
		Use: "sweep SUITE", Short: "run a suite: an embedded one by name, or a file",
		Long:    "Runs what is missing of a suite, prints the table, draws the figures and writes report.html. Interrupted sweeps go on where they stopped; nothing is overwritten.",
		Example: "  edgebft sweep quickstart\n  edgebft sweep experiments/peak.yaml --profile laptop --jobs 2",
		Args:    cobra.ExactArgs(1),
	}
	p := cmd.PersistentFlags()
	p.StringVar(&o.Results, "results", "results", "directory of results")
	p.StringVar(&o.Profile, "profile", "", "profile of the suite, for example laptop")
	f := cmd.Flags()
	f.IntVar(&o.Jobs, "jobs", 0, "cells that run at once; 0 is one per core")
	f.StringVar(&o.Shard, "shard", "", "run only part i of N: i/N")
	f.StringVar(&o.Rerun, "rerun", "", "run again what is failed, invalid, undecided, stale (comma-separated)")
	f.BoolVar(&o.FailFast, "fail-fast", false, "stop at the first cell that fails")
	f.BoolVar(&o.NoFigures, "no-figures", false, "draw nothing and write no report")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "one line on stderr for every cell that ends")
	f.BoolVar(&o.DryRun, "dry-run", false, "print the cells that would run, and run nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Suite = args[0]
		o.Stop = new(chansync.SetOnce)
		release := sweep.NotifyInterrupt(o.Stop)
		defer release()
		return lab.Sweep(cmd.Context(), c.io(), o)
	}
	cmd.AddCommand(
		&cobra.Command{Use: "status SUITE", Short: "what is recorded of a suite, and what is missing", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			o.Suite = args[0]
			return lab.SweepStatus(c.io(), o)
		}},
		&cobra.Command{Use: "expand SUITE", Short: "print the cells of a suite as data", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			o.Suite = args[0]
			return lab.SweepExpand(c.io(), o)
		}},
		&cobra.Command{Use: "index DIR", Short: "rebuild index.csv and index.bench of a directory of results", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			return lab.SweepIndex(c.io(), args[0])
		}},
		&cobra.Command{Use: "merge INTO FROM...", Short: "add the cells of other directories of results, of one suite each or of all suites below each", Args: cobra.MinimumNArgs(2), RunE: func(_ *cobra.Command, args []string) error {
			return lab.SweepMerge(c.io(), args[0], args[1:])
		}},
	)
	return cmd
}

func plotCommand(c *common) *cobra.Command {
	var o lab.DrawOptions
	cmd := &cobra.Command{
		Use: "plot DIR", Short: "draw figures from recorded results", Args: cobra.ExactArgs(1),
		Example: "  edgebft plot results/quickstart --figure tput-latency --format pdf,svg,png --style acm-1col",
		RunE: func(_ *cobra.Command, args []string) error {
			o.Store = args[0]
			return lab.Plot(c.io(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Figure, "figure", "", "one figure of the suite; all if left out")
	f.StringSliceVar(&o.Formats, "format", []string{"svg", "png", "pdf"}, "formats")
	f.StringVar(&o.Style, "style", "acm-1col", "size and text")
	f.BoolVar(&o.Mixed, "mixed-revisions", false, "allow results of several revisions in one figure")
	return cmd
}

func reportCommand(c *common) *cobra.Command {
	var out string
	var noJS bool
	cmd := &cobra.Command{
		Use: "report DIR", Short: "write one self-contained HTML page", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return lab.Report(c.io(), args[0], out, noJS) },
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "file; default DIR/report.html")
	cmd.Flags().BoolVar(&noJS, "no-js", false, "a static page")
	return cmd
}

func replayCommand(c *common) *cobra.Command {
	return &cobra.Command{
		Use: "replay CELL", Short: "run a recorded cell again and compare the trace", Args: cobra.ExactArgs(1),
		Example: "  edgebft replay results/quickstart/cells/3f9c0a12b4de",
		RunE:    func(cmd *cobra.Command, args []string) error { return lab.Replay(cmd.Context(), c.io(), args[0]) },
	}
}

func traceCommand(c *common) *cobra.Command {
	var o lab.TraceOptions
	cmd := &cobra.Command{
		Use: "trace [CELL|SCENARIO]", Short: "run a cell or scenario and record every message", Args: cobra.MaximumNArgs(1),
		Long:    "Runs a recorded cell, or a scenario as in edgebft sim, and records every message: as a transcript on stdout, or into files by extension: .jsonl and .jsonl.zst, .json for Perfetto and chrome://tracing, .shiviz for ShiViz.",
		Example: "  edgebft trace --protocol pbft --clients 1 --duration 10ms --limit 40\n  edgebft trace results/quickstart/cells/3f9c0a12b4de --out run.json --from 3s --to 3500ms",
	}
	set := scenarioFlags(cmd)
	f := cmd.Flags()
	f.StringSliceVarP(&o.Files, "out", "o", nil, "files to write")
	f.DurationVar(&o.From, "from", 0, "begin of the recorded window, virtual time")
	f.DurationVar(&o.To, "to", 0, "end of it; 0 is the end of the run")
	f.IntVar(&o.Limit, "limit", 200, "lines of the transcript")
	f.Int64Var(&o.Bytes, "cap", 100<<20, "bytes of each file before compression")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			o.Cell = args[0]
		}
		o.Set = set()
		return lab.Trace(cmd.Context(), c.io(), o)
	}
	return cmd
}

func checkCommand(c *common) *cobra.Command {
	o := lab.CheckOptions{}
	cmd := &cobra.Command{
		Use: "check", Short: "search random schedules for one that breaks an invariant", Args: cobra.NoArgs,
		Long:    "Draws schedules of faults, delays and Byzantine replicas and clients from a range of seeds, runs each in the simulator and then lets the network calm. Stops at the first violation with the line that replays it.",
		Example: "  edgebft check --protocol pbft --seeds 100000",
		RunE:    func(cmd *cobra.Command, _ []string) error { return lab.Check(cmd.Context(), c.io(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Protocol, "protocol", "pbft", "name of a protocol")
	f.Int64Var(&o.First, "first-seed", 1, "first seed")
	f.IntVar(&o.Seeds, "seeds", 1000, "how many seeds")
	f.IntVar(&o.Jobs, "jobs", 0, "schedules that run at once; 0 is one per core")
	f.StringSliceVar(&o.Strategies, "strategy", nil, "only these strategies")
	f.BoolVar(&o.KeepGoing, "keep-going", false, "count findings instead of stopping at the first")
	f.IntVar(&o.Shrink, "shrink", 300, "runs spent on making a finding smaller; 0 leaves it")
	f.StringVar(&o.Scenario, "scenario", "", "run one schedule: a file, or JSON text as --show and findings print it")
	f.BoolVar(&o.Show, "show", false, "print the schedules as scenarios and run nothing")
	return cmd
}

func calibrateCommand(c *common) *cobra.Command {
	var o lab.CalibrateOptions
	cmd := &cobra.Command{
		Use: "calibrate", Short: "measure this host into a CPU profile", Args: cobra.NoArgs,
		Example: "  edgebft calibrate -o profiles/pi4.yaml",
		RunE:    func(*cobra.Command, []string) error { return lab.Calibrate(c.io(), o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.Out, "out", "o", "", "file to write; stdout if left out")
	f.StringVar(&o.Name, "name", "calibrated", "name of the profile")
	f.StringVar(&o.Dir, "dir", "", "directory on the disk that the log will lie on")
	f.IntVar(&o.Rounds, "rounds", 7, "how often everything is measured")
	f.BoolVar(&o.Force, "force", false, "accept measurements that spread by more than 25 %")
	return cmd
}

func listCommand(c *common) *cobra.Command {
	return &cobra.Command{
		Use: "list " + strings.Join(lab.Listable, "|") + " [NAME]", Short: "what exists, one line each; with NAME its details", Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) == 2 {
				name = args[1]
			}
			return lab.List(c.io(), args[0], name)
		},
	}
}

func schemaCommand(c *common) *cobra.Command {
	return &cobra.Command{
		Use: "schema scenario|suite|result", Short: "JSON Schema of a file format", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return lab.Schema(c.io(), args[0]) },
	}
}
