package netsim

import (
	"errors"
	"fmt"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// Kinds of event.
const (
	evArrive   = iota + 1 // a copy reaches the receiver's NIC; ref payload
	evEnter               // a copy is complete and goes to admission; ref payload
	evWake                // a lane asked to be woken
	evReady               // the next copy of a job is ready for the NIC; ref job
	evDepart              // the first packet of a copy departs; ref payload
	evYield               // a copy of a two-step stream is about to arrive; ref payload
	evStream              // the next copy of a stream; ref stream
	evAppend              // records reach the disk's queue; src lane, dst incarnation
	evSynced              // a sync is done; src host
	evCheck               // a signature check reaches the cores; ref check
	evFault               // a fault begins or ends; ref fault
	evNotice              // a held-back notice is due; src proc, ref notice
	evDiskStop            // a process whose disk failed stops; src proc, dst incarnation
)

// Salts of tie keys, one per kind of channel.
const (
	saltArrive uint64 = (iota + 1) << 16
	saltReady
	saltDepart
	saltYield
	saltLocal
	saltWake
	saltTimer
	saltDisk
	saltCheck
	saltNotice
)

type pathInfo = topology.Path

// Sim is one simulation: a single goroutine over one queue. It must not be used
// by several goroutines; several Sims share nothing and run in parallel freely.
type Sim struct {
	cfg     Config
	seed    uint64
	tieSeed uint64
	keyring *auth.Ring

	q     queue
	now   int64
	until int64

	hosts    []*host
	procs    []*proc
	lanes    []*lane
	eps      []endpoint
	byID     map[protocols.NodeID][]int32
	replicas [][]int32
	ranges   []idRange
	paths    []pathInfo
	places   int
	longest  int64   // of all paths, jitter included
	medians  []int64 // of the paths, for TCP

	payloads    slab[payload]
	locals      slab[local]
	jobs        slab[job]
	streamsSlab slab[stream]
	checks      slab[check]
	verdicts    slab[protocols.Verdicts]
	conns       connTable // last arrival per connection
	admitted    connTable // last admission per connection

	types  []typeInfo // by index; 0 is none
	byTag  [256]*[256]uint16
	groups map[groupKey]*groupInfo

	lastGroup groupKey
	lastInfo  *groupInfo

	cur       stepState
	outs      []output
	envelope  protocols.Envelope
	envelope2 protocols.Envelope
	scratch   []byte
	frame     []byte
	seal      []byte
	parts     []protocols.Part
	tracer    tracer
	event     protocols.Event
	rec       Record
	chargeFn  auth.Charge

	started bool
	running bool
	stopped bool
	stopAt  int64 // the instant that the run ends with, once stopped
	heard   int64 // time of the event that observers hear of
	err     error
	reason  string
	strict  bool // faults look at single copies and at stages
	streams bool

	faults   []*faultState
	active   []*faultState
	fx       effects               // of faults, on the message that is being launched
	aborted  map[abortKey]struct{} // copies whose sender crashed in the middle
	pushed   []abortKey            // arrivals of the copy that is being launched, in runs with faults
	gaps     map[uint64]uint64     // losses that the receiver has not been told of
	tcp      map[uint64]tcpState   // by connection
	channels map[uint64]bool       // bad state of lossy paths by pair of processes

	events     uint64
	steps      uint64
	deliveries uint64

	emitted   emitHeap
	emitSeq   uint64
	stoppers  []Stopper // by observer, nil for most
	stoppable bool      // there is one
	listeners []listener
	triggered bool // some fault waits for an event
	tracing   *ring
	sinkOn    bool
}

type typeInfo struct {
	mt *protocols.MessageType
	TypeStats
}

// New builds an empty simulation.
func New(cfg Config) (*Sim, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Sim{
		cfg: cfg, seed: mix(cfg.Seed + 0x5851f42d4c957f2d), byID: make(map[protocols.NodeID][]int32), groups: make(map[groupKey]*groupInfo),
		aborted: make(map[abortKey]struct{}), gaps: make(map[uint64]uint64), tcp: make(map[uint64]tcpState), channels: make(map[uint64]bool),
	}
	s.tieSeed = s.draw(drawTie, 0, 0, 0)
	s.q = new(radix)
	if cfg.heapQueue {
		s.q = new(binaryHeap)
	}
	if cfg.RealCrypto {
		var secret [8]byte
		for i := range secret {
			secret[i] = byte(cfg.Seed >> (8 * i))
		}
		s.keyring = auth.NewReal(cfg.Cluster, secret[:])
	} else {
		s.keyring = auth.NewModelled(cfg.Cluster, cfg.Seed)
	}
	s.chargeFn = s.charge
	t := cfg.Topology
	s.places = len(t.Places)
	for _, row := range t.Paths {
		s.paths = append(s.paths, row...)
		for i := range row {
			d := row[i].Floor
			if q := row[i].Jitter; q != nil {
				d += q.Values[len(q.Values)-1]
			}
			s.longest = max(s.longest, d)
			s.medians = append(s.medians, row[i].Quantile(500_000))
		}
	}
	s.types = make([]typeInfo, 1, 64)
	for _, mt := range cfg.Table.Types() {
		pg := s.byTag[mt.Tag>>8]
		if pg == nil {
			pg = new([256]uint16)
			s.byTag[mt.Tag>>8] = pg
		}
		pg[mt.Tag&0xff] = uint16(len(s.types))
		s.types = append(s.types, typeInfo{mt: mt, TypeStats: TypeStats{Name: mt.Name, Tag: mt.Tag}})
	}
	for _, o := range cfg.Observers {
		st, _ := o.(Stopper)
		s.stoppers = append(s.stoppers, st)
		s.stoppable = s.stoppable || st != nil
		if w, ok := o.(protocols.SendObserver); ok {
			s.listeners = append(s.listeners, listener{w, st})
		}
	}
	if !cfg.NoRing {
		s.tracing = newRing(RingRecords)
	}
	for i := range cfg.Faults {
		if err := cfg.Faults[i].check(cfg.Transport); err != nil {
			return nil, fmt.Errorf("netsim: fault %d: %w", i, err)
		}
	}
	return s, nil
}

// typeOf returns the index of a message type, 0 for none.
func (s *Sim) typeOf(t protocols.Tag) uint16 {
	if pg := s.byTag[t>>8]; pg != nil {
		return pg[t&0xff]
	}
	return 0
}

// AppScheme signs for application accounts as this run checks them.
func (s *Sim) AppScheme() protocols.AppScheme { return s.keyring.App() }

// Now is the present virtual time.
func (s *Sim) Now() protocols.Time { return protocols.Time(s.now) }

// Stop ends the run with the present instant, that of the event that an observer
// hears of: what begins at it still does, and nothing later belongs to the run.
// Observers call it when they have seen enough; those that are no Stopper may find
// that mode Fast has gone on a little. reason is kept for Stats.
func (s *Sim) Stop(reason string) {
	if s.stopped {
		return
	}
	s.stopped, s.reason = true, reason
	s.stopAt = max(s.now, s.heard)
	if !s.running {
		s.stopAt = s.now - 1
	}
}

func (s *Sim) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.Stop(err.Error())
}

