// Package smr holds what every state-machine replica needs once, whatever
// protocol orders the requests: vote counting, the queue of pending requests,
// the client table with its reply cache, the executor with undo, checkpoints,
// state transfer, the client, and the replica shell that joins them to an
// [Orderer].
//
// # Orderer and shell
//
// A total-order protocol is an [Orderer]: it orders opaque requests into numbered
// slots and knows nothing of their execution. What it needs from outside it asks
// its [Shell]: may this request be prepared (Ready), what is the checkpoint digest
// at this slot (CheckpointDue, answered by Orderer.Checkpoint). The shell executes,
// replies and transfers state. [Replica] is the shell of a protocol that is used
// alone; Backup and RBFT bring shells of their own around the same orderers.
//
// # Decisions
//
//   - Exactly-once execution is decided at execution, by the client table, never at
//     ordering: a duplicate that gets ordered is skipped on every replica alike.
//   - A client authenticates a request by a MAC vector and, when it retransmits, by
//     a signature. A MAC vector may be good for some replicas only, which lets a
//     faulty client block a slot; a signature is good for all or for none. A replica
//     whose own proposal was abandoned asks the clients in it for signatures for a
//     while (Replica.mustSign), so that such a client costs at most one view change
//     per primary.
//   - The checkpoint digest covers the application's root, the client table and the
//     number of applied operations, because all three decide future replies.
//
// What it is not: it contains no ordering protocol and no application.
package smr
