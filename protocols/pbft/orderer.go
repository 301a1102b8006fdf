package pbft

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// OrdererConfig is what an Orderer is built from.
type OrdererConfig struct {
	Self protocols.NodeID
	N, F int
	// Replicas is the group 0..N-1.
	Replicas protocols.Group
	// Primary gives the primary of a view; nil is view mod N.
	Primary func(view uint64) protocols.NodeID
	// ExternalTrigger leaves the decision to change views to the shell (RBFT):
	// the orderer never suspects a primary by itself.
	ExternalTrigger bool
	// StrictReady demands Ready for every request, also where f+1 PREPAREs vouch
	// for the batch (RBFT's anti-boost rule).
	StrictReady bool
	// BatchMax requests and BatchBytes of operations and their authenticators bound a
	// batch, unless it is one request; a batch waits up to BatchDelay to fill while another is in flight.
	BatchMax, BatchBytes int
	BatchDelay           time.Duration
	// Pipeline is the number of slots in flight, Window the log L, Interval the
	// checkpoint interval K; Window >= 2*Interval.
	Pipeline, Window, Interval int
	// PendingMax bounds the queue, PendingPerClient what one client may have in it.
	PendingMax, PendingPerClient int
	// Timeout is the base wait for progress before the primary is suspected; it
	// doubles with every view change that brings none, up to MaxTimeout. A single
	// request may be passed over for Fairness times that long.
	Timeout, MaxTimeout time.Duration
	Fairness            int
	// Resend is the period at which a replica without progress asks for what it
	// lacks.
	Resend time.Duration
	// Log makes votes durable before they are sent.
	Log bool

	mutate mutation
}

// mutation holds deliberate bugs; tests set one to show that the checks bite.
type mutation struct {
	commitQuorum  int  // subtracted from the commit quorum
	trustNewView  bool // accept NEW-VIEW without checking what it rests on
	usurp         bool // as a new primary, pretend that nothing was prepared
	executeEarly  bool // deliver at pre-prepare
	dropPrepared  bool // leave P out of VIEW-CHANGE
	doubleDigest  bool // accept a second proposal for a slot
	skipStability int  // subtracted from the checkpoint quorum
}

// Kinds of timer.
const (
	timerProgress uint32 = 0x0201 + iota
	timerNewView
	timerResend
	timerBatch
)

// heldMax bounds the messages kept for views not entered yet, per sender.
const heldMax = 1024

// Orderer is PBFT without an application: see the package comment.
type Orderer struct {
	cfg    OrdererConfig
	shell  smr.Shell
	env    protocols.Env
	quorum int
	weak   int

	// The view that this replica is in or moves to; active once it takes part.
	// voteView is the last view it took part in: votes in the log are of that view.
	view     uint64
	active   bool
	voteView uint64

	h         uint64 // last stable checkpoint
	hDigest   protocols.Digest
	log       log
	delivered uint64
	highest   uint64 // highest slot with any sign of life
	next      uint64 // primary: last slot assigned
	pending   *smr.Pending
	inFlight  map[protocols.RequestKey]struct{}
	heldSlots int

	// Checkpoints.
	own         []CheckpointEntry     // above h, ascending
	checkpoints map[uint64]*smr.Votes // slots in (h, h+L], multiples of K
	ahead       []CheckpointEntry     // per replica: its latest vote beyond the window
	target      CheckpointEntry       // vouched for, and out of our reach by ordering
	fetched     CheckpointEntry       // a state that came by transfer; above h it is not proven yet
	diverged    uint64                // slot at which the own state was found wrong

	// View changes.
	myVC            *ViewChange
	vcs             map[vcKey]vcEntry
	acks            map[ackKey]*smr.Votes
	copies          map[vcKey]*copyVotes
	newView         *NewView // the one that started voteView
	newViewSum      protocols.Digest
	offered         []*NewView // per replica: the last one received, not accepted yet
	chosenTop       uint64     // highest slot fixed by newView
	claims          []Status   // per replica: its last STATUS
	leftFor         []uint64   // per replica: the highest view of its VIEW-CHANGEs
	lives           []lifeSeen // per replica: the life of it that counts
	claimed         uint64     // f+1 of them have delivered that much
	asking          bool       // send STATUS at the next tick in any case
	failed          uint       // consecutive view changes without progress
	future          []futureMessage
	futureCount     []int // per sender; of them proposals:
	futureProposals []int
	vcTimer         protocols.TimerID

	// Progress.
	waitingSince  protocols.Time
	waiting       bool
	progressTimer protocols.TimerID
	batchTimer    protocols.TimerID
	resendTimer   protocols.TimerID
	lastTick      uint64           // delivered at the last tick
	answered      []protocols.Time // per replica: when its STATUS was last answered
	answers       []allowance      // per replica: what it was sent on request
	repeats       []repetition     // per replica: of this replica's VIEW-CHANGE
	entered, left protocols.Time   // when this replica entered its last view, and left it

	// Recovery from a lost disk.
	durable     uint64        // slot of the durable state: if it is not below h, the log may be compacted
	viewRecords int           // view changes in the log
	born        LearnerRecord // of the last loss; Life is 0 if there was none
	learner     *learner
	recovering  bool
}

