package pbft

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
	"github.com/edgebft/edgebft/workloads/micro"
)

// script is a cluster whose network and timers are in the hands of a test: nothing
// is delivered and no timer fires unless the test says so. A replica is the real
// one, shell included, or a Byzantine one: a name in which the test sends.
type script struct {
	t       testing.TB
	n, f    int
	now     protocols.Time
	actors  []*actor
	queue   []packet
	lost    func(p packet) bool // messages that the network loses; nil: none
	digests map[protocols.Digest]int
	table   *protocols.MessageTable
	options map[string]int64
	tune    func(*OrdererConfig)
	app     func() protocols.Application // nil: micro

	// The transcript: lines of the present wave, those of equal text joined.
	out   strings.Builder
	lines []line
}

type line struct {
	who  []protocols.NodeID
	text string
}

type packet struct {
	from, to protocols.NodeID
	path     string
	m        protocols.WireMessage
}

type actor struct {
	s        *script
	id       protocols.NodeID
	life     uint32
	replica  *smr.Replica // nil: Byzantine, or crashed
	o        *Orderer
	records  []protocols.Record
	logged   func() // called after every change of records; nil: not
	timers   []armed
	ticket   protocols.TimerID
	executed []protocols.RequestKey
	slots    []protocols.Digest // decided, by slot-1
	inbox    []packet           // of a Byzantine replica
	left     []protocols.Time   // when it left for the next view
	checks   []uint64           // ids of Check that wait for their answer
}

type armed struct {
	at protocols.Time
	t  protocols.Timer
}

// newScript starts a cluster; liars are Byzantine.
func newScript(t testing.TB, n, f int, options map[string]int64, liars ...protocols.NodeID) *script {
	s := &script{t: t, n: n, f: f, digests: make(map[protocols.Digest]int), table: Messages(), options: map[string]int64{
		"block": 0, "checkpoint": 4, "batch_max": 1,
	}}
	for k, v := range options {
		s.options[k] = v
	}
	for i := range n {
		a := &actor{s: s, id: protocols.NodeID(i)}
		s.actors = append(s.actors, a)
		if !slices.Contains(liars, a.id) {
			a.start(protocols.Fresh)
		}
	}
	return s
}

func (s *script) o(id protocols.NodeID) *Orderer { return s.actors[id].o }

func (a *actor) start(kind protocols.BootKind) {
	options, err := protocols.ResolveOptions(Options(), a.s.options)
	require.NoError(a.s.t, err)
	c := &protocols.Config{
		Cluster: 7, Self: a.id, N: a.s.n, F: a.s.f, Replicas: protocols.Replicas(a.s.n), Options: options,
		NewApplication: func() protocols.Application { return micro.New(micro.Config{ReplyBytes: 8}) },
	}
	if a.s.app != nil {
		c.NewApplication = a.s.app
	}
	oc := Configure(c)
	if a.s.tune != nil {
		a.s.tune(&oc)
	}
	if kind == protocols.Wiped {
		a.records = nil
	}
	if kind != protocols.Fresh {
		a.life++
	}
	a.executed, a.slots, a.timers, a.checks = nil, nil, nil, nil
	a.o = NewOrderer(oc)
	a.replica = smr.NewReplica(c, a.o, replicaOptions(c, oc))
	a.replica.Start(&scriptEnv{a: a}, protocols.Boot{Kind: kind, Incarnation: a.life, Records: slices.Clone(a.records)})
}

// crash stops replicas; what they sent is still under way.
func (s *script) crash(ids ...protocols.NodeID) {
	for _, id := range ids {
		s.actors[id].replica, s.actors[id].o = nil, nil
	}
}

func (s *script) restart(kind protocols.BootKind, ids ...protocols.NodeID) {
	for _, id := range ids {
		s.actors[id].start(kind)
	}
	s.flush()
}

