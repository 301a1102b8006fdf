package scenario

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func testCatalog() *Catalog {
	entry := func(name string, replicas func(int) int) protocols.Entry {
		return protocols.Entry{
			Name: name, Replicas: replicas, Complete: true, Hosts: protocols.OnSimulator,
			Messages:    func() *protocols.MessageTable { return nil },
			NewReplica:  func(*protocols.Config) []protocols.Node { return nil },
			NewClient:   func(*protocols.Config) protocols.Client { return nil },
			Outstanding: 4,
			Options: []protocols.Option{
				{Name: "batch.max", Kind: protocols.OptionInt, Default: 64, Min: 1, Max: 1024},
				{Name: "batch.delay", Kind: protocols.OptionDuration, Default: 5e6, Min: 0, Max: 1e9},
				{Name: "mac", Kind: protocols.OptionBool, Default: 1},
				{Name: "order", Kind: protocols.OptionChoice, Choices: []string{"fifo", "lifo"}},
				{Name: "log", Kind: protocols.OptionBytes, Default: 1 << 20, Min: 1, Max: 1 << 30},
			},
			Attacks: []protocols.Attack{{Name: "equivocate", Options: []protocols.Option{{Name: "share", Kind: protocols.OptionInt, Default: 50, Min: 0, Max: 100}}}},
		}
	}
	raft := entry("raft", func(f int) int { return 2*f + 1 })
	part := entry("part", func(f int) int { return 3*f + 1 })
	part.Complete = false
	tcp := entry("tcponly", func(f int) int { return 3*f + 1 })
	tcp.Hosts = protocols.OnTCP
	return &Catalog{
		Registry:   protocols.NewRegistry(entry("pbft", func(f int) int { return 3*f + 1 }), raft, part, tcp),
		Attacks:    []protocols.Attack{{Name: "silent"}},
		Apps:       []App{{Name: "micro"}, {Name: "market", Sessions: true, Classes: []string{"auction", "channel"}, Options: []protocols.Option{{Name: "devices", Default: 10, Min: 1, Max: 100}}}},
		Topologies: []string{"lan", "metro"},
		Profiles:   []string{"pi4"},
	}
}

func resolve(t *testing.T, text string, sets ...string) (*Scenario, error) {
	t.Helper()
	s, err := Parse("s.yaml", []byte(text), sets...)
	if err != nil {
		return nil, err
	}
	return s, s.Resolve(testCatalog())
}

func must(t *testing.T, text string, sets ...string) *Scenario {
	t.Helper()
	s, err := resolve(t, text, sets...)
	require.NoError(t, err)
	return s
}

func TestDefaultsAreResolved(t *testing.T) {
	s := must(t, "protocol: pbft")
	require.Equal(t, 1, s.F)
	require.Equal(t, 4, s.N)
	require.Equal(t, "lan", s.Topology)
	require.Equal(t, "none", s.Costs)
	require.Equal(t, 4, s.ClientHosts)
	require.Equal(t, "500ms", s.Window.Warmup.String())
	require.Equal(t, "100ms", s.Window.Cooldown.String())
	require.Equal(t, 1, s.Workload.Outstanding)
	require.Equal(t, 64, s.Options.Resolved.Int("batch.max"))
	require.NoError(t, s.Resolve(testCatalog()))
}

func TestSizeFollowsFromTheOther(t *testing.T) {
	for text, want := range map[string][2]int{
		"{protocol: pbft, f: 2}":       {7, 2},
		"{protocol: pbft, n: 9}":       {9, 2},
		"{protocol: pbft, n: 10}":      {10, 3},
		"{protocol: pbft, n: 9, f: 1}": {9, 1},
		"{protocol: pbft, n: 1}":       {1, 0},
		"{protocol: raft, n: 5}":       {5, 2},
		"{protocol: pbft, f: 0}":       {1, 0},
	} {
		s := must(t, text)
		require.Equal(t, want, [2]int{s.N, s.F}, "%s", text)
	}
}

