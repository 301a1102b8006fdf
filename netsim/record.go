package netsim

import (
	"encoding/binary"
	"fmt"

	"github.com/edgebft/edgebft/protocols"
)

// RecordKind says what a Record tells.
type RecordKind uint8

// Kinds of record.
const (
	RecordStart   RecordKind = iota + 1 // a lane started
	RecordMessage                       // a message was handled
	RecordReject                        // a message failed admission
	RecordLocal                         // a post, a message to oneself or a host's word was handled
	RecordTimer                         // a timer was handled
	RecordLoad                          // a Load was woken
	RecordCheck                         // application signatures were checked as a step
	RecordSend                          // a step sent copies of a message (Sink only)
	RecordDrop                          // a copy went no further; Drop says why
	RecordEvent                         // a node emitted Event (Sink only)
	RecordFault                         // a fault began or ended; Note says which
)

var recordNames = [...]string{"?", "start", "message", "reject", "local", "timer", "load", "check", "send", "drop", "event", "fault"}

func (k RecordKind) String() string {
	if int(k) < len(recordNames) {
		return recordNames[k]
	}
	return recordNames[0]
}

var recordKinds = [...]RecordKind{stepStart: RecordStart, stepMessage: RecordMessage, stepRejected: RecordReject, stepLocal: RecordLocal, stepTimer: RecordTimer, stepLoad: RecordLoad, stepCheck: RecordCheck}

// Record is one line of the full trace.
type Record struct {
	Kind RecordKind
	// At is when the step began, End when its lane was free again. Ready is when
	// what it handled was ready for the lane: At-Ready is the queueing.
	At, End, Ready protocols.Time
	// Process is the index in Sim.Nodes of who it happened to, -1 for the network.
	// All clients of one ClientsSpec are one process.
	Process int
	Node    protocols.NodeID
	Lane    int
	// Step groups what one step did: its sends, drops and events come before the
	// record of the step itself, with the same number. 0 belongs to none.
	Step uint64
	// Peer is the other end of a message, or Nobody.
	Peer protocols.NodeID
	// Type is nil for what is no message.
	Type *protocols.MessageType
	Path string
	// Size of the frame in bytes.
	Size int
	// Key is the tie key of what was handled: the stable id of the event.
	Key uint64
	// Message joins a RecordSend with the records of its copies: equal for one
	// Send, 0 where there is none.
	Message uint64
	// Content is the trace hash of the message.
	Content uint64
	// Copies of a RecordSend.
	Copies int
	// Waiting is how many items the lane had in its inbox when a step began (mode
	// Fast keeps hardly any there). Sending
	// is until when the NIC of its host had something to send when the step was
	// over; where copies reach the NIC by events of their own (see Modes), the next
	// step tells of them.
	Waiting int
	Sending protocols.Time
	Drop    DropReason
	Event   *protocols.Event // valid during the call only
	Note    string
}

// TraceSink receives the full trace of a window, in the order of execution; At
// may go back a little between nodes in fast mode. The record is valid during
// the call only.
type TraceSink interface {
	Record(r *Record)
}

// TraceIntroducer is a TraceSink that wants to know the processes: it is told of
// them once, before the first record.
type TraceIntroducer interface {
	Introduce(nodes []NodeInfo)
}

// sink hands s.rec to the sink if it lies in the window.
func (s *Sim) sink() {
	if s.cur.active {
		s.rec.Step = s.steps
	}
	if at := s.rec.At; at >= s.cfg.SinkFrom && (s.cfg.SinkTo == 0 || at < s.cfg.SinkTo) {
		s.cfg.Sink.Record(&s.rec)
	}
}

// messageID names a Send.
func messageID(src int32, counter uint64) uint64 { return mix(uint64(uint32(src))<<40^counter) | 1 }

// RingRecords is how many records the ring of a run holds at least, once that
// many happened.
const RingRecords = 1 << 20

// ring keeps the last records in compact form, about 11 bytes each: time as a
// difference, kind, node, peer, type and size as varints. It is a list of chunks
// of which the oldest is reused.
type ring struct {
	limit  int
	chunks []*ringChunk // oldest first
	count  int
}

type ringChunk struct {
	buf  []byte
	n    int
	base int64 // time before the first record
	last int64
}

const ringChunkBytes = 16 << 10

func newRing(limit int) *ring { return &ring{limit: limit} }

