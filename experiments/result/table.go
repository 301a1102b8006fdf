package result

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// LoadRow is one second of one class of operations as the clients saw it. Class
// "" is all classes together. Latencies are in ns, by the second in which the
// request ended.
type LoadRow struct {
	Second                                         int
	Class                                          string
	Offered, Committed, Rejected, Failed, TimedOut int64
	P50, P99, Max                                  int64
}

// ReplicaRow is one second of one replica.
type ReplicaRow struct {
	Second, Replica int
	// Committed is the number of requests executed for the first time in this second:
	// neither again after a restart nor by adopting a state. View is the view at its
	// end.
	Committed int64
	View      uint64
	// Up is false if the replica is down or paused at the end of the second.
	Up bool
	// CPU is the busy time of all cores in ns.
	CPU int64
	// Messages and bytes, as frames, that were sent and that reached a handler.
	MessagesOut, MessagesIn, BytesOut, BytesIn int64
}

var loadHeader = []string{"second", "class", "offered", "committed", "rejected", "failed", "timed_out", "p50_ns", "p99_ns", "max_ns"}

var replicaHeader = []string{"second", "replica", "committed", "view", "up", "cpu_ns", "out_messages", "in_messages", "out_bytes", "in_bytes"}

// EncodeLoad returns load.csv.zst.
func EncodeLoad(rows []LoadRow) ([]byte, error) {
	return encodeTable(loadHeader, len(rows), func(i int) []string {
		r := &rows[i]
		return append([]string{strconv.Itoa(r.Second), r.Class}, ints(r.Offered, r.Committed, r.Rejected, r.Failed, r.TimedOut, r.P50, r.P99, r.Max)...)
	})
}

// DecodeLoad reads load.csv.zst.
func DecodeLoad(data []byte) ([]LoadRow, error) {
	var rows []LoadRow
	err := decodeTable("load", data, loadHeader, func(c *cells) {
		var r LoadRow
		r.Second = int(c.int())
		r.Class = c.text()
		for _, p := range []*int64{&r.Offered, &r.Committed, &r.Rejected, &r.Failed, &r.TimedOut, &r.P50, &r.P99, &r.Max} {
			*p = c.int()
		}
		rows = append(rows, r)
	})
	return rows, err
}

// EncodeTimeline returns timeline.csv.zst.
func EncodeTimeline(rows []ReplicaRow) ([]byte, error) {
	return encodeTable(replicaHeader, len(rows), func(i int) []string {
		r := &rows[i]
		out := append(ints(int64(r.Second), int64(r.Replica), r.Committed), strconv.FormatUint(r.View, 10), strconv.FormatBool(r.Up))
		return append(out, ints(r.CPU, r.MessagesOut, r.MessagesIn, r.BytesOut, r.BytesIn)...)
	})
}

// DecodeTimeline reads timeline.csv.zst.
func DecodeTimeline(data []byte) ([]ReplicaRow, error) {
	var rows []ReplicaRow
	err := decodeTable("timeline", data, replicaHeader, func(c *cells) {
		r := ReplicaRow{Second: int(c.int()), Replica: int(c.int()), Committed: c.int()}
		r.View = c.uint()
		r.Up = c.bool()
		for _, p := range []*int64{&r.CPU, &r.MessagesOut, &r.MessagesIn, &r.BytesOut, &r.BytesIn} {
			*p = c.int()
		}
		rows = append(rows, r)
	})
	return rows, err
}

func ints(vs ...int64) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = strconv.FormatInt(v, 10)
	}
	return out
}

func encodeTable(header []string, n int, row func(i int) []string) ([]byte, error) {
	var buf bytes.Buffer
	// One goroutine: more would not change the bytes, but costs memory per cell.
	z, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	w := csv.NewWriter(z)
	if err := w.Write(header); err != nil {
		return nil, err
	}
	for i := 0; i < n; i++ {
		if err := w.Write(row(i)); err != nil {
			return nil, err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// maxTable bounds a decompressed table in bytes.
const maxTable = 1 << 30

func decodeTable(name string, data []byte, header []string, row func(*cells)) error {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxTable))
	if err != nil {
		return fmt.Errorf("%s table: %w", name, err)
	}
	defer z.Close()
	r := csv.NewReader(io.LimitReader(z, maxTable))
	r.FieldsPerRecord = len(header)
	r.ReuseRecord = true
	for line := 0; ; line++ {
		rec, err := r.Read()
		if err == io.EOF {
			if line == 0 {
				return fmt.Errorf("%s table: the header is missing", name)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s table: %w", name, err)
		}
		if line == 0 {
			if strings.Join(rec, ",") != strings.Join(header, ",") {
				return fmt.Errorf("%s table: columns are %s, not %s", name, strings.Join(rec, ","), strings.Join(header, ","))
			}
			continue
		}
		c := &cells{rec: rec}
		row(c)
		if c.err != nil {
			return fmt.Errorf("%s table, line %d: %w", name, line+1, c.err)
		}
	}
}

// cells reads the fields of a record in turn; the first error sticks.
type cells struct {
	rec []string
	at  int
	err error
}

func (c *cells) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *cells) text() string {
	c.at++
	return c.rec[c.at-1]
}

func (c *cells) int() int64 {
	v, err := strconv.ParseInt(c.text(), 10, 64)
	if err != nil {
		c.fail(err)
	}
	return v
}

func (c *cells) uint() uint64 {
	v, err := strconv.ParseUint(c.text(), 10, 64)
	if err != nil {
		c.fail(err)
	}
	return v
}

func (c *cells) bool() bool {
	v, err := strconv.ParseBool(c.text())
	if err != nil {
		c.fail(err)
	}
	return v
}
