// Package experiments is outside the determinism rule.
package experiments

import (
	_ "sync"
	"time"

	_ "github.com/edgebft/edgebft/netsim"
)

var now = time.Now
