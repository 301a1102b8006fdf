package explore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads"
)

// testCatalog has a Byzantine, a crash-fault and a cross-fault protocol that are
// drawn for and never run.
func testCatalog() *scenario.Catalog {
	entry := func(name string, m protocols.FaultModel, replicas func(f int) int) protocols.Entry {
		return protocols.Entry{
			Name: name, FaultModel: m, Replicas: replicas, Complete: true, Hosts: protocols.OnSimulator,
			Messages:   func() *protocols.MessageTable { return protocols.NewMessageTable() },
			NewReplica: func(*protocols.Config) []protocols.Node { return nil },
			NewClient:  func(*protocols.Config) protocols.Client { return nil },
			Options: []protocols.Option{
				{Name: "batch.max", Kind: protocols.OptionInt, Default: 64, Min: 1, Max: 4096},
				{Name: "timeout", Kind: protocols.OptionDuration, Default: int64(200 * time.Millisecond), Min: int64(time.Millisecond), Max: int64(time.Hour)},
				{Name: "flush", Kind: protocols.OptionBytes, Default: 1 << 16, Min: 1, Max: 1 << 20},
				{Name: "log", Kind: protocols.OptionBool, Default: 1},
				{Name: "order", Kind: protocols.OptionChoice, Choices: []string{"fifo", "lifo"}},
			},
			Attacks: []protocols.Attack{{Name: "equivocate", Options: []protocols.Option{{Name: "rounds", Kind: protocols.OptionInt, Default: 3, Min: 1, Max: 9}}}},
		}
	}
	return &scenario.Catalog{
		Registry: protocols.NewRegistry(
			entry("bft", protocols.Byzantine, func(f int) int { return 3*f + 1 }),
			entry("cft", protocols.Crash, func(f int) int { return 2*f + 1 }),
			entry("xft", protocols.CrossFault, func(f int) int { return 2*f + 1 }),
		),
		Attacks:    []protocols.Attack{{Name: "silent"}, {Name: "byzzfuzz"}, {Name: "mutate"}},
		Apps:       []scenario.App{{Name: "micro"}, {Name: "kv"}, {Name: "market", Options: marketOptions()}},
		Topologies: []string{"lan", "metro"},
		Profiles:   []string{"pi"},
	}
}

func marketOptions() []protocols.Option {
	app, err := workloads.Lookup("market")
	if err != nil {
		panic(err)
	}
	return app.Options
}

func newSpace(t testing.TB, protocol string, strategies ...string) *Space {
	sp, err := NewSpace(testCatalog(), protocol, strategies...)
	require.NoError(t, err)
	return sp
}

// fake judges scenarios without running them.
type fake func(s *scenario.Scenario) (Outcome, error)

func (f fake) Run(s *scenario.Scenario) (Outcome, error) { return f(s) }

func TestDrawStaysWithinWhatTheProtocolPromises(t *testing.T) {
	for _, protocol := range []string{"bft", "cft", "xft"} {
		t.Run(protocol, func(t *testing.T) {
			sp := newSpace(t, protocol)
			kinds, strategies, sizes, disks := map[string]int{}, map[string]int{}, map[int]int{}, map[string]int{}
			wipes, traitors, clients := 0, 0, 0
			for seed := range int64(3000) {
				sched := sp.Draw(seed)
				s := clone(sched.Scenario)
				require.NoError(t, s.Resolve(sp.catalog), "seed %d", seed)
				strategies[sched.Strategy]++
				sizes[s.N]++
				require.LessOrEqual(t, CalmAt(s), s.Window.Total()*3/4+time.Microsecond, "requests go on into the calm phase")
				require.Greater(t, Bound(sp.entry, s), CalmAt(s))
				faulty := map[scenario.Node]bool{}
				for _, a := range s.Adversaries {
					for _, n := range a.Nodes {
						if _, ok := n.Client(); ok {
							require.Equal(t, "bft", protocol)
							clients++
							continue
						}
						faulty[n] = true
						traitors++
					}
				}
				for _, f := range s.Faults {
					kinds[f.Kind]++
					require.Equal(t, f.Kind != "disk-corrupt", f.For > 0, "every fault ends")
					if f.Disk == "wipe" {
						wipes++
					}
					client := len(f.Nodes) > 0 && f.Nodes[0][0] == 'c'
					if lost := f.Disk == "wipe" || f.Disk == "forget"; lost || f.Kind == "disk-corrupt" || f.Kind == "crash" && !client && volatile(s) {
						require.NotContains(t, f.Nodes, scenario.Primary, "whoever that will be")
						for _, n := range f.Nodes {
							faulty[n] = true
						}
					}
					disks[f.Disk]++
				}
				require.LessOrEqual(t, len(faulty), s.F, "seed %d: Byzantine or without disk", seed)
				require.Empty(t, sp.excuse(s))
				if protocol == "cft" {
					require.Empty(t, faulty)
				}
				if protocol == "xft" && len(s.Adversaries) > 0 {
					require.Empty(t, s.Faults, "traitors and faults at once are anarchy")
				}
			}
			require.Len(t, strategies, len(sp.chosen), "every strategy is drawn")
			for _, kind := range allFaults {
				require.Equal(t, protocol == "bft" || kind != "disk-corrupt", kinds[kind] > 0, "%s", kind)
			}
			require.Positive(t, disks["torn"])
			require.Equal(t, protocol == "bft", disks["forget"] > 0)
			require.GreaterOrEqual(t, len(sizes), 6, "n goes beyond the least number")
			require.Equal(t, protocol == "bft", wipes > 0)
			require.Equal(t, protocol != "cft", traitors > 0)
			require.Equal(t, protocol == "bft", clients > 0)
		})
	}
}

