package observe

import (
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// HistoryConfig says how client histories are judged.
type HistoryConfig struct {
	// First is the id of the first client of the Load; the others follow.
	First protocols.NodeID
	// NewApplication and Verify replay the agreed order, to compare every reply. A
	// nil NewApplication leaves replies unchecked, and the property undecided.
	NewApplication func() protocols.Application
	Verify         protocols.Verify
	// Hasher, if not nil, is used to tell which operation a client announces. A
	// host whose clients may crash between being asked and announcing needs it;
	// otherwise announcements are taken in order.
	Hasher protocols.Hasher
	// Windows, if not nil, checks histories independently of the order.
	Windows *Windows
}

// History records what correct clients asked for and were told, and checks that
// it is linearizable, with the agreed order of the replicas as the witness:
//
//   - replaying the order on a fresh application gives every reply;
//   - no operation was answered before another one was invoked that stands
//     before it in the order.
//
// Both are done as the order grows; what is kept is bounded by the number of open
// operations. Unanswered operations may stand anywhere after their invocation or
// be absent. Operations of clients that are not correct are not recorded: once
// such a request is executed its effect is unknown, replies are compared no more,
// and unless something else is wrong the property stays undecided.
type History struct {
	cfg    HistoryConfig
	found  *findings
	judge  *Config
	app    protocols.Application
	latest protocols.Time // invocation of the operations in the order so far
	// fresh holds the operations that have no timestamp yet, by client, in order
	// of invocation; open those that have one.
	fresh  map[protocols.NodeID][]*operation
	open   map[protocols.RequestKey]*operation
	byID   map[invocation]*operation
	closed bool // replies are not compared any more
}

type invocation struct {
	client protocols.NodeID
	id     uint64
}

// operation is one operation of a correct client.
type operation struct {
	client     protocols.NodeID
	id         uint64
	timestamp  uint64
	named      bool
	op         []byte
	call, back protocols.Time
	answered   bool
	result     []byte
	ordered    bool
	before     protocols.Time // latest invocation that stands before it in the order
	want       []byte
	haveWant   bool
	index      uint64
}

// NewHistory returns a History to be put into Config.History. Clients are driven
// by the Load that History.Load returns, or report through Invoked and Completed.
func NewHistory(cfg HistoryConfig) *History {
	h := &History{
		cfg: cfg, fresh: make(map[protocols.NodeID][]*operation),
		open: make(map[protocols.RequestKey]*operation), byID: make(map[invocation]*operation),
	}
	if cfg.NewApplication != nil {
		h.app = cfg.NewApplication()
	}
	return h
}

func (h *History) bind(f *findings, judge *Config) {
	h.found, h.judge = f, judge
	if h.app == nil {
		h.closed = true
		f.giveUp(Linearizable, "there is no application to replay the order on")
	}
	if h.cfg.Windows != nil {
		h.cfg.Windows.bind(f)
	}
}

// Load wraps the Load that drives the clients.
func (h *History) Load(inner protocols.Load) protocols.Load { return &recordedLoad{Load: inner, h: h} }

type recordedLoad struct {
	protocols.Load
	h   *History
	env protocols.LoadEnv
}

// Start implements protocols.Load.
func (l *recordedLoad) Start(env protocols.LoadEnv, clients int) {
	l.env = env
	l.Load.Start(&recordedEnv{LoadEnv: env, h: l.h}, clients)
}

// Completed implements protocols.Load.
func (l *recordedLoad) Completed(client int, c protocols.Completion) {
	l.h.Completed(l.env.Now(), l.h.cfg.First+protocols.NodeID(client), c.ID, c.Result)
	l.Load.Completed(client, c)
}

type recordedEnv struct {
	protocols.LoadEnv
	h *History
}

// Invoke implements protocols.LoadEnv.
func (e *recordedEnv) Invoke(client int, id uint64, op []byte) {
	e.h.Invoked(e.Now(), e.h.cfg.First+protocols.NodeID(client), id, op)
	e.LoadEnv.Invoke(client, id, op)
}

// Invoked records that a client was asked for an operation. Operations of one
// client are invoked in the order of these calls.
func (h *History) Invoked(at protocols.Time, client protocols.NodeID, id uint64, op []byte) {
	if !h.judge.Correct(client) {
		return
	}
	h.found.saw(Linearizable)
	o := &operation{client: client, id: id, op: op, call: at}
	h.fresh[client] = append(h.fresh[client], o)
	h.byID[invocation{client, id}] = o
	if h.cfg.Windows != nil {
		h.cfg.Windows.invoked(o)
	}
}

// Completed records the result of an operation.
func (h *History) Completed(at protocols.Time, client protocols.NodeID, id uint64, result []byte) {
	key := invocation{client, id}
	o := h.byID[key]
	if o == nil {
		return
	}
	delete(h.byID, key)
	o.answered, o.back, o.result = true, at, result
	if h.cfg.Windows != nil {
		h.cfg.Windows.completed(o)
	}
	h.settle(at, o)
}

// Restarted says that a client crashed and is back. Operations that it had not
// announced never left it.
func (h *History) Restarted(client protocols.NodeID) {
	for _, o := range h.fresh[client] {
		delete(h.byID, invocation{client, o.id})
	}
	delete(h.fresh, client)
}

// named learns the timestamp of a client's oldest operation that has none yet.
func (h *History) named(client protocols.NodeID, ev *protocols.Event) {
	list := h.fresh[client]
	if len(list) == 0 {
		return // not driven by our Load
	}
	k := 0
	if h.cfg.Hasher != nil {
		for k < len(list) {
			r := protocols.Request{Client: client, Timestamp: ev.Timestamp, Op: list[k].op}
			if r.Digest(h.cfg.Hasher) == ev.Digest {
				break
			}
			k++ // lost with an earlier life of the client
		}
		if k == len(list) {
			return
		}
	}
	o := list[k]
	h.fresh[client] = append(list[:0], list[k+1:]...)
	o.timestamp, o.named = ev.Timestamp, true
	h.open[protocols.RequestKey{Client: client, Timestamp: ev.Timestamp}] = o
}

// agreed implements orderListener.
func (h *History) agreed(at protocols.Time, index uint64, client protocols.NodeID, timestamp uint64, _ protocols.Digest) {
	o := h.open[protocols.RequestKey{Client: client, Timestamp: timestamp}]
	if o == nil {
		if !h.closed {
			h.closed = true
			h.found.giveUp(Linearizable, "a request was executed whose operation is not known (a client that is not correct, or not recorded)")
		}
		if h.cfg.Windows != nil {
			h.cfg.Windows.foreign()
		}
		return
	}
	o.ordered, o.index, o.before = true, index, h.latest
	h.latest = max(h.latest, o.call)
	if !h.closed {
		o.want = append([]byte(nil), h.app.Apply(o.op, h.cfg.Verify)...)
		o.haveWant = true
		h.app.Release(h.app.Version())
	}
	h.settle(at, o)
}

// settle judges an operation that is both answered and ordered.
func (h *History) settle(at protocols.Time, o *operation) {
	if !o.answered || !o.ordered {
		return
	}
	delete(h.open, protocols.RequestKey{Client: o.client, Timestamp: o.timestamp})
	if o.back < o.before {
		h.found.violate(Linearizable, at, o.client, "operation %d/%d at index %d was answered at %d ns, before an operation was invoked (at %d ns) that stands before it in the order",
			o.client, o.timestamp, o.index, o.back, o.before)
	}
	if o.haveWant && string(o.want) != string(o.result) {
		h.found.violate(Linearizable, at, o.client, "operation %d/%d at index %d was answered %x, the order gives %x", o.client, o.timestamp, o.index, clip(o.result), clip(o.want))
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 32)] }

// root implements orderListener: the replay has a root of its own.
func (h *History) root(at protocols.Time, node protocols.NodeID, index uint64, root protocols.Digest) {
	if h.closed || h.app.Version() != index {
		return
	}
	if own := h.app.Root(); own != root {
		h.found.violate(Root, at, node, "state root at index %d is %s, replaying the order gives %s", index, root, own)
	}
}

func (h *History) finish(at protocols.Time) {
	if h.judge.Finality == protocols.Immediate {
		for _, o := range h.answeredUnordered() {
			h.found.violate(Linearizable, at, o.client, "operation %d/%d was answered but stands nowhere in the order", o.client, o.timestamp)
		}
	}
	if h.cfg.Windows != nil {
		h.cfg.Windows.finish(at)
	}
}

// answeredUnordered returns the operations that were answered and never executed
// by a correct replica, in order of client and timestamp.
func (h *History) answeredUnordered() []*operation {
	var out []*operation
	for _, o := range h.open {
		if o.answered && !o.ordered {
			out = append(out, o)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.client != b.client {
			return a.client < b.client
		}
		return a.timestamp < b.timestamp
	})
	return out
}
