package pbft

import (
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// recover rebuilds the state from the log. What was logged is what this replica
// has promised: the view it is in, the proposals it accepted (Q), what it has
// prepared (P).
func (o *Orderer) recover(boot protocols.Boot) {
	if boot.Kind == protocols.Wiped || boot.Kind == protocols.Recovered && !o.cfg.Log || o.stateIsLost(boot) {
		o.becomeLearner(LearnerRecord{Life: max(boot.Incarnation, 1)})
		if o.cfg.Log {
			rec := o.born
			o.env.Compact(&rec)
		}
		o.prove()
		return
	}
	o.recovering = true
	var decided []Entry
	for _, r := range boot.Records {
		switch m := r.Message.(type) {
		case *Summary:
			decided = o.recoverSummary(m)
		case *PrePrepare:
			digestRequests(o.env.Auth(), m.Requests)
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
			digestRequests(o.env.Auth(), m.Requests)
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
			if m.Done {
				o.learner = nil
				o.born, o.lives[o.cfg.Self].life = *m, m.Life
				o.view, o.voteView, o.active = m.View, m.View, m.View == 0
			} else {
				o.becomeLearner(*m)
			}
		case *LifeRecord:
			if m.Replica >= 0 && int(m.Replica) < o.cfg.N {
				o.lives[m.Replica].life = max(o.lives[m.Replica].life, m.Life)
			}
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
	o.prove()
	o.prepareChosen()
}

// stateIsLost reports whether the log has been compacted up to a slot whose state is
// not to be had any more. What this replica voted for since is of no use then: it goes
// on as one that lost its disk.
func (o *Orderer) stateIsLost(boot protocols.Boot) bool {
	for _, r := range boot.Records {
		if m, ok := r.Message.(*Summary); ok && m.Stable > o.delivered {
			o.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: m.Stable, Note: "the state that the log begins with is lost"})
			return true
		}
	}
	return false
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
	o.h, o.hDigest = m.Stable, m.StableDigest
	o.dropOwn(o.h)
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
	for i := range min(len(m.Lives), o.cfg.N) {
		o.lives[i].life = m.Lives[i]
	}
	if o.born = m.Learner; o.born.Life > 0 && !o.born.Done {
		o.becomeLearner(m.Learner)
	}
	bodies := make(map[protocols.Digest][]protocols.Request, len(m.Bodies))
	for _, b := range m.Bodies {
		digestRequests(o.env.Auth(), b.Requests)
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
	m.Learner = o.born
	for i := range o.lives {
		m.Lives = append(m.Lives, o.lives[i].life)
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
	reached []uint64 // per replica
	replied []bool
}

func (o *Orderer) becomeLearner(rec LearnerRecord) {
	o.learner = &learner{reached: make([]uint64, o.cfg.N), replied: make([]bool, o.cfg.N)}
	o.born, o.lives[o.cfg.Self].life = rec, rec.Life
	o.active = false
}

// noteLife notes that a replica lost its disk at the beginning of this life, and
// reports whether it is the one that counts. The replica no longer knows which views it
// left for in lower lives, and may vote in lower views: its VIEW-CHANGEs of then must
// not speak for it. A liar can take its VIEW-CHANGE back in this way, and so spoil a
// view that is being set up; hence a replica is believed to have lost its disk once in
// MaxTimeout, and one that lost it again sooner is answered later.
func (o *Orderer) noteLife(r protocols.NodeID, life uint32) bool {
	l := &o.lives[r]
	if life <= l.life {
		return life == l.life
	}
	if l.known && o.env.Now().Sub(l.at) < o.cfg.MaxTimeout {
		return false
	}
	*l = lifeSeen{life: life, known: true, at: o.env.Now()}
	o.forgetViewChanges(r)
	o.record(&LifeRecord{Replica: r, Life: life})
	o.compactViews() // a liar may lead any number of lives
	return true
}

// outdated reports whether a NEW-VIEW rests on a VIEW-CHANGE that its sender forgot,
// with its disk, and may have contradicted since, by a vote in a lower view.
func (o *Orderer) outdated(m *NewView) bool {
	for _, ref := range m.ViewChanges {
		l := &o.lives[ref.Replica]
		if ref.Life < l.life && m.View > l.since && (ref.Replica != o.cfg.Self || o.hasVoted()) {
			return true
		}
	}
	return false
}

// hasVoted reports whether this replica may have voted since it lost its disk.
func (o *Orderer) hasVoted() bool { return !o.born.Done || o.born.View == 0 || o.newView != nil }

// ask sends QUERY-STABLE to those that have not answered, or whose answer is not
// plausible; also when the point is known, so that as many as possible learn of this
// life.
func (l *learner) ask(o *Orderer) {
	for _, id := range o.cfg.Replicas {
		if id == o.cfg.Self {
			continue
		}
		if l.replied[id] && !l.plausible(o, l.reached[id]) {
			l.replied[id] = false
		}
		if !l.replied[id] {
			o.env.Send(id, &QueryStable{Life: o.born.Life})
		}
	}
}

// plausible reports whether an answer agrees with what f+1 replicas say, in STATUS, to
// have delivered. No correct replica is more than a window above the highest stable
// checkpoint, which f+1 correct ones have executed; STATUS may be a little old.
func (l *learner) plausible(o *Orderer, reached uint64) bool {
	return reached <= o.claimed || reached-o.claimed <= 2*uint64(o.cfg.Window)
}

// onQueryStable handles QUERY-STABLE.
func (o *Orderer) onQueryStable(from protocols.NodeID, m *QueryStable) {
	if !o.noteLife(from, m.Life) || o.learner != nil {
		return
	}
	o.env.Send(from, &ReplyStable{Life: m.Life, Reached: o.delivered})
}

// onReplyStable handles REPLY-STABLE.
func (o *Orderer) onReplyStable(from protocols.NodeID, m *ReplyStable) {
	l := o.learner
	if l == nil || m.Life != o.born.Life || l.replied[from] {
		return
	}
	l.replied[from], l.reached[from] = true, m.Reached
	l.know(o)
}

// know fixes the point above which this replica may vote again. 2f+1 other replicas
// must have answered: this replica is one of the f faulty, so that many answer. At
// least f+1 correct others had executed up to every checkpoint that this replica can
// have known as stable, and among any 2f+1 answers some of them are found, so the
// maximum is high enough. Answers that f+1 replicas contradict do not count until they
// are confirmed: a liar can keep this replica silent for longer, by three windows at
// most.
func (l *learner) know(o *Orderer) {
	if o.born.Known {
		return
	}
	count, top := 0, uint64(0)
	for i := range l.replied {
		if l.replied[i] && l.plausible(o, l.reached[i]) {
			count++
			top = max(top, l.reached[i])
		}
	}
	if count < min(o.quorum, o.cfg.N-1) {
		return
	}
	o.born.Known, o.born.Above = true, top+uint64(o.cfg.Window)
	rec := o.born
	o.record(&rec)
	o.graduate()
}

// follow takes up what STATUS says: it adopts the view that f+1 replicas say they take
// part in or beyond.
func (l *learner) follow(o *Orderer) {
	l.know(o)
	if o.learner == nil {
		return
	}
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
func (l *learner) mayVote(o *Orderer) bool { return o.born.Known && o.h >= o.born.Above }

// graduate ends learning once that is safe. In view 0 the replica takes part at
// once; in later ones it needs the NEW-VIEW, which the primary sends on STATUS.
func (o *Orderer) graduate() {
	if o.learner == nil || o.recovering || !o.learner.mayVote(o) {
		return
	}
	o.learner = nil
	o.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: o.h, Note: noteRecovered})
	if o.view == 0 {
		o.active, o.voteView = true, 0
	} else {
		o.armResend()
	}
	// The state at h need not be durable: what leads to it stays in the log.
	o.born.Done, o.born.View = true, o.view
	rec := o.born
	o.record(&rec)
}
