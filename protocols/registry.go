package protocols

import (
	"fmt"
	"sort"
)

// FaultModel is what a protocol tolerates.
type FaultModel uint8

// Fault models.
const (
	// Crash: replicas stop; nobody lies.
	Crash FaultModel = iota
	// CrossFault: XFT; Byzantine replicas as long as the system is not in anarchy.
	CrossFault
	// Byzantine: f arbitrary replicas, any number of arbitrary clients.
	Byzantine
)

func (m FaultModel) String() string {
	return [...]string{"crash", "cross-fault", "byzantine", "?"}[min(m, 3)]
}

// Finality says when an executed request can no longer be taken back.
type Finality uint8

// Kinds of finality.
const (
	// Immediate: a replica executes only what is decided.
	Immediate Finality = iota
	// Speculative: a replica may take back what it executed.
	Speculative
)

func (f Finality) String() string { return [...]string{"immediate", "speculative", "?"}[min(f, 2)] }

// Config is what a node of a protocol is built from. It is shared and must not be
// changed.
type Config struct {
	// Cluster is bound into every MAC and signature.
	Cluster uint64
	// Self is the node being built.
	Self NodeID
	// Copy tells apart the endpoints that share the identity Self, from 0; more than one
	// has only a Byzantine node with an attack that asks for it (Attack.Copies).
	Copy int
	// N replicas of which F may be faulty.
	N, F int
	// Replicas is the group 0..N-1.
	Replicas Group
	// Options are the protocol's own.
	Options Options
	// NewApplication returns a fresh application at genesis.
	NewApplication func() Application
}

// Hosts is a set of hosts that a protocol runs on.
type Hosts uint8

// Hosts.
const (
	OnSimulator Hosts = 1 << iota
	OnTCP
	// Native: it brings its own goroutines and streams, runs on TCP only, and is
	// outside the determinism rule.
	Native
)

// Entry describes a registered protocol.
type Entry struct {
	// Name as used on the command line; Doc is one line.
	Name, Doc string
	// Paper is the source, for the table of protocols.
	Paper string
	// Replicas gives the smallest n for f faults. More are allowed up to
	// MaxReplicas.
	Replicas   func(f int) int
	FaultModel FaultModel
	Finality   Finality
	// Complete is false for an instance that is usable only inside a composition.
	Complete bool
	Hosts    Hosts
	// Lanes names the lanes of a replica for a configuration.
	Lanes func(c *Config) []string
	// Outstanding is how many operations one client may have open.
	Outstanding int
	Options     []Option
	// Messages returns the table of message types.
	Messages func() *MessageTable
	// NewReplica returns the lanes of a replica, in the order of Lanes.
	NewReplica func(c *Config) []Node
	// NewClient returns a client.
	NewClient func(c *Config) Client
	// Observers returns the protocol's own observers for a run; may be nil. They judge
	// the nodes for which correct is true, and may stop a run like any other.
	Observers func(c *Config, correct func(NodeID) bool) []Observer
	// Attacks lists the protocol's published attacks; the generic ones are in
	// protocols/adversary.
	Attacks []Attack
}

// Check says what is wrong with a cluster of n replicas and f faults.
func (e *Entry) Check(n, f int) error {
	if f < 0 {
		return fmt.Errorf("f is %d; it must be 0 or more", f)
	}
	if least := e.Replicas(f); n < least {
		return fmt.Errorf("%s with f=%d needs at least %d replicas, not %d", e.Name, f, least, n)
	}
	if n > MaxReplicas {
		return fmt.Errorf("n is %d; at most %d replicas are supported", n, MaxReplicas)
	}
	return nil
}

// Registry holds the protocols that a program knows.
type Registry struct{ entries map[string]*Entry }

// NewRegistry registers entries. It panics on an incomplete or repeated entry:
// both are programming errors.
func NewRegistry(entries ...Entry) *Registry {
	r := &Registry{entries: make(map[string]*Entry)}
	for i := range entries {
		e := entries[i]
		if e.Name == "" || e.Replicas == nil || e.Messages == nil || e.NewReplica == nil || e.NewClient == nil {
			panic(fmt.Sprintf("protocols: entry %q needs Name, Replicas, Messages, NewReplica and NewClient", e.Name))
		}
		if r.entries[e.Name] != nil {
			panic(fmt.Sprintf("protocols: %q is registered twice", e.Name))
		}
		if e.Outstanding == 0 {
			e.Outstanding = 1
		}
		if e.Lanes == nil {
			e.Lanes = func(*Config) []string { return []string{"main"} }
		}
		r.entries[e.Name] = &e
	}
	return r
}

// Names returns the registered names in ascending order.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.entries))
	for n := range r.entries {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Lookup returns the entry with this name; the error names the nearest one.
func (r *Registry) Lookup(name string) (*Entry, error) {
	if e := r.entries[name]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("unknown protocol %q%s", name, Suggest(name, r.Names()))
}
