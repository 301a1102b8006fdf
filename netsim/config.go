package netsim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
)

// Mode chooses how many queue events a message takes.
type Mode uint8

// Modes. Traces of Exact and Fast are equal wherever Fast is allowed, as long as no
// bounded queue overflows.
const (
	// Auto: Fast for each host where it is exact; Exact elsewhere, with a Sink and
	// with an Inbox below the default.
	Auto Mode = iota
	// Exact: a message waits in the inbox of its lane until the lane is free.
	Exact
	// Fast: a message is handled when it reaches the NIC, ahead of time. Only
	// for hosts with one lane and one core (or without CPU costs), in runs
	// without faults. As many messages as Inbox are handled ahead of time before
	// the next ones wait, so up to twice as many are accepted.
	Fast
)

func (m Mode) String() string { return [...]string{"auto", "exact", "fast", "?"}[min(m, 3)] }

// Streams says whether a broadcast is one queue entry per destination place or
// one per copy. Traces are equal.
type Streams uint8

// Choices for broadcasts.
const (
	// StreamsAuto: on from StreamsFrom nodes, where allowed.
	StreamsAuto Streams = iota
	// StreamsOff: one event per copy.
	StreamsOff
	// StreamsOn: one entry per broadcast and destination place; an error where
	// something (a fault, another transport) has to look at single copies.
	StreamsOn
)

// StreamsFrom is the number of nodes from which StreamsAuto turns streams on.
const StreamsFrom = 256

func (m Streams) String() string { return [...]string{"auto", "off", "on", "?"}[min(m, 3)] }

// Transport is how messages travel between hosts.
type Transport uint8

// Transports.
const (
	// Stream: in order per connection, unlimited window, nothing lost on the way.
	// Paths with loss are refused.
	Stream Transport = iota
	// Datagram: messages may be lost, duplicated and overtake each other.
	Datagram
	// TCP: in order per connection; slow start, idle collapse and the delay of
	// recovering lost segments are modelled.
	TCP
)

func (t Transport) String() string {
	return [...]string{"stream", "datagram", "tcp", "?"}[min(t, 3)]
}

// Forward says when the receiving NIC may start with a message of several
// packets.
type Forward uint8

// Ways of forwarding.
const (
	// Cut: with the first packet.
	Cut Forward = iota
	// Store: with the last one.
	Store
)

// Sched says how the copies of one broadcast share the sender's NIC.
type Sched uint8

// Ways of sharing.
const (
	// FIFO: copy after copy; the k-th is through after k times its serialisation.
	FIFO Sched = iota
	// Fair: packet by packet in turn, as equal connections share a link, so that
	// all copies finish at nearly the same time. It is a closed form for the copies
	// of one broadcast of several packets; other messages still wait for all of it.
	// For hosts with one lane. A pause that begins while the copies are handed over
	// does not hold back those that are not.
	Fair
)

// Default bounds.
const (
	DefaultInbox = 1 << 20 // items waiting in one lane
	DefaultLog   = 1 << 20 // records in the log of one lane
	DefaultQueue = 1 << 30 // bytes in each direction of a NIC whose link gives no bound
)

