package explore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/catalog"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/adversary"
	"github.com/edgebft/edgebft/protocols/pbft"
)

func simCatalog(more ...protocols.Entry) *scenario.Catalog {
	registry := catalog.Protocols()
	if len(more) > 0 {
		registry = protocols.NewRegistry(more...)
	}
	return &scenario.Catalog{
		Registry:   registry,
		Attacks:    adversary.All(nil),
		Apps:       run.Catalog().Apps,
		Topologies: topology.Names(),
		Profiles:   profile.Names(),
	}
}

// campaign explores a protocol of a catalog.
func campaign(t testing.TB, c *scenario.Catalog, protocol string, seeds int, strategies ...string) Summary {
	sp, err := NewSpace(c, protocol, strategies...)
	require.NoError(t, err)
	camp := Campaign{Space: sp, NewRunner: func() Runner { return NewSimulator(c) }, Seeds: seeds}
	sum, err := camp.Run(context.Background())
	require.NoError(t, err)
	return sum
}

func TestPBFTWithstandsRandomSchedules(t *testing.T) {
	sum := campaign(t, simCatalog(), "pbft", 400)
	for _, f := range sum.Findings {
		t.Errorf("seed %d (%s): %s", f.Seed, f.Strategy, f.Outcome.String())
	}
	require.Equal(t, 400, sum.Ran)
	require.Equal(t, 400, sum.Total().OK)
	require.Greater(t, sum.Requests, 1000)
}

// careless is PBFT whose replicas and clients believe that f is smaller than it
// is: quorums do not meet in a correct replica.
func careless() protocols.Entry {
	e := pbft.Protocol()
	e.Name = "careless"
	less := func(c *protocols.Config) *protocols.Config {
		d := *c
		d.F = 0
		return &d
	}
	newReplica, newClient := e.NewReplica, e.NewClient
	e.NewReplica = func(c *protocols.Config) []protocols.Node { return newReplica(less(c)) }
	e.NewClient = func(c *protocols.Config) protocols.Client { return newClient(less(c)) }
	return e
}

func TestCarelessQuorumsAreFoundReplayedAndShrunk(t *testing.T) {
	c := simCatalog(careless())
	sum := campaign(t, c, "careless", 2000)
	require.Len(t, sum.Findings, 1, "%+v", sum.Total())
	f := sum.Findings[0]
	t.Logf("seed %d after %d schedules: %s", f.Seed, sum.Ran, f.Outcome.String())
	require.Equal(t, Violation, f.Outcome.Verdict)

	sp, err := NewSpace(c, "careless")
	require.NoError(t, err)
	r := NewSimulator(c)
	again, err := sp.Run(r, sp.Draw(f.Seed).Scenario)
	require.NoError(t, err)
	require.Equal(t, f.Outcome, again, "the seed replays it")

	small := Shrink(sp, r, &f, 200)
	t.Logf("%d runs: %s", small.Runs, small.Outcome.String())
	require.Equal(t, f.Outcome.Invariant, small.Outcome.Invariant)
	require.LessOrEqual(t, len(small.Scenario.Faults), len(f.Schedule.Scenario.Faults))
	require.LessOrEqual(t, small.Scenario.Window.Measure, f.Schedule.Scenario.Window.Measure)
	require.LessOrEqual(t, small.Scenario.Clients, f.Schedule.Scenario.Clients)
	text, err := small.Scenario.MarshalJSON()
	require.NoError(t, err)
	back, err := scenario.Parse("shrunk.yaml", text)
	require.NoError(t, err)
	out, err := sp.Run(r, back)
	require.NoError(t, err)
	require.Equal(t, small.Outcome, out, "its file replays it")
}

// BenchmarkSchedules reports schedules per second and core: of all kinds as a
// campaign draws them, and of those with four replicas.
func BenchmarkSchedules(b *testing.B) {
	c := simCatalog()
	sp, err := NewSpace(c, "pbft")
	require.NoError(b, err)
	for name, most := range map[string]int{"all": protocols.MaxReplicas, "n=4": 4} {
		b.Run(name, func(b *testing.B) {
			r := NewSimulator(c)
			var events uint64
			seed := int64(0)
			for b.Loop() {
				s := sp.Draw(seed)
				for s.Scenario.N > most {
					seed++
					s = sp.Draw(seed)
				}
				seed++
				out, err := sp.Run(r, s.Scenario)
				require.NoError(b, err)
				require.Equal(b, OK, out.Verdict, "seed %d: %s", s.Seed, out.String())
				events += out.Events
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "schedules/s")
			b.ReportMetric(float64(events)/float64(b.N), "events/schedule")
		})
	}
}
