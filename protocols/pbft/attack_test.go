package pbft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// A replica that has left a view must not vote in it any more, nor claim in Q that
// a proposal of the view it left was pre-prepared in the one it leaves for: with
// such a claim, a Byzantine primary of view 0 makes view 2 choose a batch other than
// the one that was decided.
func TestNoVoteInAViewThatWasLeft(t *testing.T) {
	s := newScript(t, 4, 1, nil, 0)
	good, held := request(1, 1, 4), request(2, 1, 4, 3)
	a, b := propose(0, 1, good), propose(0, 1, held)
	s.send(0, a, 1, 2)
	s.send(0, b, 3) // the client's entry for 3 is bad: 3 holds it back
	s.lost = func(p packet) bool { return p.from != 0 && p.to == 3 }
	s.wave()
	// 1 and 2 prepare; 1 alone decides, with the COMMITs of 0 and 2.
	s.send(0, &Commit{0, 1, a.Digest}, 1)
	s.run()
	require.Len(t, s.actors[1].slots, 1)
	require.Empty(t, s.actors[2].slots)

	// 3 leaves for view 1, and then the client of the held request turns up.
	s.lost = func(packet) bool { return true }
	s.suspect(3)
	s.run()
	s.lost = nil
	s.ask(signed(held), 3)
	require.Empty(t, sent[*Prepare](s, 3), "a vote in a view that was left")
	s.queue = nil

	// Views 1 and 2 go by without replica 1; view 1 begins nowhere.
	s.lost = func(p packet) bool { return p.from == 1 || p.to == 1 }
	s.suspect(3)
	s.suspect(2)
	s.suspect(2)
	lie := &ViewChange{
		View: 2, Replica: 0, Checkpoints: []CheckpointEntry{{0, s.o(2).hDigest}},
		Prepared: []Entry{{1, b.Digest, 1}}, PrePrepared: []Entry{{1, b.Digest, 1}},
	}
	s.send(0, lie, 2, 3)
	s.send(0, &ViewChangeAck{2, 3, s.o(3).digestOf(s.o(3).myVC)}, 2)
	s.run()
	for range 3 { // 2f+1 are in view 2: 0, 2 and 3
		for _, vote := range []protocols.WireMessage{&Prepare{2, 1, b.Digest}, &Commit{2, 1, b.Digest}} {
			s.send(0, vote, 2, 3)
		}
		s.run()
	}
	s.lost = nil
	s.run()
	s.agree()
}

// A NEW-VIEW of a view in the far future, which any replica can send in its own
// name, must not keep those of the next views out.
func TestFarNewViewDoesNotBlock(t *testing.T) {
	s := newScript(t, 4, 1, nil, 3)
	bogus := &NewView{View: 4_000_003, ViewChanges: []ViewChangeRef{{0, 0, dg(1)}, {1, 0, dg(2)}, {2, 0, dg(3)}}}
	s.send(3, bogus, 0, 1, 2)
	s.run()
	s.ask(request(1, 1, 4), 1, 2)
	s.suspect(0, 1, 2)
	s.run()
	for id := range protocols.NodeID(3) {
		require.True(t, s.o(id).active && s.o(id).view == 1, "replica %d: view %d, active %v", id, s.o(id).view, s.o(id).active)
		require.Len(t, s.actors[id].executed, 1)
	}
	// Nor is it asked about for ever.
	s.pass(10 * time.Second)
	before := len(s.actors[3].inbox)
	s.pass(10 * time.Second)
	require.Len(t, s.actors[3].inbox, before)
}

