package observe

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// vote is a message type that promises one result per view and timestamp.
func vote() *protocols.MessageType {
	mt := protocols.ReplyType()
	mt.Name = "VOTE"
	mt.Once = mt.Round
	mt.Trace = func(m protocols.WireMessage, t protocols.TraceHash) { t.Digest(digest(m.(*protocols.Reply).Result[0])) }
	return &mt
}

func TestPromises(t *testing.T) {
	type say struct {
		node      protocols.NodeID
		path      string
		view, seq uint64
		what      byte
	}
	for _, tt := range []struct {
		name string
		say  []say
		want []string
	}{
		{"the same again", []say{{0, "", 1, 1, 5}, {0, "", 1, 1, 5}}, nil},
		{"each about something else", []say{{0, "", 1, 1, 5}, {0, "", 1, 2, 6}, {0, "", 2, 1, 7}, {1, "", 1, 1, 8}, {0, "a", 1, 1, 9}}, nil},
		{"a liar", []say{{3, "", 1, 1, 5}, {3, "", 1, 1, 6}}, nil},
		{
			"two digests for one slot",
			[]say{{0, "a", 1, 1, 5}, {0, "a", 1, 2, 5}, {0, "a", 1, 1, 6}},
			[]string{"promise 0: contradicts itself: a second, different VOTE of a about view 1, slot 1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRun(Config{Correct: func(id protocols.NodeID) bool { return id != 3 }, StopAtFirst: true})
			for i, s := range tt.say {
				require.Empty(t, r.Stopped())
				m := &protocols.Reply{View: s.view, Timestamp: s.seq, Result: []byte{s.what}}
				r.Sent(protocols.Time(i), s.node, s.path, vote(), m)
			}
			require.Equal(t, len(tt.want) > 0, r.Stopped() != "")
			require.Equal(t, tt.want, r.end())
		})
	}
}

// What is remembered is bounded, and what was said lately is remembered.
func TestPromisesAreForgotten(t *testing.T) {
	r := newRun(Config{N: 1})
	keep := r.vows.keep
	say := func(seq int, what byte) {
		r.Sent(1, 0, "", vote(), &protocols.Reply{Timestamp: uint64(seq), Result: []byte{what}})
	}
	for seq := range 5 * keep {
		say(seq, 1)
	}
	s := r.vows.nodes[0]
	require.LessOrEqual(t, len(s.young)+len(s.old), 2*keep)
	say(4*keep, 2)
	say(0, 2) // long ago
	require.Len(t, r.end(), 1)
}
