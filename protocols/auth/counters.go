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

// Counters counts operations and the bytes they covered. The zero value is
// ready. It is not safe for concurrent use; add up one per thread.
type Counters struct {
	Count [protocols.NumOps]uint64
	Bytes [protocols.NumOps]uint64
}

// Add counts one operation. Its method value is a Charge.
func (c *Counters) Add(op protocols.Op, size int) {
	if op < protocols.NumOps {
		c.Count[op]++
		c.Bytes[op] += uint64(max(size, 0))
	}
}

// AddAll adds all of o.
func (c *Counters) AddAll(o *Counters) {
	for i := range c.Count {
		c.Count[i] += o.Count[i]
		c.Bytes[i] += o.Bytes[i]
	}
}

// MACs is the number of MACs made and checked.
func (c *Counters) MACs() uint64 {
	return c.Count[protocols.OpMAC] + c.Count[protocols.OpMACVerify]
}
