// Package catalog gathers the protocols that edgebft knows: one line each. It
// holds no code of its own; a program that wants a protocol imports this package
// and looks it up.
package catalog

import (
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/pbft"
)

// Protocols returns the registry of all protocols.
func Protocols() *protocols.Registry {
	return protocols.NewRegistry(
		pbft.Protocol(),
	)
}
