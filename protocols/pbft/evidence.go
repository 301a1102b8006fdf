package pbft

import (
	"fmt"
	"maps"
	"slices"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// promises marks the types with which a replica binds itself: what it says about a
// slot or a view it says once, in all its lives.
func promises(types []protocols.MessageType) []protocols.MessageType {
	for i := range types {
		mt := &types[i]
		switch mt.Tag {
		case TagPrePrepare, TagPrepare, TagCommit, TagCheckpoint:
			mt.Once = mt.Round
		case TagNewView:
			mt.Once = mt.Round
		case TagViewChange: // one for each view, until the disk is lost
			mt.Once = func(m protocols.WireMessage) protocols.Round {
				v := m.(*ViewChange)
				return protocols.Round{View: v.View, Seq: uint64(v.Life), Phase: phaseViewChange}
			}
		}
	}
	return types
}

// noteRecovered is the Note of the event with which a learner becomes a voter.
const noteRecovered = "recovered from a lost disk"

// Evidence is the invariant that the observer of this package checks.
const Evidence = "evidence"

// evidence checks, from what was really sent, that correct replicas act on certificates
// and report them:
//
//   - COMMIT rests on PREPAREs of 2f backups, a decision on COMMITs of 2f+1 replicas in
//     one view, a stable checkpoint on CHECKPOINTs of 2f+1;
//   - a view begins with VIEW-CHANGEs of 2f+1 and a NEW-VIEW that follows from some;
//   - VIEW-CHANGE has in P what its sender sent COMMIT for, and in Q what it voted for;
//   - no vote is given in a view that was left (but what was said before is said again;
//     and a replica that recovered from a lost disk does not know what it left).
//
// So a broken rule is noticed in every run in which it is used, not only where two
// replicas come to disagree over it. A replica counts for itself, since a crash may
// have taken back what it sent.
//
// Memory: bounded by evidenceKept claims, slots per replica and VIEW-CHANGEs; what
// rests on forgotten ones is not judged.
type evidence struct {
	n, quorum, weak int
	window          int
	correct         func(protocols.NodeID) bool

	young, old map[claim]*backing
	past       uint64 // slots up to here were forgotten
	pastView   uint64 // likewise views
	said       []voter
	leaving    map[uint64]*leaving // by view
	found      []protocols.Violation
}

// claim is what a vote says. The one for decisions has view 0 and tag 0: its views
// are those in which there may be a quorum of COMMITs.
type claim struct {
	tag       protocols.Tag
	view, seq uint64
	digest    protocols.Digest
}

// backing are the senders of a claim, a bit each.
type backing struct {
	senders []uint64
	count   int
	views   []uint64
}

// voter is what a replica has to report in VIEW-CHANGE: its last vote and its last
// COMMIT by slot. left is the highest view that it left for.
type voter struct {
	votes, commits map[uint64]Entry
	left           uint64
}

// leaving is what was said about how a view begins.
type leaving struct {
	vcs  map[protocols.NodeID][]*ViewChange // all that a replica said; a correct one says one
	news []*NewView
}

// Bounds: claims in each of two generations, slots remembered of one replica, views.
const (
	evidenceKept  = 1 << 12
	evidenceViews = 1 << 8
	evidenceLies  = 8 // VIEW-CHANGEs of one replica for one view
)

var _ protocols.SendObserver = (*evidence)(nil)

// observers implements protocols.Entry.Observers.
func observers(c *protocols.Config, correct func(protocols.NodeID) bool) []protocols.Observer {
	return []protocols.Observer{&evidence{
		n: c.N, quorum: protocols.Quorum(c.N, c.F), weak: protocols.WeakQuorum(c.F), window: Configure(c).Window,
		correct: correct, young: make(map[claim]*backing), said: make([]voter, c.N), leaving: make(map[uint64]*leaving),
	}}
}

// find returns what backs a claim, or nil.
func (e *evidence) find(c claim) *backing {
	if b := e.young[c]; b != nil {
		return b
	}
	return e.old[c]
}

// add counts a sender of a claim.
func (e *evidence) add(c claim, node protocols.NodeID) *backing {
	b := e.young[c]
	if b == nil {
		if b = e.old[c]; b == nil {
			b = &backing{senders: make([]uint64, (e.n+63)/64)}
		}
		if len(e.young) >= evidenceKept {
			e.forget()
		}
		e.young[c] = b
	}
	if bit := uint64(1) << (node & 63); b.senders[node>>6]&bit == 0 {
		b.senders[node>>6] |= bit
		b.count++
	}
	return b
}

func (e *evidence) forget() {
	for c := range e.old {
		if e.young[c] == nil {
			e.past = max(e.past, c.seq)
		}
	}
	e.young, e.old = make(map[claim]*backing), e.young
}

// count returns how many replicas back a claim, the node itself among them.
func (e *evidence) count(c claim, node protocols.NodeID) int {
	b := e.find(c)
	switch {
	case b == nil:
		return 1
	case b.senders[node>>6]&(1<<(node&63)) != 0:
		return b.count
	}
	return b.count + 1
}

func (e *evidence) primary(view uint64) protocols.NodeID {
	return protocols.NodeID(view % uint64(e.n))
}

func (e *evidence) violate(at protocols.Time, node protocols.NodeID, format string, args ...any) {
	if len(e.found) < 32 {
		e.found = append(e.found, protocols.Violation{Invariant: Evidence, At: at, Node: node, Detail: fmt.Sprintf(format, args...)})
	}
}

// Sent implements protocols.SendObserver.
func (e *evidence) Sent(at protocols.Time, node protocols.NodeID, path string, _ *protocols.MessageType, m protocols.WireMessage) {
	if node < 0 || int(node) >= e.n || path != smr.OrdererPath {
		return
	}
	switch m := m.(type) {
	case *PrePrepare:
		e.stayed(at, node, TagPrePrepare, Entry{m.Seq, m.Digest, m.View}, e.said[node].votes)
		e.voted(node, Entry{m.Seq, m.Digest, m.View})
	case *Prepare:
		if node != e.primary(m.View) { // whose proposal is its vote
			e.stayed(at, node, TagPrepare, Entry{m.Seq, m.Digest, m.View}, e.said[node].votes)
			e.add(claim{TagPrepare, m.View, m.Seq, m.Digest}, node)
			e.voted(node, Entry{m.Seq, m.Digest, m.View})
		}
	case *Commit:
		e.committing(at, node, m)
	case *Checkpoint:
		e.add(claim{TagCheckpoint, 0, m.Seq, m.Digest}, node)
	case *ViewChange:
		if m.Replica == node {
			e.left(at, node, m)
		}
	case *NewView:
		if node == e.primary(m.View) {
			l := e.leave(m.View)
			l.news = append(l.news, m)
			for _, c := range m.Chosen {
				e.voted(node, Entry{c.Seq, c.Digest, m.View})
			}
		}
	}
}

// stayed judges that a vote is given in a view that the node has not left, or was given
// before.
func (e *evidence) stayed(at protocols.Time, node protocols.NodeID, tag protocols.Tag, v Entry, before map[uint64]Entry) {
	if v.View < e.said[node].left && v.Seq > e.past && before[v.Seq] != v && e.correct(node) {
		if b := e.find(claim{tag, v.View, v.Seq, v.Digest}); b == nil || b.senders[node>>6]&(1<<(node&63)) == 0 {
			e.violate(at, node, "votes in view %d (slot %d, message %#04x), although it has left for view %d", v.View, v.Seq, uint16(tag), e.said[node].left)
		}
	}
}

func (e *evidence) voted(node protocols.NodeID, v Entry) { note(&e.said[node].votes, v) }

// note keeps the vote of the highest view for a slot.
func note(m *map[uint64]Entry, v Entry) {
	if *m == nil || len(*m) >= evidenceKept {
		*m = make(map[uint64]Entry)
	}
	if have, ok := (*m)[v.Seq]; !ok || have.View <= v.View {
		(*m)[v.Seq] = v
	}
}

func (e *evidence) committing(at protocols.Time, node protocols.NodeID, m *Commit) {
	e.stayed(at, node, TagCommit, Entry{m.Seq, m.Digest, m.View}, e.said[node].commits)
	if e.correct(node) && m.Seq > e.past {
		prepared := claim{TagPrepare, m.View, m.Seq, m.Digest}
		have := 0
		if node != e.primary(m.View) {
			have = e.count(prepared, node)
		} else if b := e.find(prepared); b != nil {
			have = b.count
		}
		if have < e.quorum-1 {
			e.violate(at, node, "sends COMMIT for %s in view %d, slot %d, on PREPAREs of %d backups; %d are needed", m.Digest, m.View, m.Seq, have, e.quorum-1)
		}
	}
	note(&e.said[node].commits, Entry{m.Seq, m.Digest, m.View})
	if e.add(claim{TagCommit, m.View, m.Seq, m.Digest}, node).count != e.quorum-1 {
		return
	}
	// Enough for somebody who counts for itself.
	b := e.add(claim{0, 0, m.Seq, m.Digest}, node)
	b.views = append(b.views, m.View)
}

// leave returns what is known of the beginning of a view.
func (e *evidence) leave(view uint64) *leaving {
	l := e.leaving[view]
	if l == nil {
		if len(e.leaving) >= evidenceViews { // the highest are far away, or a liar's
			for v := range e.leaving {
				e.pastView = max(e.pastView, v)
			}
			clear(e.leaving)
		}
		l = &leaving{vcs: make(map[protocols.NodeID][]*ViewChange)}
		e.leaving[view] = l
	}
	return l
}

// left judges a VIEW-CHANGE: it must report what its sender is bound to.
func (e *evidence) left(at protocols.Time, node protocols.NodeID, m *ViewChange) {
	l := e.leave(m.View)
	for _, have := range l.vcs[node] {
		if have == m {
			return // sent again
		}
	}
	if len(l.vcs[node]) < evidenceLies {
		l.vcs[node] = append(l.vcs[node], m)
	}
	if !e.correct(node) {
		return
	}
	v := &e.said[node]
	v.left = max(v.left, m.View)
	for _, seq := range slices.Sorted(maps.Keys(v.commits)) {
		c := v.commits[seq]
		if seq <= m.Stable {
			delete(v.commits, seq)
		} else if p, ok := preparedAt(m, seq); c.View < m.View && (!ok || p.View < c.View || p.View == c.View && p.Digest != c.Digest) {
			e.violate(at, node, "leaves for view %d without saying that slot %d prepared in view %d with %s, for which it sent COMMIT", m.View, seq, c.View, c.Digest)
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(v.votes)) {
		c := v.votes[seq]
		if seq <= m.Stable {
			delete(v.votes, seq)
		} else if c.View < m.View && !prePreparedSince(m, seq, c) {
			e.violate(at, node, "leaves for view %d without saying that slot %d was pre-prepared in view %d with %s, for which it voted", m.View, seq, c.View, c.Digest)
		}
	}
}

// Observe implements protocols.Observer.
func (e *evidence) Observe(at protocols.Time, node protocols.NodeID, ev *protocols.Event) {
	if node < 0 || int(node) >= e.n || ev.Path != smr.OrdererPath || !e.correct(node) {
		return
	}
	switch ev.Kind {
	case protocols.EventProtocol:
		if ev.Note == noteRecovered {
			e.said[node].left = 0
		}
	case protocols.EventCommitted:
		if ev.Seq <= e.past {
			return
		}
		most := 0
		if b := e.find(claim{0, 0, ev.Seq, ev.Digest}); b != nil {
			for _, view := range b.views {
				most = max(most, e.count(claim{TagCommit, view, ev.Seq, ev.Digest}, node))
			}
		}
		if most < e.quorum {
			e.violate(at, node, "decides %s in slot %d although fewer than %d replicas sent COMMIT for it in one view", ev.Digest, ev.Seq, e.quorum)
		}
	case protocols.EventCheckpoint:
		if have := e.count(claim{TagCheckpoint, 0, ev.Seq, ev.Digest}, node); ev.Seq > e.past && have < e.quorum {
			e.violate(at, node, "takes the checkpoint at slot %d (%s) for stable with CHECKPOINTs of %d replicas; %d are needed", ev.Seq, ev.Digest, have, e.quorum)
		}
	case protocols.EventNewView:
		if ev.View > e.pastView {
			e.began(at, node, ev.View)
		}
	}
}

// began judges that a replica takes part in a view.
func (e *evidence) began(at protocols.Time, node protocols.NodeID, view uint64) {
	l := e.leave(view)
	have := len(l.vcs)
	if len(l.vcs[node]) == 0 { // its own may wait for the disk
		have++
	}
	if have < e.quorum {
		e.violate(at, node, "begins view %d, for which %d replicas sent VIEW-CHANGE; %d are needed", view, have, e.quorum)
		return
	}
	if node == e.primary(view) {
		return // it is about to send NEW-VIEW
	}
	for _, nv := range l.news {
		if e.follows(l, nv, 0, nil) {
			return
		}
	}
	e.violate(at, node, "begins view %d with a NEW-VIEW that does not follow from VIEW-CHANGEs that were sent", view)
}

// follows reports whether a NEW-VIEW follows from VIEW-CHANGEs of the replicas that
// it names, of which liars may have sent several.
func (e *evidence) follows(l *leaving, nv *NewView, i int, set []*ViewChange) bool {
	if i == len(nv.ViewChanges) {
		d, ok := decide(set, e.quorum, e.weak, e.window)
		return ok && d.equals(nv)
	}
	for _, vc := range l.vcs[nv.ViewChanges[i].Replica] {
		if vc.Life == nv.ViewChanges[i].Life && e.follows(l, nv, i+1, append(set, vc)) {
			return true
		}
	}
	return false
}

// Stopped implements the stopper of the simulator.
func (e *evidence) Stopped() string {
	if len(e.found) == 0 {
		return ""
	}
	return e.found[0].Invariant + ": " + e.found[0].Detail
}

// Finish implements protocols.Observer.
func (e *evidence) Finish(protocols.Time) []protocols.Violation { return e.found }
