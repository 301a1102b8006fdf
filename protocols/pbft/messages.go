package pbft

//go:generate go tool -modfile=../../tools/go.mod msgp -file=messages.go -o=messages_gen.go -tests=false -io=false

//msgp:tuple PrePrepare
//msgp:tuple Prepare
//msgp:tuple Commit
//msgp:tuple Checkpoint
//msgp:tuple CheckpointEntry
//msgp:tuple Entry
//msgp:tuple ViewChange
//msgp:tuple ViewChangeAck
//msgp:tuple ViewChangeRef
//msgp:tuple Chosen
//msgp:tuple NewView
//msgp:tuple Status
//msgp:tuple FetchBatch
//msgp:tuple Batch
//msgp:tuple FetchViewChange
//msgp:tuple ViewChangeCopy
//msgp:tuple QueryStable
//msgp:tuple ReplyStable
//msgp:tuple PreparedRecord
//msgp:tuple CommittedRecord
//msgp:tuple BodyRecord
//msgp:tuple CheckpointRecord
//msgp:tuple StableRecord
//msgp:tuple LearnerRecord
//msgp:tuple LifeRecord
//msgp:tuple Summary
//msgp:limit arrays:65536 maps:0
//msgp:replace protocols.Digest with:[32]byte
//msgp:replace protocols.NodeID with:int32

import "github.com/edgebft/edgebft/protocols"

// Tags of this package.
const (
	TagPrePrepare      protocols.Tag = 0x0201
	TagPrepare         protocols.Tag = 0x0202
	TagCommit          protocols.Tag = 0x0203
	TagCheckpoint      protocols.Tag = 0x0204
	TagViewChange      protocols.Tag = 0x0205
	TagViewChangeAck   protocols.Tag = 0x0206
	TagNewView         protocols.Tag = 0x0207
	TagStatus          protocols.Tag = 0x0208
	TagFetchBatch      protocols.Tag = 0x0209
	TagBatch           protocols.Tag = 0x020a
	TagFetchViewChange protocols.Tag = 0x020b
	TagViewChangeCopy  protocols.Tag = 0x020c
	TagQueryStable     protocols.Tag = 0x020d
	TagReplyStable     protocols.Tag = 0x020e
	TagPrepared        protocols.Tag = 0x0211
	TagCommitted       protocols.Tag = 0x0212
	TagLearner         protocols.Tag = 0x0213
	TagSummary         protocols.Tag = 0x0214
	TagBody            protocols.Tag = 0x0215
	TagCheckpointed    protocols.Tag = 0x0216
	TagStable          protocols.Tag = 0x0217
	TagLife            protocols.Tag = 0x0218
)

// MaxBatch bounds the requests of one batch, MaxWindow the log in slots.
const (
	MaxBatch  = 4096
	MaxWindow = 4096
)

// Bounds of Q: maxEntries in a VIEW-CHANGE; per slot at least minTracked digests and
// at most maxTracked, see tracked.
const (
	maxEntries = 32768
	minTracked = 8
	maxTracked = 64
)

// tracked is how many pre-prepared digests a slot remembers at most in a log of that
// many slots.
func tracked(window int) int { return min(max(maxEntries/window, minTracked), maxTracked) }

// PrePrepare (PRE-PREPARE) is the primary's proposal for a slot. Digest covers the
// batch, client authenticators included.
type PrePrepare struct {
	View, Seq uint64
	Digest    protocols.Digest
	Requests  []protocols.Request `msg:",limit=4096"`
}

// Prepare (PREPARE) is a backup's vote for the primary's proposal.
type Prepare struct {
	View, Seq uint64
	Digest    protocols.Digest
}

// Commit (COMMIT) says that the sender has the proposal prepared.
type Commit struct {
	View, Seq uint64
	Digest    protocols.Digest
}

// Checkpoint (CHECKPOINT) is the sender's state digest after slot Seq.
type Checkpoint struct {
	Seq    uint64
	Digest protocols.Digest
}

// CheckpointEntry is one checkpoint in a VIEW-CHANGE.
type CheckpointEntry struct {
	Seq    uint64
	Digest protocols.Digest
}

