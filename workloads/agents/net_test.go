package agents

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// net is a small deterministic network of nodes for tests: lossy, with crashes.
type net struct {
	t      require.TestingT
	now    protocols.Time
	rand   *rand.Rand
	loss   int // percent
	queue  []event
	serial uint64
	hosts  map[protocols.NodeID]*host
	sent   map[protocols.Tag]int
}

type event struct {
	at     protocols.Time
	serial uint64
	life   int
	to     protocols.NodeID
	run    func(protocols.Node)
}

type host struct {
	net      *net
	id       protocols.NodeID
	node     protocols.Node
	build    func() protocols.Node
	life     int // -1 while down; odd numbers never
	up       bool
	offset   time.Duration
	records  []protocols.Record
	complete func(protocols.Completion)
}

func newNet(t require.TestingT, seed uint64) *net {
	return &net{t: t, rand: rand.New(rand.NewPCG(seed, 9)), hosts: map[protocols.NodeID]*host{}, sent: map[protocols.Tag]int{}}
}

func (n *net) add(id protocols.NodeID, offset time.Duration, build func() protocols.Node) *host {
	h := &host{net: n, id: id, build: build, offset: offset}
	n.hosts[id] = h
	return h
}

func (h *host) start(kind protocols.BootKind) {
	if kind == protocols.Wiped {
		h.records = nil
	}
	h.life++
	h.up = true
	h.node = h.build()
	h.node.Start(&env{h: h, life: h.life}, protocols.Boot{Kind: kind, Incarnation: uint32(h.life - 1), Records: slices.Clone(h.records)})
}

func (h *host) crash() { h.up = false }

func (n *net) at(d time.Duration, to protocols.NodeID, life int, run func(protocols.Node)) {
	n.serial++
	n.queue = append(n.queue, event{n.now.Add(d), n.serial, life, to, run})
}

// play runs until end.
func (n *net) play(end time.Duration) {
	for {
		best := -1
		for i, e := range n.queue {
			if best < 0 || e.at < n.queue[best].at || e.at == n.queue[best].at && e.serial < n.queue[best].serial {
				best = i
			}
		}
		if best < 0 || n.queue[best].at > protocols.Time(end) {
			n.now = protocols.Time(end)
			return
		}
		e := n.queue[best]
		n.queue = slices.Delete(n.queue, best, best+1)
		n.now = e.at
		if e.to == protocols.Nobody {
			e.run(nil)
		} else if h := n.hosts[e.to]; h.up && (e.life == 0 || e.life == h.life) {
			e.run(h.node)
		}
	}
}

// env implements protocols.Env.
type env struct {
	h    *host
	life int
	path string
}

func (e *env) Self() protocols.NodeID { return e.h.id }
func (e *env) Lane() int              { return 0 }
func (e *env) Path() string           { return e.path }
func (e *env) Now() protocols.Time    { return e.h.net.now }
func (e *env) Clock() protocols.Time  { return e.h.net.now.Add(e.h.offset) }
func (e *env) Rand() *rand.Rand       { return e.h.net.rand }

func (e *env) Send(to protocols.NodeID, m protocols.WireMessage) {
	n := e.h.net
	n.sent[m.Tag()]++
	if n.hosts[to] == nil || n.rand.IntN(100) < n.loss {
		return
	}
	var mt *protocols.MessageType
	for _, t := range Messages() {
		if t.Tag == m.Tag() {
			mt = &t
		}
	}
	require.NotNil(n.t, mt, "a message that no table declares")
	body, err := m.MarshalMsg(nil)
	require.NoError(n.t, err)
	copied, err := protocols.DecodeMessage(mt, body)
	require.NoError(n.t, err)
	from, path := e.h.id, e.path
	n.at(time.Duration(1+n.rand.IntN(3000))*time.Microsecond, to, 0, func(node protocols.Node) {
		node.Receive(&protocols.Envelope{From: from, To: to, Path: path, Type: mt}, copied, protocols.Verdicts{})
	})
}

func (e *env) Multicast(to protocols.Group, m protocols.WireMessage) {
	for _, id := range to {
		e.Send(id, m)
	}
}

func (e *env) Post(int, protocols.Message) { panic("one lane only") }

func (e *env) SetTimer(d time.Duration, kind uint32, arg uint64) protocols.TimerID {
	n := e.h.net
	require.Positive(n.t, d)
	id := protocols.TimerID(n.serial + 1)
	path := e.path
	n.at(d, e.h.id, e.life, func(node protocols.Node) {
		node.Timeout(protocols.Timer{ID: id, Path: path, Kind: kind, Arg: arg})
	})
	return id
}

func (e *env) CancelTimer(id protocols.TimerID) {
	n := e.h.net
	n.queue = slices.DeleteFunc(n.queue, func(ev event) bool { return id != 0 && ev.serial == uint64(id) })
}

func (e *env) Auth() protocols.Auth               { return auth{} }
func (e *env) Check(uint64, []protocols.SigCheck) { panic("not used") }
func (e *env) LogLazily(protocols.WireMessage)    { panic("not used") }
func (e *env) Log(protocols.WireMessage)          { panic("not used") }
func (e *env) Emit(protocols.Event)               {}
func (e *env) Complete(c protocols.Completion)    { e.h.complete(c) }
func (e *env) Compact(m protocols.WireMessage) {
	body, err := m.MarshalMsg(nil)
	require.NoError(e.h.net.t, err)
	var r protocols.WireMessage = new(ClockRecord)
	if m.Tag() == TagProgress {
		r = new(ClockProgress)
	}
	_, err = r.UnmarshalMsg(body)
	require.NoError(e.h.net.t, err)
	e.h.records = []protocols.Record{{Path: e.path, Message: r}}
}

func (e *env) Sub(label string) protocols.Env {
	sub := *e
	if sub.path != "" {
		sub.path += "/"
	}
	sub.path += label
	return &sub
}

// auth and scheme: the public key is the seed, a signature is a hash over both.
type (
	auth   struct{ protocols.Auth }
	scheme struct{}
)

func (auth) Charge(protocols.Op, int) {}
func (auth) VerifyApp(c protocols.SigCheck) bool {
	return scheme{}.Verify(c.Key, c.Message, c.Signature)
}

func (scheme) Public(seed [32]byte) [32]byte { return seed }
func (scheme) Sign(seed [32]byte, m []byte) (s [64]byte) {
	h := sha256.Sum256(append(seed[:], m...))
	copy(s[:], h[:])
	return s
}

func (s scheme) Verify(key [32]byte, m, sig []byte) bool {
	want := s.Sign(key, m)
	return string(want[:]) == string(sig)
}
