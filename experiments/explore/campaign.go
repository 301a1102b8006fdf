package explore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
)

// Campaign explores a range of seeds.
type Campaign struct {
	Space *Space
	// NewRunner returns the runner of one worker.
	NewRunner func() Runner
	// First is the first seed, Seeds how many follow, itself included.
	First int64
	Seeds int
	// Jobs is the number of workers; 0 takes one per core.
	Jobs int
	// KeepGoing counts findings and does not stop at the first.
	KeepGoing bool
	// Progress, if not nil, is told about every finished schedule, from one
	// goroutine at a time.
	Progress func(Summary)
}

// Counts says how the schedules of one strategy ended.
type Counts struct {
	Strategy string `json:"strategy"`
	Ran      int    `json:"ran"`
	OK       int    `json:"ok"`
	// Undecided runs had a checker that gave up; they are no passes.
	Undecided  int `json:"undecided"`
	NoProgress int `json:"no_progress"`
	Violations int `json:"violations"`
	// Excused counts runs without progress by the name of the excuse.
	Excused map[string]int `json:"excused"`
}

// Summary is what a campaign did.
type Summary struct {
	Protocol string `json:"protocol"`
	// First and Seeds are the range asked for; Ran may be less, after a finding.
	First int64 `json:"first_seed"`
	Seeds int   `json:"seeds"`
	Ran   int   `json:"ran"`
	// Strategies in their fixed order.
	Strategies []Counts `json:"strategies"`
	// Events, Requests and Virtual are totals over all runs.
	Events   uint64        `json:"events"`
	Requests int           `json:"requests"`
	Virtual  time.Duration `json:"virtual_ns"`
	// Wall depends on the machine.
	Wall time.Duration `json:"wall_ns"`
	// Findings in ascending order of seed; without KeepGoing at most one.
	Findings []Finding `json:"findings"`
	// Undecided lists the undecided schedules with the lowest seeds, at most
	// maxUndecided.
	Undecided []Finding `json:"undecided,omitempty"`
}

// Finding is a schedule that ended badly.
type Finding struct {
	Schedule Schedule `json:"-"`
	Seed     int64    `json:"seed"`
	Strategy string   `json:"strategy"`
	Outcome  Outcome  `json:"outcome"`
}

// ReplayLine returns the command that runs the schedule of the finding again.
func (f *Finding) ReplayLine() string {
	line := fmt.Sprintf("edgebft check --protocol %s --first-seed %d --seeds 1", f.Schedule.Scenario.Protocol, f.Seed)
	if f.Schedule.restricted != "" { // what a seed draws depends on the choice
		line += " --strategy " + f.Schedule.restricted
	}
	return line
}

// Total adds the counts of all strategies.
func (s *Summary) Total() Counts {
	t := Counts{Strategy: "all", Excused: make(map[string]int)}
	for _, c := range s.Strategies {
		t.Ran += c.Ran
		t.OK += c.OK
		t.Undecided += c.Undecided
		t.NoProgress += c.NoProgress
		t.Violations += c.Violations
		for why, n := range c.Excused {
			t.Excused[why] += n
		}
	}
	return t
}

// Check reports what is wrong with the range of seeds or the number of workers.
func (c *Campaign) Check() error {
	switch {
	case c.Seeds < 1:
		return fmt.Errorf("seeds is %d; it must be at least 1", c.Seeds)
	case c.First < 0:
		return fmt.Errorf("the first seed is %d; it must be 0 or more", c.First)
	case c.First > math.MaxInt64-int64(c.Seeds):
		return fmt.Errorf("%d seeds from %d on go beyond the largest, %d; begin with a smaller one", c.Seeds, c.First, int64(math.MaxInt64-1))
	case c.Jobs < 0:
		return fmt.Errorf("jobs is %d; it must be 0 (one per core) or more", c.Jobs)
	}
	return nil
}

// Run explores. It returns early, with what it has, when ctx is done. The error
// says that a schedule could not be run, which is a mistake in this program or
// in the declarations of the protocol, and names the seed.
func (c *Campaign) Run(ctx context.Context) (Summary, error) {
	if err := c.Check(); err != nil {
		return Summary{}, err
	}
	jobs := c.Jobs
	if jobs == 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	// A schedule makes much garbage and keeps little.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	begin := time.Now()
	r := &tour{c: c, next: c.First, end: c.First + int64(c.Seeds), begin: begin}
	r.sum = Summary{Protocol: c.Space.entry.Name, First: c.First, Seeds: c.Seeds}
	for _, st := range c.Space.chosen {
		r.sum.Strategies = append(r.sum.Strategies, Counts{Strategy: st.Name, Excused: make(map[string]int)})
	}
	var workers sync.WaitGroup
	for range min(jobs, c.Seeds) {
		workers.Go(func() { r.work(ctx, c.NewRunner()) })
	}
	workers.Wait()
	r.sum.Wall = time.Since(begin)
	sort.Slice(r.sum.Findings, func(i, j int) bool { return r.sum.Findings[i].Seed < r.sum.Findings[j].Seed })
	if !c.KeepGoing && len(r.sum.Findings) > 1 {
		r.sum.Findings = r.sum.Findings[:1]
	}
	if err := r.err; err != nil {
		return r.sum, err
	}
	return r.sum, ctx.Err()
}

