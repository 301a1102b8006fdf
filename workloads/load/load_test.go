package load

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
)

// world is a host with one server that answers each operation after a delay.
type world struct {
	t           require.TestingT
	load        protocols.Load
	now         protocols.Time
	wake        protocols.Time
	delay       func(client int, id uint64) time.Duration // negative: never answers
	open        map[int][]uint64
	outstanding int
	pending     []completion
	samples     []protocols.Sample
	invoked     []invocation
}

type completion struct {
	at     protocols.Time
	client int
	c      protocols.Completion
}

type invocation struct {
	at     protocols.Time
	client int
	op     string
}

func (w *world) Now() protocols.Time                    { return w.now }
func (w *world) Clock() protocols.Time                  { return w.now }
func (w *world) WakeAt(t protocols.Time)                { w.wake = t }
func (w *world) Scheme() protocols.AppScheme            { return nil }
func (w *world) Stream(purpose string) (uint64, uint64) { return uint64(len(purpose)), 7 }
func (w *world) Record(s protocols.Sample)              { w.samples = append(w.samples, s) }

func (w *world) Invoke(client int, id uint64, op []byte) {
	require.NotContains(w.t, w.open[client], id)
	w.open[client] = append(w.open[client], id)
	require.LessOrEqual(w.t, len(w.open[client]), max(w.outstanding, 1))
	w.invoked = append(w.invoked, invocation{w.now, client, string(op)})
	if d := w.delay(client, id); d >= 0 {
		w.pending = append(w.pending, completion{w.now.Add(d), client, protocols.Completion{ID: id, Result: []byte("r"), Retransmissions: 3}})
	}
}

// run starts the load with this many clients and plays until end.
func run(t require.TestingT, l protocols.Load, clients int, end time.Duration, delay func(int, uint64) time.Duration) *world {
	w := &world{t: t, load: l, wake: never, delay: delay, open: map[int][]uint64{}, now: 1000}
	last := w.now.Add(end)
	if c, ok := l.(*Closed); ok {
		w.outstanding = c.pool.cfg.Outstanding
	}
	l.Start(w, clients)
	w.play(last)
	return w
}

// play goes on until last.
func (w *world) play(last protocols.Time) {
	t, l := w.t, w.load
	for {
		best := -1
		for i, c := range w.pending {
			if best < 0 || c.at < w.pending[best].at {
				best = i
			}
		}
		switch {
		case best >= 0 && w.pending[best].at <= w.wake && w.pending[best].at <= last:
			c := w.pending[best]
			w.pending = append(w.pending[:best], w.pending[best+1:]...)
			w.now = c.at
			i := slices.Index(w.open[c.client], c.c.ID)
			w.open[c.client] = slices.Delete(w.open[c.client], i, i+1)
			l.Completed(c.client, c.c)
		case w.wake <= last:
			require.GreaterOrEqual(t, w.wake, w.now, "no wake-up in the past")
			w.now, w.wake = w.wake, never
			l.Wake(w.now)
		default:
			w.now = last
			return
		}
	}
}

// script is a generator that hands out numbers and may run dry.
type script struct {
	count   uint64
	dryFrom uint64
	dryTo   protocols.Time
	results int
}

func (s *script) Next(_ int, now protocols.Time) (uint8, []byte, bool) {
	if s.dryTo > 0 && s.count >= s.dryFrom && now < s.dryTo {
		return 0, nil, false
	}
	s.count++
	return uint8(s.count % 2), binary.BigEndian.AppendUint64(nil, s.count), true
}

func (s *script) Result(_ int, _ protocols.Time, op, _ []byte) protocols.Outcome {
	s.results++
	if binary.BigEndian.Uint64(op)%5 == 0 {
		return protocols.Rejected
	}
	return protocols.Done
}

func (s *script) build(protocols.LoadEnv, int) Generator { return s }

func fixed(d time.Duration) func(int, uint64) time.Duration {
	return func(int, uint64) time.Duration { return d }
}

const ms = time.Millisecond

func constant(perSecond int) arrival.Config {
	return arrival.Config{Kind: arrival.Constant, Rate: arrival.Rate(perSecond) * arrival.PerSecond}
}

func outcomes(w *world) (n [4]int) {
	for _, s := range w.samples {
		n[s.Outcome]++
	}
	return n
}