func TestFull(t *testing.T) {
	s := must(t, `
name: a leader crash
protocol: pbft
f: 1
options: {batch: {max: 32, delay: 5ms}, order: lifo}
clients: 8
workload: {app: market, kind: open, arrivals: "mmpp:ratio=10", rate: 500/s, mix: {auction: 3, channel: 1}, options: {devices: 20}}
topology: metro
transport: datagram
loss: 5%
window: {warmup: 1s, measure: 10s, cooldown: 1s}
faults:
  - {kind: crash, at: 2s, for: 2s, nodes: [primary], disk: wipe}
  - {kind: partition, at: 5s, for: 1s, groups: [[0, 1], [2, 3]]}
  - {kind: slow-link, at: 1s, from: [1], delay: 50ms}
  - {kind: clock, at: 1s, nodes: [2], offset: -5s, drift: -50ppm}
  - {kind: crash, nodes: [1], on: {event: view-change}, at: 10ms}
adversaries:
  - {nodes: [3], attack: equivocate, options: {share: 20}}
seed: 7
`)
	require.Equal(t, map[string]int64{"batch.max": 32, "order": 1}, s.Options.Values, "an option at its default is not part of the identity")
	require.Equal(t, Node("primary"), s.Faults[0].Nodes[0])
	require.Equal(t, 1, s.Faults[4].On.Count)
	require.Equal(t, 20, s.Adversaries[0].Options.Resolved.Int("share"))
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{}", "a scenario needs a protocol; known: part, pbft"},
		{"protocol: pbtf", `s.yaml:1:11: protocol: unknown protocol "pbtf"; did you mean "pbft"?`},
		{"protocol: part", "works only inside a composition"},
		{"protocol: tcponly", "tcponly does not run in mode sim"},
		{"{protocol: pbft, n: 3, f: 1}", "pbft with f=1 needs at least 4 replicas, not 3"},
		{"{protocol: pbft, n: 20000}", "the most allowed is 16384"},
		{"{protocol: pbft, f: 8000}", "at most 16384 replicas"},
		{"{protocol: pbft, f: -1}", "the least allowed is 0"},
		{"{protocol: pbft, options: {bach.max: 3}}", `options.bach.max: unknown option "bach.max"; did you mean "batch.max"?`},
		{"{protocol: pbft, options: {batch: {max: 0}}}", "option batch.max is 0; allowed is 1 to 1024"},
		{"{protocol: pbft, options: {batch: {delay: 5}}}", `duration "5" has no unit`},
		{"{protocol: pbft, options: {mac: 1}}", "write true or false"},
		{"{protocol: pbft, options: {order: fifi}}", `did you mean "fifo"?`},
		{"{protocol: pbft, options: {log: 5}}", `size "5" has no unit`},
		{"{protocol: pbft, options: {batch: {max: 3}, batch.max: 4}}", "option batch.max is given twice"},
		{"{protocol: pbft, workload: {app: mikro}}", `unknown workload "mikro"; did you mean "micro"?`},
		{"{protocol: pbft, workload: {app: null}}", "null is not a value here"},
		{"{protocol: pbft, workload: {kind: open}}", "an open workload needs a rate"},
		{"{protocol: pbft, workload: {kind: open, rate: -5/s}}", "-5/s"},
		{"{protocol: pbft, workload: {kind: open, rate: 5/s, outstanding: 2}}", "outstanding belongs to a closed workload"},
		{"{protocol: pbft, workload: {rate: 5/s}}", "rate belongs to an open workload"},
		{"{protocol: pbft, workload: {outstanding: 5}}", "pbft lets a client have 4 requests open, not 5"},
		{"{protocol: pbft, workload: {kind: open, arrivals: poison, rate: 5/s}}", `did you mean "poisson"?`},
		{"{protocol: pbft, workload: {kind: open, arrivals: 'mmpp:ratio=0', rate: 5/s}}", "workload.arrivals: "},
		{"{protocol: pbft, workload: {arrivals: poisson}}", "arrivals belongs to an open workload"},
		{"{protocol: pbft, workload: {app: market, mix: {aution: 1}}}", `did you mean "auction"?`},
		{"{protocol: pbft, workload: {app: market, mix: {auction: 0}}}", "all weights are 0"},
		{"{protocol: pbft, workload: {app: market, mix: {auction: -1}}}", "a weight is 0 to 1000000"},
		{"{protocol: pbft, workload: {app: market, options: {devices: 0}}}", "option devices is 0"},
		{"{protocol: pbft, topology: lam}", `unknown name "lam"; did you mean "lan"?`},
		{"{protocol: pbft, costs: ./missing.yaml}", "cannot read ./missing.yaml: no such file"},
		{"{protocol: pbft, loss: 5%}", "transport stream has no loss"},
		{"{protocol: pbft, transport: tcp, reorder: 5%}", "choose transport: datagram"},
		{"{protocol: pbft, duration: 1s, window: {measure: 1s}}", "duration is shorthand for window.measure"},
		{"{protocol: pbft, duration: 0s}", "window.measure: 0s is too small"},
		{"{protocol: pbft, clients: 2, client_hosts: 3}", "3 hosts for 2 clients"},
		{"{protocol: pbft, faults: [{at: 1s}]}", "a fault needs a kind"},
		{"{protocol: pbft, faults: [{kind: cras, at: 1s}]}", `faults[0].kind: unknown kind of fault "cras"; did you mean "crash"?`},
		{"{protocol: pbft, faults: [{kind: crash, at: 1s}]}", "a crash fault needs nodes"},
		{"{protocol: pbft, faults: [{kind: crash, at: 1s, nodes: [4]}]}", "there is no replica 4; with n=4 they are 0 to 3"},
		{"{protocol: pbft, faults: [{kind: pause, at: 1s, for: 1s, nodes: [c16]}]}", "there is no client c16"},
		{"{protocol: pbft, faults: [{kind: crash, at: 1s, nodes: [x]}]}", `is not a node`},
		{"{protocol: pbft, faults: [{kind: crash, at: 1s, nodes: [1, 1]}]}", "named twice"},
		{"{protocol: pbft, faults: [{kind: crash, at: 9s, nodes: [1]}]}", "9s is not before the end of the run (5.6s)"},
		{"{protocol: pbft, faults: [{kind: crash, at: 1s, nodes: [1], loss: 5%}]}", "a crash fault has no loss; it has: at, for, on, nodes, disk"},
		{"{protocol: pbft, faults: [{kind: crash, at: 1s, nodes: [1], disk: wipe}]}", "give for too"},
		{"{protocol: pbft, faults: [{kind: loss, at: 1s, loss: 5%}]}", "neither loses nor repeats"},
		{"{protocol: pbft, faults: [{kind: clock, at: 1s, nodes: [1]}]}", "needs offset or drift"},
		{"{protocol: pbft, faults: [{kind: clog, at: 1s, for: 1s, from: [0], to: [0]}]}", "faults[0].to: paths from 0 to itself do not exist"},
		{"{protocol: pbft, faults: [{kind: slow-cpu, at: 1s, nodes: [0], slowdown: 2}]}", "faults[0].kind: with costs: none there is no CPU time"},
		{"{protocol: pbft, faults: [{kind: pause, at: 1s, for: 1s, nodes: [c1, c2]}]}", "faults[0].nodes: c0 to c3 are one process, which a fault strikes as a whole; name all of them, or give client_hosts: 16"},
		{"{protocol: pbft, faults: [{kind: loss, loss: 5%, to: [c15]}], transport: tcp}", "faults[0].to: c12 to c15 are one process"},
		{"{protocol: pbft, faults: [{kind: partition, groups: [[0], [1, c4]]}]}", "faults[0].groups[1]: c4 to c7 are one process"},
		{"{protocol: pbft, faults: [{kind: crash, nodes: [0], options: {foo: 3}}]}", "options"},
		{"{protocol: pbft, verify: zip215}", "verify"},
		{"{protocol: pbft, hosts: [0, 1]}", "hosts: 2 hosts are named for 4 replicas"},
		{"{protocol: pbft, hosts: [0, 2, 1, 1]}", "hosts[1]: host 2; hosts are numbered in the order in which they appear, so this is one of 0 to 1"},
		{"{protocol: pbft, hosts: [0, -1, 1, 1]}", "hosts[1]: host -1"},
		{"{protocol: pbft, hosts: [0, 0, 1, 1], placement: shared}", "leave one of the two out"},
		{"{protocol: pbft, nic: {sched: fare}}", "fair"},
		{"{protocol: pbft, nic: {sched: fair, forward: store}}", "nic.sched: fair is modelled for one node per host, not together with forward: store; choose fifo"},
		{"{protocol: pbft, nic: {sched: fair}, hosts: [0, 0, 1, 1]}", "not together with several nodes on a host"},
		{"{protocol: pbft, nic: {sched: fair}, workload: {app: market}}", "not together with the agents that market has beside replicas"},
		{"{protocol: pbft, faults: [{kind: disk-corrupt, nodes: [0], corrupt: 5%, for: 1s}]}", "faults[0].for: a disk-corrupt fault has no for; it has: at, on, nodes, corrupt"},
		{"{protocol: pbft, faults: [{kind: disk-corrupt, nodes: [0]}]}", "needs corrupt"},
		{"{protocol: pbft, faults: [{kind: disk-error}]}", "needs nodes"},
		{"{protocol: pbft, faults: [{kind: disk-full, nodes: [c0]}]}", "client c0 is not possible here"},
		{"{protocol: pbft, faults: [{kind: disk-full, nodes: [0], room: 5}]}", "has no unit"},
		{"{protocol: pbft, faults: [{kind: capacity}]}", "needs rate"},
		{"{protocol: pbft, faults: [{kind: capacity, rate: 0Mbit/s}]}", "least allowed is 1bit/s"},
		{"{protocol: pbft, faults: [{kind: reorder, reorder: 5%}]}", "neither loses nor repeats nor reorders"},
		{"{protocol: pbft, transport: tcp, faults: [{kind: reorder, reorder: 5%}]}", "choose transport: datagram"},
		{"{protocol: pbft, transport: tcp, faults: [{kind: duplicate, duplicate: 5%}]}", "choose transport: datagram"},
		{"{protocol: pbft, faults: [{kind: clock, nodes: [1], shape: sine, amplitude: 1s, period: 1s}]}", "periodic"},
		{"{protocol: pbft, faults: [{kind: clock, nodes: [1], shape: noisy, amplitude: 1s}]}", "needs amplitude and a period of at least 64ns"},
		{"{protocol: pbft, faults: [{kind: clock, nodes: [1], offset: 1s, period: 1s}]}", "amplitude and period belong to a clock fault with shape"},
		{"{protocol: pbft, faults: [{kind: crash, nodes: [primary], for: 1s, disk: forget}]}", "which one must be known"},
		{"{protocol: pbft, faults: [{kind: crash, nodes: [1], for: 1s, disk: forget}], adversaries: [{nodes: [0], attack: silent}]}", "2 Byzantine replicas with f=1"},
		{"{protocol: pbft, client_hosts: 16, faults: [{kind: crash, nodes: [c1], for: 1s, disk: torn}]}", "clients keep nothing on a disk"},
		{"{protocol: pbft, client_hosts: 16, workload: {app: market}, faults: [{kind: crash, nodes: [c1]}]}", "faults[0].nodes: clients of market depend on the results"},
		{"{protocol: pbft, faults: [{kind: partition, at: 1s, groups: [[0], [0]]}]}", "node 0 is in two groups"},
		{"{protocol: pbft, faults: [{kind: partition, at: 1s, groups: [[]]}]}", "a group is empty"},
		{"{protocol: pbft, faults: [{kind: crash, nodes: [0], on: {event: comitted}}]}", `did you mean "committed"?`},
		{"{protocol: pbft, adversaries: [{nodes: [0], attack: equivocat}]}", `did you mean "equivocate"?`},
		{"{protocol: pbft, adversaries: [{nodes: [0, 1], attack: silent}]}", "2 Byzantine replicas with f=1"},
		{"{protocol: pbft, adversaries: [{nodes: [0], attack: silent}, {nodes: [0], attack: silent}]}", "node 0 has two attacks"},
		{"{protocol: pbft, adversaries: [{nodes: [primary], attack: silent}]}", "primary is not possible here"},
		{"{protocol: pbft, adversaries: [{nodes: [0], attack: equivocate, options: {share: 101}}]}", "allowed is 0 to 100"},
		{"{protocol: pbft, schema: 2}", "the most allowed is 1"},
	} {
		_, err := resolve(t, c.text)
		require.ErrorContains(t, err, c.want, "%s", c.text)
		require.True(t, strings.HasPrefix(err.Error(), "s.yaml:"), "%s: %v", c.text, err)
	}
}

