package observe

import (
	"encoding/binary"

	"github.com/edgebft/edgebft/protocols"
)

// entry is one request of the agreed order.
type entry struct {
	digest    protocols.Digest
	timestamp uint64
	client    protocols.NodeID
	chain     uint64 // hash of the order up to here
}

func (e *entry) same(o *entry) bool {
	return e.client == o.client && e.timestamp == o.timestamp && e.digest == o.digest
}

// chainEvery is the distance of the chain hashes that are kept for ever.
const chainEvery = 1024

// maxSpeculative bounds the requests of one replica that are not final.
const maxSpeculative = 1 << 16

// maxRoots bounds the state roots that are kept.
const maxRoots = 4096

// orderListener hears of the agreed order.
type orderListener interface {
	agreed(at protocols.Time, index uint64, client protocols.NodeID, timestamp uint64, digest protocols.Digest)
	root(at protocols.Time, node protocols.NodeID, index uint64, root protocols.Digest)
}

// replica is what is known of one replica.
type replica struct {
	last  uint64 // executed up to here
	final uint64 // of which final
	// tentative holds final+1..last with speculative finality.
	tentative []entry
	// chain is the hash of its order up to final (immediate: last); known is false
	// after a jump into the unknown past.
	chain  uint64
	known  bool
	strays bool // it was found to disagree and is not reported again
	fresh  bool // it may begin at 1
}

// order checks agreement, integrity, validity and roots.
type order struct {
	cfg      *Config
	found    *findings
	replicas []replica
	listener orderListener

	length uint64  // of the agreed order
	window []entry // ring: index i is at i % len
	chains []uint64
	last   uint64 // chain hash at length

	clients map[protocols.NodeID]*clientState
	roots   map[uint64]rootSeen
	rooted  []uint64 // indices of roots, oldest first
}

type rootSeen struct {
	digest protocols.Digest
	node   protocols.NodeID
}

func newOrder(cfg *Config, f *findings) *order {
	o := &order{
		cfg: cfg, found: f, replicas: make([]replica, cfg.N),
		clients: make(map[protocols.NodeID]*clientState), roots: make(map[uint64]rootSeen),
	}
	for i := range o.replicas {
		o.replicas[i] = replica{known: true, fresh: true}
	}
	return o
}

