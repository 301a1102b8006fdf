package pbft

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

type app struct{ n uint64; sum [32]byte }

func (a *app) Checks(d []protocols.SigCheck, _ []byte) []protocols.SigCheck { return d }
func (a *app) Apply(op []byte, _ protocols.Verify) []byte {
	a.n++
	a.sum = sha256.Sum256(append(a.sum[:], op...))
	return binary.BigEndian.AppendUint64(nil, a.n)
}
func (a *app) Query([]byte) []byte       { return nil }
func (a *app) Version() uint64           { return a.n }
func (a *app) Rollback(uint64) error     { return nil }
func (a *app) Release(uint64)            {}
func (a *app) Root() protocols.Digest    { return a.sum }
func (a *app) Snapshot(w io.Writer) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint64(nil, a.n), a.sum[:]...))
	return err
}
func (a *app) Restore(r io.Reader) error {
	var b [40]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	a.n = binary.BigEndian.Uint64(b[:])
	copy(a.sum[:], b[8:])
	return nil
}

type ev struct {
	at  protocols.Time
	seq int
	f   func()
}
type evq []ev

func (q evq) Len() int           { return len(q) }
func (q evq) Less(i, j int) bool { return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq }
func (q evq) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *evq) Push(x any)        { *q = append(*q, x.(ev)) }
func (q *evq) Pop() any          { o := *q; x := o[len(o)-1]; *q = o[:len(o)-1]; return x }

type mini struct {
	t     testing.TB
	now   protocols.Time
	q     evq
	n     int
	rng   *rand.Rand
	nodes map[protocols.NodeID]*mnode
	cut   func(a, b protocols.NodeID) bool
	loss  float64
	maxd  int64
	exec  map[uint64]string
	table *protocols.MessageTable
	verbose bool
}
type mnode struct {
	m     *mini
	id    protocols.NodeID
	node  protocols.Node
	up    bool
	life  int
	log   []protocols.Record
	timer uint64
	live  map[protocols.TimerID]bool
	rep   *smr.Replica
	ord   *Orderer
	done  int
	last  uint64
}
type menv struct {
	*mnode
	path string
	life int
}

