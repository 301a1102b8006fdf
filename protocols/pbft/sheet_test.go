package pbft

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// The rules of the PBFT papers, each on one replica, or a few, whose messages the
// test writes by hand.

// others are all replicas but one.
func others(n int, but ...protocols.NodeID) []protocols.NodeID {
	var out []protocols.NodeID
	for _, id := range protocols.Replicas(n) {
		if !contains(ints(but), int(id)) {
			out = append(out, id)
		}
	}
	return out
}

func ints(ids []protocols.NodeID) []int {
	var out []int
	for _, id := range ids {
		out = append(out, int(id))
	}
	return out
}

// Prepared is the proposal and 2f PREPAREs, committed 2f+1 COMMITs, the own ones
// included; with more than 3f+1 replicas more. A sender counts once, for one digest;
// the primary's proposal is its PREPARE.
func TestQuorumEdges(t *testing.T) {
	for _, c := range []struct{ n, f, prepares, commits int }{{4, 1, 2, 3}, {5, 1, 3, 4}, {7, 2, 4, 5}, {10, 3, 6, 7}} {
		t.Run(fmt.Sprintf("n=%d", c.n), func(t *testing.T) {
			s := newScript(t, c.n, c.f, nil, others(c.n, 1)...)
			m := propose(0, 1, request(1, 1, c.n))
			s.send(0, m, 1)
			s.wave()
			require.Len(t, sent[*Prepare](s, 1), c.n-1)
			vote := func(from int, d protocols.Digest) {
				s.queue = nil
				s.send(protocols.NodeID(from), &Prepare{0, 1, d}, 1)
				s.send(protocols.NodeID(from), &Prepare{0, 1, m.Digest}, 1) // again: the first counts
				s.wave()
			}
			vote(0, m.Digest) // the primary has no PREPARE
			from := 2
			for ; from-2+1 < c.prepares-1; from++ {
				vote(from, m.Digest)
			}
			vote(c.n-1, dg(9)) // another digest
			require.Empty(t, sent[*Commit](s, 1), "%d PREPAREs are too few", c.prepares-1)
			vote(from, m.Digest)
			require.Len(t, sent[*Commit](s, 1), c.n-1)

			commit := func(from int, d protocols.Digest) {
				s.send(protocols.NodeID(from), &Commit{0, 1, d}, 1)
				s.send(protocols.NodeID(from), &Commit{0, 1, m.Digest}, 1)
				s.wave()
			}
			commit(c.n-1, dg(9))
			from = 2
			for ; from-2+1 < c.commits-1; from++ {
				commit(from, m.Digest)
			}
			require.Empty(t, s.actors[1].slots, "%d COMMITs are too few", c.commits-1)
			commit(0, m.Digest)
			require.Equal(t, []protocols.Digest{m.Digest}, s.actors[1].slots)
			require.Len(t, s.actors[1].executed, 1)
		})
	}
}

// One digest per view and slot, and only within h < n <= h+L.
func TestProposalsThatAreNotAccepted(t *testing.T) {
	const window = 4
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 2, "batch_max": 2}, 0, 2, 3)
	prepares := func(m *PrePrepare, from protocols.NodeID) bool {
		s.queue = nil
		s.send(from, m, 1)
		s.wave()
		got := sent[*Prepare](s, 1)
		s.queue = nil
		return len(got) > 0
	}
	r := func(ts uint64) *protocols.Request { return request(1, ts, 4) }
	require.False(t, prepares(propose(0, 0, r(1)), 0), "n = h")
	require.False(t, prepares(propose(0, window+1, r(1)), 0), "n > H")
	require.False(t, prepares(propose(1, 1, r(1)), 0), "another view")
	require.False(t, prepares(propose(0, 1, r(1)), 2), "not the primary")
	require.False(t, prepares(&PrePrepare{Seq: 1}, 0), "no requests")
	require.False(t, prepares(propose(0, 1, r(1), r(2), r(3)), 0), "too many requests")
	wrong := propose(0, 1, r(1))
	wrong.Digest = dg(1)
	require.False(t, prepares(wrong, 0), "wrong digest")
	require.False(t, prepares(propose(0, 2, request(2, 1, 4, 1)), 0), "a client's authenticator that is bad here")
	require.True(t, prepares(propose(0, 1, r(1)), 0))
	require.False(t, prepares(propose(0, 1, r(2)), 0), "a second digest for the slot")
	require.False(t, prepares(propose(0, 2, r(2)), 0), "a second digest for the slot of a proposal held back")
	require.True(t, prepares(propose(0, window, r(3)), 0), "n = H")

	// A stable checkpoint moves both marks.
	s = newScript(t, 4, 1, map[string]int64{"checkpoint": 2}, 0, 2, 3)
	for n := uint64(1); n <= 2; n++ {
		m := propose(0, n, r(n))
		s.send(0, m, 1)
		for _, from := range []protocols.NodeID{0, 2, 3} {
			s.send(from, &Commit{0, n, m.Digest}, 1)
		}
		s.wave()
	}
	require.Equal(t, uint64(2), s.o(1).delivered)
	d := s.o(1).own[0].Digest
	s.send(2, &Checkpoint{2, d}, 1)
	s.send(2, &Checkpoint{2, d}, 1)
	s.send(0, &Checkpoint{2, dg(1)}, 1)
	s.wave()
	require.Zero(t, s.o(1).h, "two of three, a repetition and another digest are no proof")
	require.False(t, prepares(propose(0, 6, r(6)), 0))
	s.send(3, &Checkpoint{2, d}, 1)
	s.wave()
	require.Equal(t, uint64(2), s.o(1).h)
	require.False(t, prepares(propose(0, 2, r(6)), 0), "n = h")
	require.False(t, prepares(propose(0, 7, r(6)), 0), "n > H")
	require.True(t, prepares(propose(0, 6, r(6)), 0), "n = H")
}