// A replica that voted for one proposal of an equivocating primary and then learned
// that the other one was decided does not vote for that one after a restart.
func TestRestartDoesNotVoteTwice(t *testing.T) {
	s := newScript(t, 4, 1, nil, 0)
	a, b := propose(0, 1, request(1, 1, 4)), propose(0, 1, request(2, 1, 4))
	s.send(0, a, 1, 2)
	s.send(0, b, 3)
	for id := range protocols.NodeID(3) {
		s.send(0, &Commit{0, 1, a.Digest}, id+1)
	}
	var votes []protocols.Digest
	s.lost = func(p packet) bool {
		if v, ok := p.m.(*Prepare); ok && p.from == 3 {
			votes = append(votes, v.Digest)
		}
		return false
	}
	s.run()
	s.pass(time.Second)
	require.Equal(t, []protocols.Digest{a.Digest}, s.actors[3].slots, "3 learned what was decided")
	s.crash(3)
	s.restart(protocols.Recovered, 3)
	require.Equal(t, []protocols.Digest{a.Digest}, s.actors[3].slots)
	s.run()
	s.send(1, &Status{}, 3)
	s.send(2, &Status{}, 3)
	s.run()
	require.NotEmpty(t, votes)
	for _, d := range votes {
		require.Equal(t, b.Digest, d, "a second vote for one slot and view")
	}
}

// Slots of a NEW-VIEW that come into the window later are voted for then.
func TestChosenSlotsAreVotedForWhenTheWindowReachesThem(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 2, "pipeline": 4}, 0)
	// Slots 1 and 2 are executed by 1 and 2, whose checkpoint becomes stable with the
	// help of 0; slots 3 to 6 prepare there. 3 hears nothing of it but proposals.
	s.lost = func(p packet) bool { return p.to == 3 && p.m.Tag() != TagPrePrepare }
	for n := range uint64(2) {
		s.send(0, propose(0, n+1, request(1, n+1, 4)), 1, 2, 3)
	}
	s.run()
	for n := range uint64(2) {
		d := s.o(1).log.peek(n + 1).digest
		s.send(0, &Commit{0, n + 1, d}, 1, 2)
	}
	s.run()
	require.Equal(t, uint64(2), s.o(1).delivered)
	s.send(0, &Checkpoint{2, s.o(1).own[0].Digest}, 1, 2)
	s.run()
	require.Equal(t, uint64(2), s.o(1).h)
	for _, n := range []uint64{3, 4, 6} { // 5 will be null
		s.send(0, propose(0, n, request(1, n, 4)), 1, 2, 3)
	}
	s.run()
	require.Equal(t, uint64(0), s.o(3).h)
	// The view changes without another word from 0; nobody can do without 3.
	s.lost = nil
	s.suspect(1, 2, 3)
	s.run()
	for id := protocols.NodeID(1); id < 4; id++ {
		require.Equal(t, uint64(1), s.o(id).view)
	}
	s.pass(900 * time.Millisecond)
	for id := protocols.NodeID(1); id < 4; id++ {
		require.Equal(t, uint64(6), s.o(id).delivered, "replica %d", id)
		require.Equal(t, uint64(1), s.o(id).view, "no other change was needed")
	}
}

// What a Byzantine replica can make others keep: of proposals for views to come,
// those of their primaries, within the window; of batches, those asked for.
func TestFloodsAreNotKept(t *testing.T) {
	s := newScript(t, 4, 1, nil, 3)
	o := s.o(1)
	for n := range uint64(2000) {
		s.send(3, propose(2, n+1, request(1, n+1, 4)), 1)           // not its view
		s.send(3, propose(3, n+9, request(1, n+1, 4)), 1)           // its view; beyond the window
		s.send(3, propose(4_000_003, n%8+1, request(1, n+1, 4)), 1) // its view; one proposal per slot
		s.send(3, &Prepare{1 + n, 1, dg(byte(n))}, 1)               // any view
		s.send(3, &Checkpoint{n * 4, dg(1)}, 1)                     //
		s.send(3, &ViewChangeAck{1 + 4*n, 2, dg(byte(n))}, 1)       // views that 1 leads
		s.send(3, &ViewChange{View: 1 + n, Replica: 3, Checkpoints: []CheckpointEntry{{}}}, 1)
		s.send(3, &Status{View: n, Delivered: n}, 1)
	}
	s.run()
	proposals := 0
	for _, f := range o.future {
		if f.msg.Tag() == TagPrePrepare {
			proposals++
		}
	}
	require.LessOrEqual(t, proposals, o.cfg.Window)
	require.LessOrEqual(t, len(o.future), 4*o.cfg.Window)
	require.LessOrEqual(t, len(o.vcs), 4)
	require.LessOrEqual(t, len(o.acks), 2*s.n)
	require.Empty(t, o.target)
	require.True(t, o.active && o.view == 0)
	for _, c := range o.checkpoints {
		require.LessOrEqual(t, c.Len(), 1)
	}

	// Batches that nobody asked for.
	for n := range uint64(8) {
		m := propose(0, n+1, request(2, n+1, 4))
		s.send(3, &Commit{0, n + 1, m.Digest}, 1)
		s.send(3, &Batch{m.Requests}, 1)
	}
	s.run()
	o.log.each(0, func(s *slot) { require.Empty(t, s.bodies, "slot %d", s.seq) })
}

