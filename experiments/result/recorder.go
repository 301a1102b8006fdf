package result

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/edgebft/edgebft/protocols"
)

// Second is the width of a bin of the tables, in nanoseconds.
const Second = int64(time.Second)

// significant digits of the histograms.
const digits = 3

// RecorderConfig says what a Recorder measures.
type RecorderConfig struct {
	// Classes names the classes of operations by their index; at most 64. Empty
	// means one class, "all".
	Classes []string
	// Origin is the time at which the run started; all other times count from it.
	Origin protocols.Time
	// Start and End bound the measured window.
	Start, End time.Duration
	// Timeout is where failed and timed-out requests are censored.
	Timeout time.Duration
}

// Recorder turns samples into histograms and tables. It is not safe for
// concurrent use.
type Recorder struct {
	cfg        RecorderConfig
	start, end int64
	timeout    int64
	highest    int64
	classes    []*classRecorder
	all        *classRecorder
	each       []*classRecorder // all, then the classes
	lag        *hdrhistogram.Histogram
	log        bytes.Buffer
	writer     *hdrhistogram.HistogramLogWriter
	second     int64
	offered    int64
	intended   [3]int64 // requests intended before the start, the middle and the end of the window
	ended      [3]int64
	halves     [2]int64
}

type classRecorder struct {
	name     string
	window   *hdrhistogram.Histogram
	now      *hdrhistogram.Histogram
	rows     []LoadRow
	sum      int64
	max      int64
	censored int64
	c        Class
}

// NewRecorder returns a recorder for one run.
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	if len(cfg.Classes) == 0 {
		cfg.Classes = []string{"all"}
	}
	if len(cfg.Classes) > 64 {
		return nil, fmt.Errorf("%d classes of operations; at most 64 are recorded", len(cfg.Classes))
	}
	if cfg.Timeout <= 0 || cfg.Start < 0 || cfg.End <= cfg.Start {
		return nil, fmt.Errorf("recorder: window %s..%s with time-out %s; needed are 0 <= start < end and a positive time-out", cfg.Start, cfg.End, cfg.Timeout)
	}
	r := &Recorder{cfg: cfg, start: int64(cfg.Start), end: int64(cfg.End), timeout: int64(cfg.Timeout)}
	r.highest = max(2*r.timeout, 1<<20)
	if r.timeout > math.MaxInt64/4 {
		return nil, fmt.Errorf("recorder: time-out %s is too long", cfg.Timeout)
	}
	for _, name := range cfg.Classes {
		r.classes = append(r.classes, r.newClass(name))
	}
	r.all = r.newClass("")
	r.each = append([]*classRecorder{r.all}, r.classes...)
	r.lag = hdrhistogram.New(1, r.highest, digits)
	r.writer = hdrhistogram.NewHistogramLogWriter(&r.log)
	if err := r.header(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Recorder) header() error {
	if err := r.writer.OutputComment("[edgebft: values in ns; tag = class of one second; tag window/class = measured window by intended time]"); err != nil {
		return err
	}
	if err := r.writer.OutputLogFormatVersion(); err != nil {
		return err
	}
	return r.writer.OutputLegend()
}

func (r *Recorder) newClass(name string) *classRecorder {
	return &classRecorder{
		name: name, c: Class{Name: name},
		window: hdrhistogram.New(1, r.highest, digits), now: hdrhistogram.New(1, r.highest, digits),
	}
}

// Add records one operation. Samples come in the order of Finished, as
// LoadEnv.Record delivers them; a late one counts in the present second.
func (r *Recorder) Add(s protocols.Sample) {
	intended, finished := int64(s.Intended-r.cfg.Origin), int64(s.Finished-r.cfg.Origin)
	if at := finished / Second; at > r.second {
		r.roll(at)
	}
	class := min(int(s.Class), len(r.classes)-1)
	inWindow := intended >= r.start && intended < r.end
	latency := finished - intended
	censored := s.Outcome == protocols.TimedOut || s.Outcome == protocols.Dropped
	if censored {
		latency = r.timeout
	}
	latency = min(max(latency, 0), r.highest)
	for _, c := range [2]*classRecorder{r.classes[class], r.all} {
		c.add(s.Outcome, latency, intended, finished, r.second, inWindow, finished >= r.start && finished < r.end, censored)
	}
	middle := r.start + (r.end-r.start)/2
	for i, t := range [3]int64{r.start, middle, r.end} {
		if intended < t {
			r.intended[i]++
		}
		if finished < t {
			r.ended[i]++
		}
	}
	if !censored && finished >= r.start && finished < r.end {
		if finished < middle {
			r.halves[0]++
		} else {
			r.halves[1]++
		}
	}
	if inWindow {
		r.offered++
		if s.Outcome != protocols.Dropped {
			_ = r.lag.RecordValue(min(max(int64(s.Sent-s.Intended), 0), r.highest))
		}
	}
}

