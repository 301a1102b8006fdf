package protocols

// EventKind says what happened.
type EventKind uint8

// Kinds of event that every protocol emits where they apply. Observers, traces
// and figures are built on them.
const (
	// EventExecuted: the node applied a request. Index is its position in the
	// total order from 1, Client and Timestamp name it, Digest is its digest.
	EventExecuted EventKind = iota + 1
	// EventRolledBack: the node took back everything above Index.
	EventRolledBack
	// EventFinal: everything up to Index is final at this node; Digest is the
	// root of the state there when Root is set.
	EventFinal
	// EventCommitted: slot Seq was decided in View with the batch Digest.
	EventCommitted
	// EventViewChange: the node left for View.
	EventViewChange
	// EventNewView: the node takes part in View; Peer is the primary.
	EventNewView
	// EventCheckpoint: the checkpoint at slot Seq became stable; Digest.
	EventCheckpoint
	// EventTransfer: the node adopted a state from a peer, up to Index.
	EventTransfer
	// EventInvoked: a client was asked for Digest; Timestamp names the request.
	EventInvoked
	// EventAccepted: a client accepted a result for Timestamp.
	EventAccepted
	// EventSuspect: the node blames Peer.
	EventSuspect
	// EventDuplicate: an ordered request had already been executed, or never can be, and was
	// skipped.
	EventDuplicate
	// EventProtocol: something of the protocol's own; Note says what.
	EventProtocol
)

var eventNames = [...]string{"?", "executed", "rolled-back", "final", "committed", "view-change", "new-view", "checkpoint", "transfer", "invoked", "accepted", "suspect", "duplicate", "protocol"}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return eventNames[0]
}

// Event is one transition of a node.
type Event struct {
	Kind EventKind
	// Path of the instance; filled in by the Env.
	Path      string
	View, Seq uint64
	Index     uint64
	Client    NodeID
	Timestamp uint64
	Digest    Digest
	// Root says that Digest is a state root.
	Root bool
	Peer NodeID
	Note string
}

// Observer watches a run. Observers are called synchronously by the simulator,
// in virtual-time order; they must not keep the event.
type Observer interface {
	// Observe is told of every event of every node.
	Observe(at Time, node NodeID, ev *Event)
	// Finish is called once at the end and returns what was found wrong.
	Finish(at Time) []Violation
}

// SendObserver is an Observer that is also shown what nodes say. The simulator calls
// Sent, before anybody receives a copy, for each message whose type declares
// MessageType.Once, when it leaves the lane that sent it: when nothing that the lane
// logged before can be lost any more. A message that a crash takes back before that
// was never said. A host may run nodes ahead of time; then Sent of different nodes
// are not in the order of their times.
type SendObserver interface {
	Observer
	// Sent is told of one message to any number of receivers; m must not be changed.
	Sent(at Time, node NodeID, path string, mt *MessageType, m WireMessage)
}

// Violation is a broken invariant.
type Violation struct {
	// Invariant is its name: agreement, integrity, validity, root, liveness, ...
	Invariant string
	At        Time
	Node      NodeID
	Detail    string
}
