package adversary

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// twins is one of several correct endpoints with one identity (after Twins, OPODIS
// 2020). In every period each other node talks with one of them, or with all. What the
// endpoints say is honest, and yet they contradict each other: that covers equivocation,
// double votes and amnesia without code that is written to attack.
type twins struct {
	honest
	period time.Duration
	copy   int
}

func twinsOptions() []protocols.Option {
	return []protocols.Option{
		{Name: "period", Kind: protocols.OptionDuration, Default: int64(200 * time.Millisecond), Min: int64(time.Microsecond), Max: hour, Doc: "how long the parts stay as they are"},
	}
}

func newTwins(c *protocols.Config, o protocols.Options) func() attacker {
	a := twins{period: o.Duration("period"), copy: c.Copy}
	return func() attacker { return a }
}

// talks reports whether this endpoint and another node hear each other now. The
// endpoints must agree on it, so it is drawn from what they have in common.
func (a twins) talks(l *lane, id protocols.NodeID) bool {
	h := uint64(1)
	for _, v := range [...]uint64{l.cfg.Cluster, uint64(uint32(l.self())), uint64(uint32(id)), uint64(l.root.Now()) / uint64(a.period)} {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	h *= 0xbf58476d1ce4e5b9
	switch h >> 61 { // one in four with both, the others with one
	case 0, 1:
		return true
	default:
		return h>>60&1 == uint64(a.copy&1)
	}
}

func (a twins) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	heard, _ := l.split(to, func(id protocols.NodeID) bool { return a.talks(l, id) })
	pass(e, heard, m)
}

// hears implements listener.
func (a twins) hears(l *lane, from protocols.NodeID) bool { return a.talks(l, from) }
