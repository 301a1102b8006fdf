//lint:allow determinism the cache behind the lock is pure and TCP hosts check concurrently

package auth

import (
	"crypto/ed25519"
	"encoding/binary"
	"sync"

	"github.com/edgebft/edgebft/protocols"
)

// RealApp returns Ed25519 exactly as crypto/ed25519 makes and judges it. It is
// safe for concurrent use.
func RealApp() protocols.AppScheme { return &realApp{keys: make(map[[32]byte]ed25519.PrivateKey)} }

// maxAppKeys bounds the expanded private keys that a realApp remembers (64 bytes
// each); at the bound it starts again.
const maxAppKeys = 1 << 16

type realApp struct {
	mu   sync.Mutex
	keys map[[32]byte]ed25519.PrivateKey
}

func (a *realApp) key(seed [32]byte) ed25519.PrivateKey {
	a.mu.Lock()
	k := a.keys[seed]
	a.mu.Unlock()
	if k != nil {
		return k
	}
	k = ed25519.NewKeyFromSeed(seed[:]) // as slow as signing, hence outside the lock and kept
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.keys) >= maxAppKeys {
		clear(a.keys)
	}
	a.keys[seed] = k
	return k
}

func (a *realApp) Public(seed [32]byte) [32]byte { return [32]byte(a.key(seed)[32:]) }

func (a *realApp) Sign(seed [32]byte, message []byte) [64]byte {
	return [64]byte(ed25519.Sign(a.key(seed), message))
}

func (a *realApp) Verify(key [32]byte, message, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(key[:], message, signature)
}

// ModelledApp returns a stand-in of the same sizes. Signatures verify under the
// scheme of the same seed only.
func ModelledApp(seed uint64) protocols.AppScheme {
	return modelledApp{secret: finish(seed ^ mix3)}
}

type modelledApp struct{ secret uint64 }

func (a modelledApp) Public(seed [32]byte) [32]byte { return fastDigest(seed[:]) }

func (a modelledApp) Sign(seed [32]byte, message []byte) [64]byte {
	return a.token(a.Public(seed), message)
}

func (a modelledApp) Verify(key [32]byte, message, signature []byte) bool {
	want := a.token(key, message)
	return string(signature) == string(want[:])
}

func (a modelledApp) token(key [32]byte, message []byte) [64]byte {
	d := fastDigest(message)
	h := a.secret
	for i := 0; i < 32; i += 8 {
		h = finish(h^binary.LittleEndian.Uint64(key[i:])) + mix0
		h = finish(h ^ binary.LittleEndian.Uint64(d[i:]))
	}
	return stretch(h, finish(h+mix1))
}