func TestOverridesUseTheSameRules(t *testing.T) {
	s := must(t, "{protocol: pbft, faults: [{kind: crash, nodes: [0], at: 1s}], duration: 2s}", "f=2", "faults[0].at=5s", "duration=10s", "options.batch.max=3")
	require.Equal(t, 7, s.N)
	require.Equal(t, "5s", s.Faults[0].At.String())
	require.Equal(t, 3, s.Options.Resolved.Int("batch.max"))
	s = must(t, "{protocol: pbft, window: {measure: 9s}}", "duration=3s")
	require.Equal(t, "3s", s.Window.Measure.String())
	_, err := resolve(t, "{protocol: pbft}", "workload.rat=5/s")
	require.EqualError(t, err, `--set workload.rat=5/s: workload.rat: unknown key "rat"; did you mean "rate"?`)
	_, err = resolve(t, "{protocol: pbft}", "duration=5")
	require.ErrorContains(t, err, `--set duration=5: window.measure: duration "5" has no unit`)
}

func TestIdentity(t *testing.T) {
	base := must(t, "{protocol: pbft, f: 1}")
	require.Len(t, base.ID(), 12)
	require.Len(t, base.Hash(), 64)
	same := []string{
		"{f: 1, protocol: pbft, n: 4}",
		"{protocol: pbft, f: 1, name: other}",
		"{protocol: pbft, window: {measure: 5000ms}}",
		"{protocol: pbft, options: {batch.max: 64}}",
		"{protocol: pbft, clients: 16, client_hosts: 4, workload: {app: micro, outstanding: 1}, topology: lan, costs: none}",
	}
	for _, text := range same {
		require.Equal(t, base.ID(), must(t, text).ID(), "%s", text)
	}
	for _, text := range []string{
		"{protocol: pbft, seed: 2}", "{protocol: raft}", "{protocol: pbft, f: 2}", "{protocol: pbft, options: {batch.max: 63}}",
		"{protocol: pbft, checks: {linearizability: false}}", "{protocol: pbft, topology: metro}",
	} {
		require.NotEqual(t, base.ID(), must(t, text).ID(), "%s", text)
	}
	b, err := base.Canonical()
	require.NoError(t, err)
	require.NotContains(t, string(b), ".", "the canonical form has no floats")
	require.True(t, json.Valid(b))
	s, err := Parse("s", []byte("protocol: pbft"))
	require.NoError(t, err)
	_, err = s.Canonical()
	require.Error(t, err)
}

