// Package adversary holds the Byzantine behaviours that work on every protocol.
// Each is a protocols.Attack: it decorates the Env and the Node of the lanes of
// one unchanged node, sees and changes what that node sends and receives, and
// has the node's own keys only, since it can speak through the node's own Env
// only. The same attacks run in the simulator and over TCP.
//
// [All] lists them for one protocol; they know its messages from its table: the
// class, the round, and the mutations, which are the plausible lies that each
// message type declares beside its codec. A lie is sealed anew by the host, and
// what the liar had itself vouched for inside the message (a signature or an
// authenticator of its own) is made anew too, so that it gets past admission.
//
// Common rules:
//
//   - Messages to oneself, posts between lanes, logs and events are left alone.
//   - Colluding nodes (peers) are never lied to.
//   - Options after and until bound the time of activity, counted from the start
//     of the node's present life; outside it the node is honest.
//   - Victims are replicas: count of them from first on, wrapping around; -1
//     begins after the adversary itself.
//   - Whatever an attack remembers is bounded; the doc of each says by what.
//   - Randomness and timers are the adversary's own (a Sub of the outermost Env
//     named "adversary"), so an attack disturbs no draw of the node it hides in.
//
// Amnesia (a replica that forgets what it signed) is not here: a host does it by
// starting a wiped node as fresh (netsim's Fault.Amnesia). Neither are network faults such as the partitions of
// ByzzFuzz, which are entries of a scenario. Twins need a host that runs a second
// endpoint with the node's identity (protocols.Attack.Copies).
//
// A protocol writes attacks of its own with [Own]: a [Behaviour] that knows its
// messages and rules, in the protocol's package and its registry entry.
package adversary
