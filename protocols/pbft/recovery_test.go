package pbft

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// serve has requests of client 1 ordered, one after the other, and lets time go by.
func serve(s *script, primary protocols.NodeID, from, to uint64) {
	for ts := from; ts <= to; ts++ {
		s.ask(request(1, ts, s.n), primary)
		s.pass(300 * time.Millisecond)
	}
}

// A replica that graduated without a durable state, voted, and was killed again
// remembers after the restart what it voted for.
func TestGraduatedLearnerRemembersItsVotes(t *testing.T) {
	for _, every := range []int64{1000, 1} { // requests between two durable states
		s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1, "windows": 2, "snapshot_every": every})
		serve(s, 0, 1, 2)
		s.crash(3)
		s.restart(protocols.Wiped, 3)
		serve(s, 0, 3, 10)
		require.Nil(t, s.o(3).learner)
		require.True(t, s.o(3).active)
		s.lost = func(p packet) bool { return p.m.Tag() == TagCommit || p.m.Tag() == TagCheckpoint }
		s.ask(request(1, 11, 4), 0)
		s.run()
		before := s.o(3).viewChangeMessage(1)
		require.Len(t, before.Prepared, 1)
		require.Len(t, before.PrePrepared, 1)
		for range 2 {
			s.crash(3)
			s.restart(protocols.Recovered, 3)
			require.Nil(t, s.o(3).learner)
			require.True(t, s.o(3).active)
			require.Equal(t, before, s.o(3).viewChangeMessage(1))
			require.Equal(t, uint64(10), s.o(3).delivered)
		}
		s.lost = nil
		s.pass(5 * time.Second)
		for _, a := range s.actors {
			require.Equal(t, uint64(11), s.o(a.id).delivered, "replica %d", a.id)
		}
	}
}

// A replica whose state record is gone, though its log begins there, goes on as one
// that lost its disk.
func TestLogWithoutItsState(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1, "windows": 2, "snapshot_every": 1})
	serve(s, 0, 1, 3)
	s.crash(3)
	a, kept := s.actors[3], s.actors[3].records[:0]
	for _, r := range a.records {
		if r.Message.Tag() != smr.TagStateRecord {
			kept = append(kept, r)
		}
	}
	require.Less(t, len(kept), len(a.records))
	a.records = kept
	for range 2 {
		s.restart(protocols.Recovered, 3)
		require.NotNil(t, s.o(3).learner)
		s.crash(3)
	}
	s.restart(protocols.Recovered, 3)
	serve(s, 0, 4, 9)
	require.Nil(t, s.o(3).learner)
	require.Equal(t, uint64(9), s.o(3).delivered)
}

// A replica left for view 1, lost its disk, recovered in view 0 and votes there: its old
// VIEW-CHANGE, which knows nothing of these votes, must not speak for it when another
// replica turns bad later. Nor that of its second life, when it lost its disk twice, nor
// one that comes late.
func TestRecoveredReplicaIsNotBoundByItsFormerLife(t *testing.T) {
	for _, c := range []struct {
		name        string
		twice, late bool
	}{{name: "lost once"}, {name: "lost twice", twice: true}, {name: "under way for long", late: true}} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1, "windows": 2})
			ts := uint64(0)
			again := func(lose bool) {
				if lose {
					s.crash(3)
					s.queue = nil
					s.restart(protocols.Wiped, 3)
				}
				s.pass(300 * time.Millisecond)
				serve(s, 0, ts+1, ts+6)
				ts += 6
			}
			if c.twice {
				again(true)
				require.Nil(t, s.o(3).learner)
			}
			s.suspect(3)
			old := s.o(3).myVC
			if c.late {
				s.queue = nil
			}
			s.run() // its VIEW-CHANGE for view 1 is known to all, unless late
			again(true)
			if c.twice {
				require.NotNil(t, s.o(3).learner, "the others do not believe this so soon again")
				s.pass(s.o(0).cfg.MaxTimeout)
				again(false)
			}
			require.Nil(t, s.o(3).learner)
			require.True(t, s.o(3).active && s.o(3).view == 0)
			require.Equal(t, s.o(1).h, s.o(3).h)
			if c.late {
				s.send(3, old, 0, 1, 2)
				s.run()
				for id := range protocols.NodeID(3) {
					require.Empty(t, s.o(id).vcs, "replica %d keeps what its sender forgot", id)
				}
			}
			h := s.o(1).h
			// Now 0 is Byzantine, and slot h+1 is decided at 2 with the votes of 0 and 3; 1 hears nothing.
			s.crash(0)
			m := propose(0, h+1, request(1, 100, 4))
			s.lost = func(p packet) bool {
				return p.to == 1 || p.from == 2 && p.m.Tag() == TagCommit || p.m.Tag() == TagCheckpoint
			}
			s.send(0, m, 2, 3)
			s.send(0, &Commit{0, h + 1, m.Digest}, 2)
			s.run()
			require.Equal(t, h+1, s.o(2).delivered)
			// View 1 without a word of 2.
			s.lost = func(p packet) bool { return p.from == 2 || p.to == 2 }
			s.suspect(1, 3)
			s.send(0, &ViewChange{View: 1, Replica: 0, Stable: h, Checkpoints: []CheckpointEntry{{h, s.o(1).hDigest}}}, 1, 3)
			s.send(0, &ViewChangeAck{1, 3, s.o(1).digestOf(old)}, 1)
			s.run()
			s.send(0, &ViewChangeCopy{*old}, 3)
			s.run()
			s.pass(100 * time.Millisecond)
			r := request(2, 1, 4)
			s.ask(r, 1)
			s.run()
			d := propose(1, h+1, r).Digest
			for range 3 {
				s.send(0, &Prepare{1, h + 1, d}, 1, 3)
				s.send(0, &Commit{1, h + 1, d}, 1, 3)
				s.run()
			}
			s.lost = nil
			s.agree()
		})
	}
}