func TestDrawIsAFunctionOfProtocolAndSeed(t *testing.T) {
	a, b := newSpace(t, "bft"), newSpace(t, "bft")
	seen := map[string]bool{}
	for seed := range int64(200) {
		x, y := a.Draw(seed), b.Draw(seed)
		require.Equal(t, x, y)
		require.NoError(t, x.Scenario.Resolve(a.catalog))
		seen[x.Scenario.ID()] = true
	}
	require.Len(t, seen, 200, "every seed is another schedule")
}

func TestDrawnScenarioSurvivesItsFile(t *testing.T) {
	sp := newSpace(t, "bft")
	for seed := range int64(300) {
		s := sp.Draw(seed).Scenario
		require.NoError(t, s.Resolve(sp.catalog))
		text, err := s.MarshalJSON()
		require.NoError(t, err)
		back, err := scenario.Parse("drawn.yaml", text)
		require.NoError(t, err, "%s", text)
		require.NoError(t, back.Resolve(sp.catalog))
		require.Equal(t, s.ID(), back.ID(), "%s", text)
	}
}

func TestStrategiesAreChecked(t *testing.T) {
	for _, tt := range []struct{ protocol, strategy, want string }{
		{"bft", "swarn", `unknown strategy "swarn"; did you mean "swarm"?`},
		{"cft", "byzzfuzz", "strategy byzzfuzz does not apply to cft: it does not withstand Byzantine replicas"},
		{"nft", "swarm", `unknown protocol "nft"`},
	} {
		_, err := NewSpace(testCatalog(), tt.protocol, tt.strategy)
		require.ErrorContains(t, err, tt.want)
	}
	sp := newSpace(t, "bft", "crashes")
	for seed := range int64(50) {
		require.Equal(t, "crashes", sp.Draw(seed).Strategy)
	}
	f := Finding{Schedule: sp.Draw(3), Seed: 3}
	require.Equal(t, "edgebft check --protocol bft --first-seed 3 --seeds 1 --strategy crashes", f.ReplayLine())
}

func TestCampaignFindsTheLowestSeedWithAnyNumberOfWorkers(t *testing.T) {
	runner := fake(func(s *scenario.Scenario) (Outcome, error) {
		out := Outcome{Events: 10, Requests: 2}
		if s.Seed%97 == 96 {
			out.Verdict, out.Invariant = Violation, "agreement"
		}
		return out, nil
	})
	for _, jobs := range []int{1, 2, 7} {
		c := Campaign{Space: newSpace(t, "bft"), NewRunner: func() Runner { return runner }, First: 10, Seeds: 1000, Jobs: jobs}
		sum, err := c.Run(context.Background())
		require.NoError(t, err)
		require.Len(t, sum.Findings, 1)
		require.EqualValues(t, 96, sum.Findings[0].Seed)
		require.Equal(t, "agreement", sum.Findings[0].Outcome.Invariant)
		require.Equal(t, "edgebft check --protocol bft --first-seed 96 --seeds 1", sum.Findings[0].ReplayLine())
		require.GreaterOrEqual(t, sum.Ran, 87)
		if jobs == 1 {
			require.Equal(t, 87, sum.Ran, "it stops at the finding")
		}
		require.Equal(t, sum.Ran, sum.Total().Ran)
		require.EqualValues(t, 10*sum.Ran, sum.Events)
	}
}

