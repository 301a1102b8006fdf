package netsim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// FaultKind says what goes wrong.
type FaultKind uint8

// Kinds of fault.
const (
	// FaultCrash kills the processes of Nodes at once. What is not durable is
	// lost, what has not left the NIC does not leave. With For they come back
	// then, with their disks, or without if Wipe is set. A crash of what is down
	// does nothing, but its end recovers it.
	FaultCrash FaultKind = iota + 1
	// FaultRecover starts Nodes that are down; Wipe empties their disks first.
	FaultRecover
	// FaultPause stops the processes of Nodes; messages wait for them. With For
	// they go on then, unless another pause holds them still.
	FaultPause
	// FaultResume lets Nodes go on, whatever paused them.
	FaultResume
	// FaultPartition cuts connections: between the sets of Groups (nodes in no set
	// keep all connections), or between Nodes and Peers. What is sent across
	// during the partition is lost; with streams both ends get a Lost notice, the
	// receiver when messages come through again.
	FaultPartition
	// FaultDelay slows the links between Nodes and Peers by Delay, and up to
	// Jitter more.
	FaultDelay
	// FaultLoss loses PPM of the messages (datagram) or segments (tcp).
	FaultLoss
	// FaultDuplicate delivers PPM of the datagrams twice, within Jitter.
	FaultDuplicate
	// FaultReorder holds PPM of the datagrams back by up to Jitter.
	FaultReorder
	// FaultCorrupt damages PPM of the messages; they fail admission.
	FaultCorrupt
	// FaultClog stops the links; what is sent meanwhile comes through in a burst
	// at the end. Needs For.
	FaultClog
	// FaultSlowCPU multiplies the CPU costs of the hosts of Nodes by Permille.
	FaultSlowCPU
	// FaultSlowDisk multiplies the duration of syncs there by Permille and adds
	// Delay, and up to Jitter more.
	FaultSlowDisk
	// FaultClock gives the wall clocks there the error Clock.
	FaultClock
	// FaultDiskCorrupt damages PPM of the records that are on the disks of Nodes at
	// that moment: bits rot, writes go astray. Nobody notices until a process reads
	// its log, which is when it starts. Then it boots as Wiped.
	FaultDiskCorrupt
	// FaultDiskError lets every write of a log there fail. A process stops at the
	// first; with For it starts again at the end, with what was durable.
	FaultDiskError
	// FaultDiskFull leaves room for Room more bytes of records of each of the
	// processes; compaction makes room again. A process stops at the record for
	// which there is none, and starts again at the end.
	FaultDiskFull
	// FaultCapacity lets each node send no more than Rate bit/s over the links
	// between Nodes and Peers, all of them together. What is more waits, and beyond
	// the queue of its host's link is lost and announced. A message goes on when all
	// of it has passed.
	FaultCapacity
	lastFault
)

var faultNames = [...]string{"?", "crash", "recover", "pause", "resume", "partition", "delay", "loss", "duplicate", "reorder", "corrupt", "clog", "slow-cpu", "slow-disk", "clock", "disk-corrupt", "disk-error", "disk-full", "capacity"}

func (k FaultKind) String() string {
	if int(k) < len(faultNames) {
		return faultNames[k]
	}
	return faultNames[0]
}

// FaultKinds returns the names that ParseFaultKind knows.
func FaultKinds() []string { return append([]string(nil), faultNames[1:]...) }

// ParseFaultKind returns the kind with a name; the error names the nearest.
func ParseFaultKind(name string) (FaultKind, error) {
	for i, n := range faultNames {
		if i > 0 && n == name {
			return FaultKind(i), nil
		}
	}
	return 0, fmt.Errorf("unknown fault %q%s", name, protocols.Suggest(name, FaultKinds()))
}

// Leader stands in the Nodes, Peers and Groups of a fault for whoever leads when
// it begins, which Config.Leader says. Who is named by number, too, belongs where
// Leader stands.
const Leader protocols.NodeID = -2

