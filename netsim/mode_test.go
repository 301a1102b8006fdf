package netsim

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// testProfile costs something everywhere, with fractions of nanoseconds.
func testProfile() *profile.Profile {
	p := &profile.Profile{Name: "test", ScalePermille: 1100, Cores: 1,
		Send: profile.IO{Flush: 2_280_000, Message: 120_000, Byte: 160}, Recv: profile.IO{Flush: 1_550_000, Message: 100_000, Byte: 100},
		StepBase: 200_000, StepTimer: 100_000, Fsync: 68_000_000, PerRecord: 2_500_000}
	for i := range p.Ops {
		p.Ops[i].A, p.Ops[i].B = int64(100_000*(i+1)), 460
	}
	return p
}

func runShape(t testing.TB, cfg Config, n, clients int, d time.Duration, tune func(*shapeNode)) (*shape, Stats) {
	t.Helper()
	s, err := newShapeSim(cfg, n, clients, tune)
	require.NoError(t, err)
	require.NoError(t, s.Run(protocols.Time(d)))
	st := s.Stats()
	require.NotEmpty(t, s.samples, "nothing was answered")
	return s, st
}

// All ways to run the kernel give one trace.
func TestModesGiveOneTrace(t *testing.T) {
	for _, jit := range []time.Duration{0, 200 * time.Microsecond} {
		for _, logs := range []bool{false, true} {
			for _, prof := range []*profile.Profile{nil, testProfile()} {
				t.Run(fmt.Sprintf("jitter %v, logs %v, costs %v", jit, logs, prof != nil), func(t *testing.T) {
					base := Config{Seed: 5, Profile: prof, Topology: flat(3, 250*time.Microsecond, 1e9)}
					if jit > 0 {
						base.Topology = jittered(3, 250*time.Microsecond, jit, 1e9)
					}
					tune := func(r *shapeNode) { r.log = logs }
					run := func(change func(*Config)) (string, uint64) {
						cfg := base
						change(&cfg)
						_, st := runShape(t, cfg, 7, 5, 20*time.Millisecond, tune)
						return st.TraceHash, st.Steps
					}
					want, steps := run(func(c *Config) { c.Mode, c.Streams = Exact, StreamsOff })
					require.Greater(t, steps, uint64(1000))
					for name, change := range map[string]func(*Config){
						"fast":          func(c *Config) { c.Mode = Fast },
						"exact streams": func(c *Config) { c.Mode, c.Streams = Exact, StreamsOn },
						"fast streams":  func(c *Config) { c.Mode, c.Streams = Fast, StreamsOn },
						"binary heap":   func(c *Config) { c.heapQueue = true },
						"wire":          func(c *Config) { c.Wire = true },
						"real":          func(c *Config) { c.RealCrypto = true },
						"wire and real": func(c *Config) { c.Wire, c.RealCrypto = true, true },
						"interactive":   func(c *Config) { c.Interactive = true },
					} {
						got, n := run(change)
						require.Equal(t, steps, n, name)
						require.Equal(t, want, got, name)
					}
					other, _ := run(func(c *Config) { c.Seed = 6 })
					require.NotEqual(t, want, other, "the seed must matter")
				})
			}
		}
	}
}
