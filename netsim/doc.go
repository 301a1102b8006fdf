// Package netsim is the deterministic simulator: it runs the nodes of a protocol
// unchanged on modelled hosts and networks, in virtual time. Same binary, same
// configuration, same seed: same trace hash, in any process and on any
// architecture.
//
// A simulation is one goroutine over one priority queue. New makes a [Sim];
// AddHost, AddNode and AddClients fill it; Run advances it; Stats, Finish and
// TraceHash tell what happened. Sims share nothing: use the cores by running
// many at once. The Example shows a complete protocol in it.
//
// It is not a network emulator: no packets, routers or sockets are simulated,
// only what decides the performance and the schedules of replication protocols.
// Scenario files, command line and statistics are the business of experiments.
//
// # What a message costs
//
// Every stage is a FIFO server described by the time until which it is busy:
//
//	step      done  = start + base + recv(bytes) + charged operations
//	sends     out_i = done + send_1 + ... + send_i          the CPU of the sender
//	disk      ready = max(out_i, durable)                   see Durability
//	egress    dep   = max(ready, NIC busy) + bytes/rate up
//	path      first = dep - bytes/rate + packet/rate + delay + jitter
//	ingress   rx    = max(max(first, NIC busy) + bytes/rate down, last + packet/rate down)
//	CPU       start = max(rx, lane busy, core busy)
//
// CPU work is counted in picoseconds and rounded up to nanoseconds twice per step:
// when its work is done, and when all it sends has been handed over.
// NICs carry the fraction of a nanosecond along. Bytes are the exact encoding of
// the message in its frame, plus what TLS, TCP and Ethernet add (WireBytes). How
// much a packet carries follows from the MTU of the sender's link. Times beyond 36
// years are 36 years.
// Outputs leave when the work of the step is done, never during the handler.
//
// Work of one step is never preempted. A step that waits for a core runs its
// handler at once, with the later time as Now: nothing can come between. A host's cores are shared by all lanes and
// processes on it. On a host with one core, or without costs, admission (seals,
// parts) is part of the step that handles the message; on a host with several it
// runs on the least busy core (the lowest index on ties), keeps the order of each
// sender and class, and the message enters its lane afterwards.
//
// # Flushes
//
// All messages that a step hands to one peer share one flush, that is, one write
// there and one read here; so do those of directly successive steps of a
// backlogged lane, 16 at most per flush. A lane that waited for a core only is
// backlogged if something waited for it when its last step ended. The message that
// opens a flush pays for the write and the read; each pays per message and byte,
// and on the link for the TLS records and TCP segments that its bytes begin. A
// broadcast joins only the flush of an earlier broadcast to the same group; a
// message to a member of the group may join that, and counts for all. A lane
// remembers the open flushes of 64 peers (peers that share a slot replace each
// other) and of two groups. Datagrams share nothing: each is a system call on
// either side, at the price of io.udp where the profile has one. A host that is
// compared with the simulator has to follow the same rule.
//
// # Order
//
// With Transport Stream or TCP the messages of one connection (sending process,
// receiving process, class) never overtake each other; a message whose jitter
// would let it, follows its predecessor's last packet, with its own length. The
// copies of one broadcast leave place by place, beginning at a place and in each
// at a member that the message's own draw decides, so that nobody is always last.
// Posts and messages to oneself keep the order in which the lane made them. With
// Sched Fair the copies of a large broadcast share the NIC packet by packet.
//
// The queue is a radix heap with digits of four bits: against one bucket per bit
// it moves an event about a third as often. Events of one instant are ordered by a seeded hash of channel and time, never by
// insertion, and on one channel by their position on it. Faults come before
// anything else at their time.
//
// # Modes
//
// Exact takes two queue events per message: arrival at the NIC, and the lane that
// becomes free. Fast handles a message ahead of time when it arrives at the NIC;
// that is exact for hosts with one lane and one core (or no costs) in runs
// without faults, and Auto uses it there. Timers and local messages that come
// before the end of a reception send the message the exact way. Exact and Fast
// differ when a bounded queue overflows: what a node is told of that may reach it
// behind a message whose reception had begun, and an inbox may take twice as much.
// Observers hear of events in virtual-time order in either mode. Streams keep one queue entry per
// broadcast and place; where copies have jitter of their own an entry yields each
// copy one nanosecond before its earliest arrival, and the copy becomes an event
// of its own (nothing is ever clamped). Runs with faults let every copy depart by
// an event of its own, so that faults see it. All of them, the wire mode and real
// cryptography give one trace hash; tests hold that.
//
// # Durability
//
// Env.Log holds back what the lane sends and posts afterwards until a sync that
// began after the record's step was done has ended; what a lane hears is durable
// already, so lanes that hear from others inherit it. One sync runs per host at a
// time, on behalf of one process, and covers what that process had appended when
// it began. With a profile without disk costs records are durable when their step
// is done. A crash loses what is not durable, and nothing else; with a torn log
// some of what was being written survives.
//
// # Faults
//
// Faults are data ([Fault]), timed or triggered by an event. Decisions where
// sources are silent:
//
//   - A partition of streams breaks connections: what departs during it is lost,
//     and announced to the sender at once, to the receiver when something comes
//     through again. A clog is the fault that keeps messages.
//   - A connection does not outlive its processes: what is on its way to a process
//     that crashes is lost even if it arrives after the restart, and nothing that
//     comes later waits for it. A copy of which
//     the sender's NIC had not sent the last packet when the sender crashed is
//     lost as a whole.
//   - A step that was going on when a pause began ends; what it sends leaves
//     after the pause, and so does what waited for the disk. A paused process
//     verifies nothing: what arrives is admitted after the pause.
//   - Notices about lost datagrams do not exist.
//   - Loss, duplication and reordering befall messages between two processes of one
//     host, too; what a path of the topology loses does not.
//   - A process of clients that crashes loses what it had open; the users, which
//     are the load, live on and learn of it when the process is back.
//   - A process that cannot write its log stops: it could not keep what it would
//     promise. One that finds a record of its log damaged when it starts boots as
//     Wiped. A torn record at the end of the log is cut off, for nothing depends on
//     it.
//   - A crash empties the NIC's queue if the process had the host to itself.
//
// # Bounds
//
// Inbox of a lane: Config.Inbox items, then messages are lost and announced.
// Outputs waiting for the disk: as many, then the lane waits. Log of a lane:
// Config.Log records, then the run fails. NIC queues: Link.Queue bytes
// (DefaultQueue if 0), then copies are lost and announced. Known digests per
// node: 256. Notices: 4,096 peers per process. Checkpoints per node: 1024. The
// ring: RingRecords, about 12 MB. Connections with jitter: 8 bytes per pair of
// processes and class up to 2,048 processes, beyond that what is under way; TCP
// and lossy paths: one entry per connection used.
//
// # Randomness
//
// Every draw of the network and of faults is a pure function of seed, purpose,
// source, destination and the source's counter: an extra message disturbs no
// other draw. Env.Rand is an ordinary stream per lane, path and incarnation.
//
// # Trace
//
// Each process has a 64-bit chain over its steps (start, tie key, kind, content,
// digest of outputs) with checkpoints; clients of one process share one. The
// trace hash is SHA-256 over (node, steps, chain). Digests enter as numbers of
// their first occurrence at the node, seals not at all. A ring keeps the last
// records (Recent); a TraceSink gets everything of a window.
package netsim
