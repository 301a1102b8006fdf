// Package pbft implements Practical Byzantine Fault Tolerance with the MAC-based
// view change: Castro, Liskov, "Practical Byzantine Fault Tolerance and Proactive
// Recovery", TOCS 2002 (called TOCS below), with what OSDI 1999 says of the common
// case. It is used alone ([Protocol]) and made to be, as an [Orderer], part of others.
//
// # The paper's steps
//
//	REQUEST                    smr.Client.Invoke, smr.Replica.onRequest, Orderer.Submit
//	PRE-PREPARE                Orderer.propose, Orderer.onPrePrepare, Orderer.accept
//	PREPARE                    Orderer.prepare, Orderer.onPrepare
//	COMMIT                     Orderer.advance, Orderer.onCommit
//	execution, REPLY           Orderer.deliver, smr.Replica.execute, smr.Client.onReply
//	CHECKPOINT, garbage        Orderer.Checkpoint, onCheckpoint, makeStable, moveWindow
//	VIEW-CHANGE (sets C, P, Q) Orderer.startViewChange, viewChangeMessage, onViewChange
//	VIEW-CHANGE-ACK            Orderer.onViewChange, onViewChangeAck
//	NEW-VIEW (sets V, X)       Orderer.tryNewView, decide, onNewView, tryAccept, adoptView
//	retransmission (STATUS)    Orderer.onResend, onStatus, resendVotes
//	fetching batches           Orderer.fetchBatch, onFetchBatch, onBatch
//	state transfer             Orderer.fallBehind, smr transfer, Orderer.Jump, prove
//	recovery, lost disk        recover, learner (QUERY-STABLE, REPLY-STABLE)
//
// Quorums follow n and f: 2f+1 stands for ceil((n+f+1)/2) and 2f PREPAREs for one
// less, so that n > 3f+1 is safe (protocols.Quorum).
//
// # Decisions
//
//  1. Execution follows COMMIT; there is no tentative execution, so a request takes
//     five one-way delays.
//  2. 2f+1 matching COMMITs decide a slot also at a replica that has not prepared it
//     (it lacked a PREPARE, the PRE-PREPARE, or accepted another proposal of a lying
//     primary). At least f+1 of their senders are correct and have it in P, which is
//     what the view change rests on; whether the learner is one of them does not
//     matter. Such a replica sends no vote of its own.
//  3. A replica that waits for a NEW-VIEW still counts COMMITs of the view it left: a
//     decision stays a decision.
//  4. A backup whose entry of a client's authenticator is bad holds the proposal
//     until it has seen the request with a good one, or f+1 PREPAREs for the batch
//     show that a correct replica has. If neither comes, the view changes, and the
//     primary that proposed it asks those clients for signatures (package smr).
//  5. The batch digest covers the clients' authenticators, so that a lying primary
//     cannot give different replicas different ones under one digest.
//  6. Q remembers the digests with the highest views per slot: 8 in any case, up to 64
//     while their batches are small. P is never dropped. Losing an old entry of Q
//     breaks nothing, but if that many views in a row fail while the one replica that
//     has an older digest in P is cut off, no later view can begin without the others
//     that had it in Q: a bound that the paper leaves open.
//  7. A replica sends PREPARE for a slot fixed by NEW-VIEW once it holds the batch, so
//     f+1 correct replicas hold whatever is decided.
//  8. The timer for a NEW-VIEW starts when 2f+1 replicas are known, by VIEW-CHANGE or
//     STATUS, to be in that view or a later one. The paper counts VIEW-CHANGEs for
//     that view only, with which replicas that passed each other on lossy links, or
//     that lost the proof of a view in a restart, can wait for ever.
//  9. f+1 replicas that claim, in STATUS, to take part in a view on the strength of a
//     NEW-VIEW with this digest are accepted in place of the VIEW-CHANGEs behind it:
//     one of them is correct and has checked them. Laggards get in this way.
//  10. Suspicion: nothing was delivered for the time-out while something waited, or
//     one request waited Fairness times as long although others were served. The
//     time-out doubles with each view change that brings no progress. Requests that
//     were executed before are no progress, and the time that a request waited under
//     earlier primaries is not held against the next.
//  11. A replica without its disk counts as faulty until its own stable checkpoint is
//     a full window above what any replica it asked had executed; until then it
//     follows and executes but sends no vote (type learner). Answers that what f+1
//     say in STATUS contradicts do not count. What it sent in its
//     former life is void, since it may contradict it now: VIEW-CHANGE carries the
//     life in which its sender last lost its disk, NEW-VIEW that of each VIEW-CHANGE
//     it rests on, and who knows of a later life believes neither (noteLife,
//     outdated). 2f+1 others know, durably, before the replica votes again. A loss is
//     believed once in MaxTimeout, or a liar could spoil view after view with it; a
//     replica that loses its disk twice in that time waits for so long. A view that
//     began before the loss on the strength of a VIEW-CHANGE of then is believed in
//     again when the replica has said that it votes in that view or later ones only.
//  12. With option log off, a restarted replica is treated as one without its disk.
//  13. The checkpoint that a NEW-VIEW begins with becomes stable by 2f+1 CHECKPOINTs,
//     like any other: of the f+1 that hold it only one may be correct, and if that one
//     dropped its log while nobody else saw the NEW-VIEW, no later view could begin.
//     Its state is handed out at once. The same holds for a state that was fetched on
//     the word of f+1 CHECKPOINTs: the state moves, h, P and Q do not, until 2f+1 have
//     sent that CHECKPOINT or f+1 say that theirs is not below (Orderer.prove).
//  14. NEW-VIEW is its sender's vote for all slots it chooses. A new primary whose
//     window does not reach them all catches up first, or Q would lack its vote.
//  15. The last NEW-VIEW of each sender is kept until it can be judged, whatever view
//     it is for.
//  16. NEW-VIEW leaves out the null requests behind the last slot chosen from P only. A
//     null request that somebody has prepared may be decided, and its slot is not given
//     to anything else.
//  17. VIEW-CHANGE is sent again on STATUS of a replica that lacks the view, after waits
//     that double. What a peer can make this replica send by asking (batches,
//     VIEW-CHANGEs, proposals on STATUS) is bounded per resend period.
//  18. A replica that left one view too many counts the COMMITs of the lower view that
//     f+1 others take part in (decision 3). It does not vote there any more.
//  19. The log is compacted when the state at h, or a later one, is durable: at
//     snapshots, which the shell makes after so much ordered work, and after
//     maxViewRecords view changes, for which it makes one if need be. A log whose state
//     cannot be read counts as a lost disk.
//  20. After two views in a row without progress a primary puts signed requests forward
//     only: one unsigned request with an authenticator that is bad elsewhere keeps its
//     whole batch from preparing.
//  21. A client that is used to long latencies waits four times as long before it
//     retransmits, and backups relay a retransmission only if it still waits after one
//     resend period: otherwise an overloaded cluster does nothing but check signatures.
//
// What it is not: no dynamic membership, no read-only optimisation, no proactive
// key refreshment.
package pbft
