package pbft

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
	"github.com/edgebft/edgebft/workloads/micro"
)

// behind is a cluster whose replica 3 has missed requests 1..count.
func behind(t testing.TB, count int, options map[string]int64, liars ...protocols.NodeID) *script {
	set := map[string]int64{"checkpoint": 2, "snapshot_every": 1000}
	for k, v := range options {
		set[k] = v
	}
	s := newScript(t, 4, 1, set, liars...)
	s.lost = func(p packet) bool { return p.from == 3 || p.to == 3 }
	for i := range count {
		s.ask(request(1, uint64(i+1), 4), 0)
		s.run()
	}
	require.Len(t, s.actors[1].executed, count)
	s.lost = nil
	return s
}

// What the holders have on disk may be older than any checkpoint that the laggard
// has heard of, and then cannot be believed; they make a later one.
func TestTransferWhenTheSavedStateIsOld(t *testing.T) {
	s := behind(t, 10, map[string]int64{"snapshot_every": 6})
	s.lost = func(p packet) bool { return p.m.Tag() == smr.TagFetchState && p.to != 0 } // only one answers
	s.o(3).asking = true
	s.o(3).armResend()
	s.pass(20 * time.Second)
	require.Equal(t, uint64(10), s.o(3).delivered)
	require.Equal(t, s.o(0).hDigest, s.o(3).hDigest)
}

// A lying holder that sends something new for ever, a little now and then, rubbish, or
// more than there is, under a digest that is vouched for, is passed over soon.
func TestTransferFromLiars(t *testing.T) {
	full := make([]byte, 64<<10)
	for name, lie := range map[string]func(n uint64, d protocols.Digest) *smr.StateChunk{
		"ever later states": func(n uint64, _ protocols.Digest) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10 + n, Digest: dg(1), Chunks: 2, Data: full}
		},
		"a trickle": func(n uint64, d protocols.Digest) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10, Digest: d, Chunk: uint32(n / 16), Chunks: 128, Data: full}
		},
		"bytes instead of chunks": func(n uint64, d protocols.Digest) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10, Digest: d, Chunk: uint32(n), Chunks: 32768, Data: []byte{1}}
		},
		"bytes instead of few chunks": func(n uint64, d protocols.Digest) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10, Digest: d, Chunk: uint32(n % 100), Chunks: 101, Data: []byte{1}}
		},
		"rubbish": func(n uint64, d protocols.Digest) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10, Digest: d, Chunk: uint32(n), Chunks: 64, Data: full}
		},
		"more than there is": func(n uint64, d protocols.Digest) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10, Digest: d, Chunk: uint32(n), Chunks: 32768, Data: full}
		},
		"more than can be": func(_ uint64, d protocols.Digest) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10, Digest: d, Chunks: 1 << 31, Data: full}
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			for life := range uint32(4) { // whichever holder it begins with
				s := behind(t, 10, nil)
				s.actors[3].life = life
				s.crash(1)
				s.restart(protocols.Recovered, 3)
				s.queue = nil
				d := s.o(0).hDigest
				s.send(1, &Checkpoint{10, d}, 3)
				s.lost = func(p packet) bool { asked = asked || p.to == 1 && p.m.Tag() == smr.TagFetchState; return false }
				s.run()
				for n := range uint64(120) {
					for i := range uint64(8) { // 32 in a period of the transfer
						s.queue = append(s.queue, packet{1, 3, "", lie(8*n+i, d)})
					}
					s.pass(50 * time.Millisecond)
				}
				require.Equal(t, uint64(10), s.o(3).delivered, "life %d", life)
			}
			require.True(t, asked, "the liar was not asked once")
		})
	}
}

// A state of more chunks than a holder is trusted with at first arrives too, however
// few holders there are.
func TestTransferOfALargeState(t *testing.T) {
	for _, holders := range []int{1, 3} {
		s := newScript(t, 4, 1, map[string]int64{"checkpoint": 2, "snapshot_every": 1000})
		s.app = func() protocols.Application { return large{micro.New(micro.Config{ReplyBytes: 8})} }
		for _, a := range s.actors {
			a.start(protocols.Fresh)
		}
		s.lost = func(p packet) bool { return p.from == 3 || p.to == 3 }
		for ts := range uint64(4) {
			s.ask(request(1, ts+1, 4), 0)
			s.run()
		}
		s.lost = func(p packet) bool { return p.m.Tag() == smr.TagFetchState && int(p.to) >= holders }
		s.o(3).asking = true
		s.o(3).armResend()
		s.pass(20 * time.Second)
		require.Equal(t, uint64(4), s.o(3).delivered)
		require.Equal(t, s.o(0).hDigest, s.o(3).hDigest)
	}
}

// large is an application whose snapshots have 20 MiB more than they need.
type large struct{ protocols.Application }

func (l large) Snapshot(w io.Writer) error {
	if _, err := w.Write(make([]byte, 20<<20)); err != nil {
		return err
	}
	return l.Application.Snapshot(w)
}

func (l large) Restore(r io.Reader) error {
	if _, err := io.CopyN(io.Discard, r, 20<<20); err != nil {
		return err
	}
	return l.Application.Restore(r)
}

