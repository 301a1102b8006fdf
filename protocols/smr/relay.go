package smr

import "github.com/edgebft/edgebft/protocols"

// A request that a client sends to a backup has to reach the primary. One with a MAC
// vector, sent by a client that takes this replica for the primary, is relayed at
// once. A signed one is a retransmission, which its client sends to all: the primary
// probably has it, and checking n copies of a signature instead of one is what turns
// an overloaded primary into a useless one. It is relayed if it still waits after
// ReplicaOptions.RelayAfter.

const timerRelay uint32 = 0x5303

// relayMax bounds the requests that wait to be relayed; what exceeds it is relayed at
// once.
const relayMax = 1 << 16

type relay struct {
	key protocols.RequestKey
	due protocols.Time
}

// relay sees to it that the primary learns of a request of its client.
func (x *Replica) relay(r *protocols.Request) {
	if x.orderer.Primary() == x.env.Self() {
		return
	}
	if !r.Signed || x.opt.RelayAfter <= 0 || len(x.relays) >= relayMax {
		x.env.Send(x.orderer.Primary(), r)
		return
	}
	x.relays = append(x.relays, relay{r.Key(), x.env.Now().Add(x.opt.RelayAfter)})
	if len(x.relays) == 1 {
		x.env.SetTimer(x.opt.RelayAfter, timerRelay, 0)
	}
}

// onRelayTime relays what has waited long enough, in the order of its arrival.
func (x *Replica) onRelayTime() {
	now, n := x.env.Now(), 0
	for ; n < len(x.relays) && x.relays[n].due <= now; n++ {
		r := x.orderer.Pending(x.relays[n].key)
		if primary := x.orderer.Primary(); r != nil && primary != x.env.Self() {
			x.env.Send(primary, r)
		}
	}
	x.relays = append(x.relays[:0], x.relays[n:]...)
	if len(x.relays) > 0 {
		x.env.SetTimer(x.relays[0].due.Sub(now), timerRelay, 0)
	}
}