type vcKey struct {
	view    uint64
	replica protocols.NodeID
}

type vcEntry struct {
	vc     *ViewChange
	digest protocols.Digest
}

type ackKey = vcKey

// lifeSeen is the highest life in which a replica says to have lost its disk, and when
// this replica heard of it.
// In lower views than since, as far as is known, it has not voted in that life.
type lifeSeen struct {
	life  uint32
	known bool // at is
	at    protocols.Time
	since uint64
}

// allowance is what a peer was sent on request since then.
type allowance struct {
	since protocols.Time
	bytes int
}

// repetition is when the VIEW-CHANGE for a view was sent again, and the wait before
// the next time.
type repetition struct {
	view uint64
	at   protocols.Time
	wait time.Duration
}

type copyVotes struct {
	votes smr.Votes
	vcs   []vcEntry
}

type futureMessage struct {
	from protocols.NodeID
	view uint64
	msg  protocols.Message
	v    protocols.Verdicts
}

// NewOrderer returns an orderer. It panics on an impossible configuration; the
// registry's bounds keep users from getting there.
func NewOrderer(cfg OrdererConfig) *Orderer {
	if cfg.Primary == nil {
		n := uint64(cfg.N)
		cfg.Primary = func(view uint64) protocols.NodeID { return protocols.NodeID(view % n) }
	}
	if cfg.N < 3*cfg.F+1 || cfg.Window < 2*cfg.Interval || cfg.Interval < 1 || cfg.BatchMax < 1 || cfg.Pipeline < 1 {
		panic("pbft: need N >= 3F+1, Window >= 2*Interval >= 2, BatchMax >= 1 and Pipeline >= 1")
	}
	o := &Orderer{
		cfg: cfg, quorum: protocols.Quorum(cfg.N, cfg.F), weak: protocols.WeakQuorum(cfg.F),
		active:          true,
		log:             newLog(cfg.Window),
		pending:         smr.NewPending(cfg.PendingMax, cfg.PendingPerClient),
		inFlight:        make(map[protocols.RequestKey]struct{}),
		checkpoints:     make(map[uint64]*smr.Votes),
		ahead:           make([]CheckpointEntry, cfg.N),
		vcs:             make(map[vcKey]vcEntry),
		acks:            make(map[ackKey]*smr.Votes),
		copies:          make(map[vcKey]*copyVotes),
		claims:          make([]Status, cfg.N),
		leftFor:         make([]uint64, cfg.N),
		lives:           make([]lifeSeen, cfg.N),
		offered:         make([]*NewView, cfg.N),
		futureCount:     make([]int, cfg.N),
		futureProposals: make([]int, cfg.N),
		answered:        make([]protocols.Time, cfg.N),
		answers:         make([]allowance, cfg.N),
		repeats:         make([]repetition, cfg.N),
	}
	for i := range o.answered {
		o.answered[i], o.answers[i].since = -1<<62, -1<<62
	}
	return o
}

