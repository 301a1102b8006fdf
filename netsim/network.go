package netsim

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// Flags of events and items that carry a copy of a message.
const (
	flagLoop    = 1 << (8 + iota) // between two processes of one host: no NIC
	flagBad                       // the seal of this copy does not verify
	flagCorrupt                   // damaged on the way
	flagTwice                     // the second of a duplicate
	flagLate                      // a flagLoop copy that a fault held up
)

// job is a set of copies that enter the NIC by events of their own, each when
// its CPU work is done.
type job struct {
	output
	it     groupIter
	k      int64
	lane   int32
	notyet int64 // not before this time
	dst    int32
	fair   bool // all copies at once: see share
}

// leave lets an output leave its lane now that nothing holds it back.
func (s *Sim) leave(l *lane, o *output) {
	switch o.kind {
	case outLocal:
		s.arriveLocal(l, o, max(o.at+nanos(o.acc), s.cur.start))
	case outUnicast, outGroup:
		s.leaveNet(l, o, 0)
	}
}

// leaveNet sends the copies of an output, none before the given time.
func (s *Sim) leaveNet(l *lane, o *output, notyet int64) {
	pl := s.payloads.get(o.ref)
	if len(s.listeners) > 0 && pl.mt.Once != nil {
		s.said(pl, o.at)
	}
	h := l.host
	last := max(o.at+nanos(o.acc+o.c*int64(o.n)), notyet)
	fair := o.kind == outGroup && s.cfg.Sched == Fair && pl.gap > 0
	ready := last
	if fair { // the copies leave together, from when the first is ready
		ready = max(o.at+nanos(o.acc+o.c), notyet)
	}
	// What a paused process had waiting for its disk leaves after the pause, behind
	// what the pause holds back already.
	if (s.strict || h.shared) && (ready > s.now || l.proc.paused) {
		ref, j := s.jobs.take()
		*j = job{output: *o, lane: l.id, notyet: notyet, dst: o.to, fair: fair}
		if o.kind == outGroup {
			j.it = s.iterate(o.gi, pl)
			all := j.it
			j.dst, _ = j.it.next(s)
			if fair {
				j.it = all
			}
		}
		s.runJob(ref)
		return
	}
	class := pl.mt.Class
	s.quieten(l.proc, pl)
	if o.kind == outUnicast {
		s.transmit(o.ref, pl, o.to, last)
		l.proc.lastDep[class] = h.tx.busy
		return
	}
	it := s.iterate(o.gi, pl)
	if fair {
		s.share(o, pl, h, it, notyet)
		l.proc.lastDep[class] = h.tx.busy
		return
	}
	if s.streams && !h.shared && len(h.procs) == 1 && s.stream(o, pl, h, it, notyet) {
		l.proc.lastDep[class] = h.tx.busy
		return
	}
	defer func() { l.proc.lastDep[class] = h.tx.busy }()
	for k := int64(1); ; k++ {
		ep, ok := it.next(s)
		if !ok {
			return
		}
		s.transmit(o.ref, pl, ep, max(o.at+nanos(o.acc+k*o.c), notyet))
	}
}

// share sends the copies of a broadcast of several packets in turns: first the
// first packet of each, and so on.
func (s *Sim) share(o *output, pl *payload, h *host, it groupIter, notyet int64) {
	q, r := serial(h.packet, h.tx.rate)
	// All packets but the first ones follow them; every copy lasts that long.
	rest := int64(min(mulDiv(uint64(pl.gap), uint64(o.n), 1), uint64(far)))
	pl.gap = rest
	for k := int64(1); ; k++ {
		dst, ok := it.next(s)
		if !ok {
			break
		}
		ready := max(o.at+nanos(o.acc+k*o.c), notyet)
		if h.tx.busy-ready > h.txLimit {
			s.dropCopy(o.ref, pl, dst, DropSendQueue)
			continue
		}
		s.launch(o.ref, pl, dst, h.tx.serve(ready, q, r)+rest, s.flagsOf(pl, dst), pl.seq)
	}
	h.tx.busy = later(h.tx.busy, rest)
}

