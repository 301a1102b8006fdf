package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"sort"
	"strings"

	"github.com/edgebft/edgebft/experiments/figure"
	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
)

//go:embed report.html.tmpl
var page string

//go:embed report.css
var css string

//go:embed report.js
var js string

// Input is what a report shows.
type Input struct {
	Suite *suite.Suite
	// Cells and Statuses are those of the suite, in the same order; Statuses says
	// what the store knows about them.
	Cells    []*suite.Cell
	Statuses []store.CellStatus
	// Records are the recorded cells.
	Records  []*store.Record
	Groups   []*stats.Group
	Claims   []stats.ClaimVerdict
	Breaches []stats.Breach
	Figures  []*figure.Rendered
	// Commands repeat the results.
	Commands []string
	NoJS     bool
}

type problem struct {
	Level, Cell, What, Status, Reason string
}

type figureView struct {
	Name, Caption string
	SVG           template.HTML
	Block         template.JS
	CSV           string
}

type table struct {
	Title, Note string
	Header      []string
	Rows        [][]string
	Closed      bool
}

type fact struct{ Name, Value string }

type view struct {
	Title, Doc, Profile, Counts string
	CSS                         template.CSS
	JS                          template.JS
	Problems                    []problem
	Claims                      []stats.ClaimVerdict
	Breaches                    []stats.Breach
	Figures                     []figureView
	Tables                      []table
	Facts                       []fact
	Commands                    []string
	NoJS                        bool
}

