package auth

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

func rings() map[string]*Ring {
	return map[string]*Ring{"real": NewReal(7, []byte("secret")), "modelled": NewModelled(7, 42)}
}

func otherCluster(r *Ring) *Ring {
	o := *r
	o.cluster++
	return &o
}

// Every single thing that an authenticator is bound to must matter.
func TestBinding(t *testing.T) {
	for name, ring := range rings() {
		t.Run(name, func(t *testing.T) {
			alice, bob, carol := ring.Keys(1), ring.Keys(2), ring.Keys(3)
			d := alice.Digest([]byte("hello"))
			s := Scope{Use: PartUse, Path: "a/b", Type: 0x0201}
			mac, sig := alice.MAC(s, 2, d), alice.Sign(s, d)
			require.True(t, bob.CheckMAC(s, 1, d, mac[:]))
			require.True(t, bob.CheckSignature(s, 1, d, sig[:]))
			require.True(t, carol.CheckSignature(s, 1, d, sig[:]), "signatures are transferable")
			require.True(t, alice.CheckSignature(s, 1, d, sig[:]), "own signatures verify")

			wrong := map[string]func(s *Scope, from *protocols.NodeID, d *protocols.Digest, k *Keys){
				"use":     func(s *Scope, _ *protocols.NodeID, _ *protocols.Digest, _ *Keys) { s.Use = SealUse },
				"path":    func(s *Scope, _ *protocols.NodeID, _ *protocols.Digest, _ *Keys) { s.Path = "a/c" },
				"no path": func(s *Scope, _ *protocols.NodeID, _ *protocols.Digest, _ *Keys) { s.Path = "" },
				"type":    func(s *Scope, _ *protocols.NodeID, _ *protocols.Digest, _ *Keys) { s.Type++ },
				"signer":  func(_ *Scope, from *protocols.NodeID, _ *protocols.Digest, _ *Keys) { *from = 3 },
				"digest":  func(_ *Scope, _ *protocols.NodeID, d *protocols.Digest, _ *Keys) { d[31] ^= 1 },
				"cluster": func(_ *Scope, _ *protocols.NodeID, _ *protocols.Digest, k *Keys) {
					*k = otherCluster(ring).Keys((*k).Self())
				},
			}
			for what, change := range wrong {
				s, from, d, k := s, protocols.NodeID(1), d, bob
				change(&s, &from, &d, &k)
				require.False(t, k.CheckMAC(s, from, d, mac[:]), "MAC with wrong %s", what)
				require.False(t, k.CheckSignature(s, from, d, sig[:]), "signature with wrong %s", what)
			}
			require.False(t, carol.CheckMAC(s, 1, d, mac[:]), "a MAC is for its receiver")
			require.False(t, alice.CheckMAC(s, 2, d, mac[:]), "a MAC does not reflect")
			require.False(t, bob.CheckMAC(s, 1, d, mac[:15]))
			require.False(t, bob.CheckMAC(s, 1, d, sig[:16]))
			require.False(t, bob.CheckSignature(s, 1, d, sig[:63]))
			require.False(t, bob.CheckSignature(s, 1, d, nil))
			require.False(t, bob.CheckMAC(s, 1, d, make([]byte, 16)))
		})
	}
}