// maxUndecided bounds what a summary keeps of undecided schedules.
const maxUndecided = 8

// tour is a campaign under way.
type tour struct {
	c     *Campaign
	end   int64
	begin time.Time

	mu   sync.Mutex
	next int64
	sum  Summary
	err  error
}

// take returns the next seed. Seeds are handed out in ascending order and every
// one handed out is finished; so the lowest finding is the same with any number
// of workers.
func (r *tour) take() (int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || r.next >= r.end || len(r.sum.Findings) > 0 && !r.c.KeepGoing {
		return 0, false
	}
	r.next++
	return r.next - 1, true
}

func (r *tour) work(ctx context.Context, runner Runner) {
	for ctx.Err() == nil {
		seed, ok := r.take()
		if !ok {
			return
		}
		sched := r.c.Space.Draw(seed)
		out, err := r.c.Space.Run(runner, sched.Scenario)
		r.finish(sched, out, err)
	}
}

// finish counts a schedule.
func (r *tour) finish(sched Schedule, out Outcome, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("seed %d (%s) cannot be run: %w", sched.Seed, sched.Strategy, err))
		return
	}
	s := &r.sum
	s.Ran++
	s.Events += out.Events
	s.Requests += out.Requests
	s.Virtual += out.Virtual
	s.Wall = time.Since(r.begin)
	for i := range s.Strategies {
		n := &s.Strategies[i]
		if n.Strategy != sched.Strategy {
			continue
		}
		n.Ran++
		switch out.Verdict {
		case OK:
			n.OK++
		case Excused:
			n.Excused[out.Invariant]++
		case Undecided:
			n.Undecided++
		case NoProgress:
			n.NoProgress++
		case Violation:
			n.Violations++
		}
	}
	if out.Verdict == Undecided {
		s.Undecided = append(s.Undecided, Finding{Schedule: sched, Seed: sched.Seed, Strategy: sched.Strategy, Outcome: out})
		sort.Slice(s.Undecided, func(i, j int) bool { return s.Undecided[i].Seed < s.Undecided[j].Seed })
		s.Undecided = s.Undecided[:min(len(s.Undecided), maxUndecided)]
	}
	if out.bad() {
		s.Findings = append(s.Findings, Finding{Schedule: sched, Seed: sched.Seed, Strategy: sched.Strategy, Outcome: out})
	}
	if r.c.Progress != nil {
		r.c.Progress(*s)
	}
}

// Run resolves a copy of a drawn scenario and runs it. A panic of a node is a
// violation: correct code does not panic whatever it is sent.
func (sp *Space) Run(runner Runner, s *scenario.Scenario) (out Outcome, err error) {
	c := clone(s)
	if err := c.Resolve(sp.catalog); err != nil {
		return Outcome{}, err
	}
	if c.Checks.LivenessBound == 0 {
		c.Checks.LivenessBound = strict.Duration(Bound(sp.entry, c))
	}
	defer func() {
		if p := recover(); p != nil {
			out = Outcome{Verdict: Violation, Invariant: "panic", Node: -1, Detail: fmt.Sprintf("%v\n%s", p, debug.Stack())}
			err = nil
		}
	}()
	out, err = runner.Run(c)
	if err == nil && out.Verdict == NoProgress {
		if why := sp.excuse(c); why != "" {
			out.Verdict, out.Invariant = Excused, why
		}
	}
	return out, err
}

// excuse names what entitles a resolved scenario to make no progress.
func (sp *Space) excuse(s *scenario.Scenario) string {
	faulty := make(map[scenario.Node]bool)
	for _, a := range s.Adversaries {
		for _, n := range a.Nodes {
			if _, ok := n.Replica(); ok {
				faulty[n] = true
			}
		}
	}
	for _, f := range s.Faults {
		if f.Kind == "disk-corrupt" || f.Kind == "crash" && (f.Disk == "wipe" || f.Disk == "forget" || f.For == 0 || volatile(s)) {
			for _, n := range f.Nodes {
				if _, ok := n.Replica(); ok {
					faulty[n] = true
				}
			}
		}
	}
	if len(faulty) > s.F {
		return ExcuseBeyondF
	}
	return ""
}
