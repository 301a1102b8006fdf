package run

import (
	"errors"

	"github.com/edgebft/edgebft/experiments/catalog"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/adversary"
	"github.com/edgebft/edgebft/workloads"
)

// Catalog returns what scenarios are resolved against: everything that this
// program knows by name.
func Catalog() *scenario.Catalog {
	c := &scenario.Catalog{
		Registry: catalog.Protocols(), Attacks: adversary.All(nil),
		Topologies:      topology.Names(),
		DefaultTopology: "lan", DefaultCosts: scenario.HostProfile,
		TopologyModel: topologyModel, ProfileHash: profileHash,
		Topology: func(path string, data []byte) error { _, err := topology.Parse(path, data); return err },
		Profile:  func(path string, data []byte) error { _, err := profile.Parse(path, data); return err },
	}
	c.Check = func(s *scenario.Scenario, fail func(path, format string, args ...any) error) error {
		return check(c.Registry, s, fail)
	}
	for _, name := range profile.Names() {
		if name != scenario.CostsNone { // which scenarios know by themselves
			c.Profiles = append(c.Profiles, name)
		}
	}
	for _, a := range workloads.Apps() {
		c.Apps = append(c.Apps, scenario.App{
			Name: a.Name, Doc: a.Doc, Classes: a.Weights, Options: a.Options,
			Zipf: strict.Milli(a.Zipf), Arrivals: a.Arrivals, Warmup: a.Warmup, Sessions: a.Ledger,
		})
	}
	return c
}

// check finds what only the workload knows to be wrong with a scenario.
func check(registry *protocols.Registry, s *scenario.Scenario, fail func(path, format string, args ...any) error) error {
	entry, err := registry.Lookup(s.Protocol)
	if err != nil {
		return err
	}
	spec := specOf(s)
	if err := spec.CheckFor(s.Spread(), entry.Outstanding); err != nil {
		path := "workload"
		var at *workloads.Error
		if errors.As(err, &at) {
			if path += "." + at.Key; at.Key == "client_hosts" {
				path = at.Key
			}
		}
		return fail(path, "%v", err)
	}
	return nil
}
