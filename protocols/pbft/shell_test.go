package pbft

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// A replica that cannot read its own state has lost what it promised above it, and
// says nothing until it can contradict nothing.
func TestDamagedStateIsALostDisk(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 2, "snapshot_every": 2})
	ask := func(from, to uint64) {
		for ts := from; ts <= to; ts++ {
			s.ask(request(1, ts, 4), 0)
			s.run()
		}
	}
	ask(1, 5)
	a := s.actors[3]
	i := slices.IndexFunc(a.records, func(r protocols.Record) bool { _, ok := r.Message.(*smr.StateRecord); return ok })
	damaged := *a.records[i].Message.(*smr.StateRecord)
	require.Equal(t, uint64(4), damaged.Slot)
	damaged.Snapshot = slices.Clone(damaged.Snapshot)
	damaged.Snapshot[len(damaged.Snapshot)-1] ^= 1
	a.records[i].Message = &damaged
	votes := 0
	s.lost = func(p packet) bool {
		switch p.m.(type) {
		case *Prepare, *Commit, *Checkpoint, *ViewChange:
			if p.from == 3 {
				votes++
			}
		}
		return false
	}
	for range 2 { // and again, before it has a new state
		s.crash(3)
		s.lost = func(p packet) bool { return p.to == 3 || p.from == 3 }
		s.restart(protocols.Recovered, 3)
		require.NotNil(t, s.o(3).learner)
		s.run()
	}
	s.lost = nil
	ask(6, 9)
	s.pass(5 * time.Second)
	require.Zero(t, votes)
	require.Equal(t, s.o(0).delivered, s.o(3).delivered, "it follows")
	ask(10, 40)
	s.pass(5 * time.Second)
	require.Nil(t, s.o(3).learner, "and takes part again in the end")
	s.agree()
}

// A primary that orders one old request again and again does not make the log grow.
func TestDuplicatesDoNotFillTheLog(t *testing.T) {
	for name, batch := range map[string][]*protocols.Request{
		"duplicates": {request(1, 1, 4), request(1, 1, 4)},
		"one":        {request(1, 1, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, 4, 1, map[string]int64{"checkpoint": 2, "snapshot_every": 16, "batch_max": 2}, 0)
			most := 0
			for n := uint64(1); n <= 200; n++ {
				m := propose(0, n, batch...)
				s.send(0, m, 1, 2, 3)
				s.send(0, &Prepare{0, n, m.Digest}, 1, 2, 3)
				s.send(0, &Commit{0, n, m.Digest}, 1, 2, 3)
				s.run()
				most = max(most, len(s.actors[1].records))
			}
			require.Equal(t, uint64(200), s.o(1).delivered)
			require.Len(t, s.actors[1].executed, 1)
			require.Less(t, most, 150)
		})
	}
}

// What the earlier life has said is not said again, also when the replay has to wait
// for signature checks.
func TestReplayIsSilent(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"block": 2, "checkpoint": 8})
	s = withSignedOps(s)
	for ts := uint64(1); ts <= 6; ts++ {
		s.ask(request(1, ts, 4), 0)
		s.run()
		s.answer(0, 1, 2, 3)
		s.run()
	}
	s.crash(2)
	s.restart(protocols.Recovered, 2)
	s.answer(2)
	require.Len(t, s.actors[2].executed, 6)
	require.Empty(t, sent[*protocols.Reply](s, 2))
	require.Empty(t, sent[*smr.Certify](s, 2))
	s.run()
	s.ask(request(1, 7, 4), 0)
	s.run()
	s.answer(0, 1, 2, 3)
	require.Len(t, sent[*protocols.Reply](s, 2), 1, "what is new is said")
}

