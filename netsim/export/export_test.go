package export

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/netsim/topology"
	"github.com/edgebft/edgebft/protocols"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var vote = &protocols.MessageType{Name: "VOTE"}

// story is what a host tells: replica 0 starts and sends a vote to two others,
// one copy arrives, one is lost; then a client's message is rejected.
func story(s netsim.TraceSink) {
	send := netsim.Record{Kind: netsim.RecordSend, At: 1000, End: 1000, Ready: 1000, Step: 1, Node: 0, Peer: protocols.Nobody, Type: vote, Path: "a", Size: 99, Message: 0xabc, Copies: 2}
	s.Record(&send)
	ev := protocols.Event{Kind: protocols.EventCommitted, View: 1, Seq: 7, Digest: protocols.Digest{0xde, 0xad}, Note: "first \"line\"\nsecond"}
	s.Record(&netsim.Record{Kind: netsim.RecordEvent, At: 1000, End: 1000, Ready: 1000, Step: 1, Node: 0, Peer: protocols.Nobody, Event: &ev})
	ev = protocols.Event{} // the host reuses it
	s.Record(&netsim.Record{Kind: netsim.RecordStart, At: 1000, End: 1500, Ready: 1000, Step: 1, Node: 0, Peer: protocols.Nobody, Key: 1, Waiting: 3, Sending: 1700})
	s.Record(&netsim.Record{Kind: netsim.RecordFault, At: 1600, End: 1600, Ready: 1600, Process: -1, Node: protocols.Nobody, Peer: protocols.Nobody, Note: "partition"})
	s.Record(&netsim.Record{Kind: netsim.RecordMessage, At: 2000, End: 2100, Ready: 1990, Step: 2, Process: 1, Node: 1, Lane: 2, Peer: 0, Type: vote, Path: "a", Size: 99, Key: 2, Message: 0xabc, Content: 0x10})
	s.Record(&netsim.Record{Kind: netsim.RecordDrop, At: 2200, End: 2200, Ready: 2200, Process: 2, Node: 2, Peer: 0, Type: vote, Path: "a", Size: 99, Message: 0xabc, Drop: netsim.DropLoss})
	s.Record(&netsim.Record{Kind: netsim.RecordTimer, At: 3001, End: 3001, Ready: 3001, Step: 3, Process: 1, Node: 1, Peer: protocols.Nobody, Key: 3})
	s.Record(&netsim.Record{Kind: netsim.RecordReject, At: 4000, End: 4000, Ready: 4000, Step: 4, Process: 1, Node: 1, Peer: protocols.FirstClient + 5, Type: vote, Size: 12, Key: 4, Message: 0xdef})
}

var formats = map[string]func(io.Writer, Options) Exporter{"story.jsonl": JSONLines, "story.json": Perfetto, "story.shiviz": ShiViz}

func TestGolden(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			e := format(&b, Options{Title: "a \"story\""})
			story(e)
			require.NoError(t, e.Close())
			require.NoError(t, e.Close())
			require.Zero(t, e.Omitted())
			path := filepath.Join("testdata", name)
			if *update {
				require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), b.String())
		})
	}
}

// lines decodes a JSON-lines trace.
func lines(t *testing.T, r io.Reader) (out []map[string]any) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		var m map[string]any
		require.NoError(t, json.Unmarshal(s.Bytes(), &m), s.Text())
		out = append(out, m)
	}
	return out
}

// slice is a Chrome trace event.
type slice struct {
	Ph, Name, ID string
	Ts, Dur      float64
	Pid, Tid     int64
	Args         struct{ Name string }
}

func chrome(t *testing.T, data []byte) (events []slice, omitted string) {
	var doc struct {
		TraceEvents []slice
		OtherData   struct {
			Omitted string `json:"omitted_records"`
		}
	}
	require.NoError(t, json.Unmarshal(data, &doc))
	return doc.TraceEvents, doc.OtherData.Omitted
}

// pinger sends a message round a ring of nodes, in wire format a REPLY.
type pinger struct {
	env  protocols.Env
	next protocols.Group
	left *int
}