// request makes a request of a client whose authenticator is good but at the
// replicas named.
func request(client int, timestamp uint64, n int, bad ...protocols.NodeID) *protocols.Request {
	r := &protocols.Request{Client: protocols.FirstClient + protocols.NodeID(client), Timestamp: timestamp, Op: []byte{byte(client), byte(timestamp)}}
	r.Auth = make([]byte, protocols.MACSize*n)
	for i := range n {
		if !slices.Contains(bad, protocols.NodeID(i)) {
			r.Auth[i*protocols.MACSize] = 1
		}
	}
	return r
}

func signed(r *protocols.Request) *protocols.Request {
	c := r.Clone()
	c.Signed, c.Auth = true, make([]byte, protocols.SignatureSize)
	c.Auth[0] = 1
	return c
}

// ask hands a client's request to replicas at once.
func (s *script) ask(r *protocols.Request, to ...protocols.NodeID) {
	for _, id := range to {
		s.deliver(packet{r.Client, id, "", r})
	}
	s.flush()
}

// send puts a message of a Byzantine replica on its way.
func (s *script) send(from protocols.NodeID, m protocols.WireMessage, to ...protocols.NodeID) {
	for _, id := range to {
		s.queue = append(s.queue, packet{from, id, smr.OrdererPath, m})
	}
}

func (s *script) deliver(p packet) {
	a := s.actors[p.to]
	if a.replica == nil {
		a.inbox = append(a.inbox, p)
		return
	}
	mt := s.table.Lookup(p.m.Tag())
	e := &protocols.Envelope{From: p.from, To: p.to, Path: p.path, Type: mt}
	var v protocols.Verdicts
	if mt.Parts != nil {
		for i, part := range mt.Parts(nil, plainAuth{}, e, p.m) {
			if !(plainAuth{}).VerifyPart(&part, int(p.to), s.n) {
				v = v.Fail(i)
			}
		}
	}
	a.replica.Receive(e, p.m, v)
}

// wave delivers what is under way and reports whether there was anything. What is
// sent meanwhile belongs to the next wave.
func (s *script) wave() bool {
	queue := s.queue
	s.queue = nil
	for _, p := range queue {
		if s.lost != nil && s.lost(p) {
			continue
		}
		s.note(p.from, "> "+s.describe(p.m), p.to)
	}
	s.flush()
	for _, p := range queue {
		if !p.to.IsClient() && (s.lost == nil || !s.lost(p)) {
			s.deliver(p)
		}
	}
	s.flush()
	return len(queue) > 0
}

// run delivers until nothing is under way.
func (s *script) run() {
	for range 1000 {
		if !s.wave() {
			return
		}
	}
	s.t.Fatal("messages without end")
}

// fire lets the timers of one kind run out at some replicas, now.
func (s *script) fire(kind uint32, ids ...protocols.NodeID) {
	for _, id := range ids {
		a := s.actors[id]
		for i, t := range a.timers {
			if t.t.Kind == kind {
				a.timers = slices.Delete(a.timers, i, i+1)
				s.now = max(s.now, t.at)
				a.replica.Timeout(t.t)
				break
			}
		}
	}
	s.flush()
}

// pass lets d go by, firing what is due at correct replicas and delivering at once.
func (s *script) pass(d time.Duration) {
	s.run()
	end := s.now.Add(d)
	for {
		var who *actor
		at := 0
		for _, a := range s.actors {
			for i, t := range a.timers {
				if a.replica != nil && t.at <= end && (who == nil || t.at < who.timers[at].at) {
					who, at = a, i
				}
			}
		}
		if who == nil {
			s.now = end
			return
		}
		t := who.timers[at]
		who.timers = slices.Delete(who.timers, at, at+1)
		s.now = max(s.now, t.at)
		who.replica.Timeout(t.t)
		s.flush()
		s.run()
	}
}

