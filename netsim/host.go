package netsim

import (
	"fmt"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// host is a machine: cores, a NIC and a disk that everything on it shares.
type host struct {
	id    int32
	name  string
	place int
	link  topology.Link
	prof  *profile.Profile // nil costs nothing
	io    profile.Sockets  // of the transport
	scale int64            // per mille on every CPU cost, profile and faults
	cores []int64          // busy-until of each core
	tx    nic
	rx    nic
	clock clock
	procs []*proc
	lanes int
	disk  disk

	fast       bool  // messages may be handled when they reach the NIC
	parallel   bool  // admission has cores of its own
	shared     bool  // several lanes feed the NIC
	baseScale  int64 // without faults
	baseClock  ClockSpec
	slowDisk   int64 // per mille on the duration of a sync
	diskDelay  int64
	diskJitter int64
	txLimit    int64 // longest backlog in ns
	rxLimit    int64
	packet     int64          // largest on the wire
	lastAdmit  int64          // latest end of an admission
	leaving    []transmission // in runs with faults: one, but with Sched Fair all copies of a broadcast
	entries    uint32         // copies that reached the NIC, on a shared host
}

// proc is a process: a replica or agent with its lanes, or many clients on one
// lane. It is what crashes, and what has a chain in the trace.
type proc struct {
	id    int32
	host  *host
	node  protocols.NodeID // first endpoint
	spec  *NodeSpec        // nil for clients
	lanes []*lane
	eps   []int32
	keys  auth.Keys
	admit *auth.Auth // what admission checks with
	index int
	pool  *clientPool

	inc        uint32 // incarnation
	down       bool
	wiped      bool
	forgot     bool // told that it never ran
	paused     bool
	crashed    int64 // time of the last crash
	pausedAt   int64
	pauses     []uint32 // the faults that pause it
	stalled    []uint32 // jobs held back by a pause
	asleep     []event  // evEnter and evCheck held back by a pause: nobody verifies
	counter    uint64
	lastDep    [protocols.NumClasses]int64 // departure of the last packet so far
	clamps     [protocols.NumClasses]int64 // copies held back to keep order since nothing was under way
	digests    digestTable
	chain      chain
	stats      NodeStats
	notices    map[noticeKey]*noticeState
	noticeList []*noticeState
	inSync     bool // waits for or has the disk

	diskFails   bool  // writes fail
	diskRoom    int64 // bytes that its log may have
	diskBroken  bool  // a write failed in this life
	diskStopped bool  // down for that reason
}

// endpoint is an address: one replica, or one client of a pool. Twins are two
// endpoints with one NodeID.
type endpoint struct {
	id   protocols.NodeID
	sub  int32 // index in the pool
	proc *proc
	host *host
	base int // index of the first path from its place
	at   int // its place
}

// AddHost adds a machine and returns its id.
func (s *Sim) AddHost(spec HostSpec) (HostID, error) {
	t := s.cfg.Topology
	if spec.Place < 0 || spec.Place >= len(t.Places) {
		return 0, fmt.Errorf("netsim: host %q stands at place %d; topology %q has places 0 to %d", spec.Name, spec.Place, t.Name, len(t.Places)-1)
	}
	h := &host{id: int32(len(s.hosts)), name: spec.Name, place: spec.Place, link: t.Places[spec.Place].Link, prof: spec.Profile, scale: 1000, slowDisk: 1000}
	if h.name == "" {
		h.name = fmt.Sprintf("host%d", h.id)
	}
	if spec.Link != nil {
		h.link = *spec.Link
	}
	if h.prof == nil {
		h.prof = s.cfg.Profile
	}
	if h.prof != nil && h.prof.Free() {
		h.prof = nil
	}
	if p := h.prof; p != nil {
		h.io = profile.Sockets{Send: p.Send, Recv: p.Recv}
		if s.cfg.Transport == Datagram && p.UDP != nil {
			h.io = *p.UDP
		}
	}
	l := &h.link
	if l.MTU == 0 {
		l.MTU = defaultMTU
	}
	if l.Up < 0 || l.Down < 0 || l.Queue < 0 || l.MTU < minMTU || l.MTU > maxMTU {
		return 0, fmt.Errorf("netsim: host %q: link up %d, down %d, queue %d, MTU %d; none may be negative, and an MTU is 0 (for %d) or %d to %d", h.name, l.Up, l.Down, l.Queue, l.MTU, defaultMTU, minMTU, maxMTU)
	}
	h.packet = l.MTU + etherOverhead
	if l.Queue == 0 {
		l.Queue = DefaultQueue
	}
	h.tx.rate, h.rx.rate = uint64(l.Up), uint64(l.Down)
	cores := spec.Cores
	if cores == 0 && h.prof != nil {
		cores = h.prof.Cores
	}
	if cores == 0 {
		cores = 1
	}
	if cores < 0 || cores > 4096 {
		return 0, fmt.Errorf("netsim: host %q has %d cores; allowed are 1 to 4096", h.name, cores)
	}
	h.cores = make([]int64, cores)
	if h.prof != nil {
		if h.prof.ScalePermille < 0 {
			return 0, fmt.Errorf("netsim: profile %q scales by %d per mille; it must not be negative", h.prof.Name, h.prof.ScalePermille)
		}
		if h.prof.ScalePermille > 0 {
			h.scale = h.prof.ScalePermille
		}
	}
	if err := h.clock.set(s, h.id, spec.Clock); err != nil {
		return 0, fmt.Errorf("netsim: host %q: %w", h.name, err)
	}
	h.baseScale, h.baseClock = h.scale, spec.Clock
	s.hosts = append(s.hosts, h)
	return HostID(h.id), nil
}

// leastBusy returns the core that is free first, the lowest index on ties.
func (h *host) leastBusy() int {
	best := 0
	for i := 1; i < len(h.cores); i++ {
		if h.cores[i] < h.cores[best] {
			best = i
		}
	}
	return best
}

func (s *Sim) host(id HostID) (*host, error) {
	if id < 0 || int(id) >= len(s.hosts) {
		return nil, fmt.Errorf("netsim: host %d does not exist; there are %d", id, len(s.hosts))
	}
	return s.hosts[id], nil
}

// AddNode puts a replica or an agent on a host. It starts when the run reaches
// the present time.
func (s *Sim) AddNode(spec NodeSpec) (Endpoint, error) {
	h, err := s.host(spec.Host)
	if err != nil {
		return 0, err
	}
	if s.started {
		return 0, fmt.Errorf("netsim: node %d added at %d ns; nodes are added before the first Run", spec.ID, s.now)
	}
	if spec.ID < 0 || spec.ID.IsClient() {
		return 0, fmt.Errorf("netsim: node id %d; replicas are 0 to %d, agents count from %d", spec.ID, protocols.FirstClient-1, protocols.FirstAgent)
	}
	if spec.New == nil {
		return 0, fmt.Errorf("netsim: node %d has no constructor; set NodeSpec.New", spec.ID)
	}
	if len(s.lookup(spec.ID)) > 0 && !spec.Twin {
		return 0, fmt.Errorf("netsim: node %d exists already; set Twin to give its identity to a second endpoint", spec.ID)
	}
	p := &proc{id: int32(len(s.procs)), host: h, node: spec.ID, spec: &spec, index: int(spec.ID), crashed: -1, diskRoom: unlimited}
	if spec.Index != nil {
		p.index = *spec.Index
	}
	p.keys = s.keyring.Keys(spec.ID)
	p.admit = auth.New(p.keys, "", s.chargeFn)
	s.procs = append(s.procs, p)
	h.procs = append(h.procs, p)
	ep := int32(len(s.eps))
	s.eps = append(s.eps, s.endpoint(spec.ID, p, 0))
	p.eps = []int32{ep}
	s.byID[spec.ID] = append(s.byID[spec.ID], ep)
	nodes := spec.New()
	if len(nodes) == 0 || len(nodes) > 256 {
		return 0, fmt.Errorf("netsim: node %d has %d lanes; allowed are 1 to 256", spec.ID, len(nodes))
	}
	for i := range nodes {
		l := s.newLane(p, i)
		l.ep = ep
		p.lanes = append(p.lanes, l)
	}
	p.stats.LaneCPU = make([]int64, len(nodes))
	s.install(p, nodes)
	return Endpoint(ep), nil
}

// install gives the lanes of a process the nodes of a new life.
func (s *Sim) install(p *proc, nodes []protocols.Node) {
	for i, l := range p.lanes {
		var e protocols.Env = newEnv(s, l, p.eps[0], p.keys)
		n := nodes[i]
		if a := p.spec.Adversary; a != nil {
			e = a.Env(i, e)
			n = a.Node(i, n)
		}
		l.node, l.env = n, e
	}
}

func (s *Sim) endpoint(id protocols.NodeID, p *proc, sub int32) endpoint {
	return endpoint{id: id, sub: sub, proc: p, host: p.host, base: p.host.place * s.places, at: p.host.place}
}

// lookup returns the endpoints of a node id.
func (s *Sim) lookup(id protocols.NodeID) []int32 {
	if int(id) >= 0 && int(id) < len(s.replicas) {
		return s.replicas[id]
	}
	if eps, ok := s.byID[id]; ok {
		return eps
	}
	for i := range s.ranges {
		if r := &s.ranges[i]; id >= r.first && id < r.first+protocols.NodeID(r.count) {
			k := int(id - r.first)
			return r.eps[k : k+1 : k+1]
		}
	}
	return nil
}

type idRange struct {
	first protocols.NodeID
	count int
	eps   []int32
}

// Endpoint is the address of a node or client; ids of twins have two.
type Endpoint int32

// NodeInfo describes a process of a run, for exporters.
type NodeInfo struct {
	// ID of the node, or of the first of Clients clients.
	ID          protocols.NodeID
	Clients     int
	Host, Place string
	// Lanes by index; names as given in NodeSpec, or "lane" and the index.
	Lanes []string
}

// Nodes describes what was added, in that order.
func (s *Sim) Nodes() []NodeInfo {
	var out []NodeInfo
	for _, p := range s.procs {
		n := NodeInfo{ID: p.node, Host: p.host.name, Place: s.cfg.Topology.Places[p.host.place].Name}
		if p.pool != nil {
			n.Clients = len(p.eps)
		}
		for i := range p.lanes {
			name := fmt.Sprintf("lane%d", i)
			if p.spec != nil && i < len(p.spec.Lanes) {
				name = p.spec.Lanes[i]
			}
			n.Lanes = append(n.Lanes, name)
		}
		out = append(out, n)
	}
	return out
}
