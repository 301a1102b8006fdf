package pbft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/micro"
)

// signedOps is an application whose every operation carries a signature.
type signedOps struct{ protocols.Application }

func (signedOps) Checks(dst []protocols.SigCheck, op []byte) []protocols.SigCheck {
	return append(dst, protocols.SigCheck{Message: op})
}

func withSignedOps(s *script) *script {
	s.app = func() protocols.Application { return signedOps{micro.New(micro.Config{ReplyBytes: 8})} }
	for _, a := range s.actors {
		a.start(protocols.Fresh)
	}
	return s
}

// A request that comes again after it was decided, while its signatures are being
// checked, is not waited for: no slot will carry it again.
func TestRetransmissionBeforeExecution(t *testing.T) {
	for _, replica := range []protocols.NodeID{0, 2} { // primary, backup
		s := withSignedOps(newScript(t, 4, 1, nil))
		r := request(1, 1, 4)
		s.ask(r, 0)
		s.run()
		for _, a := range s.actors {
			require.Len(t, a.slots, 1)
			require.Empty(t, a.executed)
		}
		s.ask(signed(r), replica)
		s.run()
		s.answer(0, 1, 2, 3)
		s.pass(30 * time.Second)
		for _, a := range s.actors {
			require.Len(t, a.executed, 1)
			require.Len(t, a.slots, 1, "ordered twice")
			require.Empty(t, a.left, "replica %d suspects a correct primary", a.id)
		}
	}
}

// The same after a restart, when everything since the last snapshot waits for its
// checks.
func TestRetransmissionDuringReplay(t *testing.T) {
	s := withSignedOps(newScript(t, 4, 1, nil))
	r := request(1, 1, 4)
	s.ask(r, 0)
	s.run()
	s.answer(0, 1, 2, 3)
	s.run()
	s.crash(2)
	s.restart(protocols.Recovered, 2)
	require.NotEmpty(t, s.actors[2].checks)
	s.ask(signed(r), 2)
	s.answer(2)
	s.pass(30 * time.Second)
	require.Len(t, s.actors[2].executed, 1)
	require.Zero(t, s.o(2).pending.Len())
	require.Zero(t, s.o(0).view)
	require.Empty(t, s.actors[2].left)
}

// A request that is passed by while it waits, since a later one of its client is
// executed, is not waited for any more.
func TestClientThatLeavesRequestsBehind(t *testing.T) {
	s := newScript(t, 4, 1, nil)
	s.lost = func(p packet) bool { _, ok := p.m.(*protocols.Request); return ok } // relayed
	s.ask(signed(request(1, 1, 4)), 2, 3)
	s.run()
	s.lost = nil
	s.ask(signed(request(1, 2, 4)), 0)
	s.pass(30 * time.Second)
	require.Zero(t, s.o(2).pending.Len())
	for _, a := range s.actors {
		require.Empty(t, a.left, "replica %d suspects a correct primary", a.id)
	}
}

// A client whose MACs are good at backups and bad at the primary makes nobody
// suspect the primary, however often it tries; its signature does.
func TestClientWithMACsBadAtThePrimary(t *testing.T) {
	s := newScript(t, 4, 1, nil)
	for ts := range uint64(5) {
		s.ask(request(1, ts+1, 4, 0), 1, 2, 3)
		s.ask(request(2, ts+1, 4), 0) // others are served meanwhile
		s.pass(10 * time.Second)
	}
	for _, a := range s.actors {
		require.Empty(t, a.left, "replica %d", a.id)
		require.Len(t, a.executed, 5)
	}
	// Nor does it cost anything but its place in the queue.
	s.out.Reset()
	s.pass(10 * time.Second)
	require.Empty(t, s.out.String())

	// The last request, now signed and shown to one backup only, reaches the primary.
	s.ask(signed(request(1, 5, 4)), 3)
	s.pass(100 * time.Millisecond)
	require.Len(t, s.actors[0].executed, 6)
	// A primary that does not propose what is signed is left after the time-out.
	s.lost = func(p packet) bool { return p.to == 0 }
	s.ask(signed(request(1, 6, 4)), 1, 2, 3)
	s.pass(5 * time.Second)
	for _, id := range []protocols.NodeID{1, 2, 3} {
		require.Len(t, s.actors[id].executed, 7)
		require.Equal(t, uint64(1), s.o(id).view)
	}
}

// Under load a request that was passed over has as long with the new primary as it
// had with the old one.
func TestFairnessBeginsAnewWithTheView(t *testing.T) {
	s := newScript(t, 4, 1, nil)
	s.lost = func(p packet) bool {
		r, ok := p.m.(*protocols.Request)
		return ok && r.Client == protocols.FirstClient+1
	}
	s.ask(signed(request(1, 1, 4)), 2, 3) // relayed in vain
	load := func(seconds int) {
		for range 4 * seconds {
			s.ask(request(2, uint64(s.now)+1, 4), s.o(2).Primary())
			s.pass(time.Second / 4)
		}
	}
	load(7)
	require.Equal(t, uint64(0), s.o(2).view)
	load(2) // 8 time-outs are over
	require.Equal(t, uint64(1), s.o(2).view)
	load(5)
	require.Equal(t, uint64(1), s.o(2).view, "the new primary has 8 time-outs too")
	s.ask(signed(request(1, 1, 4)), 1)
	s.pass(time.Second)
	require.Contains(t, s.actors[2].executed, protocols.RequestKey{Client: protocols.FirstClient + 1, Timestamp: 1})
}