// What was decided at one replica keeps its number and digest, gaps become null, and
// everything is executed once.
func TestCarryOver(t *testing.T) {
	s := newScript(t, 4, 1, nil, 0)
	one, three := propose(0, 1, request(1, 1, 4)), propose(0, 3, request(2, 1, 4))
	s.send(0, one, 1, 2, 3)
	s.send(0, three, 1, 2, 3)
	s.lost = func(p packet) bool { return p.m.Tag() == TagCommit && p.to != 1 }
	s.send(0, &Commit{0, 1, one.Digest}, 1)
	s.run()
	require.Len(t, s.actors[1].slots, 1, "decided at 1 only")
	require.Empty(t, s.actors[2].slots)
	s.lost = nil
	s.suspect(1, 2, 3)
	s.run()
	s.pass(time.Second)
	for id := protocols.NodeID(1); id < 4; id++ {
		a := s.actors[id]
		require.Equal(t, []protocols.Digest{one.Digest, {}, three.Digest}, a.slots, "replica %d", id)
		require.Equal(t, []protocols.RequestKey{one.Requests[0].Key(), three.Requests[0].Key()}, a.executed, "replica %d", id)
		require.Equal(t, uint64(1), s.o(id).view)
	}
}

// A NEW-VIEW that does not follow from its VIEW-CHANGEs is refused.
func TestBadNewView(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(m *NewView)
		good  bool
		moves bool // the replicas leave for view 2 at once
	}{
		{"as it should be", func(*NewView) {}, true, false},
		{"omits what prepared", func(m *NewView) { m.Chosen = nil }, false, true},
		{"null for what prepared", func(m *NewView) { m.Chosen = []Chosen{{Seq: 1}} }, false, true},
		{"another digest", func(m *NewView) { m.Chosen = []Chosen{{1, dg(7)}} }, false, true},
		{"a slot too many", func(m *NewView) { m.Chosen = append(m.Chosen, Chosen{2, dg(7)}) }, false, true},
		{"another checkpoint", func(m *NewView) { m.Stable, m.StableDigest = 4, dg(7) }, false, true},
		{"another checkpoint digest", func(m *NewView) { m.StableDigest = dg(7) }, false, true},
		{"two VIEW-CHANGEs", func(m *NewView) { m.ViewChanges = m.ViewChanges[:2] }, false, false},
		{"one VIEW-CHANGE twice", func(m *NewView) { m.ViewChanges[2] = m.ViewChanges[0] }, false, false},
		{"a VIEW-CHANGE of nobody", func(m *NewView) { m.ViewChanges[2].Replica = 9 }, false, false},
		{"a VIEW-CHANGE that was not sent", func(m *NewView) { m.ViewChanges[2].Digest = dg(7) }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, 4, 1, nil, 1)
			s.lost = func(p packet) bool { return p.m.Tag() == TagCommit }
			s.ask(request(1, 1, 4), 0)
			s.run()
			s.lost = nil
			s.suspect(0, 2, 3)
			s.run()
			m := &NewView{View: 1, StableDigest: s.o(0).hDigest, Chosen: []Chosen{{1, s.o(0).log.peek(1).digest}}}
			for _, id := range []protocols.NodeID{0, 2, 3} {
				m.ViewChanges = append(m.ViewChanges, ViewChangeRef{Replica: id, Digest: s.o(id).digestOf(s.o(id).myVC)})
			}
			c.spoil(m)
			s.send(1, m, 0, 2, 3)
			s.wave()
			voted := len(sent[*Prepare](s, 0)) + len(sent[*Prepare](s, 2)) + len(sent[*Prepare](s, 3))
			for _, id := range []protocols.NodeID{0, 2, 3} {
				require.Equal(t, c.good, s.o(id).active, "replica %d", id)
				want := uint64(1)
				if c.moves {
					want = 2
				}
				require.Equal(t, want, s.o(id).view, "replica %d", id)
			}
			if c.good {
				require.Equal(t, 9, voted)
			} else {
				require.Zero(t, voted)
			}
			// In any case it goes on in the end.
			s.pass(10 * time.Second)
			for _, id := range []protocols.NodeID{0, 2, 3} {
				require.Len(t, s.actors[id].executed, 1)
			}
			s.agree()
		})
	}
}

