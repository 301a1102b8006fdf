package export

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// JSONLines writes the project's trace: a header line, then a line per record,
// then a trailer line. Keys that are zero or do not apply are left out.
//
//	{"format":"edgebft-trace","version":1,"title":"..."}
//	{"t":1000,"kind":"message","node":1,"lane":0,"end":1500,"queued_ns":20,"peer":0,"type":"PREPARE","path":"x","size":99,"id":"...","msg":"..."}
//	{"end":true,"records":2,"omitted":0}
//
// t, end and queued_ns are virtual nanoseconds; id names the event, msg joins a
// send with its copies, content is the trace hash of the message. A file that
// was capped has omitted above 0; one without a trailer was cut off.
func JSONLines(w io.Writer, o Options) Exporter {
	return newExporter(w, o, &jsonLines{title: o.Title})
}

type jsonLines struct{ title string }

func (j *jsonLines) begin(o *output) {
	o.buf = append(o.buf, `{"format":"edgebft-trace","version":1`...)
	o.buf = field(o.buf, "title")
	o.buf = text(o.buf, j.title)
	o.buf = append(o.buf, "}\n"...)
}

func (j *jsonLines) record(o *output, r *netsim.Record) {
	b := append(o.buf, `{"t":`...)
	b = strconv.AppendInt(b, int64(r.At), 10)
	b = field(b, "kind")
	b = text(b, r.Kind.String())
	b = number(b, "node", int64(r.Node))
	if r.Lane != 0 {
		b = number(b, "lane", int64(r.Lane))
	}
	if r.End != r.At {
		b = number(b, "end", int64(r.End))
	}
	if r.Ready < r.At {
		b = number(b, "queued_ns", int64(r.At-r.Ready))
	}
	b = details(b, r)
	o.buf = append(b, "}\n"...)
}

func (j *jsonLines) end(o *output) {
	o.buf = append(o.buf, `{"end":true`...)
	o.buf = number(o.buf, "records", o.kept)
	o.buf = number(o.buf, "omitted", o.omitted)
	o.buf = append(o.buf, "}\n"...)
}

// details appends what a record says besides time and place.
func details(b []byte, r *netsim.Record) []byte {
	if r.Peer != protocols.Nobody {
		b = number(b, "peer", int64(r.Peer))
	}
	if r.Type != nil {
		b = field(b, "type")
		b = text(b, r.Type.Name)
	}
	if r.Path != "" {
		b = field(b, "path")
		b = text(b, r.Path)
	}
	if r.Size != 0 {
		b = number(b, "size", int64(r.Size))
	}
	if r.Copies != 0 {
		b = number(b, "copies", int64(r.Copies))
	}
	b = identifier(b, "id", r.Key)
	b = identifier(b, "msg", r.Message)
	b = identifier(b, "content", r.Content)
	if r.Kind == netsim.RecordDrop {
		b = field(b, "drop")
		b = text(b, r.Drop.String())
	}
	if ev := r.Event; ev != nil {
		b = field(b, "event")
		b = text(b, ev.Kind.String())
		for _, f := range []struct {
			key string
			v   uint64
		}{{"view", ev.View}, {"seq", ev.Seq}, {"index", ev.Index}, {"timestamp", ev.Timestamp}} {
			if f.v != 0 {
				b = field(b, f.key)
				b = strconv.AppendUint(b, f.v, 10)
			}
		}
		if ev.Client != 0 {
			b = number(b, "client", int64(ev.Client))
		}
		if !ev.Digest.IsZero() {
			b = field(b, "digest")
			b = text(b, hex.EncodeToString(ev.Digest[:8]))
		}
		switch ev.Kind {
		case protocols.EventSuspect, protocols.EventNewView, protocols.EventViewChange, protocols.EventTransfer:
			b = number(b, "about", int64(ev.Peer))
		}
		if ev.Note != "" {
			b = field(b, "note")
			b = text(b, ev.Note)
		}
	}
	if r.Note != "" {
		b = field(b, "note")
		b = text(b, r.Note)
	}
	return b
}

// field appends a key that follows other keys.
func field(b []byte, key string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func number(b []byte, key string, v int64) []byte {
	return strconv.AppendInt(field(b, key), v, 10)
}

// identifier appends 64 bits as hex text: JSON readers round large numbers.
func identifier(b []byte, key string, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = append(field(b, key), '"')
	const digits = "0123456789abcdef"
	for s := 60; s >= 0; s -= 4 {
		b = append(b, digits[v>>s&15])
	}
	return append(b, '"')
}

// text appends a JSON string. Names in traces are nearly always plain.
func text(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // strings always marshal
				panic("export: " + err.Error())
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
