package protocols

import (
	"fmt"
	"math/rand/v2"
	"sort"

	"github.com/tinylib/msgp/msgp"
)

// Tag identifies a message type on the wire. Tags are unique in the project:
// 0x00xx belongs to this package, 0x01xx to protocols/smr, 0x02xx to
// protocols/pbft, 0x03xx to protocols/raft, 0x04xx to abstract, 0x05xx to rbft,
// 0x06xx to xpaxos, 0x07xx to pag, 0x08xx to workloads; 0xF0xx is for examples
// and tests.
type Tag uint16

// Tags of this package.
const (
	TagNotice  Tag = 0x0001
	TagChecked Tag = 0x0002
	TagRequest Tag = 0x0003
	TagReply   Tag = 0x0004
)

// Message is anything that a handler receives.
type Message interface {
	Tag() Tag
}

// WireMessage is a message that can be sent or logged. Its methods are generated
// by msgp in tuple form.
type WireMessage interface {
	Message
	msgp.MarshalSizer
	msgp.Unmarshaler
}

// Class is a traffic class. Order holds per sender and class; hosts give each
// class its own queue and, on TCP, its own connection, so that a flood of client
// requests cannot delay votes.
type Class uint8

// Traffic classes.
const (
	// ClassClient carries requests and replies.
	ClassClient Class = iota
	// ClassOrder carries ordering and view-change messages.
	ClassOrder
	// ClassBulk carries state transfer and fetched bodies.
	ClassBulk
	// ClassGossip carries dissemination and agents' messages.
	ClassGossip
	// NumClasses counts them.
	NumClasses
)

func (c Class) String() string {
	return [...]string{"client", "order", "bulk", "gossip", "?"}[min(c, NumClasses)]
}

// Seal says how a message type is authenticated from sender to receiver.
type Seal uint8

// Kinds of seal.
const (
	// SealNone: the receiver learns nothing about the sender; the parts carry
	// what authentication there is, or the content is checked by digest.
	SealNone Seal = iota
	// SealMAC: each copy carries one MAC for its receiver (MACSize bytes).
	SealMAC
	// SealSignature: all copies carry one signature of the sender
	// (SignatureSize bytes).
	SealSignature
)

func (s Seal) String() string { return [...]string{"none", "mac", "signature", "?"}[min(s, 3)] }

// Round places a message in a protocol's progress, for adversaries and traces.
type Round struct {
	View, Seq uint64
	Phase     uint8
}

// TraceHash receives what identifies a message's content. Digests enter as
// first-occurrence numbers, so that real and modelled cryptography give one
// trace; MACs and signatures never enter.
type TraceHash interface {
	U64(v uint64)
	Digest(d Digest)
}

// PartKind says how a Part is authenticated.
type PartKind uint8

// Kinds of part.
const (
	// PartMAC: Proof is an authenticator, one MAC per replica; the receiver
	// checks its own entry.
	PartMAC PartKind = iota
	// PartSignature: Proof is one signature.
	PartSignature
)

// Part is something inside a message that somebody vouched for.
type Part struct {
	Kind   PartKind
	Signer NodeID
	// Path and Type are what the signer's seal was bound to.
	Path string
	Type Tag
	// Digest is what was authenticated.
	Digest Digest
	Proof  []byte
}

// Verdicts tells which parts of a message failed their check; the zero value
// says that none did. A value never changes: it may be kept like the message.
type Verdicts struct{ failed []uint64 }

// OK reports whether part i passed.
func (v Verdicts) OK(i int) bool {
	w := i >> 6
	return w >= len(v.failed) || v.failed[w]&(1<<(i&63)) == 0
}

// All reports whether every part passed.
func (v Verdicts) All() bool { return v.failed == nil }

// Fail returns a copy of v with part i marked as failed. Hosts use it to build
// verdicts.
func (v Verdicts) Fail(i int) Verdicts {
	failed := make([]uint64, max(len(v.failed), i>>6+1))
	copy(failed, v.failed)
	failed[i>>6] |= 1 << (i & 63)
	return Verdicts{failed}
}

// Mutation is one plausible lie about a message type: a small-scope change that
// an adversary holding the sender's keys may make (after ByzzFuzz, OOPSLA 2023).
type Mutation struct {
	Name string
	// Apply returns a changed copy; it must not touch m.
	Apply func(m WireMessage, r *rand.Rand) WireMessage
}

// MessageType declares one message type. All functions are pure: they depend on
// their arguments alone.
type MessageType struct {
	Tag Tag
	// Name is the paper's name, for example "PRE-PREPARE".
	Name  string
	Class Class
	Seal  Seal
	// Lane gives the lane that handles the message; nil is lane 0.
	Lane func(e *Envelope, m Message) int
	// New returns an empty message to decode into.
	New func() WireMessage
	// Parts appends what admission has to check inside the message; nil is none.
	// Hashing is charged to the admission core.
	Parts func(dst []Part, h Hasher, e *Envelope, m WireMessage) []Part
	// Round places the message; nil is the zero round.
	Round func(m WireMessage) Round
	// Trace feeds the content to the trace hash; nil feeds the round and size.
	Trace func(m WireMessage, t TraceHash)
	// Once marks a promise: it tells what a message is about, such as view and slot of
	// a vote, and a correct node never sends two messages of this type and path about
	// the same with different contents (as Trace has them), in all its lives. nil
	// promises nothing.
	Once func(m WireMessage) Round
	// Mutations lists plausible lies; may be empty.
	Mutations []Mutation
	// Record marks a type that is only logged, never sent.
	Record bool
}

// MessageTable holds the message types of a complete protocol.
type MessageTable struct {
	byTag map[Tag]*MessageType
	list  []*MessageType
}

// NewMessageTable gathers types. Several lists are given where a protocol
// contains others. It panics on a repeated tag or an incomplete type: both are
// programming errors.
func NewMessageTable(lists ...[]MessageType) *MessageTable {
	t := &MessageTable{byTag: make(map[Tag]*MessageType)}
	for _, l := range lists {
		for i := range l {
			mt := l[i]
			if mt.New == nil || mt.Name == "" || mt.Class >= NumClasses {
				panic(fmt.Sprintf("protocols: message type %#04x %q needs New, Name and a known Class", mt.Tag, mt.Name))
			}
			if got := mt.New().Tag(); got != mt.Tag {
				panic(fmt.Sprintf("protocols: message type %q declares tag %#04x but its message says %#04x", mt.Name, mt.Tag, got))
			}
			if old := t.byTag[mt.Tag]; old != nil {
				panic(fmt.Sprintf("protocols: tag %#04x is both %q and %q", mt.Tag, old.Name, mt.Name))
			}
			t.byTag[mt.Tag] = &mt
			t.list = append(t.list, &mt)
		}
	}
	sort.Slice(t.list, func(i, j int) bool { return t.list[i].Tag < t.list[j].Tag })
	return t
}

// Lookup returns the type with this tag, or nil.
func (t *MessageTable) Lookup(tag Tag) *MessageType { return t.byTag[tag] }

// Types returns all types in ascending tag order. The slice must not be changed.
func (t *MessageTable) Types() []*MessageType { return t.list }
