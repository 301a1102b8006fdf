package netsim

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// clientPool is a process of many clients on one event loop, with the load that
// drives them.
type clientPool struct {
	s     *Sim
	proc  *proc
	lane  *lane
	spec  ClientsSpec
	nodes []protocols.Node
	raw   []protocols.Client
	envs  []*env
	outer []protocols.Env
	load  protocols.Load
	open  []int32 // operations open per client

	wakeID  protocols.TimerID
	todo    []invocation
	done    []completion
	started bool // the load
}

type invocation struct {
	client int
	id     uint64
	op     []byte
}

type completion struct {
	client int
	c      protocols.Completion
}

// AddClients puts a process of clients on a host. The clients share its lane;
// what they send travels on the connections of the process.
func (s *Sim) AddClients(spec ClientsSpec) error {
	h, err := s.host(spec.Host)
	if err != nil {
		return err
	}
	if s.started {
		return fmt.Errorf("netsim: clients added at %d ns; they are added before the first Run", s.now)
	}
	last := spec.First + protocols.NodeID(spec.Count) - 1
	if spec.Count < 1 || !spec.First.IsClient() || !last.IsClient() {
		return fmt.Errorf("netsim: clients %d to %d; ids of clients are %d to %d", spec.First, last, protocols.FirstClient, protocols.FirstAgent-1)
	}
	if spec.New == nil {
		return fmt.Errorf("netsim: clients %d to %d have no constructor; set ClientsSpec.New", spec.First, last)
	}
	for i := range s.ranges {
		if r := &s.ranges[i]; spec.First < r.first+protocols.NodeID(r.count) && r.first <= last {
			return fmt.Errorf("netsim: clients %d to %d exist already", max(r.first, spec.First), min(last, r.first+protocols.NodeID(r.count)-1))
		}
	}
	if spec.Outstanding == 0 {
		spec.Outstanding = 1
	}
	p := &proc{id: int32(len(s.procs)), host: h, node: spec.First, crashed: -1, diskRoom: unlimited}
	pool := &clientPool{s: s, proc: p, spec: spec, load: spec.Load, open: make([]int32, spec.Count)}
	p.pool = pool
	s.procs = append(s.procs, p)
	h.procs = append(h.procs, p)
	l := s.newLane(p, 0)
	p.lanes = []*lane{l}
	p.stats.LaneCPU = make([]int64, 1)
	pool.lane = l
	l.ep = int32(len(s.eps))
	for i := range spec.Count {
		id := spec.First + protocols.NodeID(i)
		ep := int32(len(s.eps))
		s.eps = append(s.eps, s.endpoint(id, p, int32(i)))
		p.eps = append(p.eps, ep)
	}
	pool.populate()
	s.ranges = append(s.ranges, idRange{first: spec.First, count: spec.Count, eps: p.eps})
	return nil
}

// populate makes the clients of a new life.
func (c *clientPool) populate() {
	c.raw, c.envs, c.outer, c.nodes = nil, nil, nil, nil
	for i, ep := range c.proc.eps {
		id := c.spec.First + protocols.NodeID(i)
		e := newEnv(c.s, c.lane, ep, c.s.keyring.Keys(id))
		client := c.spec.New(id)
		c.raw = append(c.raw, client)
		c.envs = append(c.envs, e)
		var outer protocols.Env = e
		var n protocols.Node = client
		if a := c.spec.Adversary; a != nil {
			outer = a.Env(i, e)
			n = a.Node(i, client)
		}
		c.outer = append(c.outer, outer)
		c.nodes = append(c.nodes, n)
	}
}

// crash forgets what the clients had open. The load, which is their users,
// remembers.
func (c *clientPool) crash() {
	clear(c.open)
	clear(c.todo)
	clear(c.done)
	c.todo, c.done, c.wakeID = c.todo[:0], c.done[:0], 0
}