// The id of this scenario is recorded: if it changes, every recorded cell
// becomes missing. A change of defaults must raise Schema instead.
func TestIdentityIsStable(t *testing.T) {
	s := must(t, "{protocol: pbft, f: 1, workload: {app: market, kind: open, rate: 500/s}, seed: 7, faults: [{kind: crash, at: 2s, for: 1s, nodes: [0]}]}")
	b, err := s.Canonical()
	require.NoError(t, err)
	golden := filepath.Join("testdata", "canonical.json")
	if *update {
		require.NoError(t, os.WriteFile(golden, append(b, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), string(b))
}

func TestFilesEnterByContent(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("x: 1"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.yaml"), []byte("x: 1"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.yaml"), []byte("x: 2"), 0o644))
	id := func(name string) string {
		s, err := Parse(filepath.Join(dir, "s.yaml"), []byte("{protocol: pbft, costs: "+name+"}"))
		require.NoError(t, err)
		require.NoError(t, s.Resolve(testCatalog()))
		require.NotNil(t, s.CostsFile)
		return s.ID()
	}
	require.Equal(t, id("a.yaml"), id("./b.yaml"))
	require.NotEqual(t, id("a.yaml"), id("c.yaml"))
}

func TestResolvedTextIsReadBackToTheSameCell(t *testing.T) {
	for _, text := range []string{
		"{protocol: pbft}",
		"{protocol: pbft, f: 0, seed: 0, clients: 1, checks: {liveness: false}, workload: {zipf: 0.99, mix: {}}}",
		"{protocol: pbft, client_hosts: 64, options: {batch: {max: 32, delay: 1500us}, log: 4kB, order: lifo, mac: false}, transport: datagram, loss: 0.25%, window: {warmup: 0s, measure: 1s, cooldown: 0s}, workload: {app: market, kind: open, rate: 0.5/s, mix: {auction: 1}, options: {devices: 11}}, faults: [{kind: clock, at: 0s, nodes: [c1], offset: -5s}, {kind: crash, nodes: [primary, 2], on: {event: committed, node: 1, count: 3}}], adversaries: [{nodes: [3], attack: equivocate, options: {share: 1}}]}",
	} {
		s := must(t, text)
		for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
			b, err := marshal(s.Text())
			require.NoError(t, err)
			back, err := resolve(t, string(b))
			require.NoError(t, err, "%s", b)
			require.Equal(t, s.Hash(), back.Hash(), "%s", b)
		}
		u, err := Parse("s.yaml", []byte(text))
		require.NoError(t, err)
		b, err := json.Marshal(u)
		require.NoError(t, err)
		require.Equal(t, s.Hash(), must(t, string(b)).Hash(), "before resolving: %s", b)
	}
}