// Each new primary that stays silent doubles the wait.
func TestSilentNewPrimaries(t *testing.T) {
	s := newScript(t, 10, 3, nil, 0, 1, 2)
	s.ask(signed(request(1, 1, 10)), others(10, 0, 1, 2)...)
	s.pass(20 * time.Second)
	for id := protocols.NodeID(3); id < 10; id++ {
		a := s.actors[id]
		require.Len(t, a.left, 3, "replica %d", id)
		require.Equal(t, protocols.Time(time.Second), a.left[0])
		require.Equal(t, 2*time.Second, a.left[1].Sub(a.left[0]))
		require.Equal(t, 4*time.Second, a.left[2].Sub(a.left[1]))
		require.Len(t, a.executed, 1)
		require.Zero(t, s.o(id).failed, "progress ends the doubling")
	}
}

// A client whose authenticators are good at the primary only costs one view change
// per primary: then it has to sign, and what it sent before is not put forward again.
func TestClientWithSelectiveMACs(t *testing.T) {
	s := newScript(t, 4, 1, nil)
	ts := uint64(0)
	round := func(attack bool) {
		primary := s.o(0).Primary()
		ts++
		if attack {
			s.ask(request(1, ts, 4, others(4, primary)...), primary)
		}
		s.ask(request(2, ts, 4), primary)
		s.run()
		s.pass(1200 * time.Millisecond)
		s.ask(signed(request(2, ts, 4)), 0, 1, 2, 3)
		s.run()
		s.pass(300 * time.Millisecond)
		for _, a := range s.actors {
			require.Contains(t, a.executed, protocols.RequestKey{Client: protocols.FirstClient + 2, Timestamp: ts}, "replica %d, round %d", a.id, ts)
		}
	}
	for n := range uint64(6) { // 9 s; clients have to sign for 10
		round(true)
		require.Equal(t, min(n+1, 4), s.o(0).view, "round %d", n)
	}
	for range 4 { // the views change for other reasons
		s.suspect(0, 1, 2, 3)
		s.run()
		round(false)
	}
	require.Equal(t, uint64(8), s.o(0).view)
	s.agree()
}

// A request that a faulty primary orders twice is executed once, on every replica
// alike.
func TestRequestOrderedTwice(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"batch_max": 3}, 0)
	r, q := request(1, 1, 4), request(2, 1, 4)
	s.send(0, propose(0, 1, r, r), 1, 2, 3)
	s.send(0, propose(0, 2, q, r), 1, 2, 3)
	s.run()
	for n := uint64(1); n <= 2; n++ {
		s.send(0, &Commit{0, n, s.o(1).log.peek(n).digest}, 1, 2, 3)
	}
	s.run()
	for id := protocols.NodeID(1); id < 4; id++ {
		require.Equal(t, []protocols.RequestKey{r.Key(), q.Key()}, s.actors[id].executed)
	}
}

// Different proposals for one slot: at most one is decided, and no request is lost.
func TestEquivocation(t *testing.T) {
	for split := range 8 { // bit i: replica i+1 gets the other proposal
		for _, helps := range []bool{false, true} { // 0 votes for both
			s := newScript(t, 4, 1, nil, 0)
			a, b := propose(0, 1, request(1, 1, 4)), propose(0, 1, request(2, 1, 4))
			for i := range protocols.NodeID(3) {
				m := a
				if split>>i&1 == 1 {
					m = b
				}
				s.send(0, m, i+1)
				s.ask(signed(request(1, 1, 4)), i+1)
				s.ask(signed(request(2, 1, 4)), i+1)
				if helps {
					s.send(0, &Commit{0, 1, m.Digest}, i+1)
				}
			}
			s.run()
			s.pass(5 * time.Second)
			s.agree()
			for id := protocols.NodeID(1); id < 4; id++ {
				require.Len(t, s.actors[id].executed, 2, "split %03b, replica %d", split, id)
			}
		}
	}
}
