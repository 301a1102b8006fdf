package adversary

import (
	"github.com/edgebft/edgebft/protocols"
)

// lie returns m changed by one mutation of its type, chosen by pick, with what
// this node vouches for in it made anew. It fails for a type without mutations
// and for a change that cannot be encoded.
func (l *lane) lie(e protocols.Env, m protocols.WireMessage, pick uint64) (protocols.WireMessage, bool) {
	mt := l.table.Lookup(m.Tag())
	if mt == nil || len(mt.Mutations) == 0 {
		return nil, false
	}
	c := mt.Mutations[pick%uint64(len(mt.Mutations))].Apply(m, l.rand())
	if c == nil || c.Tag() != m.Tag() {
		return nil, false
	}
	c = copyOf(mt, c)
	if c == nil {
		return nil, false
	}
	l.vouch(e, mt, c, nil)
	return c, true
}

// randomLie is lie with a mutation chosen at random.
func (l *lane) randomLie(e protocols.Env, m protocols.WireMessage) (protocols.WireMessage, bool) {
	return l.lie(e, m, l.rand().Uint64())
}

// copyOf returns a deep copy that shares nothing with m, or nil if m cannot be
// encoded or would not be accepted by a decoder.
func copyOf(mt *protocols.MessageType, m protocols.WireMessage) protocols.WireMessage {
	body, err := m.MarshalMsg(nil)
	if err != nil {
		return nil
	}
	c, err := protocols.DecodeMessage(mt, body)
	if err != nil {
		return nil
	}
	return c
}

// vouch makes the authenticators anew that this node has inside m, a deep copy
// of its own: a part's proof is part of the message, so it is written in place.
// Entries for nodes for which spoil returns true are made wrong. It reports
// whether there was one to spoil.
func (l *lane) vouch(e protocols.Env, mt *protocols.MessageType, m protocols.WireMessage, spoil func(protocols.NodeID) bool) (spoilt bool) {
	if mt.Parts == nil {
		return false
	}
	auth := e.Auth()
	for _, p := range mt.Parts(nil, auth, &protocols.Envelope{From: l.self(), To: l.self(), Path: e.Path(), Type: mt}, m) {
		if p.Signer != l.self() || p.Path != e.Path() {
			continue // somebody else's, or made where this Env cannot speak
		}
		switch {
		case p.Kind == protocols.PartSignature && len(p.Proof) == protocols.SignatureSize:
			copy(p.Proof, auth.Sign(p.Type, p.Digest))
		case p.Kind == protocols.PartMAC && len(p.Proof) == len(l.cfg.Replicas)*protocols.MACSize:
			copy(p.Proof, auth.MACs(p.Type, l.cfg.Replicas, p.Digest))
			for i, id := range l.cfg.Replicas {
				if spoil != nil && spoil(id) {
					p.Proof[i*protocols.MACSize] ^= 1
					spoilt = true
				}
			}
		}
	}
	return spoilt
}

// equivocate tells different receivers different things.
type equivocate struct {
	honest
	rate, share int
	class       string
}

func equivocateOptions() []protocols.Option {
	return []protocols.Option{
		rateOption(1000, "messages attacked, in 1,000"),
		{Name: "share", Kind: protocols.OptionInt, Default: 500, Min: 1, Max: 1000, Doc: "receivers lied to, in 1,000"},
		classOption(2),
	}
}

func newEquivocate(_ *protocols.Config, o protocols.Options) func() attacker {
	a := equivocate{rate: o.Int("rate"), share: o.Int("share"), class: o.Choice("class")}
	return func() attacker { return a }
}

func (a equivocate) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	if !l.inClass(a.class, m) || !l.chance(a.rate) {
		pass(e, to, m)
		return
	}
	deceived, others := l.split(to, func(id protocols.NodeID) bool { return l.outsider(id) && l.chance(a.share) })
	pass(e, others, m)
	// Two versions are enough to split any quorum three ways with the truth.
	for _, half := range []protocols.Group{deceived[:len(deceived)/2], deceived[len(deceived)/2:]} {
		if len(half) == 0 {
			continue
		}
		if c, ok := l.randomLie(e, m); ok {
			pass(e, half, c)
		} else {
			pass(e, half, m)
		}
	}
}

// doubleVote says two things to everybody; mutate says the wrong one only.
type doubleVote struct {
	honest
	rate  int
	class string
	only  bool
}

func newDoubleVote(_ *protocols.Config, o protocols.Options) func() attacker {
	a := doubleVote{rate: o.Int("rate"), class: o.Choice("class")}
	return func() attacker { return a }
}

func newMutate(_ *protocols.Config, o protocols.Options) func() attacker {
	a := doubleVote{rate: o.Int("rate"), class: o.Choice("class"), only: true}
	return func() attacker { return a }
}

func (a doubleVote) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	if !l.inClass(a.class, m) || !l.chance(a.rate) {
		pass(e, to, m)
		return
	}
	c, ok := l.randomLie(e, m)
	if !ok {
		pass(e, to, m)
		return
	}
	outsiders, peers := l.split(to, l.outsider)
	pass(e, peers, m)
	first, second := m, c
	if !a.only && l.rand().Uint64()&1 == 0 {
		first, second = c, m // whoever comes first may win
	}
	if !a.only {
		pass(e, outsiders, first)
	}
	pass(e, outsiders, second)
}

// wrongReplies lies to clients. The mutation depends on the message alone, so
// that colluding replicas tell the same lie.
type wrongReplies struct {
	honest
	rate int
}

func newWrongReplies(_ *protocols.Config, o protocols.Options) func() attacker {
	a := wrongReplies{rate: o.Int("rate")}
	return func() attacker { return a }
}

func (a wrongReplies) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	clients, others := l.split(to, func(id protocols.NodeID) bool { return id.IsClient() && l.outsider(id) })
	pass(e, others, m)
	if len(clients) == 0 {
		return
	}
	mt := l.table.Lookup(m.Tag())
	if mt != nil && len(mt.Mutations) > 0 && l.chance(a.rate) {
		pick := uint64(len(mt.Mutations) - 1) // types list the content last
		if r := mt.Round; r != nil {
			at := r(m)
			if at.Seq%4 == 3 { // now and then something else than the content
				pick = at.Seq / 4
			}
		}
		if c, ok := l.lie(e, m, pick); ok {
			m = c
		}
	}
	pass(e, clients, m)
}