// runJob transmits the copies of a job that are ready and waits for the rest.
func (s *Sim) runJob(ref uint32) {
	j := s.jobs.get(ref)
	l := s.lanes[j.lane]
	p := l.proc
	for {
		if p.inc != j.inc || p.down { // crashed before they left
			pl := s.payloads.get(j.ref)
			n := j.n - int32(j.k)
			p.stats.Drops[DropCrash] += uint64(n)
			pl.refs -= n - 1
			s.release(j.ref)
			s.jobs.put(ref)
			return
		}
		ready := max(j.at+nanos(j.acc+(j.k+1)*j.c), j.notyet)
		if ready > s.now { // before the pause is looked at: what is stalled keeps its order
			pl := s.payloads.get(j.ref)
			s.q.push(event{at: ready, key: s.tie(l.id, 0, saltReady, ready, pl.seq), src: pl.src, dst: j.dst, kind: evReady, ref: ref})
			return
		}
		if p.paused && ready > p.pausedAt {
			p.stalled = append(p.stalled, ref)
			return
		}
		pl := s.payloads.get(j.ref)
		if j.fair {
			s.share(&j.output, pl, l.host, j.it, j.notyet)
			s.jobs.put(ref)
			return
		}
		s.transmit(j.ref, pl, j.dst, s.now)
		j = s.jobs.get(ref)
		j.k++
		if j.k == int64(j.n) {
			s.jobs.put(ref)
			return
		}
		j.dst, _ = j.it.next(s)
	}
}

// transmit hands one copy to the NIC.
func (s *Sim) transmit(ref uint32, pl *payload, dst int32, ready int64) {
	h := s.eps[pl.src].host
	flags := s.flagsOf(pl, dst)
	if s.eps[dst].host == h {
		at, seq := max(ready, s.now), s.entry(h, pl)
		if s.cfg.Transport == Datagram && !s.strict { // else passLoop does it
			s.fly(ref, pl, dst, &within, at, flags|flagLoop, seq)
			return
		}
		s.pushArrive(ref, pl, dst, at, flags|flagLoop, seq)
		return
	}
	if h.tx.busy-ready > h.txLimit {
		s.dropCopy(ref, pl, dst, DropSendQueue)
		return
	}
	s.launch(ref, pl, dst, h.tx.serve(ready, pl.upQ, pl.upR), flags, s.entry(h, pl))
}

// flagsOf returns what a copy carries from the start: the lives of both ends, and
// whether its seal is bad.
func (s *Sim) flagsOf(pl *payload, dst int32) uint32 {
	flags := (s.eps[dst].proc.inc&0xff)<<16 | (s.eps[pl.src].proc.inc&0xff)<<24
	if pl.bad != nil && pl.bad(s.eps[dst].id) {
		flags |= flagBad
	}
	return flags
}

// entry numbers a copy among those that leave at one time on one connection. On
// a host of one lane the lane's own order says it; where several lanes feed the
// NIC, the order in which the copies reached it.
func (s *Sim) entry(h *host, pl *payload) uint32 {
	if !h.shared {
		return pl.seq
	}
	h.entries++
	return h.entries
}

// launch sends a copy, whose last packet departs at dep, over its path.
func (s *Sim) launch(ref uint32, pl *payload, dst int32, dep int64, flags, seq uint32) {
	at := dep - pl.gap
	if s.strict {
		s.q.push(event{at: max(at, s.now), key: s.tie(pl.src, dst, saltDepart+uint64(pl.mt.Class), at, seq), src: pl.src, dst: dst, kind: evDepart | flags, ref: ref})
		return
	}
	path := s.path(pl.src, dst)
	if s.streams && path.Jitter != nil && !s.eps[pl.src].host.shared {
		at += path.Floor - 1
		s.q.push(event{at: at, key: s.tie(pl.src, dst, saltYield+uint64(pl.mt.Class), at, seq), src: pl.src, dst: dst, kind: evYield | flags, ref: ref})
		return
	}
	s.travel(ref, pl, dst, at+path.Floor, flags, seq)
}

// travel adds what chance adds to the minimum delay and schedules the arrival.
// at is when the first packet would arrive without it.
func (s *Sim) travel(ref uint32, pl *payload, dst int32, at int64, flags, seq uint32) {
	path := s.path(pl.src, dst)
	switch s.cfg.Transport {
	case Datagram:
		s.fly(ref, pl, dst, path, at, flags, seq)
		return
	case TCP:
		at = s.tcpDelay(pl, dst, path, s.roundTrip(pl.src, dst), at)
	}
	if path.Jitter != nil {
		at += path.Jitter.Sample(s.draw(drawJitter, pl.src, dst, pl.counter))
	}
	switch {
	case path.Jitter != nil || s.cfg.Transport == TCP || s.fx.late:
		at = s.inOrder(pl, dst, at)
	case s.strict && *s.connection(&s.conns, pl, dst) >= at: // behind one that a fault held up
		at = s.inOrder(pl, dst, at)
	}
	s.pushArrive(ref, pl, dst, at, flags, seq)
}

