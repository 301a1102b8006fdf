package arrival

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func q(v uint64, bits int) float64 { return math.Ldexp(float64(v), -bits) }

func TestLog2(t *testing.T) {
	require.Equal(t, uint64(0), log2(1))
	require.Equal(t, uint64(20)<<logBits, log2(1<<20))
	require.Equal(t, uint64(63)<<logBits, log2(1<<63))
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint64Min(1).Draw(t, "x")
		require.InDelta(t, math.Log2(float64(x)), q(log2(x), logBits), 1e-13)
	})
}

func TestExp2(t *testing.T) {
	require.Equal(t, uint64(1)<<63-1, exp2neg(0), "one, less the last bit")
	require.Zero(t, exp2neg(64<<logBits))
	require.InDelta(t, math.Sqrt(0.5), q(exp2neg(logOne/2), 63), 1e-15)
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.Uint64Range(0, 40<<logBits).Draw(t, "e")
		want := math.Exp2(-q(e, logBits))
		require.InEpsilon(t, want, q(exp2neg(e), 63), 1e-6)
	})
}

// The table is what the draws use: its error is the one the package promises.
func TestTableErrorIsBelowThePromise(t *testing.T) {
	r := rand.NewPCG(1, 2)
	worst := 0.0
	for range 200_000 {
		x := r.Uint64() >> (r.Uint64() & 63)
		if x == 0 {
			continue
		}
		worst = max(worst, math.Abs(q(negLog2(x), logBits)-(64-q(log2(x), logBits))))
	}
	require.Less(t, worst, 1.1e-8)
	require.Greater(t, worst, 0.0)
	require.Equal(t, negLog2(1), negLog2(0), "no draw is infinite")
}

func TestCosines(t *testing.T) {
	for k, c := range cosines {
		require.InDelta(t, math.Cos(2*math.Pi*float64(k)/daySteps), float64(c)/(1<<30), 1e-8, "step %d", k)
	}
}

func TestExponentialMoments(t *testing.T) {
	gap := exponential(rand.NewPCG(3, 4))
	const n = 1_000_000
	var sum, sq float64
	for range n {
		g := float64(gap()) / unit
		sum += g
		sq += g * g
	}
	require.InDelta(t, 1, sum/n, 0.005)
	require.InDelta(t, 2, sq/n, 0.02)
}
