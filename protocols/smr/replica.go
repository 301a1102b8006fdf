package smr

import (
	"slices"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// OrdererPath is the label of the orderer inside a Replica.
const OrdererPath = "o"

// Replica is the shell of a total-order protocol that is used alone: it
// authenticates and submits requests, executes what is ordered, replies, takes
// checkpoints and transfers state. It is one lane.
//
// Bounds: ordered batches that wait for their signature checks are bounded by the
// orderer's watermarks, mustSign by mustSignMax clients. Of checkpoints that are not
// stable yet it keeps at most two snapshots, one that is to become durable and one that
// somebody asked for. What it keeps for certificates: see certifier; of states: transfer.
type Replica struct {
	cfg     *protocols.Config
	orderer Orderer
	opt     ReplicaOptions

	env      protocols.Env
	inner    string // path of the orderer
	exec     *Executor
	transfer transfer
	serving  []serving      // per replica
	made     protocols.Time // when a snapshot was last made because somebody asked

	queue     []delivered // ordered, not yet executed
	head      int
	ordered   map[protocols.RequestKey]int     // how often in queue, where execution waits for checks
	checks    map[protocols.Digest]*batchCheck // by batch digest
	checkIDs  map[uint64]*batchCheck
	nextCheck uint64

	checkpoints []checkpoint // ascending slots, not stable yet
	stable      checkpoint   // the last stable one; index is right if known
	work        uint64       // requests ordered in this life, a null batch counts as one
	saved       uint64       // work at the durable snapshot
	savedSlot   uint64       // the slot of that
	certs       certifier
	mustSign    map[protocols.NodeID]protocols.Time
	signFIFO    []protocols.NodeID
	relays      []relay // ascending due
	replaying   bool
}

// ReplicaOptions tunes a Replica.
type ReplicaOptions struct {
	// Window is the number of cached replies, and of open requests, per client.
	Window int
	// TransferTimeout is how long a silent holder of a state is waited for.
	TransferTimeout time.Duration
	// SnapshotEvery is how many requests may be ordered between two durable snapshots,
	// at the next checkpoint. Duplicates count, and a null batch as one: the log holds
	// all that was ordered after the last snapshot.
	SnapshotEvery uint64
	// Block is the number of executed requests per certified block, the B of the
	// package comment; 0 is no certificates. It is part of the replicated state: all
	// replicas have the same one, for ever.
	Block uint64
	// RelayAfter is how long a retransmission waits before it is relayed to the
	// primary; 0 is not at all.
	RelayAfter time.Duration
	// SignFor is how long the clients of an abandoned proposal have to sign.
	SignFor time.Duration
}

type delivered struct {
	slot, view uint64
	digest     protocols.Digest
	batch      []protocols.Request
	checkpoint bool
	waits      bool // its keys are in ordered
	replayed   bool // from the log: the earlier life has replied
}

type batchCheck struct {
	id      uint64
	slot    uint64
	known   *Prechecked
	pending bool
}

// checkpoint is a state of this replica that others can agree with.
type checkpoint struct {
	slot     uint64
	digest   protocols.Digest
	index    uint64 // requests executed
	work     uint64 // Replica.work
	known    bool   // this replica has been there
	snapshot []byte // taken because a durable one was due or somebody asked, or nil
	due      bool   // to be made durable when it is stable
}

// serving is what a replica was last given of a state.
type serving struct {
	at   protocols.Time
	slot uint64
	next uint64 // the chunk after those
	// again counts the answers that were not news, in the present series of answers
	// that are less than half a TransferTimeout apart.
	again int
}

const (
	mustSignMax = 4096
	queueSlack  = 64 // executed entries that the queue may carry along

	longAgo protocols.Time = -1 << 62
)

// NewReplica returns a replica around an orderer.
func NewReplica(cfg *protocols.Config, orderer Orderer, opt ReplicaOptions) *Replica {
	return &Replica{
		cfg: cfg, orderer: orderer, opt: opt,
		certs:    certifier{every: opt.Block, need: protocols.WeakQuorum(cfg.F), self: cfg.Self},
		ordered:  make(map[protocols.RequestKey]int),
		checks:   make(map[protocols.Digest]*batchCheck),
		checkIDs: make(map[uint64]*batchCheck),
		mustSign: make(map[protocols.NodeID]protocols.Time),
	}
}

// Start implements protocols.Node.
func (x *Replica) Start(env protocols.Env, boot protocols.Boot) {
	x.env = env
	x.serving, x.made = make([]serving, x.cfg.N), longAgo
	for i := range x.serving {
		x.serving[i].at = longAgo
	}
	x.exec = NewExecutor(env, x.cfg.NewApplication, x.opt.Window, true, x.opt.Block)
	x.transfer = transfer{env: env, timeout: x.opt.TransferTimeout, least: x.orderer.Least, vouched: x.orderer.Vouched}
	lost := false
	for _, rec := range boot.For(env.Path()).Records {
		if s, ok := rec.Message.(*StateRecord); ok {
			err := x.exec.Restore(s.Snapshot, s.Digest)
			if lost = err != nil; lost {
				env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: s.Slot, Note: "own state record is damaged: " + err.Error()})
				continue
			}
			x.transfer.serve(s.Slot, s.Digest, s.Snapshot)
			x.savedSlot = s.Slot
			x.stable = checkpoint{slot: s.Slot, digest: s.Digest, index: x.exec.Executed(), known: true}
		}
	}
	if boot.Kind != protocols.Fresh {
		env.Emit(protocols.Event{Kind: protocols.EventTransfer, Index: x.exec.Executed()})
	}
	x.replaying = true
	x.orderer.Begin(x, x.transfer.slot, x.transfer.digest)
	sub := env.Sub(OrdererPath)
	x.inner = sub.Path()
	inner := boot.For(x.inner)
	if lost {
		// What was promised above the state that cannot be read is of no use without it,
		// and must not be contradicted: to the orderer this is a lost disk.
		inner.Kind, inner.Records = protocols.Wiped, nil
	}
	x.orderer.Start(sub, inner)
	x.replaying = false
}

