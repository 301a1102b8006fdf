package run

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
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
	for _, text := range []string{"cores: 0", "nic: {sched: fair}", "faults: [{kind: crash, nodes: [0], at: 50ms, for: 20ms}], nic: {sched: fair}", "nic: {forward: store}", "hosts: [0, 0, 1, 1]", "placement: shared", "hosts: [0, 0, 0, 0]"} {
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
	require.Len(t, hashes, 7, "each of them matters; placement: shared puts the clients there, too")
}

// An open loop that offers ten times what its clients can submit: everything that was
// intended is counted, served late or censored.
func TestOverloadIsCounted(t *testing.T) {
	out := simulate(t, `
protocol: pbft
clients: 1
duration: 1s
topology: lan-10ms
workload: {kind: open, arrivals: constant, rate: 200/s, timeout: 2s}
`, Options{})
	r, l := out.Result, out.Load
	require.Equal(t, int64(200), l.Offered)
	require.Equal(t, "200", r.OfferedTPS.String())
	require.True(t, r.Steady.Saturated)
	require.Greater(t, l.Backlog[2], l.Backlog[1])
	require.Equal(t, l.Offered, r.LatencyMS.Count)
	require.Positive(t, r.TimedOut)
	require.Equal(t, result.Millis(2e9), r.LatencyMS.Max)
	state, _ := r.Judge()
	require.Equal(t, result.Invalid, state, "one client is not the system's fault")
}

// The collector of ledger time is a client, too: a run does not end while a tick
// that was invoked in time is under way.
func TestRunWaitsForTheLastTick(t *testing.T) {
	for _, seed := range []string{"1", "2", "3", "4", "5", "6"} {
		out := simulate(t, "{protocol: pbft, seed: "+seed+", duration: 2s, topology: ec2, workload: {app: market, kind: open, rate: 1/s}}", Options{})
		require.Equal(t, result.Pass, out.Result.Safety.Liveness, "seed %s: %v", seed, out.Result.Safety.Violations)
	}
}

// A topology that names profiles for its places gives them to the hosts there, unless
// the scenario names costs.
func TestHostsHaveTheProfilesOfTheirPlaces(t *testing.T) {
	const text = "{protocol: pbft, n: 5, f: 1, duration: 500ms, topology: t7-heterogeneous, transport: tcp, clients: 4"
	names := func(r *result.Result) (list []string) {
		for _, p := range r.Sim.Profiles {
			require.Len(t, p.Hash, 16)
			if p.ClientsOnly {
				p.Name += " of clients"
			}
			list = append(list, p.Name)
		}
		return list
	}
	own := simulate(t, text+"}", Options{}).Result
	require.Equal(t, "topology", own.Costs)
	require.Equal(t, []string{"pi5", "pi4"}, names(own))
	require.Contains(t, own.Labels, "CPU costs of pi4 emulated")
	require.Len(t, own.Sim.TopologyHash, 16)
	require.Equal(t, "exact", own.Sim.Mode)

	server := simulate(t, text+", costs: server}", Options{}).Result
	require.Equal(t, []string{"server"}, names(server))
	require.Greater(t, own.Cost.CPUMSPerReq.Float(), 2.5*server.Cost.CPUMSPerReq.Float())
	require.Contains(t, server.Labels, "CPU costs of server measured, but step, ops.apply, ops.snapshot assumed")

	pi := simulate(t, text+", costs: pi5}", Options{}).Result
	require.Equal(t, []string{"pi5", "server of clients"}, names(pi))
	require.Greater(t, own.Cost.CPUMSPerReq.Float(), pi.Cost.CPUMSPerReq.Float(), "one replica is a Pi 4")

	none := simulate(t, text+", costs: none}", Options{}).Result
	require.Empty(t, none.Sim.Profiles)
	require.Contains(t, none.Labels, "network-only model")
	require.Equal(t, -1, none.Validity.BottleneckPermille)
}

// A resource that is always busy makes a run saturated, not invalid, however short the
// window is and however many cores the host has; cores that share a little work do not.
func TestSaturationIsTheSystemsFault(t *testing.T) {
	const text = "{protocol: pbft, duration: 100ms, workload: {kind: open, timeout: 1s, rate: "
	for name, c := range map[string]struct {
		text  string
		bound bool
	}{
		"lane":        {text + "60k/s}, clients: 2048, cores: 8, costs: pi4, options: {batch_max: 1, log: false}}", true},
		"disk":        {text + "60k/s}, clients: 2048, costs: pi5}", true},
		"cores":       {text + "60k/s}, clients: 2048, cores: 1, costs: pi4, options: {batch_max: 1, log: false}}", true},
		"link":        {text + "40k/s}, clients: 1024, n: 16}", true},
		"few clients": {text + "20k/s}, clients: 2, cores: 8, costs: pi4, options: {log: false}}", false},
	} {
		r := simulate(t, c.text, Options{}).Result
		require.Equal(t, c.bound, r.Validity.BottleneckPermille >= 900, "%s: %d", name, r.Validity.BottleneckPermille)
		require.Greater(t, int64(r.Validity.GeneratorLagP99MS), int64(1e6), name)
		require.True(t, r.Steady.Saturated, name)
		require.Equal(t, c.bound, r.Validity.Valid, "%s: %v", name, r.Validity.Reasons)
	}
}

