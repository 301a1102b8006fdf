package netsim

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// A protocol of the shape of pipelined HotStuff: clients send commands to all
// replicas, the leader of a view proposes up to 400 by their names, everybody
// votes to the leader of the next view, a block is executed when the third view
// after it begins, and every replica answers.
const (
	tagCmd  protocols.Tag = 0xF111
	tagProp protocols.Tag = 0xF112
	tagVote protocols.Tag = 0xF113
	tagRepl protocols.Tag = 0xF114
)

const hsBatch = 400

type hsNode struct {
	env      protocols.Env
	n        int
	self     int
	pool     []uint64 // names of commands in the order of arrival
	proposed map[uint64]bool
	blocks   map[uint64][]uint64
	votes    map[uint64]int
	view     uint64 // of which this node has enough votes for the view before
	reply    int
	all      protocols.Group
}

func (r *hsNode) Start(env protocols.Env, _ protocols.Boot) {
	r.env = env
	if r.self == 1 {
		r.view = 1
	}
}
func (r *hsNode) Timeout(protocols.Timer) {}

func (r *hsNode) Receive(_ *protocols.Envelope, x protocols.Message, _ protocols.Verdicts) {
	m := x.(*msg)
	switch m.tag {
	case tagCmd:
		if r.proposed[m.Seq] {
			delete(r.proposed, m.Seq)
			return
		}
		r.pool = append(r.pool, m.Seq)
		r.propose()
	case tagProp:
		r.accept(m)
	case tagVote:
		if r.votes[m.Seq]++; r.votes[m.Seq] == protocols.Quorum(r.n, protocols.MaxByzantine(r.n)) {
			r.view = m.Seq + 1
			delete(r.votes, m.Seq-uint64(r.n))
			r.propose()
		}
	}
}

func (r *hsNode) propose() {
	if r.view == 0 || len(r.pool) < hsBatch {
		return
	}
	data := make([]byte, 0, hsBatch*32)
	for _, c := range r.pool[:hsBatch] {
		data = binary.BigEndian.AppendUint64(data, c)
		data = append(data, make([]byte, 24)...) // as long as a hash
	}
	p := &msg{tag: tagProp, Seq: r.view, Data: data}
	r.view = 0
	r.env.Multicast(r.all, p)
	r.accept(p)
}

func (r *hsNode) accept(p *msg) {
	names := make([]uint64, 0, hsBatch)
	in := make(map[uint64]bool, hsBatch)
	for i := 0; i < len(p.Data); i += 32 {
		c := binary.BigEndian.Uint64(p.Data[i:])
		names = append(names, c)
		in[c] = true
	}
	keep := r.pool[:0]
	for _, c := range r.pool {
		if in[c] {
			delete(in, c)
		} else {
			keep = append(keep, c)
		}
	}
	r.pool = keep
	for c := range in { // sets a set: the order does not matter
		r.proposed[c] = true
	}
	r.blocks[p.Seq] = names
	next := protocols.NodeID((p.Seq + 1) % uint64(r.n))
	r.env.Send(next, &msg{tag: tagVote, Seq: p.Seq})
	if p.Seq > 3 {
		for _, c := range r.blocks[p.Seq-3] {
			r.env.Send(protocols.FirstClient+protocols.NodeID(c>>40), &msg{tag: tagRepl, Seq: c, Data: make([]byte, r.reply)})
		}
		delete(r.blocks, p.Seq-3)
	}
}

type hsClient struct {
	env     protocols.Env
	f       int
	self    uint64
	answers map[uint64]int
	all     protocols.Group
	size    int
}

func (c *hsClient) Start(env protocols.Env, _ protocols.Boot) { c.env = env }
func (c *hsClient) Timeout(protocols.Timer)                   {}
func (c *hsClient) Invoke(id uint64, _ []byte) {
	name := c.self<<40 | id
	c.answers[name] = 0
	c.env.Multicast(c.all, &msg{tag: tagCmd, Seq: name, Data: make([]byte, c.size)})
}

func (c *hsClient) Receive(_ *protocols.Envelope, x protocols.Message, _ protocols.Verdicts) {
	m := x.(*msg)
	k, open := c.answers[m.Seq]
	if !open {
		return
	}
	if k+1 <= c.f {
		c.answers[m.Seq] = k + 1
		return
	}
	delete(c.answers, m.Seq)
	c.env.Complete(protocols.Completion{ID: m.Seq & (1<<40 - 1)})
}

// hsLoad keeps a number of operations open per client.
type hsLoad struct {
	env  protocols.LoadEnv
	open int
	next []uint64
	sent []map[uint64]protocols.Time
}

func (l *hsLoad) Start(env protocols.LoadEnv, clients int) {
	l.env = env
	l.next = make([]uint64, clients)
	for c := range clients {
		l.sent = append(l.sent, map[uint64]protocols.Time{})
		for range l.open {
			l.issue(c)
		}
	}
}