func TestCampaignCounts(t *testing.T) {
	runner := fake(func(s *scenario.Scenario) (Outcome, error) {
		switch s.Seed % 5 {
		case 1:
			return Outcome{Verdict: Undecided, Invariant: "linearizability"}, nil
		case 2:
			return Outcome{Verdict: NoProgress, Invariant: "liveness"}, nil
		case 3:
			return Outcome{Verdict: Violation, Invariant: "root"}, nil
		}
		return Outcome{}, nil
	})
	calls := 0
	c := Campaign{Space: newSpace(t, "bft"), NewRunner: func() Runner { return runner }, Seeds: 500, Jobs: 2, KeepGoing: true, Progress: func(Summary) { calls++ }}
	sum, err := c.Run(context.Background())
	require.NoError(t, err)
	require.Equal(t, 500, calls)
	require.Equal(t, Counts{Strategy: "all", Ran: 500, OK: 200, Undecided: 100, NoProgress: 100, Violations: 100, Excused: map[string]int{}}, sum.Total())
	require.Len(t, sum.Findings, 200)
	require.EqualValues(t, 2, sum.Findings[0].Seed)
	require.Len(t, sum.Undecided, maxUndecided, "somebody has to look at them")
	require.EqualValues(t, []int64{1, 6}, []int64{sum.Undecided[0].Seed, sum.Undecided[1].Seed})
}

func TestCampaignReportsWhatCannotBeRun(t *testing.T) {
	runner := fake(func(s *scenario.Scenario) (Outcome, error) {
		if s.Seed == 3 {
			return Outcome{}, errors.New("no such place")
		}
		return Outcome{}, nil
	})
	c := Campaign{Space: newSpace(t, "bft"), NewRunner: func() Runner { return runner }, Seeds: 100, Jobs: 1}
	sum, err := c.Run(context.Background())
	require.ErrorContains(t, err, "seed 3")
	require.ErrorContains(t, err, "no such place")
	require.Equal(t, 3, sum.Ran)

	for _, bad := range []Campaign{{Seeds: 0}, {Seeds: 1, First: -1}, {Seeds: 1, Jobs: -1}} {
		_, err := bad.Run(context.Background())
		require.Error(t, err)
	}
}

func TestCampaignStopsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	runner := fake(func(s *scenario.Scenario) (Outcome, error) {
		if s.Seed == 5 {
			cancel()
		}
		return Outcome{}, nil
	})
	c := Campaign{Space: newSpace(t, "bft"), NewRunner: func() Runner { return runner }, Seeds: 1_000_000, Jobs: 1}
	sum, err := c.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 6, sum.Ran)
}

func TestPanicIsAViolation(t *testing.T) {
	sp := newSpace(t, "bft")
	out, err := sp.Run(fake(func(*scenario.Scenario) (Outcome, error) { panic("index out of range") }), sp.Draw(1).Scenario)
	require.NoError(t, err)
	require.Equal(t, Violation, out.Verdict)
	require.Equal(t, "panic", out.Invariant)
	require.Contains(t, out.Detail, "index out of range")
}

