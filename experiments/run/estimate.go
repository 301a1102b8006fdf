package run

import (
	"math"

	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/workloads"
)

// What the estimates assume: closedRate operations per second for each place of a
// closed load that does not think, at most closedPeak in all. The rest are bytes, as
// measured with PBFT.
const (
	closedRate     = 700
	closedPeak     = 50_000
	bytesBase      = 64 << 20
	bytesReplica   = 6 << 20
	bytesPair      = 300
	bytesClient    = 10 << 10
	bytesLedgerOp  = 2 << 10 // at each replica, as the ledger keeps what was traded
	workLedgerOp   = 10      // against a message
	workPairSecond = 50      // idle traffic of two replicas
)

// Estimate forecasts the simulation of a resolved scenario: work is proportional to
// the time that it takes, memory is its peak in bytes within about a factor of two.
// Sweeps order and admit their runs by it; no result depends on it.
func Estimate(s *scenario.Scenario) (work float64, memory int64) {
	seconds := s.Window.Total().Seconds()
	rate := float64(s.Workload.Rate) / 1e6
	if s.Workload.Kind == workloads.Closed {
		each := float64(closedRate)
		if think := s.Workload.Think.Std().Seconds(); think > 0 {
			each = min(each, 1/think)
		}
		rate = min(each*float64(s.Clients*max(s.Workload.Outstanding, 1)), closedPeak)
	}
	n, ops := float64(s.N), rate*seconds
	work = ops*n + seconds*workPairSecond*n*n
	bytes := bytesBase + bytesReplica*n + bytesPair*n*n + bytesClient*float64(s.Clients)
	if app, err := workloads.Lookup(s.Workload.App); err == nil && app.Ledger {
		work += ops * n * workLedgerOp
		bytes += ops * n * bytesLedgerOp
	}
	return work, int64(min(bytes, math.MaxInt64/2))
}
