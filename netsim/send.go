package netsim

import (
	"fmt"
	"math"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// flushBatch is how many messages to one peer share a flush at most.
const flushBatch = 16

// prepare encodes, hashes and seals a message once for all its copies and
// returns its payload, with no references yet.
// flush is what it joins, or opens if that is empty; nil is a datagram.
func (s *Sim) prepare(e *env, to protocols.NodeID, m protocols.WireMessage, copies int, bad func(protocols.NodeID) bool, flush *flushState) (uint32, *payload) {
	typ := s.typeOf(m.Tag())
	if typ == 0 || s.types[typ].mt.Record {
		s.fail(fmt.Errorf("netsim: node %d sends a message with tag %#04x, which is not a message type of the table", e.self, uint16(m.Tag())))
		return 0, nil
	}
	mt := s.types[typ].mt
	body, err := m.MarshalMsg(s.scratch[:0])
	if err != nil {
		s.fail(fmt.Errorf("netsim: node %d cannot encode %s: %w", e.self, mt.Name, err))
		return 0, nil
	}
	s.scratch = body[:0]
	size := protocols.FrameSize(e.path, len(body), mt.Seal)
	if size > protocols.MaxFrame {
		s.fail(fmt.Errorf("netsim: node %d sends a %s of %d bytes; a frame has at most %d", e.self, mt.Name, size, protocols.MaxFrame))
		return 0, nil
	}
	p, l := e.l.proc, e.l
	before := int64(0)
	if flush != nil {
		before = flush.bytes
		flush.bytes += int64(size)
	}
	ref, pl := s.payloads.take()
	p.counter++
	*pl = payload{
		msg: m, mt: mt, bad: bad, path: e.path, from: e.self, src: e.ep, lane: int32(l.idx),
		counter: p.counter, seq: s.nextSeq(l), size: int32(size), body: int32(len(body)), typ: typ, flush: before == 0, quiet: math.MaxInt64,
		wire: WireBytes(s.cfg.Transport, l.host.link.MTU, before, size),
	}
	rate := l.host.tx.rate
	pl.upQ, pl.upR = serial(pl.wire, rate)
	if packet := l.host.packet; s.cfg.Forward == Cut && pl.wire > packet && rate > 0 {
		first, _ := serial(packet, rate)
		pl.gap = int64(pl.upQ - first)
	}
	pl.trace = s.contentOf(p, mt, m, len(body))
	if s.cfg.Wire {
		pl.check = hashBytes(body)
	}
	if mt.Seal != protocols.SealNone {
		s.charge(protocols.OpDigest, len(body))
		if s.cfg.RealCrypto {
			pl.digest = e.keys.Digest(body)
		}
		if mt.Seal == protocols.SealSignature {
			s.charge(protocols.OpSign, 0)
			if s.cfg.RealCrypto {
				pl.sig = auth.Seal(nil, e.keys, nil, mt, e.path, protocols.Nobody, pl.digest)
			}
		} else {
			for range copies {
				s.charge(protocols.OpMAC, 0)
			}
		}
	}
	if s.sinkOn {
		at := protocols.Time(s.cur.start)
		s.rec = Record{Kind: RecordSend, At: at, End: at, Ready: at, Process: int(p.id), Node: e.self, Lane: l.idx, Peer: to, Type: mt, Path: e.path, Size: size, Message: messageID(e.ep, pl.counter), Content: pl.trace, Copies: copies}
		s.sink()
	}
	n := uint64(copies)
	st := &p.stats.Sent[mt.Class]
	st.Messages += n
	st.Bytes += n * uint64(size)
	st.Wire += n * uint64(pl.wire)
	s.types[typ].Sent += n
	s.types[typ].Bytes += n * uint64(size)
	return ref, pl
}

// nextSeq numbers what a lane hands out at one time.
func (s *Sim) nextSeq(l *lane) uint32 {
	if s.cur.start > l.lastOut && !l.logs {
		l.seq = 0
		l.lastOut = s.cur.start
	}
	l.seq++
	return l.seq
}

// copyCost is the CPU price of sending one copy, scaled.
func (s *Sim) copyCost(h *host, pl *payload) int64 {
	if h.prof == nil {
		return 0
	}
	io := &h.io.Send
	c := io.Message + io.Byte*int64(pl.size)
	if pl.flush {
		c += io.Flush
	}
	return scaled(c, h.scale)
}

func (s *Sim) send(e *env, to protocols.NodeID, m protocols.WireMessage, bad func(protocols.NodeID) bool) {
	if to == e.self {
		s.sendSelf(e, m)
		return
	}
	eps := s.lookup(to)
	if len(eps) == 0 {
		e.l.proc.stats.Drops[DropUnknown]++
		return
	}
	s.cur.out = fold(s.cur.out, uint64(uint32(to)))
	ref, pl := s.prepare(e, to, m, len(eps), bad, e.l.flush(s, s.eps[eps[0]].proc.id, to))
	if pl == nil {
		return
	}
	s.cur.out = fold(s.cur.out, pl.trace)
	pl.refs = int32(len(eps))
	c := s.copyCost(e.l.host, pl)
	for _, ep := range eps {
		s.outs = append(s.outs, output{kind: outUnicast, to: ep, ref: ref, n: 1, c: c, req: e.l.log.needed, inc: e.inc})
	}
}

func (s *Sim) multicast(e *env, g protocols.Group, m protocols.WireMessage, bad func(protocols.NodeID) bool) {
	if len(g) == 0 {
		return
	}
	gi := s.groupOf(g)
	n := gi.total - gi.count(s, e.self)
	if n == 0 {
		return
	}
	s.cur.out = fold(fold(s.cur.out, uint64(len(g))), gi.id)
	ref, pl := s.prepare(e, protocols.Nobody, m, n, bad, e.l.groupFlush(s, gi))
	if pl == nil {
		return
	}
	s.cur.out = fold(s.cur.out, pl.trace)
	pl.refs = int32(n)
	s.outs = append(s.outs, output{kind: outGroup, ref: ref, gi: gi, n: int32(n), c: s.copyCost(e.l.host, pl), req: e.l.log.needed, inc: e.inc})
}

// sendSelf delivers a message to the node's own lane through its inbox.
func (s *Sim) sendSelf(e *env, m protocols.WireMessage) {
	typ := s.typeOf(m.Tag())
	if typ == 0 || s.types[typ].mt.Record {
		s.fail(fmt.Errorf("netsim: node %d sends a message with tag %#04x, which is not a message type of the table", e.self, uint16(m.Tag())))
		return
	}
	mt := s.types[typ].mt
	body, err := m.MarshalMsg(s.scratch[:0])
	if err != nil {
		s.fail(fmt.Errorf("netsim: node %d cannot encode %s: %w", e.self, mt.Name, err))
		return
	}
	s.scratch = body[:0]
	if s.cfg.Wire {
		again, err := protocols.DecodeMessage(mt, body)
		if err != nil {
			s.fail(fmt.Errorf("netsim: node %d sends itself what does not decode: %w", e.self, err))
			return
		}
		m = again
	}
	lo := local{msg: m, from: int32(e.l.idx), ep: e.ep, path: e.path, send: true, mt: mt, size: int32(protocols.FrameSize(e.path, len(body), mt.Seal))}
	to := e.l
	if mt.Lane != nil {
		s.envelope2 = protocols.Envelope{From: e.self, To: e.self, Path: e.path, Type: mt, Size: int(lo.size)}
		i := mt.Lane(&s.envelope2, m)
		if i < 0 || i >= len(e.l.proc.lanes) {
			s.fail(fmt.Errorf("netsim: %s asks for lane %d of node %d, which has %d", mt.Name, i, e.self, len(e.l.proc.lanes)))
			return
		}
		to = e.l.proc.lanes[i]
	}
	s.cur.out = fold(s.cur.out, s.contentOf(e.l.proc, mt, m, len(body)))
	s.handOver(e, to, lo)
}

// handOver queues a local message as an output of the step.
func (s *Sim) handOver(e *env, to *lane, lo local) {
	lo.inc = e.inc
	ref, x := s.locals.take()
	*x = lo
	s.outs = append(s.outs, output{kind: outLocal, to: to.id, ref: ref, req: e.l.log.needed, inc: e.inc, seq: s.nextSeq(e.l)})
}

// flush returns the flush of this run that a message to a peer joins, or an empty
// one that it opens. Datagrams have none: each is a write and a read.
func (l *lane) flush(s *Sim, peer int32, to protocols.NodeID) *flushState {
	if s.cfg.Transport == Datagram {
		return nil
	}
	for i := range l.multicast {
		if f := &l.multicast[i]; f.gi != nil && f.run == l.run && f.gi.has(to) && f.count < flushBatch {
			f.count++
			return &f.flushState
		}
	}
	if len(l.unicast) == 0 {
		l.unicast = make([]flushState, flushSlots)
	}
	f := &l.unicast[peer&(flushSlots-1)]
	if f.peer == peer && f.run == l.run && f.count < flushBatch {
		f.count++
		return f
	}
	*f = flushState{peer: peer, run: l.run, count: 1}
	return f
}

// groupFlush is flush for a broadcast.
func (l *lane) groupFlush(s *Sim, gi *groupInfo) *flushState {
	if s.cfg.Transport == Datagram {
		return nil
	}
	for i := range l.multicast {
		if f := &l.multicast[i]; f.gi != nil && f.gi.id == gi.id {
			if f.run == l.run && f.count < flushBatch {
				f.count++
				return &f.flushState
			}
			f.flushState = flushState{run: l.run, count: 1}
			return &f.flushState
		}
	}
	l.multicast[1] = l.multicast[0]
	l.multicast[0] = groupFlush{gi: gi, flushState: flushState{run: l.run, count: 1}}
	return &l.multicast[0].flushState
}

// groupInfo is what the kernel derives from a group once.
type groupInfo struct {
	group protocols.Group
	id    uint64
	total int // endpoints
	segs  []segment
}

// segment holds the endpoints of a group that stand at one place.
type segment struct {
	place int
	eps   []int32
}

type groupKey struct {
	first *protocols.NodeID
	n     int
}

func (s *Sim) groupOf(g protocols.Group) *groupInfo {
	k := groupKey{&g[0], len(g)}
	if k == s.lastGroup {
		return s.lastInfo
	}
	gi := s.groups[k]
	if gi == nil {
		if len(s.groups) >= maxGroups {
			clear(s.groups) // a cache: forgetting changes nothing
		}
		gi = &groupInfo{group: g}
		at := make([]int, len(s.cfg.Topology.Places))
		for _, id := range g {
			gi.id = fold(gi.id, uint64(uint32(id)))
			for _, ep := range s.lookup(id) {
				place := s.eps[ep].proc.host.place
				if at[place] == 0 {
					gi.segs = append(gi.segs, segment{place: place})
					at[place] = len(gi.segs)
				}
				seg := &gi.segs[at[place]-1]
				seg.eps = append(seg.eps, ep)
				gi.total++
			}
		}
		s.groups[k] = gi
	}
	s.lastGroup, s.lastInfo = k, gi
	return gi
}

const maxGroups = 1 << 12

func (gi *groupInfo) has(id protocols.NodeID) bool {
	if int(id) >= 0 && int(id) < len(gi.group) && gi.group[id] == id {
		return true
	}
	return len(gi.group) <= 16 && gi.group.Index(id) >= 0
}

// count returns how many endpoints of the group belong to id.
func (gi *groupInfo) count(s *Sim, id protocols.NodeID) int {
	if gi.group.Index(id) < 0 {
		return 0
	}
	return len(s.lookup(id))
}

// groupIter visits the copies of a broadcast in the order in which they leave:
// place by place, starting at a place and in each at a member that the
// message's own draw decides, so that nobody is always last.
type groupIter struct {
	gi        *groupInfo
	self      protocols.NodeID
	seg, segs int // present segment, segments left
	pos, left int
	eps       []int32 // of the present segment
	spin      uint64
}

func (s *Sim) iterate(gi *groupInfo, pl *payload) groupIter {
	u := s.draw(drawRotate, pl.src, 0, pl.counter)
	n := len(gi.segs)
	it := groupIter{gi: gi, self: pl.from, seg: int(below(u, uint64(n))), segs: n, spin: mix(u)}
	it.enter(s)
	return it
}

func (it *groupIter) enter(s *Sim) {
	eps := it.gi.segs[it.seg].eps
	u := it.spin
	// Not at the sender itself: whoever comes after it would be first twice as
	// often.
	for range 8 {
		it.pos = int(below(u, uint64(len(eps))))
		if s.eps[eps[it.pos]].id != it.self {
			break
		}
		u = mix(u + 1)
	}
	it.eps, it.left = eps, len(eps)
}

// next returns the next endpoint; ok is false at the end.
func (it *groupIter) next(s *Sim) (ep int32, ok bool) {
	for {
		if it.left == 0 && !it.turn(s) {
			return 0, false
		}
		ep = it.member()
		if s.eps[ep].id != it.self {
			return ep, true
		}
	}
}

// member returns the next endpoint of the present segment.
func (it *groupIter) member() int32 {
	ep := it.eps[it.pos]
	if it.pos++; it.pos == len(it.eps) {
		it.pos = 0
	}
	it.left--
	return ep
}

// turn goes to the next segment.
func (it *groupIter) turn(s *Sim) bool {
	if it.segs--; it.segs <= 0 {
		return false
	}
	if it.seg++; it.seg == len(it.gi.segs) {
		it.seg = 0
	}
	it.enter(s)
	return true
}