// A flood of FETCH-STATE costs a state in half a period, and nothing on disk.
func TestFloodOfFetchState(t *testing.T) {
	s := newScript(t, 4, 1, map[string]int64{"checkpoint": 2, "snapshot_every": 1000}, 3)
	next := uint64(0)
	ask := func(count int) {
		for range count {
			next++
			s.ask(request(1, next, 4), 0)
			s.run()
		}
	}
	ask(4)
	flood := func(m smr.FetchState) int {
		s.actors[3].inbox = nil
		for range 100 {
			s.queue = append(s.queue, packet{3, 1, "", &m})
		}
		s.run()
		got := 0
		for _, p := range s.actors[3].inbox {
			if _, ok := p.m.(*smr.StateChunk); ok && p.from == 1 {
				got++
			}
		}
		return got
	}
	require.Equal(t, 3, flood(smr.FetchState{Slot: 1}), "once, and again for what may be lost")
	require.Zero(t, flood(smr.FetchState{Slot: 1}))
	require.Zero(t, flood(smr.FetchState{Slot: 1, Chunk: 1 << 31}), "there is no such chunk")
	s.pass(time.Second)
	require.Equal(t, 3, flood(smr.FetchState{Slot: 1}), "later it is answered again")
	s.pass(time.Second)
	ask(2)
	require.Equal(t, 3, flood(smr.FetchState{Slot: 5}), "the next state is made")
	ask(2)
	require.Zero(t, flood(smr.FetchState{Slot: 7}), "but not the one right after it")
	s.pass(2 * time.Second)
	require.Equal(t, 3, flood(smr.FetchState{Slot: 7}))

	// The state of a checkpoint that is not stable yet is given out, not written.
	s.pass(2 * time.Second)
	s.lost = func(p packet) bool { _, ok := p.m.(*Checkpoint); return ok }
	ask(2)
	require.Equal(t, uint64(8), s.o(1).h)
	require.Equal(t, 3, flood(smr.FetchState{Slot: 10}))
	s.lost = nil
	s.o(1).asking = true
	s.o(1).armResend()
	s.pass(time.Second)
	require.Equal(t, uint64(10), s.o(1).h)
	for _, r := range s.actors[1].records {
		require.IsNotType(t, &smr.StateRecord{}, r.Message)
	}
}

// A message of an instance that is not here is nobody's.
func TestForeignPath(t *testing.T) {
	s := newScript(t, 4, 1, nil, 0)
	m := propose(0, 1, request(1, 1, 4))
	for _, path := range []string{"x", "o/y", ""} {
		s.queue = append(s.queue, packet{0, 1, path, m})
		s.wave()
		require.Empty(t, sent[*Prepare](s, 1), "path %q", path)
	}
	s.queue = append(s.queue, packet{protocols.FirstClient + 1, 1, "x", request(1, 1, 4)})
	s.wave()
	require.Zero(t, s.o(1).pending.Len())
	s.send(0, m, 1)
	s.wave()
	require.Len(t, sent[*Prepare](s, 1), 3)
}

// Authenticators count towards the size of a batch: with many replicas they are most
// of it.
func TestAuthenticatorsCountInABatch(t *testing.T) {
	weight := int64(weight(request(1, 1, 4)))
	require.Equal(t, int64(2+4*protocols.MACSize), weight)
	s := newScript(t, 4, 1, map[string]int64{"batch_max": 16, "batch_bytes": 3 * weight, "pipeline": 1})
	for client := range 7 {
		s.ask(request(client, 1, 4), 0)
	}
	s.run()
	require.Len(t, s.actors[1].executed, 7)
	require.Len(t, s.actors[1].slots, 3, "1, 3 and 3")

	s = newScript(t, 4, 1, map[string]int64{"batch_max": 16, "batch_bytes": 3 * weight}, 0)
	var batch []*protocols.Request
	for client := range 4 {
		batch = append(batch, request(client, 1, 4))
	}
	s.send(0, propose(0, 1, batch...), 1)
	s.wave()
	require.Empty(t, sent[*Prepare](s, 1), "a proposal that is too large")
	s.send(0, propose(0, 1, batch[:3]...), 1)
	s.wave()
	require.NotEmpty(t, sent[*Prepare](s, 1))
}
