package pbft

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// resendSlots bounds the slots whose votes are sent again on one STATUS.
const resendSlots = 64

// watch keeps the progress timer running while this replica waits for something
// that the view should bring about. A primary watches too: when the others have
// left, or refuse what it proposes, it must leave as well.
func (o *Orderer) watch() {
	waits := o.active && o.learner == nil && !o.cfg.ExternalTrigger &&
		(o.pending.Awaited() > 0 || o.highestKnown() > o.delivered)
	if !waits {
		o.waiting = false
		return
	}
	if !o.waiting {
		o.waiting = true
		o.waitingSince = o.env.Now()
	}
	if o.progressTimer == 0 {
		o.progressTimer = o.env.SetTimer(o.timeout(), timerProgress, 0)
	}
}

// highestKnown is the highest slot for which this replica holds a proposal.
func (o *Orderer) highestKnown() uint64 {
	for seq := o.highest; seq > o.delivered; seq-- {
		if s := o.peekInWindow(seq); s != nil && (s.accepted || s.held != nil) {
			return seq
		}
	}
	return o.delivered
}

func (o *Orderer) peekInWindow(seq uint64) *slot {
	if !o.inWindow(seq) {
		return nil
	}
	return o.log.peek(seq)
}

// onProgressTimeout suspects the primary if nothing was delivered for the timeout
// while something was waiting, or if one request has been passed over for Fairness
// times as long.
func (o *Orderer) onProgressTimeout() {
	o.forgetDone()
	o.watch()
	if !o.waiting {
		return
	}
	now, wait := o.env.Now(), o.timeout()
	deadline := o.waitingSince.Add(wait)
	if r, since := o.pending.OldestAwaited(); r != nil && o.cfg.Fairness > 0 {
		// Each primary has its own chance: the time under earlier ones does not count.
		deadline = min(deadline, max(since, o.entered).Add(wait*time.Duration(o.cfg.Fairness)))
	}
	if now >= deadline {
		o.env.Emit(protocols.Event{Kind: protocols.EventSuspect, View: o.view, Peer: o.Primary(), Note: "no progress"})
		o.cancel(&o.progressTimer)
		o.startViewChange(o.view + 1)
		return
	}
	o.cancel(&o.progressTimer)
	o.progressTimer = o.env.SetTimer(deadline.Sub(now), timerProgress, 0)
}

// forgetDone drops what does not wait to be ordered any more.
func (o *Orderer) forgetDone() {
	o.pending.Each(func(r *protocols.Request) bool {
		if o.shell.Done(r.Key()) {
			o.pending.Remove(r.Key())
		}
		return true
	})
}

// unfinished reports whether this replica may lack something that others have.
func (o *Orderer) unfinished() bool {
	return !o.active || o.learner != nil || o.target.Seq > o.delivered || o.highest > o.delivered ||
		o.claimed > o.delivered || o.fetched.Seq > o.h || o.asking || o.pending.Awaited() > 0 ||
		o.newView != nil && o.newView.Stable > o.h // its checkpoint is not proven yet
}

func (o *Orderer) armResend() {
	if o.resendTimer == 0 && o.unfinished() {
		o.resendTimer = o.env.SetTimer(o.cfg.Resend, timerResend, 0)
	}
}

// onResend asks the others for what is missing if the last period brought nothing.
func (o *Orderer) onResend() {
	if o.delivered == o.lastTick {
		o.forgetDone()
	}
	if !o.unfinished() {
		return
	}
	o.armResend()
	if o.delivered > o.lastTick && o.active && o.learner == nil && !o.asking {
		o.lastTick = o.delivered
		return
	}
	o.asking = false
	o.lastTick = o.delivered
	if o.learner != nil {
		o.learner.ask(o)
	}
	if o.target.Seq > o.delivered {
		if holders := o.holders(o.target.Seq, o.target.Digest); len(holders) >= o.weak {
			o.shell.Behind(o.target.Seq, o.target.Digest, holders)
		}
	}
	o.askForViewChanges()
	o.log.each(o.h, func(s *slot) {
		d, missing := s.digest, s.accepted && !s.hasBody
		if lead, count := s.commits.Leader(); !s.committed && count >= o.quorum {
			d = lead
			_, have := s.body(d)
			missing = !have
		}
		if missing {
			s.fetching = false
			o.fetchBatch(s, d)
		}
	})
	o.sendStatus()
}

