package smr

import "github.com/edgebft/edgebft/protocols"

// Pending is the queue of requests that wait to be ordered, first in first out,
// without duplicates. It is bounded by a number of requests and, per client, by
// the number a correct client may have open; what exceeds a bound is refused and
// comes back when the client retransmits.
type Pending struct {
	maxTotal, maxPerClient int
	queue                  []pendingRequest
	head                   int
	live                   map[protocols.RequestKey]uint64 // -> ticket
	perClient              map[protocols.NodeID]int
	tickets                uint64
}

type pendingRequest struct {
	req    *protocols.Request
	since  protocols.Time
	ticket uint64
}

// NewPending returns an empty queue with its bounds.
func NewPending(maxTotal, maxPerClient int) *Pending {
	return &Pending{
		maxTotal: maxTotal, maxPerClient: maxPerClient,
		live: make(map[protocols.RequestKey]uint64), perClient: make(map[protocols.NodeID]int),
	}
}

// Len is the number of pending requests.
func (p *Pending) Len() int { return len(p.live) }

// Has reports whether a request with this key is pending.
func (p *Pending) Has(k protocols.RequestKey) bool { return p.live[k] != 0 }

// Add queues r and reports whether it was new and within the bounds. A client at
// its bound makes room by dropping its oldest pending request: a correct client
// has given that one up.
func (p *Pending) Add(r *protocols.Request, now protocols.Time) bool {
	k := r.Key()
	if p.live[k] != 0 {
		return false
	}
	if p.perClient[r.Client] >= p.maxPerClient {
		for i := p.head; i < len(p.queue); i++ {
			q := &p.queue[i]
			if q.req != nil && q.req.Client == r.Client && p.live[q.req.Key()] == q.ticket {
				if q.req.Timestamp > r.Timestamp {
					return false
				}
				p.Remove(q.req.Key())
				break
			}
		}
	}
	if len(p.live) >= p.maxTotal {
		return false
	}
	p.tickets++
	p.live[k] = p.tickets
	p.perClient[r.Client]++
	p.queue = append(p.queue, pendingRequest{r, now, p.tickets})
	return true
}

// Remove forgets the request with this key, if it is pending.
func (p *Pending) Remove(k protocols.RequestKey) {
	if p.live[k] == 0 {
		return
	}
	delete(p.live, k)
	if p.perClient[k.Client]--; p.perClient[k.Client] == 0 {
		delete(p.perClient, k.Client)
	}
	p.trim()
}

// trim drops dead entries at the head and compacts the queue when most of it is
// dead, so that it stays proportional to what is pending.
func (p *Pending) trim() {
	for p.head < len(p.queue) && p.dead(p.head) {
		p.queue[p.head] = pendingRequest{}
		p.head++
	}
	if p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
		return
	}
	if len(p.queue) > 64 && len(p.queue) > 4*len(p.live) {
		kept := p.queue[:0]
		for i := p.head; i < len(p.queue); i++ {
			if !p.dead(i) {
				kept = append(kept, p.queue[i])
			}
		}
		clear(p.queue[len(kept):])
		p.queue, p.head = kept, 0
	}
}

func (p *Pending) dead(i int) bool {
	q := &p.queue[i]
	return q.req == nil || p.live[q.req.Key()] != q.ticket
}

// Oldest returns the request that has waited longest and since when; nil if none.
func (p *Pending) Oldest() (*protocols.Request, protocols.Time) {
	p.trim()
	if p.head == len(p.queue) {
		return nil, 0
	}
	return p.queue[p.head].req, p.queue[p.head].since
}

// Each calls f for every pending request, oldest first, until f returns false.
// f must not change the queue.
func (p *Pending) Each(f func(r *protocols.Request) bool) {
	for i := p.head; i < len(p.queue); i++ {
		if !p.dead(i) && !f(p.queue[i].req) {
			return
		}
	}
}

// Pop removes and returns the request that has waited longest; nil if none.
func (p *Pending) Pop() *protocols.Request {
	r, _ := p.Oldest()
	if r != nil {
		p.Remove(r.Key())
	}
	return r
}

// Get returns the pending request with this key, or nil.
func (p *Pending) Get(k protocols.RequestKey) *protocols.Request {
	ticket := p.live[k]
	if ticket == 0 {
		return nil
	}
	// Tickets ascend along the queue.
	i, j := p.head, len(p.queue)
	for i < j {
		if m := (i + j) / 2; p.queue[m].ticket < ticket {
			i = m + 1
		} else {
			j = m
		}
	}
	if i < len(p.queue) && p.queue[i].ticket == ticket {
		return p.queue[i].req
	}
	return nil
}
