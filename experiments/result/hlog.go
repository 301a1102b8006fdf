package result

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const windowTag = "window/"

// Interval is one histogram of latency.hlog.
type Interval struct {
	// Class of operations. Window says that it covers the whole measured window
	// by intended time; otherwise it is the second that begins at StartMS.
	Class   string
	Window  bool
	StartMS int64
	Hist    *hdrhistogram.Histogram
}

// ReadLog reads latency.hlog.
func ReadLog(data []byte) (out []Interval, err error) {
	defer func() {
		// The library trusts its input in places; a damaged file must be an error.
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("latency log: damaged: %v", p)
		}
	}()
	r := hdrhistogram.NewHistogramLogReader(bytes.NewReader(data))
	for {
		h, err := r.NextIntervalHistogram()
		if err != nil {
			return nil, fmt.Errorf("latency log: %w", err)
		}
		if h == nil {
			return out, nil
		}
		class, window := strings.CutPrefix(h.Tag(), windowTag)
		out = append(out, Interval{Class: class, Window: window, StartMS: h.StartTimeMs(), Hist: h})
	}
}

// WindowHistogram returns the histogram of the measured window over all classes.
func WindowHistogram(intervals []Interval) *hdrhistogram.Histogram {
	var hs []*hdrhistogram.Histogram
	for _, i := range intervals {
		if i.Window {
			hs = append(hs, i.Hist)
		}
	}
	return Merge(hs...)
}

// Merge returns a new histogram with everything that was recorded in hs; nil if
// there is none. This is how distributions of several runs are combined.
func Merge(hs ...*hdrhistogram.Histogram) *hdrhistogram.Histogram {
	var highest int64
	for _, h := range hs {
		if h != nil {
			highest = max(highest, h.HighestTrackableValue())
		}
	}
	if highest == 0 {
		return nil
	}
	sum := hdrhistogram.New(1, highest, digits)
	for _, h := range hs {
		if h != nil {
			sum.Merge(h)
		}
	}
	return sum
}
