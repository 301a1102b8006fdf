package figure

import (
	"math"
	"sort"
	"strconv"

	"gonum.org/v1/plot"
)

// axisRange is what an axis shows, with its ticks.
type axisRange struct {
	min, max float64
	ticks    []plot.Tick
}

// linearAxis chooses round bounds and about n labelled ticks.
func linearAxis(lo, hi float64, fromZero, whole bool, n int) axisRange {
	if fromZero {
		lo, hi = math.Min(lo, 0), math.Max(hi, 0)
	}
	if lo == hi {
		pad := math.Abs(lo) * 0.1
		if pad == 0 {
			pad = 1
		}
		if !fromZero || lo < 0 {
			lo -= pad
		}
		if !fromZero || hi >= 0 {
			hi += pad
		}
	}
	raw := (hi - lo) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if step*m >= raw*(1-1e-9) {
			step *= m
			break
		}
	}
	if whole {
		step = math.Max(1, math.Round(step))
	}
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	a := axisRange{min: first * step, max: last * step}
	for i := first; i <= last; i++ {
		v := i * step
		a.ticks = append(a.ticks, plot.Tick{Value: v, Label: tickLabel(v, step)})
		if len(a.ticks) > 100 {
			break
		}
	}
	return a
}

// logAxis chooses bounds and ticks of a logarithmic axis: decades, and 2 and 5
// between them where there are few. At most about n ticks are labelled.
func logAxis(lo, hi float64, n int) axisRange {
	if lo == hi {
		lo, hi = lo/2, hi*2
	}
	l0, l1 := math.Log10(lo), math.Log10(hi)
	pad := math.Max((l1-l0)*0.04, 0.01)
	a := axisRange{min: math.Pow(10, l0-pad), max: math.Pow(10, l1+pad)}
	decades := l1 - l0
	var labelled []float64
	switch {
	case decades <= 0.75:
		// Too short for 1, 2, 5: round linear ticks are denser.
		lin := linearAxis(lo, hi, false, false, 4)
		for _, t := range lin.ticks {
			if t.Value >= a.min && t.Value <= a.max && t.Value > 0 {
				a.ticks = append(a.ticks, t)
			}
		}
		if len(a.ticks) >= 2 {
			return a
		}
		labelled = []float64{1, 1.5, 2, 3, 5, 7}
	case decades*3 <= float64(n)+1:
		labelled = []float64{1, 2, 5}
	default:
		labelled = []float64{1}
	}
	a.ticks = nil
	every := int(math.Ceil(decades / float64(max(n-1, 1))))
	for e := math.Floor(l0 - pad); e <= math.Ceil(l1+pad); e++ {
		decade := math.Pow(10, e)
		for m := 1; m <= 9; m++ {
			v := float64(m) * decade
			if v >= a.min && v <= a.max {
				a.ticks = append(a.ticks, plot.Tick{Value: v})
			}
		}
		for _, m := range labelled {
			v := m * decade
			if v < a.min || v > a.max || every > 1 && int(math.Abs(e))%every != 0 {
				continue
			}
			a.ticks = append(a.ticks, plot.Tick{Value: v, Label: tickLabel(v, v)})
		}
	}
	return a
}

// valueAxis is a logarithmic axis whose ticks are the values of the data.
func valueAxis(values []float64) axisRange {
	sorted := append([]float64(nil), values...)
	sort.Float64s(sorted)
	uniq := sorted[:0]
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			uniq = append(uniq, v)
		}
	}
	a := logAxis(uniq[0], uniq[len(uniq)-1], 8)
	a.ticks = nil
	span := math.Log(a.max / a.min)
	last := math.Inf(-1)
	for i, v := range uniq {
		t := plot.Tick{Value: v}
		// Labels that would touch the one before are left out; the last one wins.
		room := math.Log(v/last)/span > 0.075
		if i == 0 || math.IsInf(last, -1) {
			room = true
		}
		if next := uniq[len(uniq)-1]; i < len(uniq)-1 && math.Log(next/v)/span <= 0.075 {
			room = false
		}
		if room {
			t.Label = tickLabel(v, v)
			last = v
		} else {
			t.Label = ""
		}
		a.ticks = append(a.ticks, t)
	}
	return a
}

// tickLabel prints a value with the precision that step needs, and with k, M, G
// for thousands.
func tickLabel(v, step float64) string {
	if v == 0 {
		return "0"
	}
	unit, suffix := 1.0, ""
	switch a := math.Abs(v); {
	case a >= 1e15 || a < 1e-4:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 1e9 && step >= 1e7:
		unit, suffix = 1e9, "G"
	case a >= 1e6 && step >= 1e4:
		unit, suffix = 1e6, "M"
	case a >= 1e3 && step >= 10:
		unit, suffix = 1e3, "k"
	}
	digits := 0
	s := math.Abs(step) / unit
	for digits < 9 && math.Abs(s-math.Round(s)) > 1e-6*s {
		s *= 10
		digits++
	}
	return strconv.FormatFloat(v/unit, 'f', digits, 64) + suffix
}

type fixedTicks []plot.Tick

// Ticks implements plot.Ticker.
func (f fixedTicks) Ticks(lo, hi float64) []plot.Tick { return f }
