package profile

import (
	"math"
	"math/bits"

	"github.com/edgebft/edgebft/protocols"
)

// Cost is the price of an operation in picoseconds: A + B per byte, or a table
// of (size, cost) interpolated linearly, with the last slope extrapolated.
type Cost struct {
	A, B  int64
	Table [][2]int64
}

// At returns the price of an operation over size bytes, unscaled. Sizes above 1
// GiB cost what 1 GiB costs.
func (c *Cost) At(size int) int64 {
	size = min(max(size, 0), maxBytes)
	if len(c.Table) == 0 {
		return c.A + c.B*int64(size)
	}
	return c.lookUp(int64(size))
}

func (c *Cost) lookUp(size int64) int64 {
	t := c.Table
	if size <= t[0][0] || len(t) == 1 {
		return t[0][1]
	}
	i := 1
	for i < len(t)-1 && t[i][0] < size {
		i++
	}
	lo, hi := t[i-1], t[i]
	rise := mulDiv(hi[1]-lo[1], size-lo[0], hi[0]-lo[0])
	if rise > ceiling-lo[1] {
		return ceiling
	}
	return lo[1] + rise
}

// IO is the CPU price of socket work in picoseconds: per flush (or read), per
// message in it, per byte.
type IO struct{ Flush, Message, Byte int64 }

// Sockets is the price of both directions of one kind of socket.
type Sockets struct{ Send, Recv IO }

// Profile says what work costs on one kind of host. All costs are picoseconds.
type Profile struct {
	Name   string
	Doc    string
	Origin string // measured, emulated, assumed, none
	Host   Host
	// ScalePermille scales every CPU cost: 6100 is a machine 6.1 times slower.
	ScalePermille int64
	Cores         int
	// Send and Recv are TCP, UDP is datagrams, each of which is a flush and a read
	// of its own; nil charges them what TCP does.
	Send, Recv IO
	UDP        *Sockets
	// StepBase is charged for every handled message, StepTimer for every timer.
	StepBase, StepTimer int64
	// Fsync is one group commit, PerRecord each record in it. They are not CPU
	// time and not scaled.
	Fsync, PerRecord int64
	Ops              [protocols.NumOps]Cost
	// Assumed lists keys of the file that are assumptions in a profile of another
	// origin.
	Assumed []string
	// Measurements are what Measure saw, in the order measured.
	Measurements []Measurement
	// Hash identifies the content in results: 16 hex digits.
	Hash string
}

// Host records on what machine a profile was measured. All fields but CPU and
// Arch may be empty.
type Host struct {
	CPU, Arch, Go, OS string
	// Governor is the frequency governor, Throttled what the kernel says of
	// thermal throttling, Load the load average when measuring began.
	Governor, Throttled, Load string
}

// Measurement is the spread behind one figure, in picoseconds.
type Measurement struct {
	Name        string
	Min, Median int64
	Rounds      int
}

// SpreadPermille is how far the median lies above the minimum, in per mille.
func (m Measurement) SpreadPermille() int64 {
	if m.Min <= 0 {
		return 0
	}
	return mulDiv(m.Median-m.Min, 1000, m.Min)
}

// Free reports whether every cost is zero: the network-only model.
func (p *Profile) Free() bool {
	free := p.Send == IO{} && p.Recv == IO{} && (p.UDP == nil || *p.UDP == Sockets{}) && p.StepBase == 0 && p.StepTimer == 0 && p.Fsync == 0 && p.PerRecord == 0
	for i := range p.Ops {
		c := &p.Ops[i]
		free = free && c.A == 0 && c.B == 0 && (len(c.Table) == 0 || c.Table[len(c.Table)-1][1] == 0)
	}
	return free
}

// ceiling is where costs saturate: an eighth of what fits, so that sums of
// several do not overflow.
const ceiling = math.MaxInt64 / 8

// mulDiv returns a*b/c for a, b >= 0 and c > 0 without overflow on the way,
// saturating at ceiling.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return ceiling
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, ceiling))
}