func TestSeals(t *testing.T) {
	body := []byte("the canonical encoding")
	for name, ring := range rings() {
		for _, kind := range []protocols.Seal{protocols.SealNone, protocols.SealMAC, protocols.SealSignature} {
			t.Run(fmt.Sprint(name, " ", kind), func(t *testing.T) {
				mt := &protocols.MessageType{Tag: 0xF001, Name: "X", Seal: kind}
				var made, checked counters
				from, to := ring.Keys(0), ring.Keys(3)
				seal := Seal(nil, from, made.Add, mt, "p", 3, SealDigest(from, made.Add, kind, body))
				require.Len(t, seal, kind.SealSize())
				d := SealDigest(to, checked.Add, kind, body)
				require.True(t, CheckSeal(to, checked.Add, mt, "p", 0, d, seal))
				require.False(t, CheckSeal(to, nil, mt, "p", 0, d, append(seal, 0)), "size")
				switch kind {
				case protocols.SealNone:
					require.Zero(t, made)
					require.Zero(t, checked)
				case protocols.SealMAC:
					require.Equal(t, [2]uint64{1, 1}, [2]uint64{made.Count[protocols.OpMAC], checked.Count[protocols.OpMACVerify]})
				case protocols.SealSignature:
					require.Equal(t, [2]uint64{1, 1}, [2]uint64{made.Count[protocols.OpSign], checked.Count[protocols.OpVerify]})
				}
				if kind != protocols.SealNone {
					require.Equal(t, uint64(len(body)), made.Bytes[protocols.OpDigest])
					require.False(t, CheckSeal(to, nil, mt, "q", 0, d, seal), "path")
					require.False(t, CheckSeal(to, nil, mt, "p", 1, d, seal), "sender")
					require.False(t, CheckSeal(to, nil, mt, "p", 0, protocols.Digest{1}, seal), "body")
				}
			})
		}
	}
}

// A seal over a digest must not serve as a part over the same digest.
func TestSealIsNoPart(t *testing.T) {
	for name, ring := range rings() {
		t.Run(name, func(t *testing.T) {
			from, to := ring.Keys(0), ring.Keys(1)
			mt := &protocols.MessageType{Tag: 0xF001, Seal: protocols.SealSignature}
			d := from.Digest([]byte("body"))
			p := protocols.Part{Kind: protocols.PartSignature, Signer: 0, Path: "p", Type: mt.Tag, Digest: d}
			p.Proof = Seal(nil, from, nil, mt, "p", 1, d)
			require.False(t, New(to, "p", nil).VerifyPart(&p, 0, 4))
			p.Proof = New(from, "p", nil).Sign(mt.Tag, d)
			require.True(t, New(to, "p", nil).VerifyPart(&p, 0, 4))
			require.False(t, CheckSeal(to, nil, mt, "p", 0, d, p.Proof))
		})
	}
}

func TestAuthenticators(t *testing.T) {
	group := protocols.Replicas(4)
	for name, ring := range rings() {
		t.Run(name, func(t *testing.T) {
			var ops counters
			a := New(ring.Keys(1), "x", ops.Add)
			d := a.Digest([]byte("request"))
			proof := a.MACs(0xF002, group, d)
			require.Len(t, proof, 4*protocols.MACSize)
			require.Equal(t, uint64(3), ops.Count[protocols.OpMAC], "the own entry is not counted")
			for i := range group {
				b := New(ring.Keys(protocols.NodeID(i)), "somewhere", ops.Add)
				p := protocols.Part{Kind: protocols.PartMAC, Signer: 1, Path: "x", Type: 0xF002, Digest: d, Proof: proof}
				require.True(t, b.VerifyPart(&p, i, 4), "entry %d", i)
				require.False(t, b.VerifyPart(&p, (i+1)%4, 4), "somebody else's entry")
				before := ops
				require.False(t, b.VerifyPart(&p, 4, 4))
				require.False(t, b.VerifyPart(&p, -1, 4))
				for _, proof := range [][]byte{proof[:63], proof[:48], append(proof[:64:64], make([]byte, 16)...)} {
					p.Proof = proof
					require.False(t, b.VerifyPart(&p, i, 4), "%d bytes", len(proof))
				}
				p.Kind = 9
				require.False(t, b.VerifyPart(&p, 0, 4))
				require.Equal(t, before, ops, "malformed proofs cost nothing")
			}
			a.Charge(protocols.OpApply, 100)
			require.Equal(t, uint64(100), ops.Bytes[protocols.OpApply])
		})
	}
}

