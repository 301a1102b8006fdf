package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/edgebft/edgebft/experiments/scenario"
)

// ManifestSchema is the version of manifest.json.
const ManifestSchema = 1

// Manifest says how a cell came to be. Hashes of files are in SHA256SUMS only.
type Manifest struct {
	Schema     int             `json:"schema"`
	Command    []string        `json:"command"`
	Suite      string          `json:"suite"`
	Cell       string          `json:"cell"`
	ConfigHash string          `json:"config_hash"`
	Run        string          `json:"run,omitempty"`
	Axes       []Axis          `json:"axes"`
	Seed       int64           `json:"seed"`
	Mode       string          `json:"mode"`
	Repetition int             `json:"repetition"`
	State      string          `json:"state"`
	Reason     string          `json:"reason,omitempty"`
	ExitCode   int             `json:"exit_code"`
	StartUTC   string          `json:"start_utc"`
	EndUTC     string          `json:"end_utc,omitempty"`
	WallNS     int64           `json:"wall_ns"`
	PID        int             `json:"pid"`
	HostName   string          `json:"host_name"`
	TraceHash  string          `json:"trace_hash,omitempty"`
	Revision   Revision        `json:"revision"`
	Build      Build           `json:"build"`
	Host       Host            `json:"host"`
	Emulation  string          `json:"link_emulation"`
	Scenario   json.RawMessage `json:"scenario"`

	// inputs are the files that the scenario names.
	inputs map[string]*scenario.File
}

// Names of the files that a cell ran with, where its scenario names any.
const (
	TopologyInput = "inputs/topology.yaml"
	CostsInput    = "inputs/costs.yaml"
)

// Axis is one coordinate of a cell in the matrix of its suite.
type Axis = scenario.Axis

// NewManifest fills in what describes the scenario, the program and the host. The
// caller may still set Run and Repetition.
func NewManifest(s *scenario.Scenario, suite string, axes []Axis, env *Environment) *Manifest {
	text, err := json.Marshal(s)
	if err != nil {
		panic("store: a scenario always has a JSON form: " + err.Error())
	}
	m := &Manifest{
		Schema: ManifestSchema, Command: os.Args, Suite: suite, Cell: s.ID(), ConfigHash: s.Hash(), Axes: axes,
		Seed: s.Seed, Mode: s.Mode, Repetition: 1, Revision: env.Revision, Build: env.Build, Host: env.Host, Emulation: "none", Scenario: text,
	}
	if s.Mode != scenario.Sim {
		m.Emulation = "userspace"
	}
	m.inputs = map[string]*scenario.File{TopologyInput: s.TopologyFile, CostsInput: s.CostsFile}
	if m.Axes == nil {
		m.Axes = []Axis{}
	}
	m.Build.GOMAXPROCS = runtime.GOMAXPROCS(0)
	return m
}

func (m *Manifest) encode() []byte {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic("store: a manifest always has a JSON form: " + err.Error())
	}
	return append(b, '\n')
}

func decodeManifest(data []byte) (*Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	if m.Schema != ManifestSchema {
		return nil, fmt.Errorf("schema %d is not known; this program reads %d", m.Schema, ManifestSchema)
	}
	return &m, nil
}
