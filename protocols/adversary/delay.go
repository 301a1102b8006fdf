package adversary

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// maxHeld bounds the messages that a delaying node holds.
const maxHeld = 4096

// delay holds messages back.
type delay struct {
	honest
	by      time.Duration
	class   string
	victims victims
	next    uint64
	held    map[uint64]heldMessage
}

type heldMessage struct {
	env protocols.Env
	to  protocols.Group
	m   protocols.WireMessage
}

func delayOptions() []protocols.Option {
	return append([]protocols.Option{
		{Name: "by", Kind: protocols.OptionDuration, Default: int64(400 * time.Millisecond), Min: 1, Max: hour, Doc: "how long messages are held"},
		classOption(0),
	}, victimOptions(protocols.MaxReplicas)...)
}

func newDelay(c *protocols.Config, o protocols.Options) func() attacker {
	by, class, v := o.Duration("by"), o.Choice("class"), victimsOf(c, o)
	return func() attacker {
		return &delay{by: by, class: class, victims: v, held: make(map[uint64]heldMessage)}
	}
}

func (a *delay) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	if !l.inClass(a.class, m) || len(a.held) >= maxHeld {
		pass(e, to, m)
		return
	}
	late, soon := l.split(to, func(id protocols.NodeID) bool { return l.outsider(id) && a.victims.has(id) })
	pass(e, soon, m)
	if len(late) > 0 {
		a.next++
		a.held[a.next] = heldMessage{env: e, to: late, m: m}
		l.setTimer(a.by, a.next)
	}
}

func (a *delay) timeout(_ *lane, arg uint64) {
	if h, ok := a.held[arg]; ok {
		delete(a.held, arg)
		pass(h.env, h.to, h.m)
	}
}