// built returns a run that has not begun.
func built(t *testing.T, text string) *run {
	t.Helper()
	c := Catalog()
	s, err := scenario.Parse("test.yaml", []byte(text))
	require.NoError(t, err)
	require.NoError(t, s.Resolve(c))
	x := newRun(s, Options{})
	require.NoError(t, x.build(c))
	return x
}

// A replica that executes from the beginning again without having restarted breaks
// integrity.
func TestOnlyARestartBeginsAgain(t *testing.T) {
	x := built(t, "{protocol: pbft, clients: 1}")
	first := protocols.Event{Kind: protocols.EventExecuted, Index: 1, Client: protocols.FirstClient, Timestamp: 1}
	x.checker.Observe(1, protocols.FirstClient, &protocols.Event{Kind: protocols.EventInvoked, Timestamp: 1})
	x.checker.Observe(2, 0, &first)
	x.checker.Restarted(0)
	x.checker.Observe(3, 0, &first)
	require.Empty(t, x.checker.Stopped())
	x.checker.Observe(4, 0, &first)
	require.Contains(t, x.checker.Stopped(), "executes index 1 after 1")
}

// Nobody may wait longer than the liveness bound once the faults are over.
func TestAStallInCalmIsLostLiveness(t *testing.T) {
	for _, c := range []struct {
		name, text string
		at         time.Duration
		stalls     bool
	}{
		{"in time", "", 59 * time.Second, false},
		{"too late", "", 61 * time.Second, true},
		{"bound of the scenario", ", checks: {liveness_bound: 2s}", 3 * time.Second, true},
		{"after the faults", ", faults: [{kind: pause, at: 1s, for: 1m, nodes: [0]}]", 2 * time.Minute, false},
		{"long after the faults", ", faults: [{kind: pause, at: 1s, for: 1m, nodes: [0]}]", 2*time.Minute + 2*time.Second, true},
		{"faults that wait", ", faults: [{kind: pause, on: {event: view-change}, for: 1m, nodes: [0]}]", time.Hour, false},
		{"not asked for", ", checks: {liveness: false}", time.Hour, false},
	} {
		x := built(t, "{protocol: pbft, clients: 1, duration: 2h"+c.text+"}")
		x.checker.Observe(0, protocols.FirstClient, &protocols.Event{Kind: protocols.EventInvoked, Timestamp: 1})
		x.checker.Observe(protocols.Time(c.at), protocols.FirstClient, &protocols.Event{Kind: protocols.EventInvoked, Timestamp: 2})
		require.Equal(t, c.stalls, x.checker.Stopped() != "", "%s: %s", c.name, x.checker.Stopped())
	}
}

func TestCountersOfTheLoadAreInTheResult(t *testing.T) {
	r := simulate(t, "{protocol: pbft, clients: 12, seed: 7, duration: 11s, workload: {app: w5, kind: open, arrivals: 'mmpp:ratio=20,quiet=2s,burst=1s', rate: 30/s}}", Options{}).Result
	require.Greater(t, r.Counters["promises"], uint64(100), "%v", r.Counters)
	require.Positive(t, r.Counters["sessions_channel"])
	require.GreaterOrEqual(t, r.Counters["submitted"], uint64(r.Committed))
	require.NotContains(t, r.Counters, "sessions_auction")
	require.NotNil(t, r.ArrivalDispersion)
	require.Greater(t, r.ArrivalDispersion.Float(), 2.0, "bursts are no Poisson process")
	poisson := simulate(t, "{protocol: pbft, clients: 12, seed: 7, duration: 11s, workload: {kind: open, rate: 100/s}}", Options{}).Result
	require.Less(t, poisson.ArrivalDispersion.Float(), 2.0)
	require.Empty(t, poisson.Counters["promises"])
	closed := simulate(t, "{protocol: pbft, clients: 2, duration: 100ms, workload: {kind: closed, think: 10ms}}", Options{}).Result
	require.Nil(t, closed.ArrivalDispersion)
	require.Positive(t, closed.Counters["completed"])
}