// inOrder keeps the messages of one connection from overtaking each other: the
// first packet of one arrives after the last packet of the one before. If
// everything the sender sent before in this class has arrived by then whatever
// its jitter, there is no need to look: the table is large and seldom in cache.
func (s *Sim) inOrder(pl *payload, dst int32, at int64) int64 {
	src := s.eps[pl.src].proc
	class := pl.mt.Class
	last := s.connection(&s.conns, pl, dst)
	if at <= pl.quiet || at-pl.quiet <= s.longest+src.clamps[class] {
		if at <= *last {
			at = *last + 1
			src.clamps[class]++
		}
	}
	*last = at + pl.gap
	return at
}

// quieten notes on a payload that is about to leave when the last packet before
// it in its class departed. Only where departures are known at the time of
// sending; elsewhere every copy looks.
//
// Why this bounds arrivals: the last packet of a message arrives at departure +
// floor + jitter, or, held back behind its predecessor, one nanosecond and its
// own length after it; the predecessor departed at least that length earlier. So
// by induction no arrival is later than departure + longest path + number of
// such holds.
func (s *Sim) quieten(p *proc, pl *payload) {
	class := pl.mt.Class
	if s.strict || p.host.shared || s.cfg.Transport != Stream {
		return // as prepare left it: unknown
	}
	pl.quiet = p.lastDep[class]
	if s.now > pl.quiet && s.now-pl.quiet > s.longest+p.clamps[class] {
		p.clamps[class] = 0 // nothing is under way
	}
}

// connection returns the cell of a copy's connection in a table.
func (s *Sim) connection(t *connTable, pl *payload, dst int32) *int64 {
	return t.at(s.eps[pl.src].proc.id, s.eps[dst].proc.id, pl.mt.Class, s.now)
}

// connectionKey names the connection of a copy.
func (s *Sim) connectionKey(pl *payload, dst int32) uint64 {
	return pair(s.eps[pl.src].proc.id, s.eps[dst].proc.id)*uint64(protocols.NumClasses) + uint64(pl.mt.Class)
}

func (s *Sim) pushArrive(ref uint32, pl *payload, dst int32, at int64, flags, seq uint32) {
	if s.cfg.Transport == Datagram { // what was sent at different times may arrive at one
		seq = uint32(pl.counter)
	}
	key := s.tie(pl.src, dst, saltArrive+uint64(pl.mt.Class), at, seq)
	if s.strict && flags&flagLoop == 0 { // from onDepart, which begins anew each time
		s.pushed = append(s.pushed, abortKey{key, pl.src, dst})
	}
	s.q.push(event{at: at, key: key, src: pl.src, dst: dst, kind: evArrive | flags, ref: ref})
}

// stream is the rest of a broadcast to one place: one queue entry that yields
// the copies in the order of departure.
type stream struct {
	ref      uint32
	it       groupIter
	nic      nic
	at, acc  int64
	c        int64
	k        int64 // copies of the whole broadcast before the next one
	notyet   int64
	dst      int32
	left     int
	dep      int64
	jittered bool
}

// stream turns a broadcast into one entry per destination place. It declines
// where single copies need a look: no serialisation time to tell copies apart,
// or a send queue that may overflow.
func (s *Sim) stream(o *output, pl *payload, h *host, it groupIter, notyet int64) bool {
	if pl.upQ == 0 || pl.upQ > 1<<40 || pl.bad != nil { // a third of an hour per copy: whatever follows must not overflow
		return false
	}
	first := max(o.at+nanos(o.acc+o.c), notyet)
	if span := int64(pl.upQ+1) * int64(o.n); max(h.tx.busy-first, 0)+span > h.txLimit {
		return false
	}
	n := h.tx
	k := int64(0)
	for {
		m := it.left
		seg := &it.gi.segs[it.seg]
		mine := 0
		if it.gi.has(it.self) || it.gi.group.Index(it.self) >= 0 {
			for _, ep := range s.lookup(it.self) {
				if s.eps[ep].proc.host.place == seg.place {
					mine++
				}
			}
		}
		if m -= mine; m > 0 {
			ref, st := s.streamsSlab.take()
			*st = stream{ref: o.ref, it: it, nic: n, at: o.at, acc: o.acc, c: o.c, k: k, notyet: notyet, left: m}
			st.jittered = s.paths[h.place*s.places+seg.place].Jitter != nil
			s.advance(ref)
			if o.c == 0 {
				n.serve(first, pl.upQ, pl.upR)
				for i := 1; i < m; i++ {
					n.serve(n.busy, pl.upQ, pl.upR)
				}
			} else {
				for i := range int64(m) {
					n.serve(max(o.at+nanos(o.acc+(k+i+1)*o.c), notyet), pl.upQ, pl.upR)
				}
			}
			k += int64(m)
		}
		if !it.turn(s) {
			break
		}
	}
	h.tx = n
	return true
}