func (g *ring) add(kind RecordKind, lane int, at, end int64, node, peer protocols.NodeID, typ uint16, size int32, drop DropReason) {
	var c *ringChunk
	if n := len(g.chunks); n > 0 {
		c = g.chunks[n-1]
	}
	if c == nil || len(c.buf)+binary.MaxVarintLen64*6 > cap(c.buf) {
		var fresh *ringChunk
		if len(g.chunks) > 1 && g.count-g.chunks[0].n >= g.limit {
			fresh = g.chunks[0]
			g.count -= fresh.n
			g.chunks = append(g.chunks[:0], g.chunks[1:]...)
			*fresh = ringChunk{buf: fresh.buf[:0]}
		} else {
			fresh = &ringChunk{buf: make([]byte, 0, ringChunkBytes)}
		}
		fresh.base, fresh.last = at, at
		c = fresh
		g.chunks = append(g.chunks, c)
	}
	b := c.buf
	b = append(b, byte(kind)|byte(min(lane, 15))<<4)
	b = binary.AppendVarint(b, at-c.last)
	b = binary.AppendUvarint(b, uint64(end-at))
	b = binary.AppendUvarint(b, uint64(uint32(node)))
	switch kind {
	case RecordMessage, RecordReject, RecordDrop:
		b = binary.AppendUvarint(b, uint64(uint32(peer)))
		b = binary.AppendUvarint(b, uint64(typ))
		b = binary.AppendUvarint(b, uint64(size)<<4|uint64(drop))
	}
	c.buf, c.last = b, at
	c.n++
	g.count++
}

// Recent returns the last records of the ring in order, at most limit, keeping
// those for which keep is true (nil keeps all). Only Kind, At, End, Node, Lane,
// Peer, Type, Size and Drop are set; lanes above 15 read 15.
func (s *Sim) Recent(limit int, keep func(*Record) bool) []Record {
	if s.tracing == nil || limit < 1 {
		return nil
	}
	var out []Record
	for i := len(s.tracing.chunks) - 1; i >= 0 && len(out) < limit; i-- {
		part := s.decodeChunk(s.tracing.chunks[i], keep)
		if extra := len(part) + len(out) - limit; extra > 0 {
			part = part[extra:]
		}
		out = append(part, out...)
	}
	return out
}

func (s *Sim) decodeChunk(c *ringChunk, keep func(*Record) bool) []Record {
	var out []Record
	at := c.base
	for b := c.buf; len(b) > 0; {
		u := func() uint64 {
			v, n := binary.Uvarint(b)
			b = b[n:]
			return v
		}
		r := Record{Kind: RecordKind(b[0] & 15), Lane: int(b[0] >> 4), Peer: protocols.Nobody}
		b = b[1:]
		d, n := binary.Varint(b)
		b = b[n:]
		at += d
		r.At = protocols.Time(at)
		r.End = r.At + protocols.Time(u())
		r.Node = protocols.NodeID(uint32(u()))
		switch r.Kind {
		case RecordMessage, RecordReject, RecordDrop:
			r.Peer = protocols.NodeID(uint32(u()))
			if typ := u(); typ > 0 {
				r.Type = s.types[typ].mt
			}
			v := u()
			r.Size, r.Drop = int(v>>4), DropReason(v&15)
		}
		if keep == nil || keep(&r) {
			out = append(out, r)
		}
	}
	return out
}

// String renders a record for people.
func (r *Record) String() string {
	if r.Event != nil {
		return r.eventString()
	}
	t := fmt.Sprintf("%5d.%06d ms  %-6s", r.At/1e6, r.At%1e6, nodeName(r.Node))
	if r.Lane > 0 {
		t += fmt.Sprintf(" lane %d", r.Lane)
	}
	t += "  " + r.Kind.String()
	if r.Type != nil {
		t += " " + r.Type.Name
		switch {
		case r.Kind == RecordSend && r.Peer == protocols.Nobody:
			t += fmt.Sprintf(" to %d nodes", r.Copies)
		case r.Kind == RecordSend:
			t += " to " + nodeName(r.Peer)
		default:
			t += " from " + nodeName(r.Peer)
		}
		t += fmt.Sprintf(", %d B", r.Size)
	}
	if r.Kind == RecordDrop {
		t += " (" + r.Drop.String() + ")"
	}
	if r.Note != "" {
		t += " " + r.Note
	}
	return t
}

// nodeName is how people read a node: replicas by number, clients c0, c1, ...,
// agents a0, a1, ...
func nodeName(id protocols.NodeID) string {
	switch {
	case id == protocols.Nobody:
		return "-"
	case id.IsReplica():
		return fmt.Sprint(int(id))
	case id.IsClient():
		return fmt.Sprintf("c%d", id-protocols.FirstClient)
	}
	return fmt.Sprintf("a%d", id-protocols.FirstAgent)
}

func (r *Record) eventString() string {
	ev := r.Event
	t := fmt.Sprintf("%5d.%06d ms  %-6s  %s", r.At/1e6, r.At%1e6, nodeName(r.Node), ev.Kind)
	if ev.View > 0 {
		t += fmt.Sprintf(" view %d", ev.View)
	}
	if ev.Seq > 0 {
		t += fmt.Sprintf(" slot %d", ev.Seq)
	}
	if ev.Index > 0 {
		t += fmt.Sprintf(" index %d", ev.Index)
	}
	if ev.Timestamp > 0 {
		t += fmt.Sprintf(" request %d of %s", ev.Timestamp, nodeName(ev.Client))
	}
	if ev.Note != "" {
		t += ": " + ev.Note
	}
	return t
}