func TestClone(t *testing.T) {
	s := must(t, "{protocol: pbft, seed: 1}")
	c, err := s.Clone("seed=9")
	require.NoError(t, err)
	require.NoError(t, c.Resolve(testCatalog()))
	require.EqualValues(t, 9, c.Seed)
	require.EqualValues(t, 1, s.Seed)
}

func TestJSONSchema(t *testing.T) {
	b, err := json.Marshal(JSONSchema())
	require.NoError(t, err)
	for _, key := range []string{`"duration"`, `"workload"`, `"adversaries"`, `"pattern"`} {
		require.Contains(t, string(b), key)
	}
}

func TestClientProcesses(t *testing.T) {
	for _, c := range []struct {
		clients, hosts int
		bad            []Node
		want           []Process
	}{
		{5, 1, nil, []Process{{0, 5}}},
		{5, 4, nil, []Process{{0, 2}, {2, 1}, {3, 1}, {4, 1}}},
		{7, 3, []Node{"0"}, []Process{{0, 3}, {3, 2}, {5, 2}}},
		{7, 2, []Node{"c1", "c4"}, []Process{{0, 1}, {1, 1}, {2, 2}, {4, 1}, {5, 2}}},
		{3, 3, []Node{"c1"}, []Process{{0, 1}, {1, 1}, {2, 1}}},
	} {
		s := &Scenario{Clients: c.clients, ClientHosts: c.hosts, Adversaries: []Adversary{{Nodes: c.bad}}}
		require.Equal(t, c.want, s.ClientProcesses(), "%+v", c)
	}
	must(t, "{protocol: pbft, clients: 2, client_hosts: 2, faults: [{kind: pause, for: 1s, nodes: [c1]}]}")
	must(t, "{protocol: pbft, clients: 4, client_hosts: 2, faults: [{kind: pause, for: 1s, nodes: [c3, 0, c2]}]}")
}

