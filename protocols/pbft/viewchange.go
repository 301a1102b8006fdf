package pbft

import (
	"sort"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// Suspect makes the replica leave its view for the next one; shells that bring
// their own trigger call it.
func (o *Orderer) Suspect() { o.startViewChange(o.view + 1) }

// startViewChange stops taking part in the present view and announces view v.
func (o *Orderer) startViewChange(v uint64) {
	if v <= o.view && (v != o.view || o.active || o.myVC != nil && o.myVC.View == v) || o.learner != nil {
		return
	}
	if o.active && o.cfg.Primary(o.voteView) == o.cfg.Self {
		o.log.each(o.h, func(s *slot) {
			if s.accepted && !s.prepared && s.seq > o.chosenTop {
				o.shell.Abandoned(s.batch)
			}
		})
	}
	o.failed = min(o.failed+1, 32)
	o.view, o.active, o.left = v, false, o.env.Now()
	o.cancel(&o.vcTimer)
	o.cancel(&o.progressTimer)
	o.cancel(&o.batchTimer)
	o.waiting = false
	o.dropViews()
	o.myVC = o.viewChangeMessage(v)
	o.env.Emit(protocols.Event{Kind: protocols.EventViewChange, View: v, Peer: o.Primary()})
	o.record(o.myVC)
	o.compactViews()
	o.storeViewChange(o.myVC)
	o.env.Multicast(o.cfg.Replicas, o.myVC)
	o.armResend()
	o.watchViewChange()
	o.tryNewView()
	o.tryAccept()
}

func (o *Orderer) cancel(t *protocols.TimerID) {
	o.env.CancelTimer(*t)
	*t = 0
}

// dropViews forgets VIEW-CHANGEs and ACKs of views below the present one.
func (o *Orderer) dropViews() {
	for k := range o.vcs {
		if k.view < o.view {
			delete(o.vcs, k)
		}
	}
	for k := range o.acks {
		if k.view < o.view {
			delete(o.acks, k)
		}
	}
	for k := range o.copies {
		if k.view < o.view {
			delete(o.copies, k)
		}
	}
	for i, m := range o.offered {
		if m != nil && m.View < o.view {
			o.offered[i] = nil
		}
	}
	o.dropHeld(o.view)
}

// forgetViewChanges forgets what a replica has announced, since it does not know it
// itself any more (noteLife).
func (o *Orderer) forgetViewChanges(r protocols.NodeID) {
	for k := range o.vcs {
		if k.replica == r {
			delete(o.vcs, k)
		}
	}
	for k := range o.acks {
		if k.replica == r {
			delete(o.acks, k)
		}
	}
	for k := range o.copies {
		if k.replica == r {
			delete(o.copies, k)
		}
	}
	o.leftFor[r], o.claims[r] = 0, Status{}
}

// viewChangeMessage composes VIEW-CHANGE from the log: the sets C, P and Q.
func (o *Orderer) viewChangeMessage(v uint64) *ViewChange {
	m := &ViewChange{View: v, Replica: o.cfg.Self, Life: o.born.Life, Stable: o.h}
	m.Checkpoints = append(m.Checkpoints, CheckpointEntry{o.h, o.hDigest})
	for _, c := range o.own {
		if o.inWindow(c.Seq) { // not a fetched one that is far above
			m.Checkpoints = append(m.Checkpoints, c)
		}
	}
	o.log.each(o.h, func(s *slot) {
		if s.hasP && !o.cfg.mutate.dropPrepared {
			m.Prepared = append(m.Prepared, s.p)
		}
		at := len(m.PrePrepared)
		m.PrePrepared = append(m.PrePrepared, s.q...)
		q := m.PrePrepared[at:]
		sort.Slice(q, func(i, j int) bool { return lessDigest(q[i].Digest, q[j].Digest) })
	})
	return m
}

// storeViewChange keeps the first VIEW-CHANGE of each replica for each view. Per
// replica at most four views are kept: the present one and the highest others.
func (o *Orderer) storeViewChange(m *ViewChange) (vcEntry, bool) {
	k := vcKey{m.View, m.Replica}
	if e, ok := o.vcs[k]; ok {
		return e, e.digest == o.digestOf(m)
	}
	var views []uint64
	for kk := range o.vcs {
		if kk.replica == m.Replica && kk.view != o.view {
			views = append(views, kk.view)
		}
	}
	if len(views) >= 3 && m.View != o.view {
		sort.Slice(views, func(i, j int) bool { return views[i] < views[j] })
		if m.View < views[0] {
			return vcEntry{}, false
		}
		delete(o.vcs, vcKey{views[0], m.Replica})
	}
	e := vcEntry{m, o.digestOf(m)}
	o.vcs[k] = e
	o.leftFor[m.Replica] = max(o.leftFor[m.Replica], m.View)
	return e, true
}

func (o *Orderer) digestOf(m protocols.WireMessage) protocols.Digest {
	b, err := m.MarshalMsg(nil)
	if err != nil {
		return protocols.Digest{}
	}
	return o.env.Auth().Digest(b)
}

// onViewChange handles VIEW-CHANGE: keep it, acknowledge it to the primary of its
// view, and join once f+1 replicas have left for later views.
func (o *Orderer) onViewChange(from protocols.NodeID, m *ViewChange) {
	if m.Replica != from || m.View < o.view || m.View == 0 || !m.validate(o.cfg.Window, o.cfg.Interval) || o.learner != nil ||
		!o.noteLife(from, m.Life) {
		return
	}
	e, ok := o.storeViewChange(m)
	if !ok {
		return
	}
	if p := o.cfg.Primary(m.View); p != o.cfg.Self && p != from {
		o.env.Send(p, &ViewChangeAck{View: m.View, Replica: from, Digest: e.digest})
	}
	o.joinViewChange()
	o.watchViewChange()
	o.tryNewView()
	o.tryAccept()
}

// joinViewChange moves to the smallest view that f+1 replicas have reached or
// passed, when all of them are beyond this replica's.
func (o *Orderer) joinViewChange() {
	if o.learner != nil {
		return
	}
	// The highest view each replica has announced.
	var views []uint64
	for i := 0; i < o.cfg.N; i++ {
		if v := o.announced(protocols.NodeID(i)); v > o.view {
			views = append(views, v)
		}
	}
	if len(views) < o.weak {
		return
	}
	sort.Slice(views, func(i, j int) bool { return views[i] < views[j] })
	o.startViewChange(views[0])
}

// announced is the highest view that a replica has left for or says, in STATUS, to
// be in.
func (o *Orderer) announced(r protocols.NodeID) uint64 { return max(o.claims[r].View, o.leftFor[r]) }

// watchViewChange starts the timer for the NEW-VIEW once 2f+1 replicas are known,
// by VIEW-CHANGE or STATUS, to be in this view or a later one: one partitioned
// replica does not run ahead through the views, and replicas that passed each
// other, or can no longer prove how their view began, meet again in a later one.
func (o *Orderer) watchViewChange() {
	if o.active || o.learner != nil || o.vcTimer != 0 {
		return
	}
	leaving := 0
	for i := 0; i < o.cfg.N; i++ {
		if o.announced(protocols.NodeID(i)) >= o.view {
			leaving++
		}
	}
	if leaving >= o.quorum {
		o.vcTimer = o.env.SetTimer(o.timeout(), timerNewView, o.view)
	}
}

// onViewChangeAck handles VIEW-CHANGE-ACK at the primary of a view that is being
// set up. ACKs are kept for the present view and for the next one that this
// replica leads.
func (o *Orderer) onViewChangeAck(from protocols.NodeID, m *ViewChangeAck) {
	if o.cfg.Primary(m.View) != o.cfg.Self || m.View < o.view || m.View > o.view+uint64(o.cfg.N) ||
		m.Replica == from || int(m.Replica) < 0 || int(m.Replica) >= o.cfg.N {
		return
	}
	k := ackKey{m.View, m.Replica}
	votes := o.acks[k]
	if votes == nil {
		votes = new(smr.Votes)
		o.acks[k] = votes
	}
	votes.Add(int(from), m.Digest)
	o.tryNewView()
}

// tryNewView lets the primary of the view being set up send NEW-VIEW when the
// acknowledged VIEW-CHANGEs determine it. A VIEW-CHANGE counts once quorum-2 = 2f-1
// others acknowledged it: with the primary and its sender that is a quorum, so f+1
// correct replicas can vouch for it.
func (o *Orderer) tryNewView() {
	if o.active || o.learner != nil || !o.isPrimary() || o.myVC == nil || o.myVC.View != o.view {
		return
	}
	var set []*ViewChange
	var refs []ViewChangeRef
	for i := 0; i < o.cfg.N; i++ {
		k := vcKey{o.view, protocols.NodeID(i)}
		e, ok := o.vcs[k]
		if !ok {
			continue
		}
		if k.replica != o.cfg.Self {
			votes := o.acks[k]
			if o.quorum-2 > 0 && (votes == nil || votes.Count(e.digest) < o.quorum-2) {
				continue
			}
		}
		set = append(set, e.vc)
		refs = append(refs, ViewChangeRef{k.replica, e.vc.Life, e.digest})
	}
	d, ok := decide(set, o.quorum, o.weak, o.cfg.Window)
	if !ok {
		return
	}
	if k := len(d.chosen); k > 0 && d.chosen[k-1].Seq > o.h+uint64(o.cfg.Window) {
		// NEW-VIEW is this replica's vote for all of these, which Q must remember:
		// first its window has to reach them.
		o.asking = true
		o.armResend()
		return
	}
	if o.cfg.mutate.usurp {
		d.chosen = nil
	}
	nv := &NewView{View: o.view, ViewChanges: refs, Stable: d.stable, StableDigest: d.digest, Chosen: d.chosen}
	o.enterView(nv)
	o.env.Multicast(o.cfg.Replicas, nv)
	o.prepareChosen()
	o.replayHeld()
	o.deliver()
}

// onNewView handles NEW-VIEW. The last one of each sender is kept until its
// VIEW-CHANGEs are at hand: the one of a lying primary, of whatever view, takes
// nobody else's place.
func (o *Orderer) onNewView(from protocols.NodeID, m *NewView) {
	if m.View < o.view || m.View == o.view && o.active || m.View == 0 || from != o.cfg.Primary(m.View) || from == o.cfg.Self ||
		o.offered[from] != nil && o.offered[from].View >= m.View {
		return
	}
	seen := make(map[protocols.NodeID]bool, len(m.ViewChanges))
	for _, r := range m.ViewChanges {
		if r.Replica < 0 || int(r.Replica) >= o.cfg.N || seen[r.Replica] {
			return
		}
		seen[r.Replica] = true
	}
	if len(m.ViewChanges) < o.quorum || len(m.Chosen) > o.cfg.Window {
		return
	}
	o.offered[from] = m
	o.tryAccept()
	o.askForViewChanges()
}

// tryAccept enters an offered view if that can be done by now.
func (o *Orderer) tryAccept() {
	for i := range o.offered {
		if m := o.offered[i]; m != nil && (m.View > o.view || m.View == o.view && !o.active) {
			o.accepts(i, m)
		}
	}
}

// offer is the NEW-VIEW of this view that waits to be accepted, or nil.
func (o *Orderer) offer(view uint64) *NewView {
	if m := o.offered[o.cfg.Primary(view)]; m != nil && m.View == view {
		return m
	}
	return nil
}

// accepts enters the view that m, from replica i, offers if the VIEW-CHANGEs it
// names are at hand and imply just what it says. f+1 replicas that take part in the
// view on the strength of the same NEW-VIEW are as good: one of them is correct and
// has checked it.
func (o *Orderer) accepts(i int, m *NewView) {
	if o.outdated(m) {
		return
	}
	vouchers, sum := 0, o.digestOf(m)
	for i := range o.claims {
		if c := &o.claims[i]; c.Active && c.View == m.View && c.NewView == sum {
			vouchers++
		}
	}
	if vouchers < o.weak && !o.cfg.mutate.trustNewView {
		if o.learner != nil {
			return
		}
		set := make([]*ViewChange, 0, len(m.ViewChanges))
		for _, ref := range m.ViewChanges {
			vc := o.findViewChange(m.View, ref)
			if vc == nil {
				return
			}
			set = append(set, vc)
		}
		d, ok := decide(set, o.quorum, o.weak, o.cfg.Window)
		if !ok || !d.equals(m) {
			o.env.Emit(protocols.Event{Kind: protocols.EventSuspect, View: m.View, Peer: o.cfg.Primary(m.View), Note: "NEW-VIEW does not follow from its VIEW-CHANGEs"})
			o.offered[i] = nil
			o.startViewChange(m.View + 1)
			return
		}
	}
	if o.learner != nil && !o.learner.mayVote(o) {
		return
	}
	o.offered[i] = nil
	o.enterView(m)
	o.prepareChosen()
	o.replayHeld()
	o.deliver()
}

func (d decision) equals(m *NewView) bool {
	if d.stable != m.Stable || d.digest != m.StableDigest || len(d.chosen) != len(m.Chosen) {
		return false
	}
	for i := range d.chosen {
		if d.chosen[i] != m.Chosen[i] {
			return false
		}
	}
	return true
}

// findViewChange returns the VIEW-CHANGE that a NEW-VIEW refers to: received from
// its sender, or vouched for by f+1 replicas.
func (o *Orderer) findViewChange(view uint64, ref ViewChangeRef) *ViewChange {
	k := vcKey{view, ref.Replica}
	if e, ok := o.vcs[k]; ok && e.digest == ref.Digest && e.vc.Life == ref.Life {
		return e.vc
	}
	if c := o.copies[k]; c != nil && c.votes.Count(ref.Digest) >= o.weak {
		for _, e := range c.vcs {
			if e.digest == ref.Digest && e.vc.Life == ref.Life {
				return e.vc
			}
		}
	}
	return nil
}

// askForViewChanges asks for what is missing to judge the NEW-VIEW of the view that
// this replica waits for.
func (o *Orderer) askForViewChanges() {
	m := o.offer(o.view)
	if m == nil || o.active || o.learner != nil {
		return
	}
	for _, ref := range m.ViewChanges {
		if o.findViewChange(m.View, ref) == nil {
			o.env.Multicast(o.cfg.Replicas, &FetchViewChange{View: m.View, Replica: ref.Replica, Digest: ref.Digest})
		}
	}
}

func (o *Orderer) onFetchViewChange(from protocols.NodeID, m *FetchViewChange) {
	if e, ok := o.vcs[vcKey{m.View, m.Replica}]; ok && e.digest == m.Digest && o.mayAnswer(from, entryBytes*(len(e.vc.Prepared)+len(e.vc.PrePrepared))) {
		o.env.Send(from, &ViewChangeCopy{ViewChange: *e.vc})
	}
}

func (o *Orderer) onViewChangeCopy(from protocols.NodeID, m *ViewChangeCopy) {
	vc := &m.ViewChange
	if vc.View != o.view { // nobody is asked about other views
		return
	}
	nv := o.offer(vc.View)
	if nv == nil || !vc.validate(o.cfg.Window, o.cfg.Interval) {
		return
	}
	var want *ViewChangeRef
	for i := range nv.ViewChanges {
		if nv.ViewChanges[i].Replica == vc.Replica {
			want = &nv.ViewChanges[i]
		}
	}
	if want == nil || o.digestOf(vc) != want.Digest || vc.Life < o.lives[vc.Replica].life {
		return
	}
	k := vcKey{vc.View, vc.Replica}
	c := o.copies[k]
	if c == nil {
		c = &copyVotes{}
		o.copies[k] = c
	}
	c.votes.Add(int(from), want.Digest)
	if len(c.vcs) == 0 {
		c.vcs = append(c.vcs, vcEntry{vc, want.Digest})
	}
	o.tryAccept()
}

// enterView takes part in the view that nv starts.
func (o *Orderer) enterView(nv *NewView) {
	if nv.View > o.view {
		o.view = nv.View
		o.dropViews()
	}
	o.active, o.voteView, o.entered = true, nv.View, o.env.Now()
	o.newView, o.newViewSum = nv, o.digestOf(nv)
	o.cancel(&o.vcTimer)
	o.record(nv)
	o.adoptView(nv)
	o.compactViews()
	o.env.Emit(protocols.Event{Kind: protocols.EventNewView, View: nv.View, Peer: o.Primary()})
}

// adoptView sets the log up for the view: the votes of the old one are forgotten,
// the requests of its unfinished slots wait again, the chosen digests are fixed.
func (o *Orderer) adoptView(nv *NewView) {
	now := o.env.Now()
	var back []*protocols.Request
	o.log.each(o.h, func(s *slot) {
		if s.seq > o.delivered && s.held == nil {
			for i := range s.batch {
				back = append(back, &s.batch[i])
			}
		}
		delivered := s.seq <= o.delivered
		d, batch := s.digest, s.batch
		if delivered {
			s.keepBody(d, batch)
		}
		s.startView()
	})
	o.heldSlots = 0
	clear(o.inFlight)
	for _, r := range back {
		if !o.shell.Done(r.Key()) && o.shell.MayPropose(r) {
			o.pending.Add(r, now)
		}
	}
	o.chosenTop = nv.Stable
	if k := len(nv.Chosen); k > 0 {
		o.chosenTop = nv.Chosen[k-1].Seq
	}
	o.next = max(o.chosenTop, o.delivered, o.h)
	o.highest = max(o.chosenTop, o.delivered, o.h)
	o.waiting = false
	// Of the f+1 that hold the NEW-VIEW's checkpoint one may be correct, and that may
	// be this replica: it keeps its log until 2f+1 have sent CHECKPOINT.
	if nv.Stable > o.delivered {
		o.target = CheckpointEntry{nv.Stable, nv.StableDigest}
		o.shell.Behind(nv.Stable, nv.StableDigest, o.holders(nv.Stable, nv.StableDigest))
	}
	o.applyChosen()
	o.armResend()
}

// applyChosen fixes the digests that the NEW-VIEW chose for slots of the window.
func (o *Orderer) applyChosen() {
	if o.newView == nil || o.newView.View != o.voteView || !o.active {
		return
	}
	for _, c := range o.newView.Chosen {
		if !o.inWindow(c.Seq) {
			continue
		}
		s := o.log.at(c.Seq)
		if s.accepted {
			continue
		}
		s.accepted, s.digest, s.acceptedAt = true, c.Digest, o.env.Now()
		o.notePrePrepared(s, c.Digest, o.voteView)
		o.highest = max(o.highest, c.Seq)
		if batch, ok := s.body(c.Digest); ok {
			o.haveBody(s, batch)
		}
	}
}

// haveBody completes a slot whose digest was fixed by NEW-VIEW.
func (o *Orderer) haveBody(s *slot, batch []protocols.Request) {
	s.batch, s.hasBody, s.fetching = batch, true, false
	s.keepBody(s.digest, batch)
	for i := range batch {
		o.inFlight[batch[i].Key()] = struct{}{}
		o.pending.Remove(batch[i].Key())
	}
	if len(batch) > 0 {
		o.shell.Accepted(s.seq, s.digest, batch)
	}
}

// prepareChosen votes for the slots that the NEW-VIEW fixed: the primary by the
// NEW-VIEW itself, the others by PREPARE. A replica votes only for a batch it
// holds, so that whatever prepares can be fetched from f+1 correct replicas.
func (o *Orderer) prepareChosen() {
	if !o.active || o.learner != nil || o.chosenTop <= o.h {
		return
	}
	o.log.each(o.h, func(s *slot) {
		if !s.accepted || s.seq > o.chosenTop || s.voted || o.newView != nil && s.seq <= o.newView.Stable {
			return // decided earlier, as it may be; this view proposes nothing there
		}
		if !s.hasBody {
			o.fetchBatch(s, s.digest)
			return
		}
		o.voteChosen(s)
	})
}

func (o *Orderer) voteChosen(s *slot) {
	if o.learner != nil || !o.active {
		return
	}
	o.logBody(s, s.digest, s.batch)
	o.notePrePrepared(s, s.digest, o.voteView) // also if others' COMMITs came first
	if o.isPrimary() {
		s.voted = true
	} else {
		o.prepare(s)
	}
	o.advance(s)
}