// answer says that all signatures that replicas have asked about are good.
func (s *script) answer(ids ...protocols.NodeID) {
	for _, id := range ids {
		a := s.actors[id]
		checks := a.checks
		a.checks = nil
		for _, c := range checks {
			a.replica.Receive(&protocols.Envelope{From: id, To: id, Local: true, FromLane: -1}, &protocols.Checked{ID: c}, protocols.Verdicts{})
		}
	}
	s.flush()
}

// suspect makes replicas leave their view for the next.
func (s *script) suspect(ids ...protocols.NodeID) {
	for _, id := range ids {
		s.o(id).Suspect()
	}
	s.flush()
}

// agree requires that no two correct replicas decided differently.
func (s *script) agree() {
	s.t.Helper()
	for _, a := range s.actors {
		for _, b := range s.actors {
			if a.replica == nil || b.replica == nil {
				continue
			}
			for i := range min(len(a.slots), len(b.slots)) {
				if x, y := a.slots[i], b.slots[i]; x != (protocols.Digest{31: 255}) && y != (protocols.Digest{31: 255}) {
					require.Equal(s.t, x, y, "slot %d: replica %d decided %v, replica %d %v", i+1, a.id, x, b.id, y)
				}
			}
		}
	}
}

// sent returns what a replica has under way of one type.
func sent[M protocols.WireMessage](s *script, from protocols.NodeID) []M {
	var out []M
	for _, p := range s.queue {
		if m, ok := p.m.(M); ok && p.from == from {
			out = append(out, m)
		}
	}
	return out
}

// note adds a line, or a recipient to a line of equal text.
func (s *script) note(who protocols.NodeID, text string, to ...protocols.NodeID) {
	if len(to) == 1 {
		head := fmt.Sprintf("%d %s", who, text)
		for i := range s.lines {
			if s.lines[i].text == head {
				s.lines[i].who = append(s.lines[i].who, to[0])
				return
			}
		}
		s.lines = append(s.lines, line{[]protocols.NodeID{to[0]}, head})
		return
	}
	for i := range s.lines {
		if s.lines[i].text == text {
			s.lines[i].who = append(s.lines[i].who, who)
			return
		}
	}
	s.lines = append(s.lines, line{[]protocols.NodeID{who}, text})
}

// flush writes the lines: messages as "from>to,to TYPE ...", events indented.
func (s *script) flush() {
	for _, l := range s.lines {
		ids := make([]string, len(l.who))
		for i, id := range l.who {
			ids[i] = fmt.Sprint(id)
			if id.IsClient() {
				ids[i] = fmt.Sprintf("c%d", id-protocols.FirstClient)
			}
		}
		if from, what, ok := strings.Cut(l.text, " > "); ok {
			fmt.Fprintf(&s.out, "%s>%s %s\n", from, strings.Join(ids, ","), what)
		} else {
			fmt.Fprintf(&s.out, "    %s %s\n", strings.Join(ids, ","), l.text)
		}
	}
	s.lines = s.lines[:0]
}

// name shows a digest as the number of its first occurrence.
func (s *script) name(d protocols.Digest) string {
	if d.IsZero() {
		return "null"
	}
	if _, ok := s.digests[d]; !ok {
		s.digests[d] = len(s.digests) + 1
	}
	return fmt.Sprintf("d%d", s.digests[d])
}

func key(k protocols.RequestKey) string {
	return fmt.Sprintf("c%d.%d", k.Client-protocols.FirstClient, k.Timestamp)
}

func (s *script) batch(list []protocols.Request) string {
	keys := make([]string, len(list))
	for i := range list {
		keys[i] = key(list[i].Key())
	}
	return "[" + strings.Join(keys, " ") + "]"
}