func (l *hsLoad) issue(c int) {
	l.next[c]++
	l.sent[c][l.next[c]] = l.env.Now()
	l.env.Invoke(c, l.next[c], nil)
}
func (l *hsLoad) Wake(protocols.Time) {}
func (l *hsLoad) Completed(c int, done protocols.Completion) {
	l.env.Record(protocols.Sample{Sent: l.sent[c][done.ID], Finished: l.env.Now()})
	delete(l.sent[c], done.ID)
	l.issue(c)
}

func hsTable() *protocols.MessageTable {
	return protocols.NewMessageTable([]protocols.MessageType{
		testType(tagCmd, "CMD", protocols.ClassClient, protocols.SealNone),
		testType(tagProp, "PROPOSE", protocols.ClassOrder, protocols.SealSignature),
		testType(tagVote, "VOTE", protocols.ClassOrder, protocols.SealSignature),
		testType(tagRepl, "REPLY", protocols.ClassClient, protocols.SealMAC),
	})
}

// runHotStuff returns operations per second and the mean latency after a
// warm-up.
func runHotStuff(t testing.TB, cfg Config, n, outstanding, payload int, warm, d time.Duration) (float64, time.Duration) {
	cfg.Table = hsTable()
	s := newStage(t, cfg)
	for i := range n {
		h := s.host(HostSpec{Place: 0})
		_, err := s.AddNode(NodeSpec{ID: protocols.NodeID(i), Host: h, New: func() []protocols.Node {
			return []protocols.Node{&hsNode{n: n, self: i, proposed: map[uint64]bool{}, blocks: map[uint64][]uint64{}, votes: map[uint64]int{}, all: protocols.Replicas(n), reply: payload}}
		}})
		require.NoError(t, err)
	}
	count, sum := 0, time.Duration(0)
	var first, last protocols.Time
	early := 0
	for k := range 2 {
		h := s.host(HostSpec{Place: 1})
		require.NoError(t, s.AddClients(ClientsSpec{
			Host: h, First: protocols.FirstClient + protocols.NodeID(8*k), Count: 8, Load: &hsLoad{open: outstanding}, Outstanding: outstanding,
			New: func(id protocols.NodeID) protocols.Client {
				return &hsClient{f: protocols.MaxByzantine(n), self: uint64(id - protocols.FirstClient), answers: map[uint64]int{}, all: protocols.Replicas(n), size: payload}
			},
			Record: func(x protocols.Sample) {
				if x.Finished <= protocols.Time(warm) {
					return
				}
				if first == 0 {
					first = x.Finished
				}
				if x.Finished < first.Add(ms) {
					early++
				}
				count++
				last = x.Finished
				sum += x.Finished.Sub(x.Sent)
			},
		}))
	}
	s.run(warm + d)
	require.NotZero(t, count)
	// Answers come in bursts, one per block: count whole intervals.
	return float64(count-early) / last.Sub(first).Seconds(), sum / time.Duration(count)
}

// lanSeries and slowSeries are the networks of the published simulation:
// replicas and clients at two places, 10 Gibit/s.
func hsNetwork(between time.Duration) *topology.Topology {
	t := flat(2, time.Millisecond, 10<<30)
	t.Paths[0][0].Floor = int64(between)
	return t
}

// With a free CPU the HotStuff series of the simulator's fact sheet are closed
// forms: a block of 400 every two one-way delays.
func TestHotStuffShape(t *testing.T) {
	for _, n := range []int{4, 8} {
		t.Run(fmt.Sprintf("LAN n=%d", n), func(t *testing.T) {
			rate, latency := runHotStuff(t, Config{Seed: 1, NoRing: true, Topology: hsNetwork(time.Millisecond)}, n, 175, 1024, 50*ms, 100*ms)
			t.Logf("%.0f op/s, %v", rate, latency)
			require.InEpsilon(t, 200_000, rate, 0.05)
			require.InEpsilon(t, 14*ms, latency, 0.05)
		})
	}
	for _, n := range []int{4, 8, 16, 32, 64} {
		t.Run(fmt.Sprintf("10 ms n=%d", n), func(t *testing.T) {
			// Free NICs as well: the 43rd copy of a proposal of 13 kB would leave after
			// 0.4 ms at n = 64, which is 2 % of the view.
			network := hsNetwork(10 * ms)
			for i := range network.Places {
				network.Places[i].Link = topology.Link{}
			}
			rate, latency := runHotStuff(t, Config{Seed: 1, NoRing: true, Topology: network}, n, 100, 0, 160*ms, 110*ms)
			t.Logf("%.0f op/s, %v", rate, latency)
			require.InEpsilon(t, 20_000, rate, 0.001)
			require.InEpsilon(t, 80*ms, latency, 0.001)
		})
	}
}
