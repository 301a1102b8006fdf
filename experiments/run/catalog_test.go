package run

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/scenario"
)

// What no run can do is found when the scenario is resolved, before anything runs: at
// its place in the file, with what is allowed, and as a usage error.
func TestBadDescriptionsAreFoundAtResolution(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("schema: 1\nnmae: x\n"), 0o644))
	for _, c := range []struct{ text, want string }{
		{"topology: ./bad.yaml", "s.yaml:2:11: topology: "},
		{"topology: ./bad.yaml", `bad.yaml:2`},
		{"costs: ./bad.yaml", "s.yaml:2:8: costs: "},
		{"faults: [{kind: crash, at: 1s, nodes: [c0]}]", "s.yaml:2:39: faults[0].nodes: c0 to c3 are one process"},
		{"faults: [{kind: slow-cpu, at: 1s, nodes: [0], slowdown: 2000}]", "s.yaml:2:57: faults[0].slowdown: 2000 is too large; the most allowed is 1000"},
		{"{transport: tcp, faults: [{kind: duplicate, at: 1s, duplicate: 5%}]}", "faults[0].kind: transport tcp hides"},
		{"faults: [{kind: partition, at: 1s, groups: [[0, 1, 2, 3]]}]", "faults[0].groups: one group of all 4 replicas"},
		{"workload: {app: kv, request_bytes: 100B}", "s.yaml:2:36: workload.request_bytes: workload kv: "},
		{"workload: {app: market, timeout: 2h}", "s.yaml:2:34: workload.timeout: 2h is too large; the most allowed is 3600s"},
		{"workload: {app: micro, think: 61m}", "workload.think: 61m is too large; the most allowed is 3600s"},
		{"window: {measure: 2562047h}", "window.measure: 2562047h is too large; the most allowed is 3600000s"},
		{"workload: {app: kv, keys: 100000}", "s.yaml:2:27: workload.keys: workload kv: 100000 keys; allowed is 1 to "},
		{"workload: {app: micro, reply_bytes: 1048001B}", "workload.reply_bytes: 1048001B is too large"},
		{"workload: {app: market, options: {users: 3}}", "s.yaml:2:34: workload.options: workload market: mix: users is 3; allowed is 8 to "},
		{"{clients: 300, client_hosts: 300, workload: {app: market}}", "s.yaml:2:29: client_hosts: workload market: 300 processes of clients; allowed is 1 to 256"},
		{"{client_hosts: 4, workload: {kind: open, arrivals: 'beta:devices=3'}}", "client_hosts: the arrivals cannot be divided among 4 processes"},
	} {
		text := "protocol: pbft\n" + c.text + "\n"
		if c.text[0] == '{' {
			text = "{protocol: pbft,\n" + c.text[1:] + "\n"
		}
		s, err := scenario.Parse(filepath.Join(dir, "s.yaml"), []byte(text))
		if err == nil {
			err = s.Resolve(Catalog())
		}
		require.ErrorContains(t, err, c.want, "%s", c.text)
		require.Equal(t, exit.Usage, exit.Code(err), "%s", c.text)
	}
}

// A few devices are divided among as many processes as they are enough for.
func TestFewArrivalsTakeFewProcesses(t *testing.T) {
	s, err := scenario.Parse("s.yaml", []byte("{protocol: pbft, clients: 16, workload: {kind: open, arrivals: 'beta:devices=3'}}"))
	require.NoError(t, err)
	require.NoError(t, s.Resolve(Catalog()))
	require.Equal(t, 3, s.ClientHosts)
	require.Equal(t, []int{6, 5, 5}, s.Spread())
}

// A Byzantine client has a process of its own, and nobody else moves.
func TestByzantineClientsAreAlone(t *testing.T) {
	for _, c := range []struct {
		liars string
		want  []int
	}{{"", []int{4, 4, 4, 4}}, {"c0", []int{1, 3, 4, 4, 4}}, {"c5, c6", []int{4, 1, 1, 1, 1, 4, 4}}, {"c15", []int{4, 4, 4, 3, 1}}} {
		text := "{protocol: pbft, clients: 16, duration: 50ms"
		if c.liars != "" {
			text += ", adversaries: [{nodes: [" + c.liars + "], attack: silent}]"
		}
		s, err := scenario.Parse("s.yaml", []byte(text+"}"))
		require.NoError(t, err)
		require.NoError(t, s.Resolve(Catalog()))
		require.Equal(t, c.want, s.Spread(), c.liars)
		out, err := Sim(context.Background(), Catalog(), s, Options{})
		require.NoError(t, err)
		require.NotZero(t, out.Result.Committed)
	}
}
