package netsim

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// admit checks the seal and the parts of a copy and charges for it. The process
// that checks is that of s.cur.
func (s *Sim) admit(pl *payload, src, dst int32, flags uint32) (v protocols.Verdicts, ok bool) {
	mt := pl.mt
	p := s.eps[dst].proc
	if flags&flagCorrupt != 0 {
		if mt.Seal != protocols.SealNone {
			s.charge(protocols.OpDigest, int(pl.body))
			s.chargeSeal(mt.Seal)
		}
		return v, false
	}
	if mt.Seal != protocols.SealNone {
		if s.cfg.RealCrypto {
			ok = s.checkSeal(pl, dst, flags&flagBad != 0)
		} else {
			s.charge(protocols.OpDigest, int(pl.body))
			s.chargeSeal(mt.Seal)
			ok = flags&flagBad == 0
		}
		if !ok {
			return v, false
		}
	}
	if mt.Parts == nil {
		return v, true
	}
	a := s.authOf(p, dst)
	s.envelope2 = protocols.Envelope{From: pl.from, To: s.eps[dst].id, Path: pl.path, Type: mt, Size: int(pl.size)}
	s.parts = mt.Parts(s.parts[:0], a, &s.envelope2, pl.msg)
	for i := range s.parts {
		if !a.VerifyPart(&s.parts[i], p.index, len(s.replicas)) {
			v = v.Fail(i)
		}
	}
	return v, true
}

func (s *Sim) chargeSeal(k protocols.Seal) {
	if k == protocols.SealMAC {
		s.charge(protocols.OpMACVerify, 0)
	} else {
		s.charge(protocols.OpVerify, 0)
	}
}

// authOf is the Auth that admission uses for an endpoint.
func (s *Sim) authOf(p *proc, ep int32) *auth.Auth {
	if p.pool != nil {
		return p.pool.envs[s.eps[ep].sub].auth
	}
	return p.admit
}

// checkSeal makes and checks a real seal of one copy.
func (s *Sim) checkSeal(pl *payload, dst int32, bad bool) bool {
	receiver := s.keysOf(dst)
	body, err := pl.msg.MarshalMsg(s.scratch[:0])
	if err != nil {
		s.fail(fmt.Errorf("netsim: %s no longer encodes: %w", pl.mt.Name, err))
		return false
	}
	s.scratch = body[:0]
	d := auth.SealDigest(receiver, s.chargeFn, pl.mt.Seal, body)
	seal := s.sealOf(pl, dst, bad)
	return auth.CheckSeal(receiver, s.chargeFn, pl.mt, pl.path, pl.from, d, seal)
}

// sealOf returns the seal bytes of one copy: real ones, or zeros of the same
// size with modelled cryptography, whose seals are kernel state.
func (s *Sim) sealOf(pl *payload, dst int32, bad bool) []byte {
	n := pl.mt.Seal.SealSize()
	s.seal = s.seal[:0]
	switch {
	case !s.cfg.RealCrypto:
		s.seal = append(s.seal, zeroSeal[:n]...)
	case pl.mt.Seal == protocols.SealSignature:
		s.seal = append(s.seal, pl.sig...)
	default:
		s.seal = auth.Seal(s.seal, s.keysOf(pl.src), nil, pl.mt, pl.path, s.eps[dst].id, pl.digest)
	}
	if bad && n > 0 {
		s.seal[0] ^= 1
	}
	return s.seal
}

var zeroSeal [protocols.SignatureSize]byte

func (s *Sim) keysOf(ep int32) auth.Keys {
	if p := s.eps[ep].proc; p.pool != nil {
		return p.pool.envs[s.eps[ep].sub].keys
	} else {
		return p.keys
	}
}

// admitAside runs admission on the least busy core of a host that has several
// and moves the item's readiness to its end. It returns false if the copy was
// refused.
func (s *Sim) admitAside(it *item, pl *payload, p *proc, h *host) bool {
	s.cur = stepState{proc: p, host: h}
	v, ok := s.admit(pl, it.src, it.ep, it.flags)
	cost := nanos(scaled(s.cur.ps, h.scale))
	core := h.leastBusy()
	end := max(it.ready, h.cores[core]) + cost
	h.cores[core] = end
	p.stats.AdmissionCPU += cost
	p.stats.CPU += cost
	if !ok {
		s.drop(it.src, it.ep, DropBadSeal, 1)
		s.notice(it.ep, s.eps[it.src].id, protocols.BadSeal)
		s.release(it.ref)
		return false
	}
	// Each sender's order is kept per class, whatever core was faster.
	last := s.connection(&s.admitted, pl, it.ep)
	if end <= h.lastAdmit && end <= *last { // the table is seldom in cache
		end = *last + 1
	}
	*last = end
	h.lastAdmit = max(h.lastAdmit, end)
	it.ready = end
	if !v.All() {
		ref, x := s.verdicts.take()
		*x = v
		it.gen = ref + 1
	}
	return true
}

// takeVerdicts returns the verdicts that an item carries.
func (s *Sim) takeVerdicts(gen uint32) (v protocols.Verdicts) {
	if gen > 0 {
		x := s.verdicts.get(gen - 1)
		v, *x = *x, protocols.Verdicts{}
		s.verdicts.put(gen - 1)
	}
	return v
}