// Receive implements protocols.Node.
func (x *Replica) Receive(e *protocols.Envelope, m protocols.Message, v protocols.Verdicts) {
	if e.Path == x.inner {
		x.orderer.Receive(e, m, v)
		return
	}
	if e.Path != x.env.Path() {
		return // of an instance that is not here
	}
	switch m := m.(type) {
	case *protocols.Request:
		x.onRequest(e.From, m, v.OK(0))
	case *FetchState:
		if e.From.IsReplica() && int(e.From) < x.cfg.N {
			x.onFetchState(e.From, m)
		}
	case *StateChunk:
		x.onState(e.From, m)
	case *Certify:
		x.onCertify(e.From, m, v.OK(0))
	case *protocols.Checked:
		x.onChecked(m)
	case *protocols.Notice:
		x.orderer.Receive(e, m, v)
	}
}

// Timeout implements protocols.Node.
func (x *Replica) Timeout(t protocols.Timer) {
	switch {
	case t.Path == x.inner:
		x.orderer.Timeout(t)
	case t.Path == x.env.Path() && t.Kind == timerTransfer:
		x.transfer.onTimeout()
	case t.Path == x.env.Path() && t.Kind == timerRelay:
		x.onRelayTime()
	}
}

// onRequest handles REQUEST from a client, or relayed by a replica.
func (x *Replica) onRequest(from protocols.NodeID, r *protocols.Request, authentic bool) {
	if !authentic || !r.Client.IsClient() || len(r.Ident) != 0 {
		return
	}
	k := r.Key()
	if reply, cached, done := x.exec.Lookup(k); done {
		if cached {
			x.reply(r, reply)
		}
		return
	}
	if x.ordered[k] > 0 || !x.MayPropose(r) { // its execution is the answer
		return
	}
	known := x.orderer.Pending(k)
	x.orderer.Submit(r)
	// What this replica begins to wait for, the primary has to know.
	news := known == nil || r.Signed && !known.Signed
	if news && from == r.Client {
		x.relay(r)
	}
	x.orderer.Recheck()
}

func (x *Replica) reply(r *protocols.Request, result []byte) {
	x.env.Send(r.Client, &protocols.Reply{
		View: x.orderer.View(), Client: r.Client, Timestamp: r.Timestamp, Replica: x.env.Self(), Result: result,
	})
}

