// Package allowed shows the comments that silence findings.
package allowed

import (
	//lint:allow determinism the table below is filled once by hand
	"sync"
	"time"
)

var once sync.Once

func line(m map[int]int, f func(int)) {
	//lint:allow determinism f only marks keys in a set of its own
	for k := range m {
		f(k)
	}
	for k := range m { //lint:allow determinism f only marks keys in a set of its own
		f(k)
	}
	for k := range m { // want `range over a map`
		f(k)
	}
}

// measure times the host, outside any run.
//
//lint:allow determinism calibration measures this host on purpose
func measure() time.Duration {
	start := time.Now()
	return time.Since(start)
}

func careless() {
	/* want `needs a reason of at least 3 words` */ //lint:allow determinism because
	_ = time.Now()                                  // want `use of time.Now`

	/* want `allows nothing here; remove it` */ //lint:allow determinism there is nothing to allow
	once.Do(careless)
}
