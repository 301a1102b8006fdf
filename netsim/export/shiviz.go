package export

import (
	"io"
	"strconv"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// MaxShiVizNodes bounds the processes in a ShiViz log; more than a few dozen cannot
// be looked at. Records of further ones are omitted.
const MaxShiVizNodes = 64

// ShiVizPattern is the regular expression to enter in ShiViz.
const ShiVizPattern = `(?<host>\S*) (?<clock>{.*})\n(?<event>.*)`

// ShiViz writes a log for ShiViz: two lines per record, first the host (a process:
// a node, or all clients that share one) and its vector clock, then what happened
// at which virtual time. Sends, handled
// messages, events and timers tick the clock; the pattern to parse it by is
// ShiVizPattern, with an empty delimiter.
func ShiViz(w io.Writer, o Options) Exporter {
	return newExporter(w, o, &shiviz{hosts: map[int]int{}, sent: newFlight[[]uint32]()})
}

type shiviz struct {
	processes
	hosts  map[int]int // by process
	names  []string
	clocks [][]uint32 // by host: its vector clock, indexed by host
	sent   *flight[[]uint32]
}

func (s *shiviz) begin(*output) {}

// end says what is missing as an event of a host of its own.
func (s *shiviz) end(o *output) {
	if o.omitted > 0 {
		o.buf = append(o.buf, "trace {\"trace\":1}\ncapped: "...)
		o.buf = strconv.AppendInt(o.buf, o.omitted, 10)
		o.buf = append(o.buf, " records omitted\n"...)
	}
}

// host returns the index of a process, -1 beyond the bound.
func (s *shiviz) host(r *netsim.Record) int {
	if h, ok := s.hosts[r.Process]; ok {
		return h
	}
	if len(s.names) >= MaxShiVizNodes {
		return -1
	}
	h := len(s.names)
	s.hosts[r.Process] = h
	s.names = append(s.names, s.process(r))
	s.clocks = append(s.clocks, make([]uint32, MaxShiVizNodes))
	return h
}

func (s *shiviz) record(o *output, r *netsim.Record) {
	b := o.buf
	what := ""
	switch r.Kind {
	case netsim.RecordMessage, netsim.RecordReject:
		what = "receive "
		if r.Kind == netsim.RecordReject {
			what = "reject "
		}
	case netsim.RecordSend:
		what = "send "
	case netsim.RecordEvent, netsim.RecordTimer, netsim.RecordStart, netsim.RecordLoad:
	case netsim.RecordDrop:
		s.sent.take(r.Message)
		return
	default:
		return // local steps add nothing to the order between nodes
	}
	h := s.host(r)
	if h < 0 || o.full() {
		o.omitted++
		return
	}
	clock := s.clocks[h]
	if r.Kind == netsim.RecordMessage || r.Kind == netsim.RecordReject {
		if from, ok := s.sent.take(r.Message); ok {
			for i, v := range from {
				clock[i] = max(clock[i], v)
			}
		}
	}
	clock[h]++
	if r.Kind == netsim.RecordSend {
		s.sent.put(r.Message, r.Copies, append([]uint32(nil), clock[:len(s.names)]...))
	}
	b = append(b, s.names[h]...)
	b = append(b, " {"...)
	first := true
	for i, v := range clock[:len(s.names)] {
		if v == 0 {
			continue
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = text(b, s.names[i])
		b = append(b, ':')
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	b = append(b, "}\n"...)
	b = append(b, what...)
	b = append(b, oneLine(title(r))...)
	switch {
	case r.Kind == netsim.RecordSend && r.Copies > 1:
		b = append(b, " to "...)
		b = strconv.AppendInt(b, int64(r.Copies), 10)
		b = append(b, " nodes"...)
	case r.Kind == netsim.RecordSend && r.Peer != protocols.Nobody:
		b = append(append(b, " to "...), nodeName(r.Peer)...)
	case what != "" && r.Peer != protocols.Nobody:
		b = append(append(b, " from "...), nodeName(r.Peer)...)
	}
	if ev := r.Event; ev != nil {
		for _, f := range []struct {
			key string
			v   uint64
		}{{" view ", ev.View}, {" seq ", ev.Seq}, {" index ", ev.Index}} {
			if f.v != 0 {
				b = strconv.AppendUint(append(b, f.key...), f.v, 10)
			}
		}
		if ev.Note != "" {
			b = append(append(b, ": "...), oneLine(ev.Note)...)
		}
	}
	if s.several(r) {
		b = append(append(b, " of "...), nodeName(r.Node)...)
	}
	b = append(b, " at "...)
	b = micros(b, int64(r.At))
	o.buf = append(b, " us\n"...)
}

// oneLine keeps a text within its line.
func oneLine(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] == '\n' || s[i] == '\r' {
			return s[:i]
		}
	}
	return s
}
