package pbft

import (
	"github.com/edgebft/edgebft/protocols"
)

// tryPropose proposes what is pending, if this replica is an active primary.
func (o *Orderer) tryPropose() { o.propose(false) }

// propose assigns slots to pending requests within the pipeline and the
// watermarks. due says that the batch delay has run out.
func (o *Orderer) propose(due bool) {
	if !o.active || o.recovering || o.learner != nil || !o.isPrimary() {
		return
	}
	for o.pending.Len() > 0 {
		inFlight := int(o.next - min(o.delivered, o.next))
		if inFlight >= o.cfg.Pipeline || !o.inWindow(o.next+1) {
			return
		}
		if !due && o.cfg.BatchDelay > 0 && inFlight > 0 && o.pending.Len() < o.cfg.BatchMax {
			if o.batchTimer == 0 {
				o.batchTimer = o.env.SetTimer(o.cfg.BatchDelay, timerBatch, 0)
			}
			return
		}
		due = false
		size := 0
		batch := make([]protocols.Request, 0, min(o.pending.Len(), o.cfg.BatchMax))
		for len(batch) < o.cfg.BatchMax {
			r := o.nextRequest()
			if r == nil || len(batch) > 0 && size+weight(r) > o.cfg.BatchBytes {
				break
			}
			o.pending.Remove(r.Key())
			if o.shell.Done(r.Key()) || !o.shell.MayPropose(r) {
				continue
			}
			o.inFlight[r.Key()] = struct{}{}
			size += weight(r)
			batch = append(batch, *r)
		}
		if len(batch) == 0 {
			return
		}
		o.next++
		pp := &PrePrepare{View: o.view, Seq: o.next, Digest: batchDigest(o.env.Auth(), batch), Requests: batch}
		s := o.log.at(pp.Seq)
		o.accept(s, pp.Digest, batch)
		s.voted = true
		s.needsLog(pp.Digest)
		o.record(pp)
		o.env.Multicast(o.cfg.Replicas, pp)
		o.advance(s)
	}
}

// nextRequest is the pending request to propose next: the oldest, or nil. After two
// views in a row without progress the batches of this one hold signed requests only.
// One request whose authenticator is bad at the backups keeps its whole batch from
// preparing, and a client that leaves one at every replica could spoil view after view;
// a signature is good everywhere, and those who still wait have sent theirs by then.
func (o *Orderer) nextRequest() *protocols.Request {
	if o.failed < 2 {
		return o.pending.Oldest()
	}
	r, _ := o.pending.OldestAwaited()
	return r
}

// accept makes d the proposal of the slot in the present view.
func (o *Orderer) accept(s *slot, d protocols.Digest, batch []protocols.Request) {
	s.accepted, s.digest, s.batch, s.hasBody = true, d, batch, true
	s.held = nil
	s.acceptedAt = o.env.Now()
	s.keepBody(d, batch)
	o.notePrePrepared(s, d, o.voteView)
	o.highest = max(o.highest, s.seq)
	o.shell.Accepted(s.seq, d, batch)
}

// notePrePrepared enters d into Q. What a slot keeps beyond its usual digests may
// take as much as those: batches of lying primaries are no reason to fill memory.
func (o *Orderer) notePrePrepared(s *slot, d protocols.Digest, view uint64) {
	s.prePrepared(d, view, tracked(o.cfg.Window), minTracked*o.cfg.BatchBytes)
}

// onPrePrepare handles PRE-PREPARE: a backup accepts the primary's proposal if it
// is of the present view and within the watermarks, it has accepted no other for
// the slot, the digest is right, and every request is ready here; otherwise it
// holds the proposal back until that is so.
func (o *Orderer) onPrePrepare(from protocols.NodeID, m *PrePrepare, v protocols.Verdicts) {
	if m.View > o.view || m.View == o.view && !o.active && o.learner == nil {
		o.hold(from, m.View, m, v)
		return
	}
	if m.View != o.voteView || !o.active && o.learner == nil || from != o.cfg.Primary(m.View) || from == o.cfg.Self ||
		!o.inWindow(m.Seq) || m.Seq <= o.chosenTop || !o.fits(m.Requests) {
		return
	}
	s := o.log.at(m.Seq)
	if s.accepted || s.held != nil {
		first := s.digest
		if s.held != nil {
			first = s.held.Digest
		}
		if first != m.Digest {
			o.env.Emit(protocols.Event{Kind: protocols.EventSuspect, View: m.View, Seq: m.Seq, Peer: from, Note: "two proposals for one slot"})
		}
		if !o.cfg.mutate.doubleDigest || first == m.Digest || s.prepared {
			return
		}
		s.voted = false
	}
	if batchDigest(o.env.Auth(), m.Requests) != m.Digest {
		o.env.Emit(protocols.Event{Kind: protocols.EventSuspect, View: m.View, Seq: m.Seq, Peer: from, Note: "digest does not match batch"})
		return
	}
	s.held = m
	s.acceptedAt = o.env.Now()
	o.highest = max(o.highest, m.Seq)
	s.heldUnready.Clear()
	for i := range m.Requests {
		if !v.OK(i) {
			s.heldUnready.Add(i)
		}
	}
	o.heldSlots++
	o.reconsider(s)
	o.watch()
	o.armResend()
}

