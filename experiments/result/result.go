package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/scenario"
)

// Schema is the version of the summary. Keys are only ever added; a change of
// meaning raises it.
const Schema = 1

// Result is the summary of one run. Keys carry their units.
type Result struct {
	Schema     int     `json:"schema" doc:"version of this format"`
	Cell       string  `json:"cell" doc:"first 12 hex digits of config_hash"`
	ConfigHash string  `json:"config_hash" doc:"SHA-256 of the canonical scenario"`
	Mode       string  `json:"mode" doc:"sim, local or cluster"`
	Protocol   string  `json:"protocol"`
	N          int     `json:"n" doc:"replicas"`
	F          int     `json:"f" doc:"tolerated faults"`
	Clients    int     `json:"clients"`
	Workload   string  `json:"workload" doc:"application"`
	Load       string  `json:"load" doc:"open or closed"`
	Topology   string  `json:"topology"`
	Costs      string  `json:"costs" doc:"CPU cost profile; none is a network-only model"`
	Seed       int64   `json:"seed"`
	DurationS  Seconds `json:"duration_s" doc:"length of the measured window in seconds"`

	// OfferedTPS is the rate at which requests were intended in the window.
	OfferedTPS    Fixed   `json:"offered_tps" doc:"requests per second intended in the window"`
	Committed     int64   `json:"committed" doc:"requests answered in the window, refused ones included"`
	Rejected      int64   `json:"rejected" doc:"those of committed that the application refused by rule"`
	ThroughputTPS Fixed   `json:"throughput_tps" doc:"committed per second of the window"`
	LatencyMS     Latency `json:"latency_ms" doc:"from the intended time; failed and timed-out requests count with the time-out"`
	Failed        int64   `json:"failed" doc:"requests of the window that could not be submitted"`
	TimedOut      int64   `json:"timed_out" doc:"requests of the window without a result in time"`
	Classes       []Class `json:"classes" doc:"the same by class of operation"`

	// Counters are what the load counted over the whole run, for example off-ledger
	// payments ("promises") or the most arrivals that waited in one process.
	Counters map[string]uint64 `json:"counters" doc:"what the load counted over the whole run, by name; most_waiting is the highest of a process, the rest are sums"`
	// ArrivalDispersion is the index of dispersion of the offered load.
	ArrivalDispersion *Fixed `json:"arrival_dispersion" doc:"variance over mean of the requests intended per second of the window (1 for a Poisson process); null for fewer than 10 whole seconds"`

	Switches        []Switch `json:"switches" doc:"switches between instances of a composition"`
	ViewChanges     int64    `json:"view_changes" doc:"views above the first that some correct replica entered"`
	InstanceChanges int64    `json:"instance_changes" doc:"protocol instance changes"`
	// Faults are the intervals in which faults were active, for figures.
	Faults []FaultInterval `json:"faults" doc:"when faults were active"`

	Safety   Safety   `json:"safety"`
	Cost     Cost     `json:"cost"`
	Steady   Steady   `json:"steady" doc:"whether the window was a steady state"`
	Validity Validity `json:"validity" doc:"whether the measurement may be used"`
	Sim      *Sim     `json:"sim,omitempty" doc:"simulator only"`
	// Labels must accompany every figure, for example "network-only model".
	Labels []string `json:"labels" doc:"caveats that every figure repeats"`
}

// Latency summarises a distribution; all in nanoseconds.
type Latency struct {
	Mean Millis `json:"mean"`
	P50  Millis `json:"p50"`
	P95  Millis `json:"p95"`
	P99  Millis `json:"p99"`
	P999 Millis `json:"p999"`
	Max  Millis `json:"max"`
	// Count is how many requests it covers, censored ones included.
	Count    int64 `json:"count"`
	Censored int64 `json:"censored" doc:"requests that count with the time-out"`
}

// Class is one class of operations.
type Class struct {
	Name          string  `json:"name"`
	Committed     int64   `json:"committed"`
	Rejected      int64   `json:"rejected"`
	ThroughputTPS Fixed   `json:"throughput_tps"`
	LatencyMS     Latency `json:"latency_ms"`
	Failed        int64   `json:"failed"`
	TimedOut      int64   `json:"timed_out"`
}

// Switch is a change of instance in a composition.
type Switch struct {
	AtS    Seconds `json:"at_s"`
	From   string  `json:"from"`
	To     string  `json:"to"`
	Reason string  `json:"reason,omitempty"`
}

// FaultInterval is a fault as it happened. A fault without an end has ToS equal
// to the end of the run.
type FaultInterval struct {
	Label string  `json:"label"`
	FromS Seconds `json:"from_s"`
	ToS   Seconds `json:"to_s"`
}

