package suite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/suite"
)

func cells(t *testing.T, name, profile string) []*suite.Cell {
	t.Helper()
	s, err := suite.Load(name, profile)
	require.NoError(t, err)
	require.NotEmpty(t, s.Doc)
	out, err := s.Expand(run.Catalog())
	require.NoError(t, err)
	require.NotEmpty(t, out)
	return out
}

// The embedded suites name what exists: protocols, options, attacks, topologies.
func TestEmbeddedSuites(t *testing.T) {
	require.Equal(t, []string{"faults", "quickstart", "resilience", "scalability"}, suite.Names())
	for _, name := range suite.Names() {
		cells(t, name, "")
		s, err := suite.Load(name, "")
		require.NoError(t, err)
		for _, p := range s.ProfileNames() {
			cells(t, name, p)
		}
	}
	sizes, rates := map[int]bool{}, map[string]bool{}
	for _, c := range cells(t, "quickstart", "") {
		sizes[c.Scenario.N], rates[c.Scenario.Workload.Rate.String()] = true, true
	}
	require.Len(t, sizes, 3)
	require.GreaterOrEqual(t, len(rates), 2)
}

// The suite of faults has every kind of fault, every way to lose a disk, and every
// attack that works on all protocols.
func TestFaultsSuiteIsComplete(t *testing.T) {
	kinds, disks, attacks := map[string]bool{}, map[string]bool{}, map[string]bool{}
	clients := false
	for _, c := range cells(t, "faults", "laptop") {
		for _, f := range c.Scenario.Faults {
			kinds[f.Kind], disks[f.Disk] = true, true
			for _, n := range f.Nodes {
				_, client := n.Client()
				clients = clients || client
			}
		}
		for _, a := range c.Scenario.Adversaries {
			attacks[a.Attack] = true
		}
	}
	for _, k := range scenario.FaultKinds() {
		require.Contains(t, kinds, k.Name)
	}
	for _, disk := range []string{"", "torn", "wipe", "forget"} {
		require.Contains(t, disks, disk)
	}
	for _, a := range run.Catalog().Attacks {
		require.Contains(t, attacks, a.Name)
	}
	require.True(t, clients)
}
