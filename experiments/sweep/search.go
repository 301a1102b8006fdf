package sweep

import (
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/edgebft/edgebft/internal/strict"
)

// second is one request per second.
const second = strict.Rate(1_000_000)

// Search looks for the knee: the highest rate for which probe is true, up to the
// precision of the rule. It asks for whole requests per second only. The rates
// it asks for follow from the answers alone, so a search that is repeated over
// recorded probes asks for the same ones. It returns 0 if even 1/s is too high.
func Search(a suite.Auto, probe func(strict.Rate) (bool, error)) (strict.Rate, error) {
	whole := func(r strict.Rate) strict.Rate { return max(r/second*second, second) }
	lo, hi := strict.Rate(0), strict.Rate(0)
	at := whole(a.From)
	for {
		ok, err := probe(at)
		if err != nil {
			return 0, err
		}
		if !ok {
			hi = at
			break
		}
		lo = at
		if at >= whole(a.To) {
			return lo, nil
		}
		at = min(2*at, whole(a.To))
	}
	for lo == 0 {
		if hi == second {
			return 0, nil
		}
		at := whole(hi / 2)
		ok, err := probe(at)
		if err != nil {
			return 0, err
		}
		if ok {
			lo = at
		} else {
			hi = at
		}
	}
	for {
		gap := hi - lo
		// gap/lo > precision, without overflow: rates are below 2^50.
		if gap <= second || gap/1000*1000 <= lo/1_000_000*strict.Rate(a.Precision) {
			return lo, nil
		}
		mid := whole(lo + gap/2)
		ok, err := probe(mid)
		if err != nil {
			return 0, err
		}
		if ok {
			lo = mid
		} else {
			hi = mid
		}
	}
}