// fits reports whether a batch is within the bounds that propose keeps.
func (o *Orderer) fits(batch []protocols.Request) bool {
	size := 0
	for i := range batch {
		size += weight(&batch[i])
	}
	return len(batch) == 1 || len(batch) > 1 && len(batch) <= o.cfg.BatchMax && size <= o.cfg.BatchBytes
}

// weight is what a request adds to a batch, in bytes: with many replicas the
// authenticator is most of it.
func weight(r *protocols.Request) int { return len(r.Op) + len(r.Auth) }

// reconsider accepts a held proposal if its requests are ready now, or if f+1
// PREPAREs show that a correct replica found them ready. Once this replica has left
// the view, nothing is accepted in it any more: its VIEW-CHANGE has said all.
func (o *Orderer) reconsider(s *slot) {
	m := s.held
	if m == nil || !o.active && o.learner == nil {
		return
	}
	if o.cfg.StrictReady || s.prepares.Count(m.Digest) < o.weak {
		for i := range m.Requests {
			if !o.shell.Ready(&m.Requests[i], !s.heldUnready.Has(i)) {
				return
			}
		}
	}
	o.heldSlots--
	o.accept(s, m.Digest, m.Requests)
	if o.learner == nil {
		s.needsLog(m.Digest)
		o.record(m)
		o.prepare(s)
	}
	o.advance(s)
}

// Recheck implements smr.Orderer.
func (o *Orderer) Recheck() {
	if o.heldSlots == 0 {
		return
	}
	o.log.each(o.h, o.reconsider)
}

// prepare sends PREPARE for the slot's proposal.
func (o *Orderer) prepare(s *slot) {
	s.voted = true
	s.prepares.Add(int(o.cfg.Self), s.digest)
	o.env.Multicast(o.cfg.Replicas, &Prepare{View: o.voteView, Seq: s.seq, Digest: s.digest})
}

// onPrepare handles PREPARE. The primary's proposal is its vote; a PREPARE of the
// primary does not count.
func (o *Orderer) onPrepare(from protocols.NodeID, m *Prepare) {
	if m.View > o.view || m.View == o.view && !o.active {
		o.hold(from, m.View, m, protocols.Verdicts{})
		return
	}
	if m.View != o.voteView || !o.active || !o.inWindow(m.Seq) || from == o.cfg.Primary(m.View) {
		return
	}
	s := o.log.at(m.Seq)
	s.prepares.Add(int(from), m.Digest)
	o.seen(s)
	if s.held != nil {
		o.reconsider(s)
	}
	o.advance(s)
	o.armResend()
}

// seen notes that something happens at a slot once f+1 replicas vote there: votes of
// liars for slots that nobody has proposed keep nobody awake.
func (o *Orderer) seen(s *slot) {
	if s.prepares.Len() >= o.weak || s.commits.Len() >= o.weak {
		o.highest = max(o.highest, s.seq)
	}
}

// onCommit handles COMMIT. A replica that left its last view for the next still
// learns what was decided there.
func (o *Orderer) onCommit(from protocols.NodeID, m *Commit) {
	if m.View > o.view || m.View == o.view && !o.active && o.learner == nil {
		o.hold(from, m.View, m, protocols.Verdicts{})
		return
	}
	if m.View != o.voteView || !o.inWindow(m.Seq) {
		return
	}
	s := o.log.at(m.Seq)
	s.commits.Add(int(from), m.Digest)
	o.seen(s)
	o.advance(s)
	o.armResend()
}

