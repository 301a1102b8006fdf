package protocols_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

type sha struct{ charged []int }

func (s *sha) Digest(b []byte) protocols.Digest { return sha256.Sum256(b) }
func (s *sha) Charge(_ protocols.Op, n int)     { s.charged = append(s.charged, n) }

// Two quorums meet in a correct replica, and the correct replicas alone make one.
func TestQuorumsMeetInACorrectReplica(t *testing.T) {
	for f := 0; f <= 5; f++ {
		for n := 3*f + 1; n <= 3*f+8; n++ {
			q := protocols.Quorum(n, f)
			require.Greater(t, 2*q-n, f, "n=%d f=%d", n, f)
			require.LessOrEqual(t, q, n-f, "n=%d f=%d", n, f)
			require.LessOrEqual(t, 2*(q-1)-n, f, "n=%d f=%d: a smaller quorum would do", n, f)
		}
		require.Equal(t, 2*f+1, protocols.Quorum(3*f+1, f))
	}
	require.Equal(t, 4, protocols.Quorum(5, 1), "T7 of the edge sheet")
}

func TestRequestDigest(t *testing.T) {
	h := &sha{}
	r := &protocols.Request{Client: protocols.FirstClient, Timestamp: 7, Op: []byte("op"), Auth: []byte{1}}
	d := r.Digest(h)
	require.Empty(t, h.charged, "computing charges through the hasher itself")
	require.Equal(t, d, r.Digest(h))
	require.Len(t, h.charged, 1, "a memo costs what computing it would")
	require.Equal(t, d, r.Known(h))
	require.Len(t, h.charged, 1, "reading what admission paid for is free")

	other := r.Clone()
	other.Auth, other.Signed = []byte{2}, true
	require.Equal(t, d, other.Digest(h), "one body may carry several authenticators")
	for name, change := range map[string]func(*protocols.Request){
		"client":    func(r *protocols.Request) { r.Client++ },
		"timestamp": func(r *protocols.Request) { r.Timestamp++ },
		"operation": func(r *protocols.Request) { r.Op = []byte("oq") },
	} {
		c := r.Clone()
		change(c)
		require.NotEqual(t, d, c.Digest(h), name)
	}
	ident := &protocols.Request{Client: r.Client, Timestamp: r.Timestamp, Ident: d[:]}
	require.Equal(t, d, ident.Digest(h), "the identifier form has the digest of the body")
	ident.Digest(h)
	require.Len(t, h.charged, 1, "and nothing to compute")

	fresh := r.Clone()
	var both [2][]int
	for i, r := range []*protocols.Request{fresh, r} {
		h := &sha{}
		counted := protocols.Hasher(h)
		if i == 0 {
			counted = &countingHash{h}
		}
		r.Digest(counted)
		r.Known(counted)
		both[i] = h.charged
	}
	require.Equal(t, both[0], both[1], "with a memo or without: one hash of the same bytes")
}

// countingHash charges for what it computes, as hosts do.
type countingHash struct{ *sha }

func (h *countingHash) Digest(b []byte) protocols.Digest {
	h.Charge(protocols.OpDigest, len(b))
	return h.sha.Digest(b)
}

// An authenticator of a body is not good for its identifier, under whatever client
// and timestamp, nor the other way round; what is malformed has no proof.
func TestRequestFormsDoNotMix(t *testing.T) {
	h := &sha{}
	body := &protocols.Request{Client: protocols.FirstClient, Timestamp: 7, Op: []byte("op"), Auth: []byte{1}}
	d := body.Digest(h)
	ident := func(change func(*protocols.Request)) *protocols.Request {
		r := &protocols.Request{Client: body.Client, Timestamp: body.Timestamp, Ident: d[:], Auth: []byte{1}}
		if change != nil {
			change(r)
		}
		return r
	}
	good := ident(nil).Part(h)
	require.NotEqual(t, body.Part(h).Digest, good.Digest)
	require.NotEmpty(t, good.Proof)
	for name, change := range map[string]func(*protocols.Request){
		"client":    func(r *protocols.Request) { r.Client++ },
		"timestamp": func(r *protocols.Request) { r.Timestamp++ },
	} {
		require.NotEqual(t, good.Digest, ident(change).Part(h).Digest, name)
	}
	for name, change := range map[string]func(*protocols.Request){
		"with an operation": func(r *protocols.Request) { r.Op = []byte("op") },
		"too short":         func(r *protocols.Request) { r.Ident = r.Ident[:31] },
	} {
		bad := ident(change)
		require.Empty(t, bad.Part(h).Proof, name)
		other := bad.Clone()
		other.Ident = append([]byte{^bad.Ident[0]}, bad.Ident[1:]...)
		require.NotEqual(t, bad.Digest(h), other.Digest(h), name)
		require.NotEqual(t, d, bad.Digest(h), name)
	}
}

