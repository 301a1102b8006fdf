package netsim

import (
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// AppSchemeOf returns the scheme that a simulation with this configuration signs
// application operations with, before it is built: workloads need it for their
// genesis, and observers for replaying the order.
func AppSchemeOf(cfg *Config) protocols.AppScheme {
	if cfg.RealCrypto {
		return auth.RealApp()
	}
	return auth.NewModelled(cfg.Cluster, cfg.Seed).App()
}
