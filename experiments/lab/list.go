package lab

import (
	"fmt"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/experiments/sweep"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads"
)

// listed is one line of edgebft list.
type listed struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
	// Of protocols only.
	Replicas   string   `json:"replicas,omitempty"`
	FaultModel string   `json:"fault_model,omitempty"`
	Finality   string   `json:"finality,omitempty"`
	Hosts      []string `json:"hosts,omitempty"`
	Paper      string   `json:"paper,omitempty"`
	Options    []option `json:"options,omitempty"`
}

type option struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Allowed string `json:"allowed"`
	Doc     string `json:"doc"`
}

// Listable are the things that List knows.
var Listable = []string{"protocols", "attacks", "faults", "workloads", "topologies", "profiles", "suites"}

// List prints what exists, one line each. With a name it prints the details.
func List(w IO, what, name string) error {
	var all []listed
	switch what {
	case "protocols":
		all = listProtocols()
	case "attacks":
		for _, a := range run.Catalog().Attacks {
			all = append(all, listed{Name: a.Name, Doc: a.Doc, Options: options(a.Options)})
		}
	case "faults":
		for _, k := range scenario.FaultKinds() {
			all = append(all, listed{Name: k.Name, Doc: k.Doc})
		}
	case "workloads":
		for _, a := range workloads.Apps() {
			all = append(all, listed{Name: a.Name, Doc: a.Doc, Options: options(a.Options)})
		}
	case "topologies":
		for _, n := range topology.Names() {
			t, err := topology.Load(n)
			if err != nil {
				return err
			}
			all = append(all, listed{Name: n, Doc: t.Doc})
		}
	case "profiles":
		for _, n := range profile.Names() {
			p, err := profile.Load(n)
			if err != nil {
				return err
			}
			all = append(all, listed{Name: n, Doc: fmt.Sprintf("%d cores, %s", p.Cores, p.Origin)})
		}
	case "suites":
		for _, n := range suite.Names() {
			s, err := suite.Load(n, "")
			if err != nil {
				return err
			}
			all = append(all, listed{Name: n, Doc: s.Doc})
		}
	default:
		return exit.Errorf(exit.Usage, "cannot list %q%s", what, protocols.Suggest(what, Listable))
	}
	if name != "" {
		var names []string
		for _, l := range all {
			if names = append(names, l.Name); l.Name == name {
				return detail(w, l)
			}
		}
		return exit.Errorf(exit.Usage, "no %q among the %s%s", name, what, protocols.Suggest(name, names))
	}
	if w.JSON {
		return w.json(all)
	}
	rows := make([][]string, len(all))
	header := []string{"name", "what it is"}
	for i, l := range all {
		rows[i] = []string{l.Name, l.Doc}
		if what == "protocols" {
			rows[i] = []string{l.Name, l.Replicas, l.FaultModel, l.Finality, strings.Join(l.Hosts, ", "), l.Doc}
			header = []string{"name", "replicas", "faults", "finality", "hosts", "what it is"}
		}
	}
	return sweep.WriteTable(w.Out, header, rows)
}

func listProtocols() []listed {
	reg := run.Catalog().Registry
	var all []listed
	for _, name := range reg.Names() {
		e, err := reg.Lookup(name)
		if err != nil {
			continue
		}
		l := listed{Name: name, Doc: e.Doc, FaultModel: e.FaultModel.String(), Finality: e.Finality.String(), Paper: e.Paper, Options: options(e.Options)}
		// The number of replicas is linear in f.
		per := e.Replicas(2) - e.Replicas(1)
		l.Replicas = fmt.Sprintf("%df+%d", per, e.Replicas(1)-per)
		for _, h := range []struct {
			bit  protocols.Hosts
			name string
		}{{protocols.OnSimulator, "sim"}, {protocols.OnTCP, "tcp"}, {protocols.Native, "native"}} {
			if e.Hosts&h.bit != 0 {
				l.Hosts = append(l.Hosts, h.name)
			}
		}
		all = append(all, l)
	}
	return all
}

func options(decl []protocols.Option) []option {
	var out []option
	for _, d := range decl {
		o := option{Name: d.Name, Default: d.Format(d.Default), Doc: d.Doc, Allowed: d.Format(d.Min) + " to " + d.Format(d.Max)}
		switch d.Kind {
		case protocols.OptionBool:
			o.Allowed = "true, false"
		case protocols.OptionChoice:
			o.Allowed = strings.Join(d.Choices, ", ")
		}
		out = append(out, o)
	}
	return out
}

func detail(w IO, l listed) error {
	if w.JSON {
		return w.json(l)
	}
	fmt.Fprintf(w.Out, "%s: %s\n", l.Name, l.Doc)
	if l.Paper != "" {
		fmt.Fprintf(w.Out, "%s; %s replicas, %s faults, %s finality\n", l.Paper, l.Replicas, l.FaultModel, l.Finality)
	}
	if len(l.Options) == 0 {
		return nil
	}
	rows := make([][]string, len(l.Options))
	for i, o := range l.Options {
		rows[i] = []string{o.Name, o.Default, o.Allowed, o.Doc}
	}
	return sweep.WriteTable(w.Out, []string{"option", "default", "allowed", "what it does"}, rows)
}

// UnknownFlag adds the nearest flag to an error about an unknown one.
func UnknownFlag(err error, name string, known []string) error {
	return fmt.Errorf("%w%s", err, protocols.Suggest(name, known))
}

// Schema prints a JSON Schema.
func Schema(w IO, what string) error {
	switch what {
	case "scenario":
		return w.json(scenario.JSONSchema())
	case "suite":
		return w.json(suite.JSONSchema())
	case "result":
		return w.json(result.JSONSchema())
	}
	return exit.Errorf(exit.Usage, "no schema of %q%s", what, protocols.Suggest(what, []string{"scenario", "suite", "result"}))
}
