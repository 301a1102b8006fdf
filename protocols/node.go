package protocols

import (
	"math/rand/v2"
	"time"
)

// NodeID names a protocol participant: replicas are 0..n-1, clients count up
// from FirstClient, agents from FirstAgent.
type NodeID int32

// Ranges of node ids.
const (
	// FirstClient is the id of the first client of a cluster.
	FirstClient NodeID = 1 << 20
	// FirstAgent is the id of the first agent (clock reporters, beacons).
	FirstAgent NodeID = 1 << 30
	// Nobody is no node.
	Nobody NodeID = -1
)

// IsReplica reports whether id lies in the range of replicas.
func (id NodeID) IsReplica() bool { return id >= 0 && id < FirstClient }

// IsClient reports whether id lies in the range of clients.
func (id NodeID) IsClient() bool { return id >= FirstClient && id < FirstAgent }

// Group is a fixed list of recipients. It must not be modified once it has been
// passed to an Env, which may cache what it derives from it.
type Group []NodeID

// Index returns the position of id in the group, or -1.
func (g Group) Index(id NodeID) int {
	if int(id) >= 0 && int(id) < len(g) && g[id] == id { // replicas are their own index
		return int(id)
	}
	for i, m := range g {
		if m == id {
			return i
		}
	}
	return -1
}

// Without returns a copy of g that lacks id.
func (g Group) Without(id NodeID) Group {
	out := make(Group, 0, len(g))
	for _, m := range g {
		if m != id {
			out = append(out, m)
		}
	}
	return out
}

// Replicas returns the group 0..n-1.
func Replicas(n int) Group {
	g := make(Group, n)
	for i := range g {
		g[i] = NodeID(i)
	}
	return g
}

// Time is a point in time in nanoseconds. Env.Now counts from an arbitrary
// origin (the start of the run in the simulator); Env.Clock is the wall clock
// of the host, which may be wrong and may drift.
type Time int64

// Add returns t shifted by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Node is one single-threaded lane of a replica, a client or an agent. Handlers
// run to completion and never concurrently; the arguments are valid during the
// call only, except messages and Verdicts, which are immutable and may be kept.
type Node interface {
	// Start is called once per life, before anything else.
	Start(env Env, boot Boot)
	// Receive handles a message whose seal was found good. Messages posted by a
	// lane of the same node and the host's own messages (*Notice, *Checked)
	// arrive here too, with Envelope.Local set.
	Receive(e *Envelope, m Message, v Verdicts)
	// Timeout handles a timer set by Env.SetTimer and not cancelled since.
	Timeout(t Timer)
}

// Client is a Node through which an application invokes operations.
type Client interface {
	Node
	// Invoke starts an operation. The host calls it only while fewer than
	// Entry.Outstanding operations of this client are open. The result is
	// reported by Env.Complete under the same id. op must not be modified
	// afterwards.
	Invoke(id uint64, op []byte)
}

// BootKind says what a node finds when it starts.
type BootKind uint8

// Kinds of boot.
const (
	// Fresh: the node never ran; its log is empty for that reason.
	Fresh BootKind = iota
	// Recovered: the node ran before; its log is complete up to what was durable.
	Recovered
	// Wiped: the node ran before and lost its disk. It may have made promises
	// that it no longer knows, and must not make new ones that could contradict
	// them. It stays wiped, in all its lanes, until a record that it logged after
	// the loss is durable: killed before that, it is started as Wiped again. So a
	// node that has to remember the loss logs something before it does anything
	// that depends on being past it.
	Wiped
)

func (k BootKind) String() string {
	switch k {
	case Fresh:
		return "fresh"
	case Recovered:
		return "recovered"
	default:
		return "wiped"
	}
}

// Boot is what survived of a node's earlier lives.
type Boot struct {
	Kind BootKind
	// Incarnation counts the lives of this node, from 0, over losses of its disk too
	// (a host that cannot count them takes a clock that only rises). Clients put it
	// into their timestamps so that a restart never reuses one; replicas that lost
	// their disk tell what they say now from what they said before.
	Incarnation uint32
	// Records are the durable log records in the order they were logged, after
	// compaction. For a node with several lanes each lane sees its own.
	Records []Record
}

// Record is one record of the durable log.
type Record struct {
	// Path of the instance that logged it.
	Path string
	// Message is the record; its type is in the protocol's MessageTable.
	Message WireMessage
}

