package smr

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

func digest(b byte) protocols.Digest { return protocols.Digest{b} }

func TestBitsetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Bitset
		model := map[int]bool{}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, 300)).Draw(t, "members") {
			require.Equal(t, !model[i], b.Add(i))
			model[i] = true
			require.True(t, b.Has(i))
		}
		require.Equal(t, len(model), b.Len())
		members := b.AppendMembers(nil)
		require.Len(t, members, len(model))
		for i, m := range members {
			require.True(t, model[m])
			require.True(t, i == 0 || members[i-1] < m)
		}
		b.Clear()
		require.Zero(t, b.Len())
		require.False(t, b.Has(100))
	})
}

func TestVotesCountEachVoterOnce(t *testing.T) {
	var v Votes
	require.Equal(t, 1, v.Add(0, digest(1)))
	require.Equal(t, 0, v.Add(0, digest(2)), "a second vote of one voter counts for nothing")
	require.Equal(t, 1, v.Add(1, digest(2)))
	require.Equal(t, 2, v.Add(70, digest(1)))
	d, n := v.Leader()
	require.Equal(t, digest(1), d)
	require.Equal(t, 2, n)
	require.Equal(t, []int{0, 70}, v.Voters(digest(1)))
	require.Equal(t, 3, v.Len())
	v.Clear()
	require.Zero(t, v.Count(digest(1)))
	require.Equal(t, 1, v.Add(0, digest(3)))
}

func TestClientTableExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 4).Draw(t, "window")
		table := NewClientTable(window)
		executed := map[protocols.RequestKey]bool{}
		at := uint64(0)
		newer := map[protocols.NodeID][]uint64{} // the latest timestamps executed, ascending
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			k := protocols.RequestKey{
				Client:    protocols.FirstClient + protocols.NodeID(rapid.IntRange(0, 2).Draw(t, "client")),
				Timestamp: uint64(rapid.IntRange(1, 12).Draw(t, "timestamp")),
			}
			result, cached, done := table.Executed(k)
			if newer[k.Client] != nil {
				require.Equal(t, k.Timestamp < newer[k.Client][0] && len(newer[k.Client]) == window || slices.Contains(newer[k.Client], k.Timestamp), done)
			}
			if executed[k] {
				require.True(t, done, "an executed request must never look fresh again")
			}
			if cached {
				require.Equal(t, []byte{byte(k.Timestamp)}, result)
			}
			if !done {
				at++
				table.Record(k, at, []byte{byte(k.Timestamp)})
				executed[k] = true
				last := append(newer[k.Client], k.Timestamp)
				slices.Sort(last)
				newer[k.Client] = last[max(0, len(last)-window):]
				_, _, done = table.Executed(k)
				require.True(t, done)
			}
		}
		enc := table.AppendTo(nil)
		back, err := readClientTable(bytes.NewReader(enc), window)
		require.NoError(t, err)
		require.Equal(t, enc, back.AppendTo(nil))
		for k := range executed {
			_, _, done := back.Executed(k)
			require.True(t, done)
		}
	})
}

func TestClientTableKeepsTheNewestReplies(t *testing.T) {
	table := NewClientTable(2)
	key := func(ts uint64) protocols.RequestKey {
		return protocols.RequestKey{Client: protocols.FirstClient, Timestamp: ts}
	}
	for _, ts := range []uint64{5, 3, 9} {
		table.Record(key(ts), ts, []byte{byte(ts)})
	}
	_, cached, done := table.Executed(key(3))
	require.True(t, done)
	require.False(t, cached, "the oldest reply made room")
	_, cached, _ = table.Executed(key(9))
	require.True(t, cached)
	_, _, done = table.Executed(key(2))
	require.True(t, done, "what is older than all that is kept is never executed")
	_, _, done = table.Executed(key(7))
	require.False(t, done)
}