// start resolves the modes when everything has been added.
func (s *Sim) start() error {
	if len(s.procs) == 0 {
		return errors.New("netsim: nothing to run; add hosts and nodes first")
	}
	top := -1
	for _, p := range s.procs {
		if p.node.IsReplica() {
			top = max(top, int(p.node))
		}
	}
	if top < 1<<16 {
		s.replicas = make([][]int32, top+1)
		for _, p := range s.procs {
			if p.node.IsReplica() {
				s.replicas[p.node] = s.byID[p.node]
			}
		}
	}
	s.conns.procs, s.admitted.procs = len(s.procs), len(s.procs)
	s.strict = len(s.cfg.Faults) > 0 || s.cfg.Interactive
	for _, h := range s.hosts {
		free := cpuFree(h.prof)
		h.shared = h.lanes > 1
		h.parallel = !free && len(h.cores) > 1
		if s.cfg.Sched == Fair && h.shared {
			return fmt.Errorf("netsim: sched Fair needs one lane per host; %s has %d: choose FIFO", h.name, h.lanes)
		}
		exactNeeded := h.lanes > 1 || h.parallel || s.strict
		switch s.cfg.Mode {
		case Auto:
			// A trace shows what waits for what, and who bounds the inbox wants to see
			// the bound.
			h.fast = !exactNeeded && s.cfg.Sink == nil && s.cfg.Inbox >= DefaultInbox
		case Fast:
			if exactNeeded {
				return fmt.Errorf("netsim: mode Fast needs one lane and one core per host; %s has %d lanes and %d cores: choose Auto or Exact", h.name, h.lanes, len(h.cores))
			}
			h.fast = true
		}
		h.txLimit, h.rxLimit = limit(h.link.Queue, h.tx.rate), limit(h.link.Queue, h.rx.rate)
	}
	s.streams = s.cfg.Transport == Stream && !s.strict && (s.cfg.Streams == StreamsOn || s.cfg.Streams == StreamsAuto && len(s.procs) >= StreamsFrom)
	if err := s.startFaults(); err != nil {
		return err
	}
	for _, p := range s.procs {
		s.boot(p)
	}
	s.sinkOn = s.cfg.Sink != nil
	if in, ok := s.cfg.Sink.(TraceIntroducer); ok {
		in.Introduce(s.Nodes())
	}
	return nil
}

