package adversary

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// fakeHost runs one lane of one node by hand.
type fakeHost struct {
	now    protocols.Time
	ring   *auth.Ring
	self   protocols.NodeID
	sent   []sent
	timers []timer
	next   protocols.TimerID
}

// sent is one copy of a message.
type sent struct {
	to   protocols.NodeID
	path string
	m    protocols.WireMessage
	bad  bool
}

type timer struct {
	at protocols.Time
	t  protocols.Timer
}

type fakeEnv struct {
	h    *fakeHost
	path string
	auth *auth.Auth
	rand *rand.Rand
	subs map[string]*fakeEnv
}

func (h *fakeHost) env(path string) *fakeEnv {
	return &fakeEnv{h: h, path: path, auth: auth.New(h.ring.Keys(h.self), path, nil), rand: rand.New(rand.NewPCG(7, uint64(len(path)))), subs: map[string]*fakeEnv{}}
}

func (e *fakeEnv) Self() protocols.NodeID { return e.h.self }
func (e *fakeEnv) Lane() int              { return 0 }
func (e *fakeEnv) Path() string           { return e.path }
func (e *fakeEnv) Now() protocols.Time    { return e.h.now }
func (e *fakeEnv) Clock() protocols.Time  { return e.h.now }
func (e *fakeEnv) Rand() *rand.Rand       { return e.rand }
func (e *fakeEnv) Auth() protocols.Auth   { return e.auth }

func (e *fakeEnv) Send(to protocols.NodeID, m protocols.WireMessage) {
	e.h.sent = append(e.h.sent, sent{to: to, path: e.path, m: m})
}

func (e *fakeEnv) Multicast(to protocols.Group, m protocols.WireMessage) {
	e.MulticastBad(to, m, func(protocols.NodeID) bool { return false })
}

func (e *fakeEnv) MulticastBad(to protocols.Group, m protocols.WireMessage, bad func(protocols.NodeID) bool) {
	for _, id := range to {
		if id != e.h.self {
			e.h.sent = append(e.h.sent, sent{to: id, path: e.path, m: m, bad: bad(id)})
		}
	}
}

func (e *fakeEnv) Post(int, protocols.Message) {}

func (e *fakeEnv) SetTimer(d time.Duration, kind uint32, arg uint64) protocols.TimerID {
	e.h.next++
	e.h.timers = append(e.h.timers, timer{at: e.h.now.Add(d), t: protocols.Timer{ID: e.h.next, Path: e.path, Kind: kind, Arg: arg}})
	return e.h.next
}

func (e *fakeEnv) CancelTimer(protocols.TimerID)      {}
func (e *fakeEnv) Check(uint64, []protocols.SigCheck) {}
func (e *fakeEnv) Log(protocols.WireMessage)          {}
func (e *fakeEnv) LogLazily(protocols.WireMessage)    {}
func (e *fakeEnv) Compact(protocols.WireMessage)      {}
func (e *fakeEnv) Emit(protocols.Event)               {}
func (e *fakeEnv) Complete(protocols.Completion)      {}

func (e *fakeEnv) Sub(label string) protocols.Env {
	s := e.subs[label]
	if s == nil {
		path := label
		if e.path != "" {
			path = e.path + "/" + label
		}
		s = e.h.env(path)
		e.subs[label] = s
	}
	return s
}

// script is a node that does what the test says.
type script struct {
	env      protocols.Env
	received int
	timeouts []protocols.Timer
}

func (s *script) Start(e protocols.Env, _ protocols.Boot) { s.env = e }

func (s *script) Receive(*protocols.Envelope, protocols.Message, protocols.Verdicts) { s.received++ }

func (s *script) Timeout(t protocols.Timer) { s.timeouts = append(s.timeouts, t) }

// bench is a decorated node on a fake host.
type bench struct {
	t    require.TestingT
	h    *fakeHost
	node protocols.Node
	in   *script
	cfg  *protocols.Config
}