// The checkpoint of a NEW-VIEW may have one correct holder only. If that one drops
// its log up to there, and the primary shows the NEW-VIEW to nobody else, no two
// correct replicas can agree on where to begin any more.
func TestNewViewAloneMakesNoCheckpointStable(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1}, 1)
	// 0 alone decides slot 1 and tells nobody.
	s.lost = func(p packet) bool {
		return p.from == 0 && p.to != 1 && (p.m.Tag() == TagCommit || p.m.Tag() == TagCheckpoint)
	}
	s.ask(request(1, 1, 4), 0)
	s.run()
	require.Equal(t, uint64(1), s.o(0).delivered)
	require.Zero(t, s.o(2).delivered)
	s.suspect(0, 2, 3)
	s.run()
	lie := &ViewChange{View: 1, Replica: 1, Checkpoints: s.o(0).myVC.Checkpoints}
	nv := &NewView{View: 1, Stable: 1, StableDigest: lie.Checkpoints[1].Digest}
	for id := range protocols.NodeID(4) {
		m := lie
		if id != 1 {
			m = s.o(id).myVC
		}
		nv.ViewChanges = append(nv.ViewChanges, ViewChangeRef{Replica: id, Digest: s.o(0).digestOf(m)})
	}
	s.send(1, lie, 0)
	s.send(1, nv, 0)
	s.run()
	require.True(t, s.o(0).active && s.o(0).view == 1)
	s.lost = nil
	s.pass(time.Minute)
	for _, id := range []protocols.NodeID{0, 2, 3} {
		require.Len(t, s.actors[id].executed, 1, "replica %d", id)
	}
}

// A state that a NEW-VIEW begins with is handed out before 2f+1 have it.
func TestStateIsServedBeforeItIsStable(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1, "windows": 3}, 0)
	s.lost = func(p packet) bool {
		return p.to == 2 && (p.m.Tag() == TagCommit || p.m.Tag() == TagCheckpoint)
	}
	decideSlots(s, 2, 1, 3)
	require.Equal(t, uint64(2), s.o(3).delivered)
	require.Zero(t, s.o(3).h)
	require.Zero(t, s.o(2).delivered)
	s.suspect(1, 2, 3)
	s.lost = nil
	s.run()
	require.Equal(t, uint64(2), s.o(2).newView.Stable)
	s.pass(900 * time.Millisecond)
	for id := protocols.NodeID(1); id < 4; id++ {
		require.Equal(t, uint64(2), s.o(id).delivered, "replica %d", id)
		require.Equal(t, uint64(2), s.o(id).h, "replica %d", id)
	}
}

// decideSlots lets the Byzantine primary 0 propose slots 1..n to all; it votes, of
// those, to the replicas named.
func decideSlots(s *script, n uint64, to ...protocols.NodeID) {
	for seq := uint64(1); seq <= n; seq++ {
		m := propose(0, seq, request(1, seq, s.n))
		s.send(0, m, others(s.n, 0)...)
		s.send(0, &Commit{0, seq, m.Digest}, to...)
		s.run()
	}
}

