package adversary

import (
	"github.com/edgebft/edgebft/protocols"
)

// badMACs sends messages that some receivers must reject: wrong seals, and wrong
// entries in the authenticators that the node itself put into the message (a
// client's request verifies at some replicas and not at others). Where the host
// cannot tamper with seals, only the latter.
type badMACs struct {
	honest
	victims victims
}

func newBadMACs(c *protocols.Config, o protocols.Options) func() attacker {
	v := victimsOf(c, o)
	return func() attacker { return badMACs{victims: v} }
}

func (a badMACs) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	bad := func(id protocols.NodeID) bool { return l.outsider(id) && a.victims.has(id) }
	mt := l.table.Lookup(m.Tag())
	if mt != nil && mt.Parts != nil {
		if c := copyOf(mt, m); c != nil && l.vouch(e, mt, c, bad) {
			m = c
		}
	}
	t, ok := e.(protocols.Tamper)
	if !ok || mt == nil || mt.Seal == protocols.SealNone {
		pass(e, to, m)
		return
	}
	t.MulticastBad(to, m, bad)
}
