package conformance

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/protocols"
)

var only = flag.String("protocol", "", "test only this protocol")

// script is one thing that a protocol must survive.
type script struct {
	name string
	// keys of the scenario, as in a file.
	keys string
	// lies says that it needs a protocol that tolerates Byzantine replicas.
	lies bool
	// moves says that the leader is hit, so that a view must change.
	moves bool
}

var scripts = []script{
	{name: "fault-free", keys: ""},
	{name: "larger cluster", keys: "f: 2"},
	{name: "one replica too many", keys: "extra: 1"},
	{name: "open loop", keys: "workload: {app: kv, kind: open, rate: 200/s}"},
	{name: "marketplace", keys: "workload: {app: market, kind: open, rate: 200/s, options: {tick: 100ms}}"},
	{name: "wide area", keys: "topology: ec2, duration: 4s"},
	{name: "edge radio", keys: "topology: wifi-good, transport: tcp"},
	{name: "backup crashes for good", keys: "faults: [{kind: crash, at: 300ms, nodes: [1]}]"},
	{name: "leader crashes for good", keys: "faults: [{kind: crash, at: 300ms, nodes: [primary]}]", moves: true},
	{name: "leader crashes and restarts", keys: "faults: [{kind: crash, at: 300ms, for: 500ms, nodes: [primary]}]"},
	{name: "restart with an empty disk", keys: "faults: [{kind: crash, at: 300ms, for: 100ms, nodes: [1], disk: wipe}]"},
	{name: "pause", keys: "faults: [{kind: pause, at: 300ms, for: 500ms, nodes: [primary]}]"},
	{name: "partition and heal", keys: "faults: [{kind: partition, at: 300ms, for: 500ms, groups: [[0, 1]]}]"},
	{name: "one-way cut of the leader", keys: "faults: [{kind: isolate, at: 300ms, for: 700ms, nodes: [0], one_way: true}]"},
	{name: "lossy datagrams", keys: "transport: datagram, loss: 5%, duplicate: 2%, reorder: 2%"},
	{name: "corrupted messages", keys: "faults: [{kind: corrupt, at: 300ms, for: 500ms, corrupt: 5%}]"},
	{name: "clogged leader", keys: "faults: [{kind: clog, at: 300ms, for: 400ms, from: [0]}]"},
	{name: "slow disk", keys: "costs: server, faults: [{kind: slow-disk, at: 300ms, for: 500ms, nodes: [0], fsync: 5ms}]"},
	{name: "silent leader", keys: "adversaries: [{nodes: [0], attack: silent}]", lies: true, moves: true},
	{name: "silent backup", keys: "adversaries: [{nodes: [1], attack: silent}]", lies: true},
	{name: "equivocating leader", keys: "adversaries: [{nodes: [0], attack: equivocate}]", lies: true},
	{name: "two liars of seven", keys: "f: 2, adversaries: [{nodes: [0, 1], attack: equivocate}]", lies: true},
	{name: "bad MACs", keys: "adversaries: [{nodes: [0], attack: bad-macs}]", lies: true},
	{name: "double votes", keys: "adversaries: [{nodes: [1], attack: double-vote}]", lies: true},
	{name: "wrong replies", keys: "adversaries: [{nodes: [1], attack: wrong-replies}]", lies: true},
	{name: "replays", keys: "adversaries: [{nodes: [1], attack: replay}]", lies: true},
	{name: "stale messages", keys: "adversaries: [{nodes: [1], attack: stale}]", lies: true},
	{name: "byzzfuzz", keys: "adversaries: [{nodes: [0], attack: byzzfuzz}]", lies: true},
	{name: "lying client", keys: "client_hosts: 8, adversaries: [{nodes: [c1], attack: bad-macs}]", lies: true},
}

func eachProtocol(t *testing.T, f func(t *testing.T, e *protocols.Entry)) {
	reg := run.Catalog().Registry
	names := reg.Names()
	if *only != "" {
		names = []string{*only}
	}
	for _, name := range names {
		e, err := reg.Lookup(name)
		require.NoError(t, err)
		if e.Complete && e.Hosts&protocols.OnSimulator != 0 {
			t.Run(name, func(t *testing.T) { f(t, e) })
		}
	}
}

func simulate(t *testing.T, e *protocols.Entry, keys string, seed int) *result.Result {
	t.Helper()
	c := run.Catalog()
	n := ""
	if keys == "extra: 1" {
		keys, n = "", fmt.Sprintf("f: 1, n: %d, ", e.Replicas(1)+1)
	}
	text := fmt.Sprintf("{protocol: %s, %sclients: 8, seed: %d", e.Name, n, seed)
	s, err := scenario.Parse("conformance", []byte(text+join(keys)+"}"))
	require.NoError(t, err)
	require.NoError(t, s.Resolve(c))
	out, err := run.Sim(context.Background(), c, s, run.Options{})
	require.NoError(t, err)
	return out.Result
}

// join adds the defaults that the script does not give itself.
func join(keys string) string {
	out := ""
	has := func(key string) bool { return strings.Contains(keys, key) }
	if !has("workload:") {
		out += ", workload: {app: kv, kind: closed, think: 20ms, timeout: 30s, keys: 16}"
	}
	if !has("costs:") {
		out += ", costs: none"
	}
	if !has("duration:") {
		out += ", duration: 1500ms"
	}
	if keys != "" {
		out += ", " + keys
	}
	return out
}

// Every request is answered in the end, and no invariant is broken on the way.
func TestProtocolsSurvive(t *testing.T) {
	eachProtocol(t, func(t *testing.T, e *protocols.Entry) {
		for _, sc := range scripts {
			if sc.lies && e.FaultModel == protocols.Crash {
				continue
			}
			t.Run(sc.name, func(t *testing.T) {
				for seed := 1; seed <= 3; seed++ {
					r := simulate(t, e, sc.keys, seed)
					require.Empty(t, r.Safety.Violations, "seed %d", seed)
					require.Equal(t, result.Pass, r.Safety.Agreement)
					require.Equal(t, result.Pass, r.Safety.Integrity)
					require.Equal(t, result.Pass, r.Safety.Validity)
					require.Equal(t, result.Pass, r.Safety.Liveness, "seed %d", seed)
					require.NotZero(t, r.Committed)
					if r.Workload == "market" {
						require.Equal(t, result.Pass, r.Safety.Application, "money and the other invariants of the marketplace")
					}
					if sc.moves {
						require.NotZero(t, r.ViewChanges)
					}
				}
			})
		}
	})
}

// The same seed gives the same trace, encoded or not, and with real cryptography.
func TestProtocolsAreDeterministic(t *testing.T) {
	eachProtocol(t, func(t *testing.T, e *protocols.Entry) {
		faults := "duration: 600ms, faults: [{kind: crash, at: 200ms, for: 100ms, nodes: [0]}, {kind: partition, at: 400ms, for: 100ms, groups: [[1]]}]"
		want := simulate(t, e, faults, 5).Sim.TraceHash
		for _, keys := range []string{"", ", wire: true", ", crypto: real", ", wire: true, crypto: real"} {
			require.Equal(t, want, simulate(t, e, faults+keys, 5).Sim.TraceHash, keys)
		}
		require.NotEqual(t, want, simulate(t, e, faults, 6).Sim.TraceHash)
	})
}
