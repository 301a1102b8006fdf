package agents

// Report is one replica's signed clock reading.
type Report struct {
	Replica   int
	Time      uint64 // ms
	Signature [64]byte
}

// Verdict is what the ledger said about a tick.
type Verdict uint8

// Verdicts.
const (
	// Applied: time advanced.
	Applied Verdict = iota
	// NotAhead: the readings do not lie ahead of ledger time.
	NotAhead
	// Short: there were too few valid readings.
	Short
	// Passed: this tick was applied before.
	Passed
	// Early: an earlier tick is missing.
	Early
)

// Ledger is what the agents know of the replicated state machine.
type Ledger struct {
	// Message is what a replica signs to report the reading now (ms) for a tick.
	Message func(tick, now uint64) []byte
	// Tick builds the operation that carries the reports, which are given in
	// ascending order of replica.
	Tick func(tick uint64, reports []Report) ([]byte, error)
	// Verdict interprets its result.
	Verdict func(result []byte) Verdict
}
