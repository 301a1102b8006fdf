// Package auth makes and checks MACs, signatures and digests, holds the keys
// they need, and reports what they cost.
//
// There are two implementations behind one interface, [Keys]:
//
//   - real: SHA-256; HMAC-SHA-256 over a digest, truncated to
//     protocols.MACSize; Ed25519 exactly as crypto/ed25519 has it;
//   - modelled: a 64-bit keyed mixing function that yields tokens of the same
//     sizes in a few nanoseconds. It is no cryptography. It suffices for the
//     simulator because all code there gets at keys through a [Keys] of its own
//     node only: what a node cannot compute it can at best replay or guess.
//
// Whatever the implementation, every MAC and signature is bound to the cluster,
// the path of the protocol instance, the message type, the signer and the use it
// was made for; a MAC also to its receiver. Nothing replays elsewhere.
//
// A [Ring] derives the keys of a whole cluster from one secret: that is for the
// simulator and for tests. A real node holds a seed of its own and a [Directory]
// of public keys (see [NewKeys]).
//
// Hosts seal whole messages with [Seal] and check them with [CheckSeal]; a
// protocol gets its protocols.Auth from [New]. Both report every operation to a
// [Charge], which is where the simulator's CPU model and operation counts hang.
//
// Decisions where the sources leave room:
//
//   - A seal of a message and an authenticator of a part are different uses and
//     never verify as each other, even for the same type and digest. Otherwise a
//     peer that chooses what a node vouches for inside messages could craft
//     bytes that decode as one of the node's own messages.
//   - An authenticator covers the signer's own entry too, so that a part that
//     comes home can be checked like any other, but that entry is not counted:
//     the papers count n-1 MACs for a replica and so do we.
//   - A malformed proof (wrong length, index outside the group) is rejected
//     before any cryptography and costs nothing.
//   - Application signatures are judged by crypto/ed25519 alone, whatever a
//     cluster uses for its protocol messages: one predicate, no split.
//
// The package is not a transport security layer and knows no certificates: TLS
// is the TCP host's business.
package auth
