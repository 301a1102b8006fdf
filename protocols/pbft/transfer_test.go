package pbft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
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

// A lying holder that sends something new for ever, or a little now and then, is
// passed over.
func TestTransferFromLiars(t *testing.T) {
	for name, lie := range map[string]func(n uint64) *smr.StateChunk{
		"ever later states": func(n uint64) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10 + n, Digest: dg(1), Chunks: 2, Data: []byte{1}}
		},
		"a trickle": func(n uint64) *smr.StateChunk {
			return &smr.StateChunk{Slot: 10, Digest: dg(1), Chunk: uint32(n % 32768), Chunks: 32768, Data: []byte{1}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for life := range uint32(4) { // whichever holder it begins with
				s := behind(t, 10, nil)
				s.actors[3].life = life
				s.crash(1)
				s.restart(protocols.Recovered, 3)
				s.queue = nil
				s.send(1, &Checkpoint{10, s.o(0).hDigest}, 3)
				s.run()
				for n := range uint64(400) {
					s.queue = append(s.queue, packet{1, 3, "", lie(n)})
					s.pass(50 * time.Millisecond)
				}
				require.Equal(t, uint64(10), s.o(3).delivered, "life %d", life)
			}
		})
	}
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
