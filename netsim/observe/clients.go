package observe

import (
	"github.com/edgebft/edgebft/protocols"
)

// clientState is what is known of one client.
type clientState struct {
	executed intervals
	open     []openRequest
	// forgotten is the highest timestamp that was dropped from open; nothing is known
	// of what is not higher.
	forgotten uint64
}

// openRequest was invoked by a correct client and is not both executed and
// accepted yet.
type openRequest struct {
	timestamp          uint64
	digest             protocols.Digest
	executed, accepted bool
}

// maxOpen bounds the open requests of one client; the oldest are forgotten.
const maxOpen = 1 << 12

func (o *order) client(id protocols.NodeID) *clientState {
	c := o.clients[id]
	if c == nil {
		c = new(clientState)
		o.clients[id] = c
	}
	return c
}

func (c *clientState) find(timestamp uint64) int {
	for i := len(c.open) - 1; i >= 0; i-- {
		if c.open[i].timestamp == timestamp {
			return i
		}
	}
	return -1
}

func (c *clientState) close(i int) {
	if r := &c.open[i]; r.executed && r.accepted {
		c.open = append(c.open[:i], c.open[i+1:]...)
	}
}

// check judges a request that enters the agreed order: once, and as invoked.
func (o *order) check(at protocols.Time, node protocols.NodeID, index uint64, e *entry) {
	c := o.client(e.client)
	if !c.executed.add(e.timestamp) {
		o.found.violate(Integrity, at, node, "request %d/%d is executed a second time, at index %d", e.client, e.timestamp, index)
		return
	}
	if !o.cfg.Correct(e.client) {
		return
	}
	i := c.find(e.timestamp)
	if i < 0 && e.timestamp <= c.forgotten {
		return
	}
	if i < 0 {
		o.found.violate(Validity, at, node, "request %d/%d at index %d was never invoked by that client", e.client, e.timestamp, index)
		return
	}
	if c.open[i].digest != e.digest {
		o.found.violate(Validity, at, node, "request %d/%d at index %d has digest %s, the client invoked %s", e.client, e.timestamp, index, e.digest, c.open[i].digest)
	}
	c.open[i].executed = true
	c.close(i)
}

func (o *order) invoked(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	c := o.client(node)
	if c.find(ev.Timestamp) >= 0 || c.executed.has(ev.Timestamp) {
		o.found.violate(Integrity, at, node, "invokes timestamp %d a second time", ev.Timestamp)
		return
	}
	if len(c.open) >= maxOpen {
		o.found.giveUp(Validity, "a client has more than 4,096 open requests")
		c.forgotten = max(c.forgotten, c.open[0].timestamp)
		c.open = append(c.open[:0], c.open[1:]...)
	}
	c.open = append(c.open, openRequest{timestamp: ev.Timestamp, digest: ev.Digest})
}

func (o *order) accepted(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	o.found.saw(Validity)
	c := o.client(node)
	i := c.find(ev.Timestamp)
	if i < 0 && ev.Timestamp <= c.forgotten {
		return
	}
	if i < 0 || c.open[i].accepted {
		o.found.violate(Validity, at, node, "accepts a result for timestamp %d, which it did not invoke or had accepted before", ev.Timestamp)
		return
	}
	r := &c.open[i]
	if r.digest != ev.Digest {
		o.found.violate(Validity, at, node, "accepts a result for timestamp %d with digest %s, but invoked %s", ev.Timestamp, ev.Digest, r.digest)
	}
	if !r.executed && o.cfg.Finality == protocols.Immediate {
		o.found.violate(Validity, at, node, "accepts a result for timestamp %d, which no correct replica has executed", ev.Timestamp)
	}
	r.accepted = true
	c.close(i)
}

// intervals is a set of numbers as disjoint ranges in ascending order. Timestamps
// of correct clients make one range per life.
type intervals struct{ list []interval }

type interval struct{ lo, hi uint64 }

// maxIntervals bounds the set; beyond it the lowest range is forgotten, so that a
// faulty client cannot make it grow. Repetitions down there go unnoticed.
const maxIntervals = 1 << 10

// search returns the position of the first range that ends at or after v.
func (s *intervals) search(v uint64) int {
	lo, hi := 0, len(s.list)
	for lo < hi {
		m := (lo + hi) / 2
		if s.list[m].hi < v {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

func (s *intervals) has(v uint64) bool {
	i := s.search(v)
	return i < len(s.list) && s.list[i].lo <= v
}

// add adds v and reports whether it was new.
func (s *intervals) add(v uint64) bool {
	i := s.search(v)
	if i < len(s.list) && s.list[i].lo <= v {
		return false
	}
	below := i > 0 && s.list[i-1].hi+1 == v
	above := i < len(s.list) && v+1 == s.list[i].lo
	switch {
	case below && above:
		s.list[i-1].hi = s.list[i].hi
		s.list = append(s.list[:i], s.list[i+1:]...)
	case below:
		s.list[i-1].hi = v
	case above:
		s.list[i].lo = v
	default:
		s.list = append(s.list, interval{})
		copy(s.list[i+1:], s.list[i:])
		s.list[i] = interval{v, v}
		if len(s.list) > maxIntervals {
			s.list = append(s.list[:0], s.list[1:]...)
		}
	}
	return true
}
