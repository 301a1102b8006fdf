// Package protocols is the contract between a replication protocol and the
// hosts that run it. It is the ground floor of edgebft: every protocol package
// and every host (netsim, the deterministic simulator, is the only one so far; real
// TCP is the other one that this contract is made for) import it, and it imports
// none of them.
//
// # What a protocol is
//
// A replica, a client or an agent is a [Node]: a deterministic, single-threaded
// state machine with three handlers. Start is called once, with what survived of
// an earlier life; Receive is called for every message whose seal the host has
// already checked; Timeout is called when a timer fires. A client adds Invoke.
// A handler runs to completion; whatever it does to the world goes through its
// [Env]: it sends, sets timers, logs, posts to its other lanes and emits events.
// The host invokes operations at a client as long as fewer than Entry.Outstanding of
// them are open; the client ends each by Env.Complete.
//
// Four rules make one implementation run unchanged, and replayably, on both
// hosts:
//
//   - no goroutine, channel or lock;
//   - no clock but Env.Now and Env.Clock, no randomness but Env.Rand;
//   - the order of a Go map never reaches an output (a message, a log record, a
//     timer, an event): iterate over a slice, or over sorted keys;
//   - a message is immutable from the moment it is sent.
//
// The linter under internal/lint enforces the first three in the protocol
// packages.
//
// # Writing one
//
//  1. Define the messages as structs with a Tag method and generate their codec
//     with msgp in tuple form. The codec is the wire format, the size that the
//     simulator charges, and what digests and signatures cover. The directives
//     are below.
//  2. Describe each of them by a [MessageType]: traffic class, how it is sealed,
//     which embedded parts admission checks, its round, its trace, and the
//     mutations an adversary may try. Gather them in a [MessageTable].
//  3. Write the replica as a Node (one per lane) and the client as a [Client].
//     A total-order protocol normally writes only an orderer and lets
//     protocols/smr do the rest: client table, batching, execution with undo,
//     checkpoints, state transfer and replies.
//  4. Return an [Entry] and add one line to experiments/catalog.
//
// Simulation, faults, adversaries, sweeps, plots, the exploration of random
// schedules and the conformance suite then come for free. The Example of netsim
// registers a complete small protocol in under 200 lines.
//
// Limits are mandatory, since decoders bound every length before they allocate: one
// for all, and a tag at each slice that has another one. A file of messages begins
// so:
//
//	//go:generate go tool -modfile=../../tools/go.mod msgp -file=messages.go -o=messages_gen.go -tests=false -io=false
//
//	//msgp:tuple Vote
//	//msgp:limit arrays:65536 maps:0
//	//msgp:replace protocols.Digest with:[32]byte
//	//msgp:replace protocols.NodeID with:int32
//
//	type Vote struct {
//		View   uint64
//		Digest protocols.Digest
//		Proof  []byte `msg:",limit=64"`
//	}
//
// # Sealing and admission
//
// A handler never checks the MAC or signature of the message it is given. The
// table says how a type is sealed ([Seal]); the sending host seals, the
// receiving host checks before the handler runs, on its admission cores. A
// message that fails never reaches the handler; the node only gets a
// rate-limited [Notice] naming the sender. Things inside a message that somebody
// else vouched for (client requests inside a PRE-PREPARE, signatures inside a
// certificate) are each a [Part]: it is checked on its own and the handler is told
// by [Verdicts] which of them failed, because a PRE-PREPARE with one bad client
// entry is not a bad PRE-PREPARE. What depends on the state, such as the signatures
// inside an operation, is checked by Env.Check on the same cores; the answer is a
// [Checked] with the same id, and whatever needs it has to wait for it. Every MAC and signature covers the cluster id,
// the path of the protocol instance, the message type and the sender, so that
// nothing replays elsewhere.
//
// # Durability
//
// What Env.Log was given is durable before anything that the lane sends or posts
// afterwards leaves it. After a crash the records come back through [Boot] in
// the order they were logged. Env.Compact replaces all earlier records of the
// instance by one summary, which keeps the log bounded.
//
// Boot.Kind says what that obliges to. Recovered: the log is complete; the node goes
// on from it, says nothing that contradicts what it logged, and repeats nothing that
// its earlier life is known to have done. Wiped: promises were made and are forgotten;
// until nobody can hold the node to them any more it follows, and makes none. What
// cannot be read counts as lost. A client begins a new incarnation of its timestamps.
//
// # Nesting
//
// Protocols contain protocols. Env.Sub(label) gives the inner one an Env whose
// path scopes its timers, randomness, log records and messages; the outer node
// receives everything and routes by Envelope.Path, Timer.Path and Record.Path.
//
// What this package is not: it holds no protocol logic, no network and no
// cryptography (protocols/auth implements [Auth]).
package protocols
