package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"time"

	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/workloads/arrival"
)

// Schema is the version of the scenario file. It is hashed into every cell id
// and raised when a default changes.
const Schema = 1

// Modes of running.
const (
	Sim     = "sim"
	Local   = "local"
	Cluster = "cluster"
)

// Scenario describes one run.
type Scenario struct {
	Schema   int    `key:"schema" min:"1" max:"1" doc:"version of this file format"`
	Name     string `key:"name" hash:"-" doc:"free text for people; not part of the cell id"`
	Mode     string `key:"mode" enum:"sim,local,cluster" doc:"deterministic simulator, local processes, or remote hosts"`
	Protocol string `key:"protocol" doc:"name of a registered protocol"`
	// N and F are 0 and -1 until resolved, unless given.
	N int `key:"n" min:"1" max:"16384" doc:"number of replicas; the least that the protocol needs for f if left out"`
	F int `key:"f" min:"0" max:"8191" doc:"number of tolerated faults; 1, or the most that n allows, if left out"`
	// Options are the protocol's own.
	Options     Options `key:"options" doc:"options of the protocol"`
	Clients     int     `key:"clients" min:"1" max:"1000000" doc:"number of client nodes; if left out 16, or for an open load one per request of a second, 64 to 4096"`
	ClientHosts int     `key:"client_hosts" min:"1" max:"4096" doc:"number of hosts that the clients are spread over; at most 4 if left out"`
	Placement   string  `key:"placement" enum:"spread,shared" doc:"one host per replica, or all nodes on one host"`

	// Hosts, if given, says on which host each replica is.
	Hosts []int `key:"hosts" later:"1" doc:"host of each replica, numbered from 0 without gaps, for example [0, 0, 1, 1]; left out: as placement says"`

	Workload Workload `key:"workload" doc:"what the clients ask for, and when"`

	Topology  string     `key:"topology" doc:"name of a topology, or a file"`
	Transport string     `key:"transport" enum:"stream,datagram,tcp" doc:"order and loss of messages: reliable streams, datagrams, or streams with TCP's timing"`
	Loss      strict.PPM `key:"loss" max:"1000000" doc:"fraction of messages (datagram) or segments (tcp) lost, beside the packets that the topology loses"`
	Duplicate strict.PPM `key:"duplicate" max:"1000000" doc:"fraction of messages delivered twice (datagram)"`
	Reorder   strict.PPM `key:"reorder" max:"1000000" doc:"fraction of messages delayed past later ones (datagram)"`

	NIC NIC `key:"nic" later:"1" doc:"how network cards treat messages of several packets"`

	Costs  string `key:"costs" doc:"name or file of the CPU cost profile of replicas; topology for the profiles that the topology names for its places, which is the default if it names any; none for a network-only model"`
	Cores  int    `key:"cores" min:"0" max:"1024" doc:"cores per replica host; 0 takes the profile's"`
	Crypto string `key:"crypto" enum:"modelled,real" doc:"modelled or real cryptography; the trace is the same"`
	Wire   bool   `key:"wire" doc:"encode and decode every message in the simulator too"`

	Window Window `key:"window" doc:"what part of the run is measured"`

	Faults      []Fault     `key:"faults" doc:"timed faults"`
	Adversaries []Adversary `key:"adversaries" doc:"Byzantine nodes"`
	BeyondF     bool        `key:"beyond_f" doc:"allow more adversaries than f"`

	Seed   int64  `key:"seed" min:"0" doc:"every random draw follows from it"`
	Trace  Trace  `key:"trace" doc:"what is recorded beside the summary"`
	Checks Checks `key:"checks" doc:"what is checked while it runs"`

	// TopologyFile and CostsFile hold the content when Topology and Costs name
	// files.
	TopologyFile, CostsFile *File

	doc      *strict.Document
	resolved bool
	model    model
}

// NIC says how the cards of the hosts treat messages of several packets.
type NIC struct {
	Sched   string `key:"sched" enum:"fifo,fair" doc:"how the copies of a broadcast share the card of the sender: one after the other (fifo, if left out), or packet by packet in turn"`
	Forward string `key:"forward" enum:"cut,store" doc:"when the card of the receiver starts with a message: at its first packet (cut, if left out), or at its last"`
}

// Workload is the load, apart from the faults.
type Workload struct {
	App  string `key:"app" doc:"the replicated application and its clients"`
	Kind string `key:"kind" enum:"open,closed" doc:"open: requests arrive whatever happens; closed: each client waits for its answers"`
	// Arrivals is the text form of package workloads/arrival.
	Arrivals string `key:"arrivals" doc:"arrival process of an open load; poisson if left out, or what the row of the workload table says (w1 beta, w5 mmpp); for example poisson, constant, mmpp:ratio=20,quiet=110s,burst=10s or beta:devices=1000,over=10s"`
	// Rate is the offered load of all clients together.
	Rate        strict.Rate     `key:"rate" min:"1" max:"1000000000000000" doc:"offered requests of all clients together (open)"`
	Outstanding int             `key:"outstanding" min:"1" max:"1000000" doc:"requests that each client keeps open (closed)"`
	Think       strict.Duration `key:"think" max:"3600000000000" doc:"pause of a client between an answer and its next request (closed)"`
	// RequestBytes and ReplyBytes are the payload sizes of micro.
	RequestBytes strict.Bytes    `key:"request_bytes" max:"1048000" doc:"payload of a request (micro)"`
	ReplyBytes   strict.Bytes    `key:"reply_bytes" max:"1048000" doc:"payload of a reply (micro)"`
	Timeout      strict.Duration `key:"timeout" min:"1000000" max:"3600000000000" doc:"a request without a result after this counts as timed out"`
	Mix          map[string]int  `key:"mix" doc:"weights of the classes of operations"`
	Zipf         strict.Milli    `key:"zipf" max:"2000" doc:"exponent of the key popularity; 0 is uniform; if left out 0, or for a marketplace what its row of the workload table says"`
	Keys         int             `key:"keys" min:"1" max:"1048576" doc:"number of keys or devices, of all client hosts together"`
	Options      Options         `key:"options" doc:"options of the application"`

	// Process is Arrivals and Rate of a resolved open workload.
	Process arrival.Config
}

