package adversary

import (
	"github.com/edgebft/edgebft/protocols"
)

// byzzFuzz makes c process faults over r rounds. A round is a distinct
// (view, sequence, phase) of the messages that the node sends, numbered in the
// order in which it first sends one, per path.
type byzzFuzz struct {
	honest
	c, r   int
	faults []processFault
	rounds map[roundKey]int // at most r
}

type roundKey struct {
	path string
	at   protocols.Round
}

// processFault is one lie: in a round, to some, by a mutation.
type processFault struct {
	round    int
	replicas []bool
	clients  bool
	pick     uint64
}

func byzzfuzzOptions() []protocols.Option {
	return []protocols.Option{
		{Name: "c", Kind: protocols.OptionInt, Default: 2, Min: 0, Max: 1000, Doc: "process faults"},
		{Name: "r", Kind: protocols.OptionInt, Default: 20, Min: 1, Max: 10000, Doc: "rounds over which they are spread"},
	}
}

func newByzzFuzz(_ *protocols.Config, o protocols.Options) func() attacker {
	c, r := o.Int("c"), o.Int("r")
	return func() attacker { return &byzzFuzz{c: c, r: r, rounds: make(map[roundKey]int)} }
}

// start draws all faults, before anything is known of the run.
func (a *byzzFuzz) start(l *lane) {
	for range a.c {
		f := processFault{round: l.rand().IntN(a.r), pick: l.rand().Uint64(), replicas: make([]bool, l.cfg.N)}
		some := false
		for i := range f.replicas {
			f.replicas[i] = l.outsider(protocols.NodeID(i)) && l.rand().Uint64()&1 == 0
			some = some || f.replicas[i]
		}
		f.clients = l.rand().Uint64()&1 == 0
		if !some { // the set of recipients is never empty
			f.clients = true
			if i := l.rand().IntN(max(l.cfg.N, 1)); i < len(f.replicas) {
				f.replicas[i] = l.outsider(protocols.NodeID(i))
			}
		}
		a.faults = append(a.faults, f)
	}
}

func (a *byzzFuzz) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	mt := l.table.Lookup(m.Tag())
	if mt == nil || mt.Round == nil {
		pass(e, to, m)
		return
	}
	key := roundKey{e.Path(), mt.Round(m)}
	round, ok := a.rounds[key]
	if !ok {
		if len(a.rounds) >= a.r { // the faults lie behind
			pass(e, to, m)
			return
		}
		round = len(a.rounds)
		a.rounds[key] = round
	}
	rest := to
	for i := range a.faults {
		f := &a.faults[i]
		if f.round != round {
			continue
		}
		hit, others := l.split(rest, f.hits)
		if len(hit) == 0 {
			continue
		}
		c, ok := l.lie(e, m, f.pick)
		if !ok {
			continue
		}
		pass(e, hit, c)
		rest = others
	}
	pass(e, rest, m)
}

func (f *processFault) hits(id protocols.NodeID) bool {
	if id.IsReplica() {
		return int(id) < len(f.replicas) && f.replicas[id]
	}
	return f.clients && id.IsClient()
}
