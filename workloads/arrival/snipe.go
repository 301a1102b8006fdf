package arrival

import (
	"fmt"
	"math/bits"
	"time"
)

// Sniper draws how long before the close of its auction a bid is sent: within the
// last t of an auction of length L lies the share (t/L)^alpha of all bids. Small
// alpha means late bids (the power law of Roth and Ockenfels).
type Sniper struct{ alpha Milli }

// NewSniper returns the power law with this exponent, 0.05 to 1 (uniform).
func NewSniper(alpha Milli) (Sniper, error) {
	if alpha < 50 || alpha > 1000 {
		return Sniper{}, fmt.Errorf("sniping exponent %v; allowed is 0.05 to 1", alpha)
	}
	return Sniper{alpha}, nil
}

// Before maps a uniform 64-bit value to a time before the close, in [0, length].
func (s Sniper) Before(x uint64, length time.Duration) time.Duration {
	hi, lo := bits.Mul64(negLog2(x), 1000)
	if hi >= uint64(s.alpha) {
		return 0
	}
	e, _ := bits.Div64(hi, lo, uint64(s.alpha))
	t, _ := bits.Mul64(uint64(length)<<1, exp2neg(e))
	return time.Duration(t)
}
