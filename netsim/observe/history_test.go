package observe

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

// register is an application of four registers: {'p', key, value} answers the
// old value, {'g', key} the present one.
type register struct {
	values  [4]byte
	version uint64
}

func (a *register) Apply(op []byte, _ protocols.Verify) []byte {
	a.version++
	old := a.values[op[1]]
	if op[0] == 'p' {
		a.values[op[1]] = op[2]
	}
	return []byte{old}
}

func (a *register) Checks(dst []protocols.SigCheck, _ []byte) []protocols.SigCheck { return dst }
func (a *register) Query([]byte) []byte                                            { return nil }
func (a *register) Version() uint64                                                { return a.version }
func (a *register) Rollback(uint64) error                                          { return nil }
func (a *register) Release(uint64)                                                 {}
func (a *register) Snapshot(io.Writer) error                                       { return nil }
func (a *register) Restore(io.Reader) error                                        { return nil }
func (a *register) Root() protocols.Digest                                         { return sha256.Sum256(a.values[:]) }

func model() Model {
	return Model{
		Key:  func(op []byte) (string, bool) { return string(op[1:2]), op[0] != 'm' },
		Init: func(string) any { return byte(0) },
		Step: func(state any, op, result []byte) (bool, any) {
			old := state.(byte)
			ok := result == nil || len(result) == 1 && result[0] == old
			if op[0] == 'p' {
				return ok, op[2]
			}
			return ok, old
		},
		After: func(op, result []byte) (any, bool) {
			if op[0] == 'p' {
				return op[2], true
			}
			return result[0], len(result) == 1
		},
	}
}

// world is a run with histories.
type world struct {
	*run
	h *History
	w *Windows
}

func newWorld(cfg Config, app bool) *world {
	w := &world{w: NewWindows(model(), 0, 0)}
	hc := HistoryConfig{First: c0, Windows: w.w}
	if app {
		hc.NewApplication = func() protocols.Application { return new(register) }
	}
	w.h = NewHistory(hc)
	cfg.History = w.h
	w.run = newRun(cfg)
	return w
}

func (w *world) ask(at protocols.Time, client protocols.NodeID, ts uint64, op ...byte) {
	w.at = at
	w.h.Invoked(at, client, ts, op)
	w.at-- // same instant
	w.invoke(client, ts)
}

func (w *world) answer(at protocols.Time, client protocols.NodeID, ts uint64, result ...byte) {
	w.at = at
	w.h.Completed(at, client, ts, result)
}

func (w *world) verdict() (Verdict, []string, []string) {
	v := w.end()
	rep := w.Report()
	return rep.Linearizable, v, rep.Notes
}

func TestLinearizable(t *testing.T) {
	w := newWorld(Config{}, true)
	w.ask(10, c0, 1, 'p', 0, 5)
	w.ask(11, c0+1, 1, 'g', 0)
	w.execute(0, 1, c0+1, 1).execute(0, 2, c0, 1)
	w.answer(20, c0+1, 1, 0)
	w.answer(21, c0, 1, 0)
	w.ask(30, c0, 2, 'g', 0)
	w.execute(0, 3, c0, 2)
	w.answer(31, c0, 2, 5)
	w.ask(40, c0, 3, 'p', 0, 9) // never answered
	w.root(0, 3, 0)             // bites: not the root of the replay
	v, violations, notes := w.verdict()
	require.Equal(t, True, v)
	require.Len(t, violations, 1)
	require.Contains(t, violations[0], "root 0: state root at index 3 is 00000000, replaying the order gives")
	require.Empty(t, notes)
}

func TestNotLinearizable(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(w *world)
		want []string
	}{
		{"wrong reply", func(w *world) {
			w.ask(10, c0, 1, 'p', 0, 5)
			w.execute(0, 1, c0, 1)
			w.answer(20, c0, 1, 7)
		}, []string{
			"linearizable 1048576: operation 1048576/1 at index 1 was answered 07, the order gives 00",
			"linearizable -1: porcupine: no order of the 1 operations on \"\\x00\" up to 21 ns explains their results",
		}},
		{"real time", func(w *world) { // reads behind, writes before: each reply fits the order
			w.ask(10, c0, 1, 'p', 0, 5)
			w.answerLater(20, c0, 1, 0)
			w.ask(30, c0+1, 1, 'g', 0)
			w.execute(0, 1, c0+1, 1)
			w.execute(0, 2, c0, 1)
			w.answer(40, c0+1, 1, 0)
		}, []string{
			"linearizable 1048576: operation 1048576/1 at index 2 was answered at 20 ns, before an operation was invoked (at 30 ns) that stands before it in the order",
			"linearizable -1: porcupine: no order of the 2 operations on \"\\x00\" up to 41 ns explains their results",
		}},
		{"answered, not ordered", func(w *world) {
			w.ask(10, c0, 1, 'g', 0)
			w.answer(20, c0, 1, 0)
		}, []string{"linearizable 1048576: operation 1048576/1 was answered but stands nowhere in the order"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(Config{}, true)
			c.run(w)
			v, violations, _ := w.verdict()
			require.Equal(t, False, v)
			require.Equal(t, c.want, violations)
		})
	}
}