// Safety holds the verdicts. Unchecked names those that were switched off; they
// read "undecided" without making the run undecided.
type Safety struct {
	Agreement    Verdict     `json:"agreement"`
	Integrity    Verdict     `json:"integrity"`
	Validity     Verdict     `json:"validity"`
	Linearizable Verdict     `json:"linearizable"`
	Liveness     Verdict     `json:"liveness"`
	Root         Verdict     `json:"root"`
	Application  Verdict     `json:"application" doc:"the invariants of the application itself, at checkpoints and at the end; undecided for one that has none"`
	Unchecked    []string    `json:"unchecked,omitempty" doc:"checks that were switched off"`
	Violations   []Violation `json:"violations"`
}

// Violation is a broken invariant.
type Violation struct {
	Invariant string  `json:"invariant"`
	AtS       Seconds `json:"at_s"`
	Node      int     `json:"node"`
	Detail    string  `json:"detail"`
}

// Cost is what a request costs. Nil is unknown: no CPU profile, no energy model
// or no prices.
type Cost struct {
	MsgsPerReq             Fixed  `json:"msgs_per_req"`
	BytesPerReq            Fixed  `json:"bytes_per_req"`
	MACOpsBottleneckPerReq Fixed  `json:"mac_ops_bottleneck_per_req"`
	SignPerReq             Fixed  `json:"sign_per_req"`
	VerifyPerReq           Fixed  `json:"verify_per_req"`
	CPUMSPerReq            *Fixed `json:"cpu_ms_per_req"`
	EnergyJPerReq          *Fixed `json:"energy_j_per_req"`
	CPCTUSD                *Fixed `json:"cpct_usd"`
}

// Steady is the steady-state test of the window; see package stats.
type Steady struct {
	FirstHalfTPS  Fixed `json:"first_half_tps"`
	SecondHalfTPS Fixed `json:"second_half_tps"`
	// BacklogPerS is the slope of the backlog in requests per second.
	BacklogPerS Fixed `json:"backlog_per_s" doc:"growth of the backlog of requests"`
	Steady      bool  `json:"steady" doc:"both halves agree"`
	Saturated   bool  `json:"saturated" doc:"the backlog grows: the offered load is above the capacity"`
}

// Validity says whether the measurement may be used.
type Validity struct {
	Valid bool `json:"valid"`
	// Reasons for being invalid, empty otherwise.
	Reasons []string `json:"reasons"`
	// GeneratorLagP99MS is how late requests were sent (open load).
	GeneratorLagP99MS Millis `json:"generator_lag_p99_ms"`
	// GeneratorCPUPermille is the utilisation of the busiest client host in
	// thousandths; -1 is unknown.
	GeneratorCPUPermille int `json:"generator_cpu_permille" doc:"-1 is unknown"`
	// BottleneckPermille is the share of the window in which the busiest resource of
	// a replica worked (a lane, all cores of its host, its disk or its link), in
	// thousandths; -1 is unknown.
	BottleneckPermille int `json:"bottleneck_permille" doc:"utilisation of the busiest lane, host, disk or link of a replica; -1 is unknown"`
	// Throttled: a host was throttled or shifted its frequency.
	Throttled bool `json:"throttled"`
	// OneWay: one-way times between hosts are used. ClockOffsetMS bounds the
	// offset between their clocks.
	OneWay        bool   `json:"one_way"`
	ClockOffsetMS Millis `json:"clock_offset_ms"`
}

// Sim describes the simulation itself.
type Sim struct {
	VirtualS   Seconds `json:"virtual_s"`
	WallS      Seconds `json:"wall_s"`
	Events     int64   `json:"events"`
	EventsPerS Fixed   `json:"events_per_s"`
	TraceHash  string  `json:"trace_hash"`
	// Mode and Streams say how the kernel went about it; traces do not depend on it.
	Mode    string `json:"mode" doc:"kernel mode: exact, fast or mixed; the trace is the same"`
	Streams bool   `json:"streams" doc:"broadcasts were one queue entry per place; the trace is the same"`
	// TopologyHash identifies the content of the topology, Profiles the CPU profiles
	// of the hosts.
	TopologyHash string    `json:"topology_hash" doc:"identifies the content of the topology"`
	Profiles     []Profile `json:"profiles" doc:"CPU profiles of the hosts; none in a network-only model"`
}

// Profile is a CPU profile that some host of the run had.
type Profile struct {
	Name string `json:"name"`
	// Hash identifies the content.
	Hash   string `json:"hash" doc:"identifies the content"`
	Origin string `json:"origin" doc:"measured, emulated, assumed or none"`
	// Assumed lists the keys of the profile that are assumptions whatever the origin.
	Assumed []string `json:"assumed" doc:"keys of the profile that are assumed"`
	// ClientsOnly: no replica has it.
	ClientsOnly bool `json:"clients_only" doc:"only hosts of clients have it"`
}

// New returns a result with the identity of a resolved scenario filled in.
func New(s *scenario.Scenario) *Result {
	r := &Result{
		Schema: Schema, Cell: s.ID(), ConfigHash: s.Hash(), Mode: s.Mode, Protocol: s.Protocol, N: s.N, F: s.F,
		Clients: s.Clients, Workload: s.Workload.App, Load: s.Workload.Kind, Topology: s.Topology, Costs: s.Costs,
		Seed: s.Seed, DurationS: Seconds(s.Window.Measure),
		Validity: Validity{Valid: true, GeneratorCPUPermille: -1, BottleneckPermille: -1},
	}
	if s.Costs == "none" {
		r.Labels = append(r.Labels, "network-only model")
	}
	return r
}

