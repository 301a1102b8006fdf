package pbft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// A client waits longer before it retransmits when its requests usually take long:
// an overloaded cluster must not spend its time on checking retransmissions.
func TestClientIsPatientUnderLoad(t *testing.T) {
	s := newScript(t, 4, 1, nil)
	options, err := protocols.ResolveOptions(Options(), nil)
	require.NoError(t, err)
	a := &actor{s: s, id: protocols.FirstClient}
	c := NewClient(&protocols.Config{Cluster: 7, Self: a.id, N: 4, F: 1, Replicas: protocols.Replicas(4), Options: options})
	c.Start(&scriptEnv{a: a}, protocols.Boot{})
	timestamp := uint64(0)
	serve := func(latency time.Duration) (wait time.Duration) {
		timestamp++
		c.Invoke(timestamp, []byte("op"))
		require.Len(t, a.timers, 1)
		wait = a.timers[0].at.Sub(s.now)
		s.now = s.now.Add(latency)
		for id := range protocols.NodeID(2) {
			c.Receive(&protocols.Envelope{From: id}, &protocols.Reply{Client: a.id, Timestamp: timestamp, Replica: id}, protocols.Verdicts{})
		}
		require.Empty(t, a.timers, "served")
		return wait
	}
	require.Equal(t, 500*time.Millisecond, serve(time.Second))
	require.Equal(t, 2*time.Second, serve(time.Second), "four times the mean of 0 and 1 s")
	for range 10 {
		serve(10 * time.Second)
	}
	require.Equal(t, 8*time.Second, serve(0), "client_timeout_max")
	for range 10 {
		serve(time.Millisecond)
	}
	require.Equal(t, 500*time.Millisecond, serve(0), "it forgets")
}

// A retransmission goes to all replicas; backups bother the primary with it only if
// it still waits after a while.
func TestRetransmissionsAreRelayedLate(t *testing.T) {
	relayed := func(s *script) (n int) {
		for id := range protocols.NodeID(4) {
			n += len(sent[*protocols.Request](s, id))
		}
		return n
	}
	s := newScript(t, 4, 1, nil)
	s.ask(request(1, 1, 4), 2)
	require.Equal(t, 1, relayed(s), "a client that is wrong about the primary")
	s.run()
	s.ask(signed(request(1, 2, 4)), 0, 1, 2, 3)
	require.Zero(t, relayed(s))
	s.pass(time.Second)
	require.Len(t, s.actors[3].executed, 2)

	s.ask(signed(request(1, 3, 4)), 2)
	require.Zero(t, relayed(s))
	s.pass(99 * time.Millisecond)
	require.Len(t, s.actors[3].executed, 2)
	s.pass(2 * time.Millisecond)
	require.Len(t, s.actors[3].executed, 3)
}
