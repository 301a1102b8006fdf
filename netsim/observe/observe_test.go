package observe

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

const c0 = protocols.FirstClient

// run feeds events to a Checker; the time is the number of events so far.
type run struct {
	*Checker
	at protocols.Time
}

func newRun(cfg Config) *run {
	if cfg.N == 0 {
		cfg.N = 4
	}
	return &run{Checker: New(cfg)}
}

func (r *run) emit(node protocols.NodeID, ev protocols.Event) *run {
	r.at++
	r.Observe(r.at, node, &ev)
	return r
}

func digest(b byte) protocols.Digest { return protocols.Digest{b} }

func (r *run) invoke(client protocols.NodeID, ts uint64) *run {
	return r.emit(client, protocols.Event{Kind: protocols.EventInvoked, Client: client, Timestamp: ts, Digest: digest(byte(ts))})
}

func (r *run) accept(client protocols.NodeID, ts uint64) *run {
	return r.emit(client, protocols.Event{Kind: protocols.EventAccepted, Client: client, Timestamp: ts, Digest: digest(byte(ts))})
}

func (r *run) execute(node protocols.NodeID, index uint64, client protocols.NodeID, ts uint64) *run {
	return r.emit(node, protocols.Event{Kind: protocols.EventExecuted, Index: index, Client: client, Timestamp: ts, Digest: digest(byte(ts))})
}

func (r *run) event(node protocols.NodeID, kind protocols.EventKind, index uint64) *run {
	return r.emit(node, protocols.Event{Kind: kind, Index: index})
}

func (r *run) root(node protocols.NodeID, index uint64, d byte) *run {
	return r.emit(node, protocols.Event{Kind: protocols.EventFinal, Index: index, Digest: digest(d), Root: true})
}

func (r *run) commit(node protocols.NodeID, path string, seq uint64, d byte) *run {
	return r.emit(node, protocols.Event{Kind: protocols.EventCommitted, Path: path, Seq: seq, Digest: digest(d)})
}

// end finishes the run and returns the violations as "invariant node: detail".
func (r *run) end() (out []string) {
	r.at++
	for _, v := range r.Finish(r.at) {
		out = append(out, fmt.Sprintf("%s %d: %s", v.Invariant, v.Node, v.Detail))
	}
	return out
}

// good is a correct run of requests executed by the given replicas.
func good(r *run, requests int, replicas ...protocols.NodeID) *run {
	for i := 1; i <= requests; i++ {
		r.invoke(c0, uint64(i))
		for _, n := range replicas {
			r.execute(n, uint64(i), c0, uint64(i))
		}
		r.accept(c0, uint64(i))
	}
	return r
}

func TestGoodRun(t *testing.T) {
	r := good(newRun(Config{Deadline: 1, Stall: time.Minute}), 20, 0, 1, 2, 3)
	r.root(0, 20, 7).root(1, 20, 7).commit(0, "", 1, 1).commit(1, "", 1, 1)
	require.Empty(t, r.end())
	require.Equal(t, uint64(20), r.Executed())
	rep := r.Report()
	require.Equal(t, Report{
		Agreement: True, Integrity: True, Validity: True, Root: True, Liveness: True, Linearizable: Undecided,
		Unchecked: []string{Linearizable}, Violations: []protocols.Violation{},
	}, rep)
	require.True(t, rep.OK())
	text, err := json.Marshal(rep)
	require.NoError(t, err)
	require.JSONEq(t, `{"agreement":true,"integrity":true,"validity":true,"linearizable":"undecided","liveness":true,"root":true,"application":"undecided","unchecked":["linearizable"],"violations":[]}`, string(text))
}

func TestNothingToLookAt(t *testing.T) {
	r := newRun(Config{})
	require.Empty(t, r.end())
	rep := r.Report()
	require.Equal(t, Undecided, rep.Agreement)
	require.Equal(t, []string{Agreement, Integrity, Validity, Linearizable, Liveness, Root}, rep.Unchecked)
}

