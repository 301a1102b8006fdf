package store

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/edgebft/edgebft/experiments/result"
)

// indexColumns are the columns of index.csv. None depends on the wall clock or
// on the host.
var indexColumns = []struct {
	name  string
	value func(r *Record) string
}{
	{"cell", func(r *Record) string { return r.Manifest.Cell }},
	{"config_hash", func(r *Record) string { return r.Manifest.ConfigHash }},
	{"state", func(r *Record) string { return r.Manifest.State }},
	{"reason", func(r *Record) string { return r.Manifest.Reason }},
	{"run", func(r *Record) string { return r.Manifest.Run }},
	{"axes", func(r *Record) string { return axesText(r.Manifest.Axes) }},
	{"mode", func(r *Record) string { return r.Manifest.Mode }},
	{"seed", func(r *Record) string { return strconv.FormatInt(r.Manifest.Seed, 10) }},
	{"protocol", of(func(r *result.Result) any { return r.Protocol })},
	{"n", of(func(r *result.Result) any { return r.N })},
	{"f", of(func(r *result.Result) any { return r.F })},
	{"clients", of(func(r *result.Result) any { return r.Clients })},
	{"workload", of(func(r *result.Result) any { return r.Workload })},
	{"load", of(func(r *result.Result) any { return r.Load })},
	{"topology", of(func(r *result.Result) any { return r.Topology })},
	{"costs", of(func(r *result.Result) any { return r.Costs })},
	{"duration_s", of(func(r *result.Result) any { return r.DurationS })},
	{"offered_tps", of(func(r *result.Result) any { return r.OfferedTPS })},
	{"committed", of(func(r *result.Result) any { return r.Committed })},
	{"rejected", of(func(r *result.Result) any { return r.Rejected })},
	{"throughput_tps", of(func(r *result.Result) any { return r.ThroughputTPS })},
	{"latency_mean_ms", of(func(r *result.Result) any { return r.LatencyMS.Mean })},
	{"latency_p50_ms", of(func(r *result.Result) any { return r.LatencyMS.P50 })},
	{"latency_p95_ms", of(func(r *result.Result) any { return r.LatencyMS.P95 })},
	{"latency_p99_ms", of(func(r *result.Result) any { return r.LatencyMS.P99 })},
	{"latency_p999_ms", of(func(r *result.Result) any { return r.LatencyMS.P999 })},
	{"latency_max_ms", of(func(r *result.Result) any { return r.LatencyMS.Max })},
	{"failed", of(func(r *result.Result) any { return r.Failed })},
	{"timed_out", of(func(r *result.Result) any { return r.TimedOut })},
	{"view_changes", of(func(r *result.Result) any { return r.ViewChanges })},
	{"instance_changes", of(func(r *result.Result) any { return r.InstanceChanges })},
	{"switches", of(func(r *result.Result) any { return len(r.Switches) })},
	{"steady", of(func(r *result.Result) any { return r.Steady.Steady })},
	{"saturated", of(func(r *result.Result) any { return r.Steady.Saturated })},
	{"agreement", of(func(r *result.Result) any { return r.Safety.Agreement })},
	{"integrity", of(func(r *result.Result) any { return r.Safety.Integrity })},
	{"validity", of(func(r *result.Result) any { return r.Safety.Validity })},
	{"linearizable", of(func(r *result.Result) any { return r.Safety.Linearizable })},
	{"liveness", of(func(r *result.Result) any { return r.Safety.Liveness })},
	{"root", of(func(r *result.Result) any { return r.Safety.Root })},
	{"msgs_per_req", of(func(r *result.Result) any { return r.Cost.MsgsPerReq })},
	{"bytes_per_req", of(func(r *result.Result) any { return r.Cost.BytesPerReq })},
	{"mac_ops_bottleneck_per_req", of(func(r *result.Result) any { return r.Cost.MACOpsBottleneckPerReq })},
	{"sign_per_req", of(func(r *result.Result) any { return r.Cost.SignPerReq })},
	{"verify_per_req", of(func(r *result.Result) any { return r.Cost.VerifyPerReq })},
	{"cpu_ms_per_req", of(func(r *result.Result) any { return r.Cost.CPUMSPerReq })},
	{"energy_j_per_req", of(func(r *result.Result) any { return r.Cost.EnergyJPerReq })},
	{"cpct_usd", of(func(r *result.Result) any { return r.Cost.CPCTUSD })},
	{"virtual_s", sim(func(s *result.Sim) any { return s.VirtualS })},
	{"events", sim(func(s *result.Sim) any { return s.Events })},
	{"trace_hash", sim(func(s *result.Sim) any { return s.TraceHash })},
}

func of(f func(r *result.Result) any) func(*Record) string {
	return func(r *Record) string {
		if r.Result == nil {
			return ""
		}
		v := f(r.Result)
		if p, ok := v.(*result.Fixed); ok {
			if p == nil {
				return ""
			}
			v = *p
		}
		return fmt.Sprint(v)
	}
}