// Ready implements Shell: the client's authenticator is good here, or the client
// has shown the same request to this replica before.
func (x *Replica) Ready(r *protocols.Request, sealed bool) bool {
	if !r.Client.IsClient() || len(r.Ident) != 0 {
		return false
	}
	if sealed {
		return true
	}
	known := x.orderer.Pending(r.Key())
	auth := x.env.Auth()
	return known != nil && known.Known(auth) == r.Known(auth)
}

// Accepted implements Shell.
func (x *Replica) Accepted(slot uint64, digest protocols.Digest, batch []protocols.Request) {
	x.check(slot, digest, batch)
}

func (x *Replica) check(slot uint64, digest protocols.Digest, batch []protocols.Request) *batchCheck {
	if c := x.checks[digest]; c != nil {
		c.slot = max(c.slot, slot)
		return c
	}
	known := NewPrechecked(x.exec.Application(), batch)
	if len(known.Checks()) == 0 {
		return nil
	}
	x.nextCheck++
	c := &batchCheck{id: x.nextCheck, slot: slot, known: known, pending: true}
	x.checks[digest], x.checkIDs[c.id] = c, c
	x.env.Check(c.id, known.Checks())
	return c
}

func (x *Replica) onChecked(m *protocols.Checked) {
	c := x.checkIDs[m.ID]
	if c == nil {
		return
	}
	delete(x.checkIDs, m.ID)
	c.pending = false
	c.known.Answer(m.Bad)
	x.execute()
}

// Deliver implements Shell.
func (x *Replica) Deliver(slot, view uint64, digest protocols.Digest, batch []protocols.Request) {
	if len(batch) > 0 {
		x.check(slot, digest, batch)
	}
	x.queue = append(x.queue, delivered{slot: slot, view: view, digest: digest, batch: batch, replayed: x.replaying})
	x.execute()
	if n := len(x.queue); n > x.head {
		d := &x.queue[n-1]
		d.waits = true
		for i := range d.batch {
			x.ordered[d.batch[i].Key()]++
		}
	}
}

// executed says that the batch of d does not wait for its execution any more.
func (x *Replica) executed(d *delivered) {
	if !d.waits {
		return
	}
	for i := range d.batch {
		k := d.batch[i].Key()
		if x.ordered[k]--; x.ordered[k] == 0 {
			delete(x.ordered, k)
		}
	}
}

// CheckpointDue implements Shell.
func (x *Replica) CheckpointDue(slot uint64) {
	if x.head < len(x.queue) {
		x.queue[len(x.queue)-1].checkpoint = true
		return
	}
	x.takeCheckpoint(slot)
}

// execute applies delivered batches in order, as far as their signature checks
// have been answered.
func (x *Replica) execute() {
	for x.head < len(x.queue) {
		d := &x.queue[x.head]
		c := x.checks[d.digest]
		if c != nil && c.pending {
			return
		}
		var known *Prechecked
		if c != nil {
			known = c.known
			delete(x.checks, d.digest)
		}
		for i := range d.batch {
			r := &d.batch[i]
			res := x.exec.Apply(r, known)
			if !d.replayed && (!res.Duplicate || res.Reply != nil) {
				x.reply(r, res.Reply)
			}
			if !res.Duplicate {
				x.certifyBlock(d.replayed)
			}
		}
		x.work += uint64(max(len(d.batch), 1))
		slot, due := d.slot, d.checkpoint
		x.executed(d)
		x.queue[x.head] = delivered{}
		if x.head++; x.head == len(x.queue) || x.head >= queueSlack && 2*x.head >= len(x.queue) {
			n := copy(x.queue, x.queue[x.head:]) // so that a queue that never runs dry does not grow
			clear(x.queue[n:])
			x.queue, x.head = x.queue[:n], 0
		}
		if due {
			x.takeCheckpoint(slot)
		}
	}
}