// start starts all clients and then the load, in one step.
func (c *clientPool) start(s *Sim, boot protocols.Boot) {
	for i, n := range c.nodes {
		s.cur.ep = c.proc.eps[i]
		boot.Records = s.records(c.lane, s.cur.ep)
		n.Start(c.outer[i], boot)
	}
	switch {
	case c.load == nil:
	case !c.started:
		c.started = true
		c.load.Start(c, len(c.nodes))
	default:
		if err := c.load.(protocols.Restarter).Restarted(); err != nil {
			s.fail(fmt.Errorf("netsim: client %d cannot restart: %w", c.spec.First, err))
		}
	}
}

// complete notes a completion; the load hears of it when the handler is done.
func (c *clientPool) complete(s *Sim, ep int32, done protocols.Completion) {
	i := int(s.eps[ep].sub)
	if c.open[i] == 0 {
		s.fail(fmt.Errorf("netsim: client %d completes operation %d but has none open", s.eps[ep].id, done.ID))
		return
	}
	c.open[i]--
	c.done = append(c.done, completion{client: i, c: done})
}

// settle tells the load of completions and starts what it wants started, until
// nothing is left to do. It runs at the end of every step of the process.
func (c *clientPool) settle(s *Sim) {
	for len(c.done) > 0 || len(c.todo) > 0 {
		for k := 0; k < len(c.done); k++ {
			d := c.done[k]
			if c.spec.OnComplete != nil {
				c.spec.OnComplete(protocols.Time(s.cur.start), c.spec.First+protocols.NodeID(d.client), d.c)
			}
			if c.load != nil {
				c.load.Completed(d.client, d.c)
			}
		}
		clear(c.done)
		c.done = c.done[:0]
		for k := 0; k < len(c.todo); k++ {
			x := c.todo[k]
			if s.cur.host.prof != nil {
				s.cur.ps += s.cur.host.prof.StepBase
			}
			s.cur.out = fold(fold(s.cur.out, uint64(x.client)), x.id)
			s.cur.ep = c.proc.eps[x.client]
			c.client(x.client).Invoke(x.id, x.op)
		}
		clear(c.todo)
		c.todo = c.todo[:0]
	}
}

// client returns the client to invoke: the decorated one if the decoration is a
// Client, too.
func (c *clientPool) client(i int) protocols.Client {
	if x, ok := c.nodes[i].(protocols.Client); ok {
		return x
	}
	return c.raw[i]
}

// Now implements protocols.LoadEnv.
func (c *clientPool) Now() protocols.Time { return protocols.Time(c.s.cur.start) }

// WakeAt implements protocols.LoadEnv.
func (c *clientPool) WakeAt(t protocols.Time) {
	if c.wakeID != 0 {
		c.lane.timers.cancel(c.wakeID)
	}
	at := max(int64(t), c.s.cur.start)
	c.wakeID = c.lane.timers.set(nil, at, 0, 0)
	if !c.s.cur.active || c.s.cur.lane != c.lane {
		c.s.wake(c.lane, max(at, c.s.now))
	}
}

// Invoke implements protocols.LoadEnv.
func (c *clientPool) Invoke(client int, id uint64, op []byte) {
	if client < 0 || client >= len(c.nodes) {
		c.s.fail(fmt.Errorf("netsim: the load invokes client %d; there are clients 0 to %d", client, len(c.nodes)-1))
		return
	}
	if int(c.open[client]) >= c.spec.Outstanding {
		c.s.fail(fmt.Errorf("netsim: the load invokes client %d, which has %d operations open; at most %d are allowed", client, c.open[client], c.spec.Outstanding))
		return
	}
	c.open[client]++
	c.todo = append(c.todo, invocation{client: client, id: id, op: op})
}

// Scheme implements protocols.LoadEnv.
func (c *clientPool) Scheme() protocols.AppScheme { return c.s.keyring.App() }

// Stream implements protocols.LoadEnv.
func (c *clientPool) Stream(purpose string) (uint64, uint64) {
	return c.s.seedFor(drawStream, int32(c.spec.First), 0, purpose)
}

// Record implements protocols.LoadEnv.
func (c *clientPool) Record(x protocols.Sample) {
	if c.spec.Record != nil {
		c.spec.Record(x)
	}
}

// Clock implements protocols.LoadEnv.
func (c *clientPool) Clock() protocols.Time {
	return protocols.Time(c.proc.host.clock.read(c.s.cur.start))
}
