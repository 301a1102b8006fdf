package export

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// DefaultLimit caps a trace file, in bytes before compression.
const DefaultLimit = 100 << 20

// Options of an exporter.
type Options struct {
	// Limit caps the output in bytes before compression; 0 means DefaultLimit.
	Limit int64
	// Title is written into the file.
	Title string
}

// Exporter writes a trace.
type Exporter interface {
	netsim.TraceSink
	// Close writes what is left and returns the first error there was. It does
	// not close the underlying writer.
	Close() error
	// Omitted is the number of records that are not in the file.
	Omitted() int64
}

// format is one way to write records.
type format interface {
	// begin and end write what stands around the records.
	begin(w *output)
	record(w *output, r *netsim.Record)
	end(w *output)
}

// output writes up to a limit.
type output struct {
	w       *bufio.Writer
	buf     []byte // the record being written
	written int64
	limit   int64
	kept    int64
	omitted int64
	err     error
}

// full reports whether nothing more fits.
func (o *output) full() bool { return o.limit <= 0 }

// flush writes the record in buf, or counts it as omitted. Once a record did not
// fit none is written any more, so that what is there is a prefix.
func (o *output) flush() {
	if len(o.buf) == 0 {
		return
	}
	if int64(len(o.buf)) > o.limit-o.written {
		o.limit = 0
	}
	if o.full() {
		o.omitted++
	} else {
		o.force()
		o.kept++
	}
	o.buf = o.buf[:0]
}

// force writes buf whatever the limit says.
func (o *output) force() {
	if o.err == nil {
		n, err := o.w.Write(o.buf)
		o.written += int64(n)
		o.err = err
	}
	o.buf = o.buf[:0]
}

// exporter puts records in causal order and hands them to a format.
type exporter struct {
	out     output
	format  format
	pending []netsim.Record // what the present step sent and emitted
	events  []protocols.Event
	closed  bool
}

func newExporter(w io.Writer, o Options, f format) *exporter {
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	e := &exporter{format: f, out: output{w: bufio.NewWriterSize(w, 64<<10), limit: o.Limit}}
	f.begin(&e.out)
	e.out.force()
	return e
}

// maxPending bounds what is held back for the sake of order.
const maxPending = 1 << 14

// Record implements netsim.TraceSink.
func (e *exporter) Record(r *netsim.Record) {
	if e.closed {
		return
	}
	if len(e.pending) > 0 && (e.pending[0].Step != r.Step || len(e.pending) >= maxPending) {
		e.release()
	}
	switch {
	case r.Step != 0 && (r.Kind == netsim.RecordSend || r.Kind == netsim.RecordEvent || r.Kind == netsim.RecordDrop):
		c := *r
		if r.Event != nil { // valid during the call only
			e.events = append(e.events, *r.Event)
		}
		c.Event = nil
		e.pending = append(e.pending, c)
	default:
		e.write(r)
		e.release()
	}
}

// Introduce implements netsim.TraceIntroducer.
func (e *exporter) Introduce(nodes []netsim.NodeInfo) {
	if f, ok := e.format.(netsim.TraceIntroducer); ok {
		f.Introduce(nodes)
	}
}

// release writes what was held back.
func (e *exporter) release() {
	k := 0
	for i := range e.pending {
		r := &e.pending[i]
		if r.Kind == netsim.RecordEvent {
			r.Event = &e.events[k]
			k++
		}
		e.write(r)
	}
	clear(e.pending)
	e.pending, e.events = e.pending[:0], e.events[:0]
}

func (e *exporter) write(r *netsim.Record) {
	e.format.record(&e.out, r)
	e.out.flush()
}

// Omitted implements Exporter.
func (e *exporter) Omitted() int64 { return e.out.omitted }

// Close implements Exporter.
func (e *exporter) Close() error {
	if e.closed {
		return e.out.err
	}
	e.release()
	e.closed = true
	e.format.end(&e.out)
	e.out.force()
	if e.out.err == nil {
		e.out.err = e.out.w.Flush()
	}
	return e.out.err
}