// More checkpoints while a state is on its way do not make the transfer begin
// again, nor what has come worthless.
func TestTransferUnderLoad(t *testing.T) {
	s := behind(t, 10, nil)
	slow := []packet{}
	s.lost = func(p packet) bool {
		if p.m.Tag() == smr.TagStateChunk {
			slow = append(slow, p)
			return true
		}
		return false
	}
	s.o(3).asking = true
	s.o(3).armResend()
	s.pass(150 * time.Millisecond)
	require.NotEmpty(t, slow, "the state is on its way")
	first := slow[0]
	for i := range uint64(20) {
		s.ask(request(1, 11+i, 4), 0)
		s.run()
	}
	s.lost = nil
	s.queue = []packet{first}
	s.wave()
	require.GreaterOrEqual(t, s.o(3).delivered, first.m.(*smr.StateChunk).Slot)
}

// jumped is a cluster of 7 in which replica 0 alone, with the help of the Byzantine 5
// and 6, decided slots up to last; they show its checkpoint to replica 1 alone, which
// adopts that state. Then they are silent, and the network is calm. Checkpoints up to
// proven became stable at 0, 2, 3 and 4 before.
func jumped(t *testing.T, proven, last uint64) *script {
	s := newScript(t, 7, 2, map[string]int64{"checkpoint": 4, "pipeline": 16, "view_change_timeout": int64(5 * time.Second)}, 5, 6)
	var batches []protocols.Digest
	s.lost = func(p packet) bool {
		if m, ok := p.m.(*Commit); ok && p.to != 0 && m.Seq > proven && p.from < 5 { // four are no quorum
			return p.to == 1
		}
		return p.to == 1 && p.m.Tag() != TagCheckpoint || p.to == 1 && p.from != 0 && p.from < 5
	}
	vote := func(seq uint64) {
		d := s.o(2).log.peek(seq).digest
		batches = append(batches, d)
		for _, liar := range []protocols.NodeID{5, 6} {
			s.send(liar, &Prepare{0, seq, d}, 0, 2, 3, 4)
			s.send(liar, &Commit{0, seq, d}, 0)
			if seq <= proven {
				s.send(liar, &Commit{0, seq, d}, 2, 3, 4)
			}
		}
		s.run()
	}
	for seq := uint64(1); seq <= last; seq++ {
		s.ask(request(1, seq, 7), 0)
		s.run()
		vote(seq)
		if seq <= proven && seq%4 == 0 {
			for _, liar := range []protocols.NodeID{5, 6} {
				s.send(liar, &Checkpoint{seq, s.o(0).own[0].Digest}, 0, 2, 3, 4)
			}
			s.run()
		}
	}
	require.Equal(t, last, s.o(0).delivered)
	require.Equal(t, []uint64{proven, proven, 0}, []uint64{s.o(0).h, s.o(2).h, s.o(1).h})
	require.Equal(t, proven, s.o(2).delivered)
	top := s.o(0).own[len(s.o(0).own)-1]
	require.Equal(t, last, top.Seq)
	for _, from := range []protocols.NodeID{0, 5, 6} {
		s.send(from, &Checkpoint{top.Seq, top.Digest}, 1)
	}
	s.lost = func(p packet) bool { // the state comes from 0, and nothing else yet
		return p.to == 1 && p.m.Tag() != TagCheckpoint && p.m.Tag() != smr.TagStateChunk || p.to == 1 && p.from != 0 && p.from < 5 || p.from == 1 && p.to != 0
	}
	for range 40 {
		if s.o(1).delivered < last {
			s.pass(100 * time.Millisecond)
		}
	}
	require.Equal(t, last, s.o(1).delivered)
	require.Zero(t, s.o(0).view)
	return s
}

// A state that f+1 replicas vouch for may have one correct holder. The replica that
// fetched it keeps its log until more have it, or no two quorums could agree any more on
// where a view begins.
func TestFetchedStateIsNotStable(t *testing.T) {
	for _, c := range []struct{ proven, last uint64 }{{0, 4}, {0, 8}, {4, 8}, {4, 12}, {8, 16}} {
		for _, restart := range []bool{false, true} {
			s := jumped(t, c.proven, c.last)
			require.Zero(t, s.o(1).h)
			if restart {
				s.crash(1)
				s.restart(protocols.Recovered, 1)
				require.Zero(t, s.o(1).h)
				require.Equal(t, c.last, s.o(1).delivered)
			}
			s.lost = nil
			s.ask(signed(request(2, 1, 7)), others(7, 5, 6)...)
			s.pass(time.Minute)
			for id := range protocols.NodeID(5) {
				require.GreaterOrEqual(t, s.o(id).delivered, c.last+1, "proven %d, last %d, replica %d", c.proven, c.last, id)
				require.Equal(t, c.last, s.o(id).h, "replica %d", id)
			}
			s.agree()
		}
	}
}

// Holders that are farther away than the time-out are waited for in the end: whenever
// all have been asked in vain, the time-out doubles.
func TestTransferWaitsLongerForFarHolders(t *testing.T) {
	s := behind(t, 10, nil)
	asked := 0
	s.lost = func(p packet) bool {
		if p.m.Tag() == smr.TagFetchState && p.from == 3 {
			asked++ // twice each: when it is written down and when it is delivered
		}
		return p.m.Tag() == smr.TagStateChunk
	}
	s.o(3).asking = true
	s.o(3).armResend()
	s.pass(10 * time.Second)
	require.Greater(t, asked/2, 6)
	require.Less(t, asked/2, 25, "one every 200 ms")
	s.lost = nil
	s.pass(20 * time.Second)
	require.Equal(t, uint64(10), s.o(3).delivered)
}