func (s *script) describe(m protocols.WireMessage) string {
	entries := func(list []Entry) string {
		var b strings.Builder
		for _, e := range list {
			fmt.Fprintf(&b, " n%d:%s@v%d", e.Seq, s.name(e.Digest), e.View)
		}
		return b.String()
	}
	text := s.table.Lookup(m.Tag()).Name
	switch m := m.(type) {
	case *protocols.Request:
		text += " " + key(m.Key())
	case *protocols.Reply:
		text += fmt.Sprintf(" v%d %s", m.View, key(protocols.RequestKey{Client: m.Client, Timestamp: m.Timestamp}))
	case *PrePrepare:
		text += fmt.Sprintf(" v%d n%d %s %s", m.View, m.Seq, s.name(m.Digest), s.batch(m.Requests))
	case *Prepare:
		text += fmt.Sprintf(" v%d n%d %s", m.View, m.Seq, s.name(m.Digest))
	case *Commit:
		text += fmt.Sprintf(" v%d n%d %s", m.View, m.Seq, s.name(m.Digest))
	case *Checkpoint:
		text += fmt.Sprintf(" n%d %s", m.Seq, s.name(m.Digest))
	case *ViewChange:
		text += fmt.Sprintf(" v%d h%d P(%s ) Q(%s )", m.View, m.Stable, entries(m.Prepared), entries(m.PrePrepared))
	case *ViewChangeAck:
		text += fmt.Sprintf(" v%d of %d", m.View, m.Replica)
	case *NewView:
		text += fmt.Sprintf(" v%d V(", m.View)
		for _, r := range m.ViewChanges {
			text += fmt.Sprintf(" %d", r.Replica)
		}
		text += fmt.Sprintf(" ) from %d X(", m.Stable)
		for _, c := range m.Chosen {
			text += fmt.Sprintf(" n%d:%s", c.Seq, s.name(c.Digest))
		}
		text += " )"
	case *Status:
		text += fmt.Sprintf(" v%d active=%v h%d delivered %d", m.View, m.Active, m.Stable, m.Delivered)
	case *FetchBatch:
		text += " " + s.name(m.Digest)
	case *Batch:
		text += " " + s.batch(m.Requests)
	case *smr.FetchState:
		text += fmt.Sprintf(" from slot %d", m.Slot)
	case *smr.StateChunk:
		text += fmt.Sprintf(" of slot %d, chunk %d of %d", m.Slot, m.Chunk+1, m.Chunks)
	}
	return text
}

// scriptEnv is the Env of an actor's present life.
type scriptEnv struct {
	a    *actor
	path string
	r    *rand.Rand
}

func (e *scriptEnv) Self() protocols.NodeID { return e.a.id }
func (e *scriptEnv) Lane() int              { return 0 }
func (e *scriptEnv) Path() string           { return e.path }
func (e *scriptEnv) Now() protocols.Time    { return e.a.s.now }
func (e *scriptEnv) Clock() protocols.Time  { return e.a.s.now }
func (e *scriptEnv) Rand() *rand.Rand {
	if e.r == nil {
		e.r = rand.New(rand.NewPCG(uint64(e.a.id), uint64(e.a.life)))
	}
	return e.r
}

func (e *scriptEnv) Send(to protocols.NodeID, m protocols.WireMessage) {
	e.a.s.queue = append(e.a.s.queue, packet{e.a.id, to, e.path, m})
}

func (e *scriptEnv) Multicast(to protocols.Group, m protocols.WireMessage) {
	for _, id := range to {
		if id != e.a.id {
			e.Send(id, m)
		}
	}
}
func (e *scriptEnv) Post(int, protocols.Message) {}
func (e *scriptEnv) SetTimer(d time.Duration, kind uint32, arg uint64) protocols.TimerID {
	e.a.ticket++
	e.a.timers = append(e.a.timers, armed{e.a.s.now.Add(d), protocols.Timer{ID: e.a.ticket, Path: e.path, Kind: kind, Arg: arg}})
	return e.a.ticket
}

func (e *scriptEnv) CancelTimer(id protocols.TimerID) {
	e.a.timers = slices.DeleteFunc(e.a.timers, func(t armed) bool { return t.t.ID == id })
}
func (e *scriptEnv) Auth() protocols.Auth { return plainAuth{} }
func (e *scriptEnv) Check(id uint64, _ []protocols.SigCheck) {
	e.a.checks = append(e.a.checks, id)
}

