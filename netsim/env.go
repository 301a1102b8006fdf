package netsim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// env is the Env of one lane (or client) at one path.
type env struct {
	s    *Sim
	l    *lane
	ep   int32
	self protocols.NodeID
	path string
	auth *auth.Auth
	rand *rand.Rand
	inc  uint32
	subs map[string]*env // by label; the protocol bounds how many labels it uses
	keys auth.Keys
}

var (
	_ protocols.Env    = (*env)(nil)
	_ protocols.Tamper = (*env)(nil)
)

func newEnv(s *Sim, l *lane, ep int32, keys auth.Keys) *env {
	return &env{s: s, l: l, ep: ep, self: s.eps[ep].id, keys: keys, auth: auth.New(keys, "", s.chargeFn), inc: l.proc.inc}
}

func (e *env) Self() protocols.NodeID { return e.self }
func (e *env) Lane() int              { return e.l.idx }
func (e *env) Path() string           { return e.path }
func (e *env) Now() protocols.Time    { return protocols.Time(e.s.cur.start) }
func (e *env) Auth() protocols.Auth   { return e.auth }

func (e *env) Clock() protocols.Time {
	return protocols.Time(e.l.host.clock.read(e.s.cur.start))
}

func (e *env) Rand() *rand.Rand {
	if e.rand == nil {
		a, b := e.s.seedFor(drawNode, e.ep, int32(e.l.idx), e.path)
		e.rand = rand.New(rand.NewPCG(a, b+uint64(e.inc)))
	}
	return e.rand
}

// enter checks that the Env is used inside a handler of its own lane.
func (e *env) enter(what string) bool {
	c := &e.s.cur
	if c.active && c.lane == e.l && e.inc == e.l.proc.inc {
		return true
	}
	e.s.fail(fmt.Errorf("netsim: node %d lane %d calls Env.%s outside its handlers", e.self, e.l.idx, what))
	return false
}

func (e *env) Send(to protocols.NodeID, m protocols.WireMessage) {
	if e.enter("Send") {
		e.s.send(e, to, m, nil)
	}
}

func (e *env) Multicast(to protocols.Group, m protocols.WireMessage) {
	if e.enter("Multicast") {
		e.s.multicast(e, to, m, nil)
	}
}

// MulticastBad implements protocols.Tamper.
func (e *env) MulticastBad(to protocols.Group, m protocols.WireMessage, bad func(to protocols.NodeID) bool) {
	if e.enter("MulticastBad") {
		e.s.multicast(e, to, m, bad)
	}
}

func (e *env) Post(lane int, m protocols.Message) {
	if !e.enter("Post") {
		return
	}
	p := e.l.proc
	if lane < 0 || lane >= len(p.lanes) {
		e.s.fail(fmt.Errorf("netsim: node %d posts to lane %d; it has lanes 0 to %d", e.self, lane, len(p.lanes)-1))
		return
	}
	e.s.cur.out = fold(fold(e.s.cur.out, uint64(lane)), uint64(m.Tag()))
	e.s.handOver(e, p.lanes[lane], local{msg: m, from: int32(e.l.idx), ep: e.ep, path: e.path})
}

func (e *env) SetTimer(d time.Duration, kind uint32, arg uint64) protocols.TimerID {
	if !e.enter("SetTimer") {
		return 0
	}
	d = max(d, 1)
	c := &e.s.cur
	at := c.start + int64(d)
	if at < c.start { // beyond the end of time
		at = 1<<63 - 1
	}
	c.out = fold(fold(fold(c.out, uint64(d)), uint64(kind)), arg)
	return e.l.timers.set(e, at, kind, arg)
}

func (e *env) CancelTimer(id protocols.TimerID) {
	if e.enter("CancelTimer") && e.l.timers.cancel(id) {
		e.s.cur.out = fold(e.s.cur.out, 0xca)
	}
}

func (e *env) Log(m protocols.WireMessage) {
	if e.enter("Log") {
		e.s.log(e, m, logSync)
	}
}

func (e *env) LogLazily(m protocols.WireMessage) {
	if e.enter("LogLazily") {
		e.s.log(e, m, logLazy)
	}
}

func (e *env) Compact(m protocols.WireMessage) {
	if e.enter("Compact") {
		e.s.log(e, m, logCompact)
	}
}

func (e *env) Emit(ev protocols.Event) {
	if e.enter("Emit") {
		ev.Path = e.path
		e.s.emit(e, &ev)
	}
}

func (e *env) Complete(c protocols.Completion) {
	if !e.enter("Complete") {
		return
	}
	pool := e.l.proc.pool
	if pool == nil {
		e.s.fail(fmt.Errorf("netsim: node %d completes operation %d but is no client", e.self, c.ID))
		return
	}
	e.s.cur.out = fold(fold(e.s.cur.out, c.ID), uint64(len(c.Result)))
	pool.complete(e.s, e.ep, c)
}

func (e *env) Sub(label string) protocols.Env {
	if k := e.subs[label]; k != nil {
		return k
	}
	if !goodLabel(label) {
		e.s.fail(fmt.Errorf("netsim: node %d asks for Sub(%q); a label has 1 to 16 letters, digits or '-'", e.self, label))
		label = "bad"
	}
	path := label
	if e.path != "" {
		path = e.path + "/" + label
	}
	if len(path) > 255 {
		e.s.fail(fmt.Errorf("netsim: node %d nests to path %q of %d bytes; at most 255", e.self, path, len(path)))
		path = "bad"
	}
	k := &env{s: e.s, l: e.l, ep: e.ep, self: e.self, path: path, keys: e.keys, auth: auth.New(e.keys, path, e.s.chargeFn), inc: e.inc}
	if e.subs == nil {
		e.subs = make(map[string]*env)
	}
	e.subs[label] = k
	return k
}

func goodLabel(s string) bool {
	if len(s) < 1 || len(s) > 16 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