// Every observer bites.
func TestViolations(t *testing.T) {
	byzantine := func(id protocols.NodeID) bool { return id != 3 && id != c0+1 }
	for _, c := range []struct {
		name string
		cfg  Config
		run  func(r *run)
		want []string
	}{
		{"different order", Config{}, func(r *run) {
			r.invoke(c0, 1).invoke(c0+1, 2)
			r.execute(0, 1, c0, 1).execute(0, 2, c0+1, 2).execute(1, 1, c0+1, 2).execute(1, 2, c0, 1)
		}, []string{"agreement 1: executes request 1048577/2 (02000000) at index 1, where others executed 1048576/1 (01000000)"}},
		{"different body", Config{}, func(r *run) {
			r.invoke(c0, 1).execute(0, 1, c0, 1)
			r.emit(1, protocols.Event{Kind: protocols.EventExecuted, Index: 1, Client: c0, Timestamp: 1, Digest: digest(9)})
		}, []string{"agreement 1: executes request 1048576/1 (09000000) at index 1, where others executed 1048576/1 (01000000)"}},
		{"a Byzantine replica is not judged", Config{Correct: byzantine}, func(r *run) {
			good(r, 2, 0, 1).execute(3, 1, c0, 2).execute(3, 9, c0, 2).commit(3, "", 1, 1).commit(0, "", 1, 2).root(3, 1, 4).root(0, 1, 5)
			r.event(3, protocols.EventTransfer, 99)
		}, nil},
		{"replicas beyond N are not judged", Config{}, func(r *run) { r.execute(7, 5, c0, 1) }, nil},
		{
			"a slot decided twice by one",
			Config{},
			func(r *run) { r.commit(0, "", 5, 1).commit(0, "", 5, 2) },
			[]string{"agreement 0: decides 02000000 in slot 5 (view 0), replica 0 decided 01000000"},
		},
		{
			"a slot decided in two ways",
			Config{},
			func(r *run) { r.commit(0, "a", 5, 1).commit(0, "b", 5, 2).commit(1, "b", 5, 1) },
			[]string{"agreement 1: decides 01000000 in slot 5 of b (view 0), replica 0 decided 02000000"},
		},
		{"a gap", Config{}, func(r *run) {
			good(r, 3, 0).execute(1, 1, c0, 1).execute(1, 3, c0, 3).execute(1, 4, c0, 3)
		}, []string{"integrity 1: executes index 3 after 1", "integrity 1: request 1048576/3 is executed a second time, at index 4"}},
		{
			"twice",
			Config{},
			func(r *run) { good(r, 2, 0).execute(0, 3, c0, 1) },
			[]string{"integrity 0: request 1048576/1 is executed a second time, at index 3"},
		},
		{"index 0", Config{}, func(r *run) { r.invoke(c0, 1).execute(0, 0, c0, 1) }, []string{"integrity 0: executes index 0; the order begins at 1"}},
		{
			"back without a restart",
			Config{Restarts: true},
			func(r *run) { good(r, 2, 0).execute(0, 1, c0, 1) },
			[]string{"integrity 0: executes index 1 after 2"},
		},
		{
			"immediate execution taken back",
			Config{},
			func(r *run) { good(r, 3, 0).event(0, protocols.EventRolledBack, 2) },
			[]string{"integrity 0: rolls back from 3 to 2 although execution is final"},
		},
		{
			"rollback into the future",
			Config{},
			func(r *run) { good(r, 3, 0).event(0, protocols.EventRolledBack, 5) },
			[]string{"integrity 0: rolls back to index 5 but has executed 3 only"},
		},
		{"final taken back", Config{Finality: protocols.Speculative}, func(r *run) {
			good(r, 3, 0).event(0, protocols.EventFinal, 2).event(0, protocols.EventRolledBack, 1)
		}, []string{"integrity 0: rolls back to 1 although 2 was final"}},
		{
			"final before executed",
			Config{},
			func(r *run) { good(r, 3, 0).event(0, protocols.EventFinal, 4) },
			[]string{"integrity 0: calls index 4 final but has executed 3 only"},
		},
		{"final orders differ", Config{Finality: protocols.Speculative}, func(r *run) {
			r.invoke(c0, 1).invoke(c0, 2)
			r.execute(0, 1, c0, 1).execute(1, 1, c0, 2).event(0, protocols.EventFinal, 1).event(1, protocols.EventFinal, 1)
		}, []string{"agreement 1: executes request 1048576/2 (02000000) at index 1, where others executed 1048576/1 (01000000)"}},
		{
			"a state from nowhere",
			Config{},
			func(r *run) { good(r, 3, 0).event(1, protocols.EventTransfer, 4) },
			[]string{"agreement 1: adopts a state at index 4, but correct replicas executed 3 only"},
		},
		{
			"invented",
			Config{},
			func(r *run) { r.execute(0, 1, c0, 1) },
			[]string{"validity 0: request 1048576/1 at index 1 was never invoked by that client"},
		},
		{"falsified", Config{}, func(r *run) {
			r.invoke(c0, 1).emit(0, protocols.Event{Kind: protocols.EventExecuted, Index: 1, Client: c0, Timestamp: 1, Digest: digest(9)})
		}, []string{"validity 0: request 1048576/1 at index 1 has digest 09000000, the client invoked 01000000"}},
		{"a Byzantine client may say anything", Config{Correct: byzantine}, func(r *run) { r.execute(0, 1, c0+1, 77) }, nil},
		{
			"accepted, not executed",
			Config{},
			func(r *run) { r.invoke(c0, 1).accept(c0, 1) },
			[]string{"validity 1048576: accepts a result for timestamp 1, which no correct replica has executed"},
		},
		{
			"accepted, not invoked",
			Config{},
			func(r *run) { r.accept(c0, 1) },
			[]string{"validity 1048576: accepts a result for timestamp 1, which it did not invoke or had accepted before"},
		},
		{
			"accepted twice",
			Config{},
			func(r *run) { good(r, 1, 0).accept(c0, 1) },
			[]string{"validity 1048576: accepts a result for timestamp 1, which it did not invoke or had accepted before"},
		},
		{
			"timestamp reused",
			Config{},
			func(r *run) { good(r, 1, 0).invoke(c0, 1) },
			[]string{"integrity 1048576: invokes timestamp 1 a second time"},
		},
		{
			"roots differ",
			Config{},
			func(r *run) { good(r, 2, 0, 1).root(0, 2, 1).root(1, 2, 2) },
			[]string{"root 1: state root at index 2 is 02000000, at replica 0 it is 01000000"},
		},
		{"never answered", Config{Deadline: 3}, func(r *run) { good(r, 1, 0).invoke(c0, 2).invoke(c0+1, 9) }, nil},
		{
			"never answered before the deadline",
			Config{Deadline: 6},
			func(r *run) { good(r, 1, 0).invoke(c0, 2).invoke(c0+1, 9).invoke(c0+2, 1) },
			[]string{"liveness 1048576: 2 requests invoked before 6ns were never answered: 1048576/2 of 4ns, 1048577/9 of 5ns"},
		},
		{"a client that restarted forgot", Config{Deadline: 6}, func(r *run) {
			r.invoke(c0, 1).invoke(c0, 1<<32|1).execute(0, 1, c0, 1<<32|1).accept(c0, 1<<32|1)
			r.at = 9
		}, nil},
		{"stall", Config{Stall: 10, Calm: 100}, func(r *run) {
			r.invoke(c0, 1)
			r.at = 109
			r.invoke(c0+1, 1) // at 110: not yet
			r.at = 110
			r.invoke(c0+2, 1) // at 111
		}, []string{"liveness -1: no client was answered for 11ns in calm while 2 requests were open"}},
		{"no stall without load", Config{Stall: 10}, func(r *run) {
			good(r, 1, 0)
			r.at = 500
			good2 := r.invoke(c0, 2).execute(0, 2, c0, 2)
			good2.accept(c0, 2)
			r.at = 900
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(c.cfg)
			c.run(r)
			got := r.end()
			require.Equal(t, c.want, got)
			if len(c.want) > 0 {
				require.False(t, func() bool { rep := r.Report(); return rep.OK() }())
			}
		})
	}
}