// Fault is one entry of the fault plan: data, so that it can be recorded,
// replayed and shrunk.
type Fault struct {
	Kind FaultKind
	// At is when it begins, or with On, how long after the event. For is how long
	// it lasts; 0 is for good. At their times faults come before anything else.
	At  protocols.Time
	For time.Duration
	// On makes it begin at an event instead of a time.
	On *Trigger

	// Nodes are concerned, or for kinds about links one end of them (none = all).
	Nodes []protocols.NodeID
	// Peers are the other ends of links; none = everybody else.
	Peers []protocols.NodeID
	// OneWay concerns only what travels from Nodes to Peers.
	OneWay bool
	// Groups are the sets of a partition.
	Groups [][]protocols.NodeID

	// Wipe and Torn say what a crash does to the disk. Torn: what was being written
	// is lost from some record on only, which the next start finds torn and cuts off.
	// Amnesia: a wiped node is told that it never ran; it counts as Byzantine.
	Wipe, Torn    bool
	Amnesia       bool
	Room          int64 // bytes
	Rate          int64 // bit/s
	Delay, Jitter time.Duration
	PPM           int64
	Permille      int64
	Clock         ClockSpec
}

// Trigger names the Nth event of a kind, at one node or at any.
type Trigger struct {
	Event protocols.EventKind
	// Node is Nobody for any.
	Node protocols.NodeID
	// Nth counts from 1.
	Nth uint64
	// Until, if not 0, is when it stops waiting.
	Until protocols.Time
}

// stops reports whether a process may have to start again for it.
func (f *Fault) stops() bool {
	return f.Kind == FaultCrash || f.Kind == FaultRecover || f.Kind == FaultDiskError || f.Kind == FaultDiskFull
}

func (f *Fault) isLink() bool {
	return f.Kind >= FaultPartition && f.Kind <= FaultClog || f.Kind == FaultCapacity
}

// String says what the fault does.
func (f *Fault) String() string {
	s := f.Kind.String()
	switch {
	case len(f.Groups) > 0:
		s += fmt.Sprintf(" between %v", f.Groups)
	case f.isLink() && f.OneWay:
		s += fmt.Sprintf(" from %v to %v", f.Nodes, f.Peers)
	case f.isLink():
		s += fmt.Sprintf(" between %v and %v", f.Nodes, f.Peers)
	default:
		s += fmt.Sprintf(" of %v", f.Nodes)
	}
	if f.Wipe {
		s += " without disk"
	}
	if f.Amnesia {
		s += " and without knowing that it ran"
	}
	if f.Torn {
		s += " with a torn log"
	}
	return s
}

type faultState struct {
	Fault
	seen   uint64 // events counted for the trigger
	fired  bool
	begin  int64
	end    int64
	group  []int32 // by process: set of the partition, 0 for none
	from   []bool  // by process
	to     []bool
	procs  []*proc
	active bool
	leads  bool    // names Leader and has not begun
	room   []int64 // by procs: bytes that the log may have
	lines  []nic   // by process: what a link of limited capacity carries
}

