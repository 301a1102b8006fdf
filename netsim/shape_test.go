package netsim

import (
	"time"

	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/tinylib/msgp/msgp"
)

// Test messages: one struct under several tags.
const (
	tagAsk     protocols.Tag = 0xF101
	tagPropose protocols.Tag = 0xF102
	tagPrepare protocols.Tag = 0xF103
	tagCommit  protocols.Tag = 0xF104
	tagAnswer  protocols.Tag = 0xF105
	tagRecord  protocols.Tag = 0xF106
)

type msg struct {
	tag  protocols.Tag
	Seq  uint64
	Hash protocols.Digest
	Data []byte
}

func (m *msg) Tag() protocols.Tag { return m.tag }
func (m *msg) Msgsize() int       { return 64 + len(m.Data) }

func (m *msg) MarshalMsg(b []byte) ([]byte, error) {
	b = msgp.AppendArrayHeader(b, 3)
	b = msgp.AppendUint64(b, m.Seq)
	b = msgp.AppendBytes(b, m.Hash[:])
	return msgp.AppendBytes(b, m.Data), nil
}

func (m *msg) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || n != 3 {
		return b, msgp.ArrayError{Wanted: 3, Got: n}
	}
	if m.Seq, b, err = msgp.ReadUint64Bytes(b); err != nil {
		return b, err
	}
	if b, err = msgp.ReadExactBytes(b, m.Hash[:]); err != nil {
		return b, err
	}
	m.Data, b, err = msgp.ReadBytesBytes(b, nil)
	return b, err
}

func testType(tag protocols.Tag, name string, class protocols.Class, seal protocols.Seal) protocols.MessageType {
	return protocols.MessageType{
		Tag: tag, Name: name, Class: class, Seal: seal,
		New:   func() protocols.WireMessage { return &msg{tag: tag} },
		Round: func(m protocols.WireMessage) protocols.Round { return protocols.Round{Seq: m.(*msg).Seq} },
		Trace: func(m protocols.WireMessage, t protocols.TraceHash) {
			t.U64(m.(*msg).Seq)
			if h := m.(*msg).Hash; !h.IsZero() {
				t.Digest(h)
			}
		},
	}
}

func testTable() *protocols.MessageTable {
	record := testType(tagRecord, "RECORD", protocols.ClassOrder, protocols.SealNone)
	record.Record = true
	return protocols.NewMessageTable([]protocols.MessageType{
		testType(tagAsk, "ASK", protocols.ClassClient, protocols.SealMAC),
		testType(tagPropose, "PROPOSE", protocols.ClassOrder, protocols.SealMAC),
		testType(tagPrepare, "PREPARE", protocols.ClassOrder, protocols.SealMAC),
		testType(tagCommit, "COMMIT", protocols.ClassOrder, protocols.SealSignature),
		testType(tagAnswer, "ANSWER", protocols.ClassClient, protocols.SealMAC),
		record,
	})
}

// shapeNode has the message pattern of PBFT without faults: the client asks
// node 0, which proposes to all, all prepare and commit, all answer.
type shapeNode struct {
	env      protocols.Env
	all      protocols.Group
	n, f     int
	next     uint64
	slots    map[uint64]*shapeSlot
	log      bool
	timer    protocols.TimerID
	handled  int
	onBoot   func(protocols.Boot)
	executed uint64
}

type shapeSlot struct {
	prepares, commits int
	m                 *msg
	committing, done  bool
}

func newShape(n int) *shapeNode {
	return &shapeNode{n: n, f: protocols.MaxByzantine(n), all: protocols.Replicas(n), slots: map[uint64]*shapeSlot{}, next: 1}
}

func (r *shapeNode) Start(env protocols.Env, boot protocols.Boot) {
	r.env = env
	if r.onBoot != nil {
		r.onBoot(boot)
	}
}

func (r *shapeNode) slot(seq uint64) *shapeSlot {
	s := r.slots[seq]
	if s == nil {
		s = &shapeSlot{}
		r.slots[seq] = s
	}
	return s
}

func (r *shapeNode) Receive(e *protocols.Envelope, x protocols.Message, _ protocols.Verdicts) {
	m, ok := x.(*msg)
	if !ok {
		return
	}
	r.handled++
	switch m.tag {
	case tagAsk:
		p := &msg{tag: tagPropose, Seq: r.next, Data: append([]byte(nil), m.Data...)}
		p.Hash = r.env.Auth().Digest(p.Data)
		r.next++
		r.env.Multicast(r.all, p)
		r.propose(p)
	case tagPropose:
		r.env.Auth().Digest(m.Data)
		r.propose(m)
	case tagPrepare:
		r.slot(m.Seq).prepares++
		r.step(m.Seq)
	case tagCommit:
		r.slot(m.Seq).commits++
		r.step(m.Seq)
	}
}

func (r *shapeNode) propose(m *msg) {
	s := r.slot(m.Seq)
	s.m = m
	r.env.CancelTimer(r.timer)
	r.timer = r.env.SetTimer(time.Second, 1, m.Seq)
	if r.env.Self() != 0 {
		s.prepares++
		r.env.Multicast(r.all, &msg{tag: tagPrepare, Seq: m.Seq, Hash: m.Hash})
	}
	r.step(m.Seq)
}