func sim(f func(s *result.Sim) any) func(*Record) string {
	return func(r *Record) string {
		if r.Result == nil || r.Result.Sim == nil {
			return ""
		}
		return fmt.Sprint(f(r.Result.Sim))
	}
}

func axesText(axes []Axis) string {
	parts := make([]string, len(axes))
	for i, a := range axes {
		parts[i] = a.Path + "=" + a.Value
	}
	return strings.Join(parts, " ")
}

// Order sorts records by run, protocol, size, coordinates and seed, so that tables
// read well and do not depend on when a cell was recorded.
func Order(records []*Record) {
	key := func(r *Record) []any {
		k := []any{r.Manifest.Run, "", 0, "", r.Manifest.Seed, r.Manifest.Cell}
		if r.Result != nil {
			k[1], k[2] = r.Result.Protocol, r.Result.N
		}
		var b strings.Builder
		for _, a := range r.Manifest.Axes {
			if a.Path != "seed" {
				fmt.Fprintf(&b, "%s=%s ", a.Path, sortable(a.Value))
			}
		}
		k[3] = b.String()
		return k
	}
	sort.SliceStable(records, func(i, j int) bool {
		a, b := key(records[i]), key(records[j])
		for x := range a {
			switch va := a[x].(type) {
			case string:
				if vb := b[x].(string); va != vb {
					return va < vb
				}
			case int:
				if vb := b[x].(int); va != vb {
					return va < vb
				}
			case int64:
				if vb := b[x].(int64); va != vb {
					return va < vb
				}
			}
		}
		return false
	})
}

// sortable pads leading digits so that 9 sorts before 10, and 9k after both.
func sortable(v string) string {
	i := 0
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	if i == 0 || i > 18 {
		return v
	}
	digits, rest := v[:i], v[i:]
	switch {
	case strings.HasPrefix(rest, "k"):
		digits += "000"
	case strings.HasPrefix(rest, "M"):
		digits += "000000"
	}
	return fmt.Sprintf("%024s%s", digits, rest)
}

// IndexCSV returns index.csv for the records.
func IndexCSV(records []*Record) ([]byte, error) {
	sorted := append([]*Record(nil), records...)
	Order(sorted)
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	row := make([]string, len(indexColumns))
	for i, c := range indexColumns {
		row[i] = c.name
	}
	if err := w.Write(row); err != nil {
		return nil, err
	}
	for _, r := range sorted {
		for i, c := range indexColumns {
			row[i] = c.value(r)
		}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return buf.Bytes(), w.Error()
}

// IndexBench returns index.bench: the Go benchmark format, one line per usable
// cell, so that benchstat works on it. The seed is not part of the name: cells
// that differ in nothing else are repetitions.
func IndexBench(records []*Record) []byte {
	sorted := append([]*Record(nil), records...)
	Order(sorted)
	var b bytes.Buffer
	for _, r := range sorted {
		if r.Result == nil || r.State() == result.Invalid || r.State() == result.Failed {
			continue
		}
		x := r.Result
		fmt.Fprintf(&b, "BenchmarkCell/protocol=%s/n=%d/f=%d/workload=%s", benchName(x.Protocol), x.N, x.F, benchName(x.Workload))
		if r.Manifest.Run != "" {
			fmt.Fprintf(&b, "/run=%s", benchName(r.Manifest.Run))
		}
		for _, a := range r.Manifest.Axes {
			if a.Path != "seed" && a.Path != "protocol" && a.Path != "n" && a.Path != "f" && a.Path != "workload.app" {
				fmt.Fprintf(&b, "/%s=%s", benchName(a.Path), benchName(a.Value))
			}
		}
		fmt.Fprintf(&b, " %d %s op/s %s p50-ms %s p99-ms %s msgs/op %s B-wire/op\n", max(x.Committed, 1), x.ThroughputTPS, x.LatencyMS.P50, x.LatencyMS.P99, x.Cost.MsgsPerReq, x.Cost.BytesPerReq)
	}
	return b.Bytes()
}

// benchName keeps a value inside one component of a benchmark name.
func benchName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' || r == '\t' || r == '\n' {
			return '_'
		}
		return r
	}, s)
}

// WriteIndex rebuilds index.csv and index.bench from the cells and returns the
// records in the order of the index.
func (s *Store) WriteIndex() ([]*Record, error) {
	records, err := s.Records()
	if err != nil {
		return nil, err
	}
	Order(records)
	csv, err := IndexCSV(records)
	if err != nil {
		return nil, err
	}
	if err := Replace(filepath.Join(s.Dir, "index.csv"), csv); err != nil {
		return nil, err
	}
	return records, Replace(filepath.Join(s.Dir, "index.bench"), IndexBench(records))
}
