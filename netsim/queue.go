package netsim

import (
	"fmt"
	"math/bits"
	"slices"
)

// event is one entry of the queue: 32 bytes, no pointers. What it refers to
// lives in slabs of the Sim.
type event struct {
	at       int64
	key      uint64 // seeded tie key, see Sim.tie
	src, dst int32  // endpoints, lanes or indices, by kind
	kind     uint32 // eventKind in the low byte, flags above
	ref      uint32 // handle into a slab
}

// seq is the part of the key that keeps the order of a channel.
func (e *event) seq() uint32 { return uint32(e.key) & (1<<seqBits - 1) }

// compare orders two events of one instant. Equal events are a kernel bug: they
// would make the order depend on insertion.
func (e *event) compare(o *event) int {
	switch {
	case e.key != o.key:
		if e.key < o.key {
			return -1
		}
		return 1
	case e.src != o.src:
		return int(e.src) - int(o.src)
	case e.dst != o.dst:
		return int(e.dst) - int(o.dst)
	case e.kind != o.kind:
		return int(e.kind) - int(o.kind)
	}
	panic(fmt.Sprintf("netsim: two events with one time and key: %+v %+v", *e, *o))
}

// queue is what the kernel needs of a priority queue. Times popped never
// decrease, and an insertion below the last popped time panics.
type queue interface {
	push(e event)
	// peek returns the time of the next event without committing to it.
	peek() (at int64, ok bool)
	pop() event
	len() int
}

// pageLen makes a page of events about 4 KiB.
const pageLen = 127

type page struct {
	next *page
	n    int
	ev   [pageLen]event
}

// radix is a radix heap over monotone times: bucket i > 0 holds the events whose
// time differs from the reference in bit i-1 at the highest, bucket 0 those of
// the reference itself, sorted by tie key. Buckets are lists of pages from one
// pool, so that memory follows the number of pending events, not the history.
type radix struct {
	n       int
	last    int64          // the reference: time of the last popped event
	levels  uint32         // non-empty levels
	mask    [levels]uint16 // non-empty buckets of a level
	buckets [levels][16]bucket
	now     []event // events of the reference time, sorted; head is the next
	head    int
	late    []event // inserted for the reference time after it began: binary heap
	free    *page
	nfree   int
	npages  int
}

type bucket struct {
	pages *page
	min   int64
}

func (q *radix) len() int { return q.n }

func (q *radix) push(e event) {
	if e.at < q.last {
		panic(fmt.Sprintf("netsim: event at %d ns inserted below the present %d ns: %+v", e.at, q.last, e))
	}
	q.n++
	if e.at == q.last {
		q.late = heapPush(q.late, e)
		return
	}
	q.put(&e)
}

const levels = 16

func (q *radix) put(e *event) {
	level := (bits.Len64(uint64(e.at^q.last)) - 1) >> 2
	digit := uint64(e.at) >> (4 * level) & 15
	b := &q.buckets[level][digit]
	p := b.pages
	if p == nil || p.n == pageLen {
		if p == nil {
			q.levels |= 1 << level
			q.mask[level] |= 1 << digit
			b.min = e.at
		}
		p = q.page()
		p.next = b.pages
		b.pages = p
	}
	p.ev[p.n] = *e
	p.n++
	if e.at < b.min {
		b.min = e.at
	}
}

func (q *radix) page() *page {
	if p := q.free; p != nil {
		q.free = p.next
		q.nfree--
		p.n = 0
		return p
	}
	q.npages++
	return new(page)
}

func (q *radix) peek() (int64, bool) {
	if q.head < len(q.now) || len(q.late) > 0 {
		return q.last, true
	}
	if q.levels == 0 {
		return 0, false
	}
	level := bits.TrailingZeros32(q.levels)
	return q.buckets[level][bits.TrailingZeros16(q.mask[level])].min, true
}

func (q *radix) pop() event {
	if q.head == len(q.now) && len(q.late) == 0 {
		q.refill()
	}
	q.n--
	if len(q.late) > 0 && (q.head == len(q.now) || q.late[0].compare(&q.now[q.head]) < 0) {
		var e event
		e, q.late = heapPop(q.late)
		return e
	}
	e := q.now[q.head]
	q.head++
	return e
}

// refill moves the reference to the earliest pending time.
func (q *radix) refill() {
	if q.levels == 0 {
		panic("netsim: pop of an empty queue")
	}
	level := bits.TrailingZeros32(q.levels)
	digit := bits.TrailingZeros16(q.mask[level])
	b := &q.buckets[level][digit]
	q.last = b.min
	if q.mask[level] &^= 1 << digit; q.mask[level] == 0 {
		q.levels &^= 1 << level
	}
	if cap(q.now) > 1<<14 && len(q.now) < cap(q.now)/4 {
		q.now = nil // do not keep the storage of a burst
	}
	if cap(q.late) > 1<<14 {
		q.late = nil
	}
	q.now, q.head = q.now[:0], 0
	for p := b.pages; p != nil; {
		for k := range p.ev[:p.n] {
			e := &p.ev[k]
			if e.at == q.last {
				q.now = append(q.now, *e)
			} else {
				q.put(e)
			}
		}
		next := p.next
		q.release(p)
		p = next
	}
	b.pages = nil
	if n := len(q.now); n > 1 {
		if n < 12 {
			insertionSort(q.now)
		} else {
			slices.SortFunc(q.now, func(a, b event) int { return a.compare(&b) })
		}
	}
}

// release returns a page to the pool, which holds at most as many pages as are
// in use, and 64.
func (q *radix) release(p *page) {
	if q.nfree > 64 && q.nfree > q.npages-q.nfree {
		q.npages--
		return
	}
	p.next = q.free
	q.free = p
	q.nfree++
}

func insertionSort(s []event) {
	for i := 1; i < len(s); i++ {
		for j := i; j > 0 && s[j].compare(&s[j-1]) < 0; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

func heapPush(h []event, e event) []event {
	h = append(h, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !earlier(&h[i], &h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	return h
}

func heapPop(h []event) (event, []event) {
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return top, h
		}
		if c+1 < n && earlier(&h[c+1], &h[c]) {
			c++
		}
		if !earlier(&h[c], &h[i]) {
			return top, h
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

func earlier(a, b *event) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.compare(b) < 0
}

// binaryHeap is a typed binary heap: the oracle that the radix heap is tested
// against (Config.heapQueue).
type binaryHeap struct {
	h    []event
	last int64
}

func (q *binaryHeap) len() int { return len(q.h) }

func (q *binaryHeap) push(e event) {
	if e.at < q.last {
		panic(fmt.Sprintf("netsim: event at %d ns inserted below the present %d ns: %+v", e.at, q.last, e))
	}
	q.h = heapPush(q.h, e)
}

func (q *binaryHeap) peek() (int64, bool) {
	if len(q.h) == 0 {
		return 0, false
	}
	return q.h[0].at, true
}

func (q *binaryHeap) pop() event {
	var e event
	e, q.h = heapPop(q.h)
	q.last = e.at
	return e
}