func (x *Replica) takeCheckpoint(slot uint64) {
	digest, root := x.exec.Digest()
	c := checkpoint{slot: slot, digest: digest, index: x.exec.Executed(), work: x.work, known: true}
	x.env.Emit(protocols.Event{Kind: protocols.EventFinal, Seq: slot, Index: c.index, Digest: root, Root: true})
	if slot <= x.stable.slot { // others were faster, or a log is being replayed
		if slot == x.stable.slot && digest == x.stable.digest {
			x.settle(c)
		}
		return
	}
	if c.work-x.saved >= x.opt.SnapshotEvery && !slices.ContainsFunc(x.checkpoints, func(c checkpoint) bool { return c.due }) {
		var err error
		if c.snapshot, err = x.exec.Snapshot(); err != nil {
			x.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: slot, Note: err.Error()})
		}
		c.due = err == nil
	}
	x.checkpoints = append(x.checkpoints, c)
	x.orderer.Checkpoint(slot, digest)
}

// Stable implements Shell.
func (x *Replica) Stable(slot uint64, digest protocols.Digest) bool {
	if x.stable.known && slot <= x.stable.slot { // by transfer the state got ahead
		return slot <= x.savedSlot
	}
	x.stable = checkpoint{slot: slot, digest: digest}
	durable := false
	keep := x.checkpoints[:0]
	for _, c := range x.checkpoints {
		if c.slot == slot && c.digest == digest {
			x.settle(c)
			switch {
			case c.due:
				x.adopt(slot, digest, c.work, c.snapshot)
				durable = true
			case c.snapshot != nil:
				x.transfer.serve(slot, digest, c.snapshot)
			}
		}
		if c.slot > slot {
			keep = append(keep, c)
		}
	}
	clear(x.checkpoints[len(keep):])
	x.checkpoints = keep
	// Checks of batches that a view change replaced are not needed any more.
	for d, c := range x.checks {
		if c.slot <= slot && !c.pending {
			delete(x.checks, d)
		}
	}
	return durable
}

// Save implements Shell.
func (x *Replica) Save(slot uint64) bool {
	if slot > x.savedSlot && x.stable.known && x.stable.slot == slot {
		if snapshot := x.snapshotAt(x.stable); snapshot != nil {
			x.adopt(slot, x.stable.digest, x.stable.work, snapshot)
		}
	}
	return slot <= x.savedSlot
}

// settle notes that the stable checkpoint is a state this replica has been in:
// nothing at or below it will be taken back.
func (x *Replica) settle(c checkpoint) {
	x.stable = checkpoint{slot: c.slot, digest: c.digest, index: c.index, work: c.work, known: true}
	x.exec.Release(c.index)
}

// adopt makes a stable state durable, and serves it.
func (x *Replica) adopt(slot uint64, digest protocols.Digest, work uint64, snapshot []byte) {
	x.saved, x.savedSlot = work, slot
	x.transfer.serve(slot, digest, snapshot)
	x.env.Compact(&StateRecord{Slot: slot, Digest: digest, Snapshot: snapshot})
}

// onFetchState handles FETCH-STATE: it sends the oldest state of use that it has. A
// peer is given each chunk of a state once. It may ask again, or for an older state,
// serveAgain times in half a TransferTimeout, since datagrams get lost: that bounds what
// a flood can cost.
func (x *Replica) onFetchState(from protocols.NodeID, m *FetchState) {
	c := x.stateFrom(m.Slot)
	if c.snapshot == nil {
		return
	}
	s, now := &x.serving[from], x.env.Now()
	fresh := c.slot > s.slot || c.slot == s.slot && uint64(m.Chunk) >= s.next
	again := s.again + 1
	switch {
	case now.Sub(s.at) >= x.opt.TransferTimeout/2:
		again = 0
	case fresh:
		again = s.again
	case again > serveAgain:
		return
	}
	*s = serving{now, c.slot, uint64(m.Chunk) + chunksPerFetch, again}
	x.transfer.send(from, m.Chunk, c.slot, c.digest, c.snapshot)
}

// serveAgain: see onFetchState.
const serveAgain = 2

// makeEvery is the least time between two snapshots that are made because somebody
// asks, in TransferTimeouts: the replica executes again what came after them.
const makeEvery = 5