// Begin implements smr.Orderer. Whether the state was proven to be stable the log says.
func (o *Orderer) Begin(shell smr.Shell, slot uint64, digest protocols.Digest) {
	o.shell = shell
	o.delivered, o.next, o.highest, o.durable = slot, slot, slot, slot
	if slot > 0 {
		o.fetched = CheckpointEntry{slot, digest}
		o.own = append(o.own, o.fetched)
	}
}

// Start implements protocols.Node.
func (o *Orderer) Start(env protocols.Env, boot protocols.Boot) {
	o.env = env
	o.recover(boot)
	if boot.Kind != protocols.Fresh {
		o.asking = true
		o.sendStatus()
		o.armResend()
	}
}

// View implements smr.Orderer.
func (o *Orderer) View() uint64 { return o.view }

// Primary implements smr.Orderer.
func (o *Orderer) Primary() protocols.NodeID { return o.cfg.Primary(o.view) }

// Active reports whether the replica takes part in its view, rather than waiting
// for it to begin.
func (o *Orderer) Active() bool { return o.active }

func (o *Orderer) isPrimary() bool { return o.Primary() == o.cfg.Self }

// Pending implements smr.Orderer.
func (o *Orderer) Pending(k protocols.RequestKey) *protocols.Request { return o.pending.Get(k) }

// Submit implements smr.Orderer.
func (o *Orderer) Submit(r *protocols.Request) {
	if _, ok := o.inFlight[r.Key()]; ok {
		return
	}
	o.pending.Add(r, o.env.Now())
	o.tryPropose()
	o.watch()
	o.armResend()
}

// Receive implements protocols.Node.
func (o *Orderer) Receive(e *protocols.Envelope, m protocols.Message, v protocols.Verdicts) {
	if n, ok := m.(*protocols.Notice); ok && e.Local {
		if n.Kind == protocols.Lost && n.Peer.IsReplica() {
			// Something is missing, and in an idle cluster nobody else will notice.
			o.asking = true
			o.armResend()
		}
		return
	}
	if e.Local || !e.From.IsReplica() || int(e.From) >= o.cfg.N {
		return
	}
	switch m := m.(type) {
	case *PrePrepare:
		o.onPrePrepare(e.From, m, v)
	case *Prepare:
		o.onPrepare(e.From, m)
	case *Commit:
		o.onCommit(e.From, m)
	case *Checkpoint:
		o.onCheckpoint(e.From, m)
	case *ViewChange:
		o.onViewChange(e.From, m)
	case *ViewChangeAck:
		o.onViewChangeAck(e.From, m)
	case *NewView:
		o.onNewView(e.From, m)
	case *Status:
		o.onStatus(e.From, m)
	case *FetchBatch:
		o.onFetchBatch(e.From, m)
	case *Batch:
		o.onBatch(m)
	case *FetchViewChange:
		o.onFetchViewChange(e.From, m)
	case *ViewChangeCopy:
		o.onViewChangeCopy(e.From, m)
	case *QueryStable:
		o.onQueryStable(e.From, m)
	case *ReplyStable:
		o.onReplyStable(e.From, m)
	}
}

// Timeout implements protocols.Node.
func (o *Orderer) Timeout(t protocols.Timer) {
	switch t.Kind {
	case timerProgress:
		o.progressTimer = 0
		o.onProgressTimeout()
	case timerNewView:
		if t.Arg == o.view && !o.active {
			o.vcTimer = 0
			o.startViewChange(o.view + 1)
		}
	case timerResend:
		o.resendTimer = 0
		o.onResend()
	case timerBatch:
		o.batchTimer = 0
		o.propose(true)
	}
}

func (o *Orderer) inWindow(seq uint64) bool { return seq > o.h && seq <= o.h+uint64(o.cfg.Window) }

// record logs m before the votes that follow it leave.
func (o *Orderer) record(m protocols.WireMessage) {
	if o.cfg.Log {
		o.env.Log(m)
	}
}

// timeout is the present wait for progress.
func (o *Orderer) timeout() time.Duration {
	d := o.cfg.Timeout
	for i := uint(0); i < o.failed && d < o.cfg.MaxTimeout; i++ {
		d *= 2
	}
	return min(d, o.cfg.MaxTimeout)
}