func TestClosedLoop(t *testing.T) {
	g := &script{}
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: g.build}, Think: 5 * ms})
	require.NoError(t, err)
	w := run(t, l, 3, time.Second, fixed(15*ms))
	// One operation per client and 20 ms; the last one of each is open at the end.
	require.Equal(t, Stats{Submitted: 153, Completed: 150, Open: 3}, l.Stats())
	require.Equal(t, [4]int{120, 30, 0, 0}, outcomes(w))
	for _, s := range w.samples {
		require.Equal(t, s.Intended, s.Sent)
		require.Equal(t, 15*ms, s.Finished.Sub(s.Intended))
		require.Equal(t, 3, s.Retransmissions)
	}
	require.Equal(t, 150, g.results)
}

func TestClosedLoopWithSeveralOperationsPerClient(t *testing.T) {
	g := &script{}
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: g.build, Outstanding: 3}})
	require.NoError(t, err)
	w := run(t, l, 2, time.Second, func(_ int, id uint64) time.Duration { return time.Duration(10+id%3) * ms })
	require.Equal(t, 6, l.Stats().Open)
	require.InDelta(t, 6*1000/11, l.Stats().Completed, 30)
	require.Len(t, w.open[0], 3)
	require.Len(t, w.open[1], 3)
}

func TestClosedLoopRampSpreadsTheStart(t *testing.T) {
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: (&script{}).build}, Ramp: 40 * ms})
	require.NoError(t, err)
	w := run(t, l, 4, 39*ms, fixed(time.Second))
	for i, inv := range w.invoked {
		require.Equal(t, protocols.Time(1000).Add(time.Duration(i)*10*ms), inv.at)
		require.Equal(t, i, inv.client)
	}
	require.Len(t, w.invoked, 4)
}

func TestClosedLoopExponentialThink(t *testing.T) {
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: (&script{}).build}, Think: 9 * ms, Exponential: true})
	require.NoError(t, err)
	run(t, l, 10, 10*time.Second, fixed(ms))
	require.InEpsilon(t, 10_000, l.Stats().Completed, 0.05)
}

func TestTimeoutIsCensoredAndTheClientStaysBusy(t *testing.T) {
	g := &script{}
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: g.build, Timeout: 100 * ms}})
	require.NoError(t, err)
	w := run(t, l, 2, time.Second, func(client int, id uint64) time.Duration {
		if client == 1 {
			return -1 // never
		}
		return 250 * ms
	})
	require.Equal(t, Stats{Submitted: 6, Completed: 4, TimedOut: 5, Open: 2}, l.Stats())
	require.Equal(t, [4]int{0, 0, 5, 0}, outcomes(w), "a late result gives no second sample")
	for _, s := range w.samples {
		require.Equal(t, 100*ms, s.Finished.Sub(s.Intended))
	}
	require.Equal(t, 4, g.results, "but the generator learns of it")
}

func TestStarvedClientsAreAskedAgain(t *testing.T) {
	g := &script{dryFrom: 2, dryTo: protocols.Time(1000).Add(55 * ms)}
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: g.build}})
	require.NoError(t, err)
	w := run(t, l, 2, 100*ms, fixed(20*ms))
	var at []time.Duration
	for _, inv := range w.invoked {
		at = append(at, inv.at.Sub(1000))
	}
	require.Equal(t, []time.Duration{0, 0, 60 * ms, 60 * ms, 80 * ms, 80 * ms, 100 * ms, 100 * ms}, at)

	g = &script{dryFrom: 2, dryTo: protocols.Time(1000).Add(35 * ms)}
	o, err := NewOpen(OpenConfig{Config: Config{Generator: g.build}, Arrivals: constant(100)})
	require.NoError(t, err)
	w = run(t, o, 3, 55*ms, fixed(time.Second))
	require.Len(t, w.invoked, 3)
	require.Equal(t, protocols.Time(1000).Add(40*ms), w.invoked[2].at)
	require.Equal(t, 2, o.Stats().Waiting)
	require.Equal(t, uint64(1), o.Stats().Held, "the third; of those after it, all clients were busy")
}

func TestOpenLoopCountsFromTheIntendedTime(t *testing.T) {
	g := &script{}
	o, err := NewOpen(OpenConfig{Config: Config{Generator: g.build, Unsent: 9}, Arrivals: constant(100), Queue: 5})
	require.NoError(t, err)
	// Two clients serve 80 of the 100 arrivals per second.
	w := run(t, o, 2, time.Second, fixed(25*ms))
	n := outcomes(w)
	require.InDelta(t, 78, n[protocols.Done]+n[protocols.Rejected], 2)
	require.InDelta(t, 15, n[protocols.Dropped], 2)
	require.Equal(t, 5, o.Stats().MostWaiting)
	var worst time.Duration
	sent := protocols.Time(0)
	for _, s := range w.samples {
		if s.Outcome == protocols.Dropped {
			require.Equal(t, uint8(9), s.Class)
			require.Equal(t, s.Intended, s.Finished)
			continue
		}
		require.Equal(t, 25*ms, s.Finished.Sub(s.Sent))
		require.GreaterOrEqual(t, s.Sent, sent, "first come, first served")
		sent = s.Sent
		worst = max(worst, s.Finished.Sub(s.Intended))
	}
	require.Greater(t, worst, 75*ms, "waiting shows in the latency")
}