// Entry is (n, d, v) of the sets P and Q of a VIEW-CHANGE.
type Entry struct {
	Seq    uint64
	Digest protocols.Digest
	View   uint64
}

// ViewChange (VIEW-CHANGE) of the MAC-based protocol (TOCS 2002, section 4.5): the
// sender leaves for View. Stable is its last stable checkpoint h, Checkpoints its
// own checkpoints from there on, Prepared its set P (per slot the last view in
// which a batch prepared), PrePrepared its set Q (per slot and digest the last view
// in which it was pre-prepared). All lists ascend by slot; PrePrepared ascends by
// digest within a slot. Life is the incarnation in which the sender last lost its
// disk, 0 if it never did: it knows nothing of what it sent in lower lives.
type ViewChange struct {
	View        uint64
	Replica     protocols.NodeID
	Life        uint32
	Stable      uint64
	Checkpoints []CheckpointEntry `msg:",limit=4097"`
	Prepared    []Entry           `msg:",limit=4096"`
	PrePrepared []Entry           `msg:",limit=32768"`
}

// ViewChangeAck (VIEW-CHANGE-ACK) tells the primary of View that the sender holds
// the VIEW-CHANGE of Replica with this digest.
type ViewChangeAck struct {
	View    uint64
	Replica protocols.NodeID
	Digest  protocols.Digest
}

// ViewChangeRef names a VIEW-CHANGE by its sender, the sender's life and its digest.
type ViewChangeRef struct {
	Replica protocols.NodeID
	Life    uint32
	Digest  protocols.Digest
}

// Chosen is a slot's batch in the new view; the zero digest is the null request.
type Chosen struct {
	Seq    uint64
	Digest protocols.Digest
}

// NewView (NEW-VIEW) starts View: the VIEW-CHANGEs it rests on (set V) and what
// follows from them (set X): the checkpoint to start from and a digest for each
// slot after it.
type NewView struct {
	View         uint64
	ViewChanges  []ViewChangeRef `msg:",limit=16384"`
	Stable       uint64
	StableDigest protocols.Digest
	Chosen       []Chosen `msg:",limit=4096"`
}

// Status (STATUS) says where the sender stands, so that others can send again
// what it lacks. NewView is the digest of the NEW-VIEW it follows, while active; Life
// is as in VIEW-CHANGE, Since the lowest view in which the sender may have voted in that
// life, 0 while it does not know.
type Status struct {
	View              uint64
	Life              uint32
	Since             uint64
	Active            bool
	NewView           protocols.Digest
	Stable, Delivered uint64
}

// FetchBatch (FETCH) asks for the batch with this digest, Batch (BATCH) answers.
type FetchBatch struct {
	Digest protocols.Digest
}

// Batch is a batch body; the receiver checks it by its digest.
type Batch struct {
	Requests []protocols.Request `msg:",limit=4096"`
}

// FetchViewChange asks for a VIEW-CHANGE that a NEW-VIEW refers to.
type FetchViewChange struct {
	View    uint64
	Replica protocols.NodeID
	Digest  protocols.Digest
}

// ViewChangeCopy answers it: the sender vouches that it holds this VIEW-CHANGE.
type ViewChangeCopy struct {
	ViewChange ViewChange
}

// QueryStable (QUERY-STABLE) is the question of a replica that lost its disk at the
// beginning of this Life (incarnation) how far the others are, ReplyStable
// (REPLY-STABLE) the answer: Reached is the highest slot the sender has executed. Who
// answers believes nothing any more that the asker sent in a lower life.
type QueryStable struct {
	Life uint32
}

// ReplyStable answers QueryStable.
type ReplyStable struct {
	Life    uint32
	Reached uint64
}

// PreparedRecord logs that a slot prepared.
type PreparedRecord struct {
	View, Seq uint64
	Digest    protocols.Digest
}

// CommittedRecord logs, lazily, that a slot was decided.
type CommittedRecord struct {
	View, Seq uint64
	Digest    protocols.Digest
}

// BodyRecord logs a batch that was fetched, before a vote or a decision rests on it.
type BodyRecord struct {
	Seq      uint64
	Requests []protocols.Request `msg:",limit=4096"`
}

