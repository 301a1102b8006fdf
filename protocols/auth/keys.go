package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/edgebft/edgebft/protocols"
)

// Use is what an authenticator was made for. Authenticators of one use never
// verify as those of another.
type Use uint8

// Uses.
const (
	// SealUse: the seal of a whole message, over the digest of its encoding.
	SealUse Use = iota + 1
	// PartUse: something inside a message (protocols.Part).
	PartUse
)

// Scope is what an authenticator is bound to besides cluster, signer, receiver
// and digest.
type Scope struct {
	Use  Use
	Path string
	Type protocols.Tag
}

// Keys is what one node holds: it makes authenticators in the node's own name
// and checks those of others. Methods are pure and safe for concurrent use; they
// charge nothing. Checks of malformed or unknown input return false.
type Keys interface {
	// Self is the node whose keys these are.
	Self() protocols.NodeID
	// Digest hashes data.
	Digest(data []byte) protocols.Digest
	// MAC authenticates d to one receiver. It is all zero for a receiver with
	// whom no key is shared, which no check accepts.
	MAC(s Scope, to protocols.NodeID, d protocols.Digest) [protocols.MACSize]byte
	// CheckMAC checks a MAC made by from for this node.
	CheckMAC(s Scope, from protocols.NodeID, d protocols.Digest, mac []byte) bool
	// Sign signs d.
	Sign(s Scope, d protocols.Digest) [protocols.SignatureSize]byte
	// CheckSignature checks a signature by signer.
	CheckSignature(s Scope, signer protocols.NodeID, d protocols.Digest, sig []byte) bool
	// App is the scheme of application signatures.
	App() protocols.AppScheme
}

// Ring derives the keys of all nodes of a cluster from one secret. It is for
// hosts that play every node, the simulator above all; whoever has the Ring can
// speak for anybody, so it hands nodes and adversaries their own [Keys] only.
type Ring struct {
	cluster  uint64
	modelled bool
	secret   [32]byte
	app      protocols.AppScheme
}

// NewReal returns a ring with real cryptography. Equal secrets give equal keys.
func NewReal(cluster uint64, secret []byte) *Ring {
	return &Ring{cluster: cluster, secret: sha256.Sum256(secret), app: RealApp()}
}

// NewModelled returns a ring whose cryptography is modelled.
func NewModelled(cluster, seed uint64) *Ring {
	r := &Ring{cluster: cluster, modelled: true}
	binary.BigEndian.PutUint64(r.secret[:], seed)
	r.app = ModelledApp(seed)
	return r
}

// Modelled reports whether the cryptography is modelled.
func (r *Ring) Modelled() bool { return r.modelled }

// Cluster is the id that all authenticators are bound to.
func (r *Ring) Cluster() uint64 { return r.cluster }

// App is the scheme of application signatures.
func (r *Ring) App() protocols.AppScheme { return r.app }

// Keys returns the keys of one node. Keep the result: it caches what it derives.
func (r *Ring) Keys(id protocols.NodeID) Keys {
	if r.modelled {
		return newModelledKeys(r.cluster, binary.BigEndian.Uint64(r.secret[:]), id, r.app)
	}
	return newRealKeys(r.cluster, id, &ringSource{ring: r, self: id}, r.app)
}

// seed derives the seed of one node.
func (r *Ring) seed(id protocols.NodeID) [32]byte {
	return derive(r.secret[:], "edgebft node seed", r.cluster, id, protocols.Nobody)
}

// derive is the one key derivation of this package: HMAC-SHA-256 under secret of
// a label and of what the key is for.
func derive(secret []byte, label string, cluster uint64, a, b protocols.NodeID) [32]byte {
	h := hmac.New(sha256.New, secret)
	var buf [16]byte
	binary.BigEndian.PutUint64(buf[0:], cluster)
	binary.BigEndian.PutUint32(buf[8:], uint32(a))
	binary.BigEndian.PutUint32(buf[12:], uint32(b))
	h.Write(buf[:]) // fixed length first, so that no label runs into it
	h.Write([]byte(label))
	return [32]byte(h.Sum(nil))
}