// Config describes a run. The zero value of every optional field is its default.
type Config struct {
	// Seed decides everything random. Equal seeds and configurations give equal
	// trace hashes.
	Seed uint64
	// Cluster is bound into every MAC and signature.
	Cluster uint64
	// Table holds the message types of the protocol. Required.
	Table *protocols.MessageTable
	// Topology places hosts and joins them. Required.
	Topology *topology.Topology
	// Profile is the default CPU profile of hosts; nil costs nothing
	// (network-only model).
	Profile *profile.Profile

	Mode      Mode
	Streams   Streams
	Transport Transport
	Forward   Forward
	Sched     Sched

	// Datagram impairs single messages; only with Transport Datagram.
	Datagram Impairments

	// Wire encodes and decodes every message and every log record.
	Wire bool
	// RealCrypto uses SHA-256, HMAC and Ed25519 instead of modelled tokens. The
	// trace is the same.
	RealCrypto bool

	// Observers are told of every event in virtual-time order.
	Observers []protocols.Observer
	// Faults are what goes wrong, and when.
	Faults []Fault
	// Leader returns the nodes that Leader stands for in faults: the replica that
	// leads, and what else fails with it. It is asked when such a fault begins.
	Leader func() []protocols.NodeID
	// Interactive allows Inject while the run is going on; it selects what faults
	// need (Exact, no streams) even if Faults is empty.
	Interactive bool

	// Sink receives the full trace of the window [SinkFrom, SinkTo); SinkTo 0
	// means the end.
	Sink             TraceSink
	SinkFrom, SinkTo protocols.Time
	// NoRing turns the ring of recent records off.
	NoRing bool

	// Epoch is what the wall clocks show at time 0, in nanoseconds.
	Epoch protocols.Time
	// Inbox bounds the items waiting in one lane, Log the records in the log of
	// one lane; 0 means the default. A message for a full inbox is lost and
	// announced; a full log stops the run with an error. As many outputs as Inbox
	// may wait for the disk; then the lane waits, too.
	Inbox, Log int
	heapQueue  bool // tests: the oracle instead of the radix heap
}

// Impairments are probabilities per message, in parts per million.
type Impairments struct {
	// DuplicatePPM: a second copy arrives later. ReorderPPM: the message is held
	// back. Both by up to Window.
	DuplicatePPM, ReorderPPM int64
	Window                   time.Duration
}

// HostID names a host of a Sim.
type HostID int32

// HostSpec describes a machine.
type HostSpec struct {
	// Name for traces; default "host" and its number.
	Name string
	// Place is an index into Topology.Places.
	Place int
	// Link replaces the access link of the place.
	Link *topology.Link
	// Cores shared by everything on the host; 0 takes the profile's, or 1.
	Cores int
	// Profile replaces Config.Profile.
	Profile *profile.Profile
	// Clock is the error of the host's wall clock.
	Clock ClockSpec
}

// NodeSpec describes a replica or an agent: a process of its own.
type NodeSpec struct {
	ID   protocols.NodeID
	Host HostID
	// New returns the lanes of a fresh node; it is called again at every restart.
	New func() []protocols.Node
	// Adversary makes the node Byzantine; nil is correct.
	Adversary protocols.Adversary
	// Lanes names the lanes for traces (see Sim.Nodes); may be nil.
	Lanes []string
	// Index is the node's position in the group that authenticators are made for;
	// nil means ID.
	Index *int
	// Twin allows a second endpoint with an ID that is already taken. Messages to
	// the ID reach all its endpoints.
	Twin bool
}

// ClientsSpec describes a process that runs many clients on one event loop.
type ClientsSpec struct {
	Host HostID
	// First is the id of the first client; ids count up from there.
	First protocols.NodeID
	Count int
	New   func(id protocols.NodeID) protocols.Client
	// Load drives the clients; may be nil.
	Load protocols.Load
	// Record receives what the Load records; may be nil.
	Record func(protocols.Sample)
	// Outstanding bounds the open operations per client; 0 means 1.
	Outstanding int
	// OnComplete is told of every completion as well; may be nil.
	OnComplete func(at protocols.Time, client protocols.NodeID, c protocols.Completion)
	// Adversary makes all clients of the process Byzantine; nil is correct. The
	// lane given to it is the client's index.
	Adversary protocols.Adversary
}

