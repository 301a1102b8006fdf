package run

import (
	"testing"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/stretchr/testify/require"
)

// What a sweep orders by must at least tell the small from the large.
func TestEstimateGrowsWithTheRun(t *testing.T) {
	estimate := func(text string) (float64, int64) {
		s, err := scenario.Parse("test.yaml", []byte(text))
		require.NoError(t, err)
		require.NoError(t, s.Resolve(Catalog()))
		return Estimate(s)
	}
	work, memory := estimate("{protocol: pbft, f: 1, workload: {app: micro}}")
	require.Positive(t, work)
	require.GreaterOrEqual(t, memory, int64(bytesBase))
	for _, larger := range []string{
		"{protocol: pbft, f: 3, workload: {app: micro}}",
		"{protocol: pbft, f: 1, workload: {app: market}}",
		"{protocol: pbft, f: 1, clients: 4096, workload: {app: micro, kind: open, rate: 90k/s}}",
	} {
		w, m := estimate(larger)
		require.Greater(t, w, work, larger)
		require.Greater(t, m, memory, larger)
	}
	w, m := estimate("{protocol: pbft, f: 1, workload: {app: micro, think: 1s}}")
	require.Less(t, w, work)
	require.Equal(t, memory, m)
}