// answerLater answers before the operation is executed; only histories are told.
func (w *world) answerLater(at protocols.Time, client protocols.NodeID, ts uint64, result ...byte) {
	w.answer(at, client, ts, result...)
}

func TestUndecided(t *testing.T) {
	w := newWorld(Config{}, false)
	w.ask(10, c0, 1, 'g', 0)
	w.execute(0, 1, c0, 1)
	w.answer(20, c0, 1, 0)
	v, violations, notes := w.verdict()
	require.Equal(t, Undecided, v)
	require.Empty(t, violations)
	require.Equal(t, []string{"linearizable: there is no application to replay the order on"}, notes)

	faulty := func(id protocols.NodeID) bool { return id != c0+1 }
	w = newWorld(Config{Correct: faulty}, true)
	w.ask(10, c0, 1, 'g', 0)
	w.ask(10, c0+1, 1, 'p', 0, 1) // not recorded
	w.execute(0, 1, c0+1, 1).execute(0, 2, c0, 1)
	w.answer(20, c0, 1, 1)
	v, violations, notes = w.verdict()
	require.Equal(t, Undecided, v)
	require.Empty(t, violations)
	require.Contains(t, notes[0], "a request was executed whose operation is not known")

	w = newWorld(Config{}, true)
	w.ask(10, c0, 1, 'm', 0)
	v, _, notes = w.verdict()
	require.Equal(t, Undecided, v)
	require.Equal(t, []string{"linearizable: porcupine: an operation touches several objects"}, notes)
}

// A history without a quiet moment, and a search without time, are given up.
func TestWindowsGiveUp(t *testing.T) {
	w := newWorld(Config{}, true)
	for i := range uint64(maxWindow + 1) {
		w.ask(protocols.Time(i), c0+protocols.NodeID(i), 1, 'g', 0)
	}
	require.True(t, w.w.dead)
	v, violations, notes := w.verdict()
	require.Equal(t, Undecided, v)
	require.Empty(t, violations)
	require.Equal(t, []string{`linearizable: porcupine: object "\x00" had no quiet moment in 4096 operations`}, notes)

	w = newWorld(Config{}, true)
	w.w.budget = -1
	w.ask(1, c0, 1, 'g', 0)
	v, _, notes = w.verdict()
	require.Equal(t, Undecided, v)
	require.Equal(t, []string{"linearizable: porcupine: the time for checking is used up"}, notes)

	// Exponentially many orders of the writes, none of which explains the answer.
	w = newWorld(Config{}, true)
	w.w.memory = 1000 * stepMemory
	unexplained(w)
	require.Contains(t, w.Report().Notes, "linearizable: porcupine: 41 operations on \"\\x00\" were too many to search in 0 MiB")

	w = newWorld(Config{}, true)
	w.w.each = time.Nanosecond
	unexplained(w)
	require.Contains(t, w.Report().Notes, "linearizable: porcupine: 41 operations on \"\\x00\" were too many to search in 1ns")
}

// unexplained adds concurrent writes, and the answer to a read that none of them gives.
func unexplained(w *world) {
	for i := range uint64(40) {
		w.ask(1, c0+protocols.NodeID(i), 1, 'p', 0, byte(i+1))
	}
	w.ask(1, c0+40, 1, 'g', 0)
	w.answer(100, c0+40, 1, 200)
	w.end()
}

// simulate makes a history of a correct register: every operation takes effect
// at one instant between call and answer. lie changes one answer.
func simulate(t *rapid.T, w *world, operations int, lie bool) {
	type pending struct {
		ts  uint64
		op  []byte
		res []byte
		run bool
	}
	clients := rapid.IntRange(1, 4).Draw(t, "clients")
	open := make([]*pending, clients)
	ts := make([]uint64, clients)
	app := new(register)
	now, index := protocols.Time(1), uint64(0)
	liar := -1
	if lie {
		liar = rapid.IntRange(0, operations-1).Draw(t, "liar")
	}
	answered := 0
	for begun := 0; answered < operations; {
		now += protocols.Time(rapid.IntRange(0, 2).Draw(t, "pause"))
		c := rapid.IntRange(0, clients-1).Draw(t, "client")
		id := c0 + protocols.NodeID(c)
		switch p := open[c]; {
		case p == nil && begun < operations:
			begun++
			ts[c]++
			op := []byte{'g', byte(rapid.IntRange(0, 1).Draw(t, "key"))}
			if rapid.Bool().Draw(t, "put") {
				op = []byte{'p', op[1], byte(begun%200 + 1)}
			}
			open[c] = &pending{ts: ts[c], op: op}
			w.ask(now, id, ts[c], op...)
		case p != nil && !p.run:
			p.run = true
			p.res = bytes.Clone(app.Apply(p.op, nil))
			index++
			for n := range protocols.NodeID(4) {
				w.execute(n, index, id, p.ts)
			}
		case p != nil:
			if answered == liar {
				p.res[0] ^= 0x80
			}
			answered++
			w.answer(now, id, p.ts, p.res...)
			open[c] = nil
		}
	}
}

func TestWitnessAndPorcupineAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lie := rapid.Bool().Draw(t, "lie")
		w := newWorld(Config{}, true)
		simulate(t, w, rapid.IntRange(1, 150).Draw(t, "operations"), lie)
		v, violations, notes := w.verdict()
		require.Empty(t, notes)
		if lie {
			require.Equal(t, False, v)
			porcupine := false
			for _, s := range violations {
				porcupine = porcupine || bytes.Contains([]byte(s), []byte("porcupine"))
			}
			require.True(t, porcupine, "the independent check finds it too")
		} else {
			require.Empty(t, violations)
			require.Equal(t, True, v)
		}
	})
}

// A single client never overlaps: its history is cut into small windows.
func TestWindowsAreCut(t *testing.T) {
	w := newWorld(Config{}, true)
	app := new(register)
	for i := uint64(1); i <= 1000; i++ {
		op := []byte{'p', 0, byte(i)}
		w.ask(protocols.Time(10*i), c0, i, op...)
		w.execute(0, i, c0, i)
		w.answer(protocols.Time(10*i+10), c0, i, app.Apply(op, nil)...)
	}
	v, violations, notes := w.verdict()
	require.Equal(t, True, v)
	require.Empty(t, violations)
	require.Empty(t, notes)
	require.Equal(t, 16, w.w.Checked())
	require.Empty(t, w.h.open)
	require.Empty(t, w.h.byID)
}

// plainLoad invokes one operation per wake.
type plainLoad struct {
	env  protocols.LoadEnv
	got  []protocols.Completion
	next uint64
}

func (l *plainLoad) Start(env protocols.LoadEnv, _ int) { l.env = env }

func (l *plainLoad) Wake(protocols.Time) {
	l.next++
	l.env.Invoke(2, l.next, []byte{'p', 0, byte(l.next)})
}

func (l *plainLoad) Completed(_ int, c protocols.Completion) { l.got = append(l.got, c) }

// plainEnv is a LoadEnv of which only two methods are used.
type plainEnv struct {
	protocols.LoadEnv
	now     protocols.Time
	invoked []uint64
}

func (e *plainEnv) Now() protocols.Time               { return e.now }
func (e *plainEnv) Invoke(_ int, id uint64, _ []byte) { e.invoked = append(e.invoked, id) }

func TestLoadIsRecorded(t *testing.T) {
	w := newWorld(Config{}, true)
	inner, env := new(plainLoad), &plainEnv{now: 5}
	l := w.h.Load(inner)
	l.Start(env, 3)
	l.Wake(5)
	require.Equal(t, []uint64{1}, env.invoked)
	w.invoke(c0+2, 1).execute(0, 1, c0+2, 1)
	env.now = 9
	l.Completed(2, protocols.Completion{ID: 1, Result: []byte{3}})
	require.Len(t, inner.got, 1)
	v, violations, _ := w.verdict()
	require.Equal(t, False, v)
	require.Contains(t, violations[0], "operation 1048578/1 at index 1 was answered 03, the order gives 00")
}

// hasher is a Hasher for requests.
type hasher struct{}

func (hasher) Digest(b []byte) protocols.Digest { return sha256.Sum256(b) }

// A client that crashed between being asked and announcing does not mix up the
// operations that follow.
func TestLostBeforeAnnounced(t *testing.T) {
	h := NewHistory(HistoryConfig{First: c0, Hasher: hasher{}, NewApplication: func() protocols.Application { return new(register) }})
	r := newRun(Config{History: h})
	h.Invoked(1, c0, 1, []byte{'p', 0, 1})
	h.Invoked(2, c0, 2, []byte{'p', 0, 2})
	req := protocols.Request{Client: c0, Timestamp: 1<<32 | 1, Op: []byte{'p', 0, 2}}
	d := req.Digest(hasher{})
	r.emit(c0, protocols.Event{Kind: protocols.EventInvoked, Client: c0, Timestamp: req.Timestamp, Digest: d})
	r.emit(0, protocols.Event{Kind: protocols.EventExecuted, Index: 1, Client: c0, Timestamp: req.Timestamp, Digest: d})
	h.Completed(9, c0, 2, []byte{0})
	require.Empty(t, r.end())
	rep := r.Report()
	require.Equal(t, True, rep.Linearizable)
	require.Equal(t, uint64(2), binary.BigEndian.Uint64([]byte{0, 0, 0, 0, 0, 0, 0, h.app.(*register).values[0]}))
}
