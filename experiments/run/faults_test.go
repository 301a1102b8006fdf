package run

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

func resolved(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	require.NoError(t, err)
	require.NoError(t, s.Resolve(Catalog()))
	return s
}

// Who is named reaches nobody, the others that are named included; what stands
// beside a replica shares its fate; a process of clients counts once.
func TestFaultsAreTranslated(t *testing.T) {
	type list = []protocols.NodeID
	const a, c = protocols.FirstAgent, protocols.FirstClient
	beside := map[protocols.NodeID][]protocols.NodeID{0: {a}, 1: {a + 1}, 2: {a + 2}, 3: {a + 3}}
	cut := func(nodes, peers list, oneWay bool) netsim.Fault {
		return netsim.Fault{Kind: netsim.FaultPartition, Nodes: nodes, Peers: peers, OneWay: oneWay}
	}
	late := func(nodes, peers list) netsim.Fault {
		return netsim.Fault{Kind: netsim.FaultDelay, Nodes: nodes, Peers: peers, OneWay: true, Delay: time.Millisecond}
	}
	groups := func(g ...list) netsim.Fault {
		return netsim.Fault{Kind: netsim.FaultPartition, Groups: g}
	}
	leader := list{netsim.Leader}
	for text, want := range map[string][]netsim.Fault{
		"{kind: crash, nodes: [2]}":                                       {{Kind: netsim.FaultCrash, Nodes: list{2, a + 2}}},
		"{kind: pause, nodes: [1, primary], for: 1ms}":                    {{Kind: netsim.FaultPause, Nodes: list{1, a + 1, netsim.Leader}, For: time.Millisecond}},
		"{kind: isolate, nodes: [0, 1]}":                                  {cut(list{0, a}, nil, false), cut(list{1, a + 1}, nil, false)},
		"{kind: isolate, nodes: [primary], one_way: true}":                {cut(leader, nil, true)},
		"{kind: isolate, nodes: [c0, c1, c2]}":                            {cut(list{c}, nil, false)},
		"{kind: slow-link, delay: 1ms}":                                   {late(nil, nil)},
		"{kind: slow-link, delay: 1ms, from: [0, 1]}":                     {late(list{0, a}, nil), late(list{1, a + 1}, nil)},
		"{kind: slow-link, delay: 1ms, to: [0, c3]}":                      {late(nil, list{0, a, c + 3})},
		"{kind: slow-link, delay: 1ms, from: [0, 1], to: [1, 2]}":         {late(list{0, a}, list{1, a + 1, 2, a + 2}), late(list{1, a + 1}, list{2, a + 2})},
		"{kind: slow-link, delay: 1ms, from: [c0, c1, c2], to: [1]}":      {late(list{c}, list{1, a + 1})},
		"{kind: slow-link, delay: 1ms, from: [primary], to: [0]}":         {late(leader, list{0, a})},
		"{kind: partition, groups: [[primary, 1], [2, 3]]}":               {groups(list{netsim.Leader, 1, a + 1}, list{2, a + 2, 3, a + 3}, list{0, a})},
		"{kind: partition, groups: [[0, c3]]}":                            {groups(list{0, a, c + 3}, list{1, a + 1, 2, a + 2, 3, a + 3})},
		"{kind: partition, groups: [[0], [1]], one_way: true}":            {cut(list{0, a}, list{1, a + 1, 2, a + 2, 3, a + 3}, true)},
		"{kind: partition, groups: [[primary], [0, 1, 2, 3]], at: 3ms}":   {{Kind: netsim.FaultPartition, Groups: [][]protocols.NodeID{leader, {0, a, 1, a + 1, 2, a + 2, 3, a + 3}}, At: protocols.Time(3 * time.Millisecond)}},
		"{kind: crash, nodes: [primary], on: {event: executed}, at: 2ms}": {{Kind: netsim.FaultCrash, Nodes: leader, At: protocols.Time(2 * time.Millisecond), On: &netsim.Trigger{Event: protocols.EventExecuted, Node: protocols.Nobody, Nth: 1}}},
	} {
		s := resolved(t, "{protocol: pbft, f: 1, clients: 5, client_hosts: 3, adversaries: [{nodes: [c3], attack: silent}], faults: ["+text+"]}")
		if text == "{kind: isolate, nodes: [c0, c1, c2]}" || text == "{kind: slow-link, delay: 1ms, from: [c0, c1, c2], to: [1]}" {
			s = resolved(t, "{protocol: pbft, f: 1, clients: 3, client_hosts: 1, faults: ["+text+"]}")
		}
		got, err := NewFaults(s, beside).All()
		require.NoError(t, err, "%s", text)
		require.Equal(t, want, got, "%s", text)
	}
}

// The clocks of a marketplace stand beside the replicas: without a quorum of them
// ledger time stands still, whether they are down, cut off or in the hands of the
// adversary.
func TestFaultsReachTheClocks(t *testing.T) {
	readings := func(more string) (sent, ofOne uint64) {
		simulate(t, "{protocol: pbft, clients: 4, seed: 7, window: {warmup: 0s, measure: 300ms, cooldown: 0s}, checks: {liveness_bound: 1ms}, beyond_f: true, workload: {app: market, kind: closed, think: 50ms}, "+more+"}", Options{Inspect: func(s *netsim.Sim) {
			for _, n := range s.Stats().Nodes {
				if n.ID >= protocols.FirstAgent {
					for _, class := range n.Sent {
						sent += class.Messages
						if n.ID == protocols.FirstAgent+3 {
							ofOne += class.Messages
						}
					}
				}
			}
		}})
		return sent, ofOne
	}
	calm, one := readings("cores: 0")
	require.Greater(t, one, uint64(0))
	for _, fault := range []string{
		"{kind: crash, at: 0s, nodes: [3]}",
		"{kind: isolate, at: 0s, nodes: [3]}",
		"{kind: pause, at: 0s, for: 10s, nodes: [3]}",
	} {
		sent, of3 := readings("faults: [" + fault + "]")
		require.Zero(t, of3, "%s", fault)
		require.Greater(t, sent, calm/2, "%s: the others go on", fault)
	}
	_, of3 := readings("adversaries: [{nodes: [3], attack: silent}]")
	require.Zero(t, of3)
}

// The primary that a triggered fault names is the one of that moment.
func TestTriggeredFaultStrikesThePrimaryOfThatMoment(t *testing.T) {
	out := simulate(t, `
protocol: pbft
clients: 4
duration: 3s
workload: {app: kv, kind: open, rate: 100/s}
options: {view_change_timeout: 200ms, client_timeout: 200ms}
faults:
  - {kind: isolate, at: 500ms, for: 2s, nodes: [0]}
  - {kind: crash, at: 100ms, for: 500ms, nodes: [primary], on: {event: new-view, count: 3}}
`, Options{Inspect: func(s *netsim.Sim) {
		var struck []protocols.NodeID
		for _, r := range s.Recent(netsim.RingRecords, func(r *netsim.Record) bool { return r.Kind == netsim.RecordFault }) {
			struck = append(struck, r.Node)
		}
		require.Equal(t, []protocols.NodeID{0, 1, 1, 0}, struck, "replica 1 leads after replica 0, and is crashed and recovered")
	}})
	require.Equal(t, result.Pass, out.Result.Safety.Agreement)
	require.GreaterOrEqual(t, out.Result.ViewChanges, int64(2))
}
