package arrival

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// Kinds of arrival process.
const (
	Poisson   = "poisson"
	Constant  = "constant"
	MMPP      = "mmpp"
	Diurnal   = "diurnal"
	Piecewise = "piecewise"
	Beta      = "beta"
	Uniform   = "uniform"
	Aligned   = "aligned"
)

// Bounds of a configuration.
const (
	MaxDevices  = 1 << 22
	MaxSteps    = 1024
	MaxDuration = 10 * 365 * 24 * time.Hour
)

// Config describes an arrival process. Fields that the kind does not use must be
// zero; the zero value of a field that it uses stands for the default given.
//
// The text form is the kind, optionally followed by a colon and its options,
// separated by commas: "poisson", "mmpp:ratio=20,quiet=110s,burst=10s",
// "beta:devices=30000,over=10s", "piecewise:0s=1k/s,50s=2k/s,120s=0/s". The rate
// is not part of it, except for piecewise.
type Config struct {
	Kind string
	// Rate is the mean rate of poisson, constant, mmpp and diurnal. For beta,
	// uniform and aligned it stands in for Devices: rate times Over (or times
	// Period) of them.
	Rate Rate
	// Ratio of the burst to the quiet rate of an mmpp, 1..1000, default 20; Quiet
	// and Burst are the mean sojourns, default 110 s and 10 s.
	Ratio        int
	Quiet, Burst time.Duration
	// Amplitude of a diurnal rate, at most 1, default 0.6; Peak is the time of
	// day of its maximum, default 18 h 30 min (midnight is 24h); Day its period, default 24 h, to
	// be shortened when time is compressed (Peak then scales by default).
	Amplitude Milli
	Peak, Day time.Duration
	// Steps of a piecewise rate, ascending from 0.
	Steps []Step
	// Gaps of a piecewise rate: poisson (default) or constant.
	Gaps string
	// Devices that beta, uniform and aligned draw a time for, 1..MaxDevices.
	Devices int
	// Over is the width of a beta or uniform wave, default 10 s.
	Over time.Duration
	// Every repeats the wave; 0 means that there is one. At least Over.
	Every time.Duration
	// Period of the clock edges of aligned, default 900 s, and Jitter after the
	// edge, at most the period, default 60 s or the period if that is shorter.
	// NoJitter makes all devices fire at the edge.
	Period, Jitter time.Duration
	NoJitter       bool
	// Start of the first wave or edge.
	Start time.Duration
	// Background, if not 0, seeds the states of an mmpp instead of the seeds of New:
	// the devices of all processes with one background burst together.
	Background uint64

	// part of parts is what Share left of a process of equal gaps; parts 0 is all.
	part, parts int
}

var kinds = []string{Aligned, Beta, Constant, Diurnal, MMPP, Piecewise, Poisson, Uniform}

// Kinds returns the names of all kinds in ascending order.
func Kinds() []string { return append([]string(nil), kinds...) }

var optionsOf = map[string][]string{
	Poisson: {}, Constant: {},
	MMPP:      {"ratio", "quiet", "burst"},
	Diurnal:   {"amplitude", "peak", "day"},
	Piecewise: {"gaps"},
	Beta:      {"devices", "over", "every", "start"},
	Uniform:   {"devices", "over", "every", "start"},
	Aligned:   {"devices", "period", "jitter", "start"},
}