func TestVerdictsFollowViolations(t *testing.T) {
	r := good(newRun(Config{}), 2, 0).root(0, 1, 1).root(0, 1, 2)
	r.end()
	rep := r.Report()
	require.Equal(t, []Verdict{True, True, True, False}, []Verdict{rep.Agreement, rep.Integrity, rep.Validity, rep.Root})
	require.Equal(t, []string{"undecided", "true", "false"}, []string{Undecided.String(), True.String(), False.String()})
}

func TestViolationsAreBounded(t *testing.T) {
	r := newRun(Config{StopAtFirst: true})
	require.Empty(t, r.Stopped())
	for i := range uint64(100) {
		r.commit(0, "", i, 1).commit(0, "", i, 2)
	}
	require.Equal(t, "agreement: decides 02000000 in slot 0 (view 0), replica 0 decided 01000000", r.Stopped())
	require.Len(t, r.end(), MaxViolations)
	rep := r.Report()
	require.Equal(t, 100-MaxViolations, rep.Suppressed)
}

func TestEndedEarly(t *testing.T) {
	r := newRun(Config{Deadline: 1000}).invoke(c0, 1)
	require.Empty(t, r.end())
	rep := r.Report()
	require.Equal(t, Undecided, rep.Liveness)
	require.Equal(t, []string{"liveness: the run ended at 2ns, before the deadline 1µs"}, rep.Notes)
}

