package netsim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/edgebft/edgebft/protocols"
)

// effects is what the active faults do to one message.
type effects struct {
	blocked   bool
	late      bool  // the message departs later than it would
	until     int64 // clogged until then
	delay     int64
	jitter    int64
	loss      int64
	duplicate int64
	reorder   int64
	corrupt   int64
	window    int64
	slow      bool // some link of limited capacity is on the way
}

// linkEffects sums up the active faults of links for a message between two
// processes.
func (s *Sim) linkEffects(src, dst *proc) (fx effects) {
	for _, x := range s.active {
		if !x.hits(src, dst) {
			continue
		}
		switch x.Kind {
		case FaultPartition:
			fx.blocked = true
		case FaultDelay:
			fx.delay = later(fx.delay, int64(x.Delay))
			fx.jitter = later(fx.jitter, int64(x.Jitter))
		case FaultLoss:
			fx.loss = min(fx.loss+x.PPM, 1_000_000)
		case FaultDuplicate:
			fx.duplicate = min(fx.duplicate+x.PPM, 1_000_000)
			fx.window = max(fx.window, int64(x.Jitter))
		case FaultReorder:
			fx.reorder = min(fx.reorder+x.PPM, 1_000_000)
			fx.window = max(fx.window, int64(x.Jitter))
		case FaultCorrupt:
			fx.corrupt = min(fx.corrupt+x.PPM, 1_000_000)
		case FaultClog:
			fx.until = max(fx.until, x.end)
		case FaultCapacity:
			fx.slow = true
		}
	}
	return fx
}

// hits reports whether a fault of links concerns what travels from src to dst.
func (x *faultState) hits(src, dst *proc) bool {
	if x.group != nil {
		a, b := x.group[src.id], x.group[dst.id]
		return a != 0 && b != 0 && a != b
	}
	return x.from[src.id] && x.to[dst.id] || !x.OneWay && x.from[dst.id] && x.to[src.id]
}

// squeeze passes a copy through the links of limited capacity on its way, one
// after the other, and returns when it is through; false if a queue is full.
func (s *Sim) squeeze(pl *payload, dst int32, at int64) (int64, bool) {
	src := s.eps[pl.src].proc
	for _, x := range s.active {
		if x.Kind != FaultCapacity || !x.hits(src, s.eps[dst].proc) {
			continue
		}
		line := &x.lines[src.id]
		line.rate = uint64(x.Rate)
		if line.busy-at > limit(src.host.link.Queue, line.rate) {
			return 0, false
		}
		q, r := serial(pl.wire, line.rate)
		at = line.serve(at, q, r)
	}
	return at, true
}

// transmission is the copy of several packets that is leaving a NIC.
type transmission struct {
	src, dst int32
	dep      int64       // last packet
	copies   [2]abortKey // none if it is lost on the way, two if it is doubled
	n        int
}

// abortKey names a copy that is in the queue.
type abortKey struct {
	key      uint64
	src, dst int32
}

// onDepart lets the first packet of a copy leave, in runs with faults.
func (s *Sim) onDepart(e *event) {
	pl := s.payloads.get(e.ref)
	flags := e.kind &^ 0xff
	src, dst := s.eps[e.src].proc, s.eps[e.dst].proc
	if src.inc&0xff != flags>>24 {
		s.dropCopy(e.ref, pl, e.dst, DropCrash)
		return
	}
	if dst.down && s.cfg.Transport != Datagram { // the connection is gone
		s.dropCopy(e.ref, pl, e.dst, DropDown)
		return
	}
	fx, at, ok := s.meetFaults(e.ref, pl, e.dst, &flags)
	if !ok {
		return
	}
	flags = flags&^(0xff<<16) | (dst.inc&0xff)<<16
	fx.late = at > s.now
	s.fx = fx
	s.pushed = s.pushed[:0]
	gap := pl.gap
	s.travel(e.ref, pl, e.dst, at+s.path(e.src, e.dst).Floor, flags, e.seq())
	s.fx = effects{}
	if gap > 0 {
		h := src.host
		h.leaving = slices.DeleteFunc(h.leaving, func(t transmission) bool { return t.dep <= s.now })
		t := transmission{src: e.src, dst: e.dst, dep: later(s.now, gap)}
		t.n = copy(t.copies[:], s.pushed)
		h.leaving = append(h.leaving, t)
	}
}

// meetFaults applies the faults of links to a copy that departs now. It returns
// when it goes on, or false if it does not.
func (s *Sim) meetFaults(ref uint32, pl *payload, dst int32, flags *uint32) (fx effects, at int64, ok bool) {
	if len(s.active) == 0 {
		return fx, s.now, true
	}
	fx = s.linkEffects(s.eps[pl.src].proc, s.eps[dst].proc)
	if fx.blocked {
		s.dropCopy(ref, pl, dst, DropPartition)
		return fx, 0, false
	}
	at = max(s.now, fx.until)
	if fx.slow {
		if at, ok = s.squeeze(pl, dst, at); !ok {
			s.dropCopy(ref, pl, dst, DropSendQueue)
			return fx, 0, false
		}
	}
	at = later(at, fx.delay)
	if fx.jitter > 0 {
		at = later(at, int64(below(s.draw(drawDelay, pl.src, dst, pl.counter), uint64(fx.jitter)+1)))
	}
	if fx.corrupt > 0 && chance(s.draw(drawCorrupt, pl.src, dst, pl.counter), fx.corrupt) {
		*flags |= flagCorrupt
	}
	return fx, at, true
}

