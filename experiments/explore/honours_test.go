package explore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/pbft"
)

// What exploring would ignore is refused by its key; the rest runs as it says.
func TestScenariosAreHonouredOrRefused(t *testing.T) {
	c := simCatalog()
	c.Apps[0].Options = []protocols.Option{{Name: "work", Max: 100}}
	c.Apps[1].Classes = []string{"get", "put"}
	c.TopologyModel = func(name string, _ *scenario.File) (scenario.TopologyModel, error) {
		top, err := topology.Load(name)
		if err != nil {
			return scenario.TopologyModel{}, err
		}
		m := scenario.TopologyModel{Hash: top.Hash}
		for _, i := range top.Replicas {
			m.Profiles = append(m.Profiles, top.Places[i].Profile)
		}
		return m, nil
	}
	c.ProfileHash = func(name string, _ *scenario.File) (string, error) {
		p, err := profile.Load(name)
		if err != nil {
			return "", err
		}
		return p.Hash, nil
	}
	sp, err := NewSpace(c, "pbft")
	require.NoError(t, err)
	r := NewSimulator(c)
	for _, x := range []struct{ keys, refused string }{
		{"workload: {app: micro}", ""},
		{"workload: {app: kv, keys: 3}, costs: pi4", ""},
		{"topology: t7-heterogeneous, transport: tcp, n: 5, f: 1", ""}, // profiles by place
		{"workload: {app: market, keys: 4, options: {users: 8, services: 1, tick: 20ms}}", ""},
		{"workload: {app: market, options: {bidders: 3}}", "workload.options"},
		{"workload: {app: w1}", "workload.app: exploring knows the applications kv, micro and market"},
		{"workload: {kind: open, rate: 10/s}", "workload.kind: exploring offers a closed load"},
		{"workload: {app: kv, mix: {get: 1}}", "workload.mix"},
		{"workload: {app: kv, zipf: 0.5}", "workload.zipf"},
		{"workload: {options: {work: 3}}", "workload.options"},
		{"placement: shared", "placement: exploring has one host per replica"},
		{"hosts: [0, 0, 1, 1]", "hosts: exploring has one host per replica"},
		{"nic: {sched: fair}", "nic: exploring has network cards"},
		{"checks: {liveness: false}", "checks.liveness"},
		{"trace: {requests: true}", "trace: exploring records no trace"},
	} {
		s, err := scenario.Parse("mine.yaml", []byte("{protocol: pbft, clients: 2, duration: 200ms, "+x.keys+"}"))
		require.NoError(t, err)
		out, err := sp.Run(r, s)
		if x.refused != "" {
			require.ErrorContains(t, err, x.refused, x.keys)
			require.ErrorContains(t, err, "edgebft sim", x.keys)
			continue
		}
		require.NoError(t, err, x.keys)
		require.Equal(t, OK, out.Verdict, "%s: %s", x.keys, out.String())
		require.Positive(t, out.Requests)
	}
}

// fussy is an invariant of a protocol's own, which breaks at once.
type fussy struct{ broken []protocols.Violation }

func (f *fussy) Observe(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if ev.Kind == protocols.EventExecuted && len(f.broken) == 0 {
		f.broken = []protocols.Violation{{Invariant: "fussy", At: at, Node: node, Detail: "somebody executes"}}
	}
}

func (f *fussy) Finish(protocols.Time) []protocols.Violation { return f.broken }

func TestInvariantsOfTheProtocolAreChecked(t *testing.T) {
	e := pbft.Protocol()
	e.Name = "fussy"
	e.Observers = func(*protocols.Config, func(protocols.NodeID) bool) []protocols.Observer {
		return []protocols.Observer{new(fussy)}
	}
	sum := campaign(t, simCatalog(e), "fussy", 20)
	require.NotEmpty(t, sum.Findings)
	require.Equal(t, "fussy", sum.Findings[0].Outcome.Invariant)
}
