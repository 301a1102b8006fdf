package pbft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/protocols"
)

// Each attack does what an honest replica never does, as those who judge honest ones
// find when they take the traitor for one, and does no harm.
func TestAttacks(t *testing.T) {
	const ms = time.Millisecond
	for _, a := range Attacks() {
		t.Run(a.Name, func(t *testing.T) {
			exposed := 0
			for seed := range 8 {
				liar := protocols.NodeID(seed % 2)
				options, err := protocols.ResolveOptions(Options(), nil)
				require.NoError(t, err)
				o, err := protocols.ResolveOptions(a.Options, nil)
				require.NoError(t, err)
				c := &protocols.Config{Cluster: 7, Self: liar, N: 4, F: 1, Replicas: protocols.Replicas(4), Options: options}
				only := func(id protocols.NodeID) bool { return id == liar }
				watch := append(observers(c, only), observe.New(observe.Config{N: 4, Correct: only}))
				w := newWorld(t, setup{
					n: 4, f: 1, clients: 2, perClient: 20, seed: uint64(seed), options: quick(),
					adversaries: map[protocols.NodeID]protocols.Adversary{liar: a.New(c, o, protocols.Group{liar})},
					config: func(cfg *netsim.Config) {
						for _, x := range watch {
							cfg.Observers = append(cfg.Observers, quiet{x.(protocols.SendObserver)})
						}
						cfg.Observers = append(cfg.Observers, observers(c, func(id protocols.NodeID) bool { return id != liar })...)
						for i := range 3 { // views change
							cfg.Faults = append(cfg.Faults, netsim.Fault{
								Kind: netsim.FaultPartition, At: protocols.Time(time.Duration(20+150*i) * ms), For: 100 * ms, Nodes: []protocols.NodeID{protocols.NodeID(2 * i % 4)},
							})
						}
					},
				})
				w.finish(t, time.Minute, 40)
				for _, x := range watch {
					exposed += len(x.Finish(w.sim.Now()))
				}
			}
			require.NotZero(t, exposed)
		})
	}
}

// quiet is an observer that neither stops a run nor reports.
type quiet struct{ protocols.SendObserver }

func (quiet) Finish(protocols.Time) []protocols.Violation { return nil }