func (p *pinger) Start(env protocols.Env, _ protocols.Boot) {
	p.env = env
	if env.Self() == 0 {
		env.SetTimer(time.Millisecond, 1, 0)
	}
}

func (p *pinger) Timeout(protocols.Timer) { p.env.Multicast(p.next, &protocols.Reply{Timestamp: 1}) }

func (p *pinger) Receive(_ *protocols.Envelope, m protocols.Message, _ protocols.Verdicts) {
	p.env.Emit(protocols.Event{Kind: protocols.EventExecuted, Index: m.(*protocols.Reply).Timestamp})
	if *p.left > 0 {
		*p.left--
		p.env.Multicast(p.next, &protocols.Reply{Timestamp: m.(*protocols.Reply).Timestamp + 1})
	}
}

// simulate runs pingers in the simulator.
func simulate(t *testing.T, sink netsim.TraceSink) {
	topo, err := topology.Load("lan")
	require.NoError(t, err)
	sim, err := netsim.New(netsim.Config{Seed: 3, Topology: topo, Table: protocols.NewMessageTable([]protocols.MessageType{protocols.ReplyType()}), Sink: sink})
	require.NoError(t, err)
	left := 50
	for i := range protocols.NodeID(4) {
		host, err := sim.AddHost(netsim.HostSpec{})
		require.NoError(t, err)
		_, err = sim.AddNode(netsim.NodeSpec{ID: i, Host: host, New: func() []protocols.Node {
			return []protocols.Node{&pinger{next: protocols.Replicas(4), left: &left}}
		}})
		require.NoError(t, err)
	}
	require.NoError(t, sim.Run(protocols.Time(time.Second)))
}

// What a real run gives is well formed and in causal order, in every format.
func TestRealRun(t *testing.T) {
	var jsonl, perfetto, shiviz bytes.Buffer
	a, b, c := JSONLines(&jsonl, Options{}), Perfetto(&perfetto, Options{}), ShiViz(&shiviz, Options{})
	simulate(t, Tee(a, b, c))
	for _, e := range []Exporter{a, b, c} {
		require.NoError(t, e.Close())
		require.Zero(t, e.Omitted())
	}

	sentAt, received := map[string]float64{}, 0
	for _, l := range lines(t, &jsonl) {
		switch l["kind"] {
		case "send":
			sentAt[l["msg"].(string)] = l["t"].(float64)
		case "message":
			at, ok := sentAt[l["msg"].(string)]
			require.True(t, ok, "received before sent: %v", l)
			require.Less(t, at, l["t"].(float64))
			received++
		}
	}
	require.Equal(t, 51*3, received)

	events, omitted := chrome(t, perfetto.Bytes())
	require.Equal(t, "0", omitted)
	count, open := map[string]int{}, map[string]slice{}
	for _, e := range events {
		count[e.Ph]++
		switch e.Ph {
		case "s":
			open[e.ID] = e
		case "f":
			s, ok := open[e.ID]
			require.True(t, ok)
			require.Less(t, s.Ts, e.Ts)
			require.NotEqual(t, s.Pid, e.Pid)
		case "X":
			require.Positive(t, e.Dur)
		}
	}
	require.Equal(t, received, count["s"])
	require.Equal(t, received, count["f"])
	require.Equal(t, received, count["i"], "one executed event per message")

	// ShiViz: own entries count up by one; no clock knows more of another host
	// than that host has done.
	done := map[string]float64{}
	text := strings.Split(strings.TrimSpace(shiviz.String()), "\n")
	require.Zero(t, len(text)%2)
	for i := 0; i < len(text); i += 2 {
		host, rest, _ := strings.Cut(text[i], " ")
		var clock map[string]float64
		require.NoError(t, json.Unmarshal([]byte(rest), &clock))
		done[host]++
		require.Equal(t, done[host], clock[host])
		for other, v := range clock {
			require.LessOrEqual(t, v, done[other])
		}
	}
	require.Len(t, done, 4)
}

// shouter is a client that sends one message per operation and is done.
type shouter struct{ pinger }