// With more replicas than 3f+1 one of them need not be asked by a replica that lost its
// disk, and keeps its old VIEW-CHANGE. A NEW-VIEW that rests on it is refused by those
// that were, also when f+1 replicas take part in the view.
func TestOldViewChangeOfAReplicaThatWasNotAsked(t *testing.T) {
	s := newScript(t, 6, 1, map[string]int64{"checkpoint": 1, "windows": 2})
	s.suspect(5)
	s.run() // 1, the primary of view 1, knows its VIEW-CHANGE and the ACKs; then it is cut off
	old := s.o(5).myVC
	alone := func(p packet) bool { return p.from == 1 || p.to == 1 }
	s.lost = alone
	s.crash(5)
	s.queue = nil
	s.restart(protocols.Wiped, 5)
	s.pass(300 * time.Millisecond)
	serve(s, 0, 1, 6)
	require.Nil(t, s.o(5).learner)
	require.True(t, s.o(5).active && s.o(5).view == 0)
	h := s.o(2).h
	// 1 is back and gets a state. Then 0 is Byzantine: slot h+1 is decided at 2 by 0, 2, 3 and 5.
	s.lost = func(p packet) bool { return p.m.Tag() == TagQueryStable || p.from == 5 && p.to == 1 }
	s.o(1).asking = true
	s.o(1).armResend()
	s.pass(2 * time.Second)
	require.Equal(t, h, s.o(1).h)
	s.crash(0)
	m := propose(0, h+1, request(1, 100, 6))
	s.lost = func(p packet) bool {
		return p.to == 1 || p.to == 4 || p.m.Tag() == TagCommit && p.to != 2 || p.m.Tag() == TagCheckpoint
	}
	s.send(0, m, 2, 3, 5)
	s.run()
	s.send(0, &Commit{0, h + 1, m.Digest}, 2)
	s.run()
	require.Equal(t, h+1, s.o(2).delivered)
	// View 1: 0, 1, 4 and the 5 of long ago.
	s.lost = func(p packet) bool {
		return p.m.Tag() == TagViewChange && p.from == 3 || p.from == 2 || p.to == 2 || p.from == 5 && p.to == 1
	}
	s.suspect(1, 3, 4, 5)
	blank := &ViewChange{View: 1, Replica: 0, Stable: h, Checkpoints: []CheckpointEntry{{h, s.o(1).hDigest}}}
	s.send(0, blank, 1, 3, 4, 5)
	for _, of := range []protocols.NodeID{4, 5} {
		vc := old
		if of == 4 {
			vc = s.o(4).myVC
		}
		s.send(0, &ViewChangeAck{1, of, s.o(1).digestOf(vc)}, 1)
	}
	s.run()
	s.send(0, &ViewChangeCopy{*old}, 3, 4, 5)
	if nv := s.o(1).newView; nv != nil { // 0 pretends to take part
		s.send(0, &Status{View: 1, Active: true, NewView: s.o(1).newViewSum}, 3, 4, 5)
	}
	s.run()
	s.pass(500 * time.Millisecond)
	require.NotNil(t, s.o(1).newView, "1 does not know better")
	r := request(2, 1, 6)
	s.ask(r, 1)
	s.run()
	d := propose(1, h+1, r).Digest
	for range 3 {
		s.send(0, &Prepare{1, h + 1, d}, 1, 3, 4, 5)
		s.send(0, &Commit{1, h + 1, d}, 1, 3, 4, 5)
		s.run()
	}
	s.agree()
	// Without any lie, it goes on: with all that are correct, in a later view.
	s.lost = nil
	s.ask(signed(r), 1, 2, 3, 4, 5)
	s.pass(2 * time.Minute)
	for id := protocols.NodeID(1); id < 6; id++ {
		require.Contains(t, s.actors[id].executed, r.Key(), "replica %d", id)
	}
	s.agree()
}

