package netsim

import "github.com/edgebft/edgebft/protocols"

// Stopper is an Observer that can end a run: it is asked after every event that
// it was told of.
type Stopper interface {
	// Stopped returns a reason, or "" to go on.
	Stopped() string
}

// Restarter is an Observer that wants to know when a node that was down begins a new
// life: before it is told of anything that the node does in it.
type Restarter interface {
	Restarted(node protocols.NodeID)
}

// restarted tells observers of a new life.
func (s *Sim) restarted(node protocols.NodeID) {
	for _, o := range s.cfg.Observers {
		if r, ok := o.(Restarter); ok {
			r.Restarted(node)
		}
	}
}

// emitted is an event of a step that was executed ahead of time; observers hear
// of it when its time comes.
type emitted struct {
	at   int64
	ep   int32
	inc  uint32
	seq  uint64
	node protocols.NodeID
	ev   protocols.Event
}

type emitHeap []emitted

func (h emitHeap) less(i, j int) bool {
	a, b := &h[i], &h[j]
	if a.at != b.at {
		return a.at < b.at
	}
	if a.ep != b.ep {
		return a.ep < b.ep
	}
	return a.seq < b.seq
}

func (h *emitHeap) push(e emitted) {
	*h = append(*h, e)
	x := *h
	for i := len(x) - 1; i > 0; {
		up := (i - 1) / 2
		if !x.less(i, up) {
			return
		}
		x[i], x[up] = x[up], x[i]
		i = up
	}
}

func (h *emitHeap) pop() emitted {
	x := *h
	top := x[0]
	n := len(x) - 1
	x[0] = x[n]
	x[n] = emitted{}
	x = x[:n]
	*h = x
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return top
		}
		if c+1 < n && x.less(c+1, c) {
			c++
		}
		if !x.less(c, i) {
			return top
		}
		x[i], x[c] = x[c], x[i]
		i = c
	}
}

// emit takes an event of the present step.
func (s *Sim) emit(e *env, ev *protocols.Event) {
	c := &s.cur
	h := fold(c.out, uint64(ev.Kind)<<32^ev.View<<40^ev.Seq)
	h = fold(h, ev.Index^ev.Timestamp<<20^uint64(uint32(ev.Client))<<40)
	if !ev.Digest.IsZero() {
		h = fold(h, c.proc.digests.number(&ev.Digest))
	}
	c.out = h
	if len(s.cfg.Observers) == 0 && !s.sinkOn && !s.triggered {
		return
	}
	if c.start > s.now {
		s.emitSeq++
		s.emitted.push(emitted{at: c.start, ep: e.ep, inc: e.inc, seq: s.emitSeq, node: e.self, ev: *ev})
		return
	}
	s.event = *ev
	s.observe(c.start, int(c.proc.id), e.self, &s.event)
}

// listener is an observer that is shown what nodes send.
type listener struct {
	protocols.SendObserver
	stopper Stopper // nil if it stops nothing
}

// said shows observers a promise that leaves its lane.
func (s *Sim) said(pl *payload, at int64) {
	s.heard = max(at, s.now)
	for i := range s.listeners {
		x := &s.listeners[i]
		x.Sent(protocols.Time(s.heard), pl.from, pl.path, pl.mt, pl.msg)
		if x.stopper != nil {
			if why := x.stopper.Stopped(); why != "" {
				s.Stop(why)
			}
		}
	}
}

// flushEmitted tells observers of what was emitted ahead for times up to now, or
// up to the end of a run that is stopped, and reports whether there was any.
func (s *Sim) flushEmitted(now int64) (any bool) {
	for len(s.emitted) > 0 && s.emitted[0].at <= now && (!s.stopped || s.emitted[0].at <= s.stopAt) {
		any = true
		x := s.emitted.pop()
		p := s.eps[x.ep].proc
		if x.inc != p.inc || p.down {
			continue // the node crashed before it came to this
		}
		s.event = x.ev
		s.observe(x.at, int(p.id), x.node, &s.event)
	}
	return any
}

func (s *Sim) observe(at int64, process int, node protocols.NodeID, ev *protocols.Event) {
	s.heard = at
	for i, o := range s.cfg.Observers {
		o.Observe(protocols.Time(at), node, ev)
		if st := s.stoppers[i]; st != nil {
			if why := st.Stopped(); why != "" {
				s.Stop(why)
			}
		}
	}
	if s.sinkOn {
		t := protocols.Time(at)
		s.rec = Record{Kind: RecordEvent, At: t, End: t, Ready: t, Process: process, Node: node, Peer: protocols.Nobody, Path: ev.Path, Event: ev}
		s.sink()
	}
	if s.triggered {
		s.trigger(at, node, ev)
	}
}