func (c *shouter) Invoke(id uint64, _ []byte) {
	c.env.Send(0, &protocols.Reply{Timestamp: id})
	c.env.Emit(protocols.Event{Kind: protocols.EventInvoked, Timestamp: id})
	c.env.Complete(protocols.Completion{ID: id})
}
func (c *shouter) Timeout(protocols.Timer) {}
func (c *shouter) Receive(*protocols.Envelope, protocols.Message, protocols.Verdicts) {
}

// openLoad invokes every client at each of its wakes.
type openLoad struct {
	env     protocols.LoadEnv
	clients int
	next    uint64
}

func (l *openLoad) Start(env protocols.LoadEnv, clients int) {
	l.env, l.clients = env, clients
	env.WakeAt(protocols.Time(time.Millisecond))
}

func (l *openLoad) Wake(now protocols.Time) {
	for i := range l.clients {
		l.next++
		l.env.Invoke(i, l.next, nil)
	}
	if l.next < 30 {
		l.env.WakeAt(now.Add(time.Millisecond))
	}
}
func (l *openLoad) Completed(int, protocols.Completion) {}

// The clients of a process are one process in the trace, so what a step of it did
// belongs together whichever client it was, and follows it.
func TestRealRunWithClients(t *testing.T) {
	var jsonl, perfetto, shiviz bytes.Buffer
	a, b, c := JSONLines(&jsonl, Options{}), Perfetto(&perfetto, Options{}), ShiViz(&shiviz, Options{})
	topo, err := topology.Load("lan")
	require.NoError(t, err)
	costs, err := profile.Load("server")
	require.NoError(t, err)
	sim, err := netsim.New(netsim.Config{Seed: 3, Topology: topo, Profile: costs, Table: protocols.NewMessageTable([]protocols.MessageType{protocols.ReplyType()}), Sink: Tee(a, b, c)})
	require.NoError(t, err)
	slow := *costs
	slow.ScalePermille = 100_000
	host, err := sim.AddHost(netsim.HostSpec{Cores: 1, Profile: &slow}) // its inbox fills
	require.NoError(t, err)
	left := 0
	_, err = sim.AddNode(netsim.NodeSpec{ID: 0, Host: host, Lanes: []string{"everything"}, New: func() []protocols.Node { return []protocols.Node{&pinger{left: &left}} }})
	require.NoError(t, err)
	host, err = sim.AddHost(netsim.HostSpec{Cores: 1, Link: &topology.Link{Up: 2e7}}) // its NIC has a queue
	require.NoError(t, err)
	require.NoError(t, sim.AddClients(netsim.ClientsSpec{Host: host, First: protocols.FirstClient, Count: 3, Load: &openLoad{}, New: func(protocols.NodeID) protocols.Client { return &shouter{} }}))
	require.NoError(t, sim.Run(protocols.Time(time.Second)))
	for _, e := range []Exporter{a, b, c} {
		require.NoError(t, e.Close())
	}

	loads, sends := 0, 0
	for _, l := range lines(t, &jsonl) {
		switch l["kind"] {
		case "load":
			loads++
		case "send":
			require.Equal(t, sends/3, loads-1, "the arrival comes before what it causes")
			sends++
		}
	}
	require.Equal(t, 30, sends)

	events, _ := chrome(t, perfetto.Bytes())
	names, counters, arrows, sending := map[string]bool{}, map[string]int{}, 0, 0.0
	for _, e := range events {
		switch e.Ph {
		case "M":
			names[e.Args.Name] = true
		case "C":
			counters[e.Name]++
		case "X":
			if e.Tid == nicThread {
				require.Equal(t, "load", e.Name)
				sending += e.Dur
			}
		case "s", "f":
			arrows++
			found := false
			for _, x := range events {
				found = found || x.Ph == "X" && x.Pid == e.Pid && x.Tid == e.Tid && x.Ts <= e.Ts && e.Ts <= x.Ts+x.Dur
			}
			require.True(t, found, "an arrow without a slice: %+v", e)
		}
	}
	require.Equal(t, 60, arrows)
	require.Equal(t, map[string]bool{"replica-0": true, "everything": true, "client-0-to-2": true, "lane0": true, "NIC": true}, names)
	require.Len(t, counters, 1)
	require.Positive(t, counters["inbox of everything"])
	st := sim.Stats()
	wire := st.Node(protocols.FirstClient).Sent[protocols.ClassClient].Wire
	require.InEpsilon(t, float64(wire)*8/20, sending, 0.05, "20 Mbit/s, in microseconds")
	require.Contains(t, shiviz.String(), "client-0-to-2 {")
	require.Contains(t, shiviz.String(), "send REPLY to replica-0 of client-1 at ")
	require.NotContains(t, shiviz.String(), "client-1 {")
}