// Whatever is recorded and taken back: the table is the one that gets there directly,
// by its encoding and by its digest, and keeps its bounds.
func TestClientTableUndo(t *testing.T) {
	h := auth.New(auth.NewReal(7, []byte("secret")).Keys(0), "", nil)
	rapid.Check(t, func(t *rapid.T) {
		const bytes, clients = 100, 5
		window := rapid.IntRange(1, 3).Draw(t, "window")
		fresh := func() *ClientTable {
			table := NewClientTable(window)
			table.maxBytes, table.maxClients = bytes, clients
			return table
		}
		type step struct {
			k      protocols.RequestKey
			result []byte
			undo   recorded
		}
		table := fresh()
		var history []step
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 && len(history) > 0 {
				last := len(history) - 1
				table.undo(history[last].undo)
				history = history[:last]
			} else {
				id := rapid.IntRange(0, 7).Draw(t, "client")
				k := protocols.RequestKey{Client: protocols.FirstClient + protocols.NodeID(id%4*tableBuckets+id), Timestamp: rapid.Uint64Range(1, 9).Draw(t, "timestamp")}
				if _, _, done := table.Executed(k); !done {
					result := make([]byte, rapid.IntRange(0, 60).Draw(t, "size"))
					history = append(history, step{k, result, table.record(k, uint64(len(history)+1), result)})
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "look") == 0 {
				table.Digest(h)
			}
			require.LessOrEqual(t, table.Len(), clients)
			require.LessOrEqual(t, table.bytes, bytes)
		}
		direct := fresh()
		for i, s := range history {
			direct.Record(s.k, uint64(i+1), s.result)
		}
		require.Equal(t, direct.AppendTo(nil), table.AppendTo(nil))
		require.Equal(t, direct.Digest(h), table.Digest(h))
		require.Equal(t, direct.bytes, table.bytes)
		back, err := readClientTable(reader(table.AppendTo(nil)), window)
		require.NoError(t, err)
		require.Equal(t, table.Digest(h), back.Digest(h))
		for a, b := table.oldest, back.oldest; a != nil || b != nil; a, b = a.next, b.next {
			require.Equal(t, a.at, b.at)
			require.Equal(t, a.client, b.client)
		}
	})
}

func reader(b []byte) *bytes.Reader { return bytes.NewReader(b) }

// At the bound of clients those that have none do not get an entry; at the bound of
// bytes the oldest reply goes, but what was executed stays executed.
func TestClientTableBounds(t *testing.T) {
	table := NewClientTable(1)
	table.maxClients, table.maxBytes = 2, 10
	key := func(client, ts int) protocols.RequestKey { return request(client, ts).Key() }
	table.Record(key(0, 1), 1, make([]byte, 6))
	table.Record(key(1, 1), 2, make([]byte, 5))
	_, cached, done := table.Executed(key(0, 1))
	require.True(t, done)
	require.False(t, cached)
	_, cached, _ = table.Executed(key(1, 1))
	require.True(t, cached)
	_, cached, done = table.Executed(key(2, 1))
	require.True(t, done, "never to be executed")
	require.False(t, cached)
	_, _, done = table.Executed(key(0, 2))
	require.False(t, done)
}

// A checkpoint hashes what has changed, not every reply that is cached.
func TestClientTableDigestIsIncremental(t *testing.T) {
	var ops counters
	h := auth.New(auth.NewReal(7, []byte("secret")).Keys(0), "", ops.Add)
	table := NewClientTable(1)
	for client := range 2000 {
		table.Record(request(client, 1).Key(), uint64(client+1), make([]byte, 4096))
	}
	table.Digest(h)
	ops = counters{}
	table.Record(request(7, 2).Key(), 5000, make([]byte, 4096))
	table.Digest(h)
	require.Less(t, ops.Bytes[protocols.OpDigest], uint64(48<<10))
	require.Equal(t, uint64(3), ops.Count[protocols.OpDigest])
}

func FuzzReadClientTable(f *testing.F) {
	table := NewClientTable(3)
	for ts := uint64(1); ts < 6; ts++ {
		table.Record(protocols.RequestKey{Client: protocols.FirstClient + protocols.NodeID(ts%2), Timestamp: ts}, ts, []byte("result"))
	}
	f.Add(table.AppendTo(nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		got, err := readClientTable(r, 3)
		if err != nil {
			return
		}
		require.Equal(t, b[:len(b)-r.Len()], got.AppendTo(nil), "an accepted encoding is the canonical one")
	})
}

func request(client, ts int) *protocols.Request {
	return &protocols.Request{Client: protocols.FirstClient + protocols.NodeID(client), Timestamp: uint64(ts)}
}

func TestPendingBoundsAndOrder(t *testing.T) {
	p := NewPending(3, 1)
	require.True(t, p.Add(request(0, 1), 10))
	require.False(t, p.Add(request(0, 1), 11), "no duplicates")
	require.True(t, p.Add(request(1, 1), 12))
	require.True(t, p.Add(request(0, 2), 13), "a newer request of the client replaces its older one")
	require.False(t, p.Add(request(0, 1), 14), "an older one does not come back")
	require.Equal(t, 2, p.Len())
	require.True(t, p.Add(request(2, 1), 15))
	require.False(t, p.Add(request(3, 1), 16), "the total bound holds")
	require.Equal(t, request(1, 1).Key(), p.Oldest().Key())
	require.NotNil(t, p.Get(request(2, 1).Key()))
	p.Remove(request(0, 2).Key())
	require.Nil(t, p.Get(request(0, 2).Key()))
	require.Equal(t, request(1, 1).Key(), p.Pop().Key())
	require.Equal(t, request(2, 1).Key(), p.Pop().Key())
	require.Nil(t, p.Pop())
}

