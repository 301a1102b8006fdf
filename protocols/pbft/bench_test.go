package pbft

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/topology"
)

// BenchmarkDeliveries reports how many deliveries of the full stack one core
// simulates per second: n=4, micro, closed loop, LAN with jitter.
func BenchmarkDeliveries(b *testing.B) {
	lan, err := topology.Load("lan")
	require.NoError(b, err)
	for range b.N {
		w := newWorld(b, setup{n: 4, f: 1, clients: 16, perClient: 1 << 30, top: lan, config: func(c *netsim.Config) { c.Interactive, c.Observers = false, nil }})
		start := time.Now()
		w.run(b, 5*time.Second)
		s := w.sim.Stats()
		wall := time.Since(start).Seconds()
		b.ReportMetric(float64(s.Deliveries)/wall/1e6, "Mdeliveries/s")
		b.ReportMetric(float64(s.Events)/wall/1e6, "Mevents/s")
		b.ReportMetric(float64(len(w.samples))/wall, "req/s-wall")
		b.ReportMetric(float64(s.Deliveries), "deliveries")
	}
}

// BenchmarkDecision reports the wall time and memory of one decision.
func BenchmarkDecision(b *testing.B) {
	for _, n := range []int{64, 256, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			lan, err := topology.Load("lan")
			require.NoError(b, err)
			for range b.N {
				runtime.GC()
				w := newWorld(b, setup{n: n, f: (n - 1) / 3, clients: 1, perClient: 1, top: lan, config: func(c *netsim.Config) { c.Interactive, c.Observers = false, nil }})
				start := time.Now()
				for len(w.samples) < 1 {
					w.run(b, 10*time.Millisecond)
				}
				wall := time.Since(start)
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(wall.Seconds(), "s/decision")
				b.ReportMetric(float64(m.HeapInuse)/(1<<20), "MB-heap")
				b.ReportMetric(float64(w.sim.Stats().Deliveries), "deliveries")
			}
		})
	}
}