func table() *protocols.MessageTable {
	return protocols.NewMessageTable([]protocols.MessageType{protocols.RequestType(), protocols.ReplyType()})
}

func TestFrameRoundTrip(t *testing.T) {
	tab := table()
	mt := tab.Lookup(protocols.TagReply)
	m := &protocols.Reply{View: 3, Client: protocols.FirstClient + 1, Timestamp: 1 << 40, Replica: 2, Result: []byte("result")}
	seal := make([]byte, protocols.MACSize)
	b, err := protocols.AppendFrame([]byte("before"), 2, protocols.FirstClient+1, "backup/o", mt, m, seal)
	require.NoError(t, err)
	body, err := m.MarshalMsg(nil)
	require.NoError(t, err)
	require.Len(t, b, len("before")+protocols.FrameSize("backup/o", len(body), mt.Seal))
	f, err := protocols.DecodeFrame(tab, b[len("before")+4:])
	require.NoError(t, err)
	require.Equal(t, protocols.NodeID(2), f.From)
	require.Equal(t, "backup/o", f.Path)
	require.Equal(t, m, f.Message)
	require.Equal(t, seal, f.Seal)
	require.Equal(t, body, f.Body)

	_, err = protocols.AppendFrame(nil, 0, 1, "", mt, m, nil)
	require.ErrorContains(t, err, "seal has 0 bytes, want 16")
}

func TestDecodeRefusesWhatIsNotCanonical(t *testing.T) {
	mt := table().Lookup(protocols.TagReply)
	good, err := (&protocols.Reply{View: 1, Client: 1, Timestamp: 1, Replica: 1}).MarshalMsg(nil)
	require.NoError(t, err)
	_, err = protocols.DecodeMessage(mt, good)
	require.NoError(t, err)
	_, err = protocols.DecodeMessage(mt, append(append([]byte(nil), good...), 0))
	require.ErrorContains(t, err, "1 bytes after the message")
	// The view as a two-byte integer: the same value, another encoding.
	long := append([]byte{good[0], 0xcc, 0x01}, good[2:]...)
	_, err = protocols.DecodeMessage(mt, long)
	require.ErrorContains(t, err, "not canonical")
	// A header that promises more than it may.
	_, err = protocols.DecodeMessage(table().Lookup(protocols.TagRequest), []byte{0x96, 0, 0, 0xc6, 0xff, 0xff, 0xff, 0xff})
	require.Error(t, err)
}