func (o *Orderer) status() *Status {
	m := &Status{View: o.view, Life: o.born.Life, Active: o.active && o.learner == nil, Stable: o.h, Delivered: o.delivered}
	if o.born.Done {
		m.Since = o.born.View
	}
	if m.Active && o.newView != nil {
		m.NewView = o.newViewSum
	}
	return m
}

func (o *Orderer) sendStatus() { o.env.Multicast(o.cfg.Replicas, o.status()) }

// onStatus handles STATUS: it sends again what the sender shows that it lacks. One
// answer per sender and half resend period bounds what a flood can cost.
func (o *Orderer) onStatus(from protocols.NodeID, m *Status) {
	if m.Life < o.lives[from].life { // under way since before its sender lost its disk
		return
	}
	if o.noteLife(from, m.Life) {
		o.claims[from] = *m
		o.lives[from].since = max(o.lives[from].since, m.Since)
	}
	o.prove()
	o.countClaims()
	o.joinViewChange()
	o.watchViewChange()
	o.followCommits()
	if m.Active && o.offer(m.View) != nil {
		o.tryAccept()
	}
	if o.learner != nil {
		o.learner.follow(o)
	}
	if o.env.Now().Sub(o.answered[from]) < o.cfg.Resend/2 {
		return
	}
	o.answered[from] = o.env.Now()
	if o.learner != nil {
		return
	}
	if m.Stable < o.h {
		o.env.Send(from, &Checkpoint{Seq: o.h, Digest: o.hDigest})
	}
	for _, c := range o.own {
		if c.Seq > m.Stable {
			o.env.Send(from, &Checkpoint{Seq: c.Seq, Digest: c.Digest})
		}
	}
	if m.Delivered < o.delivered && !(m.View < o.view) {
		o.env.Send(from, o.status())
	}
	switch {
	case m.View < o.view || m.View == o.view && !m.Active && o.active:
		o.env.Send(from, o.status())
		o.repeatViewChange(from)
		if o.active && o.isPrimary() && o.newView != nil && o.newView.View == o.view {
			o.env.Send(from, o.newView)
		}
	case m.View == o.view && !o.active:
		o.repeatViewChange(from)
	}
	if o.voteView <= m.View || !m.Active {
		o.resendVotes(from, m)
	}
}

// repeatViewChange sends this replica's VIEW-CHANGE again to one that may lack it.
// The time between two doubles, like the wait for the NEW-VIEW: on a thin link the
// copies must not keep the NEW-VIEW back.
func (o *Orderer) repeatViewChange(to protocols.NodeID) {
	if o.myVC == nil || o.myVC.View != o.view {
		return
	}
	r := &o.repeats[to]
	if r.view != o.view {
		*r = repetition{view: o.view, at: o.left, wait: o.cfg.Resend}
	}
	if now := o.env.Now(); now.Sub(r.at) >= r.wait {
		r.at, r.wait = now, min(2*r.wait, o.timeout())
		o.env.Send(to, o.myVC)
	}
}

// followCommits lets a replica that left for a view which does not begin count the
// COMMITs of the lower view that f+1 replicas say they take part in: it overshot. It
// sends no vote there; what 2f+1 have decided stays decided.
func (o *Orderer) followCommits() {
	if o.active || o.learner != nil {
		return
	}
	best := uint64(0)
	for i := range o.claims {
		c, count := &o.claims[i], 0
		if !c.Active || c.View <= max(o.voteView, best) || c.View >= o.view {
			continue
		}
		for j := range o.claims {
			if o.claims[j].Active && o.claims[j].View == c.View {
				count++
			}
		}
		if count >= o.weak {
			best = c.View
		}
	}
	if best > 0 {
		o.voteView = best
		o.log.each(o.h, func(s *slot) { s.startView() })
		o.heldSlots, o.chosenTop = 0, 0
		o.asking = true
		o.armResend()
	}
}

// mayAnswer accounts for size bytes that a request of a peer costs this replica. In
// each resend period a peer gets one answer whatever its size, and more while they
// stay within the size of a batch: asking costs the asker next to nothing.
func (o *Orderer) mayAnswer(to protocols.NodeID, size int) bool {
	a := &o.answers[to]
	if now := o.env.Now(); now.Sub(a.since) >= o.cfg.Resend {
		*a = allowance{since: now}
	}
	if a.bytes > 0 && a.bytes+size > max(o.cfg.BatchBytes, 1<<16) {
		return false
	}
	a.bytes += max(size, 1)
	return true
}

