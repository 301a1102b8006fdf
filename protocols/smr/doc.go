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
// alone; it is the only one so far. Shell and orderer call each other directly, so they
// are on one lane. Another shell can take [Executor], [ClientTable], [Pending] and
// [Votes] from here; state transfer and certificates are parts of Replica.
//
// # Certificates
//
// Whenever the number of executed requests reaches a multiple of B
// (ReplicaOptions.Block), in the middle of a batch too, a replica signs (number of
// requests, block digest, state root) and sends it to the others as CERTIFY. f+1 equal
// signatures are a [Certificate]: one of their signers is correct, and correct
// replicas sign final states only. MAC-based protocols have no other proof that
// means something to an outsider. [VerifyCertificate] needs nothing but the keys of
// the replicas. The block digest ([Executor.Block]) names the requests of the block in
// order, and is part of the checkpoint digest and of snapshots, so that a replica
// whose state was transferred in the middle of a block finishes it as the others do.
// Blocks that a replica did not finish itself it does not sign.
//
// CERTIFY is not sent again. A replica that misses one, or that is more than
// certifySpan blocks behind or ahead of the others, has a gap in its certificates;
// the next block's closes it, because a certificate covers the whole prefix. Where
// that is too long to wait for, B is to be smaller.
//
// This is for protocols of immediate finality: what [Replica] executes is final. A
// shell that executes speculatively would have to certify the released prefix only: to
// note (number, block digest, root) at the end of each block when it executes, to drop
// what a Rollback takes back, and to sign what Release has passed.
//
// # Decisions
//
//   - Exactly-once execution is decided at execution, by the client table, never at
//     ordering: a duplicate that gets ordered is skipped on every replica alike.
//   - A client authenticates a request by a MAC vector and, when it retransmits, by
//     a signature. A MAC vector may be good for some replicas only; a signature is good
//     for all or for none. So a backup passes an unsigned request on to the primary and
//     keeps it, to be ready when it is proposed, but suspects the primary for signed
//     ones only: no client makes it suspect a correct primary by a MAC that is bad
//     there. A MAC that is good at the primary only blocks a slot. A replica whose own
//     proposal was abandoned asks the clients in it for signatures for a while
//     (Replica.mustSign, ReplicaOptions.SignFor), so that such a client costs at most
//     one view change per primary and while.
//   - A client has at most window requests open (ReplicaOptions.Window). What is older
//     than its window latest executed requests is not executed any more and not waited
//     for: its client has given it up.
//   - The checkpoint digest covers the application's root, the client table and the
//     number of applied operations, because all three decide future replies, and the
//     digest of the unfinished block.
//   - A replica that lost its disk signs for certificates even while it may not vote.
//     A vote can contradict one that its earlier life forgot; a CERTIFY cannot, because
//     it promises nothing: it reports the one state that the decided requests lead to,
//     computed from a checkpoint that f+1 replicas vouch for or from genesis. Signing
//     the same block twice gives the same content. A replica whose state has diverged
//     does sign a wrong one, and counts among the f faulty for that.
//
// What it is not: it contains no ordering protocol and no application.
package smr
