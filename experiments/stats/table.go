package stats

import (
	"fmt"
	"math"
	"strings"

	"github.com/edgebft/edgebft/experiments/result"
)

// Table gives one row per group: its coordinates, the number of runs, and the
// medians over them.
func Table(groups []*Group) (header []string, rows [][]string) {
	var paths []string
	seen := map[string]bool{"protocol": true, "n": true, "f": true, "run": true}
	runs := false
	for _, g := range groups {
		runs = runs || g.Run != ""
		for _, a := range g.Axes {
			if !seen[a.Path] {
				seen[a.Path] = true
				paths = append(paths, a.Path)
			}
		}
	}
	if runs {
		header = append(header, "run")
	}
	header = append(header, "protocol", "n", "f")
	for _, p := range paths {
		header = append(header, p[strings.LastIndexByte(p, '.')+1:])
	}
	header = append(header, "runs", "offered ops/s", "throughput ops/s", "p50 ms", "p99 ms", "msgs/op", "view changes", "notes")
	for _, g := range groups {
		var row []string
		if runs {
			row = append(row, g.Run)
		}
		row = append(row, g.Value("protocol"), g.Value("n"), g.Value("f"))
		for _, p := range paths {
			row = append(row, g.Value(p))
		}
		row = append(row, fmt.Sprint(len(g.Records)))
		for _, name := range []string{"offered", "throughput", "latency_p50", "latency_p99", "msgs_per_req", "view_changes"} {
			m, err := FindMetric(name)
			if err != nil {
				panic(err)
			}
			row = append(row, Cell(Summarise(g.Values(m))))
		}
		rows = append(rows, append(row, g.Notes()))
	}
	return header, rows
}

// Cell prints a median, with its interval where there is one.
func Cell(s Summary) string {
	if s.N == 0 {
		return "-"
	}
	text := Number(s.Median)
	if s.HasCI && s.Lo != s.Hi {
		text += fmt.Sprintf(" [%s, %s]", Number(s.Lo), Number(s.Hi))
	}
	return text
}

// Number prints a value with three or four significant digits and never as 0
// unless it is.
func Number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "-"
	case v == 0:
		return "0"
	case a >= 1000:
		return fmt.Sprintf("%.0f", v)
	case a >= 100:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	case a >= 0.001:
		return fmt.Sprintf("%.4f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Notes says what a reader of the numbers must know.
func (g *Group) Notes() string {
	var notes []string
	add := func(s string) {
		for _, n := range notes {
			if n == s {
				return
			}
		}
		notes = append(notes, s)
	}
	if g.Saturated() {
		add("saturated")
	}
	for _, r := range g.Records {
		if s := r.State(); s != result.OK {
			add(string(s))
		}
		if !r.Result.Steady.Steady {
			add("not steady")
		}
		if r.Result.Failed+r.Result.TimedOut > 0 {
			add("requests lost")
		}
	}
	return strings.Join(notes, ", ")
}
