package netsim

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// hold is the increment of the hold model: 60 % LAN, 35 % WAN, 5 % timers.
func hold(u uint64) int64 {
	switch p := below(u, 100); {
	case p < 60:
		return 250_000 + int64(below(mix(u), 500_000))
	case p < 95:
		return 20_000_000 + int64(below(mix(u), 180_000_000))
	default:
		return 1_000_000_000 + int64(below(mix(u), 1_000_000_000))
	}
}

// BenchmarkQueue pops one event and pushes another with so many pending.
func BenchmarkQueue(b *testing.B) {
	for _, pending := range []int{1e3, 1e5, 1e6} {
		for _, name := range []string{"radix", "heap"} {
			b.Run(fmt.Sprintf("%s/%d", name, pending), func(b *testing.B) {
				var q queue = new(radix)
				if name == "heap" {
					q = new(binaryHeap)
				}
				u := uint64(1)
				for i := range pending {
					u = mix(u + 1)
					q.push(event{at: hold(u), key: u, src: int32(i)})
				}
				for range 2 * pending { // steady state
					e := q.pop()
					u = mix(u + 1)
					e.at += hold(u)
					e.key = u
					q.push(e)
				}
				b.ReportAllocs()
				b.ResetTimer()
				from := cpuTime()
				for range b.N {
					e := q.pop()
					u = mix(u + 1)
					e.at += hold(u)
					e.key = u
					q.push(e)
				}
				b.ReportMetric(float64((cpuTime()-from).Nanoseconds())/float64(b.N), "cpu-ns/event")
			})
		}
	}
}

// BenchmarkShape measures the kernel under the message pattern of PBFT with a
// trivial handler: deliveries per second, and memory.
func BenchmarkShape(b *testing.B) {
	for _, c := range []struct {
		n       int
		profile *profile.Profile
		cores   int
		mode    Mode
		jitter  time.Duration
	}{
		{4, nil, 1, Auto, 0},
		{4, testProfile(), 1, Fast, 0},
		{4, testProfile(), 1, Exact, 0},
		{4, testProfile(), 4, Auto, 0},
		{4, testProfile(), 4, Auto, 100 * time.Microsecond},
		{128, testProfile(), 1, Auto, 200 * time.Microsecond},
		{1000, testProfile(), 1, Auto, 0},
		{1000, testProfile(), 1, Auto, 200 * time.Microsecond},
		{1000, testProfile(), 4, Auto, 200 * time.Microsecond},
	} {
		name := fmt.Sprintf("n=%d/costs=%v/cores=%d/%s/jitter=%v", c.n, c.profile != nil, c.cores, c.mode, c.jitter)
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			deliveries := uint64(0)
			peak := uint64(0)
			cpu := time.Duration(0)
			for range b.N {
				runtime.GC()
				runtime.ReadMemStats(&before)
				b.StopTimer()
				p := c.profile
				if p != nil {
					q := *p
					q.Cores = c.cores
					p = &q
				}
				cfg := Config{Seed: 1, Mode: c.mode, Profile: p, Topology: flat(10, 250*time.Microsecond, 1e10)}
				if c.jitter > 0 {
					cfg.Topology = jittered(10, 250*time.Microsecond, c.jitter, 1e10)
				}
				s, err := newShapeSim(cfg, c.n, max(1, 16/c.n), nil)
				require.NoError(b, err)
				s.load.max = uint64(max(2, 200_000/(c.n*c.n)))
				b.StartTimer()
				from := cpuTime()
				require.NoError(b, s.Run(protocols.Time(1000*time.Second)))
				cpu += cpuTime() - from
				b.StopTimer()
				runtime.ReadMemStats(&after)
				st := s.Stats()
				deliveries += st.Deliveries
				peak = max(peak, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))
				b.StartTimer()
			}
			b.ReportMetric(float64(deliveries)/cpu.Seconds(), "deliveries/cpu-s")
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(deliveries), "cpu-ns/delivery")
			b.ReportMetric(float64(peak)/1e6, "MB")
		})
	}
}

// cpuTime is the CPU time of this process: on a shared machine the wall clock
// says little.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSmallRun builds a cluster of four and lets it answer a few requests
// under faults, as explorations do by the thousand.
func BenchmarkSmallRun(b *testing.B) {
	b.ReportAllocs()
	table := testTable()
	from := cpuTime()
	for i := range b.N {
		s, err := newShapeSim(Config{Seed: uint64(i), Table: table, Topology: jittered(1, 100*us, 50*us, 0), Faults: []Fault{{Kind: FaultPause, At: protocols.Time(ms), For: ms, Nodes: ids(2)}}}, 4, 1, nil)
		require.NoError(b, err)
		s.load.max = 10
		require.NoError(b, s.Run(protocols.Time(20*ms)))
		require.Len(b, s.samples, 10)
	}
	b.ReportMetric(float64(b.N)/(cpuTime()-from).Seconds(), "runs/cpu-s")
}