// check says what is wrong with an entry by itself.
func (f *Fault) check(t Transport) error {
	if f.Kind == 0 || f.Kind >= lastFault {
		return fmt.Errorf("fault kind %d; allowed are %v", f.Kind, FaultKinds())
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", f.Kind, fmt.Sprintf(format, args...))
	}
	if f.At < 0 || f.For < 0 || f.Delay < 0 || f.Jitter < 0 {
		return bad("at %d, for %v, delay %v, jitter %v; none may be negative", f.At, f.For, f.Delay, f.Jitter)
	}
	if o := f.On; o != nil && (o.Nth == 0 || o.Event == 0) {
		return bad("the trigger needs an event kind and Nth of at least 1")
	}
	if !f.isLink() && len(f.Nodes) == 0 {
		return bad("it names no node")
	}
	if !f.isLink() && (len(f.Peers) > 0 || f.OneWay) {
		return bad("peers and one-way belong to faults of links")
	}
	if f.Kind != FaultPartition && len(f.Groups) > 0 {
		return bad("groups belong to partitions")
	}
	if f.Wipe && f.Kind != FaultCrash && f.Kind != FaultRecover {
		return bad("wipe belongs to crash and recover")
	}
	if f.Amnesia && !f.Wipe {
		return bad("amnesia is how a node comes back that was wiped; set Wipe")
	}
	if f.Torn && (f.Kind != FaultCrash || f.Wipe) {
		return bad("torn belongs to a crash that keeps the disk")
	}
	if (f.Kind == FaultRecover || f.Kind == FaultResume || f.Kind == FaultDiskCorrupt) && f.For != 0 {
		return bad("it happens at a point in time; leave For out")
	}
	switch f.Kind {
	case FaultCrash:
		if f.Wipe && f.For == 0 {
			return bad("wipe says how the node comes back: give For, or put it into the recover entry")
		}
	case FaultPartition:
		switch {
		case len(f.Groups) == 1:
			return bad("one group; a partition needs at least two, or Nodes")
		case len(f.Groups) > 1 && (len(f.Nodes) > 0 || len(f.Peers) > 0 || f.OneWay):
			return bad("give either Groups or Nodes and Peers")
		case len(f.Groups) == 0 && len(f.Nodes) == 0:
			return bad("it needs Groups or Nodes")
		}
	case FaultDelay:
		if f.Delay == 0 && f.Jitter == 0 {
			return bad("it needs Delay or Jitter")
		}
	case FaultDiskFull:
		if f.Room < 0 {
			return bad("room for %d bytes; it must not be negative", f.Room)
		}
	case FaultCapacity:
		if f.Rate < 1 {
			return bad("%d bit/s; it must be at least 1", f.Rate)
		}
	case FaultLoss, FaultDuplicate, FaultReorder, FaultCorrupt, FaultDiskCorrupt:
		if f.PPM < 1 || f.PPM > 1_000_000 {
			return bad("%d ppm; allowed are 1 to 1000000", f.PPM)
		}
		if f.Kind == FaultLoss && t == Stream {
			return bad("transport \"stream\" loses nothing: choose \"tcp\" (loss becomes delay) or \"datagram\" (loss is loss)")
		}
		if (f.Kind == FaultDuplicate || f.Kind == FaultReorder) && t != Datagram {
			return bad("it needs transport \"datagram\", not %q", t)
		}
		if (f.Kind == FaultDuplicate || f.Kind == FaultReorder) && f.Jitter < 1 {
			return bad("it needs Jitter, the window in which the copy arrives")
		}
	case FaultClog:
		if f.For == 0 {
			return bad("it needs For; a clog without end is a partition")
		}
	case FaultSlowCPU:
		if f.Permille < 1 || f.Permille > 1_000_000 {
			return bad("%d per mille; allowed are 1 to 1000000", f.Permille)
		}
	case FaultSlowDisk:
		if f.Permille < 0 || f.Permille > 1_000_000_000 || f.Permille == 0 && f.Delay == 0 && f.Jitter == 0 {
			return bad("%d per mille, delay %v; it needs Permille of at most 1000000000, Delay or Jitter", f.Permille, f.Delay)
		}
	}
	return nil
}

// compile checks an entry against the nodes that exist.
func (s *Sim) compile(f Fault) (*faultState, error) {
	if err := f.check(s.cfg.Transport); err != nil {
		return nil, err
	}
	x := &faultState{Fault: f}
	mark := func(ids []protocols.NodeID, set []bool) error {
		for _, id := range ids {
			if id == Leader {
				if s.cfg.Leader == nil {
					return fmt.Errorf("%s: it names the leader; set Config.Leader, which says who that is", f.Kind)
				}
				x.leads = true
				continue
			}
			eps := s.lookup(id)
			if len(eps) == 0 {
				return fmt.Errorf("%s: node %d does not exist", f.Kind, id)
			}
			for _, ep := range eps {
				set[s.eps[ep].proc.id] = true
			}
		}
		return nil
	}
	n := len(s.procs)
	x.from, x.to = make([]bool, n), make([]bool, n)
	if err := errors.Join(mark(f.Nodes, x.from), mark(f.Peers, x.to)); err != nil {
		return nil, err
	}
	if f.On != nil && f.On.Node != protocols.Nobody && len(s.lookup(f.On.Node)) == 0 {
		return nil, fmt.Errorf("%s: its trigger watches node %d, which does not exist", f.Kind, f.On.Node)
	}
	for i, p := range s.procs {
		if !f.isLink() && x.from[i] {
			if f.Kind == FaultSlowCPU && cpuFree(p.host.prof) {
				return nil, fmt.Errorf("%s: the host of node %d has no CPU costs that could grow; give it a profile", f.Kind, p.node)
			}
			if p.pool != nil && p.pool.load != nil && f.stops() {
				if _, ok := p.pool.load.(protocols.Restarter); !ok {
					return nil, fmt.Errorf("%s: the load of client %d is no protocols.Restarter, so that its process cannot crash; pause it, or partition it off", f.Kind, p.node)
				}
			}
			x.procs = append(x.procs, p)
		}
		if f.isLink() && len(f.Nodes) == 0 {
			x.from[i] = true
		}
	}
	if f.isLink() && len(f.Peers) == 0 {
		for i := range x.to {
			x.to[i] = len(f.Nodes) == 0 || !x.from[i]
		}
	}
	if len(f.Groups) > 0 {
		x.group = make([]int32, n)
		for g, ids := range f.Groups {
			set := make([]bool, n)
			if err := mark(ids, set); err != nil {
				return nil, err
			}
			for i, in := range set {
				if in && x.group[i] != 0 {
					return nil, fmt.Errorf("%s: node %d is in two groups", f.Kind, s.procs[i].node)
				}
				if in {
					x.group[i] = int32(g + 1)
				}
			}
		}
	}
	if f.Kind == FaultClock {
		var c clock
		if err := c.set(s, 0, f.Clock); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Kind, err)
		}
	}
	return x, nil
}