func (m *mini) at(d int64, f func()) { heap.Push(&m.q, ev{m.now + protocols.Time(d), m.rng.IntN(1 << 40), f}) }
func (e *menv) Self() protocols.NodeID { return e.id }
func (e *menv) Lane() int              { return 0 }
func (e *menv) Path() string           { return e.path }
func (e *menv) Now() protocols.Time    { return e.m.now }
func (e *menv) Clock() protocols.Time  { return e.m.now }
func (e *menv) Rand() *rand.Rand       { return e.m.rng }
func (e *menv) Send(to protocols.NodeID, w protocols.WireMessage) {
	m := e.m
	if m.rng.Float64() < m.loss || m.cut != nil && m.cut(e.id, to) {
		return
	}
	from, path, life := e.id, e.path, e.life
	_ = life
	m.at(1000+m.rng.Int64N(m.maxd), func() {
		d := m.nodes[to]
		if d == nil || !d.up {
			return
		}
		d.node.Receive(&protocols.Envelope{From: from, To: to, Path: path, Type: m.table.Lookup(w.Tag())}, w, protocols.Verdicts{})
	})
}
func (e *menv) Multicast(to protocols.Group, w protocols.WireMessage) {
	for _, t := range to {
		if t != e.id {
			e.Send(t, w)
		}
	}
}
func (e *menv) Post(int, protocols.Message) {}
func (e *menv) SetTimer(d time.Duration, kind uint32, arg uint64) protocols.TimerID {
	e.timer++
	id := protocols.TimerID(e.timer)
	e.live[id] = true
	life := e.life
	n := e.mnode
	path := e.path
	e.m.at(int64(d), func() {
		if n.up && n.life == life && n.live[id] {
			delete(n.live, id)
			n.node.Timeout(protocols.Timer{ID: id, Path: path, Kind: kind, Arg: arg})
		}
	})
	return id
}
func (e *menv) CancelTimer(id protocols.TimerID)        { delete(e.live, id) }
func (e *menv) Auth() protocols.Auth                    { return mauth{} }
func (e *menv) Check(uint64, []protocols.SigCheck)      {}
func (e *menv) Log(w protocols.WireMessage)             { e.mnode.log = append(e.mnode.log, protocols.Record{Path: e.path, Message: w}) }
func (e *menv) LogLazily(w protocols.WireMessage)       { e.Log(w) }
func (e *menv) Compact(w protocols.WireMessage) {
	var keep []protocols.Record
	for _, r := range e.mnode.log {
		if r.Path != e.path {
			keep = append(keep, r)
		}
	}
	e.mnode.log = append(keep, protocols.Record{Path: e.path, Message: w})
}
func (e *menv) Emit(v protocols.Event) {
	m := e.m
	if m.verbose && v.Kind != protocols.EventExecuted && v.Kind != protocols.EventInvoked && v.Kind != protocols.EventAccepted && v.Kind != protocols.EventCommitted {
		m.t.Logf("%v node %d %s view %d seq %d idx %d peer %d %s", time.Duration(m.now), e.id, v.Kind, v.View, v.Seq, v.Index, v.Peer, v.Note)
	}
	switch v.Kind {
	case protocols.EventTransfer:
		e.last = v.Index
	case protocols.EventExecuted:
		if v.Index != e.last+1 {
			m.t.Fatalf("node %d executed %d after %d", e.id, v.Index, e.last)
		}
		e.last = v.Index
		s := fmt.Sprint(v.Client, v.Timestamp, v.Digest)
		if o, ok := m.exec[v.Index]; ok && o != s {
			m.t.Fatalf("disagreement at %d: %s / %s (node %d)", v.Index, o, s, e.id)
		}
		m.exec[v.Index] = s
	}
}
func (e *menv) Complete(c protocols.Completion) {
	e.done++
	cl := e.node.(*smr.Client)
	if e.done < 300 {
		d := e.done
		e.m.at(1, func() { cl.Invoke(uint64(d), fmt.Appendf(nil, "op %d %d", e.id, d)) })
	}
}
func (e *menv) Sub(l string) protocols.Env {
	p := l
	if e.path != "" {
		p = e.path + "/" + l
	}
	return &menv{e.mnode, p, e.life}
}

type mauth struct{}

func (mauth) Digest(b []byte) protocols.Digest { return sha256.Sum256(b) }
func (mauth) MACs(_ protocols.Tag, g protocols.Group, _ protocols.Digest) []byte {
	return make([]byte, 16*len(g))
}
func (mauth) Sign(protocols.Tag, protocols.Digest) []byte { return make([]byte, 64) }
func (mauth) VerifyPart(*protocols.Part, int) bool        { return true }
func (mauth) VerifyApp(protocols.SigCheck) bool           { return true }
func (mauth) Charge(protocols.Op, int)                    {}

func newMini(t testing.TB, seed uint64, n, f, clients int, set map[string]int64) *mini {
	m := &mini{t: t, n: n, rng: rand.New(rand.NewPCG(seed, 7)), nodes: map[protocols.NodeID]*mnode{}, exec: map[uint64]string{}, maxd: 1000000, table: Messages()}
	o, err := protocols.ResolveOptions(Options(), set)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n+clients; i++ {
		id := protocols.NodeID(i)
		if i >= n {
			id = protocols.FirstClient + protocols.NodeID(i-n)
		}
		nd := &mnode{m: m, id: id}
		m.nodes[id] = nd
		cfg := &protocols.Config{Self: id, N: n, F: f, Replicas: protocols.Replicas(n), Options: o, NewApplication: func() protocols.Application { return &app{} }}
		nd.start(cfg, protocols.Fresh)
	}
	return m
}

var cfgs = map[*mnode]*protocols.Config{}