// Real and modelled cryptography agree on sizes, verdicts and charges.
func TestRealAndModelledAgree(t *testing.T) {
	real, modelled := NewReal(1, []byte("s")), NewModelled(1, 1)
	rapid.Check(t, func(t *rapid.T) {
		node := rapid.SampledFrom([]protocols.NodeID{0, 1, 2, 3, protocols.FirstClient, protocols.FirstAgent})
		path := rapid.SampledFrom([]string{"", "a", "a/b", "ordered/12345678"})
		signer, verifier, claimed := node.Draw(t, "signer"), node.Draw(t, "verifier"), node.Draw(t, "claimed")
		madeAt, claimedAt := path.Draw(t, "path"), path.Draw(t, "claimed path")
		tag := protocols.Tag(rapid.IntRange(0, 2).Draw(t, "type"))
		claimedTag := protocols.Tag(rapid.IntRange(0, 2).Draw(t, "claimed type"))
		data, claimedData := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "data"), rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "claimed data")
		kind := protocols.PartKind(rapid.IntRange(0, 2).Draw(t, "kind"))
		index := rapid.IntRange(-1, 6).Draw(t, "index")
		cut := rapid.IntRange(0, 2).Draw(t, "cut")
		group := protocols.Group{0, 1, 2, 3, protocols.FirstClient}

		type outcome struct {
			size int
			ok   bool
			ops  counters
		}
		try := func(ring *Ring) (o outcome) {
			a := New(ring.Keys(signer), madeAt, o.ops.Add)
			proof := a.Sign(tag, a.Digest(data))
			if kind == protocols.PartMAC {
				proof = a.MACs(tag, group, a.Digest(data))
			}
			o.size = len(proof)
			v := New(ring.Keys(verifier), "", o.ops.Add)
			o.ok = v.VerifyPart(&protocols.Part{
				Kind: kind, Signer: claimed, Path: claimedAt, Type: claimedTag,
				Digest: v.Digest(claimedData), Proof: proof[:len(proof)-cut],
			}, index, len(group))
			return o
		}
		r, m := try(real), try(modelled)
		require.Equal(t, r, m)
		same := signer == claimed && madeAt == claimedAt && tag == claimedTag && string(data) == string(claimedData) && cut == 0
		want := same && kind == protocols.PartSignature ||
			same && kind == protocols.PartMAC && index >= 0 && index < len(group) && group[index] == verifier
		require.Equal(t, want, r.ok)
	})
}

func TestRealIsTheStandard(t *testing.T) {
	ring := NewReal(9, []byte("k"))
	require.Equal(t, protocols.Digest(sha256.Sum256([]byte("x"))), ring.Keys(0).Digest([]byte("x")))
	key := derive(ring.secret[:], "edgebft mac", 9, 0, 1)
	d, s := protocols.Digest{5}, Scope{Use: SealUse, Path: "p", Type: 0x0102}
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte("edgebft/1m\x01\x00\x00\x00\x00\x00\x00\x00\x09\x01\x02\x00\x00\x00\x00\x00\x00\x00\x01"))
	h.Write(d[:])
	h.Write([]byte("\x00\x00\x00\x01p"))
	mac := ring.Keys(0).MAC(s, 1, d)
	require.Equal(t, h.Sum(nil)[:16], mac[:])
}

type directory map[protocols.NodeID]Public

// asked counts how often somebody's keys were looked up.
type asked struct {
	directory
	times map[protocols.NodeID]int
}

func (d asked) Public(id protocols.NodeID) (Public, bool) {
	d.times[id]++
	return d.directory.Public(id)
}

// Strangers, and those who name many peers that exist, do not push the keys of the
// peers in use out of the cache, which stays within its bound.
func TestKeyCache(t *testing.T) {
	dir := asked{directory{}, map[protocols.NodeID]int{}}
	var friend Public
	for id := range protocols.NodeID(2) {
		p, err := PublicOf([32]byte{byte(id) + 1})
		require.NoError(t, err)
		dir.directory[id], friend = p, p
	}
	keys, err := NewKeys(1, 0, [32]byte{1}, dir)
	require.NoError(t, err)
	k := keys.(*realKeys)
	use := func() { k.CheckMAC(Scope{}, 1, protocols.Digest{}, make([]byte, protocols.MACSize)) }
	use()
	for id := range protocols.NodeID(100) {
		k.CheckMAC(Scope{}, protocols.FirstClient+id, protocols.Digest{}, nil)
	}
	require.Len(t, k.peers, 1, "strangers are not cached")
	for id := range protocols.NodeID(maxPeers + maxPeers/2) {
		dir.directory[protocols.FirstClient+id] = friend // certificates grant ranges of ids
		k.CheckMAC(Scope{}, protocols.FirstClient+id, protocols.Digest{}, nil)
		if id%1000 == 0 {
			use()
			require.LessOrEqual(t, len(k.peers)+len(k.older), maxPeers)
		}
	}
	use()
	require.Equal(t, 1, dir.times[1], "derived once")
	require.Contains(t, k.peers, protocols.NodeID(1))
}