// resolveLeader puts the nodes that lead now into a fault that begins.
func (s *Sim) resolveLeader(x *faultState) error {
	lead := s.cfg.Leader()
	name := func(ids []protocols.NodeID) []protocols.NodeID {
		var out []protocols.NodeID
		named := slices.Contains(ids, Leader)
		for _, id := range ids {
			if id != Leader && !slices.Contains(lead, id) {
				out = append(out, id)
			}
		}
		if named {
			out = append(out, lead...)
		}
		return out
	}
	f := x.Fault
	if slices.Contains(f.Nodes, Leader) || slices.Contains(f.Peers, Leader) {
		f.Nodes, f.Peers = name(f.Nodes), name(f.Peers)
	}
	f.Groups = slices.Clone(f.Groups)
	for i := range f.Groups {
		f.Groups[i] = name(f.Groups[i])
	}
	if len(f.Nodes) == 0 && len(x.Nodes) > 0 || len(f.Peers) == 0 && len(x.Peers) > 0 { // only the links to itself
		clear(x.from)
		x.leads = false
		return nil
	}
	y, err := s.compile(f)
	if err != nil {
		return err
	}
	x.Fault, x.from, x.to, x.group, x.procs, x.leads = f, y.from, y.to, y.group, y.procs, false
	return nil
}

func (s *Sim) startFaults() error {
	for i, f := range s.cfg.Faults {
		if err := s.plan(f); err != nil {
			return fmt.Errorf("netsim: fault %d: %w", i, err)
		}
	}
	return nil
}

// plan schedules an entry.
func (s *Sim) plan(f Fault) error {
	x, err := s.compile(f)
	if err != nil {
		return err
	}
	s.faults = append(s.faults, x)
	if f.On != nil {
		s.triggered = true
		return nil
	}
	s.schedule(len(s.faults)-1, max(int64(f.At), s.now))
	return nil
}

// schedule queues the beginning and the end of a fault.
func (s *Sim) schedule(i int, at int64) {
	x := s.faults[i]
	x.fired = true
	x.begin = min(at, far)
	at, x.end = x.begin, later(x.begin, int64(x.For))
	// The smallest keys: at their time faults come before anything else, ends
	// before beginnings.
	s.q.push(event{at: at, key: 1<<32 + uint64(i), src: int32(i), kind: evFault, ref: uint32(i)})
	if x.For > 0 {
		s.q.push(event{at: x.end, key: uint64(i), src: int32(i), dst: 1, kind: evFault, ref: uint32(i)})
	}
}

// Inject adds a fault while the run is going on (with Config.Interactive) or
// before it begins. A time in the past means now.
func (s *Sim) Inject(f Fault) error {
	if !s.started {
		if err := f.check(s.cfg.Transport); err != nil {
			return fmt.Errorf("netsim: %w", err)
		}
		if s.cfg.Mode == Fast || s.cfg.Streams == StreamsOn {
			return errors.New("netsim: faults cannot be combined with mode Fast or forced streams; choose Auto")
		}
		s.cfg.Faults = append(s.cfg.Faults[:len(s.cfg.Faults):len(s.cfg.Faults)], f)
		return nil
	}
	if !s.strict {
		return errors.New("netsim: this run was started without faults and cannot take any; set Config.Interactive")
	}
	if err := s.plan(f); err != nil {
		return fmt.Errorf("netsim: %w", err)
	}
	return nil
}

// Crash kills nodes now; see FaultCrash.
func (s *Sim) Crash(ids ...protocols.NodeID) error {
	return s.Inject(Fault{Kind: FaultCrash, At: s.Now(), Nodes: ids})
}