// stateFrom returns the oldest state at or above a slot, with its snapshot; without
// one if there is none. What is not at hand is made, once in a while. States that are
// not stable yet are given out too: after a view change others may need one, and vouch
// for it, before 2f+1 have it.
func (x *Replica) stateFrom(slot uint64) checkpoint {
	t := &x.transfer
	if t.slot >= slot {
		return checkpoint{slot: t.slot, digest: t.digest, snapshot: t.snapshot}
	}
	if x.stable.known && x.stable.slot >= slot {
		if snapshot := x.snapshotAt(x.stable); snapshot != nil {
			t.serve(x.stable.slot, x.stable.digest, snapshot)
			return checkpoint{slot: t.slot, digest: t.digest, snapshot: snapshot}
		}
		return checkpoint{}
	}
	i := slices.IndexFunc(x.checkpoints, func(c checkpoint) bool { return c.slot >= slot })
	if i < 0 {
		return checkpoint{}
	}
	if c := &x.checkpoints[i]; c.snapshot == nil {
		if c.snapshot = x.snapshotAt(*c); c.snapshot != nil {
			for j := range x.checkpoints {
				if other := &x.checkpoints[j]; j != i && !other.due {
					other.snapshot = nil
				}
			}
		}
	}
	return x.checkpoints[i]
}

func (x *Replica) snapshotAt(c checkpoint) []byte {
	now := x.env.Now()
	if now.Sub(x.made) < makeEvery*x.opt.TransferTimeout {
		return nil
	}
	x.made = now
	snapshot, err := x.exec.SnapshotAt(c.index)
	if err != nil {
		x.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: c.slot, Note: err.Error()})
	}
	return snapshot
}

// Done implements Shell.
func (x *Replica) Done(k protocols.RequestKey) bool {
	_, _, done := x.exec.Lookup(k)
	return done || x.ordered[k] > 0
}

// Behind implements Shell.
func (x *Replica) Behind(slot uint64, digest protocols.Digest, holders []int) {
	others := holders[:0:0]
	for _, h := range holders {
		if protocols.NodeID(h) != x.env.Self() {
			others = append(others, h)
		}
	}
	x.transfer.fetch(slot, digest, others)
}

func (x *Replica) onState(from protocols.NodeID, m *StateChunk) {
	slot, digest, snapshot, complete := x.transfer.onStateChunk(from, m)
	if !complete {
		return
	}
	if slot < x.orderer.Least() {
		x.transfer.done()
		return
	}
	if err := x.exec.Restore(snapshot, digest); err != nil {
		x.env.Emit(protocols.Event{Kind: protocols.EventSuspect, Peer: from, Seq: slot, Note: err.Error()})
		x.transfer.next()
		return
	}
	x.transfer.done()
	clear(x.queue)
	x.queue, x.head = x.queue[:0], 0
	clear(x.ordered)
	clear(x.checks)
	clear(x.checkIDs)
	x.checkpoints = x.checkpoints[:0]
	x.stable = checkpoint{slot: slot, digest: digest, index: x.exec.Executed(), work: x.work, known: true}
	x.env.Emit(protocols.Event{Kind: protocols.EventTransfer, Seq: slot, Index: x.exec.Executed(), Peer: from, Digest: digest})
	x.adopt(slot, digest, x.work, snapshot)
	x.orderer.Jump(slot, digest)
}

// MayPropose implements Shell: the client has signed, or it need not.
func (x *Replica) MayPropose(r *protocols.Request) bool {
	until, must := x.mustSign[r.Client]
	return r.Signed || !must || x.env.Now() >= until
}

// Abandoned implements Shell: the clients of a proposal that no quorum prepared
// may have sent authenticators that are good for this replica only.
func (x *Replica) Abandoned(batch []protocols.Request) {
	until := x.env.Now().Add(x.opt.SignFor)
	for i := range batch {
		c := batch[i].Client
		if batch[i].Signed {
			continue
		}
		if _, ok := x.mustSign[c]; !ok {
			if len(x.signFIFO) >= mustSignMax {
				delete(x.mustSign, x.signFIFO[0])
				x.signFIFO = x.signFIFO[1:]
			}
			x.signFIFO = append(x.signFIFO, c)
		}
		x.mustSign[c] = until
	}
}

// Executor returns the executor, for reads by tests and by queries of the host.
func (x *Replica) Executor() *Executor { return x.exec }