func (d directory) Public(id protocols.NodeID) (Public, bool) {
	if id >= protocols.FirstClient { // one certificate grants a range
		id = protocols.FirstClient
	}
	p, ok := d[id]
	return p, ok
}

func TestKeysFromSeeds(t *testing.T) {
	dir, keys := directory{}, map[protocols.NodeID]Keys{}
	ids := []protocols.NodeID{0, 1, protocols.FirstClient, protocols.FirstClient + 5}
	for _, id := range ids {
		seed := [32]byte{byte(min(id, protocols.FirstClient) % 251), 1}
		p, err := PublicOf(seed)
		require.NoError(t, err)
		dir[min(id, protocols.FirstClient)] = p
		keys[id], err = NewKeys(3, id, seed, dir)
		require.NoError(t, err)
	}
	s, d := Scope{Use: PartUse, Type: 1}, protocols.Digest{1}
	for _, a := range ids {
		sig := keys[a].Sign(s, d)
		for _, b := range ids {
			mac := keys[a].MAC(s, b, d)
			for _, c := range ids {
				for _, signer := range ids {
					require.Equal(t, c == b && signer == a, keys[c].CheckMAC(s, signer, d, mac[:]), "MAC of %d for %d shown to %d as of %d", a, b, c, signer)
					require.Equal(t, signer == a, keys[c].CheckSignature(s, signer, d, sig[:]))
				}
			}
		}
	}
	require.Zero(t, keys[0].MAC(s, 77, d), "nobody knows node 77")
	require.False(t, keys[0].CheckMAC(s, 77, d, make([]byte, 16)), "the zero MAC of strangers verifies nowhere")
	require.False(t, keys[0].CheckSignature(s, 77, d, make([]byte, 64)))

	dir[2] = Public{} // a low-order point agrees with nobody
	mac := keys[0].MAC(s, 2, d)
	require.Zero(t, mac)
	require.False(t, keys[0].CheckMAC(s, 2, d, mac[:]))
}

func TestAppSchemes(t *testing.T) {
	seed, other := [32]byte{1}, [32]byte{2}
	for name, app := range map[string]protocols.AppScheme{"real": RealApp(), "modelled": ModelledApp(4)} {
		t.Run(name, func(t *testing.T) {
			key := app.Public(seed)
			sig := app.Sign(seed, []byte("pay"))
			require.Equal(t, sig, app.Sign(seed, []byte("pay")), "deterministic")
			require.True(t, app.Verify(key, []byte("pay"), sig[:]))
			require.False(t, app.Verify(key, []byte("paY"), sig[:]))
			require.False(t, app.Verify(app.Public(other), []byte("pay"), sig[:]))
			require.False(t, app.Verify(key, []byte("pay"), sig[:63]))
			require.False(t, app.Verify(key, []byte("pay"), nil))
			forged := app.Sign(other, []byte("pay"))
			require.False(t, app.Verify(key, []byte("pay"), forged[:]))
			sig[40] ^= 1
			require.False(t, app.Verify(key, []byte("pay"), sig[:]))
		})
	}
	k := ed25519.NewKeyFromSeed(seed[:])
	require.Equal(t, [64]byte(ed25519.Sign(k, []byte("m"))), RealApp().Sign(seed, []byte("m")))
	require.Equal(t, [32]byte(k[32:]), RealApp().Public(seed))
}

