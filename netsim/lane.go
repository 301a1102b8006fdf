package netsim

import (
	"math"

	"github.com/edgebft/edgebft/protocols"
)

// item is something that waits for a lane's attention, in the order (ready,
// key).
type item struct {
	ready int64
	key   uint64
	kind  itemKind
	flags uint32
	ep    int32  // endpoint it is for
	src   int32  // endpoint it is from
	ref   uint32 // payload, local, timer slot or check
	gen   uint32 // timer generation, or 1 + handle of verdicts
}

type itemKind uint8

const (
	itemMessage itemKind = iota + 1
	itemLocal
	itemTimer
	itemStart
	itemLoad
	itemCheck
)

// lane is one single-threaded server: an event loop of a process.
type lane struct {
	id   int32
	idx  int // within the process
	ep   int32
	proc *proc
	host *host
	node protocols.Node
	env  protocols.Env

	busy  int64
	inbox []item // ring
	head  int
	count int

	inFront int       // steps executed ahead of time since the lane was idle, at least
	ahead   aheadRing // those that are not due yet, if the run may be stopped
	timers  timerHeap
	wakes   []int64 // pending wake events, latest first
	pending int     // local hand-offs under way

	// What leaves at one time keeps its order by seq.
	seq     uint32
	lastOut int64
	logs    bool

	// Flushes: a run is a sequence of steps without idle time between them.
	run       uint32
	unicast   []flushState // direct-mapped by peer
	multicast [2]groupFlush

	log    laneLog
	held   []output // behind records that are not durable
	heldAt int
}

// flushSlots bounds the open flushes that a lane remembers; peers that share a
// slot replace each other, which costs a flush.
const flushSlots = 64

type flushState struct {
	peer  int32
	run   uint32
	bytes int64 // of the frames in it
	count uint16
}

type groupFlush struct {
	gi *groupInfo
	flushState
}

// mayRunAhead bounds what fast mode handles ahead of time as Config.Inbox bounds
// what waits: as many since the lane was idle, then the rest waits in the inbox.
func (l *lane) mayRunAhead(s *Sim) bool {
	if l.busy <= s.now {
		l.inFront = 0
	}
	return l.inFront < s.cfg.Inbox
}

// aheadStep is a step that was executed before its time, in fast mode.
type aheadStep struct {
	start int64
	chain uint64 // of the process, before it
}

// aheadRing holds those that are not due yet, in order, in runs that an observer
// may stop before them.
type aheadRing struct {
	ring  []aheadStep // a power of two
	head  int
	count int
}

func (r *aheadRing) nth(i int) *aheadStep { return &r.ring[(r.head+i)&(len(r.ring)-1)] }

func (r *aheadRing) push(x aheadStep, now int64) {
	for r.count > 0 && r.nth(0).start <= now {
		r.head = (r.head + 1) & (len(r.ring) - 1)
		r.count--
	}
	if r.count == len(r.ring) {
		bigger := make([]aheadStep, max(8, 2*len(r.ring)))
		for i := range r.count {
			bigger[i] = *r.nth(i)
		}
		r.ring, r.head = bigger, 0
	}
	*r.nth(r.count) = x
	r.count++
}

func (s *Sim) newLane(p *proc, idx int) *lane {
	l := &lane{id: int32(len(s.lanes)), idx: idx, proc: p, host: p.host}
	s.lanes = append(s.lanes, l)
	p.host.lanes++
	return l
}

func (l *lane) front() *item { return &l.inbox[l.head] }

func (l *lane) popFront() item {
	it := l.inbox[l.head]
	l.head = (l.head + 1) & (len(l.inbox) - 1)
	l.count--
	if l.count == 0 && len(l.inbox) > 1<<12 {
		l.inbox, l.head = nil, 0 // do not keep the storage of a burst
	}
	return it
}

// nth returns the item that is i places behind the front.
func (l *lane) nth(i int) *item { return &l.inbox[(l.head+i)&(len(l.inbox)-1)] }

func (l *lane) removeNth(i int) {
	for ; i+1 < l.count; i++ {
		*l.nth(i) = *l.nth(i + 1)
	}
	l.count--
}

// insert puts an item into its place; nearly always that is the end.
func (l *lane) insert(it item) {
	if l.count == len(l.inbox) {
		bigger := make([]item, max(8, 2*len(l.inbox)))
		for i := range l.count {
			bigger[i] = l.inbox[(l.head+i)&(len(l.inbox)-1)]
		}
		l.inbox, l.head = bigger, 0
	}
	mask := len(l.inbox) - 1
	i := l.count
	for i > 0 {
		before := &l.inbox[(l.head+i-1)&mask]
		if before.ready < it.ready || before.ready == it.ready && before.key <= it.key {
			break
		}
		l.inbox[(l.head+i)&mask] = *before
		i--
	}
	l.inbox[(l.head+i)&mask] = it
	l.count++
}

// wake asks for a wake event at a time, unless an earlier one is pending.
func (s *Sim) wake(l *lane, at int64) {
	if n := len(l.wakes); n > 0 && l.wakes[n-1] <= at {
		return
	}
	l.wakes = append(l.wakes, at)
	s.q.push(event{at: at, key: s.tie(l.id, 0, saltWake, at, 0), src: l.id, dst: l.id, kind: evWake})
}