// passLoop does for a copy between two processes of one host what onDepart does
// for others: it departs and arrives at one time.
func (s *Sim) passLoop(ref uint32, pl *payload, dst int32, key uint64, flags *uint32) bool {
	if s.eps[pl.src].proc.inc&0xff != *flags>>24 {
		s.dropCopy(ref, pl, dst, DropCrash)
		return false
	}
	fx, at, ok := s.meetFaults(ref, pl, dst, flags)
	if !ok {
		return false
	}
	seq := uint32(key) & (1<<seqBits - 1)
	s.fx = fx
	switch {
	case s.cfg.Transport == Datagram:
		s.fly(ref, pl, dst, &within, at, *flags|flagLate, seq)
		s.fx = effects{}
		return false
	case s.cfg.Transport == TCP && fx.loss > 0:
		at = s.tcpDelay(pl, dst, &within, 0, at)
	}
	s.fx = effects{}
	if at > s.now || *s.connection(&s.conns, pl, dst) >= at {
		s.pushArrive(ref, pl, dst, s.inOrder(pl, dst, at), *flags|flagLate, seq)
		return false
	}
	return true
}

// mayArrive checks, in runs with faults, whether a copy still reaches its
// receiver, and takes care of it if not.
func (s *Sim) mayArrive(ref uint32, pl *payload, src, dst int32, key uint64, flags uint32) bool {
	if len(s.aborted) > 0 {
		k := abortKey{key, src, dst}
		if _, gone := s.aborted[k]; gone {
			delete(s.aborted, k)
			s.dropCopy(ref, pl, dst, DropCrash)
			return false
		}
	}
	p := s.eps[dst].proc
	if p.down || p.inc&0xff != flags>>16&0xff && s.cfg.Transport != Datagram {
		s.dropCopy(ref, pl, dst, DropDown)
		return false
	}
	if len(s.gaps) > 0 && s.cfg.Transport != Datagram {
		k := pair(src, dst)
		if n, lost := s.gaps[k]; lost {
			delete(s.gaps, k)
			s.noticeN(dst, s.eps[src].id, protocols.Lost, n)
		}
	}
	return true
}

// gap remembers that the receiver missed something; it learns of it when
// something comes through again.
func (s *Sim) gap(src, dst int32) {
	if s.strict {
		s.gaps[pair(src, dst)]++
		return
	}
	s.notice(dst, s.eps[src].id, protocols.Lost)
}

// crash kills a process; torn leaves part of what was being written on its disk.
func (s *Sim) crash(p *proc, torn bool) {
	if p.down {
		return
	}
	p.down, p.paused, p.crashed = true, false, s.now
	p.diskBroken, p.diskStopped = false, false
	p.inc++
	h := p.host
	for _, l := range p.lanes {
		for l.count > 0 {
			it := l.popFront()
			switch it.kind {
			case itemMessage:
				s.drop(it.src, it.ep, DropDown, 1)
				s.release(it.ref)
				s.takeVerdicts(it.gen)
			case itemLocal:
				*s.locals.get(it.ref) = local{}
				s.locals.put(it.ref)
			case itemCheck:
				*s.checks.get(it.ref) = check{}
				s.checks.put(it.ref)
			}
		}
		for i := l.heldAt; i < len(l.held); i++ {
			o := &l.held[i]
			if o.kind == outLocal {
				*s.locals.get(o.ref) = local{}
				s.locals.put(o.ref)
				continue
			}
			p.stats.Drops[DropCrash] += uint64(o.n)
			s.releaseN(o.ref, o.n)
		}
		clear(l.held)
		l.held, l.heldAt, l.pending = l.held[:0], 0, 0
		l.timers.clear()
		survives := l.log.durable
		if pending := l.log.appended - l.log.durable; torn && l.log.appended > l.log.durable {
			survives += below(s.draw(drawTorn, p.id, int32(l.idx), uint64(p.inc)), pending+1)
			p.wiped = p.wiped && survives == l.log.durable
		}
		l.log.crash(survives, false)
		l.busy, l.lastOut = s.now, s.now
		l.node, l.env = nil, nil
	}
	stalled := p.stalled
	p.stalled = nil
	for _, ref := range stalled {
		s.runJob(ref) // finds the process down and drops the rest
	}
	for i := range p.asleep {
		switch e := &p.asleep[i]; e.kind & 0xff {
		case evEnter:
			s.drop(e.src, e.dst, DropDown, 1)
			s.release(e.ref)
		case evCheck:
			*s.checks.get(e.ref) = check{}
			s.checks.put(e.ref)
		}
	}
	p.asleep = nil
	p.notices, p.noticeList = nil, nil
	s.disconnect(p)
	if p.pool != nil {
		p.pool.crash()
	}
	p.pauses = nil
	for i := range h.leaving {
		t := &h.leaving[i]
		if t.dep > s.now && s.eps[t.src].proc == p {
			for _, c := range t.copies[:t.n] {
				s.abort(c)
			}
			t.n = 0
		}
	}
	if len(h.procs) == 1 {
		h.tx.busy, h.tx.rem = min(h.tx.busy, s.now), 0
		for i := range h.cores {
			h.cores[i] = min(h.cores[i], s.now)
		}
	}
}