// Small-order public keys and signatures with a non-canonical S are judged
// exactly as crypto/ed25519 judges them.
func TestAppJudgesLikeTheStandard(t *testing.T) {
	app := RealApp()
	identity := [32]byte{1}
	sig := make([]byte, 64)
	sig[0] = 1 // R = identity, S = 0: valid under the identity key for any message
	require.True(t, ed25519.Verify(identity[:], []byte("any"), sig))
	require.True(t, app.Verify(identity, []byte("any"), sig))

	seed := [32]byte{3}
	good := app.Sign(seed, []byte("m"))
	order := [32]byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	carry := 0
	for i := 0; i < 32; i++ { // S + L is congruent but not canonical
		v := int(good[32+i]) + int(order[i]) + carry
		good[32+i], carry = byte(v), v>>8
	}
	require.False(t, app.Verify(app.Public(seed), []byte("m"), good[:]))
}

func TestFastDigestSpreads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "a")
		b := append([]byte(nil), a...)
		if len(b) == 0 || rapid.Bool().Draw(t, "longer") {
			b = append(b, 0)
		} else {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		x, y := fastDigest(a), fastDigest(b)
		for i := 0; i < 32; i += 8 {
			require.NotEqual(t, x[i:i+8], y[i:i+8], "every word of the digest depends on every bit")
		}
	})
}

func TestNoAllocations(t *testing.T) {
	k := NewModelled(1, 1).Keys(0)
	a := New(k, "path", nil)
	data, proof := make([]byte, 200), a.MACs(1, protocols.Replicas(4), protocols.Digest{})
	p := protocols.Part{Kind: protocols.PartMAC, Signer: 0, Path: "path", Type: 1, Proof: proof}
	mt := &protocols.MessageType{Tag: 1, Seal: protocols.SealMAC}
	buf := make([]byte, 0, 16)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		d := a.Digest(data)
		a.VerifyPart(&p, 0, 4)
		buf = Seal(buf[:0], k, nil, mt, "path", 2, d)
	}))
}

func FuzzVerifyPart(f *testing.F) {
	ring := NewModelled(1, 2)
	real := NewReal(1, []byte("z"))
	f.Add(uint8(0), int32(1), "p", uint16(1), []byte("digest"), make([]byte, 64), 0)
	f.Add(uint8(1), int32(1), "p", uint16(1), []byte("digest"), make([]byte, 64), 0)
	f.Fuzz(func(t *testing.T, kind uint8, signer int32, path string, tag uint16, digest, proof []byte, index int) {
		p := protocols.Part{Kind: protocols.PartKind(kind), Signer: protocols.NodeID(signer), Path: path, Type: protocols.Tag(tag), Proof: proof}
		copy(p.Digest[:], digest)
		for _, r := range []*Ring{ring, real} {
			if New(r.Keys(0), "", nil).VerifyPart(&p, index, len(proof)/protocols.MACSize) {
				t.Fatal("garbage verified")
			}
		}
	})
}

func BenchmarkModelled(b *testing.B) {
	benchmark(b, NewModelled(1, 1))
}

func BenchmarkReal(b *testing.B) {
	benchmark(b, NewReal(1, []byte("s")))
}

func benchmark(b *testing.B, ring *Ring) {
	k, k1 := ring.Keys(0), ring.Keys(1)
	s, d := Scope{Use: SealUse, Path: "ordered", Type: 1}, protocols.Digest{1}
	mac, sig := k.MAC(s, 1, d), k.Sign(s, d)
	for _, size := range []int{64, 1024} {
		data := make([]byte, size)
		b.Run(fmt.Sprintf("digest-%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Digest(data)
			}
		})
	}
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	run("mac", func() { k.MAC(s, 1, d) })
	run("check-mac", func() { k1.CheckMAC(s, 0, d, mac[:]) })
	run("sign", func() { k.Sign(s, d) })
	run("verify", func() { k1.CheckSignature(s, 0, d, sig[:]) })
}

// counters counts operations and the bytes they covered.
type counters struct {
	Count [protocols.NumOps]uint64
	Bytes [protocols.NumOps]uint64
}

// Add counts one operation. Its method value is a Charge.
func (c *counters) Add(op protocols.Op, size int) {
	c.Count[op]++
	c.Bytes[op] += uint64(size)
}
