package run

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/suite"
)

// The smallest cells of the quickstart measure whole sessions of all families of
// transactions, from the opening to the end.
func TestQuickstartMeasuresWholeSessions(t *testing.T) {
	st, err := suite.Load("quickstart", "")
	require.NoError(t, err)
	c := Catalog()
	cells, err := st.Expand(c)
	require.NoError(t, err)
	looked := 0
	for _, cell := range cells {
		s := cell.Scenario
		if s.N != 4 || s.Seed != 1 || cell.Run == "leader-crash" || cell.Run == "" && s.Workload.Rate.PerSecond() != 800 {
			continue
		}
		looked++
		out, err := Sim(context.Background(), c, s, Options{})
		require.NoError(t, err)
		r := out.Result
		require.Empty(t, r.Safety.Violations)
		require.True(t, r.Validity.Valid, r.Validity.Reasons)
		require.Less(t, r.Rejected*50, r.Committed, cell.Label())
		ended := map[string]int64{}
		for _, class := range r.Classes {
			ended[class.Name] = class.Committed - class.Rejected
		}
		for _, name := range []string{"DeviceCheckIn", "AwardPay", "KeyDeliver", "SampleReport", "VerdictFinalize", "ChannelClaim", "Transfer"} {
			require.Positive(t, ended[name], "%s: %s", cell.Label(), name)
		}
	}
	require.Equal(t, 2, looked)
}

// A generator that has nothing to send is not a slow system.
func TestStarvationIsNamed(t *testing.T) {
	for workload, want := range map[string]bool{
		"app: w3, rate: 2k/s, keys: 4":                                     true, // four auctions at a time
		"app: market, rate: 400/s, options: {tick: 20ms, epoch_ticks: 30}": false,
	} {
		r := simulate(t, "{protocol: pbft, clients: 64, client_hosts: 1, window: {warmup: 500ms, measure: 500ms, cooldown: 0s}, workload: {kind: open, "+workload+"}}", Options{}).Result
		found := false
		for _, reason := range r.Validity.Reasons {
			found = found || strings.Contains(reason, "the workload had nothing to send for")
		}
		require.Equal(t, want, found, "%s: %v", workload, r.Validity.Reasons)
		require.Equal(t, !want, r.Validity.Valid, r.Validity.Reasons)
	}
}
