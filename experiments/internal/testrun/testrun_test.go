package testrun

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCatalogHasTwoProtocols(t *testing.T) {
	c := Catalog()
	require.Equal(t, []string{"alpha", "beta"}, c.Registry.Names())
	e, err := c.Registry.Lookup("beta")
	require.NoError(t, err)
	require.Equal(t, 5, e.Replicas(2))
}
