package smr

import "github.com/edgebft/edgebft/protocols"

// Orderer is a total-order protocol without its application: it puts requests,
// which it does not interpret, into slots 1, 2, 3, ... It runs on its shell's lane:
// the two call each other.
type Orderer interface {
	protocols.Node
	// Begin hands over what the orderer needs before Start: its shell and the slot that
	// the shell's recovered, durable state stands at (0 at genesis): the last one that
	// Stable or Save made durable, or that came by transfer.
	Begin(shell Shell, slot uint64, digest protocols.Digest)
	// Submit offers an authentic request for ordering that is not Done. Repeating it is
	// harmless. Only a signed one may count against a primary that does not order it:
	// an authenticator that is good here may be bad there.
	Submit(r *protocols.Request)
	// Pending returns the request with this key that waits to be ordered, or nil.
	Pending(k protocols.RequestKey) *protocols.Request
	// Recheck says that Ready may now answer differently.
	Recheck()
	// Checkpoint answers Shell.CheckpointDue.
	Checkpoint(slot uint64, digest protocols.Digest)
	// Vouched reports whether enough replicas vouch for this checkpoint that one
	// of them is correct.
	Vouched(slot uint64, digest protocols.Digest) bool
	// Least is the lowest slot whose state is of use: ordering has got to the one
	// before.
	Least() uint64
	// Jump says that the shell's state, durable already, now stands at this slot,
	// which is vouched for; slots up to it will not be delivered any more.
	Jump(slot uint64, digest protocols.Digest)
	// View is the present view, Primary its primary.
	View() uint64
	Primary() protocols.NodeID
}

// Shell is what surrounds an Orderer and executes what it orders.
type Shell interface {
	// Ready says whether this replica may vouch for the request by its vote.
	// sealed is admission's verdict on the client's authenticator.
	Ready(r *protocols.Request, sealed bool) bool
	// Accepted announces a batch that will probably be delivered at slot, so that
	// its signature checks can begin.
	Accepted(slot uint64, digest protocols.Digest, batch []protocols.Request)
	// Deliver hands over the batch of the next slot: every slot once, in order.
	// An empty batch is a null request.
	Deliver(slot, view uint64, digest protocols.Digest, batch []protocols.Request)
	// CheckpointDue asks for the checkpoint digest right after the delivered slot;
	// the answer is Orderer.Checkpoint, now or later.
	CheckpointDue(slot uint64)
	// Stable says that the checkpoint at slot is proven. It reports whether the
	// state at that slot has been made durable: only then may the orderer compact
	// its log up to it. What is in memory it may forget in any case. The slot may be
	// below one whose state came by transfer.
	Stable(slot uint64, digest protocols.Digest) bool
	// Save asks for the state at the last stable slot to be made durable, because the
	// orderer's log has grown, and reports whether it is.
	Save(slot uint64) bool
	// Behind says that the state at slot is vouched for by the holders (replica
	// numbers) and that this replica cannot reach it by ordering.
	Behind(slot uint64, digest protocols.Digest, holders []int)
	// Done reports whether a request needs no ordering (any more): it was delivered,
	// executed or not, or it can never be executed. A request becomes Done also while
	// it waits to be ordered, for example when its client's next one is executed: an
	// orderer asks again before it proposes a request or blames a primary for it.
	Done(k protocols.RequestKey) bool
	// MayPropose reports whether this replica may put the request forward as primary;
	// if not, it forgets it until the client sends it again in a form that it may.
	MayPropose(r *protocols.Request) bool
	// Abandoned says that this replica, as primary, proposed the batch in a view
	// that was left before it was prepared.
	Abandoned(batch []protocols.Request)
}
