package stats

import (
	"fmt"

	"github.com/edgebft/edgebft/experiments/result"
)

// Gates are the bounds beyond which a measurement is invalid.
type Gates struct {
	// LagNS bounds the p99 of the generator's lateness, LagPermille the same as a
	// share of the median latency.
	LagNS, LagPermille int64
	// DroppedPPM bounds the arrivals that were never submitted.
	DroppedPPM int64
	// CPUPermille bounds the utilisation of the generator's hosts.
	CPUPermille int
}

// DefaultGates are those of the sheet: 1 ms or 5 % of the median, 0.1 %, 80 %.
var DefaultGates = Gates{LagNS: 1e6, LagPermille: 50, DroppedPPM: 1000, CPUPermille: 800}

// Judge fills in Result.Steady and Result.Validity from what was measured.
// Reasons that the runner has already entered stay, and judging twice changes
// nothing.
func Judge(out *result.Outcome, g Gates) {
	r, l := out.Result, out.Load
	if r == nil || l == nil {
		return
	}
	window := int64(r.DurationS)
	half := max(window/2, 1)
	r.Steady = result.Steady{
		FirstHalfTPS:  result.FixedRatio(l.Halves[0]*result.Second, half),
		SecondHalfTPS: result.FixedRatio(l.Halves[1]*result.Second, half),
		BacklogPerS:   result.FixedRatio((l.Backlog[2]-l.Backlog[0])*result.Second, max(window, 1)),
	}
	a, b := l.Halves[0], l.Halves[1]
	diff := max(a-b, b-a)
	r.Steady.Steady = diff*10 <= max(a, b) || diff*diff <= 9*(a+b)
	if r.Load == "open" {
		growth := l.Backlog[2] - l.Backlog[0]
		grows := l.Backlog[1] > l.Backlog[0] && l.Backlog[2] > l.Backlog[1] && growth >= 10 && growth*100 > l.Offered
		lost := (r.Failed + r.TimedOut) * 100
		r.Steady.Saturated = grows || lost > l.Offered
	}
	v := &r.Validity
	fail := func(format string, args ...any) {
		v.Valid = false
		reason := fmt.Sprintf(format, args...)
		for _, old := range v.Reasons {
			if old == reason {
				return
			}
		}
		v.Reasons = append(v.Reasons, reason)
	}
	if v.GeneratorCPUPermille > g.CPUPermille {
		fail("the generator's host was busy for %d %% of the time; at most %d %% is allowed: use more client hosts", v.GeneratorCPUPermille/10, g.CPUPermille/10)
	}
	excused := r.Mode == "sim" && r.Steady.Saturated && systemBound(out)
	if r.Load == "open" && !excused {
		lag := int64(v.GeneratorLagP99MS)
		if lag > g.LagNS {
			fail("the generator sent late: p99 %s ms; at most %s ms is allowed: use more clients or a lower rate", v.GeneratorLagP99MS, result.Millis(g.LagNS))
		} else if p50 := int64(r.LatencyMS.P50); p50 > 0 && lag*1000 > p50*g.LagPermille {
			fail("the generator sent late: p99 %s ms is more than %d %% of the median latency (%s ms)", v.GeneratorLagP99MS, g.LagPermille/10, r.LatencyMS.P50)
		}
		if l.Offered > 0 && r.Failed*1_000_000 > l.Offered*g.DroppedPPM {
			fail("%d of %d requests could not be submitted; at most 0.1 %% is allowed: use more clients", r.Failed, l.Offered)
		}
	}
	if v.Throttled {
		fail("a host was throttled or changed its frequency")
	}
	if v.OneWay && int64(v.ClockOffsetMS)*10 > int64(r.LatencyMS.P50) {
		fail("clocks are up to %s ms apart, which is more than a tenth of the median latency (%s ms)", v.ClockOffsetMS, r.LatencyMS.P50)
	}
}

// systemBound says whether the busiest lane, host, disk or link of a replica worked
// for nine tenths of the window: then clients that are all waiting are the fault of the system
// under test.
func systemBound(out *result.Outcome) bool {
	return out.Result.Validity.BottleneckPermille >= 900
}
