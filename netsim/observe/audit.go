package observe

import "github.com/edgebft/edgebft/protocols"

// audits is what is known of the applications of the correct replicas.
type audits struct {
	found *findings
	now   protocols.Time // of the last event
	last  []*audited     // the application that executed last, by replica
	seen  uint64         // the greatest version that was audited
}

// audited is the application of one replica. It behaves as the one inside, and has
// it audited whenever its root is taken after it executed something: that is at
// every checkpoint.
type audited struct {
	protocols.Application
	auditor protocols.Auditor
	node    protocols.NodeID
	all     *audits
	fresh   bool // it executed something since it was audited
}

// Audit makes the Checker judge the application of a replica by its own invariants
// ([protocols.Auditor]), at every checkpoint that the replica is the first to reach,
// and at the end of the run. It returns what the replica shall use instead of
// newApplication. Applications without invariants and replicas that are not
// correct stay as they are.
func (c *Checker) Audit(node protocols.NodeID, newApplication func() protocols.Application) func() protocols.Application {
	if !node.IsReplica() || !c.judged(node) {
		return newApplication
	}
	return func() protocols.Application {
		app := newApplication()
		a, ok := app.(protocols.Auditor)
		if !ok {
			return app
		}
		return &audited{Application: app, auditor: a, node: node, all: c.audits}
	}
}

// Apply implements protocols.Application.
func (a *audited) Apply(op []byte, verify protocols.Verify) []byte {
	// A replica also makes applications to look at a snapshot that it then refuses:
	// the one that executes is the one that counts.
	a.all.last[a.node], a.fresh = a, true
	return a.Application.Apply(op, verify)
}

// Root implements protocols.Application. The replicas that come later to the same
// version have the same state, or the observer of roots says that they have not.
func (a *audited) Root() protocols.Digest {
	if v := a.Version(); a.fresh && v > a.all.seen {
		a.all.seen = v
		a.audit()
	}
	return a.Application.Root()
}

func (a *audited) audit() {
	a.fresh = false
	a.all.found.saw(Application)
	if err := a.auditor.Audit(); err != nil {
		a.all.found.violate(Application, a.all.now, a.node, "after %d operations: %v", a.Version(), err)
	}
}

// finish audits what was executed since the last checkpoint: one replica per state.
func (s *audits) finish(at protocols.Time) {
	s.now = at
	type state struct {
		version uint64
		root    protocols.Digest
	}
	done := make(map[state]bool)
	for _, a := range s.last {
		if a == nil || !a.fresh {
			continue
		}
		if at := (state{a.Version(), a.Application.Root()}); !done[at] {
			done[at] = true
			a.audit()
		}
	}
}
