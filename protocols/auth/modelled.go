package auth

import (
	"encoding/binary"
	"math/bits"

	"github.com/edgebft/edgebft/protocols"
)

// Odd constants of the mixing functions; any would do.
const (
	mix0 = 0x9e3779b97f4a7c15
	mix1 = 0xbf58476d1ce4e5b9
	mix2 = 0x94d049bb133111eb
	mix3 = 0xd6e8feb86659fd93
)

// fold multiplies to 128 bits and folds the halves, which spreads every input
// bit over the result.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// finish spreads the bits of one word; it is a bijection.
func finish(x uint64) uint64 {
	x ^= x >> 30
	x *= mix1
	x ^= x >> 27
	x *= mix2
	return x ^ x>>31
}

// fastDigest is the modelled hash: 256 bits, a few tenths of a nanosecond per
// byte. Collisions do not happen by accident; it resists no attacker.
func fastDigest(data []byte) (out protocols.Digest) {
	n := uint64(len(data))
	a, b, c, d := n^mix0, n^mix1, n^mix2, n^mix3
	for len(data) >= 32 {
		w0, w1 := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
		w2, w3 := binary.LittleEndian.Uint64(data[16:]), binary.LittleEndian.Uint64(data[24:])
		a, b, c, d = absorb(a, b, c, d, w0, w1, w2, w3)
		data = data[32:]
	}
	if len(data) > 0 { // the length is in the state already, so zero padding is unambiguous
		var tail [32]byte
		copy(tail[:], data)
		w0, w1 := binary.LittleEndian.Uint64(tail[:]), binary.LittleEndian.Uint64(tail[8:])
		w2, w3 := binary.LittleEndian.Uint64(tail[16:]), binary.LittleEndian.Uint64(tail[24:])
		a, b, c, d = absorb(a, b, c, d, w0, w1, w2, w3)
	}
	x := fold(a^mix2, b^mix3) ^ c
	y := fold(c^mix0, d^mix1) ^ a
	binary.LittleEndian.PutUint64(out[0:], finish(x+y))
	binary.LittleEndian.PutUint64(out[8:], finish(y^bits.RotateLeft64(d, 17)))
	binary.LittleEndian.PutUint64(out[16:], finish(x^bits.RotateLeft64(b, 29)))
	binary.LittleEndian.PutUint64(out[24:], finish(a+bits.RotateLeft64(c, 41)))
	return out
}

// absorb takes in 32 bytes. Each word reaches two of the four lanes; the rotated
// old state is kept beside the product, because a product alone forgets.
func absorb(a, b, c, d, w0, w1, w2, w3 uint64) (uint64, uint64, uint64, uint64) {
	return bits.RotateLeft64(a, 23) ^ fold(a^w0, w1^mix3),
		bits.RotateLeft64(b, 23) ^ fold(b^w1, w2^mix0),
		bits.RotateLeft64(c, 23) ^ fold(c^w2, w3^mix1),
		bits.RotateLeft64(d, 23) ^ fold(d^w3, w0^mix2)
}

// hashString mixes a path, which is a few bytes long.
func hashString(s string) uint64 {
	h := uint64(len(s)) ^ mix3
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = finish(h^w) + mix0
		s = s[8:]
	}
	var w uint64
	for i := 0; i < len(s); i++ {
		w |= uint64(s[i]) << (8 * i)
	}
	return finish(h ^ w)
}

type modelledKeys struct {
	secret uint64
	self   protocols.NodeID
	app    protocols.AppScheme
}

func newModelledKeys(cluster, seed uint64, self protocols.NodeID, app protocols.AppScheme) *modelledKeys {
	return &modelledKeys{secret: finish(finish(seed+mix0) ^ finish(cluster+mix1)), self: self, app: app}
}

func (k *modelledKeys) Self() protocols.NodeID              { return k.self }
func (k *modelledKeys) App() protocols.AppScheme            { return k.app }
func (k *modelledKeys) Digest(data []byte) protocols.Digest { return fastDigest(data) }

// token mixes everything that an authenticator is bound to into 128 bits.
func (k *modelledKeys) token(what uint64, s Scope, signer, receiver protocols.NodeID, d *protocols.Digest) (uint64, uint64) {
	h := k.secret ^ what<<56 ^ uint64(s.Use)<<48 ^ uint64(s.Type)
	h = finish(h + mix0)
	h = finish(h^(uint64(uint32(signer))<<32|uint64(uint32(receiver)))) + mix1
	if s.Path != "" {
		h ^= hashString(s.Path)
	}
	w0, w1 := binary.LittleEndian.Uint64(d[0:]), binary.LittleEndian.Uint64(d[8:])
	w2, w3 := binary.LittleEndian.Uint64(d[16:]), binary.LittleEndian.Uint64(d[24:])
	x := finish(h^w0) ^ w1
	y := finish(h+w2) ^ w3
	return finish(x + bits.RotateLeft64(y, 32)), finish(y ^ finish(x))
}

func (k *modelledKeys) mac(s Scope, signer, receiver protocols.NodeID, d *protocols.Digest) (out [protocols.MACSize]byte) {
	x, y := k.token('m', s, signer, receiver, d)
	binary.LittleEndian.PutUint64(out[0:], x)
	binary.LittleEndian.PutUint64(out[8:], y)
	return out
}

func (k *modelledKeys) signature(s Scope, signer protocols.NodeID, d *protocols.Digest) [protocols.SignatureSize]byte {
	return stretch(k.token('s', s, signer, protocols.Nobody, d))
}

// stretch makes a token as long as a signature.
func stretch(x, y uint64) (out [protocols.SignatureSize]byte) {
	for i := 0; i < len(out); i += 16 {
		binary.LittleEndian.PutUint64(out[i:], x)
		binary.LittleEndian.PutUint64(out[i+8:], y)
		x, y = x+mix2, y*mix3
	}
	return out
}

func (k *modelledKeys) MAC(s Scope, to protocols.NodeID, d protocols.Digest) [protocols.MACSize]byte {
	return k.mac(s, k.self, to, &d)
}

func (k *modelledKeys) CheckMAC(s Scope, from protocols.NodeID, d protocols.Digest, mac []byte) bool {
	want := k.mac(s, from, k.self, &d)
	return string(mac) == string(want[:])
}

func (k *modelledKeys) Sign(s Scope, d protocols.Digest) [protocols.SignatureSize]byte {
	return k.signature(s, k.self, &d)
}

func (k *modelledKeys) CheckSignature(s Scope, signer protocols.NodeID, d protocols.Digest, sig []byte) bool {
	want := k.signature(s, signer, &d)
	return string(sig) == string(want[:])
}