func FuzzDecodeFrame(f *testing.F) {
	tab := table()
	for _, m := range []protocols.WireMessage{
		&protocols.Request{Client: protocols.FirstClient, Timestamp: 1, Op: []byte("x"), Auth: make([]byte, 64)},
		&protocols.Reply{Result: []byte("y")},
	} {
		mt := tab.Lookup(m.Tag())
		b, err := protocols.AppendFrame(nil, 1, 2, "o", mt, m, make([]byte, mt.Seal.SealSize()))
		require.NoError(f, err)
		f.Add(b[4:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := protocols.DecodeFrame(tab, b)
		if err != nil {
			return
		}
		again, err := protocols.AppendFrame(nil, got.From, got.To, got.Path, got.Type, got.Message, got.Seal)
		require.NoError(t, err)
		require.Equal(t, b, again[4:])
	})
}

func TestOptions(t *testing.T) {
	decl := []protocols.Option{
		{Name: "batch_max", Kind: protocols.OptionInt, Default: 64, Min: 1, Max: 100},
		{Name: "resend", Kind: protocols.OptionDuration, Default: int64(time.Second), Min: 1, Max: int64(time.Minute)},
		{Name: "log", Kind: protocols.OptionBool, Default: 1},
		{Name: "auth", Kind: protocols.OptionChoice, Choices: []string{"mac", "signature"}},
	}
	o, err := protocols.ResolveOptions(decl, map[string]int64{"auth": 1, "batch_max": 7})
	require.NoError(t, err)
	require.Equal(t, 7, o.Int("batch_max"))
	require.Equal(t, time.Second, o.Duration("resend"))
	require.True(t, o.Bool("log"))
	require.Equal(t, "signature", o.Choice("auth"))
	require.Panics(t, func() { o.Int("undeclared") })

	_, err = protocols.ResolveOptions(decl, map[string]int64{"batchmax": 7})
	require.EqualError(t, err, `unknown option "batchmax"; did you mean "batch_max"?`)
	_, err = protocols.ResolveOptions(decl, map[string]int64{"resend": 0})
	require.EqualError(t, err, "option resend is 0s; allowed is 1ns to 1m0s")
	_, err = protocols.ResolveOptions(decl, map[string]int64{"auth": 2})
	require.ErrorContains(t, err, "mac, signature")
}

func TestSuggest(t *testing.T) {
	require.Equal(t, `; did you mean "pbft"?`, protocols.Suggest("pbtf", []string{"raft", "pbft"}))
	require.Equal(t, "; allowed: pbft, raft", protocols.Suggest("zzzzzzzzz", []string{"raft", "pbft"}))
}

func TestVerdicts(t *testing.T) {
	var v protocols.Verdicts
	require.True(t, v.All())
	v = v.Fail(70)
	require.False(t, v.OK(70))
	require.True(t, v.OK(69))
	require.True(t, v.OK(700))
	require.False(t, v.All())
	w := v.Fail(3)
	require.False(t, w.OK(3))
	require.True(t, v.OK(3), "verdicts may be kept")
}

func TestTablesRefuseConfusion(t *testing.T) {
	require.PanicsWithValue(t, `protocols: tag 0x0003 is both "REQUEST" and "REQUEST"`, func() {
		protocols.NewMessageTable([]protocols.MessageType{protocols.RequestType()}, []protocols.MessageType{protocols.RequestType()})
	})
	wrong := protocols.ReplyType()
	wrong.Tag = 0x77
	require.Panics(t, func() { protocols.NewMessageTable([]protocols.MessageType{wrong}) })
	require.Panics(t, func() { protocols.NewRegistry(protocols.Entry{Name: "incomplete"}) })
}

func TestGroup(t *testing.T) {
	g := protocols.Replicas(4)
	require.Equal(t, 2, g.Index(2))
	require.Equal(t, -1, g.Index(4))
	require.Equal(t, protocols.Group{0, 1, 3}, g.Without(2))
	require.Equal(t, 2, g.Without(2).Index(3))
	require.True(t, protocols.FirstClient.IsClient())
	require.False(t, protocols.FirstAgent.IsClient())
}

// Mutations must not touch the message they were given: it is shared.
func TestMutationsCopy(t *testing.T) {
	for _, mt := range table().Types() {
		for _, mut := range mt.Mutations {
			r := &protocols.Request{Client: protocols.FirstClient, Timestamp: 5, Op: []byte("abc")}
			p := &protocols.Reply{View: 1, Timestamp: 5, Result: []byte("abc")}
			var m protocols.WireMessage = r
			if mt.Tag == protocols.TagReply {
				m = p
			}
			before, err := m.MarshalMsg(nil)
			require.NoError(t, err)
			changed, err := mut.Apply(m, nil).MarshalMsg(nil)
			require.NoError(t, err)
			after, err := m.MarshalMsg(nil)
			require.NoError(t, err)
			require.Equal(t, before, after, "%s %s", mt.Name, mut.Name)
			require.NotEqual(t, before, changed, "%s %s", mt.Name, mut.Name)
		}
	}
}
