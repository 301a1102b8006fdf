package netsim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/edgebft/edgebft/protocols"
)

// DropReason says why a message went no further.
type DropReason uint8

// Reasons.
const (
	DropSendQueue DropReason = iota // the sender's NIC queue was full
	DropRecvQueue                   // the receiver's NIC queue was full
	DropInbox                       // the lane's inbox was full
	DropBadSeal                     // failed admission
	DropUnknown                     // no such destination
	DropDown                        // the receiver was down, or restarted meanwhile
	DropCrash                       // the sender crashed before it left
	DropPartition                   // a partition or an endless clog
	DropLoss                        // lost on the path
	NumDropReasons
)

func (r DropReason) String() string {
	return [...]string{"send-queue", "receive-queue", "inbox", "bad-seal", "unknown-destination", "down", "crash", "partition", "loss", "?"}[min(r, NumDropReasons)]
}

// Traffic counts copies of messages. Bytes are frames, Wire is what they occupy
// on the link.
type Traffic struct{ Messages, Bytes, Wire uint64 }

func (t *Traffic) add(bytes, wire int64) {
	t.Messages++
	t.Bytes += uint64(bytes)
	t.Wire += uint64(wire)
}

// NodeStats counts what one process did: a replica, an agent, or all clients of
// one ClientsSpec.
type NodeStats struct {
	// ID of the node, or of the first of Clients clients.
	ID      protocols.NodeID
	Clients int
	Host    HostID
	// Sent and Received by traffic class. Received counts what reached a handler.
	Sent, Received [protocols.NumClasses]Traffic
	// Ops and OpBytes by protocols.Op.
	Ops, OpBytes [protocols.NumOps]uint64
	// CPU is the total time on cores in ns, LaneCPU that of each lane,
	// AdmissionCPU that of admission beside the lanes (hosts with several cores).
	CPU          int64
	LaneCPU      []int64
	AdmissionCPU int64
	Steps        uint64
	// Records and LogBytes logged, Fsyncs begun.
	Records, LogBytes, Fsyncs uint64
	// Drops by DropReason, counted at the receiver except for DropSendQueue,
	// DropCrash and DropUnknown.
	Drops       [NumDropReasons]uint64
	Incarnation uint32
	// Down and Paused say what the process is now.
	Down, Paused bool
}

// TypeStats counts one message type over all nodes; copies, not broadcasts.
type TypeStats struct {
	Name                   string
	Tag                    protocols.Tag
	Sent, Bytes, Delivered uint64
}

// Stats describes a run so far.
type Stats struct {
	// Mode is "exact", "fast" or "mixed"; Streams says whether broadcasts were one
	// entry per place.
	Mode    string
	Streams bool
	// Now is the virtual time in ns.
	Now protocols.Time
	// Events popped from the queue, steps of nodes, messages that reached a
	// handler.
	Events, Steps, Deliveries uint64
	// Pending events now.
	Pending int
	// TraceHash is SHA-256 over (node, steps, chain) in the order of creation.
	TraceHash string
	// Stopped holds the reason given to Stop, if any.
	Stopped string
	Nodes   []NodeStats
	Types   []TypeStats
}

// Node returns the entry of a node, or nil.
func (s *Stats) Node(id protocols.NodeID) *NodeStats {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; id >= n.ID && id < n.ID+protocols.NodeID(max(n.Clients, 1)) {
			return n
		}
	}
	return nil
}

// Type returns the entry of a message type by name, or a zero one.
func (s *Stats) Type(name string) TypeStats {
	for _, t := range s.Types {
		if t.Name == name {
			return t
		}
	}
	return TypeStats{}
}

// Stats returns the counters. It costs time proportional to the number of nodes.
func (s *Sim) Stats() Stats {
	st := Stats{Streams: s.streams, Now: protocols.Time(s.now), Events: s.events, Steps: s.steps, Deliveries: s.deliveries, Pending: s.q.len(), Stopped: s.reason, TraceHash: s.TraceHash(), Mode: s.modeName()}
	for _, p := range s.procs {
		n := p.stats
		n.ID, n.Host, n.Incarnation = p.node, HostID(p.host.id), p.inc
		n.Down, n.Paused = p.down, p.paused
		n.LaneCPU = append([]int64(nil), n.LaneCPU...)
		if p.pool != nil {
			n.Clients = len(p.eps)
		}
		st.Nodes = append(st.Nodes, n)
	}
	for _, t := range s.types[1:] {
		st.Types = append(st.Types, t.TypeStats)
	}
	return st
}

func (s *Sim) modeName() string {
	fast, exact := 0, 0
	for _, h := range s.hosts {
		if h.fast {
			fast++
		} else {
			exact++
		}
	}
	switch {
	case fast == 0:
		return "exact"
	case exact == 0:
		return "fast"
	default:
		return "mixed"
	}
}

// TraceHash identifies the run so far: equal for equal seed and configuration,
// in any process and on any architecture, whatever the kernel mode.
func (s *Sim) TraceHash() string {
	h := sha256.New()
	var b [20]byte
	for _, p := range s.procs {
		binary.BigEndian.PutUint32(b[:], uint32(p.node))
		binary.BigEndian.PutUint64(b[4:], p.chain.steps)
		binary.BigEndian.PutUint64(b[12:], p.chain.h)
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
