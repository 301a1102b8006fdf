package adversary

import (
	"github.com/edgebft/edgebft/protocols"
)

// silent sends nothing.
type silent struct{ honest }

func newSilent(*protocols.Config, protocols.Options) func() attacker {
	return func() attacker { return silent{} }
}

func (silent) send(*lane, protocols.Env, protocols.Group, protocols.WireMessage) {}

// silentTo sends nothing to its victims.
type silentTo struct {
	honest
	victims victims
}

func newSilentTo(c *protocols.Config, o protocols.Options) func() attacker {
	v := victimsOf(c, o)
	return func() attacker { return silentTo{victims: v} }
}

func (a silentTo) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	_, others := l.split(to, func(id protocols.NodeID) bool { return l.outsider(id) && a.victims.has(id) })
	pass(e, others, m)
}

// selective reaches a few replicas only.
type selective struct {
	honest
	reach int
	fixed bool
	set   []bool // the fixed choice, by replica
}

func selectiveOptions() []protocols.Option {
	return []protocols.Option{
		{Name: "reach", Kind: protocols.OptionInt, Min: 0, Max: protocols.MaxReplicas, Doc: "replicas that get a message; 0 is f+1"},
		{Name: "fixed", Kind: protocols.OptionBool, Doc: "whether it is always the same replicas"},
	}
}

func newSelective(c *protocols.Config, o protocols.Options) func() attacker {
	reach := o.Int("reach")
	if reach == 0 {
		reach = protocols.WeakQuorum(c.F)
	}
	fixed := o.Bool("fixed")
	return func() attacker { return &selective{reach: reach, fixed: fixed} }
}

func (a *selective) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	set := a.set
	if set == nil {
		set = make([]bool, l.cfg.N)
		for k, i := range l.rand().Perm(l.cfg.N) {
			set[i] = k < a.reach
		}
		if a.fixed {
			a.set = set
		}
	}
	reached, _ := l.split(to, func(id protocols.NodeID) bool {
		return !id.IsReplica() || !l.outsider(id) || int(id) < len(set) && set[id]
	})
	pass(e, reached, m)
}
