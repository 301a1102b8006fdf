package figure

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// CSV returns exactly the plotted points, guides and intervals excluded.
func (r *Rendered) CSV() ([]byte, error) {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	if err := w.Write([]string{"panel", "series", "line", "x", "y", "x_lo", "x_hi", "y_lo", "y_hi", "saturated", "runs", "label"}); err != nil {
		return nil, err
	}
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for i, p := range r.Figure.Panels {
		for _, s := range p.Series {
			kind := "main"
			if s.Thin {
				kind = "thin"
			}
			for _, pt := range s.Points {
				x := num(pt.X)
				if len(p.Categories) > 0 {
					x = p.Categories[int(pt.X)]
				}
				row := []string{strconv.Itoa(i + 1), s.Name, kind, x, num(pt.Y), num(pt.XLo), num(pt.XHi), num(pt.YLo), num(pt.YHi), strconv.FormatBool(pt.Hollow), strconv.Itoa(pt.N), pt.Label}
				if err := w.Write(row); err != nil {
					return nil, err
				}
			}
		}
	}
	w.Flush()
	return buf.Bytes(), w.Error()
}

// JSON returns the specification: the figure as data.
func (r *Rendered) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r.Figure, "", " ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// Caption returns the caption with its notes.
func (r *Rendered) Caption() string {
	return strings.TrimSpace(strings.Join(append([]string{r.Figure.Caption}, r.Figure.Notes...), " "))
}

// Stub returns a matplotlib script that draws the CSV again, for authors who
// restyle.
func (r *Rendered) Stub() []byte {
	f := r.Figure
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Redraws %s.csv; change what you like.\n", f.Name)
	b.WriteString("import csv\nimport matplotlib.pyplot as plt\n\n")
	fmt.Fprintf(&b, "rows = list(csv.DictReader(open(%q)))\n", f.Name+".csv")
	fmt.Fprintf(&b, "fig, axes = plt.subplots(%d, 1, squeeze=False, figsize=(%.2f, %.2f))\n", max(len(f.Panels), 1), float64(r.Width)/72, float64(r.Height)/72)
	for i, p := range f.Panels {
		fmt.Fprintf(&b, "\nax = axes[%d][0]\npanel = [r for r in rows if r['panel'] == '%d']\n", i, i+1)
		b.WriteString("for name in dict.fromkeys((r['series'], r['line']) for r in panel):\n")
		b.WriteString("    pts = [r for r in panel if (r['series'], r['line']) == name]\n")
		if len(p.Categories) > 0 {
			b.WriteString("    ax.bar([r['x'] for r in pts], [float(r['y']) for r in pts], label=name[0])\n")
		} else {
			b.WriteString("    ax.plot([float(r['x']) for r in pts], [float(r['y']) for r in pts], marker='o', label=name[0] if name[1] == 'main' else None)\n")
			for _, a := range []struct {
				axis  string
				scale Scale
			}{{"x", p.X.Scale}, {"y", p.Y.Scale}} {
				if a.scale == Log || a.scale == Log2 {
					fmt.Fprintf(&b, "ax.set_%sscale('log')\n", a.axis)
				}
			}
		}
		fmt.Fprintf(&b, "ax.set_xlabel(%q)\nax.set_ylabel(%q)\nax.legend()\n", p.X.Label, p.Y.Label)
	}
	fmt.Fprintf(&b, "\nfig.tight_layout()\nfig.savefig(%q)\n", f.Name+"-restyled.pdf")
	return b.Bytes()
}

var (
	svgProlog = regexp.MustCompile(`(?s)^.*?(<svg )`)
	svgSize   = regexp.MustCompile(`^<svg width="[^"]*" height="[^"]*"`)
)

// Inline returns the SVG without prolog and comment, scaled by its viewBox, for a
// page.
func (r *Rendered) Inline() string {
	s := svgProlog.ReplaceAllString(string(r.Files["svg"]), "$1")
	return svgSize.ReplaceAllString(s, `<svg class="figure" style="max-width:`+strconv.FormatFloat(float64(r.Width)*1.9, 'f', 0, 64)+`px"`)
}

// Block returns the data-to-pixel mapping for the page: for every point its place
// in the SVG and what it stands for.
func (r *Rendered) Block() ([]byte, error) {
	type point struct {
		X     float64 `json:"x"`
		Y     float64 `json:"y"`
		S     string  `json:"s"`
		T     string  `json:"t"`
		Panel int     `json:"p"`
	}
	pts := []point{}
	for _, px := range r.Pixels {
		p := &r.Figure.Panels[px.Panel]
		s := &p.Series[px.Series]
		pt := s.Points[px.Point]
		x := short(pt.X)
		if len(p.Categories) > 0 {
			x = p.Categories[int(pt.X)]
		}
		text := fmt.Sprintf("%s: %s\n%s: %s", p.X.Label, x, p.Y.Label, short(pt.Y))
		if pt.YLo != pt.Y || pt.YHi != pt.Y {
			text += fmt.Sprintf(" [%s, %s]", short(pt.YLo), short(pt.YHi))
		}
		if pt.Label != "" {
			text += "\n" + pt.Label
		}
		if pt.N > 1 {
			text += fmt.Sprintf("\n%d runs", pt.N)
		}
		if pt.Hollow {
			text += "\nsaturated"
		}
		pts = append(pts, point{px.X, px.Y, s.Name, text, px.Panel})
	}
	return json.Marshal(struct {
		Width  float64 `json:"width"`
		Height float64 `json:"height"`
		Areas  []Area  `json:"areas"`
		Points []point `json:"points"`
	}{round(r.Width), round(r.Height), r.Areas, pts})
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 5, 64) }

// Write writes the figure with its companions to dir: name.svg, .png and .pdf as
// rendered, name.csv, name.json, name.txt (the caption) and name.py. It returns
// the names of the drawings.
func (r *Rendered) Write(dir string, replace func(path string, data []byte) error) ([]string, error) {
	if replace == nil {
		replace = func(path string, data []byte) error { return os.WriteFile(path, data, 0o644) }
	}
	table, err := r.CSV()
	if err != nil {
		return nil, err
	}
	spec, err := r.JSON()
	if err != nil {
		return nil, err
	}
	var names []string
	base := filepath.Join(dir, r.Figure.Name)
	for _, format := range Formats() {
		data, ok := r.Files[format]
		if !ok {
			continue
		}
		if err := replace(base+"."+format, data); err != nil {
			return nil, err
		}
		names = append(names, base+"."+format)
	}
	for ext, data := range map[string][]byte{".csv": table, ".json": spec, ".txt": []byte(r.Caption() + "\n"), ".py": r.Stub()} {
		if err := replace(base+ext, data); err != nil {
			return nil, err
		}
	}
	return names, nil
}
