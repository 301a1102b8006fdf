//lint:allow determinism real keys serve concurrent TCP workers; locks guard caches of pure results

package auth

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"github.com/edgebft/edgebft/protocols"
)

// Public is what others know of a node: an Ed25519 and an X25519 public key.
type Public struct {
	Verify [32]byte
	Agree  [32]byte
}

// Directory knows the public keys of nodes. It must be safe for concurrent use
// and give the same answer for the life of the Keys built on it. Clients whose
// ids lie in one granted range may share one entry: ids are bound into every key
// and authenticator.
type Directory interface {
	Public(id protocols.NodeID) (Public, bool)
}

// PublicOf returns the public keys that belong to a node's seed.
func PublicOf(seed [32]byte) (Public, error) {
	var p Public
	copy(p.Verify[:], signingKey(seed)[32:])
	a, err := agreementKey(seed)
	if err != nil {
		return Public{}, err
	}
	copy(p.Agree[:], a.PublicKey().Bytes())
	return p, nil
}

// NewKeys returns the real keys of a node that knows its own seed and everybody
// else's public keys. Pairwise MAC keys come from X25519 agreement.
func NewKeys(cluster uint64, self protocols.NodeID, seed [32]byte, dir Directory) (Keys, error) {
	a, err := agreementKey(seed)
	if err != nil {
		return nil, err
	}
	src := &directorySource{cluster: cluster, self: self, sign: signingKey(seed), agree: a, dir: dir, shared: make(map[[32]byte][32]byte)}
	return newRealKeys(cluster, self, src, RealApp()), nil
}

func signingKey(seed [32]byte) ed25519.PrivateKey {
	s := derive(seed[:], "edgebft ed25519", 0, 0, 0)
	return ed25519.NewKeyFromSeed(s[:])
}

func agreementKey(seed [32]byte) (*ecdh.PrivateKey, error) {
	s := derive(seed[:], "edgebft x25519", 0, 0, 0)
	k, err := ecdh.X25519().NewPrivateKey(s[:])
	if err != nil {
		return nil, fmt.Errorf("agreement key from seed: %w", err)
	}
	return k, nil
}

// keySource is where realKeys gets keys from; what it returns is cached.
type keySource interface {
	signing() ed25519.PrivateKey
	mac(peer protocols.NodeID) ([32]byte, bool)
	verification(peer protocols.NodeID) (ed25519.PublicKey, bool)
}

// ringSource derives everything from the secret of a Ring.
type ringSource struct {
	ring *Ring
	self protocols.NodeID
}

func (s *ringSource) signing() ed25519.PrivateKey { return signingKey(s.ring.seed(s.self)) }

func (s *ringSource) mac(peer protocols.NodeID) ([32]byte, bool) {
	return derive(s.ring.secret[:], "edgebft mac", s.ring.cluster, min(s.self, peer), max(s.self, peer)), true
}

func (s *ringSource) verification(peer protocols.NodeID) (ed25519.PublicKey, bool) {
	return signingKey(s.ring.seed(peer)).Public().(ed25519.PublicKey), true
}

// directorySource knows one private key and a directory of public ones.
type directorySource struct {
	cluster uint64
	self    protocols.NodeID
	sign    ed25519.PrivateKey
	agree   *ecdh.PrivateKey
	dir     Directory

	mu     sync.Mutex
	shared map[[32]byte][32]byte // agreement by public key; bounded by the directory
}

func (s *directorySource) signing() ed25519.PrivateKey { return s.sign }

