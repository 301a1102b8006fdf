package profile

import "github.com/edgebft/edgebft/protocols"

// Cost is the price of an operation in picoseconds: A + B per byte, or a table
// of (size, cost) interpolated linearly, with the last slope extrapolated.
type Cost struct {
	A, B  int64
	Table [][2]int64
}

// IO is the CPU price of socket work in picoseconds: per flush (or read), per
// message in it, per byte.
type IO struct{ Flush, Message, Byte int64 }

// Profile says what work costs on one kind of host. All costs are picoseconds.
type Profile struct {
	Name   string
	Origin string // measured, emulated, assumed, none
	// ScalePermille scales every CPU cost: 6100 is a machine 6.1 times slower.
	ScalePermille int64
	Cores         int
	Send, Recv    IO
	// StepBase is charged for every handled message, StepTimer for every timer.
	StepBase, StepTimer int64
	// Fsync is one group commit, PerRecord each record in it.
	Fsync, PerRecord int64
	Ops              [protocols.NumOps]Cost
	// Hash identifies the content in results.
	Hash string
}
