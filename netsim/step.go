package netsim

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// What a step is, for chains and traces.
const (
	stepStart uint64 = iota + 1
	stepMessage
	stepRejected
	stepLocal
	stepTimer
	stepLoad
	stepCheck
)

// step is the handler call that is going on.
type stepState struct {
	active bool
	lane   *lane
	proc   *proc
	host   *host
	ep     int32
	start  int64
	ps     int64  // work charged so far, unscaled
	out    uint64 // digest of what the step does to the world
}

// output is something that a step hands over to leave the lane.
type output struct {
	kind outputKind
	to   int32 // endpoint, lane
	ref  uint32
	gi   *groupInfo
	n    int32 // copies
	seq  uint32
	c    int64  // scaled picoseconds per copy
	req  uint64 // record of the lane that must be durable first
	at   int64  // when the first copy's work begins, ns, and acc ps more
	acc  int64
	inc  uint32
}

type outputKind uint8

const (
	outUnicast outputKind = iota
	outGroup
	outLocal
	outCheck
)

// step runs one item at a time. core is the core that it occupies, or -1.
func (s *Sim) step(l *lane, it *item, start int64, core int) {
	p, h := l.proc, l.host
	c := &s.cur
	c.lane, c.proc, c.host = l, p, h
	c.active, c.ep, c.start, c.ps, c.out = true, it.ep, start, 0, 0
	// The lane was idle: a new run. Waiting for a core is not idling, so start says
	// nothing here; busy is still the end of the step before.
	if l.busy <= it.ready {
		l.run++
	}
	s.outs = s.outs[:0]
	s.steps++
	p.stats.Steps++
	prof := h.prof

	kind, peer := stepMessage, int32(-1)
	var content uint64
	var size int32
	var typ uint16
	var path string
	var message uint64
	switch it.kind {
	case itemMessage:
		pl := s.payloads.get(it.ref)
		peer, size, typ, content = it.src, pl.size, pl.typ, pl.trace
		path, message = pl.path, messageID(pl.src, pl.counter)
		if prof != nil {
			io := &h.io.Recv
			c.ps += prof.StepBase + io.Message + io.Byte*int64(size)
			if pl.flush {
				c.ps += io.Flush
			}
		}
		var v protocols.Verdicts
		ok := true
		if h.parallel {
			v = s.takeVerdicts(it.gen)
		} else {
			v, ok = s.admit(pl, it.src, it.ep, it.flags)
		}
		if !ok {
			kind = stepRejected
			s.drop(it.src, it.ep, DropBadSeal, 1)
			s.notice(it.ep, s.eps[it.src].id, protocols.BadSeal)
			break
		}
		s.deliveries++
		p.stats.Received[pl.mt.Class].add(int64(size), pl.wire)
		s.types[pl.typ].Delivered++
		s.envelope = protocols.Envelope{From: pl.from, To: s.eps[it.ep].id, Path: pl.path, Type: pl.mt, FromLane: 0, Size: int(size)}
		s.handler(l, it.ep).Receive(&s.envelope, pl.msg, v)
	case itemLocal:
		lo := s.locals.get(it.ref)
		kind, content = stepLocal, uint64(lo.msg.Tag())
		if prof != nil {
			c.ps += prof.StepBase
		}
		self := s.eps[it.ep].id
		s.envelope = protocols.Envelope{From: self, To: self, Path: lo.path, Type: lo.mt, Local: !lo.send, FromLane: int(lo.from), Size: int(lo.size)}
		m := lo.msg
		*lo = local{}
		s.locals.put(it.ref)
		s.handler(l, it.ep).Receive(&s.envelope, m, protocols.Verdicts{})
	case itemTimer:
		sl := &l.timers.slots[it.ref]
		t := protocols.Timer{ID: protocols.TimerID(uint64(sl.gen)<<32 | uint64(it.ref+1)), Path: sl.env.path, Kind: sl.kind, Arg: sl.arg}
		l.timers.freeSlot(it.ref)
		kind, content = stepTimer, fold(uint64(t.Kind), t.Arg)
		if prof != nil {
			c.ps += prof.StepTimer
		}
		s.handler(l, it.ep).Timeout(t)
	case itemStart:
		kind = stepStart
		s.startNode(l, it)
	case itemLoad:
		l.timers.freeSlot(it.ref)
		kind = stepLoad
		if prof != nil {
			c.ps += prof.StepTimer
		}
		p.pool.wakeID = 0
		p.pool.load.Wake(protocols.Time(start))
	case itemCheck:
		kind = stepCheck
		s.runCheck(l, it)
	}
	if p.pool != nil {
		p.pool.settle(s)
	}
	if it.kind == itemMessage {
		s.release(it.ref)
	}
	end := s.finishStep(it)
	if core >= 0 {
		h.cores[core] = end
	}
	p.chain.add(start, it.key, kind, content, c.out)
	node := s.eps[it.ep].id
	if s.tracing != nil {
		s.tracing.add(recordKinds[kind], l.idx, start, end, node, s.idOf(peer), typ, size, 0)
	}
	if s.sinkOn {
		s.rec = Record{Kind: recordKinds[kind], At: protocols.Time(start), End: protocols.Time(end), Ready: protocols.Time(it.ready), Process: int(p.id), Node: node, Lane: l.idx, Peer: s.idOf(peer), Type: s.types[typ].mt, Path: path, Size: int(size), Key: it.key, Message: message, Content: content, Waiting: l.count, Sending: protocols.Time(h.tx.busy)}
		s.sink()
	}
	c.active = false
}