// NEW-VIEW is its sender's vote for everything in it: a new primary whose window
// does not reach that far catches up first, since it must remember in Q what it
// voted for.
func TestNewPrimaryRemembersWhatItChose(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1, "windows": 2}, 0)
	s.lost = func(p packet) bool {
		return p.to == 2 && (p.m.Tag() == TagCommit || p.m.Tag() == TagCheckpoint)
	}
	decideSlots(s, 1, 1, 3)
	s.send(0, &Checkpoint{1, s.o(1).own[0].Digest}, 1, 3)
	s.run()
	for seq := uint64(2); seq <= 3; seq++ {
		s.send(0, propose(0, seq, request(1, seq, 4)), 1, 2, 3)
	}
	s.lost = func(p packet) bool { return p.m.Tag() == TagCommit || p.to == 2 && p.m.Tag() == TagCheckpoint }
	s.run()
	require.Equal(t, []uint64{1, 0, 1}, []uint64{s.o(1).h, s.o(2).h, s.o(3).h})
	require.True(t, s.o(1).log.peek(3).prepared)

	// View 2, which replica 2 leads, follows at once.
	s.suspect(1, 2, 3)
	s.suspect(1, 2, 3)
	saw := false
	s.lost = func(p packet) bool {
		if nv, ok := p.m.(*NewView); ok && nv.View == 2 {
			saw = true
			for _, c := range nv.Chosen {
				require.True(t, prePreparedSince(s.o(2).viewChangeMessage(3), c.Seq, Entry{c.Seq, c.Digest, 2}), "slot %d", c.Seq)
			}
		}
		return false
	}
	s.run()
	s.pass(1900 * time.Millisecond)
	require.True(t, saw)
	for id := protocols.NodeID(1); id < 4; id++ {
		require.Equal(t, uint64(3), s.o(id).delivered, "replica %d", id)
		require.Equal(t, uint64(2), s.o(id).view, "replica %d", id)
	}
}

// A null request that NEW-VIEW put into a gap is decided like any other: the number
// of its slot must not be given to something else by the next view, even if nothing
// above it is prepared.
func TestDecidedNullIsKept(t *testing.T) {
	s := newScript(t, 4, 1, nil, 0)
	gap := propose(0, 2, request(1, 1, 4))
	s.send(0, gap, 1) // slot 1 stays empty
	s.run()
	// View 1 begins with VIEW-CHANGEs of 0, 1 and 2; 0 pretends to have slot 2
	// prepared, so slot 1 becomes null. The batch of slot 2 reaches nobody, and the
	// COMMITs for slot 1 only 3.
	s.lost = func(p packet) bool {
		switch m := p.m.(type) {
		case *ViewChange:
			return p.from == 3 && p.to == 1
		case *Commit:
			return p.to != 3
		case *Batch:
			return m != nil
		}
		return false
	}
	s.suspect(1, 2, 3)
	lie := &ViewChange{
		View: 1, Replica: 0, Checkpoints: []CheckpointEntry{{0, s.o(1).hDigest}},
		Prepared: []Entry{{2, gap.Digest, 0}}, PrePrepared: []Entry{{2, gap.Digest, 0}},
	}
	s.send(0, lie, 1, 2, 3)
	s.run()
	require.Equal(t, []Chosen{{Seq: 1}, {2, gap.Digest}}, s.o(3).newView.Chosen)
	require.Equal(t, []protocols.Digest{{}}, s.actors[3].slots, "3 alone has decided the null request")
	require.Empty(t, s.actors[1].slots)

	// View 2 begins without 0.
	s.lost = nil
	s.suspect(1, 2, 3)
	s.run()
	s.ask(signed(request(2, 1, 4)), 1, 2, 3)
	s.run()
	s.pass(time.Second)
	for id := protocols.NodeID(1); id < 4; id++ {
		require.NotEmpty(t, s.actors[id].executed, "replica %d", id)
	}
	s.agree()
}

// Made-up VIEW-CHANGEs behind NEW-VIEWs of views far ahead are not kept.
func TestCopiesOfFarViewsAreNotKept(t *testing.T) {
	s := newScript(t, 4, 1, nil, 3)
	o := s.o(1)
	for k := range uint64(500) {
		nv := &NewView{View: 4*k + 7}
		var copies []*ViewChangeCopy
		for i := range protocols.NodeID(4) {
			c := &ViewChangeCopy{ViewChange{View: nv.View, Replica: i, Checkpoints: []CheckpointEntry{{}}}}
			copies = append(copies, c)
			nv.ViewChanges = append(nv.ViewChanges, ViewChangeRef{i, 0, o.digestOf(&c.ViewChange)})
		}
		s.send(3, nv, 1)
		for _, c := range copies {
			s.send(3, c, 1)
		}
	}
	s.run()
	require.Empty(t, o.copies)
}

