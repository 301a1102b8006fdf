package smr

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
	"github.com/edgebft/edgebft/workloads/micro"
)

// executorEnv is as much of an Env as an Executor uses.
type executorEnv struct {
	protocols.Env
	auth *auth.Auth
}

func (e *executorEnv) Auth() protocols.Auth { return e.auth }
func (*executorEnv) Emit(protocols.Event)   {}

func newExecutor(block uint64) *Executor {
	env := &executorEnv{auth: auth.New(auth.NewReal(7, []byte("secret")).Keys(0), "", nil)}
	return NewExecutor(env, func() protocols.Application { return micro.New(micro.Config{ReplyBytes: 8}) }, 2, true, block)
}

// blockDigest is the definition, computed from the whole history.
func blockDigest(h protocols.Hasher, history []*protocols.Request, block uint64) (d protocols.Digest, end bool) {
	n := uint64(len(history))
	if block == 0 || n == 0 {
		return d, false
	}
	start := (n - 1) / block * block
	d = h.Digest(binary.BigEndian.AppendUint64([]byte("edgebft/block/v1"), start/block+1))
	for _, r := range history[start:] {
		x := r.Clone().Digest(h)
		d = h.Digest(append(d[:], x[:]...))
	}
	return d, n%block == 0
}

// Whatever is taken back, done again, written and read on the way: the block digest
// is that of the history, and the checkpoint digest that of an executor which went
// there directly.
func TestBlockDigestFollowsTheHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.Uint64Range(0, 5).Draw(t, "block")
		x := newExecutor(block)
		var history []*protocols.Request
		released, next := 0, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			default:
				next++
				r := request(next%3, next)
				r.Op = []byte(fmt.Sprint("operation ", next))
				require.False(t, x.Apply(r, nil).Duplicate)
				history = append(history, r)
			case 5:
				if len(history) > 0 {
					require.True(t, x.Apply(history[len(history)-1], nil).Duplicate)
				}
			case 6:
				to := rapid.IntRange(released, len(history)).Draw(t, "back to")
				require.NoError(t, x.Rollback(uint64(to)))
				history = history[:to]
			case 7:
				released = rapid.IntRange(released, len(history)).Draw(t, "release")
				x.Release(uint64(released))
			case 8:
				at := rapid.IntRange(released, len(history)).Draw(t, "snapshot at")
				got, err := x.SnapshotAt(uint64(at))
				require.NoError(t, err)
				direct := newExecutor(block)
				for _, r := range history[:at] {
					direct.Apply(r, nil)
				}
				want, err := direct.Snapshot()
				require.NoError(t, err)
				require.Equal(t, want, got)
			case 9:
				snapshot, err := x.Snapshot()
				require.NoError(t, err)
				d, _ := x.Digest()
				other := newExecutor(block)
				require.NoError(t, other.Restore(snapshot, d))
				require.Error(t, newExecutor(block).Restore(snapshot, protocols.Digest{1}))
				if rapid.Bool().Draw(t, "continue there") {
					x, released = other, len(history)
				}
			}
			want, end := blockDigest(x.env.Auth(), history, block)
			require.Equal(t, want, x.block)
			got, ended := x.Block()
			require.Equal(t, end, ended)
			if end {
				require.Equal(t, want, got)
			}
		}
		direct := newExecutor(block)
		for _, r := range history {
			direct.Apply(r, nil)
		}
		want, _ := direct.Digest()
		got, _ := x.Digest()
		require.Equal(t, want, got)
	})
}

// The checkpoint digest vouches for the block digest in a snapshot.
func TestSnapshotWithAnotherBlockIsRefused(t *testing.T) {
	x := newExecutor(4)
	x.Apply(request(0, 1), nil)
	snapshot, err := x.Snapshot()
	require.NoError(t, err)
	d, _ := x.Digest()
	snapshot[len(snapshotMagic)+8] ^= 1
	require.ErrorContains(t, newExecutor(4).Restore(snapshot, d), "digest")
	require.ErrorContains(t, newExecutor(4).Restore(snapshot[:len(snapshotMagic)+8], d), "not one of ours")
}

// signed returns a CERTIFY of a replica and the ring that judges it.
func signed(ring *auth.Ring, path string, signer protocols.NodeID, applied uint64, block, root byte) *Certify {
	a := auth.New(ring.Keys(signer), path, nil)
	m := &Certify{Applied: applied, Block: digest(block), Root: digest(root)}
	m.Signature = a.Sign(TagCertify, m.Digest(a))
	return m
}

