package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// careless is a script that does not mind lost results.
type careless struct {
	script
	forgotten []int
}

func (c *careless) Forget(user int) { c.forgotten = append(c.forgotten, user) }

func (c *careless) build(protocols.LoadEnv, int) Generator { return c }

// After a crash of the clients what was open counts as timed out, once, and every
// user goes on. An operation that had timed out before is not counted again.
func TestRestart(t *testing.T) {
	for name, c := range map[string]struct {
		load func(g *careless) (protocols.Restarter, error)
	}{
		"closed": {func(g *careless) (protocols.Restarter, error) {
			return NewClosed(ClosedConfig{Config: Config{Generator: g.build, Timeout: 50 * ms}, Think: 5 * ms})
		}},
		"open": {func(g *careless) (protocols.Restarter, error) {
			return NewOpen(OpenConfig{Config: Config{Generator: g.build, Timeout: 50 * ms}, Arrivals: constant(100)})
		}},
	} {
		for _, outage := range []time.Duration{10 * ms, 100 * ms} {
			t.Run(name+" "+outage.String(), func(t *testing.T) {
				g := &careless{}
				l, err := c.load(g)
				require.NoError(t, err)
				// Nothing is answered in the first life, which ends after 30 ms.
				w := run(t, l, 3, 30*ms, fixed(-1))
				w.open, w.pending, w.wake = map[int][]uint64{}, nil, never
				w.now = w.now.Add(outage)
				w.delay = fixed(15 * ms)
				require.NoError(t, l.Restarted())
				require.Equal(t, []int{0, 1, 2}, g.forgotten)
				timedOut := 0
				for _, s := range w.samples {
					require.Equal(t, protocols.TimedOut, s.Outcome)
					require.Equal(t, 50*ms, s.Finished.Sub(s.Intended))
					timedOut++
				}
				require.GreaterOrEqual(t, timedOut, 3)
				before := len(w.invoked)
				w.play(protocols.Time(time.Second))
				require.Greater(t, len(w.invoked)-before, 80, "every user goes on")
				st := l.(interface{ Stats() Stats }).Stats()
				require.Equal(t, st.Submitted, st.Completed+uint64(st.Open)+3)
				require.EqualValues(t, st.TimedOut, outcomes(w)[protocols.TimedOut])
			})
		}
	}
	g := &script{}
	l, err := NewClosed(ClosedConfig{Config: Config{Generator: g.build}})
	require.NoError(t, err)
	run(t, l, 3, time.Millisecond, fixed(15*ms))
	require.ErrorContains(t, l.Restarted(), "depend on the results of earlier ones")
}