// A replica that restarts replays its order, jumps by state transfer, and lags
// far behind the window; as long as its order is right nobody complains, and a
// wrong request is found even there.
func TestLivesOfAReplica(t *testing.T) {
	r := good(newRun(Config{Window: 64, Restarts: true}), 5000, 0)
	r.Restarted(1)
	for i := uint64(1); i <= 10; i++ {
		r.execute(1, i, c0, i)
	}
	r.Restarted(1)
	for i := uint64(1); i <= 2100; i++ {
		r.execute(1, i, c0, i)
	}
	r.event(1, protocols.EventTransfer, 4990)
	for i := uint64(4991); i <= 5000; i++ {
		r.execute(1, i, c0, i)
	}
	r.event(2, protocols.EventTransfer, 3000) // its past is unknown until the window
	for i := uint64(3001); i <= 5000; i++ {
		r.execute(2, i, c0, i)
	}
	require.Empty(t, r.end())

	r = good(newRun(Config{Window: 64}), 5000, 0)
	for i := uint64(1); i <= 1500; i++ {
		ts := i
		if i == 700 {
			ts = 701
		}
		r.execute(1, i, c0, ts)
	}
	require.Equal(t, []string{"agreement 1: its order up to index 1024 differs from that of others"}, r.end())
}

func TestSpeculation(t *testing.T) {
	r := newRun(Config{Finality: protocols.Speculative})
	r.invoke(c0, 1).invoke(c0, 2).invoke(c0, 3)
	r.execute(0, 1, c0, 1).execute(0, 2, c0, 2)
	r.execute(1, 1, c0, 2).execute(1, 2, c0, 3) // guessed otherwise
	r.accept(c0, 1)
	r.event(1, protocols.EventRolledBack, 0).execute(1, 1, c0, 1).execute(1, 2, c0, 2)
	r.event(0, protocols.EventFinal, 2).event(1, protocols.EventFinal, 1).event(1, protocols.EventRolledBack, 1)
	r.execute(1, 2, c0, 2).execute(1, 3, c0, 3).event(1, protocols.EventFinal, 3)
	require.Empty(t, r.end())
	require.Equal(t, uint64(3), r.Executed())
}

