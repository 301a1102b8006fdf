package smr

import (
	"bytes"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// ClientOptions tunes a Client.
type ClientOptions struct {
	// Quorum is the number of equal replies from different replicas that make a
	// result.
	Quorum int
	// Timeout is the least wait before the first retransmission; it doubles up to
	// MaxTimeout. A client whose requests usually take long waits patience times as
	// long: retransmissions are signed, and a service that is just overloaded would
	// spend its time on checking them.
	Timeout, MaxTimeout time.Duration
	// Primary gives the replica that a new request is sent to.
	Primary func(view uint64) protocols.NodeID
}

// Client is the client of a protocol with a primary: it sends a request to the
// primary it knows, accepts a result that Quorum replicas agree on, and
// retransmits, signed, to all replicas. It has one request open at a time.
type Client struct {
	cfg *protocols.Config
	opt ClientOptions
	env protocols.Env

	view    uint64
	counter uint64 // incarnation in the upper half

	id      uint64
	current *protocols.Request
	votes   []replyVote // per replica
	resent  int
	wait    time.Duration
	timer   protocols.TimerID
	sent    protocols.Time
	usual   time.Duration // from sending to the result, smoothed
}

// patience is how many times its usual latency a client waits.
const patience = 4

type replyVote struct {
	voted  bool
	view   uint64
	result []byte
}

const timerRetransmit uint32 = 0x5302

// NewClient returns a client.
func NewClient(cfg *protocols.Config, opt ClientOptions) *Client {
	return &Client{cfg: cfg, opt: opt, votes: make([]replyVote, cfg.N)}
}

// Start implements protocols.Node.
func (c *Client) Start(env protocols.Env, boot protocols.Boot) {
	c.env = env
	c.counter = uint64(boot.Incarnation) << 32
}

// Invoke implements protocols.Client.
func (c *Client) Invoke(id uint64, op []byte) {
	c.counter++
	r := &protocols.Request{Client: c.env.Self(), Timestamp: c.counter, Op: op}
	auth := c.env.Auth()
	d := r.Digest(auth)
	r.Auth = auth.MACs(protocols.TagRequest, c.cfg.Replicas, d)
	c.id, c.current, c.resent, c.sent = id, r, 0, c.env.Now()
	c.wait = min(max(c.opt.Timeout, patience*c.usual), c.opt.MaxTimeout)
	clear(c.votes)
	c.env.Emit(protocols.Event{Kind: protocols.EventInvoked, Client: c.env.Self(), Timestamp: r.Timestamp, Digest: d})
	c.env.Send(c.opt.Primary(c.view), r)
	c.timer = c.env.SetTimer(c.wait, timerRetransmit, r.Timestamp)
}

// Receive implements protocols.Node.
func (c *Client) Receive(e *protocols.Envelope, m protocols.Message, _ protocols.Verdicts) {
	if r, ok := m.(*protocols.Reply); ok && e.From.IsReplica() && int(e.From) < c.cfg.N && r.Replica == e.From {
		c.onReply(r)
	}
}

// onReply handles REPLY. A replica may correct itself: a replica that restarted
// may answer again from a later view; its last answer counts.
func (c *Client) onReply(r *protocols.Reply) {
	if c.current == nil || r.Client != c.env.Self() || r.Timestamp != c.current.Timestamp {
		return
	}
	c.votes[r.Replica] = replyVote{true, r.View, r.Result}
	equal := 0
	views := make([]uint64, 0, 8)
	for i := range c.votes {
		if v := &c.votes[i]; v.voted && bytes.Equal(v.result, r.Result) {
			equal++
			views = append(views, v.view)
		}
	}
	if equal < c.opt.Quorum {
		return
	}
	// The smallest view in a set that holds a correct replica cannot be inflated
	// by a faulty one.
	low := views[0]
	for _, v := range views {
		low = min(low, v)
	}
	c.view = max(c.view, low)
	c.env.CancelTimer(c.timer)
	c.usual = (c.usual + c.env.Now().Sub(c.sent)) / 2
	c.env.Emit(protocols.Event{Kind: protocols.EventAccepted, View: c.view, Client: c.env.Self(), Timestamp: c.current.Timestamp, Digest: c.current.Known(c.env.Auth())})
	c.current = nil
	c.env.Complete(protocols.Completion{ID: c.id, Result: r.Result, View: c.view, Retransmissions: c.resent})
}

// Timeout implements protocols.Node: it retransmits to all replicas. The
// retransmission is signed, so that it convinces every replica or none.
func (c *Client) Timeout(t protocols.Timer) {
	if t.Kind != timerRetransmit || c.current == nil || t.Arg != c.current.Timestamp {
		return
	}
	if !c.current.Signed {
		r := *c.current
		r.Signed = true
		r.Auth = c.env.Auth().Sign(protocols.TagRequest, r.Known(c.env.Auth()))
		c.current = &r
	}
	c.resent++
	c.env.Multicast(c.cfg.Replicas, c.current)
	c.wait = min(2*c.wait, c.opt.MaxTimeout)
	c.timer = c.env.SetTimer(c.wait, timerRetransmit, t.Arg)
}
