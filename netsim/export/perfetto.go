package export

import (
	"io"
	"strconv"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// Perfetto writes Chrome trace JSON: pid is the process (1 and up in the order of
// creation, 0 the network), tid the lane, a slice is a step, an instant an event, a
// drop or a fault, and a flow leads from the step that sent a message to each step
// that handled a copy. A thread "NIC" shows when the host of the process was
// sending, named after the step that it sent for; counters show how many items
// waited in the inbox of a lane. Timestamps are microseconds with three decimals.
func Perfetto(w io.Writer, o Options) Exporter {
	return newExporter(w, o, &perfetto{title: o.Title, named: map[[2]int64]bool{}, waiting: map[[2]int64]int{}, sending: map[int]protocols.Time{}, sent: newFlight[origin]()})
}

type perfetto struct {
	processes
	title   string
	waiting map[[2]int64]int       // by process and lane: last value written
	sending map[int]protocols.Time // by process: end of what the thread of its NIC shows
	named   map[[2]int64]bool
	sent    *flight[origin]
	flows   uint64
	comma   bool
}

// origin is where a message was sent from.
type origin struct {
	at            protocols.Time
	process, lane int
}

func (p *perfetto) begin(o *output) {
	o.buf = append(o.buf, `{"displayTimeUnit":"ns","traceEvents":[`...)
}

func (p *perfetto) end(o *output) {
	o.buf = append(o.buf, "\n],\"otherData\":{\"title\":"...)
	o.buf = text(o.buf, p.title)
	o.buf = field(o.buf, "omitted_records")
	o.buf = text(o.buf, strconv.FormatInt(o.omitted, 10))
	o.buf = append(o.buf, "}}\n"...)
}

// open begins one trace event.
func (p *perfetto) open(b []byte, phase byte, name string, at protocols.Time, process, lane int) []byte {
	if p.comma {
		b = append(b, ',')
	}
	p.comma = true
	b = append(b, "\n{\"ph\":\""...)
	b = append(b, phase, '"')
	b = field(b, "name")
	b = text(b, name)
	b = field(b, "ts")
	b = micros(b, int64(at))
	b = number(b, "pid", int64(process)+1)
	return number(b, "tid", int64(lane))
}

// micros appends nanoseconds as microseconds.
func micros(b []byte, ns int64) []byte {
	if ns < 0 {
		b, ns = append(b, '-'), -ns
	}
	b = strconv.AppendInt(b, ns/1000, 10)
	r := ns % 1000
	return append(b, '.', byte('0'+r/100), byte('0'+r/10%10), byte('0'+r%10))
}

// name introduces a process or one of its threads.
func (p *perfetto) name(b []byte, r *netsim.Record, tid int, thread string) []byte {
	if key := [2]int64{int64(r.Process), -1}; !p.named[key] && len(p.named) < maxNames {
		p.named[key] = true
		b = p.open(b, 'M', "process_name", 0, r.Process, 0)
		b = append(b, `,"args":{"name":`...)
		b = append(text(b, p.process(r)), "}}"...)
	}
	if key := [2]int64{int64(r.Process), int64(tid)}; !p.named[key] && len(p.named) < maxNames {
		p.named[key] = true
		b = p.open(b, 'M', "thread_name", 0, r.Process, tid)
		b = append(b, `,"args":{"name":`...)
		b = append(text(b, thread), "}}"...)
	}
	return b
}

// nicThread is behind all lanes: a node has 256 at most.
const nicThread = 256

// queues writes what a step says of the inbox and of the NIC.
func (p *perfetto) queues(b []byte, r *netsim.Record) []byte {
	lane := [2]int64{int64(r.Process), int64(r.Lane)}
	if old := p.waiting[lane]; old != r.Waiting && len(p.waiting) < maxNames {
		p.waiting[lane] = r.Waiting
		b = p.open(b, 'C', "inbox of "+p.lane(r), r.At, r.Process, r.Lane)
		b = append(b, `,"args":{"items":`...)
		b = strconv.AppendInt(b, int64(r.Waiting), 10)
		b = append(b, "}}"...)
	}
	if from := max(p.sending[r.Process], r.At); r.Sending > from && len(p.sending) < maxNames {
		p.sending[r.Process] = r.Sending
		b = p.name(b, r, nicThread, "NIC")
		b = p.open(b, 'X', title(r), from, r.Process, nicThread)
		b = field(b, "dur")
		b = append(micros(b, int64(r.Sending-from)), '}')
	}
	return b
}

// maxNames bounds the processes and threads that are introduced.
const maxNames = 1 << 16

func (p *perfetto) record(o *output, r *netsim.Record) {
	if o.full() {
		o.buf = append(o.buf, ' ') // counts as omitted
		return
	}
	b := o.buf
	switch r.Kind {
	case netsim.RecordSend:
		p.sent.put(r.Message, r.Copies, origin{r.At, r.Process, r.Lane})
		return // the arrows say it
	case netsim.RecordEvent, netsim.RecordDrop, netsim.RecordFault:
		name := title(r)
		if r.Kind != netsim.RecordEvent {
			name = r.Kind.String() + " " + name
		}
		if r.Kind == netsim.RecordFault {
			name = "fault"
		}
		if r.Kind == netsim.RecordDrop {
			p.sent.take(r.Message)
		}
		b = p.name(b, r, r.Lane, p.lane(r))
		b = p.open(b, 'i', name, r.At, r.Process, r.Lane)
		scope := "t"
		if r.Kind == netsim.RecordFault {
			scope = "g"
		}
		b = field(b, "s")
		b = text(b, scope)
	default:
		b = p.name(b, r, r.Lane, p.lane(r))
		name := title(r)
		if r.Kind == netsim.RecordReject {
			name = "reject " + name
		}
		b = p.open(b, 'X', name, r.At, r.Process, r.Lane)
		b = field(b, "dur")
		b = micros(b, max(int64(r.End-r.At), 1)) // an empty slice holds no arrow
	}
	b = append(b, `,"args":{"kind":`...)
	b = text(b, r.Kind.String())
	if p.several(r) || r.Process < 0 && r.Node != protocols.Nobody {
		b = number(b, "node", int64(r.Node))
	}
	if r.Ready < r.At {
		b = number(b, "queued_ns", int64(r.At-r.Ready))
	}
	b = details(b, r)
	b = append(b, "}}"...)
	if r.Kind == netsim.RecordMessage || r.Kind == netsim.RecordReject {
		if from, ok := p.sent.take(r.Message); ok {
			p.flows++
			b = p.flow(b, 's', from.at, from.process, from.lane, title(r))
			b = p.flow(b, 'f', r.At, r.Process, r.Lane, title(r))
		}
	}
	switch r.Kind {
	case netsim.RecordEvent, netsim.RecordDrop, netsim.RecordFault:
	default:
		b = p.queues(b, r)
	}
	o.buf = b
}

func (p *perfetto) flow(b []byte, phase byte, at protocols.Time, process, lane int, name string) []byte {
	b = p.open(b, phase, name, at, process, lane)
	b = append(b, `,"cat":"message","id":"`...)
	b = strconv.AppendUint(b, p.flows, 10)
	b = append(b, '"')
	if phase == 'f' {
		b = append(b, `,"bp":"e"`...)
	}
	return append(b, '}')
}

// flight remembers what was sent and has not arrived, up to a bound; the oldest
// is forgotten first.
type flight[T any] struct {
	messages map[uint64]*inFlight[T]
	oldest   []uint64
}

type inFlight[T any] struct {
	copies int
	value  T
}

// maxFlight bounds the messages in flight that are remembered.
const maxFlight = 1 << 16

func newFlight[T any]() *flight[T] { return &flight[T]{messages: make(map[uint64]*inFlight[T])} }

func (f *flight[T]) put(id uint64, copies int, v T) {
	if id == 0 {
		return
	}
	if len(f.oldest) >= 2*maxFlight { // forget what arrived, and then the oldest
		keep := f.oldest[:0]
		for _, old := range f.oldest {
			if f.messages[old] != nil {
				keep = append(keep, old)
			}
		}
		for len(keep) > maxFlight {
			delete(f.messages, keep[0])
			keep = keep[1:]
		}
		f.oldest = append(f.oldest[:0:0], keep...)
	}
	f.messages[id] = &inFlight[T]{copies: max(copies, 1), value: v}
	f.oldest = append(f.oldest, id)
}

// take returns what was put, and forgets it with the last copy.
func (f *flight[T]) take(id uint64) (v T, ok bool) {
	m := f.messages[id]
	if m == nil {
		return v, false
	}
	if m.copies--; m.copies <= 0 {
		delete(f.messages, id)
	}
	return m.value, true
}