// pump runs what the lane can begin now and arranges to be woken for the rest.
func (s *Sim) pump(l *lane) {
	if l.proc.paused || l.proc.down {
		return
	}
	for !l.full(s) {
		for l.timers.len() > 0 && l.timers.min() <= s.now {
			s.timerDue(l)
		}
		if l.count == 0 {
			break
		}
		f := l.front()
		if f.ready > s.now || l.busy > s.now {
			break
		}
		if (f.kind == itemTimer || f.kind == itemLoad) && !l.timers.current(f.ref, f.gen) {
			l.popFront() // cancelled while it waited
			continue
		}
		start, core := s.now, -1
		if h := l.host; h.prof != nil && len(h.cores) > 0 {
			core = h.leastBusy()
			start = max(start, h.cores[core])
		}
		it := l.popFront()
		s.step(l, &it, start, core)
		if s.stopped {
			return
		}
	}
	if l.full(s) {
		return // settleLog wakes it; a timer that is due would ask for the present for ever
	}
	next := int64(math.MaxInt64)
	if l.timers.len() > 0 {
		next = l.timers.min()
	}
	if l.count > 0 {
		next = min(next, max(l.front().ready, l.busy))
	}
	if next != math.MaxInt64 {
		s.wake(l, max(next, s.now))
	}
}

// onWake handles a wake event.
func (s *Sim) onWake(l *lane) {
	l.wakes = l.wakes[:len(l.wakes)-1]
	s.pump(l)
}

// timer slots

type timer struct {
	at   int64
	seq  uint32
	slot uint32
}

type timerSlot struct {
	env  *env
	arg  uint64
	kind uint32
	gen  uint32
	pos  int32 // in the heap, -1 once due
	used bool
}

// timerHeap holds the timers of a lane, so that the queue never holds more than
// the wake for the earliest, however often timers are cancelled.
type timerHeap struct {
	h     []timer
	slots []timerSlot
	free  []uint32
	seq   uint32
}

func (t *timerHeap) len() int   { return len(t.h) }
func (t *timerHeap) min() int64 { return t.h[0].at }

func (t *timerHeap) current(slot, gen uint32) bool {
	s := &t.slots[slot]
	return s.used && s.gen == gen
}

func (t *timerHeap) set(e *env, at int64, kind uint32, arg uint64) protocols.TimerID {
	var i uint32
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		i = uint32(len(t.slots))
		t.slots = append(t.slots, timerSlot{gen: 1})
	}
	s := &t.slots[i]
	s.env, s.kind, s.arg, s.used = e, kind, arg, true
	t.seq++
	t.h = append(t.h, timer{at: at, seq: t.seq, slot: i})
	t.up(len(t.h) - 1)
	return protocols.TimerID(uint64(s.gen)<<32 | uint64(i+1))
}

func (t *timerHeap) cancel(id protocols.TimerID) bool {
	i := uint32(id) - 1
	if id == 0 || i >= uint32(len(t.slots)) || !t.current(i, uint32(id>>32)) {
		return false
	}
	if pos := t.slots[i].pos; pos >= 0 {
		t.remove(int(pos))
	}
	t.freeSlot(i)
	return true
}

func (t *timerHeap) freeSlot(i uint32) {
	s := &t.slots[i]
	s.gen++
	s.used, s.env = false, nil
	t.free = append(t.free, i)
}

// clear drops all timers; generations go on, so that stale references stay
// stale.
func (t *timerHeap) clear() {
	t.h = t.h[:0]
	for i := range t.slots {
		if t.slots[i].used {
			t.freeSlot(uint32(i))
		}
	}
}

func (t *timerHeap) less(a, b *timer) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

func (t *timerHeap) up(i int) {
	x := t.h[i]
	for i > 0 {
		up := (i - 1) / 2
		if !t.less(&x, &t.h[up]) {
			break
		}
		t.h[i] = t.h[up]
		t.slots[t.h[i].slot].pos = int32(i)
		i = up
	}
	t.h[i] = x
	t.slots[x.slot].pos = int32(i)
}

func (t *timerHeap) down(i int) {
	x := t.h[i]
	for n := len(t.h); ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && t.less(&t.h[c+1], &t.h[c]) {
			c++
		}
		if !t.less(&t.h[c], &x) {
			break
		}
		t.h[i] = t.h[c]
		t.slots[t.h[i].slot].pos = int32(i)
		i = c
	}
	t.h[i] = x
	t.slots[x.slot].pos = int32(i)
}

func (t *timerHeap) remove(i int) timer {
	x := t.h[i]
	n := len(t.h) - 1
	last := t.h[n]
	t.h = t.h[:n]
	t.slots[x.slot].pos = -1
	if i < n {
		t.h[i] = last
		t.slots[last.slot].pos = int32(i)
		t.down(i)
		t.up(int(t.slots[last.slot].pos))
	}
	return x
}

// timerDue moves the earliest timer into the inbox.
func (s *Sim) timerDue(l *lane) {
	x := l.timers.remove(0)
	sl := &l.timers.slots[x.slot]
	it := item{ready: x.at, key: s.tie(l.id, 0, saltTimer, x.at, x.seq), kind: itemTimer, ref: x.slot, gen: sl.gen}
	if sl.env == nil {
		it.kind, it.ep = itemLoad, l.ep
	} else {
		it.ep = sl.env.ep
	}
	l.insert(it)
}
