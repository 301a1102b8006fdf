package pbft

import (
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// recover rebuilds the state from the log. What was logged is what this replica
// has promised: the view it is in, the proposals it accepted (Q), what it has
// prepared (P).
func (o *Orderer) recover(boot protocols.Boot) {
	if boot.Kind == protocols.Wiped || boot.Kind == protocols.Recovered && !o.cfg.Log {
		o.becomeLearner(LearnerRecord{})
		o.record(&LearnerRecord{})
		return
	}
	o.recovering = true
	var decided []Entry
	for _, r := range boot.Records {
		switch m := r.Message.(type) {
		case *Summary:
			decided = o.recoverSummary(m)
		case *PrePrepare:
			if s := o.recoverSlot(m.Seq, m.View); s != nil {
				s.accepted, s.digest, s.batch, s.hasBody, s.voted = true, m.Digest, m.Requests, true, true
				s.keepBody(m.Digest, m.Requests)
				s.needsLog(m.Digest)
				o.notePrePrepared(s, m.Digest, m.View)
				o.next = max(o.next, m.Seq)
				o.highest = max(o.highest, m.Seq)
			}
		case *PreparedRecord:
			if s := o.recoverSlot(m.Seq, m.View); s != nil && s.accepted && s.digest == m.Digest {
				s.prepared, s.hasP, s.p = true, true, Entry{m.Seq, m.Digest, m.View}
			}
		case *BodyRecord:
			if o.inWindow(m.Seq) {
				s, d := o.log.at(m.Seq), batchDigest(o.env.Auth(), m.Requests)
				s.keepBody(d, m.Requests)
				s.needsLog(d)
				if s.accepted && s.digest == d && !s.hasBody {
					s.batch, s.hasBody = m.Requests, true
				}
			}
		case *CommittedRecord:
			if o.inWindow(m.Seq) {
				s := o.log.at(m.Seq)
				s.isDecided, s.decided = true, m.Digest
				decided = append(decided, Entry{m.Seq, m.Digest, m.View})
			}
		case *StableRecord:
			o.recoverStable(m, decided)
			decided = nil
		case *ViewChange:
			o.view, o.active, o.myVC = m.View, false, m
		case *NewView:
			o.view, o.active, o.voteView = m.View, true, m.View
			o.newView, o.newViewSum = m, o.digestOf(m)
			o.adoptView(m)
			o.log.each(o.h, func(s *slot) {
				s.voted = s.voted || s.accepted && s.hasBody
			})
		case *LearnerRecord:
			o.becomeLearner(*m)
		}
	}
	if o.myVC != nil && o.myVC.View >= o.view {
		o.storeViewChange(o.myVC)
	}
	o.redecide(decided)
	// Own votes count again; those of the others come back on STATUS.
	o.log.each(o.h, func(s *slot) {
		if s.accepted && s.voted && o.cfg.Primary(o.voteView) != o.cfg.Self {
			s.prepares.Add(int(o.cfg.Self), s.digest)
		}
		if s.prepared {
			s.commits.Add(int(o.cfg.Self), s.digest)
		}
	})
	o.deliver()
	o.recovering = false
	if o.learner != nil {
		o.active = false
	}
	o.prepareChosen()
}

// redecide takes up the decisions that were logged.
func (o *Orderer) redecide(decided []Entry) {
	sort.SliceStable(decided, func(i, j int) bool { return decided[i].Seq < decided[j].Seq })
	for _, e := range decided {
		s := o.peekInWindow(e.Seq)
		if s == nil {
			continue
		}
		if batch, ok := s.body(e.Digest); ok {
			// The vote went to another proposal of a lying primary if this differs.
			s.voted = s.voted && s.accepted && s.digest == e.Digest
			s.accepted, s.hasBody, s.committed = true, true, true
			s.digest, s.batch = e.Digest, batch
		}
	}
}

// recoverStable goes through a checkpoint that became stable after the last durable
// snapshot: what led to it is in the log.
func (o *Orderer) recoverStable(m *StableRecord, decided []Entry) {
	if m.Seq <= o.h {
		return
	}
	o.redecide(decided)
	o.deliver()
	if o.delivered < m.Seq {
		return // cannot happen with a complete log
	}
	o.shell.Stable(m.Seq, m.Digest)
	o.compact = false
	o.moveWindow(m.Seq, m.Digest)
}

func (o *Orderer) recoverSlot(seq, view uint64) *slot {
	if !o.inWindow(seq) {
		return nil
	}
	if view > o.voteView { // cannot happen with a complete log
		return nil
	}
	return o.log.at(seq)
}

func (o *Orderer) recoverSummary(m *Summary) []Entry {
	o.view, o.active, o.voteView = m.View, m.Active, m.VoteView
	if len(m.NewView) == 1 {
		nv := m.NewView[0]
		o.newView, o.newViewSum = &nv, o.digestOf(&nv)
		o.chosenTop = nv.Stable
		if k := len(nv.Chosen); k > 0 {
			o.chosenTop = nv.Chosen[k-1].Seq
		}
		o.next = max(o.next, o.chosenTop)
	}
	if len(m.ViewChange) == 1 {
		vc := m.ViewChange[0]
		o.myVC = &vc
	}
	if m.Learning {
		o.becomeLearner(m.Learner)
	}
	bodies := make(map[protocols.Digest][]protocols.Request, len(m.Bodies))
	for _, b := range m.Bodies {
		bodies[batchDigest(o.env.Auth(), b.Requests)] = b.Requests
	}
	for _, e := range m.PrePrepared {
		if !o.inWindow(e.Seq) {
			continue
		}
		s := o.log.at(e.Seq)
		s.q = append(s.q, e)
		if b, ok := bodies[e.Digest]; ok {
			s.keepBody(e.Digest, b)
			s.needsLog(e.Digest)
		}
		if e.View == o.voteView {
			s.accepted, s.digest = true, e.Digest
			s.batch, s.hasBody = s.body(e.Digest)
			s.voted = s.hasBody
		}
		o.next = max(o.next, e.Seq)
		o.highest = max(o.highest, e.Seq)
	}
	o.log.each(o.h, func(s *slot) {
		sort.SliceStable(s.q, func(i, j int) bool { return s.q[i].View < s.q[j].View })
	})
	for _, e := range m.Prepared {
		if !o.inWindow(e.Seq) {
			continue
		}
		s := o.log.at(e.Seq)
		s.hasP, s.p = true, e
		if b, ok := bodies[e.Digest]; ok {
			s.keepBody(e.Digest, b)
			s.needsLog(e.Digest)
		}
		s.prepared = s.accepted && s.digest == e.Digest && e.View == o.voteView
	}
	for _, e := range m.Committed {
		if !o.inWindow(e.Seq) {
			continue
		}
		s := o.log.at(e.Seq)
		s.isDecided, s.decided = true, e.Digest
		if b, ok := bodies[e.Digest]; ok {
			s.keepBody(e.Digest, b)
			s.needsLog(e.Digest)
		}
	}
	return append([]Entry(nil), m.Committed...)
}

// summary is what the log has to say above the stable checkpoint.
func (o *Orderer) summary() *Summary {
	m := &Summary{View: o.view, Active: o.active, VoteView: o.voteView, Stable: o.h, StableDigest: o.hDigest}
	if o.newView != nil {
		m.NewView = []NewView{*o.newView}
	}
	if o.myVC != nil && !o.active {
		m.ViewChange = []ViewChange{*o.myVC}
	}
	if o.learner != nil {
		m.Learning, m.Learner = true, o.learner.rec
	}
	o.log.each(o.h, func(s *slot) {
		if s.hasP {
			m.Prepared = append(m.Prepared, s.p)
		}
		m.PrePrepared = append(m.PrePrepared, s.q...)
		for _, b := range s.bodies {
			m.Bodies = append(m.Bodies, Batch{Requests: b.batch})
		}
		if s.isDecided {
			m.Committed = append(m.Committed, Entry{Seq: s.seq, Digest: s.decided, View: o.voteView})
		}
	})
	return m
}

// learner is a replica that lost its disk. It may have voted, in its earlier life,
// for anything up to one window above the highest stable checkpoint it can have
// known. Until its own stable checkpoint has passed that point it makes no promise:
// it follows what the others decide, executes, replies and serves reads, but sends
// no vote, no CHECKPOINT and no VIEW-CHANGE. It counts as one of the f faulty.
type learner struct {
	rec     LearnerRecord
	nonce   uint64
	reached []uint64 // per replica
	replied []bool
}

func (o *Orderer) becomeLearner(rec LearnerRecord) {
	o.learner = &learner{rec: rec, reached: make([]uint64, o.cfg.N), replied: make([]bool, o.cfg.N)}
	o.active = false
}

// ask sends QUERY-STABLE to those that have not answered; also when the point is
// known, since who answers has forgotten the VIEW-CHANGEs of the earlier life.
func (l *learner) ask(o *Orderer) {
	if l.nonce == 0 {
		l.nonce = o.env.Rand().Uint64() | 1
	}
	for _, id := range o.cfg.Replicas {
		if id != o.cfg.Self && !l.replied[id] {
			o.env.Send(id, &QueryStable{Nonce: l.nonce})
		}
	}
}

// onQueryStable handles QUERY-STABLE. The sender no longer knows which views it has
// left for, and may vote in lower ones: its VIEW-CHANGEs of before must not speak
// for it there. A liar can use that to take its VIEW-CHANGE back, so it is done
// once in a while only.
func (o *Orderer) onQueryStable(from protocols.NodeID, m *QueryStable) {
	if f := &o.forgot[from]; f.nonce != m.Nonce && (f.nonce == 0 || o.env.Now().Sub(f.at) >= o.cfg.MaxTimeout) {
		f.nonce, f.at = m.Nonce, o.env.Now()
		o.forgetViewChanges(from)
	}
	if o.learner != nil {
		return
	}
	o.env.Send(from, &ReplyStable{Nonce: m.Nonce, Reached: o.delivered, View: o.view})
}

// onReplyStable handles REPLY-STABLE. 2f+1 other replicas must answer: this replica
// is one of the f faulty, so that many answer. At least f+1 correct others had
// executed up to every checkpoint that this replica can have known as stable, and
// among 2f+1 answers some of them are found, so the maximum is high enough. A liar
// can only keep this replica silent for longer.
func (o *Orderer) onReplyStable(from protocols.NodeID, m *ReplyStable) {
	l := o.learner
	if l == nil || m.Nonce != l.nonce || l.replied[from] {
		return
	}
	l.replied[from], l.reached[from] = true, m.Reached
	if l.rec.Known {
		return
	}
	count, top := 0, uint64(0)
	for i := range l.replied {
		if l.replied[i] {
			count++
			top = max(top, l.reached[i])
		}
	}
	if count < min(o.quorum, o.cfg.N-1) {
		return
	}
	l.rec = LearnerRecord{Known: true, Above: top + uint64(o.cfg.Window)}
	o.record(&l.rec)
	o.graduate()
}

// follow adopts the view that f+1 replicas say they take part in or beyond.
func (l *learner) follow(o *Orderer) {
	above := 0
	low := ^uint64(0)
	for i := range o.claims {
		if c := &o.claims[i]; c.Active && c.View > o.view {
			above++
			low = min(low, c.View)
		}
	}
	if above < o.weak {
		return
	}
	o.view, o.voteView = low, low
	o.log.each(o.h, func(s *slot) { s.startView() })
	o.heldSlots, o.chosenTop = 0, 0
	o.dropViews()
}

// mayVote reports whether the earlier life can no longer be contradicted.
func (l *learner) mayVote(o *Orderer) bool { return l.rec.Known && o.h >= l.rec.Above }

// graduate ends learning once that is safe. In view 0 the replica takes part at
// once; in later ones it needs the NEW-VIEW, which the primary sends on STATUS.
func (o *Orderer) graduate() {
	if o.learner == nil || o.recovering || !o.learner.mayVote(o) {
		return
	}
	o.learner = nil
	o.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: o.h, Note: "recovered from a lost disk"})
	if o.view == 0 {
		o.active, o.voteView = true, 0
	} else {
		o.armResend()
	}
	if o.cfg.Log {
		o.env.Compact(o.summary())
	}
}
