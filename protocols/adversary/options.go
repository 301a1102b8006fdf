package adversary

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

func windowOptions() []protocols.Option {
	return []protocols.Option{
		{Name: "after", Kind: protocols.OptionDuration, Max: int64(24 * time.Hour), Doc: "misbehave only from this age of the node on"},
		{Name: "until", Kind: protocols.OptionDuration, Max: int64(24 * time.Hour), Doc: "misbehave only up to this age; 0 is for ever"},
	}
}

func victimOptions(count int64) []protocols.Option {
	return []protocols.Option{
		{Name: "first", Kind: protocols.OptionInt, Default: -1, Min: -1, Max: protocols.MaxReplicas - 1, Doc: "first victim; -1 is the replica after this one"},
		{Name: "count", Kind: protocols.OptionInt, Default: count, Min: 0, Max: protocols.MaxReplicas, Doc: "number of victims among the replicas"},
		{Name: "clients", Kind: protocols.OptionBool, Doc: "whether clients are victims too"},
	}
}

func rateOption(permille int64, doc string) protocols.Option {
	return protocols.Option{Name: "rate", Kind: protocols.OptionInt, Default: permille, Min: 0, Max: 1000, Doc: doc}
}

// classes are the choices of a class option; the first means all.
var classes = []string{"all", "client", "order", "bulk", "gossip"}

func classOption(def int64) protocols.Option {
	return protocols.Option{Name: "class", Kind: protocols.OptionChoice, Default: def, Choices: classes, Doc: "traffic class that is attacked"}
}

// class returns a test of whether a message is of the chosen class.
func (l *lane) inClass(choice string, m protocols.WireMessage) bool {
	if choice == classes[0] {
		return true
	}
	mt := l.table.Lookup(m.Tag())
	return mt != nil && mt.Class.String() == choice
}

// victims is a set of nodes.
type victims struct {
	n, first, count int
	clients         bool
}

func victimsOf(c *protocols.Config, o protocols.Options) victims {
	v := victims{n: max(c.N, 1), first: o.Int("first"), count: o.Int("count"), clients: o.Bool("clients")}
	if v.first < 0 {
		v.first = 0
		if c.Self.IsReplica() {
			v.first = int(c.Self) + 1
		}
	}
	return v
}

func (v victims) has(id protocols.NodeID) bool {
	if !id.IsReplica() {
		return v.clients && id.IsClient()
	}
	if int(id) >= v.n {
		return false
	}
	return (int(id)-v.first%v.n+v.n)%v.n < v.count
}