func TestCapped(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			e := format(&b, Options{Limit: 3000})
			for range 20 {
				story(e)
			}
			require.NoError(t, e.Close())
			require.Positive(t, e.Omitted())
			require.Less(t, b.Len(), 3400)
			switch name {
			case "story.jsonl":
				all := lines(t, &b)
				last := all[len(all)-1]
				require.Equal(t, map[string]any{"end": true, "records": float64(len(all) - 2), "omitted": float64(160 - (len(all) - 2))}, last)
			case "story.json":
				events, omitted := chrome(t, b.Bytes())
				require.NotEmpty(t, events)
				require.NotEqual(t, "0", omitted)
			default:
				require.Contains(t, b.String(), "trace {\"trace\":1}\ncapped: ")
			}
		})
	}
}

func TestShiVizNodesAreBounded(t *testing.T) {
	var b bytes.Buffer
	e := ShiViz(&b, Options{})
	for i := range protocols.NodeID(MaxShiVizNodes + 10) {
		e.Record(&netsim.Record{Kind: netsim.RecordTimer, Process: int(i), Node: i})
	}
	require.NoError(t, e.Close())
	require.Equal(t, int64(10), e.Omitted())
}

func TestFlightIsBounded(t *testing.T) {
	f := newFlight[int]()
	for i := range 5 * maxFlight {
		f.put(uint64(i+1), 1, i)
	}
	require.LessOrEqual(t, len(f.messages), 2*maxFlight)
	require.LessOrEqual(t, len(f.oldest), 2*maxFlight)
	v, ok := f.take(5 * maxFlight)
	require.True(t, ok)
	require.Equal(t, 5*maxFlight-1, v)
	_, ok = f.take(5 * maxFlight)
	require.False(t, ok)
	_, ok = f.take(1)
	require.False(t, ok)
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "t.jsonl.zst")
	f, err := Create(path, Options{})
	require.NoError(t, err)
	story(f)
	require.NoError(t, f.Close())
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	z, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer z.Close()
	require.Len(t, lines(t, z), 8+2)

	_, err = Create(path, Options{})
	require.ErrorIs(t, err, os.ErrExist)
	_, err = Create(filepath.Join(dir, "t.csv"), Options{})
	require.ErrorContains(t, err, "must end in .jsonl, .json (Perfetto) or .shiviz")
	_, err = Create(filepath.Join(dir, "missing", "t.json"), Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// failing is a disk that is full.
type failing struct{}

var errFull = errors.New("disk is full")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrors(t *testing.T) {
	for _, format := range formats {
		e := format(failing{}, Options{})
		for range 2000 {
			story(e)
		}
		require.ErrorIs(t, e.Close(), errFull)
	}
}

func BenchmarkExport(b *testing.B) {
	for name, format := range formats {
		b.Run(name, func(b *testing.B) {
			e := format(io.Discard, Options{Limit: 1 << 60})
			r := rand.New(rand.NewPCG(1, 1))
			rec := netsim.Record{Kind: netsim.RecordMessage, Type: vote, Size: 99, Path: "a"}
			b.ReportAllocs()
			for b.Loop() {
				rec.At += 100
				rec.End, rec.Ready = rec.At+50, rec.At
				rec.Key, rec.Node = r.Uint64(), protocols.NodeID(r.IntN(4))
				e.Record(&rec)
			}
		})
	}
}