func (nd *mnode) start(cfg *protocols.Config, kind protocols.BootKind) {
	cfgs[nd] = cfg
	nd.up = true
	nd.live = map[protocols.TimerID]bool{}
	nd.last = 0
	if nd.id.IsReplica() {
		oc := Configure(cfg)
		nd.ord = NewOrderer(oc)
		nd.rep = smr.NewReplica(cfg, nd.ord, smr.ReplicaOptions{Window: 1, TransferTimeout: 2 * oc.Resend, SignFor: 10 * oc.Timeout})
		nd.node = nd.rep
	} else {
		nd.node = NewClient(cfg)
	}
	recs := append([]protocols.Record(nil), nd.log...)
	env := &menv{nd, "", nd.life}
	nd.node.Start(env, protocols.Boot{Kind: kind, Incarnation: uint32(nd.life), Records: recs})
	if c, ok := nd.node.(*smr.Client); ok {
		nd.m.at(1, func() { c.Invoke(0, []byte("first")) })
	}
}
func (nd *mnode) crash() { if nd.m.verbose { nd.m.t.Logf("%v CRASH %d delivered %d h %d own %v", time.Duration(nd.m.now), nd.id, nd.ord.delivered, nd.ord.h, len(nd.ord.own)) }; nd.up = false; nd.life++ }
func (nd *mnode) restart(wipe bool) {
	k := protocols.Recovered
	if wipe {
		nd.log = nil
		k = protocols.Wiped
	}
	nd.start(cfgs[nd], k)
	if nd.m.verbose { nd.m.t.Logf("%v RESTART %d wipe %v delivered %d h %d own %v view %d %v", time.Duration(nd.m.now), nd.id, wipe, nd.ord.delivered, nd.ord.h, len(nd.ord.own), nd.ord.view, nd.ord.active) }
}
func (m *mini) run(d time.Duration) {
	end := m.now + protocols.Time(d)
	for len(m.q) > 0 && m.q[0].at <= end {
		e := heap.Pop(&m.q).(ev)
		m.now = e.at
		e.f()
	}
	m.now = end
}
func (m *mini) check(t testing.TB, want int) {
	for id, nd := range m.nodes {
		if id.IsClient() && nd.done < want {
			t.Fatalf("client %d done %d", id, nd.done)
		}
	}
}
func (m *mini) caughtUp(t testing.TB) {
	for i := 0; i < m.n; i++ {
		nd := m.nodes[protocols.NodeID(i)]
		t.Logf("node %d view %d active %v h %d delivered %d last %d learner %v pending %d waiting %v timer %d claimed %d highest %d win %d next %d resend %d target %v ahead %v ck %v tr %v", i, nd.ord.view, nd.ord.active, nd.ord.h, nd.ord.delivered, nd.last, nd.ord.learner != nil, nd.ord.pending.Len(), nd.ord.waiting, nd.ord.progressTimer, nd.ord.claimed, nd.ord.highest, nd.ord.cfg.Window, nd.ord.next, nd.ord.resendTimer, nd.ord.target, nd.ord.ahead, len(nd.ord.checkpoints), nd.ord.holders(nd.ord.target.Seq,nd.ord.target.Digest))
	}
}

func TestMini(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(m *mini)
		loss float64
	}{
		{"plain", func(m *mini) { m.run(60 * time.Second) }, 0},
		{"loss", func(m *mini) { m.run(120 * time.Second) }, 0.05},
		{"primary crash", func(m *mini) {
			m.run(100 * time.Millisecond)
			m.nodes[0].crash()
			m.run(10 * time.Second)
			m.nodes[0].restart(false)
			m.run(60 * time.Second)
		}, 0},
		{"all crash", func(m *mini) {
			for k := 0; k < 5; k++ {
				m.run(30 * time.Millisecond)
				for i := 0; i < 4; i++ {
					m.nodes[protocols.NodeID(i)].crash()
				}
				m.run(10 * time.Millisecond)
				for i := 0; i < 4; i++ {
					m.nodes[protocols.NodeID(i)].restart(false)
				}
			}
			m.run(60 * time.Second)
		}, 0},
		{"partition", func(m *mini) {
			m.run(50 * time.Millisecond)
			m.cut = func(a, b protocols.NodeID) bool { return a.IsReplica() && b.IsReplica() && (a < 2) != (b < 2) }
			m.run(10 * time.Second)
			m.cut = nil
			m.run(120 * time.Second)
		}, 0},
		{"wipe", func(m *mini) {
			m.run(50 * time.Millisecond)
			m.nodes[2].crash()
			m.run(50 * time.Millisecond)
			m.nodes[2].restart(true)
			m.run(60 * time.Second)
		}, 0},
		{"wipe primary", func(m *mini) {
			m.run(50 * time.Millisecond)
			m.nodes[0].crash()
			m.run(3 * time.Second)
			m.nodes[0].restart(true)
			m.run(60 * time.Second)
		}, 0.01},
		{"rolling", func(m *mini) {
			for k := 0; k < 12; k++ {
				m.run(70 * time.Millisecond)
				m.nodes[protocols.NodeID(k%4)].crash()
				m.run(2500 * time.Millisecond)
				m.nodes[protocols.NodeID(k%4)].restart(false)
			}
			m.run(60 * time.Second)
		}, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 10; seed++ {
				m := newMini(t, seed, 4, 1, 3, map[string]int64{"checkpoint": 8, "pipeline": 4})
				m.loss = c.loss
				m.verbose = false
				c.f(m)
				if t.Failed() {
					return
				}
				for id, nd := range m.nodes {
					if id.IsClient() && nd.done < 300 {
						m.caughtUp(t)
						t.Fatalf("seed %d client %d done %d", seed, id, nd.done)
					}
				}
				if seed == 1 {
					m.caughtUp(t)
				}
			}
		})
	}
}

