package adversary

import (
	"math/rand/v2"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// timerLabel scopes the timers and randomness of an adversary.
const timerLabel = "adversary"

// attacker is one behaviour in one life of one lane. Its methods are called
// inside handlers only. Embed honest for what a behaviour leaves alone.
type attacker interface {
	// start is called before the node starts.
	start(l *lane)
	// send decides what becomes of a message that the node sends to others.
	send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage)
	// receive sees a message from another node before the node handles it.
	receive(l *lane, e *protocols.Envelope, m protocols.WireMessage)
	// timeout handles a timer of the adversary's own.
	timeout(l *lane, arg uint64)
}

// listener is an attacker that does not hear everybody.
type listener interface {
	hears(l *lane, from protocols.NodeID) bool
}

// honest does nothing wrong.
type honest struct{}

func (honest) start(*lane) {}
func (honest) send(_ *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	pass(e, to, m)
}
func (honest) receive(*lane, *protocols.Envelope, protocols.WireMessage) {}
func (honest) timeout(*lane, uint64)                                     {}

// pass sends a message as it is.
func pass(e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	switch len(to) {
	case 0:
	case 1:
		e.Send(to[0], m)
	default:
		e.Multicast(to, m)
	}
}

// shell is the protocols.Adversary around an attacker.
type shell struct {
	cfg          *protocols.Config
	table        *protocols.MessageTable
	peers        protocols.Group
	after, until time.Duration
	make         func() attacker
	lanes        map[int]*lane
}

var _ protocols.Adversary = (*shell)(nil)

// Env implements protocols.Adversary. A new Env begins a new life.
func (s *shell) Env(index int, inner protocols.Env) protocols.Env {
	l := &lane{shell: s, root: inner, act: s.make(), envs: map[string]protocols.Env{inner.Path(): inner}}
	s.lanes[index] = l
	return &env{Env: inner, lane: l}
}

// Node implements protocols.Adversary.
func (s *shell) Node(index int, inner protocols.Node) protocols.Node {
	n := node{inner: inner, lane: s.lanes[index]}
	if c, ok := inner.(protocols.Client); ok {
		return &client{node: n, inner: c}
	}
	return &n
}

// lane is one lane of the node in one life.
type lane struct {
	*shell
	root  protocols.Env // undecorated
	act   attacker
	own   protocols.Env            // timers and randomness of the adversary
	envs  map[string]protocols.Env // undecorated, by path
	begin protocols.Time
}

func (l *lane) self() protocols.NodeID { return l.root.Self() }

// private is the adversary's own Env.
func (l *lane) private() protocols.Env {
	if l.own == nil {
		l.own = l.root.Sub(timerLabel)
	}
	return l.own
}

func (l *lane) rand() *rand.Rand { return l.private().Rand() }

// chance is true in permille of 1,000 cases.
func (l *lane) chance(permille int) bool {
	return permille >= 1000 || permille > 0 && l.rand().IntN(1000) < permille
}

// active reports whether the node misbehaves now.
func (l *lane) active() bool {
	age := l.root.Now().Sub(l.begin)
	return age >= l.after && (l.until == 0 || age < l.until)
}

// outsider reports whether id may be attacked.
func (l *lane) outsider(id protocols.NodeID) bool {
	return id != l.self() && l.peers.Index(id) < 0
}

// split divides the receivers of a message; the sender is left out.
func (l *lane) split(to protocols.Group, chosen func(protocols.NodeID) bool) (yes, no protocols.Group) {
	for _, id := range to {
		switch {
		case id == l.self():
		case chosen(id):
			yes = append(yes, id)
		default:
			no = append(no, id)
		}
	}
	return yes, no
}

// env decorates one Env of a lane.
type env struct {
	protocols.Env
	lane *lane
	subs map[string]*env
}

var _ protocols.Tamper = (*env)(nil)

// Send implements protocols.Env.
func (e *env) Send(to protocols.NodeID, m protocols.WireMessage) {
	if to == e.Self() || !e.lane.active() {
		e.Env.Send(to, m)
		return
	}
	e.lane.act.send(e.lane, e.Env, protocols.Group{to}, m)
}

// Multicast implements protocols.Env.
func (e *env) Multicast(to protocols.Group, m protocols.WireMessage) {
	if !e.lane.active() {
		e.Env.Multicast(to, m)
		return
	}
	e.lane.act.send(e.lane, e.Env, to, m)
}

// MulticastBad implements protocols.Tamper for adversaries inside adversaries.
func (e *env) MulticastBad(to protocols.Group, m protocols.WireMessage, bad func(protocols.NodeID) bool) {
	if t, ok := e.Env.(protocols.Tamper); ok {
		t.MulticastBad(to, m, bad)
		return
	}
	e.Env.Multicast(to, m)
}

// Sub implements protocols.Env: inner instances are decorated too.
func (e *env) Sub(label string) protocols.Env {
	if s := e.subs[label]; s != nil {
		return s
	}
	inner := e.Env.Sub(label)
	s := &env{Env: inner, lane: e.lane}
	e.lane.envs[inner.Path()] = inner
	if e.subs == nil {
		e.subs = make(map[string]*env)
	}
	e.subs[label] = s
	return s
}

// node decorates a node.
type node struct {
	inner protocols.Node
	lane  *lane
}

// Start implements protocols.Node. The node starts in the Env that it was given,
// which is the decorated one.
func (n *node) Start(e protocols.Env, b protocols.Boot) {
	n.lane.begin = e.Now()
	n.lane.act.start(n.lane)
	n.inner.Start(e, b)
}

// Receive implements protocols.Node.
func (n *node) Receive(e *protocols.Envelope, m protocols.Message, v protocols.Verdicts) {
	if w, ok := m.(protocols.WireMessage); ok && !e.Local && n.lane.active() {
		if d, ok := n.lane.act.(listener); ok && !d.hears(n.lane, e.From) {
			return
		}
		n.lane.act.receive(n.lane, e, w)
	}
	n.inner.Receive(e, m, v)
}

// Timeout implements protocols.Node.
func (n *node) Timeout(t protocols.Timer) {
	if own := n.lane.own; own != nil && t.Path == own.Path() {
		n.lane.act.timeout(n.lane, t.Arg)
		return
	}
	n.inner.Timeout(t)
}

// client decorates a client.
type client struct {
	node
	inner protocols.Client
}

// Invoke implements protocols.Client.
func (c *client) Invoke(id uint64, op []byte) { c.inner.Invoke(id, op) }

// setTimer asks for attacker.timeout(arg) after d.
func (l *lane) setTimer(d time.Duration, arg uint64) { l.private().SetTimer(d, 0, arg) }