// disconnect ends the connections of a process: what a new life sends or is sent
// waits for nothing of the old one.
func (s *Sim) disconnect(p *proc) {
	s.conns.forget(p.id)
	s.admitted.forget(p.id)
	maps.DeleteFunc(s.tcp, func(key uint64, _ tcpState) bool {
		ends := key / uint64(protocols.NumClasses)
		return int32(ends>>32) == p.id || int32(uint32(ends)) == p.id
	})
}

// abort takes back a copy that was cut off in the middle: its arrival is either
// still in the queue or, cut through, waits in an inbox for its last packet.
func (s *Sim) abort(c abortKey) {
	for _, l := range s.eps[c.dst].proc.lanes {
		for i := range l.count {
			it := l.nth(i)
			if it.kind != itemMessage || it.key != c.key || it.ep != c.dst {
				continue
			}
			gone := *it
			l.removeNth(i)
			s.takeVerdicts(gone.gen)
			s.dropCopy(gone.ref, s.payloads.get(gone.ref), c.dst, DropCrash)
			return
		}
	}
	s.aborted[c] = struct{}{}
}

// recoverProc starts a process that is down; one that was wiped may forget that it
// ever ran.
func (s *Sim) recoverProc(p *proc, wipe, forgot bool) {
	if !p.down {
		return
	}
	if r := p.damaged(); r != nil && !wipe {
		wipe = true
		s.tellFault(p.node, fmt.Sprintf("node %d finds its record %s damaged and starts without its log", p.node, s.typeName(r)))
	}
	p.down, p.diskStopped = false, false
	p.wiped = p.wiped || wipe // until something is durable again: see settleLog
	if wipe {
		p.forgot = forgot
	}
	for _, l := range p.lanes {
		if wipe {
			l.log.crash(0, true)
		}
		l.logs = true // numbers of outputs go on from the life before
	}
	if p.pool != nil {
		p.pool.populate()
		s.boot(p)
		return
	}
	nodes := p.spec.New()
	if len(nodes) != len(p.lanes) {
		s.fail(fmt.Errorf("netsim: node %d came back with %d lanes; it had %d", p.node, len(nodes), len(p.lanes)))
		return
	}
	s.install(p, nodes)
	s.restarted(p.node)
	s.boot(p)
}

// pause stops a process for the time of a fault.
func (s *Sim) pause(p *proc, fault uint32) {
	if p.down {
		return
	}
	p.pauses = append(p.pauses, fault)
	if !p.paused {
		p.paused, p.pausedAt = true, s.now
	}
}

// unpause ends the part of a fault in the pause of a process, which goes on with
// the last of them.
func (s *Sim) unpause(p *proc, fault uint32) {
	if i := slices.Index(p.pauses, fault); i >= 0 {
		if p.pauses = slices.Delete(p.pauses, i, i+1); len(p.pauses) == 0 {
			s.resume(p)
		}
	}
}

// resume lets a process go on, whatever paused it.
func (s *Sim) resume(p *proc) {
	p.pauses = nil
	if !p.paused {
		return
	}
	p.paused = false
	stalled := p.stalled
	p.stalled = nil
	for _, ref := range stalled {
		s.jobs.get(ref).notyet = s.now
		s.runJob(ref)
	}
	for _, l := range p.lanes {
		l.busy = max(l.busy, s.now)
		l.run++ // it was idle, so nothing joins a flush of before
	}
	asleep := p.asleep
	p.asleep = nil
	for i := range asleep {
		s.dispatch(&asleep[i])
	}
	for _, l := range p.lanes {
		s.pump(l)
	}
}

// slowSync is what faults make of the duration of a sync.
func (s *Sim) slowSync(h *host, took int64) int64 {
	took = later(min(scaled(took, h.slowDisk), far), h.diskDelay)
	if h.diskJitter > 0 {
		took = later(took, int64(below(s.draw(drawFsync, h.id, 0, h.disk.count), uint64(h.diskJitter)+1)))
	}
	return took
}

func (s *Sim) releaseN(ref uint32, n int32) {
	pl := s.payloads.get(ref)
	pl.refs -= n - 1
	s.release(ref)
}
