package smr

import "github.com/edgebft/edgebft/protocols"

// Pending is the queue of requests that wait to be ordered, first in first out,
// without duplicates. A signed request convinces every replica alike, so whoever
// leads must get it ordered: such requests are awaited. One with a MAC vector may be
// good here and bad at the primary; it waits too, but nobody can be blamed for it.
//
// It is bounded by a number of requests and, per client, by the number a correct
// client may have open. A client at its bound drops its oldest; a full queue drops
// its oldest request that is not awaited for one that is; what exceeds the bounds
// even so is refused and comes back when the client retransmits. Every operation
// takes constant time but Each.
type Pending struct {
	maxTotal, maxPerClient int
	live                   map[protocols.RequestKey]int32 // -> index into items
	clients                map[protocols.NodeID]chain
	all                    chain
	byKind                 [2]chain // not awaited, awaited
	items                  []pendingRequest
	free                   []int32
}

// pendingRequest is an element of three chains: of all requests, of those of its
// kind, of those of its client.
type pendingRequest struct {
	req   *protocols.Request
	since protocols.Time
	links [numChains]link
}

const (
	chainAll = iota
	chainKind
	chainClient
	numChains
)

// link holds the neighbours' indices plus 1; 0 is none.
type link struct{ prev, next int32 }

// chain is a doubly linked list through items.
type chain struct {
	first, last int32 // indices plus 1; 0 is none
	len         int
}

// NewPending returns an empty queue with its bounds.
func NewPending(maxTotal, maxPerClient int) *Pending {
	return &Pending{
		maxTotal: maxTotal, maxPerClient: maxPerClient,
		live: make(map[protocols.RequestKey]int32), clients: make(map[protocols.NodeID]chain),
	}
}

// Len is the number of pending requests.
func (p *Pending) Len() int { return p.all.len }

// Awaited is the number of pending requests that are signed.
func (p *Pending) Awaited() int { return p.byKind[1].len }

// Add queues r and reports whether it was taken. A signed request takes the place of
// the same one that is not, and is awaited from then on.
func (p *Pending) Add(r *protocols.Request, now protocols.Time) bool {
	k := r.Key()
	if i, ok := p.live[k]; ok {
		if !r.Signed || p.items[i].req.Signed {
			return false
		}
		p.unlink(&p.byKind[0], chainKind, i)
		p.items[i].req, p.items[i].since = r, now
		p.push(&p.byKind[1], chainKind, i)
		return true
	}
	if c := p.clients[r.Client]; c.len >= p.maxPerClient {
		oldest := p.items[c.first-1].req
		if oldest.Timestamp > r.Timestamp {
			return false
		}
		p.Remove(oldest.Key()) // a correct client has given it up
	}
	if p.all.len >= p.maxTotal {
		if !r.Signed || p.byKind[0].len == 0 {
			return false
		}
		p.Remove(p.items[p.byKind[0].first-1].req.Key())
	}
	i := int32(len(p.items))
	if n := len(p.free); n > 0 {
		i, p.free = p.free[n-1], p.free[:n-1]
	} else {
		p.items = append(p.items, pendingRequest{})
	}
	p.items[i].req, p.items[i].since = r, now
	p.live[k] = i
	p.push(&p.all, chainAll, i)
	p.push(p.kind(r), chainKind, i)
	c := p.clients[r.Client]
	p.push(&c, chainClient, i)
	p.clients[r.Client] = c
	return true
}

func (p *Pending) kind(r *protocols.Request) *chain {
	if r.Signed {
		return &p.byKind[1]
	}
	return &p.byKind[0]
}

func (p *Pending) push(c *chain, which int, i int32) {
	p.items[i].links[which] = link{prev: c.last}
	if c.last != 0 {
		p.items[c.last-1].links[which].next = i + 1
	} else {
		c.first = i + 1
	}
	c.last = i + 1
	c.len++
}

func (p *Pending) unlink(c *chain, which int, i int32) {
	l := p.items[i].links[which]
	if l.prev != 0 {
		p.items[l.prev-1].links[which].next = l.next
	} else {
		c.first = l.next
	}
	if l.next != 0 {
		p.items[l.next-1].links[which].prev = l.prev
	} else {
		c.last = l.prev
	}
	c.len--
}

// Remove forgets the request with this key, if it is pending.
func (p *Pending) Remove(k protocols.RequestKey) {
	i, ok := p.live[k]
	if !ok {
		return
	}
	delete(p.live, k)
	p.unlink(&p.all, chainAll, i)
	p.unlink(p.kind(p.items[i].req), chainKind, i)
	c := p.clients[k.Client]
	if p.unlink(&c, chainClient, i); c.len == 0 {
		delete(p.clients, k.Client)
	} else {
		p.clients[k.Client] = c
	}
	p.items[i] = pendingRequest{}
	if p.all.len == 0 {
		p.items, p.free = p.items[:0], p.free[:0]
		return
	}
	p.free = append(p.free, i)
}

// Oldest returns the request that has waited longest; nil if none.
func (p *Pending) Oldest() *protocols.Request {
	if p.all.len == 0 {
		return nil
	}
	return p.items[p.all.first-1].req
}

// OldestAwaited returns the signed request that has been awaited longest, and since
// when; nil if none.
func (p *Pending) OldestAwaited() (*protocols.Request, protocols.Time) {
	if p.byKind[1].len == 0 {
		return nil, 0
	}
	q := &p.items[p.byKind[1].first-1]
	return q.req, q.since
}

// Each calls f for every pending request, oldest first, until f returns false.
// f may remove the request it is called for, and no other.
func (p *Pending) Each(f func(r *protocols.Request) bool) {
	for i := p.all.first; i != 0; {
		next := p.items[i-1].links[chainAll].next
		if !f(p.items[i-1].req) {
			return
		}
		i = next
	}
}

// Pop removes and returns the request that has waited longest; nil if none.
func (p *Pending) Pop() *protocols.Request {
	r := p.Oldest()
	if r != nil {
		p.Remove(r.Key())
	}
	return r
}

// Get returns the pending request with this key, or nil.
func (p *Pending) Get(k protocols.RequestKey) *protocols.Request {
	if i, ok := p.live[k]; ok {
		return p.items[i].req
	}
	return nil
}