// One vote of a liar for a slot that nobody proposed keeps nobody awake.
func TestStrayVotesKeepNobodyAwake(t *testing.T) {
	s := newScript(t, 4, 1, nil, 3)
	last := uint64(s.o(0).cfg.Window)
	s.send(3, &Prepare{0, last, dg(1)}, 0, 1, 2)
	s.send(3, &Commit{0, last - 1, dg(1)}, 0, 1, 2)
	s.run()
	s.pass(time.Second)
	before := len(s.actors[3].inbox)
	s.pass(10 * time.Second)
	require.Len(t, s.actors[3].inbox, before, "an idle cluster still talks")
}

// A primary that orders one executed request again and again makes no progress,
// whatever the fairness option says.
func TestReplayedRequestIsNoProgress(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"fairness": 1000, "checkpoint": 64}, 0)
	old, waiting := request(1, 1, 4), request(2, 1, 4)
	order := func(n uint64) {
		m := propose(0, n, old)
		s.send(0, m, 1, 2, 3)
		s.run()
	}
	order(1)
	require.Len(t, s.actors[1].executed, 1)
	s.ask(signed(waiting), 1, 2, 3)
	for n := range uint64(12) {
		order(n + 2)
		s.pass(250 * time.Millisecond)
	}
	for id := protocols.NodeID(1); id < 4; id++ {
		require.Contains(t, s.actors[id].executed, waiting.Key(), "replica %d", id)
	}
}

// A replica that left one view too many, since the NEW-VIEW did not reach it, still
// learns what is decided in the view that the others are in.
func TestOvershootingReplicaFollows(t *testing.T) {
	s := newScript(t, 4, 1, nil)
	s.lost = func(p packet) bool {
		_, ok := p.m.(*NewView)
		return ok && p.to == 3
	}
	s.suspect(0, 1, 2, 3)
	s.wave()
	s.wave()
	s.suspect(3)
	s.run()
	require.Equal(t, uint64(2), s.o(3).view)
	require.True(t, s.o(1).active && s.o(1).view == 1)
	for ts := range uint64(3) {
		s.ask(request(1, ts+1, 4), 0, 1, 2)
		s.run()
	}
	s.pass(2 * time.Second)
	require.Len(t, s.actors[0].executed, 3)
	require.Len(t, s.actors[3].executed, 3)
	require.Equal(t, uint64(2), s.o(3).view, "what it has announced stands")
	s.agree()
}

// A VIEW-CHANGE is repeated to those that lack the view, ever more rarely.
func TestViewChangeIsRepeatedWithBackOff(t *testing.T) {
	s := newScript(t, 4, 1, nil, 1)
	count := 0 // twice each: when it is written down and when it is delivered
	s.lost = func(p packet) bool {
		if m, ok := p.m.(*ViewChange); ok && p.from == 0 && p.to == 2 && m.View == 1 {
			count++
		}
		return false
	}
	s.suspect(0, 2, 3)
	s.pass(1900 * time.Millisecond) // the primary of view 1 is silent; its time ends after 2 s
	require.Equal(t, uint64(1), s.o(0).view)
	require.Greater(t, count/2, 1, "it may have been lost")
	require.LessOrEqual(t, count/2, 5)
}

// Asking for large answers costs the asker little: the answers are limited.
func TestAnswersAreLimited(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"batch_bytes": 1 << 16}, 3)
	r := request(1, 1, 4)
	r.Op = make([]byte, 40_000)
	m := propose(0, 1, r)
	s.ask(r, 0)
	s.run()
	require.Len(t, s.actors[1].executed, 1)
	ask := func() (answers int) {
		s.actors[3].inbox = nil
		for range 100 {
			s.send(3, &FetchBatch{m.Digest}, 1)
		}
		s.run()
		for _, p := range s.actors[3].inbox {
			if _, ok := p.m.(*Batch); ok {
				answers++
			}
		}
		return answers
	}
	require.Equal(t, 1, ask())
	s.pass(time.Second)
	require.Equal(t, 1, ask(), "somebody who comes again is served")
}