func TestExcuseIsProvenFromTheScenario(t *testing.T) {
	sp := newSpace(t, "bft")
	stuck := fake(func(*scenario.Scenario) (Outcome, error) {
		return Outcome{Verdict: NoProgress, Invariant: "liveness"}, nil
	})
	s := scenario.Default()
	s.Protocol, s.F, s.N = "bft", 1, 4
	out, err := sp.Run(stuck, s)
	require.NoError(t, err)
	require.Equal(t, NoProgress, out.Verdict)

	s.Faults = []scenario.Fault{
		{Kind: "crash", Nodes: nodes([]int{0})},
		{Kind: "crash", Nodes: nodes([]int{1}), For: 1000, Disk: "wipe"},
		{Kind: "crash", Nodes: nodes([]int{2}), For: 1000, Disk: "keep"},
	}
	out, err = sp.Run(stuck, s)
	require.NoError(t, err)
	require.Equal(t, Excused, out.Verdict)
	require.Equal(t, ExcuseBeyondF, out.Invariant)

	for kind, excused := range map[string]bool{"disk-corrupt": true, "disk-error": false, "disk-full": false} {
		s.Faults = []scenario.Fault{
			{Kind: "crash", Nodes: nodes([]int{0}), For: 1000, Disk: "forget"},
			{Kind: kind, Nodes: nodes([]int{1}), For: 1000, Corrupt: 1},
		}
		if kind == "disk-corrupt" {
			s.Faults[1].For = 0
		} else {
			s.Faults[1].Corrupt = 0
		}
		out, err = sp.Run(stuck, s)
		require.NoError(t, err)
		require.Equal(t, excused, out.Verdict == Excused, "%s", kind)
	}
}

// TestShrinkKeepsWhatIsNeeded plants a fault that needs three things.
func TestShrinkKeepsWhatIsNeeded(t *testing.T) {
	planted := fake(func(s *scenario.Scenario) (Outcome, error) {
		crash, lie := false, false
		for _, f := range s.Faults {
			if f.Kind == "crash" && contains(replicas(f.Nodes), 1) {
				crash = true
			}
		}
		for _, a := range s.Adversaries {
			if a.Attack == "equivocate" && len(replicas(a.Nodes)) > 0 {
				lie = true
			}
		}
		switch {
		case crash && lie && s.Options.Set["batch.max"] != "":
			return Outcome{Verdict: Violation, Invariant: "agreement"}, nil
		case crash:
			return Outcome{Verdict: Violation, Invariant: "root"}, nil // another fault: not to be confused
		}
		return Outcome{}, nil
	})
	sp := newSpace(t, "bft")
	shrunk := 0
	for seed := int64(0); shrunk < 5 && seed < 100_000; seed++ {
		sched := sp.Draw(seed)
		out, err := sp.Run(planted, sched.Scenario)
		require.NoError(t, err)
		if out.Invariant != "agreement" {
			continue
		}
		shrunk++
		before := fmt.Sprintf("%+v", sched.Scenario)
		got := Shrink(sp, planted, &Finding{Schedule: sched, Outcome: out}, 2000)
		require.Equal(t, before, fmt.Sprintf("%+v", sched.Scenario), "the finding is left alone")
		require.Equal(t, "agreement", got.Outcome.Invariant)
		s := got.Scenario
		require.Len(t, s.Faults, 1)
		require.Equal(t, nodes([]int{1}), s.Faults[0].Nodes)
		require.Empty(t, s.Faults[0].Disk)
		require.Len(t, s.Adversaries, 1)
		require.Len(t, s.Options.Set, 1)
		require.Equal(t, 1, s.Clients)
		require.Equal(t, "stream", s.Transport)
		require.Zero(t, s.Loss+s.Duplicate+s.Reorder)
		require.Equal(t, sp.entry.Replicas(s.F), s.N)
		require.Less(t, got.Runs, 2000)
		again, err := sp.Run(planted, s)
		require.NoError(t, err)
		require.Equal(t, got.Outcome, again)
	}
	require.Equal(t, 5, shrunk)
}

func TestShrinkObeysItsBudget(t *testing.T) {
	sp := newSpace(t, "bft")
	runs := 0
	always := fake(func(*scenario.Scenario) (Outcome, error) {
		runs++
		return Outcome{Verdict: Violation, Invariant: "x"}, nil
	})
	got := Shrink(sp, always, &Finding{Schedule: sp.Draw(1), Outcome: Outcome{Verdict: Violation, Invariant: "x"}}, 3)
	require.Equal(t, 3, got.Runs)
	require.Equal(t, 3, runs)
}

func replicas(list []scenario.Node) []int {
	var out []int
	for _, n := range list {
		if r, ok := n.Replica(); ok {
			out = append(out, r)
		}
	}
	return out
}

func BenchmarkDraw(b *testing.B) {
	sp := newSpace(b, "bft")
	for i := 0; b.Loop(); i++ {
		s := sp.Draw(int64(i)).Scenario
		if err := clone(s).Resolve(sp.catalog); err != nil {
			b.Fatal(err)
		}
	}
}
