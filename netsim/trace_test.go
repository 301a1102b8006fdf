package netsim

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// faulty sends in the order of a Go map: the determinism fault that the trace
// hash must catch.
func faulty(n int) *puppet {
	return &puppet{start: func(p *puppet, _ protocols.Boot) {
		set := map[protocols.NodeID]bool{}
		for i := 1; i < n; i++ {
			set[protocols.NodeID(i)] = true
		}
		for id := range set {
			p.ask(id, 1, 0)
		}
	}}
}

func traceOf(t testing.TB, fault bool) string {
	const n = 16
	s := newStage(t, Config{Seed: 1, Topology: flat(1, ms, 1e9)})
	if fault {
		s.add(0, faulty(n))
	} else {
		s.add(0, flood(100, 7, ms, 3, 10))
	}
	for i := 1; i < n; i++ {
		s.add(i, &puppet{})
	}
	return s.run(time.Second).TraceHash
}

// TestTraceChild prints the trace hash of one run; other tests start it in a
// process of its own.
func TestTraceChild(t *testing.T) {
	what := os.Getenv("NETSIM_TRACE_CHILD")
	if what == "" {
		t.Skip("started by TestTraceAcrossProcesses")
	}
	if what == "shape" {
		_, st := runShape(t, Config{Seed: 8, Profile: testProfile(), Topology: jittered(3, 100*us, 80*us, 1e9)}, 7, 10, 10*ms, func(r *shapeNode) { r.log = true })
		fmt.Println("trace", st.TraceHash)
		return
	}
	fmt.Println("trace", traceOf(t, what == "fault"))
}

