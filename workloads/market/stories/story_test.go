package stories

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
	"github.com/edgebft/edgebft/workloads/market"
)

func verifier(s protocols.AppScheme) protocols.Verify {
	return func(c protocols.SigCheck) bool { return s.Verify(c.Key, c.Message, c.Signature) }
}

// TestStories runs every story on the state machine alone, with modelled and with
// real signatures, and compares roots along the way of a second replica that was
// restored from a snapshot in the middle.
func TestStories(t *testing.T) {
	for _, scheme := range []struct {
		name string
		app  protocols.AppScheme
	}{{"modelled", auth.ModelledApp(3)}, {"ed25519", auth.RealApp()}} {
		all, err := All(scheme.app)
		require.NoError(t, err)
		for _, st := range all {
			if scheme.name == "ed25519" && st.Name == "AC8" {
				continue // a thousand epochs of real signatures add nothing
			}
			t.Run(scheme.name+"/"+st.Name, func(t *testing.T) {
				verify := verifier(scheme.app)
				s, err := st.Run(verify)
				require.NoError(t, err)

				other, err := market.New(st.Genesis)
				require.NoError(t, err)
				var snap bytes.Buffer
				for i, step := range st.Steps {
					if i == len(st.Steps)/2 {
						require.NoError(t, other.Snapshot(&snap))
						other, err = market.New(st.Genesis)
						require.NoError(t, err)
						require.NoError(t, other.Restore(&snap))
					}
					require.Equal(t, step.Want, market.CodeOf(other.Apply(step.Tx, verify)))
				}
				require.Equal(t, s.Root(), other.Root())
				require.NoError(t, st.Check(other))
			})
		}
	}
}

// TestChecksForetell wants every signature that Apply asks for in a story's good
// transactions to be among those that Checks named just before.
func TestChecksForetell(t *testing.T) {
	app := auth.ModelledApp(3)
	all, err := All(app)
	require.NoError(t, err)
	for _, st := range all {
		s, err := market.New(st.Genesis)
		require.NoError(t, err)
		for i, step := range st.Steps {
			named := make(map[string]bool)
			for _, c := range s.Checks(nil, step.Tx) {
				named[string(c.Key[:])+string(c.Message)+string(c.Signature)] = true
			}
			asked := 0
			s.Apply(step.Tx, func(c protocols.SigCheck) bool {
				asked++
				require.True(t, named[string(c.Key[:])+string(c.Message)+string(c.Signature)], "%s step %d (%s)", st.Name, i, step.Comment)
				return app.Verify(c.Key, c.Message, c.Signature)
			})
			if step.Want == market.OK {
				require.NotZero(t, asked)
			}
			x, _, err := market.DecodeTx(step.Tx)
			require.NoError(t, err)
			if x.Type == market.TypeAttestedVerdict && step.Want == market.OK {
				require.Equal(t, 3, asked)
			}
		}
	}
}

func TestChannelStream(t *testing.T) {
	app := auth.ModelledApp(3)
	best, err := Stream(app)
	require.NoError(t, err)
	require.Equal(t, uint64(500), best.Cum)
	require.Equal(t, []uint64{499, 499, 500}, []uint64{Owed(Payments - 2), Owed(Payments - 1), Owed(Payments)})

	st, err := Named(app, "AC6")
	require.NoError(t, err)
	kinds := make(map[market.Type]int)
	for _, step := range st.Steps {
		x, _, err := market.DecodeTx(step.Tx)
		require.NoError(t, err)
		if step.Want == market.OK {
			kinds[x.Type]++
		}
	}
	require.Equal(t, 1, kinds[market.TypeChannelOpen])
	require.Equal(t, 1, kinds[market.TypeChannelClaim])
	_, err = Named(app, "AC66")
	require.ErrorContains(t, err, "AC6")
}
