package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// Every entry is complete, its defaults are within its bounds, and what it builds
// has the lanes that it names.
func TestEntriesKeepTheContract(t *testing.T) {
	reg := Protocols()
	require.NotEmpty(t, reg.Names())
	for _, name := range reg.Names() {
		e, err := reg.Lookup(name)
		require.NoError(t, err)
		require.NotEmpty(t, e.Doc)
		require.NotEmpty(t, e.Paper)
		for _, o := range e.Options {
			require.NotEmpty(t, o.Doc, "%s.%s", name, o.Name)
			_, err := protocols.ResolveOptions(e.Options, map[string]int64{o.Name: o.Default})
			require.NoError(t, err, "the default of %s.%s", name, o.Name)
		}
		options, err := protocols.ResolveOptions(e.Options, nil)
		require.NoError(t, err)
		for f := range 4 {
			n := e.Replicas(f)
			require.NoError(t, e.Check(n, f))
			require.Error(t, e.Check(n-1, f))
			c := &protocols.Config{Cluster: 1, N: n, F: f, Replicas: protocols.Replicas(n), Options: options}
			require.Len(t, e.NewReplica(c), len(e.Lanes(c)))
			require.NotNil(t, e.NewClient(c))
		}
		require.Error(t, e.Check(1, -1))
		require.Error(t, e.Check(protocols.MaxReplicas+1, 1))
	}
	_, err := reg.Lookup("pbtf")
	require.ErrorContains(t, err, `did you mean "pbft"?`)
}
