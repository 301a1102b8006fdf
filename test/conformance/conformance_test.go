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
	// blind says that histories cannot be judged, since a client lies.
	blind bool
	// tight makes checkpoints, snapshots and certificates frequent, where the protocol
	// has options of these names, so that restarts meet compacted logs.
	tight bool
}

// tight are the options of tight scripts.
var tight = []struct{ name, value string }{
	{"batch_max", "4"}, {"block", "16"}, {"checkpoint", "4"}, {"snapshot_every", "25"},
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
	// With disks, what a crash takes back is what was not durable yet.
	{name: "backup killed under load", keys: "costs: pi4, faults: [{kind: crash, at: 301ms, for: 100ms, nodes: [1]}, {kind: crash, at: 703ms, for: 100ms, nodes: [2]}]", tight: true},
	{name: "leader killed under load", keys: "costs: pi4, faults: [{kind: crash, at: 301ms, for: 100ms, nodes: [primary]}]", tight: true},
	{name: "all killed at once", keys: "costs: pi4, faults: [{kind: crash, at: 302ms, for: 100ms, nodes: [0, 1, 2, 3]}]", tight: true},
	{name: "all killed twice", keys: "costs: pi4, faults: [{kind: crash, at: 302ms, for: 100ms, nodes: [0, 1, 2, 3]}, {kind: crash, at: 406ms, for: 100ms, nodes: [0, 1, 2, 3]}]", tight: true},
	{name: "killed while it recovers", keys: "costs: pi4, faults: [{kind: crash, at: 303ms, for: 50ms, nodes: [1]}, {kind: crash, at: 355ms, for: 50ms, nodes: [1]}]", tight: true},
	{name: "wiped and killed at once", keys: "costs: pi4, faults: [{kind: crash, at: 303ms, for: 50ms, nodes: [1], disk: wipe}, {kind: crash, at: 354ms, for: 50ms, nodes: [1]}]", tight: true},
	{name: "wiped, recovered, then all killed", keys: "costs: pi4, faults: [{kind: crash, at: 203ms, for: 50ms, nodes: [1], disk: wipe}, {kind: crash, at: 1s, for: 100ms, nodes: [0, 1, 2, 3]}]", tight: true},
	{name: "marketplace, all killed", keys: "costs: pi4, workload: {app: market, kind: open, rate: 100/s, options: {tick: 100ms}}, faults: [{kind: crash, at: 700ms, for: 100ms, nodes: [0, 1, 2, 3]}]", tight: true},
	{name: "marketplace, leader wiped", keys: "costs: pi4, workload: {app: market, kind: open, rate: 100/s, options: {tick: 100ms}}, faults: [{kind: crash, at: 500ms, for: 100ms, nodes: [0], disk: wipe}]", tight: true},
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
	{name: "lying client", keys: "client_hosts: 8, adversaries: [{nodes: [c1], attack: bad-macs}]", lies: true, blind: true},
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
		if *only != "" {
			require.True(t, e.Complete, "%s works only inside a composition: test that", name)
			require.NotZero(t, e.Hosts&protocols.OnSimulator, "%s does not run in the simulator", name)
		}
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
			keys := sc.keys
			if sc.tight {
				var set []string
				for _, o := range tight {
					for _, have := range e.Options {
						if have.Name == o.name {
							set = append(set, o.name+": "+o.value)
						}
					}
				}
				if len(set) > 0 {
					keys += ", options: {" + strings.Join(set, ", ") + "}"
				}
			}
			if sc.lies && e.FaultModel == protocols.Crash {
				continue
			}
			t.Run(sc.name, func(t *testing.T) {
				for seed := 1; seed <= 3; seed++ {
					r := simulate(t, e, keys, seed)
					require.Empty(t, r.Safety.Violations, "seed %d", seed)
					require.Equal(t, result.Pass, r.Safety.Agreement)
					require.Equal(t, result.Pass, r.Safety.Integrity)
					require.Equal(t, result.Pass, r.Safety.Validity)
					require.Equal(t, result.Pass, r.Safety.Liveness, "seed %d", seed)
					if !sc.blind {
						require.Equal(t, result.Pass, r.Safety.Linearizable, "seed %d", seed)
					}
					if sc.tight {
						require.Equal(t, result.Pass, r.Safety.Root, "seed %d", seed)
					}
					require.NotEqual(t, result.Fail, r.Safety.Root)
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
