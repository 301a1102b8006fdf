// Package testrun is a deterministic stand-in for the runner, for the tests of
// the experiment packages: a registry with two protocols and a Run whose numbers
// follow a simple queueing curve, so that figures and statistics have something
// to show. It simulates nothing and is linked into no binary.
package testrun

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/protocols"
)

// Catalog knows the protocols "alpha" (3f+1) and "beta" (2f+1).
func Catalog() *scenario.Catalog {
	entry := func(name string, k int) protocols.Entry {
		return protocols.Entry{
			Name: name, Complete: true, Hosts: protocols.OnSimulator | protocols.OnTCP, Outstanding: 8,
			Replicas:   func(f int) int { return k*f + 1 },
			Messages:   func() *protocols.MessageTable { return nil },
			NewReplica: func(*protocols.Config) []protocols.Node { return nil },
			NewClient:  func(*protocols.Config) protocols.Client { return nil },
			Options:    []protocols.Option{{Name: "batch", Default: 64, Min: 1, Max: 1024}},
			Attacks:    []protocols.Attack{{Name: "equivocate"}},
		}
	}
	return &scenario.Catalog{
		Registry:   protocols.NewRegistry(entry("alpha", 3), entry("beta", 2)),
		Attacks:    []protocols.Attack{{Name: "silent"}},
		Apps:       []scenario.App{{Name: "micro"}, {Name: "market"}},
		Topologies: []string{"lan", "metro"},
	}
}

// Capacity is the throughput that a scenario saturates at, in requests/s.
func Capacity(s *scenario.Scenario) int64 {
	c := int64(4000)
	if s.Protocol == "beta" {
		c = 7000
	}
	return c * 4 / int64(s.N)
}

// Run returns an outcome that depends on the scenario only. It honours faults of
// kind crash by a gap in the timeline.
func Run(_ context.Context, s *scenario.Scenario) (*result.Outcome, error) {
	h := fnv.New64a()
	fmt.Fprint(h, s.Hash())
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	rec, err := result.NewRecorder(result.RecorderConfig{Classes: []string{"read", "write"}, Start: s.Window.Start(), End: s.Window.End(), Timeout: s.Workload.Timeout.Std()})
	if err != nil {
		return nil, err
	}
	capacity := Capacity(s)
	rate := s.Workload.Rate.PerSecond()
	if rate == 0 {
		rate = min(int64(s.Clients*s.Workload.Outstanding)*200, capacity*9/10)
	}
	gap := int64(time.Second) / rate
	service := int64(time.Second) / capacity
	base := int64(2*time.Millisecond) + int64(s.N)*int64(100*time.Microsecond)
	free := int64(0)
	total := int64(s.Window.Total())
	bins := make([]int64, total/result.Second+1)
	down := func(t int64) (int64, bool) {
		for _, f := range s.Faults {
			if f.Kind == "crash" && t >= int64(f.At) && t < int64(f.At+f.For) {
				return int64(f.At + f.For), true
			}
		}
		return 0, false
	}
	for at := gap; at < total; at += gap {
		intended := at + rng.Int64N(gap)
		start := max(free, intended)
		if up, is := down(start); is {
			start = up
		}
		free = start + service/2 + rng.Int64N(service)
		done := free + base + rng.Int64N(base/2)
		o := protocols.Done
		if done-intended > int64(s.Workload.Timeout) {
			o, done = protocols.TimedOut, intended+int64(s.Workload.Timeout)
		} else if b := done / result.Second; b < int64(len(bins)) {
			bins[b]++
		}
		rec.Add(protocols.Sample{Class: uint8(at / gap % 2), Intended: protocols.Time(intended), Sent: protocols.Time(intended), Finished: protocols.Time(done), Outcome: o})
	}
	out := &result.Outcome{Result: result.New(s), Load: rec.Finish()}
	r := out.Result
	r.SetLoad(out.Load)
	view := uint64(0)
	for sec := range bins {
		for i := 0; i < s.N; i++ {
			row := result.ReplicaRow{Second: sec, Replica: i, Committed: bins[sec], View: view, Up: true, MessagesOut: bins[sec] * int64(s.N)}
			if _, is := down(int64(sec)*result.Second + 1); is {
				row.Up = i != 0
				row.View = view + 1
			}
			out.Timeline = append(out.Timeline, row)
		}
		if _, is := down(int64(sec)*result.Second + 1); is && view == 0 {
			view, r.ViewChanges = 1, 1
		}
	}
	for _, f := range s.Faults {
		to := f.At + f.For
		if f.For == 0 {
			to = s.Window.Warmup + s.Window.Measure + s.Window.Cooldown
		}
		r.Faults = append(r.Faults, result.FaultInterval{Label: f.Kind, FromS: result.Seconds(f.At), ToS: result.Seconds(to)})
	}
	r.Safety = result.Safety{Agreement: result.Pass, Integrity: result.Pass, Validity: result.Pass, Linearizable: result.Pass, Liveness: result.Pass, Root: result.Pass}
	n := int64(s.N)
	r.Cost.MsgsPerReq = result.Fixed(2*n*n) * 1e6
	r.Cost.BytesPerReq = result.Fixed(2*n*n*120) * 1e6
	r.Sim = &result.Sim{VirtualS: result.Seconds(total), WallS: result.Seconds(time.Now().UnixNano() % 1e9), Events: out.Load.Offered * n, TraceHash: fmt.Sprintf("%016x", rng.Uint64())}
	return out, nil
}