func mix(h uint64) uint64 {
	h ^= h >> 31
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func link(chain uint64, e *entry) uint64 {
	h := mix(chain ^ uint64(uint32(e.client)))
	h = mix(h ^ e.timestamp)
	for i := 0; i < protocols.DigestSize; i += 8 {
		h = mix(h ^ binary.LittleEndian.Uint64(e.digest[i:]))
	}
	return h
}

// at returns the agreed entry of an index, nil if it is not kept.
func (o *order) at(i uint64) *entry {
	if i == 0 || i > o.length || i+uint64(len(o.window)) <= o.length {
		return nil
	}
	return &o.window[i%uint64(len(o.window))]
}

// put appends an entry to the agreed order.
func (o *order) put(e entry) *entry {
	if n := uint64(len(o.window)); n < uint64(o.cfg.Window) && o.length >= n {
		o.grow()
	}
	o.length++
	e.chain = link(o.last, &e)
	o.last = e.chain
	if o.length%chainEvery == 0 {
		o.chains = append(o.chains, e.chain)
	}
	slot := &o.window[o.length%uint64(len(o.window))]
	*slot = e
	return slot
}

// grow doubles the ring, up to the window.
func (o *order) grow() {
	bigger := make([]entry, min(max(2*len(o.window), 1024), o.cfg.Window))
	for i := o.length; i > 0 && i+uint64(len(o.window)) > o.length; i-- {
		bigger[i%uint64(len(bigger))] = o.window[i%uint64(len(o.window))]
	}
	o.window = bigger
}

// chainAt returns the chain hash at an index if it is still known.
func (o *order) chainAt(i uint64) (uint64, bool) {
	if e := o.at(i); e != nil {
		return e.chain, true
	}
	if i == 0 {
		return 0, true
	}
	if k := i / chainEvery; i%chainEvery == 0 && k <= uint64(len(o.chains)) {
		return o.chains[k-1], true
	}
	return 0, false
}

func (o *order) restarted(node protocols.NodeID) { o.replicas[node].fresh = true }

// advance moves a replica to the next index, or reports why it must not be there.
func (o *order) advance(at protocols.Time, node protocols.NodeID, index uint64) {
	r := &o.replicas[node]
	switch {
	case index == r.last+1:
	case index == 1 && (r.fresh || !o.cfg.Restarts):
		*r = replica{known: true, strays: r.strays}
	default:
		o.found.violate(Integrity, at, node, "executes index %d after %d", index, r.last)
		chain, known := o.chainAt(index - 1)
		*r = replica{last: index - 1, final: index - 1, chain: chain, known: known && index > 0, strays: r.strays}
	}
	r.last = index
	r.fresh = false
}

func (o *order) executed(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	o.found.saw(Agreement)
	o.found.saw(Integrity)
	o.found.saw(Validity)
	if ev.Index == 0 {
		o.found.violate(Integrity, at, node, "executes index 0; the order begins at 1")
		return
	}
	o.advance(at, node, ev.Index)
	r := &o.replicas[node]
	e := entry{client: ev.Client, timestamp: ev.Timestamp, digest: ev.Digest}
	if o.cfg.Finality == protocols.Speculative {
		if len(r.tentative) >= maxSpeculative {
			o.found.giveUp(Agreement, "a replica has more than 65,536 requests that are not final")
			return
		}
		r.tentative = append(r.tentative, e)
		return
	}
	o.settle(at, node, ev.Index, &e)
	r.final = ev.Index
}

// settle compares what a replica holds final at an index with the agreed order,
// which it extends if it is the first to get there.
func (o *order) settle(at protocols.Time, node protocols.NodeID, index uint64, e *entry) {
	r := &o.replicas[node]
	if index == o.length+1 {
		o.check(at, node, index, e)
		r.chain, r.known = o.put(*e).chain, true
		if o.listener != nil {
			o.listener.agreed(at, index, e.client, e.timestamp, e.digest)
		}
		return
	}
	if index > o.length+1 {
		// It jumped ahead of everybody, which was reported; the order cannot be
		// continued there.
		r.known = false
		return
	}
	if have := o.at(index); have != nil {
		if !have.same(e) && !r.strays {
			r.strays = true
			o.found.violate(Agreement, at, node, "executes request %d/%d (%s) at index %d, where others executed %d/%d (%s)",
				e.client, e.timestamp, e.digest, index, have.client, have.timestamp, have.digest)
		}
		r.chain, r.known = have.chain, true
		return
	}
	// Before the window only the chain is left.
	if !r.known {
		return
	}
	r.chain = link(r.chain, e)
	if want, ok := o.chainAt(index); ok && want != r.chain && !r.strays {
		r.strays = true
		o.found.violate(Agreement, at, node, "its order up to index %d differs from that of others", index)
	}
}

func (o *order) rolledBack(at protocols.Time, node protocols.NodeID, index uint64) {
	r := &o.replicas[node]
	switch {
	case index > r.last:
		o.found.violate(Integrity, at, node, "rolls back to index %d but has executed %d only", index, r.last)
	case o.cfg.Finality == protocols.Immediate && index < r.last:
		o.found.violate(Integrity, at, node, "rolls back from %d to %d although execution is final", r.last, index)
		r.chain, r.known = o.chainAt(index)
		r.last, r.final = index, index
	case index < r.final:
		o.found.violate(Integrity, at, node, "rolls back to %d although %d was final", index, r.final)
		r.chain, r.known = o.chainAt(index)
		r.last, r.final, r.tentative = index, index, r.tentative[:0]
	default:
		r.last = index
		if o.cfg.Finality == protocols.Speculative {
			r.tentative = r.tentative[:min(uint64(len(r.tentative)), index-r.final)]
		}
	}
}

func (o *order) final(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	r := &o.replicas[node]
	if ev.Index > r.last {
		o.found.violate(Integrity, at, node, "calls index %d final but has executed %d only", ev.Index, r.last)
		return
	}
	if o.cfg.Finality == protocols.Speculative && ev.Index > r.final {
		n := min(ev.Index-r.final, uint64(len(r.tentative)))
		for i := range n {
			o.settle(at, node, r.final+1+i, &r.tentative[i])
		}
		r.tentative = append(r.tentative[:0], r.tentative[n:]...)
		r.final = ev.Index
	}
	if !ev.Root {
		return
	}
	o.found.saw(Root)
	if have, ok := o.roots[ev.Index]; ok {
		if have.digest != ev.Digest {
			o.found.violate(Root, at, node, "state root at index %d is %s, at replica %d it is %s", ev.Index, ev.Digest, have.node, have.digest)
		}
		return
	}
	if len(o.rooted) >= maxRoots {
		if ev.Index < o.rooted[0] {
			return // older than what is kept
		}
		delete(o.roots, o.rooted[0])
		o.rooted = append(o.rooted[:0], o.rooted[1:]...)
	}
	o.roots[ev.Index] = rootSeen{ev.Digest, node}
	o.rooted = append(o.rooted, ev.Index)
	if o.listener != nil {
		o.listener.root(at, node, ev.Index, ev.Digest)
	}
}

func (o *order) transferred(at protocols.Time, node protocols.NodeID, index uint64) {
	r := &o.replicas[node]
	if index > o.length && o.cfg.Finality == protocols.Immediate {
		o.found.violate(Agreement, at, node, "adopts a state at index %d, but correct replicas executed %d only", index, o.length)
	}
	chain, known := o.chainAt(index)
	*r = replica{last: index, final: index, chain: chain, known: known, strays: r.strays}
}
