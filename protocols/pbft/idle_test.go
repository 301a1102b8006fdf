package pbft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// A replica that was cut off while requests were served catches up when it is
// reachable again, although nobody asks for anything any more.
func TestIdleClusterBringsAStragglerUp(t *testing.T) {
	for _, alone := range []protocols.NodeID{0, 3} {
		w := newWorld(t, setup{n: 4, f: 1, clients: 2, perClient: 40, options: quick(), config: func(c *netsim.Config) {
			c.Faults = append(c.Faults, isolate(20*time.Millisecond, 5*time.Second, alone, 0, 1, 2, 3))
			c.Faults[0].Groups[1] = protocols.Replicas(4).Without(alone)
		}})
		w.finish(t, 4*time.Second, 80)
		w.run(t, 15*time.Second)
		for i := range protocols.NodeID(4) {
			require.Equal(t, w.orderers[1].delivered, w.orderers[i].delivered, w.state())
		}
	}
}