// HTML returns the page.
func HTML(in Input) ([]byte, error) {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return nil, err
	}
	v := view{
		Title: in.Suite.Name, Doc: in.Suite.Doc, Profile: in.Suite.Profile(), Counts: store2text(in.Statuses),
		CSS: template.CSS(css), Problems: problems(in), Claims: in.Claims, Breaches: in.Breaches, Commands: in.Commands, NoJS: in.NoJS,
	}
	if !in.NoJS {
		v.JS = template.JS(js)
	}
	for _, f := range in.Figures {
		fv := figureView{Name: f.Figure.Name, Caption: f.Caption(), SVG: template.HTML(f.Inline())}
		block, err := f.Block()
		if err != nil {
			return nil, err
		}
		data, err := f.CSV()
		if err != nil {
			return nil, err
		}
		if !in.NoJS {
			// json.Marshal escapes <, > and &, so the block cannot end its element.
			fv.Block = template.JS(block)
		}
		fv.CSV = string(data)
		v.Figures = append(v.Figures, fv)
	}
	v.Tables = tables(in)
	v.Facts = facts(in.Records)
	var buf bytes.Buffer
	if err := t.Execute(&buf, v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func store2text(list []store.CellStatus) string {
	counts := map[store.Status]int{}
	for _, s := range list {
		counts[s.Status]++
	}
	var parts []string
	for _, s := range statusOrder {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

// statusOrder is the order of importance.
var statusOrder = []store.Status{
	store.Status(result.Violated), store.Corrupt, store.Status(result.Invalid), store.Status(result.UndecidedState),
	store.Status(result.NoProgress), store.Status(result.Failed), store.Missing, store.Stale, store.Status(result.OK),
}

func problems(in Input) []problem {
	var out []problem
	for _, want := range statusOrder {
		for i, s := range in.Statuses {
			if s.Status != want || want == store.Status(result.OK) {
				continue
			}
			p := problem{Level: string(want), Cell: s.ID, Status: string(want), Reason: s.Reason}
			if i < len(in.Cells) {
				p.What = in.Cells[i].Label()
			}
			out = append(out, p)
		}
	}
	return out
}

func tables(in Input) []table {
	var out []table
	header, rows := stats.Table(in.Groups)
	out = append(out, table{Title: "Results", Note: "Medians over the runs of a configuration, with exact 95 % confidence intervals where there are at least six. Latency counts from the intended time of a request, so that waiting before sending is part of it.", Header: header, Rows: rows})
	out = append(out, costTable(in.Groups), safetyTable(in.Groups), cellTable(in.Records))
	return out
}

func costTable(groups []*stats.Group) table {
	names := []string{"msgs_per_req", "bytes_per_req", "mac_ops_per_req", "sign_per_req", "verify_per_req", "cpu_ms_per_req", "energy_j_per_req", "cpct_usd"}
	t := table{Title: "Cost of a request", Note: "A dash is unknown: no CPU profile, energy model or prices.", Closed: true, Header: []string{"what"}}
	var ms []stats.Metric
	for _, n := range names {
		m, err := stats.FindMetric(n)
		if err != nil {
			panic(err)
		}
		ms = append(ms, m)
		t.Header = append(t.Header, m.Axis())
	}
	for _, g := range groups {
		row := []string{g.Label()}
		for _, m := range ms {
			row = append(row, stats.Cell(stats.Summarise(g.Values(m))))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// safetyTable counts the verdicts of every check.
func safetyTable(groups []*stats.Group) table {
	t := table{Title: "Checks", Note: "Runs with the verdict ok / violated / undecided.", Header: []string{"what", "agreement", "integrity", "validity", "linearizable", "root", "liveness"}}
	for _, g := range groups {
		row := []string{g.Label()}
		for _, f := range []func(s *result.Safety) result.Verdict{
			func(s *result.Safety) result.Verdict { return s.Agreement },
			func(s *result.Safety) result.Verdict { return s.Integrity },
			func(s *result.Safety) result.Verdict { return s.Validity },
			func(s *result.Safety) result.Verdict { return s.Linearizable },
			func(s *result.Safety) result.Verdict { return s.Root },
			func(s *result.Safety) result.Verdict { return s.Liveness },
		} {
			var n [3]int
			for _, r := range g.Records {
				n[f(&r.Result.Safety)]++
			}
			row = append(row, fmt.Sprintf("%d / %d / %d", n[result.Pass], n[result.Fail], n[result.Undecided]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func cellTable(records []*store.Record) table {
	t := table{Title: "Cells", Closed: true, Header: []string{"cell", "state", "what", "seed", "throughput ops/s", "p50 ms", "p99 ms", "lost", "revision", "trace hash"}}
	for _, r := range records {
		c := suite.Cell{Run: r.Manifest.Run, Axes: r.Manifest.Axes}
		what := ""
		if len(c.Axes) > 0 || c.Run != "" {
			what = c.Label()
		}
		row := []string{r.Manifest.Cell, r.Manifest.State, what, fmt.Sprint(r.Manifest.Seed), "-", "-", "-", "-", r.Manifest.Revision.String(), r.Manifest.TraceHash}
		if x := r.Result; x != nil {
			row[4], row[5], row[6] = stats.Number(x.ThroughputTPS.Float()), stats.Number(x.LatencyMS.P50.Float()), stats.Number(x.LatencyMS.P99.Float())
			row[7] = fmt.Sprint(x.Failed + x.TimedOut)
		}
		if len(row[9]) > 16 {
			row[9] = row[9][:16]
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// facts summarises the manifests; more than one value of a fact is shown with
// its counts.
func facts(records []*store.Record) []fact {
	list := []struct {
		name string
		get  func(m *store.Manifest) string
	}{
		{"Mode", func(m *store.Manifest) string { return m.Mode }},
		{"Revision", func(m *store.Manifest) string { return m.Revision.String() + " (" + m.Revision.Source + ")" }},
		{"Version", func(m *store.Manifest) string { return m.Build.Version }},
		{"Go", func(m *store.Manifest) string { return m.Build.Go + " " + m.Build.GOOS + "/" + m.Build.GOARCH }},
		{"GOMAXPROCS", func(m *store.Manifest) string { return fmt.Sprint(m.Build.GOMAXPROCS) }},
		{"Modules (SHA-256)", func(m *store.Manifest) string { return fmt.Sprintf("%.16s", m.Build.Modules) }},
		{"Processor", func(m *store.Manifest) string { return fmt.Sprintf("%s, %d cores", m.Host.CPU, m.Host.Cores) }},
		{"Memory", func(m *store.Manifest) string { return fmt.Sprintf("%.1f GiB", float64(m.Host.MemoryBytes)/(1<<30)) }},
		{"Kernel", func(m *store.Manifest) string { return m.Host.Kernel }},
		{"Link emulation", func(m *store.Manifest) string { return m.Emulation }},
	}
	var out []fact
	for _, f := range list {
		counts := map[string]int{}
		for _, r := range records {
			counts[f.get(r.Manifest)]++
		}
		var values []string
		for v := range counts {
			values = append(values, v)
		}
		sort.Strings(values)
		if len(values) > 1 {
			for i, v := range values {
				values[i] = fmt.Sprintf("%s (%d cells)", v, counts[v])
			}
		}
		if text := strings.Join(values, "; "); strings.Trim(text, " ") != "" {
			out = append(out, fact{f.name, text})
		}
	}
	return out
}