var table = protocols.NewMessageTable([]protocols.MessageType{protocols.RequestType(), protocols.ReplyType(), voteType()})

// voteType is an ordering message: a Reply under another name would do, but a
// class of its own lets the tests tell them apart.
func voteType() protocols.MessageType {
	return protocols.MessageType{
		Tag: 0xF0A0, Name: "VOTE", Class: protocols.ClassOrder, Seal: protocols.SealMAC,
		New:   func() protocols.WireMessage { return new(vote) },
		Round: func(m protocols.WireMessage) protocols.Round { return protocols.Round{Seq: m.(*vote).Timestamp} },
		Mutations: []protocols.Mutation{
			{Name: "seq+1", Apply: func(m protocols.WireMessage, _ *rand.Rand) protocols.WireMessage {
				c := *m.(*vote)
				c.Timestamp++
				return &c
			}},
			{Name: "view+1", Apply: func(m protocols.WireMessage, _ *rand.Rand) protocols.WireMessage {
				c := *m.(*vote)
				c.View++
				return &c
			}},
		},
	}
}

// vote borrows the codec of Reply.
type vote struct{ protocols.Reply }

func (*vote) Tag() protocols.Tag { return 0xF0A0 }

func find(t require.TestingT, name string) protocols.Attack {
	for _, a := range All(table) {
		if a.Name == name {
			return a
		}
	}
	require.Fail(t, "no attack "+name)
	return protocols.Attack{}
}

func start(t require.TestingT, name string, self protocols.NodeID, set map[string]int64, peers ...protocols.NodeID) *bench {
	a := find(t, name)
	o, err := protocols.ResolveOptions(a.Options, set)
	require.NoError(t, err)
	b := &bench{t: t, h: &fakeHost{ring: auth.NewModelled(1, 1), self: self, now: 1000}, in: new(script)}
	b.cfg = &protocols.Config{Cluster: 1, Self: self, N: 7, F: 2, Replicas: protocols.Replicas(7)}
	adv := a.New(b.cfg, o, append(protocols.Group{self}, peers...))
	e := adv.Env(0, b.h.env(""))
	b.node = adv.Node(0, b.in)
	b.node.Start(e, protocols.Boot{})
	return b
}

// take returns what was sent since the last call.
func (b *bench) take() []sent {
	s := b.h.sent
	b.h.sent = nil
	return s
}

// advance moves time and fires what is due.
func (b *bench) advance(d time.Duration) {
	end := b.h.now.Add(d)
	for fired := 0; fired < 10_000; fired++ {
		first := -1
		for i, t := range b.h.timers {
			if t.at <= end && (first < 0 || t.at < b.h.timers[first].at) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		t := b.h.timers[first]
		b.h.timers = append(b.h.timers[:first], b.h.timers[first+1:]...)
		b.h.now = t.at
		b.node.Timeout(t.t)
	}
	b.h.now = end
}

func (b *bench) receive(from protocols.NodeID, path string, m protocols.WireMessage) {
	b.node.Receive(&protocols.Envelope{From: from, To: b.h.self, Path: path, Type: table.Lookup(m.Tag())}, m, protocols.Verdicts{})
}

func newVote(seq uint64) *vote { return &vote{protocols.Reply{View: 1, Timestamp: seq}} }

func encode(t require.TestingT, m protocols.WireMessage) string {
	b, err := m.MarshalMsg(nil)
	require.NoError(t, err)
	return string(b)
}

// tally counts, for each receiver, the messages equal to m and the others.
func tally(t *testing.T, s []sent, m protocols.WireMessage) (same, other map[protocols.NodeID]int) {
	same, other = map[protocols.NodeID]int{}, map[protocols.NodeID]int{}
	for _, x := range s {
		if encode(t, x.m) == encode(t, m) {
			same[x.to]++
		} else {
			other[x.to]++
		}
	}
	return same, other
}