// Recover starts nodes again, with their disks or without.
func (s *Sim) Recover(withDisk bool, ids ...protocols.NodeID) error {
	return s.Inject(Fault{Kind: FaultRecover, At: s.Now(), Nodes: ids, Wipe: !withDisk})
}

// Partition cuts the network into groups now, for a while or (0) for good.
func (s *Sim) Partition(d time.Duration, groups ...[]protocols.NodeID) error {
	return s.Inject(Fault{Kind: FaultPartition, At: s.Now(), For: d, Groups: groups})
}

// trigger counts an event for the faults that wait for it.
func (s *Sim) trigger(at int64, node protocols.NodeID, ev *protocols.Event) {
	waiting := false
	for i, x := range s.faults {
		if x.On == nil || x.fired || x.On.Until > 0 && at >= int64(x.On.Until) {
			continue
		}
		if x.On.Event == ev.Kind && (x.On.Node == protocols.Nobody || x.On.Node == node) {
			if x.seen++; x.seen == x.On.Nth {
				s.schedule(i, max(later(at, int64(x.At)), s.now))
				continue
			}
		}
		waiting = true
	}
	s.triggered = waiting
}

// onFault begins or ends a fault.
func (s *Sim) onFault(i uint32, phase int32) {
	x := s.faults[i]
	begin := phase == 0
	if begin && x.leads {
		if err := s.resolveLeader(x); err != nil {
			s.fail(fmt.Errorf("netsim: fault %d: %w", i, err))
			return
		}
	}
	node := protocols.Nobody
	if len(x.Nodes) > 0 {
		node = x.Nodes[0]
	}
	note := ""
	if s.sinkOn {
		if note = "ends: " + x.String(); begin {
			note = "begins: " + x.String()
		}
	}
	s.tellFault(node, note)
	x.active = begin && x.Kind != FaultRecover && x.Kind != FaultResume
	switch x.Kind {
	case FaultCrash:
		for _, p := range x.procs {
			if begin {
				s.crash(p, x.Torn)
			} else {
				s.recoverProc(p, x.Wipe, x.Amnesia)
			}
		}
	case FaultDiskCorrupt:
		for _, p := range x.procs {
			s.damage(p, x.PPM)
		}
	case FaultDiskError, FaultDiskFull:
		if !begin {
			s.endDiskFault(x)
			break
		}
		x.room = x.room[:0]
		for _, p := range x.procs {
			x.room = append(x.room, min(p.logBytes()+x.Room, unlimited-1))
			s.retuneDisk(p)
		}
	case FaultCapacity:
		x.lines = make([]nic, len(s.procs))
	case FaultRecover:
		for _, p := range x.procs {
			s.recoverProc(p, x.Wipe, x.Amnesia)
		}
	case FaultPause, FaultResume:
		for _, p := range x.procs {
			switch {
			case x.Kind == FaultResume:
				s.resume(p)
			case begin:
				s.pause(p, i)
			default:
				s.unpause(p, i)
			}
		}
	case FaultSlowCPU, FaultSlowDisk, FaultClock:
		for _, p := range x.procs {
			s.retune(p.host)
		}
	}
	s.active = s.active[:0]
	for _, y := range s.faults {
		if y.active && y.isLink() {
			s.active = append(s.active, y)
		}
	}
}

// retune recomputes what the active faults make of a host.
func (s *Sim) retune(h *host) {
	h.scale, h.slowDisk, h.diskDelay, h.diskJitter = h.baseScale, 1000, 0, 0
	spec, since := h.baseClock, int64(0)
	for _, x := range s.faults {
		concerns := false
		for _, p := range x.procs {
			concerns = concerns || p.host == h
		}
		if !x.active || !concerns {
			continue
		}
		switch x.Kind {
		case FaultSlowCPU:
			h.scale = max(scaled(h.scale, x.Permille), 1)
		case FaultSlowDisk:
			if x.Permille > 0 {
				h.slowDisk = scaled(h.slowDisk, x.Permille)
			}
			h.diskDelay = later(h.diskDelay, int64(x.Delay))
			h.diskJitter = later(h.diskJitter, int64(x.Jitter))
		case FaultClock:
			spec, since = x.Clock, x.begin
		}
	}
	h.clock.ClockSpec, h.clock.since = spec, since
}
