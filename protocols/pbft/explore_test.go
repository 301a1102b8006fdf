package pbft_test

import (
	"context"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/explore"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/pbft"
)

var seeds = flag.Int("seeds", 2000, "schedules in which exploration has to find each deliberate bug")

// Exploration finds every bug that is put into PBFT on purpose.
func TestExplorationFindsDeliberateBugs(t *testing.T) {
	for i, m := range pbft.Mutations {
		t.Run(m.Name, func(t *testing.T) {
			c := run.Catalog()
			c.Registry = protocols.NewRegistry(pbft.Broken(i))
			sp, err := explore.NewSpace(c, "broken")
			require.NoError(t, err)
			camp := explore.Campaign{Space: sp, NewRunner: func() explore.Runner { return explore.NewSimulator(c) }, Seeds: *seeds}
			sum, err := camp.Run(context.Background())
			require.NoError(t, err)
			require.NotEmpty(t, sum.Findings, "nothing noticed the bug in %d schedules", sum.Ran)
			f := sum.Findings[0]
			t.Logf("seed %d (%s): %s", f.Seed, f.Strategy, f.Outcome.String())
		})
	}
}