func TestMiniRandom(t *testing.T) {
	for seed := first(); seed <= 3000; seed++ {
		r := rand.New(rand.NewPCG(seed, 99))
		set := map[string]int64{"checkpoint": int64(1 + r.IntN(8)), "pipeline": int64(1 + r.IntN(6)), "batch_max": int64(1 + r.IntN(3)), "view_change_timeout": int64(time.Duration(5+r.IntN(500)) * time.Millisecond), "client_timeout": int64(time.Duration(5+r.IntN(300)) * time.Millisecond), "resend": int64(time.Duration(2+r.IntN(100)) * time.Millisecond)}
		n, f := 4, 1
		if r.IntN(4) == 0 {
			n = 5
		}
		m := newMini(t, seed, n, f, 1+r.IntN(5), set)
		m.verbose = os.Getenv("VERB") != ""
		m.loss = []float64{0, 0, 0.02, 0.2}[r.IntN(4)]
		m.maxd = []int64{1000, 1000000, 20000000}[r.IntN(3)]
		down := protocols.NodeID(-1)
		for k := 0; k < 12; k++ {
			m.run(time.Duration(r.IntN(300)) * time.Millisecond)
			switch r.IntN(5) {
			case 0, 1:
				if down < 0 {
					learner := false
					for i := 0; i < n; i++ {
						learner = learner || m.nodes[protocols.NodeID(i)].ord.learner != nil
					}
					if !learner {
						down = protocols.NodeID(r.IntN(n))
						m.nodes[down].crash()
					}
				} else {
					m.nodes[down].restart(r.IntN(3) == 0)
					down = -1
				}
			case 2:
				if down < 0 { // everybody at once
					for i := 0; i < n; i++ {
						m.nodes[protocols.NodeID(i)].crash()
					}
					m.run(time.Millisecond)
					for i := 0; i < n; i++ {
						m.nodes[protocols.NodeID(i)].restart(false)
					}
				}
			case 3:
				mask := r.IntN(1 << n)
				m.cut = func(a, b protocols.NodeID) bool {
					return a.IsReplica() && b.IsReplica() && (mask>>a)&1 != (mask>>b)&1
				}
			case 4:
				m.cut = nil
			}
		}
		m.cut = nil
		m.loss = 0
		m.maxd = 1000000
		if down >= 0 && r.IntN(2) == 0 {
			m.nodes[down].restart(false)
		}
		m.verbose = first() > 1
		m.run(2000 * time.Second)
		m.verbose = false
		for id, nd := range m.nodes {
			if id.IsClient() && nd.done < 300 {
				m.caughtUp(t)
				t.Fatalf("seed %d client %d done %d", seed, id, nd.done)
			}
		}
	}
}

func first() uint64 {
	if s := os.Getenv("SEED"); s != "" {
		x, _ := strconv.ParseUint(s, 10, 64)
		return x
	}
	return 1
}
