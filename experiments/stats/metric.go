package stats

import (
	"fmt"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/internal/strict"
)

// Metric is a number of a run that can be drawn, bounded and compared.
type Metric struct {
	Name string
	// Label and Unit are for axes and tables.
	Label, Unit string
	// Lower says that less is better.
	Lower bool
	// Of returns false if the run does not have the number.
	Of func(r *result.Result) (float64, bool)
}

// PeakThroughput is the name of the highest throughput of a series under the
// latency cap. It belongs to a set of runs at several rates, not to one run.
const PeakThroughput = "peak_tput"

var metrics = []Metric{
	{"throughput", "Throughput", "ops/s", false, fixed(func(r *result.Result) result.Fixed { return r.ThroughputTPS })},
	{"offered", "Offered load", "ops/s", false, fixed(func(r *result.Result) result.Fixed { return r.OfferedTPS })},
	{"latency_mean", "Mean latency", "ms", true, latency(func(l result.Latency) result.Millis { return l.Mean })},
	{"latency_p50", "Median latency", "ms", true, latency(func(l result.Latency) result.Millis { return l.P50 })},
	{"latency_p95", "95th percentile latency", "ms", true, latency(func(l result.Latency) result.Millis { return l.P95 })},
	{"latency_p99", "99th percentile latency", "ms", true, latency(func(l result.Latency) result.Millis { return l.P99 })},
	{"latency_p999", "99.9th percentile latency", "ms", true, latency(func(l result.Latency) result.Millis { return l.P999 })},
	{"latency_max", "Maximum latency", "ms", true, latency(func(l result.Latency) result.Millis { return l.Max })},
	{"committed", "Committed requests", "requests", false, count(func(r *result.Result) int64 { return r.Committed })},
	{"failed", "Failed requests", "requests", true, count(func(r *result.Result) int64 { return r.Failed })},
	{"timed_out", "Timed-out requests", "requests", true, count(func(r *result.Result) int64 { return r.TimedOut })},
	{"view_changes", "View changes", "", true, count(func(r *result.Result) int64 { return r.ViewChanges })},
	{"msgs_per_req", "Messages", "1/op", true, fixed(func(r *result.Result) result.Fixed { return r.Cost.MsgsPerReq })},
	{"bytes_per_req", "Bytes sent", "B/op", true, fixed(func(r *result.Result) result.Fixed { return r.Cost.BytesPerReq })},
	{"mac_ops_per_req", "MAC operations at the bottleneck", "1/op", true, fixed(func(r *result.Result) result.Fixed { return r.Cost.MACOpsBottleneckPerReq })},
	{"sign_per_req", "Signatures", "1/op", true, fixed(func(r *result.Result) result.Fixed { return r.Cost.SignPerReq })},
	{"verify_per_req", "Verifications", "1/op", true, fixed(func(r *result.Result) result.Fixed { return r.Cost.VerifyPerReq })},
	{"cpu_ms_per_req", "CPU time", "ms/op", true, known(func(r *result.Result) *result.Fixed { return r.Cost.CPUMSPerReq })},
	{"energy_j_per_req", "Energy", "J/op", true, known(func(r *result.Result) *result.Fixed { return r.Cost.EnergyJPerReq })},
	{"cpct_usd", "Cost per committed transaction", "USD", true, known(func(r *result.Result) *result.Fixed { return r.Cost.CPCTUSD })},
}

func fixed(f func(*result.Result) result.Fixed) func(*result.Result) (float64, bool) {
	return func(r *result.Result) (float64, bool) { return f(r).Float(), true }
}

func known(f func(*result.Result) *result.Fixed) func(*result.Result) (float64, bool) {
	return func(r *result.Result) (float64, bool) {
		if p := f(r); p != nil {
			return p.Float(), true
		}
		return 0, false
	}
}

func count(f func(*result.Result) int64) func(*result.Result) (float64, bool) {
	return func(r *result.Result) (float64, bool) { return float64(f(r)), true }
}

func latency(f func(result.Latency) result.Millis) func(*result.Result) (float64, bool) {
	return func(r *result.Result) (float64, bool) { return f(r.LatencyMS).Float(), r.LatencyMS.Count > 0 }
}

// Metrics lists all metrics of one run.
func Metrics() []Metric { return append([]Metric(nil), metrics...) }

// FindMetric returns the metric of that name; the error names the nearest one.
func FindMetric(name string) (Metric, error) {
	names := make([]string, len(metrics))
	for i, m := range metrics {
		if m.Name == name {
			return m, nil
		}
		names[i] = m.Name
	}
	return Metric{}, fmt.Errorf("unknown metric %q%s", name, strict.Suggest(name, names))
}

// Axis is the label with the unit.
func (m Metric) Axis() string {
	if m.Unit == "" {
		return m.Label
	}
	return m.Label + " (" + m.Unit + ")"
}