// A liar that answers QUERY-STABLE neither lets a replica that lost its disk vote too
// early nor keeps it silent for ever.
func TestLiesAboutTheReachedSlot(t *testing.T) {
	for _, reached := range []uint64{0, 5, 6 + 3, 1 << 63, ^uint64(0) - 2, ^uint64(0)} {
		s := newScript(t, 7, 2, map[string]int64{"checkpoint": 1, "windows": 2}, 5)
		serve(s, 0, 1, 5)
		s.crash(6)
		s.restart(protocols.Wiped, 6)
		answer := func() {
			s.send(5, &ReplyStable{Life: s.o(6).born.Life, Reached: reached}, 6)
			s.run()
		}
		answer() // before anybody else
		ts := uint64(5)
		for s.o(6).learner != nil && ts < 30 {
			require.Empty(t, sent[*Commit](s, 6))
			ts++
			serve(s, 0, ts, ts)
			if s.o(6).learner != nil {
				answer()
			}
		}
		require.Nil(t, s.o(6).learner, "reached %d", reached)
		require.GreaterOrEqual(t, s.o(6).h, uint64(5+2), "reached %d", reached)
		require.LessOrEqual(t, s.o(6).h, uint64(5+4*2), "reached %d", reached)
	}
}

// View changes without progress do not make the log grow, whether or not the state at
// the last stable checkpoint is durable, and what they leave in it is enough to go on.
func TestLogOfAnIdleCluster(t *testing.T) {
	for _, every := range []int64{1000, 1} {
		for _, enter := range []bool{true, false} { // the views that are left for begin, or do not
			s := newScript(t, 4, 1, map[string]int64{"snapshot_every": every})
			serve(s, 0, 1, 6)
			require.Equal(t, uint64(4), s.o(0).h)
			s.lost = func(p packet) bool { return p.m.Tag() == TagNewView && !enter }
			for range 3 * maxViewRecords {
				s.suspect(0, 1, 2, 3)
				s.run()
			}
			for _, a := range s.actors {
				require.Less(t, len(a.records), 3*maxViewRecords, "replica %d", a.id)
				require.Equal(t, enter || a.o.isPrimary(), a.o.active, "replica %d", a.id)
			}
			s.lost = nil
			view := s.o(0).view
			require.Equal(t, uint64(3*maxViewRecords), view)
			var promised []*ViewChange
			for _, a := range s.actors {
				promised = append(promised, a.o.viewChangeMessage(view+1))
			}
			s.crash(0, 1, 2, 3)
			s.queue = nil
			s.restart(protocols.Recovered, 0, 1, 2, 3)
			for i, a := range s.actors {
				require.Equal(t, promised[i], a.o.viewChangeMessage(view+1))
				require.Equal(t, view, a.o.view, "replica %d", a.id)
				require.Equal(t, uint64(6), a.o.delivered, "replica %d", a.id)
			}
			s.pass(time.Minute)
			s.ask(request(1, 7, 4), 0, 1, 2, 3)
			s.pass(time.Minute)
			for _, a := range s.actors {
				require.Equal(t, uint64(7), a.o.delivered, "replica %d", a.id)
			}
			s.agree()
		}
	}
}

// Replicas that lose their disk, one after the other, in a view that rests on their
// VIEW-CHANGEs take part in it again: they have not voted in lower views since.
func TestLossesInOneView(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 1, "windows": 2})
	s.lost = func(p packet) bool { return p.m.Tag() == TagViewChange && p.from == 0 && p.to == 1 }
	s.suspect(0, 1, 2, 3)
	s.run()
	s.lost = nil
	named := []protocols.NodeID{}
	for _, ref := range s.o(1).newView.ViewChanges {
		named = append(named, ref.Replica)
	}
	require.Equal(t, []protocols.NodeID{1, 2, 3}, named)
	ts := uint64(0)
	for _, id := range []protocols.NodeID{3, 2} {
		serve(s, 1, ts+1, ts+2)
		s.crash(id)
		s.restart(protocols.Wiped, id)
		s.pass(300 * time.Millisecond)
		serve(s, 1, ts+3, ts+10)
		ts += 10
		require.Nil(t, s.o(id).learner, "replica %d", id)
		require.True(t, s.o(id).active, "replica %d", id)
		require.Equal(t, uint64(1), s.o(id).view, "replica %d", id)
		require.Equal(t, ts, s.o(id).delivered, "replica %d", id)
	}
	// A restart changes nothing.
	s.crash(2, 3)
	s.restart(protocols.Recovered, 2, 3)
	for _, id := range []protocols.NodeID{2, 3} {
		require.True(t, s.o(id).active && s.o(id).view == 1, "replica %d", id)
	}
	serve(s, 1, ts+1, ts+2)
	for id := range protocols.NodeID(4) {
		require.Equal(t, ts+2, s.o(id).delivered, "replica %d", id)
	}
}

