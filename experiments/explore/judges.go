package explore

import (
	"strings"

	"github.com/edgebft/edgebft/experiments/run"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/protocols"
)

// judges watch one run: the invariants of the replicated order, and the
// histories of the correct clients against it. (Liveness is the business of
// simulation.run, which knows the phases.)
type judges struct {
	checker *observe.Checker
	history *observe.History
	// blind: a Byzantine client takes part, after whose requests replies are
	// compared no more.
	blind bool
}

func newJudges(x *simulation) *judges {
	j := new(judges)
	for id := range x.lies {
		j.blind = j.blind || id.IsClient()
	}
	h := observe.HistoryConfig{First: protocols.FirstClient, NewApplication: x.config.NewApplication}
	if x.market != nil {
		h.Verify = x.market.verify
	}
	if x.s.Checks.Linearizability && x.s.Workload.App == "kv" {
		h.Windows = observe.NewWindows(run.KVModel(), x.s.Checks.Timeout.Std(), x.s.Checks.Timeout.Std())
	}
	j.history = observe.NewHistory(h)
	j.checker = observe.New(observe.Config{
		N: x.s.N, Finality: x.tables.entry.Finality, StopAtFirst: true, Restarts: true, History: j.history,
		Correct: x.correct,
	})
	return j
}

// finish turns what the checkers could not decide into a verdict.
func (j *judges) finish(out *Outcome) {
	r := j.checker.Report()
	if r.Linearizable == observe.Undecided && !j.blind {
		out.Verdict, out.Invariant = Undecided, observe.Linearizable
		out.Detail = strings.Join(append(r.Notes, r.Unchecked...), "; ")
	}
}