func TestOpenLoopGivesUpWaitingArrivals(t *testing.T) {
	o, err := NewOpen(OpenConfig{Config: Config{Generator: (&script{}).build, Timeout: 50 * ms, Unsent: 7}, Arrivals: constant(100)})
	require.NoError(t, err)
	w := run(t, o, 1, 145*ms, fixed(-1))
	require.Len(t, w.invoked, 1, "the client never comes back")
	require.Equal(t, [4]int{0, 0, 9, 0}, outcomes(w))
	for i, s := range w.samples {
		require.Equal(t, 50*ms, s.Finished.Sub(s.Intended))
		require.Equal(t, protocols.Time(1000).Add(time.Duration(i+1)*10*ms), s.Intended)
		require.Equal(t, i > 0, s.Class == 7)
	}
}

func TestOpenLoopEndsWithItsArrivals(t *testing.T) {
	o, err := NewOpen(OpenConfig{Config: Config{Generator: (&script{}).build}, Arrivals: arrival.Config{Kind: arrival.Beta, Devices: 500, Over: time.Second}})
	require.NoError(t, err)
	w := run(t, o, 4, time.Hour, fixed(ms))
	require.Equal(t, uint64(500), o.Stats().Completed)
	require.Len(t, w.samples, 500)
	used := map[int]int{}
	for _, inv := range w.invoked {
		used[inv.client]++
	}
	require.Len(t, used, 4, "clients take turns")
}

func TestNothingIsIntendedAfterTheEnd(t *testing.T) {
	// One client serves 50 of the 100 arrivals per second.
	o, err := NewOpen(OpenConfig{Config: Config{Generator: (&script{}).build, Until: 200 * ms}, Arrivals: constant(100)})
	require.NoError(t, err)
	w := run(t, o, 1, time.Second, fixed(20*ms))
	require.Len(t, w.samples, 19, "what waited at the end was served")
	for _, s := range w.samples {
		require.Less(t, s.Intended, protocols.Time(1000).Add(200*ms))
	}
	require.Equal(t, protocols.Time(1000).Add(390*ms), w.samples[18].Finished)

	for name, c := range map[string]ClosedConfig{
		"think": {Think: 15 * ms},
		"busy":  {},
		"dry":   {Config: Config{Generator: (&script{dryFrom: 3, dryTo: 1 << 60}).build}},
		"ramp":  {Ramp: time.Second},
	} {
		c.Until = 200 * ms
		if c.Generator == nil {
			c.Generator = (&script{}).build
		}
		l, err := NewClosed(c)
		require.NoError(t, err, name)
		w := run(t, l, 5, time.Second, fixed(30*ms))
		require.NotEmpty(t, w.invoked, name)
		for _, inv := range w.invoked {
			require.Less(t, inv.at, protocols.Time(1000).Add(200*ms), name)
		}
		require.Zero(t, l.Stats().Open, name)
		require.Equal(t, never, w.wake, name)
	}

	_, err = NewOpen(OpenConfig{Config: Config{Generator: (&script{}).build, Until: -1}, Arrivals: constant(100)})
	require.ErrorContains(t, err, "it ends after -1ns; allowed is a time above 0s")
}

func TestCloseCensorsWhatHasNoEnd(t *testing.T) {
	o, err := NewOpen(OpenConfig{Config: Config{Generator: (&script{}).build, Timeout: 80 * ms, Unsent: 9}, Arrivals: constant(100)})
	require.NoError(t, err)
	w := run(t, o, 2, 115*ms, fixed(-1))
	require.Equal(t, [4]int{0, 0, 3, 0}, outcomes(w))
	o.Close(w.now)
	require.Equal(t, [4]int{0, 0, 11, 0}, outcomes(w))
	require.Equal(t, uint64(11), o.Stats().TimedOut)
	for _, s := range w.samples[3:] {
		require.Equal(t, w.now, s.Finished)
		require.Equal(t, uint8(9), s.Class)
	}

	l, err := NewClosed(ClosedConfig{Config: Config{Generator: (&script{}).build}})
	require.NoError(t, err)
	w = run(t, l, 2, 100*ms, fixed(-1))
	l.Close(w.now)
	require.Equal(t, [4]int{0, 0, 2, 0}, outcomes(w))
}