func (c *classRecorder) add(o protocols.Outcome, latency, intended, finished, second int64, inWindow, doneInWindow, censored bool) {
	// RecordValue cannot fail: latency was clamped to the range.
	_ = c.now.RecordValue(latency)
	row := c.row(max(second, finished/Second))
	switch o {
	case protocols.Done:
		row.Committed++
	case protocols.Rejected:
		row.Committed++
		row.Rejected++
	case protocols.TimedOut:
		row.TimedOut++
	default:
		row.Failed++
	}
	if intended >= 0 {
		c.row(intended/Second).Offered++
	}
	if doneInWindow && !censored {
		c.c.Committed++
		if o == protocols.Rejected {
			c.c.Rejected++
		}
	}
	if !inWindow {
		return
	}
	_ = c.window.RecordValue(latency)
	c.sum += latency
	c.max = max(c.max, latency)
	switch o {
	case protocols.TimedOut:
		c.c.TimedOut++
		c.censored++
	case protocols.Dropped:
		c.c.Failed++
		c.censored++
	}
}

// maxSeconds bounds the tables; a run longer than this is not one cell.
const maxSeconds = 1 << 17

func (c *classRecorder) row(second int64) *LoadRow {
	second = min(max(second, 0), maxSeconds-1)
	for int64(len(c.rows)) <= second {
		c.rows = append(c.rows, LoadRow{Second: len(c.rows), Class: c.name})
	}
	return &c.rows[second]
}

// roll ends the present second.
func (r *Recorder) roll(next int64) {
	for _, c := range r.each {
		if c.now.TotalCount() == 0 {
			continue
		}
		row := c.row(r.second)
		q := Quantiles(c.now, 500, 990, 1000)
		row.P50, row.P99, row.Max = q[0], q[1], q[2]
		if c != r.all {
			r.write(c.now, c.name, r.second*1000, (r.second+1)*1000)
		}
		c.now.Reset()
	}
	r.second = next
}

func (r *Recorder) write(h *hdrhistogram.Histogram, tag string, fromMS, toMS int64) {
	h.SetTag(tag)
	h.SetStartTimeMs(fromMS)
	h.SetEndTimeMs(toMS)
	// Writing to a bytes.Buffer and encoding a valid histogram do not fail.
	_ = r.writer.OutputIntervalHistogram(h)
}

// Load is what the clients of one run saw.
type Load struct {
	// Total covers all classes, Classes each of them in their order.
	Total      Class
	Classes    []Class
	OfferedTPS Fixed
	// Dropped is the number of intended requests of the window that were never
	// submitted, Offered all of them.
	Offered int64
	// Halves are the requests committed in the first and the second half of the
	// window, Backlog those intended but not ended at its start, middle and end.
	Halves  [2]int64
	Backlog [3]int64
	// Dispersion is the variance of the requests intended per second over their mean,
	// over the whole seconds of the window; nil if there are fewer than
	// minDispersion, or no requests.
	Dispersion *Fixed
	// LagP99 is how late requests were sent.
	LagP99 Millis
	// Rows has one row per second and class (class "" is all), ordered by class
	// as in Classes with "" first, then by second.
	Rows []LoadRow
	// HLog is latency.hlog.
	HLog []byte
	// Window holds the histogram of the window over all classes, in ns.
	Window *hdrhistogram.Histogram
}

