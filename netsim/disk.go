package netsim

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// disk is the log device of a host: one sync at a time. A sync makes durable
// what had been appended when it began (group commit).
type disk struct {
	syncing *proc
	waiting []*proc
	count   uint64 // syncs begun, keys the draws of slow ones
}

// laneLog is the durable log of one lane. Records are numbered from 1 in the
// order they were logged.
type laneLog struct {
	records  []logRecord // durable or not, compacted
	logged   uint64      // last record logged
	needed   uint64      // last record that outputs wait for
	appended uint64      // last record that reached the disk's queue
	forced   uint64      // last of them that asked for a sync
	covered  uint64      // last record under the sync that is going on
	durable  uint64
	fresh    []logRecord // of the present step
	queue    []uint64    // numbers to be appended by evAppend, in order
}

// logRecord is small: a protocol keeps tens of thousands between two summaries.
type logRecord struct {
	seq     uint64
	env     *env // who logged it: endpoint and path
	what    any  // a protocols.WireMessage, in wire mode a *rawRecord
	size    int32
	kind    logKind
	durable bool
	damaged bool // unreadable, which the next start finds out
}

// rawRecord is a record as it stands on a disk.
type rawRecord struct {
	mt   *protocols.MessageType
	body []byte
}

type logKind uint8

const (
	logSync logKind = iota
	logLazy
	logCompact
)

// log takes a record of the step that is going on.
func (s *Sim) log(e *env, m protocols.WireMessage, kind logKind) {
	typ := s.typeOf(m.Tag())
	if typ == 0 {
		s.fail(fmt.Errorf("netsim: node %d logs a message with tag %#04x, which is not in the table", e.self, uint16(m.Tag())))
		return
	}
	mt := s.types[typ].mt
	body, err := m.MarshalMsg(s.scratch[:0])
	if err != nil {
		s.fail(fmt.Errorf("netsim: node %d cannot encode the record %s: %w", e.self, mt.Name, err))
		return
	}
	s.scratch = body[:0]
	l := e.l
	g := &l.log
	g.logged++
	l.logs = true
	r := logRecord{seq: g.logged, env: e, what: m, size: int32(len(body)), kind: kind}
	if s.cfg.Wire {
		r.what = &rawRecord{mt: mt, body: append([]byte(nil), body...)}
	}
	g.fresh = append(g.fresh, r)
	if kind != logLazy {
		g.needed = g.logged
	}
	s.cur.out = fold(s.cur.out, s.contentOf(l.proc, mt, m, len(body))+uint64(kind))
	l.proc.stats.Records++
	l.proc.stats.LogBytes += uint64(len(body))
}

// logged moves the records of a step towards the disk; they reach it at done.
func (s *Sim) logged(l *lane, done int64) {
	g := &l.log
	g.records = append(g.records, g.fresh...)
	clear(g.fresh)
	g.fresh = g.fresh[:0]
	if len(g.records) > s.cfg.Log {
		s.fail(fmt.Errorf("netsim: the log of node %d lane %d has more than %d records; the protocol must call Env.Compact at its checkpoints", l.proc.node, l.idx, s.cfg.Log))
		return
	}
	g.queue = append(g.queue, g.logged)
	if done <= s.now {
		s.onAppend(l, l.proc.inc)
		return
	}
	// A small key: where the step ran ahead of time this has to come before
	// anything else at done, as it does where it did not.
	s.q.push(event{at: done, key: 1<<40 + g.logged&(1<<seqBits-1), src: l.id, dst: int32(l.proc.inc), kind: evAppend})
}

// onAppend lets the records of one step reach the disk's queue.
func (s *Sim) onAppend(l *lane, inc uint32) {
	g, p := &l.log, l.proc
	if inc != p.inc || p.down {
		return
	}
	g.appended = g.queue[0]
	g.queue = append(g.queue[:0], g.queue[1:]...)
	for i := len(g.records) - 1; i >= 0 && g.records[i].seq > g.forced; i-- {
		if r := &g.records[i]; r.seq <= g.appended && r.kind != logLazy {
			g.forced = r.seq
			break
		}
	}
	if p.diskRoom < unlimited && p.logBytes() > p.diskRoom {
		s.diskStops(p)
	}
	if g.forced <= g.durable || p.diskBroken {
		return
	}
	if prof := p.host.prof; prof == nil || prof.Fsync == 0 && prof.PerRecord == 0 {
		if h := p.host; h.slowDisk == 1000 && h.diskDelay == 0 && h.diskJitter == 0 {
			p.stats.Fsyncs++
			if p.diskFails {
				s.diskStops(p)
				return
			}
			g.covered = g.appended
			s.settleLog(l)
			return
		}
	}
	s.requestSync(p)
}

func (s *Sim) requestSync(p *proc) {
	d := &p.host.disk
	if p.inSync {
		return
	}
	p.inSync = true
	if d.syncing != nil {
		d.waiting = append(d.waiting, p)
		return
	}
	s.beginSync(p)
}