func TestVerifyCertificate(t *testing.T) {
	ring := auth.NewReal(7, []byte("secret"))
	judge := auth.New(ring.Keys(protocols.FirstClient), "", nil)
	good := func(signers ...protocols.NodeID) *Certificate {
		c := &Certificate{Applied: 20, Block: digest(1), Root: digest(2)}
		for _, s := range signers {
			c.Signers = append(c.Signers, s)
			c.Signatures = append(c.Signatures, signed(ring, "p", s, 20, 1, 2).Signature)
		}
		return c
	}
	verify := func(c *Certificate, n, f int) error {
		return VerifyCertificate(c, judge, SignedAt(judge, "p"), n, f)
	}
	for _, c := range []*Certificate{good(0, 3), good(1, 2, 3), good(0, 1, 2, 3)} {
		require.NoError(t, verify(c, 4, 1))
	}
	require.NoError(t, verify(good(0), 1, 0))
	for name, c := range map[string]struct {
		n, f   int
		change func(c *Certificate)
		want   string
	}{
		"too few":             {7, 2, nil, "f+1 = 3"},
		"no cluster":          {2, 2, nil, "impossible cluster"},
		"negative f":          {4, -1, nil, "impossible cluster"},
		"signer out of range": {3, 1, nil, "signer 3 is no replica"},
		"negative signer":     {4, 1, func(c *Certificate) { c.Signers[0] = -1 }, "no replica"},
		"repeated signer": {4, 1, func(c *Certificate) {
			c.Signers[1], c.Signatures[1] = c.Signers[0], c.Signatures[0]
		}, "distinct"},
		"descending": {4, 1, func(c *Certificate) {
			c.Signers[0], c.Signers[1] = c.Signers[1], c.Signers[0]
			c.Signatures[0], c.Signatures[1] = c.Signatures[1], c.Signatures[0]
		}, "ascend"},
		"signature of another": {4, 1, func(c *Certificate) { c.Signatures[0] = c.Signatures[1] }, "does not verify"},
		"swapped signatures": {4, 1, func(c *Certificate) {
			c.Signatures[0], c.Signatures[1] = c.Signatures[1], c.Signatures[0]
		}, "does not verify"},
		"short signature": {4, 1, func(c *Certificate) { c.Signatures[1] = c.Signatures[1][:63] }, "63 bytes"},
		"no signature":    {4, 1, func(c *Certificate) { c.Signatures[1] = nil }, "0 bytes"},
		"one less":        {4, 1, func(c *Certificate) { c.Signatures = c.Signatures[:1] }, "one each"},
		"one more":        {4, 1, func(c *Certificate) { c.Signatures = append(c.Signatures, c.Signatures[0]) }, "one each"},
		"nobody":          {4, 1, func(c *Certificate) { c.Signers, c.Signatures = nil, nil }, "0 signers"},
		"other applied":   {4, 1, func(c *Certificate) { c.Applied++ }, "does not verify"},
		"applied 0":       {4, 1, func(c *Certificate) { c.Applied = 0 }, "0 applied"},
		"other block":     {4, 1, func(c *Certificate) { c.Block[31] ^= 1 }, "does not verify"},
		"other root":      {4, 1, func(c *Certificate) { c.Root[0] ^= 1 }, "does not verify"},
		"block and root":  {4, 1, func(c *Certificate) { c.Block, c.Root = c.Root, c.Block }, "does not verify"},
		"a bad third": {4, 1, func(c *Certificate) {
			c.Signers, c.Signatures = append(c.Signers[:1:1], 1, 3), append(c.Signatures[:1:1], make([]byte, 64), c.Signatures[1])
		}, "signature of 1 does not verify"},
	} {
		cert := good(0, 3)
		if c.change != nil {
			c.change(cert)
		}
		require.ErrorContains(t, verify(cert, c.n, c.f), c.want, name)
	}
	require.ErrorContains(t, VerifyCertificate(good(0, 3), judge, SignedAt(judge, ""), 4, 1), "does not verify", "another path")
	other := auth.New(auth.NewReal(8, []byte("secret")).Keys(protocols.FirstClient), "", nil)
	require.ErrorContains(t, VerifyCertificate(good(0, 3), other, SignedAt(other, "p"), 4, 1), "does not verify", "another cluster")
}