// advance schedules the next copy of a stream.
func (s *Sim) advance(ref uint32) {
	st := s.streamsSlab.get(ref)
	pl := s.payloads.get(st.ref)
	st.dst = st.it.member()
	for s.eps[st.dst].id == st.it.self {
		st.dst = st.it.member()
	}
	st.k++
	st.left--
	st.dep = st.nic.serve(max(st.at+nanos(st.acc+st.k*st.c), st.notyet), pl.upQ, pl.upR)
	at := st.dep - pl.gap + s.path(pl.src, st.dst).Floor
	salt := saltArrive + uint64(pl.mt.Class)
	if st.jittered {
		at--
		salt = saltYield + uint64(pl.mt.Class)
	}
	s.q.push(event{at: at, key: s.tie(pl.src, st.dst, salt, at, pl.seq), src: pl.src, dst: st.dst, kind: evStream, ref: ref})
}

// onStream yields one copy of a stream.
func (s *Sim) onStream(e *event) {
	st := s.streamsSlab.get(e.ref)
	ref, dst, jittered := st.ref, st.dst, st.jittered
	if st.left > 0 {
		s.advance(e.ref)
	} else {
		s.streamsSlab.put(e.ref)
	}
	if jittered {
		pl := s.payloads.get(ref)
		s.travel(ref, pl, dst, e.at+1, 0, pl.seq)
		return
	}
	s.arrive(ref, e.src, dst, e.key, 0)
}

func (s *Sim) path(src, dst int32) *pathInfo {
	return &s.paths[s.eps[src].base+s.eps[dst].at]
}

// arrive takes a copy whose first packet reaches the receiver's NIC now.
func (s *Sim) arrive(ref uint32, src, dst int32, key uint64, flags uint32) {
	pl := s.payloads.get(ref)
	to := &s.eps[dst]
	h := to.host
	if s.strict {
		if flags&(flagLoop|flagLate) == flagLoop && !s.passLoop(ref, pl, dst, key, &flags) {
			return
		}
		if !s.mayArrive(ref, pl, src, dst, key, flags) {
			return
		}
	}
	rx := s.now
	if flags&flagLoop == 0 {
		if h.rx.rate > 0 {
			if h.rx.busy-s.now > h.rxLimit {
				s.dropCopy(ref, pl, dst, DropRecvQueue)
				return
			}
			if pl.downFor != h.rx.rate {
				pl.downFor = h.rx.rate
				pl.downQ, pl.downR = serial(pl.wire, h.rx.rate)
			}
			rx = h.rx.serve(s.now, pl.downQ, pl.downR)
		}
		if pl.gap > 0 {
			q, _ := serial(min(pl.wire, h.packet), h.rx.rate)
			if last := min(s.now+pl.gap+int64(q), far); last > rx {
				rx = last
				if h.rx.rate > 0 {
					h.rx.busy, h.rx.rem = rx, 0
				}
			}
		}
	}
	if h.parallel && rx > s.now {
		// Which core admits it is decided when it is here: until then the cores are
		// free for others.
		s.q.push(event{at: rx, key: key, src: src, dst: dst, kind: evEnter | flags, ref: ref})
		return
	}
	s.enter(ref, pl, src, dst, key, flags, rx)
}

// onEnter continues arrive when the whole message is here.
func (s *Sim) onEnter(e *event) {
	pl := s.payloads.get(e.ref)
	flags := e.kind &^ 0xff
	if !s.strict || s.mayArrive(e.ref, pl, e.src, e.dst, e.key, flags) {
		s.enter(e.ref, pl, e.src, e.dst, e.key, flags, s.now)
	}
}