// Finish closes the recorder and returns what it measured.
func (r *Recorder) Finish() *Load {
	r.roll(r.second + 1)
	l := &Load{Offered: r.offered, OfferedTPS: perSecond(r.offered, r.end-r.start), LagP99: Millis(Quantile(r.lag, 990)), Window: r.all.window}
	l.Halves = r.halves
	l.Dispersion = r.dispersion()
	for i := range l.Backlog {
		l.Backlog[i] = r.intended[i] - r.ended[i]
	}
	seconds := 0
	for _, c := range r.each {
		seconds = max(seconds, len(c.rows))
	}
	for _, c := range r.each {
		if seconds > 0 {
			c.row(int64(seconds - 1))
		}
		l.Rows = append(l.Rows, c.rows...)
		c.c.ThroughputTPS = perSecond(c.c.Committed, r.end-r.start)
		c.c.LatencyMS = Summarise(c.window, c.sum, c.max, c.censored)
		if c == r.all {
			l.Total = c.c
			continue
		}
		l.Classes = append(l.Classes, c.c)
	}
	for _, c := range r.classes {
		if c.window.TotalCount() > 0 {
			r.write(c.window, windowTag+c.name, int64(r.start/1e6), int64(r.end/1e6))
		}
	}
	l.HLog = r.log.Bytes()
	return l
}

// minDispersion is how many seconds an index of dispersion needs.
const minDispersion = 10

func (r *Recorder) dispersion() *Fixed {
	first, last := (r.start+Second-1)/Second, r.end/Second // [first, last)
	n := last - first
	if n < minDispersion || last > maxSeconds {
		return nil
	}
	var sum int64
	count := func(second int64) int64 {
		if second < int64(len(r.all.rows)) {
			return r.all.rows[second].Offered
		}
		return 0
	}
	for s := first; s < last; s++ {
		sum += count(s)
	}
	if sum == 0 {
		return nil
	}
	// The mean is sum/n and the variance the sum of (x - sum/n)^2 over n-1; the ratio
	// in integers is (n * sum of x^2 - sum^2) / ((n-1) * sum).
	var top, square, x big.Int
	for s := first; s < last; s++ {
		x.SetInt64(count(s))
		top.Add(&top, square.Mul(&x, &x))
	}
	top.Mul(&top, x.SetInt64(n))
	x.SetInt64(sum)
	top.Sub(&top, square.Mul(&x, &x))
	top.Mul(&top, x.SetInt64(1_000_000))
	x.SetInt64(n - 1)
	top.Div(&top, x.Mul(&x, square.SetInt64(sum)))
	f := Fixed(top.Int64())
	return &f
}

// perSecond returns count per second of ns. A run has fewer than 9e9 requests.
func perSecond(count, ns int64) Fixed { return FixedRatio(count*Second, ns) }

// Summarise turns a histogram of nanoseconds with its exact sum and maximum into
// a summary.
func Summarise(h *hdrhistogram.Histogram, sum, maximum, censored int64) Latency {
	n := h.TotalCount()
	if n == 0 {
		return Latency{}
	}
	q := Quantiles(h, 500, 950, 990, 999)
	at := func(i int) Millis { return Millis(min(q[i], maximum)) }
	return Latency{Mean: Millis(sum / n), P50: at(0), P95: at(1), P99: at(2), P999: at(3), Max: Millis(maximum), Count: n, Censored: censored}
}

// Quantile returns the value below which permille/1000 of the recorded values
// lie, to the precision of the histogram; 0 if it is empty. It uses integers
// only, so that every architecture returns the same.
func Quantile(h *hdrhistogram.Histogram, permille int64) int64 { return Quantiles(h, permille)[0] }

// Quantiles is Quantile for several ascending shares in one pass.
func Quantiles(h *hdrhistogram.Histogram, permilles ...int64) []int64 {
	out := make([]int64, len(permilles))
	total := h.TotalCount()
	if total == 0 {
		return out
	}
	var seen int64
	i := 0
	for _, b := range h.Distribution() {
		if b.Count == 0 {
			continue
		}
		seen += b.Count
		for i < len(permilles) && seen >= max((total*permilles[i]+999)/1000, 1) {
			out[i] = b.To
			i++
		}
	}
	return out
}
