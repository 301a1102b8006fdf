package run

import (
	"github.com/edgebft/edgebft/experiments/catalog"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/strict"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols/adversary"
	"github.com/edgebft/edgebft/workloads"
)

// Catalog returns what scenarios are resolved against: everything that this
// program knows by name.
func Catalog() *scenario.Catalog {
	c := &scenario.Catalog{
		Registry: catalog.Protocols(), Attacks: adversary.All(nil),
		Topologies:      topology.Names(),
		DefaultTopology: "lan", DefaultCosts: "server",
	}
	for _, name := range profile.Names() {
		if name != "none" { // which scenarios know by themselves
			c.Profiles = append(c.Profiles, name)
		}
	}
	for _, a := range workloads.Apps() {
		c.Apps = append(c.Apps, scenario.App{
			Name: a.Name, Doc: a.Doc, Classes: a.Weights, Options: a.Options,
			Zipf: strict.Milli(a.Zipf), Arrivals: a.Arrivals, Warmup: a.Warmup,
		})
	}
	return c
}