// Q holds many small batches per slot, and of large ones no more than before.
func TestQIsBoundedByBytes(t *testing.T) {
	for _, c := range []struct{ size, want int }{{10, 32}, {1000, minTracked}} {
		s := &slot{seq: 1}
		for v := range uint64(100) {
			d := dg(byte(v + 1))
			s.keepBody(d, []protocols.Request{{Op: make([]byte, c.size)}})
			s.prePrepared(d, v, 32, 2000)
		}
		require.Len(t, s.q, c.want)
		require.Len(t, s.bodies, c.want)
		require.Equal(t, uint64(99), s.q[len(s.q)-1].View)
	}
}

// A client that leaves, at every replica, a request whose MAC is good there only,
// spoils the first batch of two primaries, and not that of the third.
func TestPoisonedBatches(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"batch_max": 64})
	poison := func() {
		for id := range protocols.NodeID(4) {
			for c := range 9 { // more than the pipeline holds
				s.ask(request(10+10*int(id)+c, uint64(s.now)+1, 4, others(4, id)...), id)
			}
		}
	}
	served := func() int { return len(s.actors[0].executed) }
	for ts := range uint64(4) {
		poison()
		before := served()
		start := s.now
		for s.now < start.Add(20*time.Second) && served() == before {
			s.ask(request(1, ts+1, 4), s.o(0).Primary())
			s.pass(500 * time.Millisecond)
			poison()
			s.ask(signed(request(1, ts+1, 4)), 0, 1, 2, 3)
			s.pass(500 * time.Millisecond)
		}
		require.Greater(t, served(), before, "request %d is never served", ts+1)
		require.LessOrEqual(t, s.now.Sub(start), 8*time.Second, "two failed views and the third")
		s.pass(30 * time.Second) // clients need not sign any more
	}
	s.agree()
}

// A primary that has forgotten what it proposed, and gives a slot away twice, still
// gets the request ordered that lost.
func TestForgetfulPrimaryLosesNoRequest(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"fairness": 1000})
	first, second := request(1, 1, 4), request(2, 1, 4)
	s.ask(first, 0)
	s.run()
	s.crash(0)
	s.actors[0].records = nil
	s.restart(protocols.Fresh, 0)
	s.ask(second, 0) // proposed for slot 1 again
	s.pass(900 * time.Millisecond)
	for id := range protocols.NodeID(4) {
		require.Zero(t, s.o(id).view)
		require.Equal(t, []protocols.RequestKey{first.Key(), second.Key()}, s.actors[id].executed, "replica %d", id)
	}
}

// Slots up to the checkpoint that a NEW-VIEW begins with are not its business: a
// replica that restarts with one of them decided, and its own checkpoint below, does
// not vote for it in the new view. Q would not know of the vote.
func TestNoVoteBelowTheCheckpointOfTheView(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1})
	s.lost = func(p packet) bool { _, ok := p.m.(*Checkpoint); return ok }
	s.ask(request(1, 1, 4), 0)
	s.run()
	o, a := s.o(3), s.actors[3]
	require.Equal(t, uint64(1), o.delivered)
	require.Zero(t, o.h)
	nv := &NewView{View: 1, Stable: 1, StableDigest: o.own[0].Digest}
	for id := range protocols.NodeID(3) {
		nv.ViewChanges = append(nv.ViewChanges, ViewChangeRef{Replica: id, Digest: dg(byte(id))})
	}
	for _, m := range []protocols.WireMessage{o.viewChangeMessage(1), nv} {
		a.records = append(a.records, protocols.Record{Path: smr.OrdererPath, Message: m})
	}
	s.crash(3)
	s.queue = nil
	s.restart(protocols.Recovered, 3)
	require.Equal(t, uint64(1), s.o(3).voteView)
	require.Len(t, a.executed, 1)
	for _, m := range sent[*Prepare](s, 3) {
		require.Zero(t, m.View, "a vote for slot %d in view %d", m.Seq, m.View)
	}
}
