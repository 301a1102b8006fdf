package observe

import (
	"fmt"
	"math"
	"sort"
	"sync/atomic" //lint:allow determinism porcupine searches on a goroutine of its own
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/edgebft/edgebft/protocols"
)

// Model is a sequential specification for Windows. All functions are pure.
type Model struct {
	// Key names the object that an operation touches; false if it touches more
	// than one, which makes the check give up. Objects are checked on their own.
	Key func(op []byte) (string, bool)
	// Init is the state of an object in the beginning. States are compared by ==.
	Init func(key string) any
	// Step reports whether an operation may give this result in this state, and
	// the state after it. A nil result is unknown: any is allowed.
	Step func(state any, op, result []byte) (bool, any)
	// After returns the state in which an operation with this result leaves the
	// object, if that follows from operation and result alone. It is what allows
	// a history to be cut.
	After func(op, result []byte) (any, bool)
}

// Limits of Windows.
const (
	// minWindow is how many operations are gathered before a history is cut.
	minWindow = 64
	// maxWindow bounds the operations of one object between two cuts.
	maxWindow = 4096
	// maxMemory bounds what the search of one window may remember, in bytes: per step
	// forward a bit set of the operations and a state.
	maxMemory  = 256 << 20
	stepMemory = 128
)

// Windows checks the histories of single objects with porcupine, independently
// of the order of the replicas. A history is cut behind an operation that
// overlaps with no other and leaves the object in a known state; each window is
// then checked on its own and forgotten. (An operation invoked at the instant at
// which another one is answered comes after it: nothing travels in no time.) The search is exponential in the
// concurrency of a window and has a time-out and a cap on memory; giving up makes the
// property undecided, never true.
type Windows struct {
	model   Model
	each    time.Duration
	budget  time.Duration
	found   *findings
	objects map[string]*object
	dead    bool
	checked int
	memory  int // bytes per window
}

// object is the history of one object since the last cut.
type object struct {
	key   string
	state any
	ops   []*operation
	open  int
	ends  protocols.Time // latest answer so far
}

// NewWindows returns a check with a time-out per window and a budget for the
// whole run; 0 means 10 s and 60 s of wall-clock time.
func NewWindows(m Model, perWindow, budget time.Duration) *Windows {
	if perWindow <= 0 {
		perWindow = 10 * time.Second
	}
	if budget <= 0 {
		budget = time.Minute
	}
	return &Windows{model: m, each: perWindow, budget: budget, memory: maxMemory, objects: make(map[string]*object)}
}

func (w *Windows) bind(f *findings) { w.found = f }

// Checked is the number of windows that were checked.
func (w *Windows) Checked() int { return w.checked }

func (w *Windows) giveUp(reason string) {
	w.dead = true
	clear(w.objects)
	w.found.giveUp(Linearizable, "porcupine: "+reason)
}

// foreign hears of a request whose operation is unknown.
func (w *Windows) foreign() {
	if !w.dead {
		w.giveUp("a request was executed whose operation is not known")
	}
}

func (w *Windows) invoked(o *operation) {
	if w.dead {
		return
	}
	key, ok := w.model.Key(o.op)
	if !ok {
		w.giveUp("an operation touches several objects")
		return
	}
	x := w.objects[key]
	if x == nil {
		x = &object{key: key, state: w.model.Init(key)}
		w.objects[key] = x
	}
	if len(x.ops) >= minWindow && x.open == 0 {
		w.cut(x)
		if w.dead {
			return
		}
	}
	if len(x.ops) >= maxWindow {
		w.giveUp(fmt.Sprintf("object %q had no quiet moment in %d operations", key, maxWindow))
		return
	}
	x.ops = append(x.ops, o)
	x.open++
}

func (w *Windows) completed(o *operation) {
	if w.dead {
		return
	}
	key, _ := w.model.Key(o.op)
	x := w.objects[key]
	x.open--
	x.ends = max(x.ends, o.back)
}

// cut checks and forgets the history of a quiet object, if the operation that
// was invoked last overlapped with none and tells the state.
func (w *Windows) cut(x *object) {
	last := x.ops[len(x.ops)-1]
	for _, o := range x.ops[:len(x.ops)-1] {
		if o.back > last.call {
			return
		}
	}
	state, ok := w.model.After(last.op, last.result)
	if !ok {
		return
	}
	w.check(x, last.back)
	x.state = state
	clear(x.ops)
	x.ops = x.ops[:0]
}

func (w *Windows) finish(at protocols.Time) {
	if w.dead {
		return
	}
	keys := make([]string, 0, len(w.objects))
	for k := range w.objects {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if w.dead {
			return
		}
		w.check(w.objects[k], at)
	}
}

// exchange is an operation as porcupine sees it.
type exchange struct{ op, result []byte }

func (w *Windows) check(x *object, at protocols.Time) {
	if len(x.ops) == 0 {
		return
	}
	history := make([]porcupine.Operation, len(x.ops))
	for i, o := range x.ops {
		p := porcupine.Operation{ClientId: i, Input: exchange{o.op, o.result}, Call: int64(o.call), Return: math.MaxInt64}
		if o.answered {
			p.Return = int64(o.back)
		}
		history[i] = p
	}
	state := x.state
	// Once the search remembers too much, no step leads further and it comes to its
	// end. (It runs on a goroutine of its own.)
	var left atomic.Int64
	left.Store(int64(w.memory / (stepMemory + len(history)/8)))
	model := porcupine.Model{
		Init: func() any { return state },
		Step: func(s, in, _ any) (bool, any) {
			e := in.(exchange)
			ok, next := w.model.Step(s, e.op, e.result)
			if ok && left.Add(-1) < 0 {
				return false, s
			}
			return ok, next
		},
	}
	limit := min(w.each, w.budget)
	if limit <= 0 {
		w.giveUp("the time for checking is used up")
		return
	}
	spent := stopwatch()
	verdict := porcupine.CheckOperationsTimeout(model, history, limit)
	w.budget -= spent()
	w.checked++
	if left.Load() < 0 {
		w.giveUp(fmt.Sprintf("%d operations on %q were too many to search in %d MiB", len(history), x.key, w.memory>>20))
		return
	}
	switch verdict {
	case porcupine.Illegal:
		w.found.violate(Linearizable, at, protocols.Nobody, "porcupine: no order of the %d operations on %q up to %d ns explains their results", len(history), x.key, int64(at))
	case porcupine.Unknown:
		w.giveUp(fmt.Sprintf("%d operations on %q were too many to search in %s", len(history), x.key, limit))
	}
}

// stopwatch measures wall-clock time. It bounds the effort of checking, whose
// outcome decides no event.
//
//lint:allow determinism the effort of checking is limited in wall-clock time
func stopwatch() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
