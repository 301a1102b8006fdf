package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
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
	campaign := explore.Campaign{
		Space: sp, NewRunner: func() explore.Runner { return explore.NewSimulator(c) },
		First: o.First, Seeds: o.Seeds, Jobs: o.Jobs, KeepGoing: o.KeepGoing,
	}
	if err := campaign.Check(); err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	if o.Show {
		for i := range int64(o.Seeds) {
			sch := sp.Draw(o.First + i)
			if err := w.json(sch.Scenario); err != nil {
				return err
			}
		}
		return nil
	}
	start, shown := time.Now(), time.Now()
	campaign.Progress = func(s explore.Summary) {
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
	return campaignVerdict(c, sp, &sum, o.Shrink)
}

// campaignVerdict turns the findings of a campaign into the exit of the program: the
// worst of them decides, and each comes with the line that replays it. The first one
// is made smaller by at most shrink runs.
func campaignVerdict(c *scenario.Catalog, sp *explore.Space, sum *explore.Summary, shrink int) error {
	var codes []int
	var lines []string
	var rev string
	for i := range sum.Findings {
		f := &sum.Findings[i]
		if rev == "" {
			rev = store.Discover("").Revision.String()
		}
		codes = append(codes, codeOf(f.Outcome.Verdict))
		lines = append(lines, fmt.Sprintf("seed %d (%s): %s\nreproduce: %s   # rev %s", f.Seed, f.Strategy, f.Outcome.String(), f.ReplayLine(), rev))
		if i == 0 && shrink > 0 {
			lines = append(lines, shrunk(c, sp, f, shrink))
		}
	}
	if n := sum.Total().Undecided; n > 0 {
		if len(codes) == 0 {
			codes = append(codes, exit.Undecided)
		}
		lines = append(lines, fmt.Sprintf("%d of %d schedules are undecided: a checker ran out of its budget", n, sum.Ran))
		for i := range sum.Undecided {
			f := &sum.Undecided[i]
			lines = append(lines, fmt.Sprintf("seed %d (%s): %s\nreproduce: %s", f.Seed, f.Strategy, f.Outcome.String(), f.ReplayLine()))
		}
	}
	code := exit.Worst(codes)
	if code == exit.OK {
		return nil
	}
	return exit.Errorf(code, "%s", strings.Join(lines, "\n"))
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
		return err.Error()
	}
	return fmt.Sprintf("shrunk in %d runs (%s): edgebft check --scenario '%s'", sh.Runs, sh.Outcome.String(), quotable(b))
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
	if err := opt.Check(); err != nil {
		return exit.Wrap(exit.Usage, err)
	}
	// The file comes first: to learn after a minute of measuring that it exists would
	// throw the profile away.
	var f *os.File
	if o.Out != "" {
		var err error
		if f, err = createNew(o.Out); err != nil {
			return err
		}
	}
	p, err := profile.Measure(opt)
	if err != nil {
		err = exit.Wrap(exit.Invalid, err)
	}
	var text []byte
	if err == nil {
		text = p.Encode()
	}
	if f != nil {
		err = fill(f, text, err)
	}
	switch {
	case err != nil:
		return err
	case w.JSON:
		return w.json(struct {
			Name string `json:"name"`
			File string `json:"file,omitempty"`
			Hash string `json:"hash"`
			Text string `json:"text"`
		}{p.Name, o.Out, p.Hash, string(text)})
	case f == nil:
		_, err = w.Out.Write(text)
	default:
		_, err = fmt.Fprintln(w.Out, o.Out)
	}
	return err
}