// A crash may come between any two records, also between the state that the shell makes
// durable and what the orderer makes of that: what is proven, what was voted for, and
// whether the replica may vote, are known after each restart.
func TestRestartAtAnyPointOfTheLog(t *testing.T) {
	type point struct {
		records []protocols.Record
		h       uint64
		promise *ViewChange
		learner bool
	}
	options := map[string]int64{"checkpoint": 2, "windows": 2, "snapshot_every": 5}
	s := newScript(t, 4, 1, options)
	var points []point
	a := s.actors[3]
	serve(s, 0, 1, 3)
	s.crash(3)
	s.restart(protocols.Wiped, 3)
	a.logged = func() {
		p := point{records: slices.Clone(a.records), h: a.o.h, learner: a.o.learner != nil}
		if !p.learner {
			p.promise = a.o.viewChangeMessage(100)
		}
		points = append(points, p)
	}
	serve(s, 0, 4, 14)
	s.suspect(0, 1, 2, 3)
	s.run()
	serve(s, 1, 15, 24)
	require.Nil(t, a.o.learner)
	require.Greater(t, len(points), 50)
	states, vote := 0, false
	for i, p := range points {
		again := newScript(t, 4, 1, options)
		again.actors[3].life, again.actors[3].records = 1, slices.Clone(p.records)
		again.crash(3)
		again.restart(protocols.Recovered, 3)
		o := again.o(3)
		require.GreaterOrEqual(t, o.delivered, o.h, "point %d", i)
		h := p.h // the record comes before the change
		for _, r := range p.records {
			if m, ok := r.Message.(*StableRecord); ok {
				h = max(h, m.Seq)
			}
		}
		require.Equal(t, h, o.h, "point %d", i)
		if last := p.records[len(p.records)-1]; last.Message.Tag() == smr.TagStateRecord {
			states++
		}
		if o.learner != nil {
			require.False(t, vote, "point %d: it has voted before", i)
			continue
		}
		vote = true
		if p.promise == nil {
			continue
		}
		m := o.viewChangeMessage(100)
		for _, e := range p.promise.Prepared {
			require.True(t, e.Seq <= o.h || slices.Contains(m.Prepared, e), "point %d: %v is forgotten", i, e)
		}
		for _, e := range p.promise.PrePrepared {
			require.True(t, e.Seq <= o.h || slices.Contains(m.PrePrepared, e), "point %d: %v is forgotten", i, e)
		}
	}
	require.True(t, vote)
	require.Greater(t, states, 2)
}

// A liar that pretends to lose its disk whenever a NEW-VIEW rests on its VIEW-CHANGE
// spoils a few views, not all of them.
func TestPretendedLossesSpoilFewViews(t *testing.T) {
	s := newScript(t, 4, 1, nil, 3)
	life, top, spoiled := uint32(0), uint64(0), 0
	said := map[uint64]bool{}
	s.lost = func(p packet) bool {
		switch m := p.m.(type) {
		case *ViewChange:
			if p.from != 3 && !said[m.View] { // be the first
				said[m.View] = true
				for id := range protocols.NodeID(3) {
					s.deliver(packet{3, id, smr.OrdererPath, &ViewChange{View: m.View, Replica: 3, Life: life, Checkpoints: []CheckpointEntry{{0, s.o(id).hDigest}}}})
				}
			}
		case *NewView:
			if m.View > top {
				top = m.View
				life++
			}
			s.deliver(packet{3, p.to, smr.OrdererPath, &QueryStable{Life: life}})
			if p.to != 3 && s.o(p.to).outdated(m) {
				spoiled++
			}
		}
		return false
	}
	s.suspect(0, 1, 2)
	s.ask(signed(request(1, 1, 4)), 0, 1, 2)
	s.pass(3 * time.Minute)
	require.NotZero(t, spoiled, "the attack works at first")
	for id := range protocols.NodeID(3) {
		require.Len(t, s.actors[id].executed, 1, "replica %d", id)
	}
}