func (r *shapeNode) step(seq uint64) {
	s := r.slot(seq)
	if s.m != nil && !s.committing && s.prepares >= 2*r.f {
		s.committing = true
		s.commits++
		if r.log {
			r.env.Log(&msg{tag: tagRecord, Seq: seq, Hash: s.m.Hash})
		}
		r.env.Multicast(r.all, &msg{tag: tagCommit, Seq: seq, Hash: s.m.Hash})
	}
	if s.committing && !s.done && s.commits >= protocols.Quorum(r.n, r.f) {
		s.done = true
		r.executed++
		r.env.Emit(protocols.Event{Kind: protocols.EventExecuted, Seq: seq, Digest: s.m.Hash})
		client := protocols.FirstClient + protocols.NodeID(s.m.Data[0])
		r.env.Send(client, &msg{tag: tagAnswer, Seq: seq, Hash: s.m.Hash, Data: s.m.Data})
		if r.log && seq%16 == 0 {
			r.env.Compact(&msg{tag: tagRecord, Seq: seq})
		}
	}
	if s.done && s.prepares >= r.n-1 && s.commits >= r.n {
		delete(r.slots, seq)
	}
}

func (r *shapeNode) Timeout(protocols.Timer) {}

// shapeClient asks and waits for f+1 answers.
type shapeClient struct {
	env     protocols.Env
	f       int
	id      uint64
	answers int
}

func (c *shapeClient) Start(env protocols.Env, _ protocols.Boot) { c.env = env }
func (c *shapeClient) Invoke(id uint64, op []byte) {
	c.id, c.answers = id, 0
	c.env.Send(0, &msg{tag: tagAsk, Seq: id, Data: op})
}

func (c *shapeClient) Receive(_ *protocols.Envelope, x protocols.Message, _ protocols.Verdicts) {
	m, ok := x.(*msg)
	if !ok || m.tag != tagAnswer || len(m.Data) < 2 || uint64(m.Data[1]) != c.id&0xff {
		return
	}
	if c.answers++; c.answers == c.f+1 {
		c.env.Complete(protocols.Completion{ID: c.id, Result: m.Data})
	}
}
func (c *shapeClient) Timeout(protocols.Timer) {}

// closedLoop keeps one operation open per client.
type closedLoop struct {
	env  protocols.LoadEnv
	next uint64
	sent []protocols.Time
	size int
	max  uint64
}

func (l *closedLoop) Start(env protocols.LoadEnv, clients int) {
	l.env = env
	l.sent = make([]protocols.Time, clients)
	for i := range clients {
		l.issue(i)
	}
}

func (l *closedLoop) issue(client int) {
	if l.max > 0 && l.next >= l.max {
		return
	}
	l.next++
	op := make([]byte, max(l.size, 2))
	op[0], op[1] = byte(client), byte(l.next)
	l.sent[client] = l.env.Now()
	l.env.Invoke(client, l.next, op)
}
func (l *closedLoop) Wake(protocols.Time) {}
func (l *closedLoop) Completed(client int, c protocols.Completion) {
	l.env.Record(protocols.Sample{Intended: l.sent[client], Sent: l.sent[client], Finished: l.env.Now()})
	l.issue(client)
}

// flat is a topology of one or more places with the same delay everywhere.
func flat(places int, delay time.Duration, rate int64) *topology.Topology {
	t := &topology.Topology{Name: "flat"}
	for i := range places {
		t.Places = append(t.Places, topology.Place{Name: string(rune('a' + i)), Link: topology.Link{Up: rate, Down: rate}})
		row := make([]topology.Path, places)
		for j := range row {
			row[j].Floor = int64(delay)
		}
		t.Paths = append(t.Paths, row)
	}
	return t
}

// uniform is a jitter table from 0 to d.
func uniform(d time.Duration) *topology.Quantiles {
	v := make([]int64, 257)
	for i := range v {
		v[i] = int64(d) * int64(i) / 256
	}
	return &topology.Quantiles{Values: v}
}

func jittered(places int, delay, jitter time.Duration, rate int64) *topology.Topology {
	t := flat(places, delay, rate)
	for i := range t.Paths {
		for j := range t.Paths[i] {
			t.Paths[i][j].Jitter = uniform(jitter)
		}
	}
	return t
}

type shape struct {
	*Sim
	nodes   []*shapeNode
	load    *closedLoop
	samples []protocols.Sample
}

// newShapeSim puts n shape nodes on hosts of their own, round the places, and
// one process of clients.
func newShapeSim(cfg Config, n, clients int, tune func(*shapeNode)) (*shape, error) {
	if cfg.Table == nil {
		cfg.Table = testTable()
	}
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	sh := &shape{Sim: s, load: &closedLoop{size: 32}}
	for i := range n {
		h, err := s.AddHost(HostSpec{Place: i % len(cfg.Topology.Places)})
		if err != nil {
			return nil, err
		}
		_, err = s.AddNode(NodeSpec{ID: protocols.NodeID(i), Host: h, New: func() []protocols.Node {
			r := newShape(n)
			if tune != nil {
				tune(r)
			}
			if len(sh.nodes) <= i {
				sh.nodes = append(sh.nodes, r)
			} else {
				sh.nodes[i] = r
			}
			return []protocols.Node{r}
		}})
		if err != nil {
			return nil, err
		}
	}
	h, err := s.AddHost(HostSpec{})
	if err != nil {
		return nil, err
	}
	return sh, s.AddClients(ClientsSpec{
		Host: h, First: protocols.FirstClient, Count: clients, Load: sh.load,
		New:    func(protocols.NodeID) protocols.Client { return &shapeClient{f: protocols.MaxByzantine(n)} },
		Record: func(x protocols.Sample) { sh.samples = append(sh.samples, x) },
	})
}
