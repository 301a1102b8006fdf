package protocols

import "io"

// Verify answers a signature check during Apply. It is a pure function of the
// check, so the answer is part of the deterministic execution; replicas usually
// have it at hand because the check was made at admission.
type Verify func(c SigCheck) bool

// Application is the replicated deterministic state machine. Apply is the only
// method that changes what Root covers. It reads no clock, draws no randomness
// and never lets the order of a Go map reach its state or result.
//
// Versions count applied operations from genesis; Restore sets the version that
// the snapshot was taken at. The application keeps what it needs to take back
// every version above the last released one; the caller bounds how many that are.
type Application interface {
	// Checks appends the signature checks op will ask for, as far as the present
	// state can tell. It is an optimisation: Apply decides.
	Checks(dst []SigCheck, op []byte) []SigCheck
	// Apply executes the next operation and returns its result. An invalid
	// operation counts as applied; the result says what was wrong. Apply never
	// panics on any input. The result has at most MaxOperation bytes (a longer one is
	// replaced by a message that says so, on every replica alike) and must not be
	// changed by later calls.
	Apply(op []byte, verify Verify) []byte
	// Query answers a read of the present state without changing it.
	Query(q []byte) []byte

	// Version is the number of operations applied since genesis.
	Version() uint64
	// Rollback takes back all operations above version v. It fails if v is below
	// the last released version or above the present one.
	Rollback(v uint64) error
	// Release says that nothing at or below version v will be taken back.
	Release(v uint64)

	// Snapshot writes the present state, Restore replaces the whole state by one
	// read from r, or fails and leaves the state unusable until a Restore
	// succeeds. Both are deterministic: equal states give equal bytes. Restore
	// bounds what it allocates by what it reads.
	Snapshot(w io.Writer) error
	Restore(r io.Reader) error
	// Root is a digest of the state that is equal on all correct replicas at
	// equal version.
	Root() Digest
}

// Load decides what the clients of one process ask for, and when. It runs beside
// the clients, on the same host, and obeys the same determinism rules as a Node.
type Load interface {
	// Start is called once. Clients are named by their index 0..clients-1.
	Start(env LoadEnv, clients int)
	// Wake is called at the time asked for by LoadEnv.WakeAt.
	Wake(now Time)
	// Completed reports the result of an operation. latency recording is the
	// Load's own business, through LoadEnv.Record.
	Completed(client int, c Completion)
}

// Auditor may be implemented by an Application that has invariants of its own.
type Auditor interface {
	// Audit returns nil, or says which invariant the present state breaks, and by
	// which rows and amounts. It changes nothing and may look at the whole state, so
	// it is no part of execution: who observes a run calls it, at checkpoints and at
	// the end, outside of virtual time.
	Audit() error
}

// Restarter is a Load that withstands a crash of the process of its clients.
type Restarter interface {
	Load
	// Restarted is called instead of Start when the clients are back. Nothing that
	// was open will be completed; whether it was or will be executed is unknown.
	// Wakes that were asked for are gone. An error says why the load cannot go on.
	Restarted() error
}

// LoadEnv is what a Load can do.
type LoadEnv interface {
	Now() Time
	// Clock is the wall clock of the host, as Env.Clock; workloads whose
	// operations carry deadlines in ledger time read it.
	Clock() Time
	// WakeAt asks for one Wake at t (now or later). A second call replaces the
	// first.
	WakeAt(t Time)
	// Invoke starts an operation of a client; at most Entry.Outstanding may be
	// open per client.
	Invoke(client int, id uint64, op []byte)
	// Scheme signs for the accounts that the workload plays.
	Scheme() AppScheme
	// Stream returns a seed for the purpose's own random stream. Equal purposes
	// give equal seeds in every run with the same run seed.
	Stream(purpose string) (seed1, seed2 uint64)
	// Record reports one finished, failed or timed-out operation.
	Record(s Sample)
}

// Outcome says how an operation ended for the one who wanted it.
type Outcome uint8

// Outcomes.
const (
	// Done: a result was accepted and the application was content with it.
	Done Outcome = iota
	// Rejected: the application refused the operation by rule; it was ordered.
	Rejected
	// TimedOut: no result within the time-out. Latency is censored at it.
	TimedOut
	// Dropped: the generator could not even submit it (its own bound was full).
	Dropped
)

// Sample is one operation as its initiator saw it. Times are Env.Now times.
type Sample struct {
	// Class of the operation, an index into the workload's class names.
	Class uint8
	// Intended is when it should have been submitted, Sent when it was, Finished
	// when it ended. Latency counts from Intended.
	Intended, Sent, Finished Time
	Outcome                  Outcome
	// Retransmissions counts how often the client sent it again.
	Retransmissions int
}