func (c *Config) check() error {
	if c.Table == nil {
		return errors.New("netsim: Config.Table is missing; pass the protocol's message table")
	}
	t := c.Topology
	if t == nil {
		return errors.New("netsim: Config.Topology is missing; load one from netsim/topology")
	}
	if len(t.Places) == 0 || len(t.Paths) != len(t.Places) {
		return fmt.Errorf("netsim: topology %q has %d places and %d rows of paths; both must be equal and at least 1", t.Name, len(t.Places), len(t.Paths))
	}
	if c.Mode > Fast || c.Streams > StreamsOn || c.Transport > TCP || c.Forward > Store || c.Sched > Fair {
		return fmt.Errorf("netsim: mode %d, streams %d, transport %d, forward %d or sched %d is out of range", c.Mode, c.Streams, c.Transport, c.Forward, c.Sched)
	}
	for i, row := range t.Paths {
		if len(row) != len(t.Places) {
			return fmt.Errorf("netsim: topology %q: row %d has %d paths for %d places", t.Name, i, len(row), len(t.Places))
		}
		for j, p := range row {
			name := fmt.Sprintf("netsim: topology %q: path %s -> %s", t.Name, t.Places[i].Name, t.Places[j].Name)
			if p.Floor < 1 {
				return fmt.Errorf("%s has a floor of %d ns; a minimum delay of at least 1 ns is mandatory", name, p.Floor)
			}
			if p.Floor > far {
				return fmt.Errorf("%s has a floor of %d ns; at most %d", name, p.Floor, far)
			}
			// Tables of a parsed topology ascend by construction, and are large.
			if q := p.Jitter; q != nil && (len(q.Values) < 2 || q.Values[0] < 0 || q.Values[len(q.Values)-1] > far || t.Hash == "" && !slices.IsSorted(q.Values)) {
				return fmt.Errorf("%s has a jitter table of %d quantiles; it needs at least 2, ascending, from 0 ns to %d ns (leave it out for none)", name, len(q.Values), far)
			}
			if p.LossPPM < 0 || p.LossPPM >= 1_000_000 {
				return fmt.Errorf("%s loses %d ppm; allowed are 0 to 999999", name, p.LossPPM)
			}
			if p.LossPPM > 0 && c.Transport == Stream {
				return fmt.Errorf("%s loses %d ppm, but transport \"stream\" loses nothing: choose transport \"tcp\" (loss becomes delay) or \"datagram\" (loss is loss), or remove the loss", name, p.LossPPM)
			}
		}
	}
	d := c.Datagram
	if d.DuplicatePPM < 0 || d.DuplicatePPM > 1_000_000 || d.ReorderPPM < 0 || d.ReorderPPM > 1_000_000 {
		return fmt.Errorf("netsim: duplicates of %d ppm, reordering of %d ppm; allowed are 0 to 1000000", d.DuplicatePPM, d.ReorderPPM)
	}
	if (d.DuplicatePPM > 0 || d.ReorderPPM > 0) && c.Transport != Datagram {
		return fmt.Errorf("netsim: duplication or reordering needs transport \"datagram\", not %q", c.Transport)
	}
	if (d.DuplicatePPM > 0 || d.ReorderPPM > 0) && d.Window < 1 {
		return errors.New("netsim: Config.Datagram.Window must be at least 1 ns when messages are duplicated or reordered")
	}
	if c.Inbox < 0 || c.Log < 0 {
		return fmt.Errorf("netsim: bounds of inbox %d and log %d must not be negative", c.Inbox, c.Log)
	}
	if c.Inbox == 0 {
		c.Inbox = DefaultInbox
	}
	if c.Log == 0 {
		c.Log = DefaultLog
	}
	if c.Streams == StreamsOn {
		switch {
		case c.Transport != Stream:
			return fmt.Errorf("netsim: streams of broadcasts need transport \"stream\", not %q; choose Streams Auto", c.Transport)
		case len(c.Faults) > 0 || c.Interactive:
			return errors.New("netsim: faults look at single copies, so streams of broadcasts cannot be forced on; choose Streams Auto")
		}
	}
	if c.Sched == Fair && c.Forward == Store {
		return errors.New("netsim: sched Fair is modelled with forward Cut; choose FIFO")
	}
	if c.Mode == Fast && (len(c.Faults) > 0 || c.Interactive) {
		return errors.New("netsim: mode Fast handles messages ahead of time and cannot be combined with faults; choose Auto or Exact")
	}
	return nil
}
