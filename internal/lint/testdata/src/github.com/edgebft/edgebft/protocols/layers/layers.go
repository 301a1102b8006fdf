// Package layers imports a network.
package layers

import (
	_ "fmt"

	_ "github.com/edgebft/edgebft/netsim" // want `protocols/layers may not import netsim`
	_ "github.com/edgebft/edgebft/protocols"
)
