package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/explore"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/sweep"
	"github.com/edgebft/edgebft/netsim/profile"
)

// CheckOptions are the flags of edgebft check.
type CheckOptions struct {
	Protocol   string
	First      int64
	Seeds      int
	Jobs       int
	Strategies []string
	KeepGoing  bool
	// Shrink bounds the runs spent on making a finding smaller; 0 leaves it.
	Shrink int
	// Show prints the schedules as scenarios and runs nothing.
	Show bool
	// Scenario is one schedule to run instead: a file, or JSON text.
	Scenario string
}

// Check explores random schedules of a protocol.
func Check(ctx context.Context, w IO, o CheckOptions) error {
	c := run.Catalog()
	var one *scenario.Scenario
	var err error
	if o.Scenario != "" {
		if one, err = readScenario(o.Scenario, nil); err != nil {
			return err
		}
		o.Protocol = one.Protocol
	}
	sp, err := explore.NewSpace(c, o.Protocol, o.Strategies...)
	if err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	if one != nil {
		return checkOne(w, c, sp, one)
	}
	if o.Seeds < 1 {
		return exit.Errorf(exit.Usage, "--seeds is %d; it must be at least 1", o.Seeds)
	}
	if o.Show {
		for seed := o.First; seed < o.First+int64(o.Seeds); seed++ {
			sch := sp.Draw(seed)
			if err := w.json(sch.Scenario); err != nil {
				return err
			}
		}
		return nil
	}
	start, shown := time.Now(), time.Now()
	campaign := explore.Campaign{
		Space: sp, NewRunner: func() explore.Runner { return explore.NewSimulator(c) },
		First: o.First, Seeds: o.Seeds, Jobs: o.Jobs, KeepGoing: o.KeepGoing,
		Progress: func(s explore.Summary) {
			every := 10 * time.Second
			if w.Terminal {
				every = time.Second / 2
			}
			if w.Quiet || time.Since(shown) < every {
				return
			}
			shown = time.Now()
			line := fmt.Sprintf("%d of %d schedules, %.0f/s", s.Ran, s.Seeds, float64(s.Ran)/time.Since(start).Seconds())
			if w.Terminal {
				fmt.Fprintf(w.Err, "\r\x1b[K%s", line)
			} else {
				fmt.Fprintln(w.Err, line)
			}
		},
	}
	sum, err := campaign.Run(ctx)
	if w.Terminal && !w.Quiet {
		fmt.Fprint(w.Err, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if w.JSON {
		if err := w.json(sum); err != nil {
			return err
		}
	} else if err := printSummary(w, sum); err != nil {
		return err
	}
	if len(sum.Findings) == 0 {
		return nil
	}
	f := &sum.Findings[0]
	text := fmt.Sprintf("seed %d (%s): %s\nreproduce: %s   # rev %s", f.Seed, f.Strategy, f.Outcome.String(), f.ReplayLine(), store.Discover("").Revision)
	if o.Shrink > 0 {
		text += shrunk(c, sp, f, o.Shrink)
	}
	return exit.Errorf(codeOf(f.Outcome.Verdict), "%s", text)
}

// checkOne runs one schedule as the exploration would.
func checkOne(w IO, c *scenario.Catalog, sp *explore.Space, s *scenario.Scenario) error {
	out, err := sp.Run(explore.NewSimulator(c), s)
	if err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	if w.JSON {
		if err := w.json(out); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w.Out, "%s\ntrace hash %s\n", out.String(), out.TraceHash)
	}
	if code := codeOf(out.Verdict); code != exit.OK {
		return exit.Errorf(code, "%s", out.String())
	}
	return nil
}

func codeOf(v explore.Verdict) int {
	switch v {
	case explore.Violation:
		return exit.Safety
	case explore.Undecided:
		return exit.Undecided
	case explore.NoProgress:
		return exit.Liveness
	}
	return exit.OK
}

func shrunk(c *scenario.Catalog, sp *explore.Space, f *explore.Finding, budget int) string {
	sh := explore.Shrink(sp, explore.NewSimulator(c), f, budget)
	b, err := json.Marshal(sh.Scenario)
	if err != nil {
		return "\n" + err.Error()
	}
	return fmt.Sprintf("\nshrunk in %d runs (%s): edgebft check --scenario '%s'", sh.Runs, sh.Outcome.String(), b)
}

func printSummary(w IO, s explore.Summary) error {
	var rows [][]string
	line := func(c explore.Counts) []string {
		var why []string
		for name, n := range c.Excused {
			why = append(why, fmt.Sprintf("%s %d", name, n))
		}
		sort.Strings(why)
		return []string{c.Strategy, fmt.Sprint(c.Ran), fmt.Sprint(c.OK), strings.Join(why, ", "), fmt.Sprint(c.Undecided), fmt.Sprint(c.NoProgress), fmt.Sprint(c.Violations)}
	}
	for _, c := range s.Strategies {
		rows = append(rows, line(c))
	}
	rows = append(rows, line(s.Total()))
	if err := sweep.WriteTable(w.Out, []string{"strategy", "schedules", "ok", "excused", "undecided", "no progress", "violations"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w.Out, "%s: seeds %d to %d, %d requests, %d events, %s of virtual time in %s (%.0f schedules/s); random, not exhaustive\n",
		s.Protocol, s.First, s.First+int64(s.Ran)-1, s.Requests, s.Events, s.Virtual.Round(time.Second), s.Wall.Round(time.Millisecond), float64(s.Ran)/s.Wall.Seconds())
	return err
}

// CalibrateOptions are the flags of edgebft calibrate.
type CalibrateOptions struct {
	Name, Dir, Out string
	Rounds         int
	Force          bool
}

// Calibrate measures this host into a profile.
func Calibrate(w IO, o CalibrateOptions) error {
	opt := profile.Options{Name: o.Name, Dir: o.Dir, Rounds: o.Rounds, Force: o.Force}
	if !w.Quiet {
		opt.Progress = func(round, rounds int) { fmt.Fprintf(w.Err, "round %d of %d\n", round+1, rounds) }
	}
	p, err := profile.Measure(opt)
	if err != nil {
		return exit.Wrap(exit.Invalid, err)
	}
	if o.Out == "" {
		_, err = w.Out.Write(p.Encode())
		return err
	}
	if err := writeNew(o.Out, p.Encode()); err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	fmt.Fprintln(w.Out, o.Out)
	return nil
}