func FuzzDecodeCertificate(f *testing.F) {
	c := Certificate{Applied: 7, Block: digest(1), Root: digest(2), Signers: []protocols.NodeID{0, 2}, Signatures: [][]byte{make([]byte, 64), {1}}}
	for _, c := range []Certificate{c, {}} {
		b, err := c.MarshalMsg(nil)
		require.NoError(f, err)
		f.Add(b)
		f.Add(append(b, 0))
		f.Add(b[:len(b)/2])
	}
	judge := auth.New(auth.NewModelled(1, 1).Keys(0), "", nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCertificate(b)
		if err != nil {
			return
		}
		again, err := c.MarshalMsg(nil)
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, again))
		require.Error(t, VerifyCertificate(&c, judge, SignedAt(judge, ""), 4, 1), "nobody has signed anything")
	})
}

// A Byzantine replica signs what it likes, as often as it likes and as far ahead as
// it likes: nothing but what correct replicas signed gets certified, memory stays
// within its bounds, and every block that enough correct replicas sign while it is in
// the window is certified.
func TestOnlyTheTruthIsCertified(t *testing.T) {
	const n, f, block = 7, 2, 10
	ring := auth.NewModelled(7, 1)
	judge := auth.New(ring.Keys(0), "", nil)
	rapid.Check(t, func(t *rapid.T) {
		c := certifier{every: block, need: f + 1, self: 0}
		truth := map[uint64]map[protocols.NodeID]bool{} // correct signers of each block, while in the window
		reached := [n]uint64{}                          // blocks, per correct replica
		for range rapid.IntRange(1, 120).Draw(t, "votes") {
			signer := protocols.NodeID(rapid.IntRange(0, n-1).Draw(t, "signer"))
			executed := reached[0]*block + rapid.Uint64Range(0, block-1).Draw(t, "more")
			var m *Certify
			if signer >= n-f {
				at := rapid.SampledFrom([]uint64{
					0, 1, executed, executed + block, executed / block * block, (executed/block + 2) * block,
					(executed/block + certifySpan) * block, (executed/block + certifySpan + 1) * block, 1 << 40 * block, ^uint64(0),
				}).Draw(t, "applied")
				m = signed(ring, "", signer, at, 1, 66)
			} else {
				reached[signer]++
				at := reached[signer] * block
				m = signed(ring, "", signer, at, 1, 2)
				if signer == 0 {
					executed = at
				}
				if now := reached[0]; reached[signer] <= now+certifySpan && reached[signer]+certifySpan > now {
					if truth[at] == nil {
						truth[at] = map[protocols.NodeID]bool{}
					}
					truth[at][signer] = true
				}
			}
			before := c.last()
			cert := c.add(signer, m, executed)
			require.LessOrEqual(t, len(c.pending), 2*certifySpan)
			require.LessOrEqual(t, len(c.kept), certificatesKept)
			for i := range c.pending {
				require.Greater(t, c.pending[i].applied, c.last())
				require.True(t, i == 0 || c.pending[i-1].applied < c.pending[i].applied)
			}
			if cert != nil {
				require.Equal(t, Certificate{Applied: m.Applied, Block: digest(1), Root: digest(2), Signers: cert.Signers, Signatures: cert.Signatures}, *cert)
				require.Greater(t, cert.Applied, before)
				require.Len(t, cert.Signers, f+1)
				require.NoError(t, VerifyCertificate(cert, judge, SignedAt(judge, ""), n, f))
				require.Equal(t, cert, c.at(cert.Applied))
			}
			if s := truth[m.Applied]; len(s) == f+1 && s[signer] {
				require.GreaterOrEqual(t, c.last(), m.Applied, "enough correct replicas have signed")
			}
		}
	})
}

func TestOwnLastVoteAndOthersFirstVoteCount(t *testing.T) {
	ring := auth.NewModelled(7, 1)
	vote := func(s protocols.NodeID, root byte) *Certify { return signed(ring, "", s, 10, 1, root) }
	c := certifier{every: 10, need: 2, self: 0}
	require.Nil(t, c.add(0, vote(0, 9), 10), "a state that turns out to be wrong")
	require.Nil(t, c.add(3, vote(3, 8), 10))
	require.Nil(t, c.add(3, vote(3, 9), 10), "its second vote")
	require.Nil(t, c.add(0, vote(0, 2), 10))
	require.Nil(t, c.add(1, vote(1, 9), 10), "the own vote for it was replaced")
	cert := c.add(2, vote(2, 2), 10)
	require.NotNil(t, cert)
	require.Equal(t, []protocols.NodeID{0, 2}, cert.Signers)
	require.Equal(t, digest(2), cert.Root)
	require.Empty(t, c.pending)

	off := certifier{need: 1}
	require.Nil(t, off.add(0, vote(0, 2), 10), "block 0 is off")
}