func TestFaultKindsAreComplete(t *testing.T) {
	for _, k := range FaultKinds() {
		require.NotEmpty(t, k.Doc)
		given := (&Fault{}).given()
		for _, f := range append(append([]string(nil), k.Need...), k.May...) {
			require.Contains(t, given, f, "%s", k.Name)
		}
	}
	require.Contains(t, EventNames(), "view-change")
}

// What a workload's row says holds where the scenario does not.
func TestDefaultsOfTheWorkload(t *testing.T) {
	c := testCatalog()
	c.Apps = append(c.Apps, App{
		Name: "row", Zipf: 990, Arrivals: "beta:over=4s",
		Options: []protocols.Option{{Name: "tick", Kind: protocols.OptionDuration, Default: int64(time.Second), Min: 1, Max: int64(time.Hour)}},
		Warmup:  func(o protocols.Options) time.Duration { return 3 * o.Duration("tick") },
	})
	for _, x := range []struct {
		text, arrivals string
		zipf           int
		warmup         time.Duration
	}{
		{"{protocol: pbft, workload: {app: row, kind: open, rate: 10/s}}", "beta:over=4s", 990, 3 * time.Second},
		{"{protocol: pbft, workload: {app: row, kind: open, rate: 10/s, arrivals: constant, zipf: 0}, window: {warmup: 1s}}", "constant", 0, time.Second},
		{"{protocol: pbft, workload: {app: row, zipf: 0.5, options: {tick: 2s}}}", "", 500, 6 * time.Second},
		{"{protocol: pbft, workload: {app: row}, duration: 40s}", "", 990, 4 * time.Second},
		{"{protocol: pbft, workload: {app: micro, kind: open, rate: 10/s}}", "poisson", 0, 500 * time.Millisecond},
	} {
		s, err := Parse("s.yaml", []byte(x.text))
		require.NoError(t, err)
		require.NoError(t, s.Resolve(c), x.text)
		require.Equal(t, x.arrivals, s.Workload.Arrivals, x.text)
		require.EqualValues(t, x.zipf, s.Workload.Zipf, x.text)
		require.Equal(t, x.warmup, s.Window.Warmup.Std(), x.text)
	}
}

