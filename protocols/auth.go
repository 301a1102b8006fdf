package protocols

import "encoding/hex"

// Sizes on the wire in bytes.
const (
	DigestSize    = 32
	MACSize       = 16
	SignatureSize = 64
)

// Digest is a collision-resistant hash. In the simulator with modelled
// cryptography it is a cheap stand-in of the same size.
type Digest [DigestSize]byte

// IsZero reports whether d is the zero digest, which stands for "nothing" (the
// null request of PBFT).
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the first eight hex digits, enough for people.
func (d Digest) String() string { return hex.EncodeToString(d[:4]) }

// Hasher computes digests and charges for them.
type Hasher interface {
	Digest(data []byte) Digest
}

// Op is an operation that costs CPU time and is counted.
type Op uint8

// Charged operations. Each has a cost in the profile under the name that String
// gives.
const (
	OpDigest    Op = iota // hashing; size = bytes
	OpMAC                 // making one MAC over a digest
	OpMACVerify           // checking one MAC over a digest
	OpSign                // one signature
	OpVerify              // checking one signature
	OpAppVerify           // checking one signature of an application operation
	OpApply               // applying one operation; size = bytes of the operation
	OpSnapshot            // writing or reading a snapshot; size = bytes
	NumOps
)

func (o Op) String() string {
	return [...]string{"digest", "mac", "mac_verify", "sign", "verify", "app_verify", "apply", "snapshot", "?"}[min(o, NumOps)]
}

// Auth makes and checks the authenticators that travel inside messages. (Seals
// of whole messages are the host's business.) Everything is bound to the cluster,
// to the path of the Env it came from, to the message type and to the signer; the
// holder of an Auth can make authenticators in its own name only.
type Auth interface {
	Hasher
	// MACs returns an authenticator over d: MACSize bytes per member of the
	// group, in its order.
	MACs(t Tag, group Group, d Digest) []byte
	// Sign returns a signature over d of SignatureSize bytes.
	Sign(t Tag, d Digest) []byte
	// VerifyPart checks a part as admission would. index is the receiver's
	// position in the group that the authenticator was made for, size how many that
	// group has: an authenticator of any other length is bad.
	VerifyPart(p *Part, index, size int) bool
	// VerifyApp checks a signature of an application operation.
	VerifyApp(c SigCheck) bool
	// Charge adds the cost of an operation that the host cannot see.
	Charge(op Op, size int)
}

// SigCheck is one signature of an application operation: an Ed25519 public key,
// the signed bytes and the signature.
type SigCheck struct {
	Key       [32]byte
	Message   []byte
	Signature []byte
}

// AppScheme makes and checks application signatures. Replicas only ever check
// (through Auth.VerifyApp or Env.Check); workloads sign for the accounts they
// play. Real runs use Ed25519, modelled runs a stand-in with the same sizes.
type AppScheme interface {
	// Public returns the public key that belongs to a 32-byte seed.
	Public(seed [32]byte) [32]byte
	Sign(seed [32]byte, message []byte) [64]byte
	Verify(key [32]byte, message, signature []byte) bool
}