func child(t *testing.T, what string, env ...string) string {
	cmd := exec.Command(os.Args[0], "-test.run=^TestTraceChild$")
	cmd.Env = append(append(os.Environ(), "NETSIM_TRACE_CHILD="+what), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	_, rest, ok := strings.Cut(string(out), "trace ")
	require.True(t, ok, string(out))
	hash, _, _ := strings.Cut(rest, "\n")
	return hash
}

// The same run has the same trace in any process, with any number of threads and
// any collector setting; a map's order in a node is caught.
func TestTraceAcrossProcesses(t *testing.T) {
	for _, what := range []string{"good", "shape"} {
		want := child(t, what, "GOMAXPROCS=1")
		require.Equal(t, want, child(t, what, "GOMAXPROCS=4", "GOGC=1"))
	}
	hashes := map[string]bool{}
	for range 4 {
		hashes[child(t, "fault")] = true
	}
	require.Greater(t, len(hashes), 1, "a map range in a node went unnoticed")
	hashes = map[string]bool{}
	for range 4 {
		hashes[traceOf(t, true)] = true
	}
	require.Greater(t, len(hashes), 1, "a map range in a node went unnoticed within one process")
}

type sinkFunc func(*Record)

func (f sinkFunc) Record(r *Record) { f(r) }

// The sink sees sends, deliveries and events of its window, joined by message.
func TestSink(t *testing.T) {
	sends, got, events := map[uint64]int{}, map[uint64]int{}, 0
	cfg := Config{Seed: 2, Profile: testProfile(), Topology: flat(1, ms, 1e9), SinkFrom: protocols.Time(5 * ms), SinkTo: protocols.Time(40 * ms)}
	cfg.Sink = sinkFunc(func(r *Record) {
		require.GreaterOrEqual(t, r.At, cfg.SinkFrom)
		require.Less(t, r.At, cfg.SinkTo)
		require.NotEmpty(t, r.String())
		switch r.Kind {
		case RecordSend:
			sends[r.Message] += r.Copies
		case RecordMessage:
			require.NotNil(t, r.Type)
			require.LessOrEqual(t, r.Ready, r.At)
			require.Less(t, r.At, r.End)
			got[r.Message]++
		case RecordEvent:
			require.Equal(t, protocols.EventExecuted, r.Event.Kind)
			events++
		}
	})
	_, with := runShape(t, cfg, 4, 4, 60*ms, nil)
	require.NotZero(t, events)
	whole := 0
	for m, n := range sends {
		if got[m] == n {
			whole++
		}
	}
	require.Greater(t, whole, len(sends)*8/10, "most messages sent in the window arrive in it")
	cfg.Sink = nil
	_, without := runShape(t, cfg, 4, 4, 60*ms, nil)
	require.Equal(t, without.TraceHash, with.TraceHash, "watching changes nothing")
}

// The ring holds the last records, compactly, and forgets the oldest.
func TestRing(t *testing.T) {
	s := newStage(t, Config{})
	s.tracing = newRing(5000)
	s.add(0, flood(20_000, 1, us, 1, 0))
	s.add(1, &puppet{})
	s.run(time.Second)
	require.GreaterOrEqual(t, s.tracing.count, 5000)
	require.Less(t, s.tracing.count, 5000+2*ringChunkBytes/8)
	bytes := 0
	for _, c := range s.tracing.chunks {
		bytes += len(c.buf)
	}
	require.Less(t, bytes/s.tracing.count, 14, "bytes per record")
	last := s.Recent(3, func(r *Record) bool { return r.Kind == RecordMessage })
	require.Len(t, last, 3)
	for i, r := range last {
		require.Equal(t, protocols.NodeID(1), r.Node)
		require.Equal(t, protocols.NodeID(0), r.Peer)
		require.Equal(t, "PREPARE", r.Type.Name)
		require.Equal(t, protocols.Time(1+(20_000-3+i)*int(us)+int(ms)), r.At)
	}
	require.Contains(t, last[0].String(), "PREPARE from 0")
}

// Checkpoints of the chain localise a difference; their number is bounded.
func TestCheckpoints(t *testing.T) {
	var a, b chain
	for i := range uint64(50_000) {
		a.add(int64(i), 1, 2, 3, 4)
		k := uint64(3)
		if i == 20_000 {
			k = 99
		}
		b.add(int64(i), 1, 2, k, 4)
	}
	first := -1
	for i := range a.points {
		if a.points[i].Chain != b.points[i].Chain {
			first = i
			break
		}
	}
	require.EqualValues(t, 20_480, a.points[first].Steps)
	for i := range uint64(20 << 20) {
		a.add(int64(i), 1, 2, 3, 4)
	}
	require.LessOrEqual(t, len(a.points), maxCheckpoints)
	require.Greater(t, len(a.points), maxCheckpoints/4)
	s, _ := runShape(t, Config{Topology: flat(1, us, 0)}, 4, 8, 20*ms, nil)
	require.NotEmpty(t, s.Checkpoints(0))
	require.Nil(t, s.Checkpoints(77))
}

// Digests are numbered by first occurrence, and the table is bounded.
func TestDigestNumbers(t *testing.T) {
	var d digestTable
	mk := func(i int) *protocols.Digest {
		x := protocols.Digest{byte(i), byte(i >> 8), byte(i >> 16), 1}
		return &x
	}
	for i := range digestLimit {
		require.EqualValues(t, i+1, d.number(mk(i)))
	}
	for i := range digestLimit {
		require.EqualValues(t, i+1, d.number(mk(i)))
	}
	for i := range 1 << 20 {
		d.number(mk(i))
	}
	require.LessOrEqual(t, len(d.slots), 4*digestLimit)
}

// Ten times longer does not take more memory: nothing in the kernel grows with
// the run.
func TestMemoryDoesNotGrow(t *testing.T) {
	sizes := func(d time.Duration) []int {
		s, _ := runShape(t, Config{Seed: 3, Profile: testProfile(), Topology: jittered(3, 100*us, 100*us, 1e9)}, 4, 8, d, func(r *shapeNode) { r.log = true })
		q := s.q.(*radix)
		out := []int{q.npages, len(s.conns.dense[protocols.ClassOrder]), int(s.payloads.used), int(s.locals.used), len(s.tcp), len(s.groups)}
		for _, l := range s.lanes {
			out = append(out, len(l.inbox), cap(l.timers.slots), len(l.log.records))
		}
		return out
	}
	short, long := sizes(30*ms), sizes(300*ms)
	for i := range short {
		require.LessOrEqual(t, long[i], 2*short[i]+64, "structure %d", i)
	}
}