// cpuFree reports whether a profile charges nothing for CPU time.
func cpuFree(p *profile.Profile) bool {
	if p == nil {
		return true
	}
	q := *p
	q.Fsync, q.PerRecord = 0, 0
	return q.Free()
}

// limit is the time that a queue of so many bytes takes at a rate.
func limit(queue int64, rate uint64) int64 {
	if rate == 0 || queue > 1<<50 {
		return 1<<63 - 1
	}
	q, _ := serial(queue, rate)
	return int64(q)
}

// boot queues the start of all lanes of a process. Nothing else comes first.
func (s *Sim) boot(p *proc) {
	for _, l := range p.lanes {
		l.insert(item{ready: s.now, kind: itemStart, ep: p.eps[0], src: -1})
		s.wake(l, max(s.now, l.busy))
	}
}

// Run goes on until the given time, which is excluded: what begins at it belongs
// to the next Run. It returns early after Stop, and with the first error of the
// model (a protocol that breaks the contract, a full log).
func (s *Sim) Run(until protocols.Time) error {
	if s.err != nil {
		return s.err
	}
	if int64(until) < s.now {
		return fmt.Errorf("netsim: Run until %d ns, but it is %d ns already", until, s.now)
	}
	if int64(until) > far {
		return fmt.Errorf("netsim: Run until %d ns; a run ends at %d ns (36 years) at the latest", until, far)
	}
	s.until = int64(until)
	if !s.started {
		s.started = true
		if err := s.start(); err != nil {
			s.err = err
			return err
		}
	}
	s.running = true
	s.loop()
	s.running = false
	if s.stopped {
		s.rewind()
		return s.err
	}
	s.now = s.until
	return s.err
}

// loop handles what comes before s.until, or until the run is stopped.
func (s *Sim) loop() {
	q, isRadix := s.q.(*radix)
	for s.err == nil {
		var at int64
		var ok bool
		if isRadix {
			at, ok = q.peek()
		} else {
			at, ok = s.q.peek()
		}
		more := ok && at < s.until
		if len(s.emitted) > 0 {
			next := s.until - 1
			if more {
				next = at
			}
			if s.flushEmitted(next) {
				continue // a fault that waited for one of them may be the next event now
			}
		}
		if !more || s.stopped && at > s.stopAt {
			return
		}
		var e event
		if isRadix {
			e = q.pop()
		} else {
			e = s.q.pop()
		}
		s.now = at
		s.events++
		s.dispatch(&e)
	}
}

// rewind takes out of the trace what fast mode executed ahead of a time that the
// run was stopped before.
func (s *Sim) rewind() {
	s.now = max(s.now, s.stopAt)
	for _, l := range s.lanes {
		r := &l.ahead
		for i := range r.count {
			x := r.nth(i)
			if x.start <= s.stopAt {
				continue
			}
			c := &l.proc.chain
			c.h = x.chain
			c.steps -= uint64(r.count - i)
			for len(c.points) > 0 && c.points[len(c.points)-1].Steps > c.steps {
				c.points = c.points[:len(c.points)-1]
			}
			r.count = i
			break
		}
	}
}

func (s *Sim) dispatch(e *event) {
	switch e.kind & 0xff {
	case evArrive:
		s.arrive(e.ref, e.src, e.dst, e.key, e.kind&^0xff)
	case evEnter:
		s.onEnter(e)
	case evWake:
		s.onWake(s.lanes[e.dst])
	case evStream:
		s.onStream(e)
	case evYield:
		s.travel(e.ref, s.payloads.get(e.ref), e.dst, e.at+1, e.kind&^0xff, e.seq())
	case evReady:
		s.runJob(e.ref)
	case evDepart:
		s.onDepart(e)
	case evAppend:
		s.onAppend(s.lanes[e.src], uint32(e.dst))
	case evSynced:
		s.onSynced(s.hosts[e.src])
	case evCheck:
		s.onCheck(e.ref)
	case evFault:
		s.onFault(e.ref, e.dst)
	case evNotice:
		s.onNotice(e)
	case evDiskStop:
		s.onDiskStop(s.procs[e.src], uint32(e.dst))
	default:
		panic(fmt.Sprintf("netsim: unknown event %+v", *e))
	}
}

// Finish tells the observers that the run is over and returns the violations
// they found, in the order of Config.Observers.
func (s *Sim) Finish() []protocols.Violation {
	var out []protocols.Violation
	for _, o := range s.cfg.Observers {
		out = append(out, o.Finish(protocols.Time(s.now))...)
	}
	return out
}
