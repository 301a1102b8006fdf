package adversary

import (
	"math/rand/v2"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// Behaviour is what a protocol's own attack does in one life of one lane. The rules of
// the package hold for it: what it is asked about is already restricted to the time of
// activity and to messages to and from others, and it decides for itself whom to spare
// (see Actor.Outsider). Its methods are called inside handlers. Embed Honest for what
// it leaves alone.
type Behaviour interface {
	// Start is called before the node starts.
	Start(a *Actor)
	// Send decides what becomes of a message that the node sends to others.
	Send(a *Actor, e protocols.Env, to protocols.Group, m protocols.WireMessage)
	// Receive sees a message from another node before the node handles it.
	Receive(a *Actor, e *protocols.Envelope, m protocols.WireMessage)
	// Timeout handles a timer that Actor.SetTimer set.
	Timeout(a *Actor, arg uint64)
}

// Own returns an attack of a protocol's own. begin is called for every lane of every
// life of the node; options after and until are added.
func Own(name, doc string, options []protocols.Option, table func() *protocols.MessageTable, begin func(c *protocols.Config, o protocols.Options) Behaviour) protocols.Attack {
	return protocols.Attack{
		Name: name, Doc: doc, Options: append(options, windowOptions()...),
		New: func(c *protocols.Config, o protocols.Options, peers protocols.Group) protocols.Adversary {
			return &shell{
				cfg: c, table: table(), peers: peers, after: o.Duration("after"), until: o.Duration("until"),
				make: func() attacker { return &own{Behaviour: begin(c, o)} }, lanes: make(map[int]*lane),
			}
		},
	}
}

// Rate is an option "rate" of an attack, in 1,000.
func Rate(permille int64, doc string) protocols.Option { return rateOption(permille, doc) }

// Actor is the node that a Behaviour controls.
type Actor struct{ l *lane }

// Self is the node's id.
func (a *Actor) Self() protocols.NodeID { return a.l.self() }

// Config is what the node was built from.
func (a *Actor) Config() *protocols.Config { return a.l.cfg }

// Env returns the undecorated Env of an instance of the node, nil if it has none at
// this path.
func (a *Actor) Env(path string) protocols.Env { return a.l.envs[path] }

// Now is the node's time.
func (a *Actor) Now() protocols.Time { return a.l.root.Now() }

// Rand is the adversary's own randomness.
func (a *Actor) Rand() *rand.Rand { return a.l.rand() }

// Chance is true in permille of 1,000 cases.
func (a *Actor) Chance(permille int) bool { return a.l.chance(permille) }

// Outsider reports whether a node may be attacked: it is no colluding one.
func (a *Actor) Outsider(id protocols.NodeID) bool { return a.l.outsider(id) }

// Split divides receivers; the node itself is in neither part.
func (a *Actor) Split(to protocols.Group, chosen func(protocols.NodeID) bool) (yes, no protocols.Group) {
	return a.l.split(to, chosen)
}

// Pass sends a message as it is, from the given Env.
func (a *Actor) Pass(e protocols.Env, to protocols.Group, m protocols.WireMessage) { pass(e, to, m) }

// SetTimer asks for Behaviour.Timeout after d.
func (a *Actor) SetTimer(d time.Duration, arg uint64) { a.l.setTimer(d, arg) }

// Honest does nothing wrong.
type Honest struct{}

// Start implements Behaviour.
func (Honest) Start(*Actor) {}

// Send implements Behaviour.
func (Honest) Send(_ *Actor, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	pass(e, to, m)
}

// Receive implements Behaviour.
func (Honest) Receive(*Actor, *protocols.Envelope, protocols.WireMessage) {}

// Timeout implements Behaviour.
func (Honest) Timeout(*Actor, uint64) {}

// own is the attacker of a Behaviour.
type own struct{ Behaviour }

func (o *own) start(l *lane) { o.Start(&Actor{l}) }
func (o *own) send(l *lane, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	o.Send(&Actor{l}, e, to, m)
}

func (o *own) receive(l *lane, e *protocols.Envelope, m protocols.WireMessage) {
	o.Receive(&Actor{l}, e, m)
}
func (o *own) timeout(l *lane, arg uint64) { o.Timeout(&Actor{l}, arg) }
