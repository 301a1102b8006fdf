package report

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/edgebft/edgebft/experiments/figure"
	"github.com/edgebft/edgebft/experiments/internal/testrun"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/experiments/sweep"
	"github.com/stretchr/testify/require"
)

var keep = flag.String("keep", "", "file to write the report of the test to")

const text = `
suite: demo
doc: "two protocols <with> three sizes & loads"
base: {clients: 8, workload: {kind: open, rate: 1k/s, timeout: 1s}, window: {warmup: 50ms, measure: 200ms}}
matrix:
  protocol: [alpha, beta]
  f: [1, 2]
  workload.rate: [500/s, 1k/s, 2k/s, 5k/s]
  seed: {count: 6}
runs:
  - {name: crash, set: {protocol: alpha, workload.rate: 500/s, window: {warmup: 1s, measure: 11s, cooldown: 100ms}, faults: [{kind: crash, at: 4s, for: 2s, nodes: [0]}]}, matrix: {seed: {count: 3}}}
figures:
  - {kind: tput-latency, by: protocol, y: latency_p50, band: latency_p99, where: {run: "", f: 1}, title: "Throughput and latency"}
  - {kind: peak-n, by: protocol, cap: 50ms, where: {run: ""}, title: Peak}
  - {kind: latency-n, by: protocol, where: {run: "", workload.rate: 500/s}, title: Latency}
  - {kind: messages-n, by: protocol, where: {run: "", workload.rate: 500/s}, title: Messages}
  - {kind: latency-cdf, by: protocol, where: {run: "", f: 1, workload.rate: 1k/s}, title: Distribution}
  - {kind: fault-timeline, where: {run: crash}, title: "A crash"}
claims:
  - {id: C1, text: beta keeps up, check: {ratio: peak_tput, of: {protocol: beta, f: 1}, to: {protocol: alpha, f: 1}, min: 0.9}}
  - {id: C2, text: alpha is ten times faster, check: {ratio: peak_tput, of: {protocol: alpha, f: 1}, to: {protocol: beta, f: 1}, min: 10}}
thresholds: [{metric: latency_p50, max: 1, where: {protocol: beta, f: 1, workload.rate: 500/s}}]
`

// input is a suite of 99 cells, of which some are invalid, in violation, failed
// or missing.
func input(t *testing.T) Input {
	t.Helper()
	s, err := suite.Parse("demo.yaml", []byte(text), "")
	require.NoError(t, err)
	cells, err := s.Expand(testrun.Catalog())
	require.NoError(t, err)
	require.Len(t, cells, 99)
	st, err := store.Open(filepath.Join(t.TempDir(), "demo"))
	require.NoError(t, err)
	env := store.Discover("")
	rep, err := sweep.Sweep(context.Background(), sweep.Config{Suite: s, Cells: cells[1:], Store: st, Env: env, Run: func(ctx context.Context, c *suite.Cell) (*result.Outcome, error) {
		out, err := testrun.Run(ctx, c.Scenario)
		if err == nil && c.ID == cells[5].ID {
			out.Result.Validity.Valid, out.Result.Validity.Reasons = false, []string{"throttled </script><script>alert(1)</script>"}
		}
		if err == nil && c.ID == cells[9].ID {
			out.Result.Safety.Agreement = result.Fail
		}
		return out, err
	}})
	require.NoError(t, err)
	statuses, err := sweep.Statuses(cells, st, env)
	require.NoError(t, err)
	style, err := figure.FindStyle("")
	require.NoError(t, err)
	figures, err := figure.RenderAll(figure.NewData(s, rep.Groups), style, "svg")
	require.NoError(t, err)
	claims, breaches, err := stats.Evaluate(s, rep.Groups)
	require.NoError(t, err)
	return Input{Suite: s, Cells: cells, Statuses: statuses, Records: rep.Records, Groups: rep.Groups, Claims: claims, Breaches: breaches, Figures: figures, Commands: []string{"edgebft sweep demo.yaml", "edgebft report results/demo -o report.html"}}
}

func TestReport(t *testing.T) {
	in := input(t)
	b, err := HTML(in)
	require.NoError(t, err)
	if *keep != "" {
		require.NoError(t, os.WriteFile(*keep, b, 0o644))
	}
	again, err := HTML(in)
	require.NoError(t, err)
	require.Equal(t, string(b), string(again))
	page := string(b)
	require.Less(t, len(page), 2<<20, "100 cells fit into 2 MB")
	t.Logf("%d bytes", len(page))

	// Nothing is loaded from anywhere.
	require.Empty(t, regexp.MustCompile(`(?i)(src|href)\s*=\s*"(https?:|//)`).FindAllString(page, -1))
	require.NotContains(t, page, "@import")
	require.NotContains(t, page, "url(")
	for _, u := range regexp.MustCompile(`https?://[^"' )<]*`).FindAllString(page, -1) {
		require.True(t, strings.HasPrefix(u, "http://www.w3.org/"), "%s is no XML namespace", u)
	}
	require.Contains(t, page, "default-src 'none'")

	// The order of the sheet.
	at := -1
	for _, id := range []string{"problems", "claims", "figures", "tables", "provenance", "commands"} {
		i := strings.Index(page, `<section id="`+id+`">`)
		require.Greater(t, i, at, id)
		at = i
	}
	require.Equal(t, 6, strings.Count(page, `<svg class="figure"`))
	require.Contains(t, page, "safety violated: agreement")
	require.Contains(t, page, "1 violation, 1 invalid, 1 missing, 96 ok")
	require.Less(t, strings.Index(page, "safety violated"), strings.Index(page, "throttled"), "violations come first")
	require.NotContains(t, page, "<script>alert(1)", "text from results is escaped")
	require.Contains(t, page, `<span class="tag holds">holds</span>`)
	require.Contains(t, page, `<span class="tag fails">fails</span>`)
	require.Contains(t, page, "at most 1 is allowed")
	require.Contains(t, page, "edgebft sweep demo.yaml")
	require.NotContains(t, page, "ZgotmplZ")
}

func TestWithoutJavaScript(t *testing.T) {
	in := input(t)
	in.NoJS = true
	b, err := HTML(in)
	require.NoError(t, err)
	require.NotContains(t, string(b), "<script")
	require.NotContains(t, string(b), "<button")
	require.Contains(t, string(b), "<svg")
}

func TestEmptySuite(t *testing.T) {
	s, err := suite.Parse("x.yaml", []byte("{suite: x, base: {protocol: alpha}}"), "")
	require.NoError(t, err)
	cells, err := s.Expand(testrun.Catalog())
	require.NoError(t, err)
	style, err := figure.FindStyle("")
	require.NoError(t, err)
	figures, err := figure.RenderAll(figure.NewData(s, nil), style, "svg")
	require.NoError(t, err)
	b, err := HTML(Input{Suite: s, Cells: cells, Statuses: []store.CellStatus{{ID: cells[0].ID, Status: store.Missing}}, Figures: figures})
	require.NoError(t, err)
	require.Contains(t, string(b), "no data")
	require.Contains(t, string(b), "1 missing")
}