// Whatever the delays, every arrival gives one sample, is still open or waits; when
// the load is closed, each has one.
func TestEveryArrivalIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeout := time.Duration(rapid.IntRange(0, 80).Draw(t, "timeout")) * ms
		seed := rapid.Uint64().Draw(t, "seed")
		delay := func(client int, id uint64) time.Duration {
			x := (id + seed) * 0x9e3779b97f4a7c15
			return time.Duration(x>>56)*ms/2 - 3*ms // some never answer
		}
		clients := rapid.IntRange(1, 6).Draw(t, "clients")
		o, err := NewOpen(OpenConfig{
			Config:   Config{Generator: (&script{}).build, Timeout: timeout, Unsent: 9},
			Arrivals: constant(200), Queue: rapid.IntRange(1, 20).Draw(t, "queue"),
		})
		require.NoError(t, err)
		w := run(t, o, clients, time.Second, delay)
		s := o.Stats()
		n := outcomes(w)
		late := 0 // timed out, still open
		for i := range o.slots {
			require.Equal(t, o.slots[i].busy, len(w.open[i]) == 1)
			if o.slots[i].late {
				late++
			}
		}
		require.Equal(t, 200, len(w.samples)+s.Waiting+s.Open-late)
		require.Equal(t, s.TimedOut, uint64(n[protocols.TimedOut]))
		require.Equal(t, s.Dropped, uint64(n[protocols.Dropped]))
		require.Equal(t, s.Submitted, s.Completed+uint64(s.Open))
		o.Close(w.now)
		require.Len(t, w.samples, 200)
		if timeout > 0 {
			for _, sample := range w.samples {
				require.LessOrEqual(t, sample.Finished.Sub(sample.Intended), timeout)
			}
		}
	})
}

func TestEqualRunsAreEqual(t *testing.T) {
	play := func() *world {
		o, err := NewOpen(OpenConfig{
			Config:   Config{Generator: (&script{}).build, Timeout: 30 * ms},
			Arrivals: arrival.Config{Kind: arrival.Poisson, Rate: 500 * arrival.PerSecond},
		})
		require.NoError(t, err)
		return run(t, o, 5, time.Second, func(_ int, id uint64) time.Duration { return time.Duration(id%40) * ms })
	}
	a, b := play(), play()
	require.Equal(t, a.samples, b.samples)
	require.Equal(t, a.invoked, b.invoked)
}

func TestConfigurationIsChecked(t *testing.T) {
	good := Config{Generator: (&script{}).build}
	for _, c := range []struct {
		cfg  OpenConfig
		want string
	}{
		{OpenConfig{Arrivals: constant(1)}, "generator is missing"},
		{OpenConfig{Config: good}, "unknown arrival process"},
		{OpenConfig{Config: good, Arrivals: constant(1), Queue: -1}, "allowed is 1 to"},
		{OpenConfig{Config: Config{Generator: good.Generator, Timeout: -1}, Arrivals: constant(1)}, "timeout is -1ns"},
	} {
		_, err := NewOpen(c.cfg)
		require.ErrorContains(t, err, c.want)
	}
	for _, c := range []struct {
		cfg  ClosedConfig
		want string
	}{
		{ClosedConfig{}, "generator is missing"},
		{ClosedConfig{Config: Config{Generator: good.Generator, Outstanding: -1}}, "allowed is 1 to"},
		{ClosedConfig{Config: good, Think: 2 * time.Hour}, "think time is 2h"},
		{ClosedConfig{Config: good, Ramp: -1}, "ramp is -1ns"},
	} {
		_, err := NewClosed(c.cfg)
		require.ErrorContains(t, err, c.want)
	}
}

func TestForeignCompletionsAreIgnored(t *testing.T) {
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: (&script{}).build}})
	require.NoError(t, err)
	w := run(t, l, 1, ms, fixed(time.Second))
	l.Completed(0, protocols.Completion{ID: 77})
	l.Completed(5, protocols.Completion{ID: 1})
	require.Empty(t, w.samples)
	require.Equal(t, Stats{Submitted: 1, Open: 1}, l.Stats())
}

func BenchmarkClosed(b *testing.B) {
	l, _ := NewClosed(ClosedConfig{Config: Config{Generator: (&script{}).build, Timeout: time.Second}})
	w := &world{t: b, load: l, wake: never, delay: fixed(-1), open: map[int][]uint64{}}
	l.Start(w, 1)
	b.ReportAllocs()
	id := uint64(0)
	for b.Loop() {
		id++
		delete(w.open, 0)
		w.samples, w.invoked = w.samples[:0], w.invoked[:0]
		l.Completed(0, protocols.Completion{ID: id})
	}
}
