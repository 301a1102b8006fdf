package market

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// FuzzDecodeTx: what decodes encodes back to the same bytes, and nothing panics a
// replica, whatever the verifier says.
func FuzzDecodeTx(f *testing.F) {
	c := newChance(f, 1)
	seen := make(map[byte]bool)
	for range 10_000 { // one good transaction of each kind
		op := c.next()
		if len(op) > EnvelopeSize && CodeOf(c.s.Apply(op, c.verify)) == OK && !seen[op[5]] {
			seen[op[5]] = true
			f.Add(op)
		}
	}
	f.Fuzz(func(t *testing.T, op []byte) {
		x, p, err := DecodeTx(op)
		s, nerr := New(chanceGenesis())
		require.NoError(t, nerr)
		code := CodeOf(s.Apply(op, func(protocols.SigCheck) bool { return true }))
		require.Equal(t, err != nil, code == ErrEncoding)
		s.Checks(nil, op)
		require.NoError(t, Check(s))
		require.NoError(t, s.Rollback(0))
		if err != nil {
			return
		}
		again := codec{enc: true}
		n := uint16(len(x.Payload))
		x.Envelope.fields(&again, &n)
		body, err := AppendPayload(nil, p)
		require.NoError(t, err)
		require.Equal(t, x.Payload, append([]byte{}, body...))
		again.raw(body)
		k := uint8(len(x.Signatures))
		again.u8(&k)
		for _, g := range x.Signatures {
			r := uint8(g.Role)
			again.u8(&r)
			again.u64(&g.Signer)
			again.sig(&g.Sig)
		}
		require.Equal(t, op, again.b)
	})
}

// FuzzRestore: no snapshot panics a replica, and one that is taken is sound.
func FuzzRestore(f *testing.F) {
	c := newChance(f, 2)
	for range 300 {
		c.s.Apply(c.next(), c.verify)
	}
	var snap bytes.Buffer
	require.NoError(f, c.s.Snapshot(&snap))
	f.Add(snap.Bytes())
	f.Add(snap.Bytes()[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := New(chanceGenesis())
		require.NoError(t, err)
		if s.Restore(bytes.NewReader(b)) == nil {
			require.NoError(t, Check(s))
		}
	})
}

// FuzzQuery: no query panics, none changes the state.
func FuzzQuery(f *testing.F) {
	c := newChance(f, 3)
	for range 500 {
		c.s.Apply(c.next(), c.verify)
	}
	for kind := range QueryRoot + 1 {
		f.Add(append([]byte{byte(kind)}, make([]byte, 28)...))
	}
	f.Add(NewQuery(QueryDevices, &DeviceFilter{Class: 7, Box: &BBox{}, Attrs: []AttrRange{{1, 2, 3}}}))
	root := c.s.Root()
	f.Fuzz(func(t *testing.T, q []byte) {
		answer := c.s.Query(q)
		require.GreaterOrEqual(t, len(answer), 9)
		require.Equal(t, root, c.s.Root())
	})
}