// idOf returns the node at an endpoint, Nobody for -1.
func (s *Sim) idOf(ep int32) protocols.NodeID {
	if ep < 0 {
		return protocols.Nobody
	}
	return s.eps[ep].id
}

// handler returns the node that handles things for an endpoint.
func (s *Sim) handler(l *lane, ep int32) protocols.Node {
	if l.proc.pool != nil {
		return l.proc.pool.nodes[s.eps[ep].sub]
	}
	return l.node
}

// finishStep charges the step, lets its outputs leave, and returns when lane and
// core are free again.
func (s *Sim) finishStep(it *item) int64 {
	c := &s.cur
	l, p, h := c.lane, c.proc, c.host
	done := c.start
	if h.prof != nil {
		work := scaled(c.ps, h.scale)
		done += nanos(work)
	}
	if len(l.log.fresh) > 0 {
		s.logged(l, done)
	}
	acc := int64(0)
	for i := range s.outs {
		o := &s.outs[i]
		o.at, o.acc = done, acc
		acc += o.c * int64(o.n)
		if o.kind == outCheck {
			s.beginCheck(l, o.ref, done)
			continue
		}
		if o.req > l.log.durable || len(l.held) > l.heldAt {
			if o.kind == outLocal {
				l.pending++
			}
			l.held = append(l.held, *o)
			continue
		}
		s.leave(l, o)
	}
	end := done + nanos(acc)
	p.stats.CPU += end - c.start
	if len(p.stats.LaneCPU) > l.idx {
		p.stats.LaneCPU[l.idx] += end - c.start
	}
	l.busy = end
	if end > l.lastOut {
		l.lastOut = end
	}
	return end
}

// charge counts an operation and adds its price to the work under way.
func (s *Sim) charge(op protocols.Op, size int) {
	c := &s.cur
	if op >= protocols.NumOps {
		s.fail(fmt.Errorf("netsim: node %d charges unknown operation %d", c.proc.node, op))
		return
	}
	st := &c.proc.stats
	st.Ops[op]++
	st.OpBytes[op] += uint64(size)
	if c.host.prof != nil {
		c.ps = min(c.ps+c.host.prof.Ops[op].At(size), far)
	}
}

func (s *Sim) startNode(l *lane, it *item) {
	p := l.proc
	boot := protocols.Boot{Incarnation: p.inc}
	switch {
	case p.inc == 0:
	case p.wiped && p.forgot:
		boot.Incarnation = 0
	case p.wiped:
		boot.Kind = protocols.Wiped
	default:
		boot.Kind = protocols.Recovered
	}
	if p.pool != nil {
		p.pool.start(s, boot)
		return
	}
	boot.Records = s.records(l, p.eps[0])
	l.node.Start(l.env, boot)
}
