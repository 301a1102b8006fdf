package run

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/scenario"
)

// BenchmarkWorkload reports simulated requests per second of wall time, with all
// checks on, beside the kernel's events.
func BenchmarkWorkload(b *testing.B) {
	for _, app := range []string{"micro", "kv", "market"} {
		b.Run(app, func(b *testing.B) {
			c := Catalog()
			for range b.N {
				s, err := scenario.Parse("bench", []byte("{protocol: pbft, clients: 16, seed: 7, duration: 1s, workload: {app: "+app+"}}"))
				require.NoError(b, err)
				require.NoError(b, s.Resolve(c))
				out, err := Sim(context.Background(), c, s, Options{})
				require.NoError(b, err)
				r := out.Result
				b.ReportMetric(float64(r.Committed)/r.Sim.WallS.Float(), "req/s-wall")
				b.ReportMetric(r.Sim.EventsPerS.Float()/1e6, "Mevents/s")
			}
		})
	}
}
