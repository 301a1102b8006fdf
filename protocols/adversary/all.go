package adversary

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// All lists the generic attacks on a protocol with these messages, in the order
// of the documentation. A nil table will do for listing names, options and docs;
// building an adversary then panics.
func All(table *protocols.MessageTable) []protocols.Attack {
	list := []struct {
		name, doc string
		options   []protocols.Option
		make      func(c *protocols.Config, o protocols.Options) func() attacker
	}{
		{"silent", "sends nothing to anybody", nil, newSilent},
		{"silent-to", "sends nothing to its victims", victimOptions(1), newSilentTo},
		{"selective", "sends each message to a few replicas only, f+1 unless reach says otherwise", selectiveOptions(), newSelective},
		{"delay", "holds what it sends, just under a time-out if so chosen (at most 4,096 messages, more go out at once)", delayOptions(), newDelay},
		{"bad-macs", "sends messages whose authenticators do not verify at its victims", victimOptions(1), newBadMACs},
		{"equivocate", "tells different nodes different things, by the mutations of the message table", equivocateOptions(), newEquivocate},
		{"double-vote", "sends every message and a mutated one beside it to everybody", []protocols.Option{rateOption(1000, "messages attacked, in 1,000"), classOption(2)}, newDoubleVote},
		{"mutate", "sends mutated messages, the same to everybody", []protocols.Option{rateOption(1000, "messages attacked, in 1,000"), classOption(2)}, newMutate},
		{"wrong-replies", "answers clients wrongly, in collusion the same way", []protocols.Option{rateOption(1000, "replies attacked, in 1,000")}, newWrongReplies},
		{"byzzfuzz", "c faults drawn over the first r rounds: in a round, a random set of receivers gets a small-scope mutation (after ByzzFuzz, OOPSLA 2023)", byzzfuzzOptions(), newByzzFuzz},
		{"stale", "repeats its own earlier messages, or sends them instead of new ones (remembers 64)", staleOptions(), newStale},
		{"replay", "sends on what it received from others, as its own where it is sealed (remembers 64)", []protocols.Option{rateOption(200, "received messages answered by a replay, in 1,000")}, newReplay},
		{"flood", "sends copies of recent messages to all replicas without end (remembers 16)", floodOptions(), newFlood},
		{"twins", "two correct replicas with one identity, each of which talks with a part of the others; the parts are drawn anew every period", twinsOptions(), newTwins},
	}
	out := make([]protocols.Attack, len(list))
	for i := range list {
		a := list[i]
		out[i] = protocols.Attack{
			Name: a.name, Doc: a.doc, Options: append(a.options, windowOptions()...), Copies: copies[a.name],
			New: func(c *protocols.Config, o protocols.Options, peers protocols.Group) protocols.Adversary {
				if table == nil {
					panic("adversary: " + a.name + " needs the message table of the protocol; call All with it")
				}
				return &shell{
					cfg: c, table: table, peers: peers,
					after: o.Duration("after"), until: o.Duration("until"),
					make: a.make(c, o), lanes: make(map[int]*lane),
				}
			},
		}
	}
	return out
}

// copies are the endpoints of attacks that need more than one.
var copies = map[string]int{"twins": 2}

// hour bounds options that are durations.
const hour = int64(time.Hour)
