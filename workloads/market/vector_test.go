package market

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// realScheme is crypto/ed25519 as protocols.AppScheme.
type realScheme struct{}

func (realScheme) Public(seed [32]byte) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

func (realScheme) Sign(seed [32]byte, msg []byte) [64]byte {
	return [64]byte(ed25519.Sign(ed25519.NewKeyFromSeed(seed[:]), msg))
}

func (realScheme) Verify(key [32]byte, msg, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(key[:], msg, sig)
}

func fill16(b byte) ID   { return ID(bytes.Repeat([]byte{b}, 16)) }
func fill32(b byte) Hash { return Hash(bytes.Repeat([]byte{b}, 32)) }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestVectors(t *testing.T) {
	seed := [32]byte(fill32(1))
	var s realScheme
	key := s.Public(seed)
	require.Equal(t, "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c", hex.EncodeToString(key[:]))

	for _, v := range []struct {
		name, want string
		got        Hash
	}{
		{
			"bid commitment", "ef42a2a84384b662b771abf4e8b5a836834ed6bf8674c472f5d2f2ef94e537a4",
			BidCommitment(7, fill16(0xA4), 1001, 4000, fill32(0x5A)),
		},
		{"tie 3001", "bb8eb2459dae676961eb6d3aca6d02d3a4188b7aec39d2353a86651cad4eaddb", TieHash(fill16(0xB7), 3001)},
		{"tie 3002", "2208d37bfab7ed23e5650d45283232619712490009a95a0e2bbac1960bdcbeb3", TieHash(fill16(0xB7), 3002)},
		{"tie 3003", "fe8d6395238bade333da9f5fd0c44bf063d4dc1561d69d3505ed36d8add21728", TieHash(fill16(0xB7), 3003)},
		{
			"seal", "7ff3dca8f35ca325d1ab258c4eb4426c7d3cd8251825c64f8b500685121736f6",
			VoteSeal(fill16(0x11), 7, 3001, Fail, 12, fill32(0x33), fill32(0x5A)),
		},
	} {
		require.Equal(t, v.want, hex.EncodeToString(v.got[:]), v.name)
	}

	ch := ChannelID(7, 1001, 2001, 5)
	require.Equal(t, "34ad0a8be25a734bba87a0c8d7f1b178", hex.EncodeToString(ch[:]))
	require.Equal(t, unhex(t, "4246544d4b542f70726f6d6973652f76310000000734ad0a8be25a734bba87a0c8d7f1b17800000000000001f4"),
		PromiseMessage(7, ch, 500))
	p := SignPromise(s, seed, 7, ch, 500)
	require.Equal(t, "6258c18b906c75efabca6af870be03e17b28278f8d458e7fd2ca2a3612bd738a0f4f72f6857db8ad703926b7510cad0a47b0aab31f3e20f940fdcb8cffad5d07",
		hex.EncodeToString(p.Sig[:]))
	require.Len(t, p.Append(nil), PromiseSize)

	require.Equal(t, []uint32{98, 16, 88, 92, 46, 107, 106, 86, 19, 59, 6, 31, 2, 66, 32, 62, 105, 58, 57, 30, 22, 89, 111, 78, 97, 64, 3, 93, 109, 10},
		Sample(fill16(0x11), 7, fill32(0x22), 120, 30))
}

func TestVectorTransfer(t *testing.T) {
	op, err := Sign(realScheme{}, Envelope{Chain: 7, Sender: 3001, Nonce: 1, ValidUntil: 600000},
		&Transfer{To: 3002, Amount: 250}, Signer{RoleSender, 3001, [32]byte(fill32(1))})
	require.NoError(t, err)
	require.Len(t, op, 128)
	require.Equal(t, unhex(t, "0100000007020000000000000bb9000000000000000100000000000927c0000000000012"), op[:36])
	require.Equal(t, unhex(t, "0000000000000bba00000000000000fa0000"), op[36:54])
	require.Equal(t, unhex(t, "eef8cab37f8b18343eccf8b4c0bf9bcfb7aeadce76bf159a708d6342d6393ecbcec923014cad1800de7cfbdf2136661da5b086d38811d8d0216f7441429aba0e"),
		op[len(op)-64:])
	x, p, err := DecodeTx(op)
	require.NoError(t, err)
	require.Equal(t, &Transfer{To: 3002, Amount: 250}, p)
	id := x.ID()
	require.Equal(t, "ba4448de165dea7047c9bbc1585f37556823542ff85ebb396019c6fe4e3b335b", hex.EncodeToString(id[:]))
}

func TestVectorRoots(t *testing.T) {
	u64 := func(v uint64) []byte { return preimage(nil).u64(v) }
	hexOf := func(h Hash) string { return hex.EncodeToString(h[:]) }
	tree := NewTree()
	empty := "c6c0aa07f27493d2f2e5cff56c890a353a20086d6c25ec825128e12ae752b2d9"
	one := "dd3892290e364cab5401513407a4d1978fd7f09adcfca5f90e2ef15389585dc1"
	three := "d1a1dab2d37bfac81cf2259cf4d6f2d9cb3d4f3aa7a06f9a4c98ef9057142b19"
	require.Equal(t, empty, hexOf(tree.Root()))
	tree.Set(1, u64(1001), u64(10000))
	require.Equal(t, one, hexOf(tree.Root()))
	tree.Set(1, u64(1002), u64(5))
	tree.Set(1, u64(1003), []byte{7})
	require.Equal(t, three, hexOf(tree.Root()))
	tree.Remove(1, u64(1003))
	tree.Remove(1, u64(1002))
	require.Equal(t, one, hexOf(tree.Root()))
	tree.Remove(1, u64(1001))
	require.Equal(t, empty, hexOf(tree.Root()))
}