// SetLoad fills in everything that the recorder measured.
func (r *Result) SetLoad(l *Load) {
	r.OfferedTPS, r.Committed, r.Rejected = l.OfferedTPS, l.Total.Committed, l.Total.Rejected
	r.ThroughputTPS, r.LatencyMS = l.Total.ThroughputTPS, l.Total.LatencyMS
	r.Failed, r.TimedOut, r.Classes = l.Total.Failed, l.Total.TimedOut, l.Classes
	if r.Load == "open" {
		r.ArrivalDispersion = l.Dispersion
	}
	r.Validity.GeneratorLagP99MS = l.LagP99
}

// State of a run or a cell.
type State string

// States.
const (
	// OK: usable, and all checks passed.
	OK State = "ok"
	// Violation: a safety invariant was broken.
	Violated State = "violation"
	// NoProgress: liveness failed.
	NoProgress State = "no-progress"
	// Failed: the run itself failed; there is no result.
	Failed State = "failed"
	// Invalid: the measurement may not be used.
	Invalid State = "invalid"
	// UndecidedState: a checker ran out of its budget.
	UndecidedState State = "undecided"
)

// Code is the exit code of a state.
func (s State) Code() int {
	switch s {
	case OK:
		return exit.OK
	case Violated:
		return exit.Safety
	case Invalid:
		return exit.Invalid
	case UndecidedState:
		return exit.Undecided
	case NoProgress:
		return exit.Liveness
	}
	return exit.Incomplete
}

// Judge returns the state of the run and the reason in words.
func (r *Result) Judge() (State, string) {
	s := &r.Safety
	verdicts := []struct {
		name string
		v    Verdict
	}{
		{"agreement", s.Agreement},
		{"integrity", s.Integrity},
		{"validity", s.Validity},
		{"linearizable", s.Linearizable},
		{"root", s.Root},
	}
	var broken, open []string
	for _, v := range verdicts {
		switch {
		case v.v == Fail:
			broken = append(broken, v.name)
		case v.v == Undecided && !contains(s.Unchecked, v.name):
			open = append(open, v.name)
		}
	}
	for _, v := range s.Violations {
		if v.Invariant != "liveness" && !contains(broken, v.Invariant) {
			broken = append(broken, v.Invariant)
		}
	}
	switch {
	case len(broken) > 0:
		reason := "safety violated: " + strings.Join(broken, ", ")
		for _, v := range s.Violations {
			if v.Invariant != "liveness" {
				return Violated, fmt.Sprintf("%s (%s at %ss, node %d: %s)", reason, v.Invariant, v.AtS, v.Node, v.Detail)
			}
		}
		return Violated, reason
	case !r.Validity.Valid:
		return Invalid, strings.Join(r.Validity.Reasons, "; ")
	case len(open) > 0:
		return UndecidedState, "undecided: " + strings.Join(open, ", ")
	case s.Liveness == Fail:
		for _, v := range s.Violations {
			if v.Invariant == "liveness" {
				return NoProgress, "no progress: " + v.Detail
			}
		}
		return NoProgress, "no progress: liveness failed"
	case s.Liveness == Undecided && !contains(s.Unchecked, "liveness"):
		return UndecidedState, "undecided: liveness"
	}
	return OK, ""
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// Encode returns the summary as indented JSON with every list present.
func (r *Result) Encode() ([]byte, error) {
	c := *r
	c.Classes = orEmpty(c.Classes)
	c.Switches = orEmpty(c.Switches)
	c.Faults = orEmpty(c.Faults)
	c.Safety.Violations = orEmpty(c.Safety.Violations)
	c.Validity.Reasons = orEmpty(c.Validity.Reasons)
	c.Labels = orEmpty(c.Labels)
	if c.Counters == nil {
		c.Counters = map[string]uint64{}
	}
	if c.Sim != nil {
		sim := *c.Sim
		sim.Profiles = orEmpty(sim.Profiles)
		c.Sim = &sim
	}
	b, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Decode reads a summary, strictly.
func Decode(data []byte) (*Result, error) {
	var r Result
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("summary: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("summary: something follows the JSON object")
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("summary: schema %d is not known; this program reads %d", r.Schema, Schema)
	}
	return &r, nil
}

// Attachment is a further file of a cell, for example trace.jsonl.zst.
type Attachment struct {
	// Name is a relative path with slashes.
	Name string
	Data []byte
}

// Outcome is everything that one run leaves behind.
type Outcome struct {
	Result *Result
	// Load is nil if the run had no clients.
	Load *Load
	// Timeline has one row per second and replica, ascending.
	Timeline    []ReplicaRow
	Attachments []Attachment
}
