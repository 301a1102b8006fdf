package run

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/export"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/kv"
)

// attachment is a further file of a cell.
type attachment interface {
	attach(out *result.Outcome) error
}

// traceFile records the trace of a run, capped, for trace.jsonl.zst. A nil one
// records nothing.
type traceFile struct {
	buf    bytes.Buffer
	out    export.Exporter
	events bool
}

func newTraceFile(s *scenario.Scenario) (*traceFile, error) {
	if s.Trace.Record == "none" {
		return nil, nil
	}
	t := &traceFile{events: s.Trace.Record == "events"}
	t.out = export.JSONLines(&t.buf, export.Options{Limit: int64(s.Trace.Cap), Title: s.ID()})
	return t, nil
}

// Record implements netsim.TraceSink.
func (t *traceFile) Record(r *netsim.Record) {
	if !t.events || r.Event != nil {
		t.out.Record(r)
	}
}

func (t *traceFile) attach(out *result.Outcome) error {
	if t == nil {
		return nil
	}
	if err := t.out.Close(); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return attachZstd(out, "trace.jsonl.zst", t.buf.Bytes())
}

// requestFile records every request for requests.csv.zst, compressed as they come, up
// to a bound: the last line says how many more there were. A nil one records nothing.
type requestFile struct {
	buf     bytes.Buffer
	z       *zstd.Encoder
	classes []string
	left    int64 // bytes of text
	cut     int   // requests beyond the bound
	row     []byte
}

func newRequestFile(s *scenario.Scenario, classes []string) (*requestFile, error) {
	if !s.Trace.Requests {
		return nil, nil
	}
	f := &requestFile{classes: classes, left: int64(s.Trace.Cap)}
	var err error
	if f.z, err = zstd.NewWriter(&f.buf, zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	_, err = f.z.Write([]byte("class,intended_ns,sent_ns,finished_ns,outcome,retransmissions\n"))
	return f, err
}

var outcomes = [...]string{"done", "rejected", "timed_out", "dropped"}

func (f *requestFile) add(x *protocols.Sample) {
	if f == nil {
		return
	}
	class := strconv.Itoa(int(x.Class))
	if int(x.Class) < len(f.classes) {
		class = f.classes[x.Class]
	}
	f.row = fmt.Appendf(f.row[:0], "%s,%d,%d,%d,%s,%d\n", class, x.Intended, x.Sent, x.Finished, outcomes[x.Outcome], x.Retransmissions)
	if f.cut > 0 || int64(len(f.row)) > f.left {
		f.cut++
		return
	}
	f.left -= int64(len(f.row))
	_, _ = f.z.Write(f.row) // into memory
}

func (f *requestFile) attach(out *result.Outcome) error {
	if f == nil {
		return nil
	}
	if f.cut > 0 {
		fmt.Fprintf(f.z, "# %d more requests; trace.cap is the bound\n", f.cut)
	}
	if err := f.z.Close(); err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	out.Attachments = append(out.Attachments, result.Attachment{Name: "requests.csv.zst", Data: f.buf.Bytes()})
	return nil
}

func attachZstd(out *result.Outcome, name string, data []byte) error {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	out.Attachments = append(out.Attachments, result.Attachment{Name: name, Data: z.EncodeAll(data, nil)})
	return z.Close()
}

// KVModel is what porcupine has to know of the key-value application.
func KVModel() observe.Model {
	return observe.Model{
		Key: func(op []byte) (string, bool) {
			in, err := kv.DecodeInput(op)
			return strconv.FormatUint(uint64(in.Key), 10), err == nil
		},
		Init: func(string) any { return kv.Initial },
		Step: func(state any, op, res []byte) (bool, any) {
			in, out, err := kv.Decode(op, res)
			if err != nil {
				return false, state
			}
			return kv.Step(state.(uint64), in, out)
		},
		After: func(op, res []byte) (any, bool) {
			in, out, err := kv.Decode(op, res)
			if err != nil || out.Unknown {
				return nil, false
			}
			legal, after := kv.Step(out.Previous, in, out)
			return after, legal
		},
	}
}