// enter brings a copy that is complete at rx to its lane, by way of admission.
func (s *Sim) enter(ref uint32, pl *payload, src, dst int32, key uint64, flags uint32, rx int64) {
	to := &s.eps[dst]
	p, h := to.proc, to.host
	if p.paused && h.parallel { // verifying is work of the process, too
		if len(p.asleep) >= s.cfg.Inbox {
			s.dropCopy(ref, pl, dst, DropInbox)
			return
		}
		p.asleep = append(p.asleep, event{key: key, src: src, dst: dst, kind: evEnter | flags, ref: ref})
		return
	}
	var l *lane
	if pl.mt.Lane == nil || p.pool != nil {
		l = p.lanes[0]
	} else {
		s.envelope2 = protocols.Envelope{From: pl.from, To: to.id, Path: pl.path, Type: pl.mt, Size: int(pl.size)}
		i := pl.mt.Lane(&s.envelope2, pl.msg)
		if i < 0 || i >= len(p.lanes) {
			s.fail(fmt.Errorf("netsim: %s asks for lane %d of node %d, which has %d", pl.mt.Name, i, p.node, len(p.lanes)))
			return
		}
		l = p.lanes[i]
	}
	if l.count >= s.cfg.Inbox {
		s.dropCopy(ref, pl, dst, DropInbox)
		return
	}
	if s.cfg.Wire {
		ref = s.rewire(ref, dst, flags)
		if s.stopped {
			return
		}
		pl = s.payloads.get(ref)
	}
	it := item{ready: rx, key: key, kind: itemMessage, flags: flags, ep: dst, src: src, ref: ref}
	if h.parallel {
		if !s.admitAside(&it, pl, p, h) {
			return
		}
	} else if h.fast && l.count == 0 && l.pending == 0 && l.mayRunAhead(s) && !l.full(s) {
		if l.timers.len() == 0 || l.timers.min() > rx {
			if start := max(rx, l.busy); start < s.until {
				core := -1
				if h.prof != nil {
					core = 0
				}
				l.inFront++
				if s.stoppable && start > s.now {
					l.ahead.push(aheadStep{start: start, chain: p.chain.h}, s.now)
				}
				s.step(l, &it, start, core)
				if l.count > 0 {
					s.pump(l)
				} else if l.timers.len() > 0 {
					s.wake(l, max(l.timers.min(), s.now))
				}
				return
			}
		}
	}
	l.insert(it)
	if len(l.wakes) == 0 || it.ready < l.wakes[len(l.wakes)-1] {
		if it.ready <= s.now {
			s.pump(l)
		} else {
			s.wake(l, max(it.ready, l.busy))
		}
	}
}

// arriveLocal puts a local message into the inbox of its lane.
func (s *Sim) arriveLocal(from *lane, o *output, at int64) {
	l := s.lanes[o.to]
	l.insert(item{ready: at, key: s.tie(from.id, l.id, saltLocal, at, o.seq), kind: itemLocal, ep: s.locals.get(o.ref).ep, src: -1, ref: o.ref})
	if l != s.cur.lane || !s.cur.active {
		s.wake(l, max(at, l.busy, s.now))
	}
}

// dropCopy ends the way of a copy. Both ends are told, except of datagrams.
func (s *Sim) dropCopy(ref uint32, pl *payload, dst int32, why DropReason) {
	src := pl.src
	s.drop(src, dst, why, 1)
	if s.cfg.Transport != Datagram {
		s.notice(src, s.eps[dst].id, protocols.Lost)
		s.gap(src, dst)
	}
	if s.tracing != nil {
		s.tracing.add(RecordDrop, int(pl.lane), s.now, s.now, s.eps[dst].id, pl.from, pl.typ, pl.size, why)
	}
	if s.sinkOn {
		now := protocols.Time(s.now)
		s.rec = Record{Kind: RecordDrop, At: now, End: now, Ready: now, Process: int(s.eps[dst].proc.id), Node: s.eps[dst].id, Peer: pl.from, Type: pl.mt, Path: pl.path, Size: int(pl.size), Drop: why, Message: messageID(pl.src, pl.counter), Content: pl.trace}
		s.sink()
	}
	s.release(ref)
}

func (s *Sim) drop(src, dst int32, why DropReason, n uint64) {
	p := s.eps[dst].proc
	if why == DropSendQueue || why == DropCrash {
		p = s.eps[src].proc
	}
	p.stats.Drops[why] += n
}