// TimerID names a timer of one node. The zero value is no timer.
type TimerID uint64

// Timer is what Timeout receives.
type Timer struct {
	ID TimerID
	// Path of the instance that set it.
	Path string
	// Kind and Arg are the caller's.
	Kind uint32
	Arg  uint64
}

// Envelope says where a message came from. It is valid during the call only.
type Envelope struct {
	From NodeID
	// To is the node that received the message.
	To NodeID
	// Path of the instance the message belongs to; "" is the outermost.
	Path string
	// Type is the entry of the message table; nil for local messages.
	Type *MessageType
	// Local is set for messages from another lane of the same node and from the
	// host itself; FromLane is the lane that posted it (-1 for the host).
	Local    bool
	FromLane int
	// Size is the size on the wire in bytes, authenticators included.
	Size int
}

// Env is everything that a node can do. It belongs to one lane; none of its
// methods blocks, and none may be called outside a handler.
type Env interface {
	// Self is the node's id, Lane the index of this lane, Path the path of the
	// instance ("" for the outermost).
	Self() NodeID
	Lane() int
	Path() string

	// Now is the monotonic time; it does not move during a handler.
	Now() Time
	// Clock is the wall clock of the host: it may be off and may drift.
	Clock() Time
	// Rand is the node's seeded random stream for this path.
	Rand() *rand.Rand

	// Send seals m as its type declares and sends it to one node. A message to
	// oneself is delivered through the queue, not during the call.
	Send(to NodeID, m WireMessage)
	// Multicast sends one copy to each member. The sender is skipped if it is a
	// member.
	Multicast(to Group, m WireMessage)
	// Post hands m to another lane of the same node, first in first out.
	Post(lane int, m Message)

	// SetTimer asks for a Timeout after d (at least 1 ns). CancelTimer of a
	// timer that fired, was cancelled or is 0 does nothing.
	SetTimer(d time.Duration, kind uint32, arg uint64) TimerID
	CancelTimer(id TimerID)

	// Auth gives digests and the authenticators of parts; what it does is
	// charged to this step.
	Auth() Auth
	// Check has the signatures of application operations checked on the
	// admission cores and answers with a *Checked carrying the same id.
	Check(id uint64, checks []SigCheck)

	// Log makes a record durable before anything that this lane sends or posts
	// later leaves it. LogLazily makes no such promise; use it for records on
	// which nobody's promise depends. The log is one sequence: a durable record makes
	// every earlier one durable, lazy ones included.
	Log(m WireMessage)
	LogLazily(m WireMessage)
	// Compact makes m durable and forgets all earlier records of this path.
	Compact(m WireMessage)

	// Emit reports a transition to observers and traces.
	Emit(ev Event)
	// Complete reports the result of a client's operation.
	Complete(c Completion)

	// Sub returns the Env of an inner instance: its path is Path + "/" + label
	// (label alone at the outermost level). Calls with one label share timers,
	// randomness and log. A label has 1 to 16 letters, digits or '-'.
	Sub(label string) Env
}

// Completion is the result of a client's operation.
type Completion struct {
	// ID is the id given to Invoke.
	ID uint64
	// Result is the reply of the application.
	Result []byte
	// View is the view or instance that answered, for the record.
	View uint64
	// Retransmissions counts how often the request was sent again.
	Retransmissions int
}

// Notice is the host's word about a peer. At most one per peer and kind is
// delivered per second; Count says how many it stands for.
type Notice struct {
	Kind  NoticeKind
	Peer  NodeID
	Count uint64
}

// NoticeKind says what a Notice is about.
type NoticeKind uint8

// Kinds of notice.
const (
	// BadSeal: messages of the peer failed admission.
	BadSeal NoticeKind = iota + 1
	// Lost: messages between this node and the peer were lost; the order of what
	// arrives is kept, but there is a gap.
	Lost
)

// Checked answers Env.Check: Bad lists the indices of the checks that failed, in
// ascending order.
type Checked struct {
	ID  uint64
	Bad []int
}

// Tag implements Message.
func (*Notice) Tag() Tag { return TagNotice }

// Tag implements Message.
func (*Checked) Tag() Tag { return TagChecked }

// For returns the part of the boot that belongs to the instance at path.
func (b Boot) For(path string) Boot {
	out := b
	out.Records = nil
	for _, r := range b.Records {
		if r.Path == path {
			out.Records = append(out.Records, r)
		}
	}
	return out
}