// Parse reads the text form and checks it together with the rate.
func Parse(text string, rate Rate) (Config, error) {
	kind, rest, more := strings.Cut(text, ":")
	allowed, ok := optionsOf[kind]
	if !ok {
		return Config{}, fmt.Errorf("unknown arrival process %q%s", kind, protocols.Suggest(kind, kinds))
	}
	c := Config{Kind: kind, Rate: rate}
	if more && rest == "" {
		return Config{}, fmt.Errorf("arrivals %q: options are missing after the colon", text)
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(rest, ",") {
		if rest == "" {
			break
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok || key == "" || value == "" {
			return Config{}, fmt.Errorf("arrivals %q: %q is not of the form key=value", text, part)
		}
		if seen[key] {
			return Config{}, fmt.Errorf("arrivals %q: %s is given twice", text, key)
		}
		seen[key] = true
		if kind == Piecewise && key[0] >= '0' && key[0] <= '9' {
			at, err := parseDuration(key)
			if err != nil {
				return Config{}, err
			}
			r, err := ParseRate(value)
			if err != nil {
				return Config{}, err
			}
			c.Steps = append(c.Steps, Step{at, r})
			continue
		}
		if err := c.set(key, value, allowed); err != nil {
			return Config{}, fmt.Errorf("arrivals %q: %w", text, err)
		}
	}
	if seen["peak"] && c.Peak == 0 { // midnight, which is the end of the day too
		full := c
		full.fill()
		c.Peak = full.Day
	}
	return c, c.Check()
}

func (c *Config) set(key, value string, allowed []string) (err error) {
	known := false
	for _, a := range allowed {
		known = known || a == key
	}
	if !known {
		return fmt.Errorf("%s has no option %q%s", c.Kind, key, protocols.Suggest(key, allowed))
	}
	switch key {
	case "ratio":
		c.Ratio, err = parseCount(value)
	case "devices":
		c.Devices, err = parseCount(value)
	case "amplitude":
		if c.Amplitude, err = ParseMilli(value); err == nil && c.Amplitude == 0 {
			err = fmt.Errorf("it is 0, which is a constant rate; write poisson instead")
		}
	case "gaps":
		c.Gaps = value
	default:
		d := map[string]*time.Duration{
			"quiet": &c.Quiet, "burst": &c.Burst, "peak": &c.Peak, "day": &c.Day, "over": &c.Over,
			"every": &c.Every, "start": &c.Start, "period": &c.Period, "jitter": &c.Jitter,
		}[key]
		*d, err = parseDuration(value)
		switch {
		case err != nil || *d > 0:
		case key == "jitter":
			c.NoJitter = true
		case key != "peak" && key != "every" && key != "start":
			err = fmt.Errorf("it is %s; it must be longer, or be left out", value)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func parseCount(s string) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil || v < 1 || s != strconv.Itoa(v) {
		return 0, fmt.Errorf("%q is not a count", s)
	}
	return v, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration; write for example 250ms, 10s or 15m", s)
	}
	return d, nil
}

// fill puts the defaults in.
func (c *Config) fill() {
	switch c.Kind {
	case MMPP:
		setDefault(&c.Ratio, 20)
		setDefault(&c.Quiet, 110*time.Second)
		setDefault(&c.Burst, 10*time.Second)
	case Diurnal:
		setDefault(&c.Day, 24*time.Hour)
		setDefault(&c.Peak, c.Day/48*37) // 18:30
		setDefault(&c.Amplitude, 600)
	case Piecewise:
		setDefault(&c.Gaps, Poisson)
	case Beta, Uniform:
		setDefault(&c.Over, 10*time.Second)
		setDefault(&c.Devices, int(min(c.Rate.over(max(c.Over, c.Every)), MaxDevices+1)))
	case Aligned:
		setDefault(&c.Period, 900*time.Second)
		if !c.NoJitter {
			setDefault(&c.Jitter, min(time.Minute, c.Period))
		}
		setDefault(&c.Devices, int(min(c.Rate.over(c.Period), MaxDevices+1)))
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Check reports what is wrong with the configuration.
func (c Config) Check() error {
	if _, ok := optionsOf[c.Kind]; !ok {
		return fmt.Errorf("unknown arrival process %q%s", c.Kind, protocols.Suggest(c.Kind, kinds))
	}
	if f := c.unused(); f != "" {
		return fmt.Errorf("arrivals %s: %s is not used by this process; it must be left out", c.Kind, f)
	}
	c.fill()
	bad := func(name string, got, least, most any) error {
		return fmt.Errorf("arrivals %s: %s is %v; allowed is %v to %v", c.Kind, name, got, least, most)
	}
	if c.Rate > MaxRate {
		return bad("rate", c.Rate, Rate(0), MaxRate)
	}
	for _, d := range []struct {
		name         string
		v, low, high time.Duration
	}{
		{"quiet", c.Quiet, 0, MaxDuration},
		{"burst", c.Burst, 0, MaxDuration},
		{"peak", c.Peak, 0, MaxDuration},
		{"day", c.Day, 0, MaxDuration},
		{"over", c.Over, 0, MaxDuration},
		{"every", c.Every, 0, MaxDuration},
		{"period", c.Period, 0, MaxDuration},
		{"jitter", c.Jitter, 0, MaxDuration},
		{"start", c.Start, 0, MaxDuration},
	} {
		if d.v < d.low || d.v > d.high {
			return bad(d.name, d.v, d.low, d.high)
		}
	}
	switch c.Kind {
	case Poisson, Constant, MMPP, Diurnal:
		if c.Rate == 0 {
			return fmt.Errorf("arrivals %s: the rate is missing or 0; give for example rate: 1k/s", c.Kind)
		}
	}
	switch c.Kind {
	case MMPP:
		if c.Ratio < 1 || c.Ratio > 1000 {
			return bad("ratio", c.Ratio, 1, 1000)
		}
		if c.quietRate() == 0 {
			return fmt.Errorf("arrivals mmpp: the quiet rate of a mean of %v is 0; raise the rate", c.Rate)
		}
	case Diurnal:
		if c.Amplitude > 1000 {
			return bad("amplitude", c.Amplitude, Milli(0), Milli(1000))
		}
		if c.Day < daySteps*time.Millisecond {
			return bad("day", c.Day, daySteps*time.Millisecond, MaxDuration)
		}
		if c.Peak > c.Day {
			return bad("peak", c.Peak, time.Duration(0), c.Day)
		}
	case Piecewise:
		return c.checkSteps()
	case Beta, Uniform:
		if c.Every != 0 && c.Every < c.Over {
			return bad("every", c.Every, c.Over, MaxDuration)
		}
	case Aligned:
		if c.NoJitter && c.Jitter != 0 {
			return fmt.Errorf("arrivals aligned: a jitter of %v is given, and that there is none; leave one of the two out", c.Jitter)
		}
		if c.Jitter > c.Period {
			return bad("jitter", c.Jitter, time.Duration(0), c.Period)
		}
	}
	switch c.Kind {
	case Beta, Uniform, Aligned:
		if c.Devices < 1 || c.Devices > MaxDevices {
			return bad("devices (or the rate that stands for them)", c.Devices, 1, MaxDevices)
		}
	}
	return nil
}

func (c *Config) checkSteps() error {
	if c.Rate != 0 {
		return fmt.Errorf("arrivals piecewise: a rate of %v is given beside the steps; leave it out", c.Rate)
	}
	if c.Gaps != Poisson && c.Gaps != Constant {
		return fmt.Errorf("arrivals piecewise: gaps are %q%s", c.Gaps, protocols.Suggest(c.Gaps, []string{Poisson, Constant}))
	}
	if n := len(c.Steps); n < 1 || n > MaxSteps {
		return fmt.Errorf("arrivals piecewise: %d steps; allowed is 1 to %d, for example piecewise:0s=1k/s,50s=2k/s", n, MaxSteps)
	}
	if c.Steps[0].At != 0 {
		return fmt.Errorf("arrivals piecewise: the first step is at %v; it must be at 0s", c.Steps[0].At)
	}
	some := false
	for i, s := range c.Steps {
		if i > 0 && s.At <= c.Steps[i-1].At || s.At > MaxDuration {
			return fmt.Errorf("arrivals piecewise: step at %v; steps must ascend and stay below %v", s.At, MaxDuration)
		}
		if s.Rate > MaxRate {
			return fmt.Errorf("arrivals piecewise: rate %v; allowed is 0/s to %v", s.Rate, MaxRate)
		}
		some = some || s.Rate > 0
	}
	if !some {
		return fmt.Errorf("arrivals piecewise: every rate is 0; give one that is not")
	}
	return nil
}

// unused names a field that is set but has no meaning for the kind.
func (c *Config) unused() string {
	set := map[string]bool{
		"ratio": c.Ratio != 0, "quiet": c.Quiet != 0, "burst": c.Burst != 0, "amplitude": c.Amplitude != 0,
		"peak": c.Peak != 0, "day": c.Day != 0, "gaps": c.Gaps != "", "devices": c.Devices != 0, "over": c.Over != 0,
		"every": c.Every != 0, "start": c.Start != 0, "period": c.Period != 0, "jitter": c.Jitter != 0 || c.NoJitter,
	}
	for _, o := range optionsOf[c.Kind] {
		delete(set, o)
	}
	for _, o := range []string{"ratio", "quiet", "burst", "amplitude", "peak", "day", "gaps", "devices", "over", "every", "start", "period", "jitter"} {
		if set[o] {
			return o
		}
	}
	if len(c.Steps) > 0 && c.Kind != Piecewise {
		return "a list of steps"
	}
	return ""
}

// maxParts bounds the parts that equal gaps can be shared among exactly: so many
// units of work fit in 64 bits.
const maxParts = 16_384

// Share returns part i of n of the process: n processes that each play their part
// have the same mean together. Their storms and edges coincide, and so do the bursts
// of mmpp if they have one Background. Of equal gaps part i gets every n-th arrival,
// so that all of them together are equally far apart (up to 16,384 parts).
func (c Config) Share(i, n int) Config {
	if i < 0 || n <= 1 || i >= n {
		return c
	}
	if (c.Kind == Constant || c.Kind == Piecewise && c.Gaps == Constant) && n <= maxParts && c.parts == 0 {
		c.part, c.parts = i, n
		return c
	}
	rate := func(r Rate) Rate {
		part := r / Rate(n)
		if Rate(i) < r%Rate(n) {
			part++
		}
		return part
	}
	c.fill()
	switch c.Kind {
	case Beta, Uniform, Aligned:
		all := c.Devices
		if c.Devices = all / n; i < all%n {
			c.Devices++
		}
		c.Rate = 0
	default:
		c.Rate = rate(c.Rate)
	}
	steps := make([]Step, len(c.Steps))
	for k, s := range c.Steps {
		steps[k] = Step{s.At, rate(s.Rate)}
	}
	if c.Steps = steps; len(steps) == 0 {
		c.Steps = nil
	}
	return c
}

// quietRate solves mean = quiet * (Quiet + Ratio*Burst) / (Quiet + Burst). The
// durations count in microseconds, which keeps the products in 64 bits.
func (c *Config) quietRate() Rate {
	q, b := uint64(max(c.Quiet/time.Microsecond, 1)), uint64(max(c.Burst/time.Microsecond, 1))
	return c.Rate.times(q+b, q+uint64(c.Ratio)*b)
}

// New returns the process. The two seeds name its random streams; see
// protocols.LoadEnv.Stream.
func New(c Config, seed1, seed2 uint64) (Process, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.fill()
	r := rand.NewPCG(seed1, seed2)
	switch c.Kind {
	case Poisson:
		return newModulated(&steady{rate: c.Rate}, exponential(r)), nil
	case Constant:
		return newModulated(&steady{rate: c.Rate}, c.constantGap()), nil
	case MMPP:
		quiet := c.quietRate()
		const mmpp = 0x6d6d7070 // the states have a stream of their own: they keep still when the rate changes
		states := rand.NewPCG(seed1, seed2^mmpp)
		if c.Background != 0 {
			states = rand.NewPCG(c.Background, mmpp)
		}
		ch := newChain(states, quiet, quiet.times(uint64(c.Ratio), 1), c.Quiet, c.Burst)
		return newModulated(ch, exponential(r)), nil
	case Diurnal:
		return newModulated(&diurnal{rate: c.Rate, amplitude: c.Amplitude, day: c.Day, peak: c.Peak}, exponential(r)), nil
	case Piecewise:
		gap := exponential(r)
		if c.Gaps == Constant {
			gap = c.constantGap()
		}
		return newModulated(&steps{list: c.Steps}, gap), nil
	case Aligned:
		return &waves{draw: uniformDraw(r, c.Jitter), n: c.Devices, start: c.Start, every: c.Period}, nil
	case Beta:
		return &waves{draw: betaDraw(r, c.Over), n: c.Devices, start: c.Start, every: c.Every}, nil
	default:
		return &waves{draw: uniformDraw(r, c.Over), n: c.Devices, start: c.Start, every: c.Every}, nil
	}
}