// File is an exporter into a file of its own.
type File struct {
	Exporter
	file *os.File
	zip  *zstd.Encoder
}

// Create makes a trace file; its name says what is written: .jsonl, .json
// (Perfetto) or .shiviz, and .zst behind that compresses. An existing file is
// an error: nothing is overwritten.
func Create(path string, o Options) (*File, error) {
	name, compress := strings.CutSuffix(path, ".zst")
	var make func(io.Writer, Options) Exporter
	switch {
	case strings.HasSuffix(name, ".jsonl"):
		make = JSONLines
	case strings.HasSuffix(name, ".json"):
		make = Perfetto
	case strings.HasSuffix(name, ".shiviz"):
		make = ShiViz
	default:
		return nil, fmt.Errorf("trace %s: the name must end in .jsonl, .json (Perfetto) or .shiviz, with .zst behind it to compress", path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &File{file: f}
	var w io.Writer = f
	if compress {
		if t.zip, err = zstd.NewWriter(f, zstd.WithEncoderConcurrency(1)); err != nil {
			return nil, errors.Join(fmt.Errorf("trace: %w", err), f.Close())
		}
		w = t.zip
	}
	t.Exporter = make(w, o)
	return t, nil
}

// Close implements Exporter and closes the file.
func (f *File) Close() error {
	err := f.Exporter.Close()
	if f.zip != nil {
		err = errors.Join(err, f.zip.Close())
	}
	return errors.Join(err, f.file.Close())
}

// Tee hands every record to several sinks.
func Tee(sinks ...netsim.TraceSink) netsim.TraceSink { return tee(sinks) }

type tee []netsim.TraceSink

func (t tee) Record(r *netsim.Record) {
	for _, s := range t {
		s.Record(r)
	}
}

// Introduce implements netsim.TraceIntroducer.
func (t tee) Introduce(nodes []netsim.NodeInfo) {
	for _, s := range t {
		if in, ok := s.(netsim.TraceIntroducer); ok {
			in.Introduce(nodes)
		}
	}
}

// processes knows the names of the processes of a run.
type processes []netsim.NodeInfo

// Introduce implements netsim.TraceIntroducer.
func (p *processes) Introduce(nodes []netsim.NodeInfo) { *p = nodes }

// info returns what is known of the process of a record, nil if nothing is.
func (p processes) info(r *netsim.Record) *netsim.NodeInfo {
	if r.Process < 0 || r.Process >= len(p) {
		return nil
	}
	return &p[r.Process]
}

// process names the process of a record: the node, or its clients from first to
// last.
func (p processes) process(r *netsim.Record) string {
	if r.Process < 0 {
		return nodeName(protocols.Nobody)
	}
	if n := p.info(r); n != nil {
		if n.Clients > 1 {
			return fmt.Sprintf("%s-to-%d", nodeName(n.ID), int(n.ID-protocols.FirstClient)+n.Clients-1)
		}
		return nodeName(n.ID)
	}
	return nodeName(r.Node)
}

// several reports whether the process of a record has several clients, so that
// its name does not say which one the record is about.
func (p processes) several(r *netsim.Record) bool {
	n := p.info(r)
	return n != nil && n.Clients > 1
}

// lane names the lane of a record.
func (p processes) lane(r *netsim.Record) string {
	if n := p.info(r); n != nil && r.Lane < len(n.Lanes) {
		return n.Lanes[r.Lane]
	}
	return fmt.Sprintf("lane%d", r.Lane)
}

// nodeName names a node for people.
func nodeName(id protocols.NodeID) string {
	switch {
	case id.IsReplica():
		return fmt.Sprintf("replica-%d", id)
	case id.IsClient():
		return fmt.Sprintf("client-%d", id-protocols.FirstClient)
	case id >= protocols.FirstAgent:
		return fmt.Sprintf("agent-%d", id-protocols.FirstAgent)
	default:
		return "network"
	}
}

// title names what a record is about.
func title(r *netsim.Record) string {
	switch {
	case r.Event != nil:
		return r.Event.Kind.String()
	case r.Type != nil:
		return r.Type.Name
	default:
		return r.Kind.String()
	}
}