// However correct replicas interleave, lag, restart and transfer: no complaint.
// And one wrong request at a correct replica within the window is always found.
func TestInterleavings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 4
		total := uint64(rapid.IntRange(1, 60).Draw(t, "requests"))
		r := newRun(Config{Restarts: true, Window: rapid.SampledFrom([]int{1, 7, 1 << 16}).Draw(t, "window")})
		for i := uint64(1); i <= total; i++ {
			r.invoke(c0, i)
		}
		var at [n]uint64
		most := uint64(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			node := rapid.IntRange(0, n-1).Draw(t, "node")
			switch k := rapid.IntRange(0, 19).Draw(t, "what"); {
			case k == 0:
				r.Restarted(protocols.NodeID(node))
				at[node] = 0
			case k == 1:
				at[node] = rapid.Uint64Range(0, most).Draw(t, "to")
				r.event(protocols.NodeID(node), protocols.EventTransfer, at[node])
			case at[node] < total:
				at[node]++
				most = max(most, at[node])
				r.execute(protocols.NodeID(node), at[node], c0, at[node])
			}
		}
		require.Empty(t, r.Finish(r.at))
		require.Equal(t, most, r.Executed())
		if at[0] < total && at[0] < most && r.order.at(at[0]+1) != nil {
			r.emit(0, protocols.Event{Kind: protocols.EventExecuted, Index: at[0] + 1, Client: c0, Timestamp: at[0] + 1, Digest: digest(255)})
			require.Len(t, r.end(), 1)
		}
	})
}

func TestIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s intervals
		have := map[uint64]bool{}
		for range rapid.IntRange(0, 200).Draw(t, "n") {
			v := rapid.Uint64Range(0, 40).Draw(t, "v")
			require.Equal(t, have[v], s.has(v))
			require.Equal(t, !have[v], s.add(v))
			have[v] = true
		}
		for i := 1; i < len(s.list); i++ {
			require.Less(t, s.list[i-1].hi+1, s.list[i].lo)
		}
	})
	var s intervals
	for v := uint64(0); v < 10*maxIntervals; v += 2 {
		s.add(v)
	}
	require.Len(t, s.list, maxIntervals)
	require.False(t, s.add(10*maxIntervals-2))
	require.True(t, s.add(1<<64-1))
	require.False(t, s.add(1<<64-1))
}

// What is kept does not grow with the length of the run.
func TestMemoryIsBounded(t *testing.T) {
	r := newRun(Config{Window: 1024})
	for i := uint64(1); i <= 50_000; i++ {
		r.invoke(c0, i).execute(0, i, c0, i).execute(1, i, c0, i).accept(c0, i)
		r.commit(0, "p", i, byte(i)).commit(1, "p", i, byte(i))
		if i%4 == 0 {
			r.root(0, i, byte(i)).root(1, i, byte(i))
		}
	}
	for i := range 3 * maxPaths {
		r.commit(0, fmt.Sprint(i), 1, 1)
	}
	require.Empty(t, r.end())
	require.Len(t, r.order.window, 1024)
	require.Len(t, r.order.chains, 50_000/chainEvery)
	require.Len(t, r.order.roots, maxRoots)
	require.Len(t, r.slots.paths, maxPaths)
	require.Len(t, r.order.clients[c0].executed.list, 1)
	require.Empty(t, r.order.clients[c0].open)
	require.LessOrEqual(t, r.live.waiting, 0)
}

func BenchmarkExecuted(b *testing.B) {
	r := newRun(Config{})
	ev := protocols.Event{Kind: protocols.EventExecuted, Client: c0}
	inv := protocols.Event{Kind: protocols.EventInvoked, Client: c0}
	acc := protocols.Event{Kind: protocols.EventAccepted, Client: c0}
	b.ReportAllocs()
	for b.Loop() {
		inv.Timestamp++
		ev.Index, ev.Timestamp, acc.Timestamp = inv.Timestamp, inv.Timestamp, inv.Timestamp
		r.Observe(1, c0, &inv)
		for n := range protocols.NodeID(4) {
			r.Observe(1, n, &ev)
		}
		r.Observe(1, c0, &acc)
	}
}

// A request that was dropped from what is kept of a client is not judged any more,
// neither as one that was never invoked nor as one that was.
func TestForgottenRequestsAreNotJudged(t *testing.T) {
	r := newRun(Config{})
	for ts := uint64(1); ts <= maxOpen+1; ts++ {
		r.invoke(c0, ts)
	}
	r.execute(0, 1, c0, 1).accept(c0, 1)
	require.Empty(t, r.end())
	require.Equal(t, Undecided, r.Report().Validity)
	r.execute(0, 2, c0, maxOpen+2)
	require.NotEmpty(t, r.end())
	require.Equal(t, False, r.Report().Validity)
}