// entryBytes is the size of an element of P or Q in a message, about.
const entryBytes = 48

// countClaims finds the highest slot that f+1 replicas say they delivered: one of
// them is correct, so it can be reached.
func (o *Orderer) countClaims() {
	o.claimed = o.claimedBy(func(c *Status) uint64 { return c.Delivered })
	o.armResend()
}

// resendVotes sends this replica's part in the slots that the peer lacks.
func (o *Orderer) resendVotes(to protocols.NodeID, m *Status) {
	low := max(m.Delivered, o.h)
	for seq := low + 1; seq <= low+resendSlots; seq++ {
		s := o.peekInWindow(seq)
		if s == nil || !s.accepted {
			continue
		}
		if o.active && seq > o.chosenTop && s.voted && o.cfg.Primary(o.voteView) == o.cfg.Self && s.hasBody {
			if !o.mayAnswer(to, batchBytes(s.batch)) {
				return
			}
			o.env.Send(to, &PrePrepare{View: o.voteView, Seq: seq, Digest: s.digest, Requests: s.batch})
		} else if o.active && s.voted && o.cfg.Primary(o.voteView) != o.cfg.Self {
			o.env.Send(to, &Prepare{View: o.voteView, Seq: seq, Digest: s.digest})
		}
		if s.prepared {
			o.env.Send(to, &Commit{View: o.voteView, Seq: seq, Digest: s.digest})
		}
	}
}

// fetchFrom is how many replicas are asked for a batch at a time.
const fetchFrom = 3

// fetchBatch asks a few replicas, other ones each time, for the body of a batch
// known by its digest only: those that committed it if there are any.
func (o *Orderer) fetchBatch(s *slot, d protocols.Digest) {
	if s.fetching {
		return
	}
	s.fetching = true
	o.armResend()
	holders := s.commits.Voters(d)
	if len(holders) == 0 {
		for i := range o.cfg.Replicas {
			holders = append(holders, i)
		}
	}
	r := o.env.Rand()
	for asked := 0; asked < fetchFrom && len(holders) > 0; {
		i := r.IntN(len(holders))
		if to := protocols.NodeID(holders[i]); to != o.cfg.Self {
			o.env.Send(to, &FetchBatch{Digest: d})
			asked++
		}
		holders[i] = holders[len(holders)-1]
		holders = holders[:len(holders)-1]
	}
}

// onFetchBatch handles FETCH.
func (o *Orderer) onFetchBatch(from protocols.NodeID, m *FetchBatch) {
	done := false
	o.log.each(o.h, func(s *slot) {
		if done || m.Digest.IsZero() {
			return
		}
		batch, ok := s.body(m.Digest)
		if !ok && s.hasBody && s.digest == m.Digest {
			batch, ok = s.batch, true
		}
		if ok {
			done = true
			if o.mayAnswer(from, batchBytes(batch)) {
				o.env.Send(from, &Batch{Requests: batch})
			}
		}
	})
}

// onBatch takes the body of a batch that some slot waits for.
func (o *Orderer) onBatch(m *Batch) {
	if len(m.Requests) == 0 {
		return
	}
	digestRequests(o.env.Auth(), m.Requests)
	d := batchDigest(o.env.Auth(), m.Requests)
	o.log.each(o.h, func(s *slot) {
		lead, count := s.commits.Leader()
		switch {
		case s.accepted && !s.hasBody && s.digest == d:
			o.haveBody(s, m.Requests)
			o.voteChosen(s)
			o.advance(s)
		case !s.committed && lead == d && count >= o.quorum: // asked for by onResend
			s.keepDecided(d, m.Requests)
			o.advance(s)
		}
	})
	o.watch()
}

// logBody makes a fetched batch durable before anything rests on it.
func (o *Orderer) logBody(s *slot, d protocols.Digest, batch []protocols.Request) {
	if s.needsLog(d) {
		o.record(&BodyRecord{Seq: s.seq, Requests: batch})
	}
}

// keepDecided keeps the body of a batch that others decided.
func (s *slot) keepDecided(d protocols.Digest, batch []protocols.Request) {
	if _, ok := s.body(d); !ok {
		s.bodies = append(s.bodies, body{digest: d, batch: batch})
	}
}
