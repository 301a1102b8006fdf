package auth

import "github.com/edgebft/edgebft/protocols"

// Charge is told of every operation: size is in bytes for hashing, applying and
// snapshots, otherwise 0. A nil Charge is allowed where one is asked for and
// means that nobody counts.
type Charge func(op protocols.Op, size int)

func (c Charge) charge(op protocols.Op, size int) {
	if c != nil {
		c(op, size)
	}
}