// advance moves a slot on: to prepared with the proposal and 2f matching PREPAREs,
// to committed with 2f+1 matching COMMITs.
func (o *Orderer) advance(s *slot) {
	if o.cfg.mutate.executeEarly && s.accepted && s.hasBody && !s.committed {
		s.committed = true
		o.deliver()
	}
	if s.accepted && s.hasBody && s.voted && !s.prepared && o.active && s.prepares.Count(s.digest) >= o.quorum-1 {
		s.prepared = true
		s.hasP, s.p = true, Entry{Seq: s.seq, Digest: s.digest, View: o.voteView}
		o.record(&PreparedRecord{View: o.voteView, Seq: s.seq, Digest: s.digest})
		s.commits.Add(int(o.cfg.Self), s.digest)
		o.env.Multicast(o.cfg.Replicas, &Commit{View: o.voteView, Seq: s.seq, Digest: s.digest})
	}
	if s.committed {
		return
	}
	need := o.quorum - o.cfg.mutate.commitQuorum
	if s.commits.Len() < need {
		return
	}
	d, count := s.commits.Leader()
	if count < need {
		return
	}
	if !s.accepted || s.digest != d || !s.hasBody {
		// Decided by others, on a batch that did not reach this replica.
		batch, ok := s.body(d)
		if !ok && s.held != nil && s.held.Digest == d {
			batch, ok = s.held.Requests, true
		}
		if !ok { // the proposal is probably on its way; onResend asks for it if not
			o.armResend()
			return
		}
		if s.accepted && s.digest != d && s.hasBody {
			o.putBack(s.batch)
		}
		s.batch, s.hasBody = batch, true
		if !s.accepted {
			if s.held != nil {
				s.held = nil
				o.heldSlots--
			}
			s.accepted, s.digest = true, d
		}
	}
	s.committed = true
	if s.digest != d {
		// This replica voted for another proposal of a lying primary, and never
		// votes twice.
		s.digest, s.voted = d, false
	}
	s.isDecided, s.decided = true, d
	s.keepBody(d, s.batch)
	o.logBody(s, d, s.batch)
	if o.cfg.Log {
		o.env.LogLazily(&CommittedRecord{View: o.voteView, Seq: s.seq, Digest: d})
	}
	o.deliver()
}

// putBack makes the requests of a proposal wait again whose slot went to another one:
// a primary that has forgotten what it proposed would otherwise take them for under
// way for ever.
func (o *Orderer) putBack(batch []protocols.Request) {
	for i := range batch {
		r := &batch[i]
		delete(o.inFlight, r.Key())
		if !o.shell.Done(r.Key()) && o.shell.MayPropose(r) {
			o.pending.Add(r, o.env.Now())
		}
	}
}

// deliver hands decided slots to the shell, in order.
func (o *Orderer) deliver() {
	progress := false
	for {
		s := o.log.peek(o.delivered + 1)
		if s == nil || !s.committed || !o.inWindow(o.delivered+1) {
			break
		}
		o.delivered++
		o.env.Emit(protocols.Event{Kind: protocols.EventCommitted, View: o.voteView, Seq: s.seq, Digest: s.digest})
		for i := range s.batch {
			k := s.batch[i].Key()
			o.pending.Remove(k)
			delete(o.inFlight, k)
			// What was executed before is no progress: a primary that orders it again
			// and again serves nobody.
			progress = progress || !o.shell.Done(k)
		}
		o.shell.Deliver(s.seq, o.voteView, s.digest, s.batch)
		if s.seq%uint64(o.cfg.Interval) == 0 {
			o.shell.CheckpointDue(s.seq)
		}
	}
	if progress {
		if o.failed > 0 { // the timer runs for a doubled wait
			o.failed = 0
			o.cancel(&o.progressTimer)
		}
		o.waitingSince = o.env.Now()
	}
	o.next = max(o.next, o.delivered)
	o.tryPropose()
	o.watch()
}

// hold keeps a message of a view that this replica has not entered yet. Each
// sender has a share, and of proposals, which are large, the primary of their view
// has one per slot of the log; what exceeds that is lost and will be sent again on
// STATUS.
func (o *Orderer) hold(from protocols.NodeID, view uint64, m protocols.Message, v protocols.Verdicts) {
	if o.futureCount[from] >= min(heldMax, 4*o.cfg.Window) || o.learner != nil {
		return
	}
	if p, ok := m.(*PrePrepare); ok {
		// The view may begin a window above this replica's.
		if from != o.cfg.Primary(view) || p.Seq <= o.h || p.Seq-o.h > 2*uint64(o.cfg.Window) || !o.fits(p.Requests) ||
			o.futureProposals[from] >= o.cfg.Window {
			return
		}
		o.futureProposals[from]++
	}
	o.futureCount[from]++
	o.future = append(o.future, futureMessage{from, view, m, v})
}

// dropHeld forgets the held messages of views below low.
func (o *Orderer) dropHeld(low uint64) {
	held := o.future
	o.future = o.future[:0]
	clear(o.futureCount)
	clear(o.futureProposals)
	for _, f := range held {
		if f.view >= low {
			o.futureCount[f.from]++
			if f.msg.Tag() == TagPrePrepare {
				o.futureProposals[f.from]++
			}
			o.future = append(o.future, f)
		}
	}
	clear(held[len(o.future):])
}

// replayHeld handles the messages held for the view just entered.
func (o *Orderer) replayHeld() {
	var now []futureMessage
	for _, f := range o.future {
		if f.view == o.view {
			now = append(now, f)
		}
	}
	o.dropHeld(o.view + 1)
	for _, f := range now {
		switch m := f.msg.(type) {
		case *PrePrepare:
			o.onPrePrepare(f.from, m, f.v)
		case *Prepare:
			o.onPrepare(f.from, m)
		case *Commit:
			o.onCommit(f.from, m)
		}
	}
}