func (s *directorySource) mac(peer protocols.NodeID) ([32]byte, bool) {
	if peer == s.self { // a key that nobody else can know
		own := derive(s.agree.Bytes(), "edgebft own mac", s.cluster, s.self, s.self)
		return own, true
	}
	p, ok := s.dir.Public(peer)
	if !ok {
		return [32]byte{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, ok := s.shared[p.Agree]
	if !ok {
		pub, err := ecdh.X25519().NewPublicKey(p.Agree[:])
		if err != nil {
			return [32]byte{}, false
		}
		raw, err := s.agree.ECDH(pub)
		if err != nil { // a low-order point
			return [32]byte{}, false
		}
		copy(secret[:], raw)
		s.shared[p.Agree] = secret
	}
	return derive(secret[:], "edgebft mac", s.cluster, min(s.self, peer), max(s.self, peer)), true
}

func (s *directorySource) verification(peer protocols.NodeID) (ed25519.PublicKey, bool) {
	if peer == s.self {
		return s.sign.Public().(ed25519.PublicKey), true
	}
	p, ok := s.dir.Public(peer)
	return ed25519.PublicKey(p.Verify[:]), ok
}

// maxPeers bounds the cached keys of one node (about 700 bytes each). Only nodes with
// whom a key is shared are cached. The cache has two halves: a peer that is used moves
// to the younger one, and when that is full it becomes the older one, whose rest is
// forgotten. So nobody who merely names many peers makes those in use be derived anew
// at every message.
const maxPeers = 1 << 14

// peer is what is cached about one other node.
type peer struct {
	mu     sync.Mutex
	mac    hash.Hash // nil when no key is shared
	looked bool      // whether verify was looked up
	verify ed25519.PublicKey
}

type realKeys struct {
	cluster uint64
	self    protocols.NodeID
	src     keySource
	app     protocols.AppScheme
	sign    func() ed25519.PrivateKey

	mu           sync.RWMutex
	peers, older map[protocols.NodeID]*peer // at most maxPeers/2 each
}

func newRealKeys(cluster uint64, self protocols.NodeID, src keySource, app protocols.AppScheme) *realKeys {
	return &realKeys{
		cluster: cluster, self: self, src: src, app: app,
		sign:  sync.OnceValue(src.signing),
		peers: make(map[protocols.NodeID]*peer),
	}
}

func (k *realKeys) Self() protocols.NodeID              { return k.self }
func (k *realKeys) App() protocols.AppScheme            { return k.app }
func (k *realKeys) Digest(data []byte) protocols.Digest { return sha256.Sum256(data) }

func (k *realKeys) peer(id protocols.NodeID) *peer {
	k.mu.RLock()
	p, old := k.peers[id], k.older[id]
	k.mu.RUnlock()
	if p != nil {
		return p
	}
	if p = old; p == nil {
		p = new(peer)
		key, ok := k.src.mac(id) // slow, hence outside the lock
		if !ok {
			return p
		}
		p.mac = hmac.New(sha256.New, key[:])
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if other := k.peers[id]; other != nil {
		return other
	}
	if len(k.peers) == maxPeers/2 {
		k.older, k.peers = k.peers, make(map[protocols.NodeID]*peer)
	}
	k.peers[id] = p
	return p
}

// bind writes what is authenticated. Fields of fixed length come first and the
// path is preceded by its length, so that no two inputs give the same bytes.
func (k *realKeys) bind(dst []byte, what byte, s Scope, signer, receiver protocols.NodeID, d protocols.Digest) []byte {
	dst = append(dst, "edgebft/1"...)
	dst = append(dst, what, byte(s.Use))
	dst = binary.BigEndian.AppendUint64(dst, k.cluster)
	dst = binary.BigEndian.AppendUint16(dst, uint16(s.Type))
	dst = binary.BigEndian.AppendUint32(dst, uint32(signer))
	dst = binary.BigEndian.AppendUint32(dst, uint32(receiver))
	dst = append(dst, d[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s.Path)))
	return append(dst, s.Path...)
}

// compute returns the MAC from signer to receiver, of whom one is this node.
func (k *realKeys) compute(p *peer, s Scope, signer, receiver protocols.NodeID, d protocols.Digest) (out [protocols.MACSize]byte, ok bool) {
	if p.mac == nil {
		return out, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var in [160]byte
	var sum [sha256.Size]byte
	p.mac.Reset()
	p.mac.Write(k.bind(in[:0], 'm', s, signer, receiver, d))
	copy(out[:], p.mac.Sum(sum[:0]))
	return out, true
}

func (k *realKeys) MAC(s Scope, to protocols.NodeID, d protocols.Digest) [protocols.MACSize]byte {
	out, _ := k.compute(k.peer(to), s, k.self, to, d)
	return out
}

func (k *realKeys) CheckMAC(s Scope, from protocols.NodeID, d protocols.Digest, mac []byte) bool {
	want, ok := k.compute(k.peer(from), s, from, k.self, d)
	return ok && subtle.ConstantTimeCompare(want[:], mac) == 1
}

func (k *realKeys) Sign(s Scope, d protocols.Digest) (out [protocols.SignatureSize]byte) {
	var in [160]byte
	copy(out[:], ed25519.Sign(k.sign(), k.bind(in[:0], 's', s, k.self, protocols.Nobody, d)))
	return out
}

func (k *realKeys) CheckSignature(s Scope, signer protocols.NodeID, d protocols.Digest, sig []byte) bool {
	if len(sig) != protocols.SignatureSize {
		return false
	}
	p := k.peer(signer)
	p.mu.Lock()
	if !p.looked {
		p.looked = true
		p.verify = nil
		if key, ok := k.src.verification(signer); ok {
			p.verify = key
		}
	}
	key := p.verify
	p.mu.Unlock()
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	var in [160]byte
	return ed25519.Verify(key, k.bind(in[:0], 's', s, signer, protocols.Nobody, d), sig)
}
