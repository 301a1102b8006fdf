package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/edgebft/edgebft/experiments/exit"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/experiments/scenario"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/sweep"
)

// IO is where a verb writes.
type IO struct {
	Out, Err io.Writer
	// Terminal says that Err is one.
	Terminal bool
	// JSON asks for machine-readable results, Quiet for no progress.
	JSON, Quiet bool
}

func (w IO) json(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Out.Write(append(b, '\n'))
	return err
}

// SimOptions are the flags of edgebft sim.
type SimOptions struct {
	// File is a scenario file, a scenario as JSON text, or "" for the defaults.
	File string
	// Set are overrides path=value, applied in order.
	Set []string
	// DryRun prints the resolved scenario and does not run it.
	DryRun bool
}

// readScenario reads a scenario from a file, from JSON text, or from overrides alone.
func readScenario(file string, set []string) (s *scenario.Scenario, err error) {
	switch {
	case file == "":
		s, err = scenario.Parse("command line", []byte("{}"), set...)
	case strings.HasPrefix(strings.TrimSpace(file), "{"):
		s, err = scenario.Parse("command line", []byte(file), set...)
	default:
		s, err = scenario.Load(file, set...)
	}
	return s, exit.Wrap(exit.Usage, err)
}

// loadScenario reads and resolves a scenario.
func loadScenario(c *scenario.Catalog, file string, set []string) (*scenario.Scenario, error) {
	s, err := readScenario(file, set)
	if err == nil {
		err = exit.Wrap(exit.Usage, s.Resolve(c))
	}
	return s, err
}

// Sim runs one scenario in the simulator and prints its result.
func Sim(ctx context.Context, w IO, o SimOptions) error {
	c := run.Catalog()
	s, err := loadScenario(c, o.File, o.Set)
	if err != nil {
		return err
	}
	if o.DryRun {
		return w.json(s)
	}
	out, err := run.Sim(ctx, c, s, run.Options{})
	if err != nil {
		return err
	}
	stats.Judge(out, stats.DefaultGates)
	if err := printResult(w, out.Result); err != nil {
		return err
	}
	return verdict(s, out.Result)
}

// verdict turns a result into the exit of the program. A safety violation comes
// with the line that reproduces it.
func verdict(s *scenario.Scenario, r *result.Result) error {
	state, reason := r.Judge()
	if state == result.OK {
		return nil
	}
	if state == result.Violated {
		reason += "\nreproduce: " + Reproduce(s, nil)
	}
	return exit.Errorf(state.Code(), "%s", reason)
}

// Reproduce returns the one line that runs a scenario again, with the program that
// ran it: the one that wrote m, or this one if m is nil.
func Reproduce(s *scenario.Scenario, m *store.Manifest) string {
	// Files are named so that they are found from anywhere.
	named := *s
	if f := s.TopologyFile; f != nil {
		named.Topology = f.From
	}
	if f := s.CostsFile; f != nil {
		named.Costs = f.From
	}
	b, err := json.Marshal(&named)
	if err != nil {
		return err.Error()
	}
	rev, version, system, arch := "", runtime.Version(), runtime.GOOS, runtime.GOARCH
	if m != nil {
		rev, version, system, arch = m.Revision.String(), m.Build.Go, m.Build.GOOS, m.Build.GOARCH
	} else {
		rev = store.Discover("").Revision.String()
	}
	return fmt.Sprintf("edgebft sim '%s'   # rev %s, %s, %s/%s", quotable(b), rev, version, system, arch)
}

// quotable writes JSON so that it can stand between single quotes of a shell: an
// apostrophe is possible in strings only, where JSON has another form for it.
func quotable(text []byte) []byte { return bytes.ReplaceAll(text, []byte("'"), []byte("\\u0027")) }

func printResult(w IO, r *result.Result) error {
	if w.JSON {
		b, err := r.Encode()
		if err != nil {
			return err
		}
		_, err = w.Out.Write(b)
		return err
	}
	rows := [][]string{
		{"protocol", fmt.Sprintf("%s, n=%d, f=%d", r.Protocol, r.N, r.F)},
		{"workload", fmt.Sprintf("%s, %s loop, %d clients", r.Workload, r.Load, r.Clients)},
		{"topology, costs", r.Topology + ", " + r.Costs},
		{"committed", fmt.Sprintf("%d in %s s (%d refused by rule, %d timed out, %d not submitted)", r.Committed, r.DurationS, r.Rejected, r.TimedOut, r.Failed)},
		{"throughput", r.ThroughputTPS.String() + " requests/s"},
		{"latency p50, p95, p99, max", fmt.Sprintf("%s, %s, %s, %s ms", r.LatencyMS.P50, r.LatencyMS.P95, r.LatencyMS.P99, r.LatencyMS.Max)},
		{"view changes", fmt.Sprint(r.ViewChanges)},
		{"messages, bytes per request", r.Cost.MsgsPerReq.String() + ", " + r.Cost.BytesPerReq.String()},
		{"MAC operations per request, busiest replica", r.Cost.MACOpsBottleneckPerReq.String()},
		{"agreement, integrity, validity", fmt.Sprintf("%s, %s, %s", r.Safety.Agreement, r.Safety.Integrity, r.Safety.Validity)},
		{"linearizable, root, liveness", fmt.Sprintf("%s, %s, %s", r.Safety.Linearizable, r.Safety.Root, r.Safety.Liveness)},
	}
	if r.Sim != nil {
		rows = append(rows, []string{"simulated", fmt.Sprintf("%s s in %s s, %s events/s", r.Sim.VirtualS, r.Sim.WallS, r.Sim.EventsPerS)},
			[]string{"trace hash", r.Sim.TraceHash})
	}
	if len(r.Labels) > 0 {
		rows = append(rows, []string{"note", strings.Join(r.Labels, "; ")})
	}
	return sweep.WriteTable(w.Out, []string{"", "seed " + fmt.Sprint(r.Seed)}, rows)
}