// rewire encodes a copy as the wire would carry it, decodes it, and returns a
// payload of its own for the result. It catches messages that were changed after
// they were sent.
func (s *Sim) rewire(ref uint32, dst int32, flags uint32) uint32 {
	pl := s.payloads.get(ref)
	seal := s.sealOf(pl, dst, flags&flagBad != 0)
	frame, err := protocols.AppendFrame(s.frame[:0], pl.from, s.eps[dst].id, pl.path, pl.mt, pl.msg, seal)
	if err != nil {
		s.fail(fmt.Errorf("netsim: wire mode: %w", err))
		return ref
	}
	s.frame = frame
	if len(frame) != int(pl.size) {
		s.fail(fmt.Errorf("netsim: wire mode: %s was sent with %d bytes but has %d at delivery; a message is immutable once sent", pl.mt.Name, pl.size, len(frame)))
		return ref
	}
	body := frame[len(frame)-len(seal)-int(pl.body) : len(frame)-len(seal)]
	if hashBytes(body) != pl.check {
		s.fail(fmt.Errorf("netsim: wire mode: a %s of node %d was changed after it was sent", pl.mt.Name, pl.from))
		return ref
	}
	if flags&flagCorrupt != 0 {
		u := s.draw(drawCorrupt, pl.src, dst, ^pl.counter)
		frame[4+below(u, uint64(len(frame)-4))] ^= 1 << (u & 7)
		_, _ = protocols.DecodeFrame(s.cfg.Table, frame[4:]) // must not panic; its verdict does not matter
		return ref
	}
	f, err := protocols.DecodeFrame(s.cfg.Table, frame[4:])
	if err != nil {
		s.fail(fmt.Errorf("netsim: wire mode: a %s of node %d does not decode: %w", pl.mt.Name, pl.from, err))
		return ref
	}
	again, x := s.payloads.take()
	*x = *pl
	x.msg, x.refs = f.Message, 1
	s.release(ref)
	return again
}

// check is a batch of application signatures under way.
type check struct {
	id     uint64
	checks []protocols.SigCheck
	ep     int32
	lane   int32
	inc    uint32
	path   string
	seq    uint32
}

// Check implements protocols.Env.
func (e *env) Check(id uint64, checks []protocols.SigCheck) {
	if !e.enter("Check") {
		return
	}
	s := e.s
	s.cur.out = fold(fold(s.cur.out, id), uint64(len(checks)))
	ref, x := s.checks.take()
	*x = check{id: id, checks: append([]protocols.SigCheck(nil), checks...), ep: e.ep, lane: e.l.id, inc: e.inc, path: e.path, seq: s.nextSeq(e.l)}
	s.outs = append(s.outs, output{kind: outCheck, ref: ref, inc: e.inc})
}

// beginCheck hands a check to the cores at the end of the step that asked.
func (s *Sim) beginCheck(l *lane, ref uint32, at int64) {
	c := s.checks.get(ref)
	if l.host.parallel {
		s.q.push(event{at: max(at, s.now), key: s.tie(l.id, l.id, saltCheck, at, c.seq), src: l.id, dst: l.id, kind: evCheck, ref: ref})
		return
	}
	l.insert(item{ready: at, key: s.tie(l.id, l.id, saltCheck, at, c.seq), kind: itemCheck, ep: c.ep, src: -1, ref: ref})
}

// onCheck runs a check on the least busy core.
func (s *Sim) onCheck(ref uint32) {
	c := s.checks.get(ref)
	l := s.lanes[c.lane]
	h, p := l.host, l.proc
	if c.inc != p.inc || p.down {
		*c = check{}
		s.checks.put(ref)
		return
	}
	if p.paused {
		p.asleep = append(p.asleep, event{kind: evCheck, ref: ref})
		return
	}
	s.cur = stepState{proc: p, host: h}
	bad := s.verifyAll(c)
	cost := nanos(scaled(s.cur.ps, h.scale))
	core := h.leastBusy()
	end := max(s.now, h.cores[core]) + cost
	h.cores[core] = end
	p.stats.AdmissionCPU += cost
	p.stats.CPU += cost
	s.checked(l, ref, bad, end)
	s.wake(l, max(end, l.busy))
}

// runCheck runs a check as a step of the only core.
func (s *Sim) runCheck(l *lane, it *item) {
	bad := s.verifyAll(s.checks.get(it.ref))
	s.checked(l, it.ref, bad, s.cur.start+nanos(scaled(s.cur.ps, l.host.scale)))
}

func (s *Sim) verifyAll(c *check) []int {
	a := s.authOf(s.cur.proc, c.ep)
	var bad []int
	for i := range c.checks {
		if !a.VerifyApp(c.checks[i]) {
			bad = append(bad, i)
		}
	}
	return bad
}

// checked queues the answer to a check.
func (s *Sim) checked(l *lane, ref uint32, bad []int, at int64) {
	c := s.checks.get(ref)
	lref, lo := s.locals.take()
	*lo = local{msg: &protocols.Checked{ID: c.id, Bad: bad}, from: -1, ep: c.ep, inc: c.inc, path: c.path}
	l.insert(item{ready: at, key: s.tie(l.id, l.id, saltCheck+1, at, c.seq), kind: itemLocal, ep: c.ep, src: -1, ref: lref})
	*c = check{}
	s.checks.put(ref)
}