// CheckpointRecord logs that CHECKPOINT is about to be sent; it makes durable the
// decisions, logged lazily, that lead to that state.
type CheckpointRecord struct {
	Seq    uint64
	Digest protocols.Digest
}

// StableRecord logs that a checkpoint became stable, where the state at it is not
// durable: it is what the records before lead to.
type StableRecord struct {
	Seq    uint64
	Digest protocols.Digest
}

// LearnerRecord logs that the replica lost its disk at the beginning of this Life and
// may not vote for slots up to Above. Known is false while it still asks how far that
// is. Done says that it votes again, from View on.
type LearnerRecord struct {
	Life  uint32
	Known bool
	Above uint64
	Done  bool
	View  uint64
}

// LifeRecord logs that another replica lost its disk at the beginning of this Life.
type LifeRecord struct {
	Replica protocols.NodeID
	Life    uint32
}

// Summary replaces the log at a stable checkpoint.
type Summary struct {
	View         uint64
	Active       bool
	VoteView     uint64
	Stable       uint64
	StableDigest protocols.Digest
	Prepared     []Entry      `msg:",limit=4096"`
	PrePrepared  []Entry      `msg:",limit=32768"`
	Bodies       []Batch      `msg:",limit=32768"`
	Committed    []Entry      `msg:",limit=4096"`
	ViewChange   []ViewChange `msg:",limit=1"`
	NewView      []NewView    `msg:",limit=1"`
	// Learner has Life 0 if the replica never lost its disk.
	Learner LearnerRecord
	// Lives holds, per replica, the highest life heard of.
	Lives []uint32 `msg:",limit=16384"`
}

// Tag implements protocols.Message.
func (*PrePrepare) Tag() protocols.Tag { return TagPrePrepare }

// Tag implements protocols.Message.
func (*Prepare) Tag() protocols.Tag { return TagPrepare }

// Tag implements protocols.Message.
func (*Commit) Tag() protocols.Tag { return TagCommit }

// Tag implements protocols.Message.
func (*Checkpoint) Tag() protocols.Tag { return TagCheckpoint }

// Tag implements protocols.Message.
func (*ViewChange) Tag() protocols.Tag { return TagViewChange }

// Tag implements protocols.Message.
func (*ViewChangeAck) Tag() protocols.Tag { return TagViewChangeAck }

// Tag implements protocols.Message.
func (*NewView) Tag() protocols.Tag { return TagNewView }

// Tag implements protocols.Message.
func (*Status) Tag() protocols.Tag { return TagStatus }

// Tag implements protocols.Message.
func (*FetchBatch) Tag() protocols.Tag { return TagFetchBatch }

// Tag implements protocols.Message.
func (*Batch) Tag() protocols.Tag { return TagBatch }

// Tag implements protocols.Message.
func (*FetchViewChange) Tag() protocols.Tag { return TagFetchViewChange }

// Tag implements protocols.Message.
func (*ViewChangeCopy) Tag() protocols.Tag { return TagViewChangeCopy }

// Tag implements protocols.Message.
func (*QueryStable) Tag() protocols.Tag { return TagQueryStable }

// Tag implements protocols.Message.
func (*ReplyStable) Tag() protocols.Tag { return TagReplyStable }

// Tag implements protocols.Message.
func (*PreparedRecord) Tag() protocols.Tag { return TagPrepared }

// Tag implements protocols.Message.
func (*CommittedRecord) Tag() protocols.Tag { return TagCommitted }

// Tag implements protocols.Message.
func (*BodyRecord) Tag() protocols.Tag { return TagBody }

// Tag implements protocols.Message.
func (*CheckpointRecord) Tag() protocols.Tag { return TagCheckpointed }

// Tag implements protocols.Message.
func (*StableRecord) Tag() protocols.Tag { return TagStable }

// Tag implements protocols.Message.
func (*LearnerRecord) Tag() protocols.Tag { return TagLearner }

// Tag implements protocols.Message.
func (*LifeRecord) Tag() protocols.Tag { return TagLife }

// Tag implements protocols.Message.
func (*Summary) Tag() protocols.Tag { return TagSummary }