func (s *Sim) beginSync(p *proc) {
	h := p.host
	d := &h.disk
	d.syncing = p
	records := int64(0)
	for _, l := range p.lanes {
		g := &l.log
		g.covered = g.appended
		for i := len(g.records) - 1; i >= 0 && !g.records[i].durable; i-- {
			if g.records[i].seq <= g.covered {
				records++
			}
		}
	}
	p.stats.Fsyncs++
	took := int64(0)
	if h.prof != nil {
		took = nanos(h.prof.Fsync + records*h.prof.PerRecord)
	}
	took = s.slowSync(h, took)
	d.count++
	at := later(s.now, max(took, 1))
	s.q.push(event{at: at, key: s.tie(h.id, 0, saltDisk+1, at, uint32(d.count)), src: h.id, kind: evSynced})
}

// onSynced ends a sync and begins the next one that is wanted.
func (s *Sim) onSynced(h *host) {
	d := &h.disk
	p := d.syncing
	d.syncing = nil
	p.inSync = false
	again := false
	if p.diskFails && !p.down && p.writing() {
		s.diskStops(p)
	}
	if !p.down && !p.diskBroken {
		for _, l := range p.lanes {
			s.settleLog(l)
			again = again || l.log.forced > l.log.durable
		}
	}
	if again {
		p.inSync = true
		d.waiting = append(d.waiting, p)
	}
	if len(d.waiting) > 0 {
		next := d.waiting[0]
		d.waiting = append(d.waiting[:0], d.waiting[1:]...)
		s.beginSync(next)
	}
}

// settleLog makes the covered records durable, forgets what a durable summary
// replaces, and lets outputs go that waited for it.
func (s *Sim) settleLog(l *lane) {
	g := &l.log
	if g.covered <= g.durable {
		return
	}
	compact := false
	for i := len(g.records) - 1; i >= 0 && !g.records[i].durable; i-- {
		if r := &g.records[i]; r.seq <= g.covered {
			r.durable = true
			compact = compact || r.kind == logCompact
		}
	}
	g.durable = g.covered
	l.proc.wiped = false // from now on its log says what it has done
	if compact {
		g.compact()
	}
	n := l.heldAt
	for n < len(l.held) && l.held[n].req <= g.durable {
		o := &l.held[n]
		switch {
		case o.kind == outLocal:
			l.pending--
			s.arriveLocal(l, o, max(o.at+nanos(o.acc), s.now))
		default:
			s.leaveNet(l, o, s.now)
		}
		n++
	}
	if n-l.heldAt > 0 && l.full(s) && (l.count > 0 || l.timers.len() > 0) {
		s.wake(l, max(s.now, l.busy))
	}
	if n == len(l.held) {
		clear(l.held)
		l.held, l.heldAt = l.held[:0], 0
	} else {
		l.heldAt = n
		if n > 64 && n > len(l.held)/2 {
			k := copy(l.held, l.held[n:])
			clear(l.held[k:])
			l.held, l.heldAt = l.held[:k], 0
		}
	}
}

// compact drops the records that a durable summary of the same path and owner
// replaces.
func (g *laneLog) compact() {
	type owner struct {
		ep   int32
		path string
	}
	from := make(map[owner]uint64) // last durable summary
	for i := range g.records {
		if r := &g.records[i]; r.kind == logCompact && r.durable {
			from[owner{r.env.ep, r.env.path}] = r.seq
		}
	}
	keep := g.records[:0]
	for i := range g.records {
		if r := &g.records[i]; r.seq >= from[owner{r.env.ep, r.env.path}] {
			keep = append(keep, *r)
		}
	}
	clear(g.records[len(keep):])
	g.records = keep
}

// crash loses what comes after the record that survives as the last; wipe loses
// everything.
func (g *laneLog) crash(survives uint64, wipe bool) {
	keep := g.records[:0]
	for i := range g.records {
		if r := g.records[i]; r.seq <= survives && !wipe {
			r.durable = true
			keep = append(keep, r)
		}
	}
	clear(g.records[len(keep):])
	d := max(survives, g.durable)
	// Numbers go on, so that nothing of the old life is taken for the new one.
	*g = laneLog{records: keep, logged: g.logged, needed: d, appended: g.logged, forced: d, covered: d, durable: d}
	g.compact()
}

// records returns what a starting lane finds in its log for a node or client.
func (s *Sim) records(l *lane, ep int32) []protocols.Record {
	var out []protocols.Record
	for i := range l.log.records {
		r := &l.log.records[i]
		if r.env.ep != ep {
			continue
		}
		m, _ := r.what.(protocols.WireMessage)
		if raw, ok := r.what.(*rawRecord); ok {
			var err error
			if m, err = protocols.DecodeMessage(raw.mt, raw.body); err != nil {
				s.fail(fmt.Errorf("netsim: a record of node %d does not decode: %w", l.proc.node, err))
				return nil
			}
		}
		out = append(out, protocols.Record{Path: r.env.path, Message: m})
	}
	return out
}

// full reports whether so much waits for the disk that the lane has to stop.
func (l *lane) full(s *Sim) bool { return len(l.held)-l.heldAt >= s.cfg.Inbox }
