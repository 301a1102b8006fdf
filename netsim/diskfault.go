package netsim

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// A disk that fails says so, and a process that cannot log stops: what it would
// promise afterwards it could not keep. It comes back when the fault is over, with
// what was durable. A process that finds a record of its log damaged when it starts
// does not guess what else is missing: it boots as Wiped.

// damage makes durable records of a process unreadable.
func (s *Sim) damage(p *proc, ppm int64) {
	for _, l := range p.lanes {
		for i := range l.log.records {
			if r := &l.log.records[i]; r.durable && chance(s.draw(drawDamage, p.id, int32(l.idx), r.seq), ppm) {
				r.damaged = true
			}
		}
	}
}

// damaged finds a record that cannot be read.
func (p *proc) damaged() *logRecord {
	for _, l := range p.lanes {
		for i := range l.log.records {
			if r := &l.log.records[i]; r.damaged {
				return r
			}
		}
	}
	return nil
}

// typeName names the type of a record.
func (s *Sim) typeName(r *logRecord) string {
	if raw, ok := r.what.(*rawRecord); ok {
		return raw.mt.Name
	}
	return s.types[s.typeOf(r.what.(protocols.WireMessage).Tag())].mt.Name
}

// logBytes is what a process has on its disk.
func (p *proc) logBytes() int64 {
	sum := int64(0)
	for _, l := range p.lanes {
		for i := range l.log.records {
			if r := &l.log.records[i]; r.seq <= l.log.appended {
				sum += int64(r.size)
			}
		}
	}
	return sum
}

// writing reports whether a sync under way has something to make durable.
func (p *proc) writing() bool {
	for _, l := range p.lanes {
		if l.log.covered > l.log.durable {
			return true
		}
	}
	return false
}

// retuneDisk recomputes what the active faults make of the disk of a process.
func (s *Sim) retuneDisk(p *proc) {
	p.diskFails, p.diskRoom = false, unlimited
	for _, x := range s.faults {
		if !x.active {
			continue
		}
		for i, q := range x.procs {
			switch {
			case q != p:
			case x.Kind == FaultDiskError:
				p.diskFails = true
			case x.Kind == FaultDiskFull:
				p.diskRoom = min(p.diskRoom, x.room[i])
			}
		}
	}
}

const unlimited = int64(1)<<62 - 1

// diskStops stops a process that cannot write its log. Nothing that waits for the
// log leaves any more. The stop is an event of its own, since a disk may fail in
// the middle of a step.
func (s *Sim) diskStops(p *proc) {
	if p.diskBroken {
		return
	}
	p.diskBroken = true
	s.q.push(event{at: s.now, key: 1<<33 + uint64(p.id), src: p.id, dst: int32(p.inc), kind: evDiskStop})
}

// onDiskStop ends the life in which the disk failed.
func (s *Sim) onDiskStop(p *proc, inc uint32) {
	if p.down || p.inc != inc {
		return
	}
	why := "its disk does not take a write"
	if !p.diskFails {
		why = "its disk is full"
	}
	s.tellFault(p.node, fmt.Sprintf("node %d stops: %s", p.node, why))
	s.crash(p, false)
	p.diskStopped = true
}

// endDiskFault lets processes go on that stopped for a disk that works again.
func (s *Sim) endDiskFault(x *faultState) {
	for _, p := range x.procs {
		s.retuneDisk(p)
		if p.down && p.diskStopped && !p.diskFails && p.diskRoom == unlimited {
			s.recoverProc(p, false, false)
		}
	}
}

// tellFault puts a fault into the trace.
func (s *Sim) tellFault(node protocols.NodeID, note string) {
	if s.tracing != nil {
		s.tracing.add(RecordFault, 0, s.now, s.now, node, protocols.Nobody, 0, 0, 0)
	}
	if s.sinkOn {
		now := protocols.Time(s.now)
		s.rec = Record{Kind: RecordFault, At: now, End: now, Ready: now, Process: -1, Node: node, Peer: protocols.Nobody, Note: note}
		s.sink()
	}
}