func (e *scriptEnv) Log(m protocols.WireMessage) {
	e.a.records = append(e.a.records, protocols.Record{Path: e.path, Message: m})
	if e.a.logged != nil {
		e.a.logged()
	}
}
func (e *scriptEnv) LogLazily(m protocols.WireMessage) { e.Log(m) }
func (e *scriptEnv) Compact(m protocols.WireMessage) {
	e.a.records = slices.DeleteFunc(e.a.records, func(r protocols.Record) bool { return r.Path == e.path })
	e.Log(m)
}

func (e *scriptEnv) Emit(ev protocols.Event) {
	a, s := e.a, e.a.s
	switch ev.Kind {
	case protocols.EventExecuted:
		k := protocols.RequestKey{Client: ev.Client, Timestamp: ev.Timestamp}
		a.executed = append(a.executed, k)
		s.note(a.id, "executes "+key(k))
	case protocols.EventDuplicate:
		s.note(a.id, "skips "+key(protocols.RequestKey{Client: ev.Client, Timestamp: ev.Timestamp}))
	case protocols.EventCommitted:
		for len(a.slots) < int(ev.Seq) { // slots that came with a state
			a.slots = append(a.slots, protocols.Digest{31: 255})
		}
		a.slots[ev.Seq-1] = ev.Digest
		s.note(a.id, fmt.Sprintf("decides n%d %s in v%d", ev.Seq, s.name(ev.Digest), ev.View))
	case protocols.EventViewChange:
		a.left = append(a.left, s.now)
		s.note(a.id, fmt.Sprintf("leaves for v%d", ev.View))
	case protocols.EventNewView:
		s.note(a.id, fmt.Sprintf("enters v%d", ev.View))
	case protocols.EventCheckpoint:
		s.note(a.id, fmt.Sprintf("has stable n%d", ev.Seq))
	case protocols.EventTransfer:
		if ev.Seq > 0 {
			s.note(a.id, fmt.Sprintf("adopts the state of n%d", ev.Seq))
		}
	case protocols.EventSuspect:
		s.note(a.id, fmt.Sprintf("blames %d: %s", ev.Peer, ev.Note))
	}
}
func (e *scriptEnv) Complete(protocols.Completion) {}
func (e *scriptEnv) Sub(label string) protocols.Env {
	return &scriptEnv{a: e.a, path: strings.TrimPrefix(e.path+"/"+label, "/")}
}

// plainAuth hashes, and finds in the first byte of an authenticator whether it is
// good.
type plainAuth struct{}

func (plainAuth) Digest(b []byte) protocols.Digest { return sha256.Sum256(b) }
func (plainAuth) MACs(_ protocols.Tag, g protocols.Group, _ protocols.Digest) []byte {
	b := make([]byte, len(g)*protocols.MACSize)
	for i := range g {
		b[i*protocols.MACSize] = 1
	}
	return b
}

func (plainAuth) Sign(protocols.Tag, protocols.Digest) []byte {
	return append([]byte{1}, make([]byte, protocols.SignatureSize-1)...)
}

func (plainAuth) VerifyPart(p *protocols.Part, index, size int) bool {
	at := index * protocols.MACSize
	if p.Kind == protocols.PartSignature {
		at, size = 0, protocols.SignatureSize/protocols.MACSize
	}
	return len(p.Proof) == size*protocols.MACSize && p.Proof[at] == 1
}
func (plainAuth) VerifyApp(protocols.SigCheck) bool { return true }
func (plainAuth) Charge(protocols.Op, int)          {}

// propose makes a proposal as a Byzantine primary would send it.
func propose(view, seq uint64, batch ...*protocols.Request) *PrePrepare {
	m := &PrePrepare{View: view, Seq: seq}
	for _, r := range batch {
		m.Requests = append(m.Requests, *r)
	}
	m.Digest = batchDigest(plainAuth{}, m.Requests)
	return m
}