// Window is the measured part of a run.
type Window struct {
	// Warmup and Cooldown are -1 until resolved, unless given.
	Warmup   strict.Duration `key:"warmup" min:"0" max:"3600000000000000" doc:"run time before the measured window; if left out a tenth of it, at most 5s, or for a marketplace what its sessions take to come to an end"`
	Measure  strict.Duration `key:"measure" min:"1" max:"3600000000000000" doc:"length of the measured window"`
	Cooldown strict.Duration `key:"cooldown" min:"0" max:"3600000000000000" doc:"load after the measured window"`
}

// Start is the beginning of the measured window, counted from the start of the
// run.
func (w Window) Start() time.Duration { return w.Warmup.Std() }

// Spread returns the number of clients in each process of clients, in the order of their
// numbers. Each client host has one process, and as many clients as the others or one
// more. A Byzantine client, whose whole process lies, has one of its own on a host of its
// own.
func (s *Scenario) Spread() []int {
	liar := make(map[int]bool)
	for i := range s.Adversaries {
		for _, n := range s.Adversaries[i].Nodes {
			if c, ok := n.Client(); ok {
				liar[c] = true
			}
		}
	}
	var counts []int
	next := 0
	for i := range s.ClientHosts {
		size := s.Clients / s.ClientHosts
		if i < s.Clients%s.ClientHosts {
			size++
		}
		open := false // the last process takes further clients
		for range size {
			switch {
			case liar[next]:
				counts = append(counts, 1)
			case open:
				counts[len(counts)-1]++
			default:
				counts = append(counts, 1)
			}
			open = !liar[next]
			next++
		}
	}
	return counts
}

// End is the end of the measured window.
func (w Window) End() time.Duration { return (w.Warmup + w.Measure).Std() }

// Total is how long load is offered.
func (w Window) Total() time.Duration { return (w.Warmup + w.Measure + w.Cooldown).Std() }

// Trace says what is recorded beside the summary.
type Trace struct {
	Record   string       `key:"record" enum:"none,events,full" doc:"nothing, protocol events only, or every message"`
	Cap      strict.Bytes `key:"cap" min:"1" doc:"bound of the recorded trace, and of the text of the recorded requests"`
	Requests bool         `key:"requests" doc:"record every request, up to cap"`
}

// Checks switches the costly checks. Agreement, validity, integrity and the
// state root are always checked.
type Checks struct {
	Linearizability bool            `key:"linearizability" doc:"check the client histories"`
	Timeout         strict.Duration `key:"timeout" min:"1" max:"3600000000000000" doc:"budget of the linearizability check; beyond it the verdict is undecided"`
	Liveness        bool            `key:"liveness" doc:"all requests must be answered after the network calms"`
	LivenessBound   strict.Duration `key:"liveness_bound" max:"3600000000000000" doc:"how long that may take, and how long all clients may wait in calm; 0 is a minute"`
}

// Adversary makes nodes Byzantine.
type Adversary struct {
	Nodes   []Node  `key:"nodes" doc:"replicas (0, 1, ...), clients (c0, c1, ...)"`
	Attack  string  `key:"attack" doc:"name of an attack"`
	Options Options `key:"options" doc:"options of the attack"`
}

// File is a file that a scenario refers to.
type File struct {
	// Path as written, SHA256 of the content in hex.
	Path, SHA256 string
	// From is where the content was read, as an absolute path.
	From string
	Data []byte
}

// NewFile returns a file with its hash. from is made absolute.
func NewFile(path, from string, data []byte) *File {
	sum := sha256.Sum256(data)
	if abs, err := filepath.Abs(from); err == nil {
		from = abs
	}
	return &File{Path: path, From: from, SHA256: hex.EncodeToString(sum[:]), Data: data}
}

// Default returns a scenario with every default that does not depend on others.
func Default() *Scenario {
	return &Scenario{
		Schema:    Schema,
		Mode:      Sim,
		F:         -1,
		Placement: "spread",
		Transport: "stream",
		Crypto:    "modelled",
		Workload: Workload{
			App:     "micro",
			Kind:    "closed",
			Timeout: strict.Duration(10 * time.Second),
			Keys:    1000,
		},
		Window: Window{Warmup: -1, Measure: strict.Duration(5 * time.Second), Cooldown: -1},
		Trace:  Trace{Record: "none", Cap: 64 << 20},
		Checks: Checks{Linearizability: true, Timeout: strict.Duration(10 * time.Second), Liveness: true},
		Seed:   1,
	}
}

// Shorthands implements strict.Shorthands.
func (*Scenario) Shorthands() []string { return []string{"duration"} }

// Document returns where the scenario was read from, for error positions; nil
// if it was built by a program.
func (s *Scenario) Document() *strict.Document { return s.doc }

// JSONSchema describes a scenario file.
func JSONSchema() map[string]any {
	schema := strict.JSONSchema(Scenario{}, "edgebft scenario", "One run of edgebft.")
	schema["properties"].(map[string]any)["duration"] = map[string]any{
		"type": "string", "description": "shorthand for window.measure",
	}
	return schema
}