func TestContentOfModelsIsPartOfTheCell(t *testing.T) {
	hashes := map[string]string{"lan": "l1", "metro": "m1", "server": "s1", "pi4": "p1", "x.yaml": "x1"}
	profiles := map[string][]string{"metro": {"pi4", "", "server"}}
	c := testCatalog()
	c.Profiles = []string{"pi4", "server"}
	c.DefaultCosts = "server"
	c.TopologyModel = func(name string, _ *File) (TopologyModel, error) {
		return TopologyModel{Hash: hashes[name], Profiles: profiles[name]}, nil
	}
	c.ProfileHash = func(name string, f *File) (string, error) {
		require.Equal(t, strings.HasSuffix(name, ".yaml"), f != nil)
		if hashes[name] == "" {
			return "", fmt.Errorf("no profile %s", name)
		}
		return hashes[name], nil
	}
	file := filepath.Join(t.TempDir(), "x.yaml")
	require.NoError(t, os.WriteFile(file, []byte("x: 1"), 0o644))
	hashes[file] = "x1"
	resolved := func(text string) (*Scenario, error) {
		s, err := Parse("s.yaml", []byte("{protocol: pbft, "+text+"}"))
		require.NoError(t, err)
		return s, s.Resolve(c)
	}
	for _, x := range []struct{ text, costs, canonical string }{
		{"seed: 1", "server", `"costs":"server@server:s1"`},
		{"seed: 1", "server", `"topology":"lan@l1"`},
		{"costs: pi4", "pi4", `"costs":"pi4@pi4:p1,server:s1"`},
		{"costs: none", "none", `"costs":"none"`},
		{"topology: metro", "topology", `"costs":"topology@pi4:p1,server:s1"`},
		{"topology: metro, costs: pi4", "pi4", `"costs":"pi4@pi4:p1,server:s1"`},
		{"costs: " + file, file, `@file:x1,server:s1"`},
	} {
		s, err := resolved(x.text)
		require.NoError(t, err, x.text)
		require.Equal(t, x.costs, s.Costs, x.text)
		b, err := s.Canonical()
		require.NoError(t, err)
		require.Contains(t, string(b), x.canonical, x.text)
	}
	// A new version of the profile is another cell wherever some host has it.
	ids := func() (list []string) {
		for _, text := range []string{"seed: 1", "costs: pi4", "topology: metro", "costs: none"} {
			s, err := resolved(text)
			require.NoError(t, err)
			list = append(list, s.ID())
		}
		return list
	}
	before := ids()
	hashes["pi4"] = "p2"
	after := ids()
	require.Equal(t, before[0], after[0])
	require.NotEqual(t, before[1], after[1])
	require.NotEqual(t, before[2], after[2])
	require.Equal(t, before[3], after[3])
	hashes["lan"] = "l2"
	require.NotEqual(t, after[3], ids()[3])

	_, err := resolved("costs: topology")
	require.ErrorContains(t, err, "topology lan names no CPU profiles; give one of pi4, server")
	profiles["metro"] = []string{"pi5"}
	_, err = resolved("topology: metro")
	require.ErrorContains(t, err, `metro gives its hosts the unknown CPU profile "pi5"`)
}
