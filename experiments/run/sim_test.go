package run

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
)

func simulate(t *testing.T, text string, opt Options) *result.Outcome {
	t.Helper()
	c := Catalog()
	s, err := scenario.Parse("test.yaml", []byte(text))
	require.NoError(t, err)
	require.NoError(t, s.Resolve(c))
	out, err := Sim(context.Background(), c, s, opt)
	require.NoError(t, err)
	return out
}

func TestEveryWorkloadRuns(t *testing.T) {
	// w3 and w4 wait for auctions and voting epochs most of the time, so that a short
	// run of them says nothing about throughput.
	scarce := map[string]bool{"w3": true, "w4": true}
	for _, app := range Catalog().Apps {
		t.Run(app.Name, func(t *testing.T) {
			out := simulate(t, "{protocol: pbft, clients: 12, seed: 7, duration: 500ms, workload: {app: "+app.Name+", kind: open, rate: 300/s}}", Options{})
			require.Empty(t, out.Result.Safety.Violations)
			require.Equal(t, result.Pass, out.Result.Safety.Agreement)
			if scarce[app.Name] {
				return
			}
			state, reason := out.Result.Judge()
			require.Equal(t, result.OK, state, reason)
			require.NotZero(t, out.Result.Committed)
			require.Less(t, out.Result.Rejected*10, out.Result.Committed)
			require.NotEmpty(t, out.Timeline)
		})
	}
}

// The trace does not depend on how the kernel goes about it, on the encoding, or on
// the cryptography.
func TestTraceIsTheSameInEveryMode(t *testing.T) {
	base := "{protocol: pbft, clients: 8, seed: 3, window: {warmup: 10ms, measure: 100ms}, workload: {app: market, kind: closed}"
	want := simulate(t, base+"}", Options{}).Result.Sim.TraceHash
	require.Equal(t, want, simulate(t, base+"}", Options{Mode: netsim.Exact}).Result.Sim.TraceHash, "exact")
	require.Equal(t, want, simulate(t, base+"}", Options{Streams: netsim.StreamsOn}).Result.Sim.TraceHash, "streams")
	require.Equal(t, want, simulate(t, base+", wire: true}", Options{}).Result.Sim.TraceHash, "wire")
	require.Equal(t, want, simulate(t, base+", crypto: real}", Options{}).Result.Sim.TraceHash, "real cryptography")
	require.Equal(t, want, simulate(t, base+", crypto: real, wire: true}", Options{}).Result.Sim.TraceHash, "both")
	other := simulate(t, "{protocol: pbft, clients: 8, seed: 4, window: {warmup: 10ms, measure: 100ms}, workload: {app: market, kind: closed}}", Options{})
	require.NotEqual(t, want, other.Result.Sim.TraceHash)
}

func TestFaultsAreJudgedAndDrawn(t *testing.T) {
	out := simulate(t, `
protocol: pbft
clients: 8
duration: 4s
workload: {app: kv, kind: open, rate: 200/s}
options: {view_change_timeout: 200ms, client_timeout: 200ms}
faults:
  - {kind: crash, at: 1s, for: 1s, nodes: [primary]}
  - {kind: slow-link, at: 2500ms, for: 500ms, from: [1], delay: 5ms}
adversaries:
  - {nodes: [3], attack: silent}
beyond_f: true
`, Options{})
	r := out.Result
	require.Equal(t, result.Pass, r.Safety.Agreement)
	require.Equal(t, result.Pass, r.Safety.Liveness)
	require.Equal(t, result.Pass, r.Safety.Linearizable)
	require.Len(t, r.Faults, 2)
	require.Equal(t, "crash primary", r.Faults[0].Label)
}

// Which replicas share a host, and what network cards do, is part of a scenario.
func TestHostsAndNetworkCards(t *testing.T) {
	hashes := make(map[string]string)
	for _, text := range []string{"cores: 0", "nic: {sched: fair}", "nic: {forward: store}", "hosts: [0, 0, 1, 1]", "placement: shared", "hosts: [0, 0, 0, 0]"} {
		hosts := make(map[string]int)
		out := simulate(t, "{protocol: pbft, clients: 4, seed: 3, duration: 200ms, workload: {app: micro, kind: closed, request_bytes: 20kB}, "+text+"}", Options{Inspect: func(s *netsim.Sim) {
			for _, n := range s.Nodes() {
				if n.ID.IsReplica() {
					hosts[n.Host]++
				}
			}
		}})
		require.Equal(t, result.Pass, out.Result.Safety.Liveness, text)
		hashes[out.Result.Sim.TraceHash] = text
		want := map[string]int{"hosts: [0, 0, 1, 1]": 2, "placement: shared": 1, "hosts: [0, 0, 0, 0]": 1}[text]
		if want == 0 {
			want = 4
		}
		require.Len(t, hosts, want, text)
	}
	require.Len(t, hashes, 6, "each of them matters; placement: shared puts the clients there, too")
}