func withSignature(r *protocols.Request) *protocols.Request {
	c := r.Clone()
	c.Signed = true
	return c
}

func TestPendingAwaitsWhatIsSigned(t *testing.T) {
	p := NewPending(3, 1)
	require.True(t, p.Add(request(0, 1), 10))
	require.True(t, p.Add(request(1, 1), 11))
	require.True(t, p.Add(withSignature(request(2, 1)), 12))
	require.Equal(t, 1, p.Awaited())
	require.True(t, p.Add(withSignature(request(0, 1)), 13), "a signed one takes the place of the same one")
	require.False(t, p.Add(request(0, 1), 14), "but not the other way round")
	require.False(t, p.Add(withSignature(request(0, 1)), 14))
	require.True(t, p.Get(request(0, 1).Key()).Signed)
	require.Equal(t, request(0, 1).Key(), p.Oldest().Key(), "in the same place")
	r, since := p.OldestAwaited()
	require.Equal(t, request(2, 1).Key(), r.Key(), "awaited for longer")
	require.Equal(t, protocols.Time(12), since)
	require.False(t, p.Add(request(3, 1), 15), "full")
	require.True(t, p.Add(withSignature(request(3, 1)), 16), "what is awaited displaces what is not")
	require.Nil(t, p.Get(request(1, 1).Key()))
	require.Equal(t, 3, p.Awaited())
	require.False(t, p.Add(withSignature(request(4, 1)), 17))
	require.False(t, p.Add(request(4, 1), 17))
}

func TestPendingAgainstModel(t *testing.T) {
	const total, perClient = 12, 3
	rapid.Check(t, func(t *rapid.T) {
		p := NewPending(total, perClient)
		var model []*protocols.Request
		find := func(is func(r *protocols.Request) bool) int { return slices.IndexFunc(model, is) }
		remove := func(i int) { model = slices.Delete(model, i, i+1) }
		add := func(r *protocols.Request) bool {
			if i := find(func(q *protocols.Request) bool { return q.Key() == r.Key() }); i >= 0 {
				if !r.Signed || model[i].Signed {
					return false
				}
				model[i] = r
				return true
			}
			count := 0
			for _, q := range model {
				if q.Client == r.Client {
					count++
				}
			}
			if count == perClient {
				i := find(func(q *protocols.Request) bool { return q.Client == r.Client })
				if model[i].Timestamp > r.Timestamp {
					return false
				}
				remove(i)
			}
			if len(model) == total {
				i := find(func(q *protocols.Request) bool { return !q.Signed })
				if !r.Signed || i < 0 {
					return false
				}
				remove(i)
			}
			model = append(model, r)
			return true
		}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			r := request(rapid.IntRange(0, 5).Draw(t, "client"), rapid.IntRange(1, 8).Draw(t, "timestamp"))
			if rapid.Bool().Draw(t, "signed") {
				r = withSignature(r)
			}
			same := func(q *protocols.Request) bool { return q.Key() == r.Key() }
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				require.Equal(t, add(r), p.Add(r, 0))
			case 2:
				p.Remove(r.Key())
				if i := find(same); i >= 0 {
					remove(i)
				}
			case 3:
				got := p.Pop()
				if len(model) == 0 {
					require.Nil(t, got)
				} else {
					require.Equal(t, model[0], got)
					remove(0)
				}
			}
			require.Equal(t, len(model), p.Len())
			require.Equal(t, find(same) >= 0, p.Get(r.Key()) != nil)
			awaited := 0
			for _, q := range model {
				if q.Signed {
					awaited++
				}
			}
			require.Equal(t, awaited, p.Awaited())
			var seen []*protocols.Request
			p.Each(func(r *protocols.Request) bool { seen = append(seen, r); return true })
			require.Truef(t, slices.Equal(model, seen), "want %v, got %v", model, seen)
		}
		p.Each(func(r *protocols.Request) bool { p.Remove(r.Key()); return true })
		require.Zero(t, p.Len())
		require.Zero(t, p.Awaited())
	})
}

// What a client costs does not depend on how much others have pending.
func BenchmarkPendingClientAtItsBound(b *testing.B) {
	p := NewPending(1<<20, 1)
	for i := range 1 << 16 {
		p.Add(request(i+1, 1), 0)
	}
	b.ResetTimer()
	for i := range b.N {
		p.Add(request(0, i+1), 0)
	}
}
