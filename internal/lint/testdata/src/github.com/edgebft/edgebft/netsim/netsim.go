// Package netsim imports what it may not.
package netsim

import (
	_ "github.com/edgebft/edgebft/protocols"
	_ "github.com/edgebft/edgebft/protocols/good" // want `netsim may not import protocols/good: room netsim may import protocols, protocols/auth`
)
