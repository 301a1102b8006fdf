package result

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sample(class uint8, intended, latency time.Duration, o protocols.Outcome) protocols.Sample {
	return protocols.Sample{Class: class, Intended: protocols.Time(intended), Sent: protocols.Time(intended), Finished: protocols.Time(intended + latency), Outcome: o}
}

func recorder(t testing.TB, classes ...string) *Recorder {
	r, err := NewRecorder(RecorderConfig{Classes: classes, Start: time.Second, End: 3 * time.Second, Timeout: 500 * time.Millisecond})
	require.NoError(t, err)
	return r
}

func TestRecorderCountsTheWindow(t *testing.T) {
	const ms = time.Millisecond
	r := recorder(t, "get", "put")
	for _, s := range []protocols.Sample{
		sample(0, 100*ms, 10*ms, protocols.Done),                 // warm-up
		sample(0, 990*ms, 20*ms, protocols.Done),                 // ends inside, was intended before
		sample(0, 1100*ms, 10*ms, protocols.Done),                // inside
		sample(1, 1200*ms, 30*ms, protocols.Rejected),            // inside, refused by rule
		sample(1, 1300*ms, 500*ms, protocols.TimedOut),           // censored
		sample(0, 2000*ms, 1*ms, protocols.Dropped),              // censored at the time-out, not at 1 ms
		sample(0, 2990*ms, 40*ms, protocols.Done),                // intended inside, ends after
		sample(0, 3100*ms, 10*ms, protocols.Done),                // cool-down
		sample(7, 3200*ms, 10*ms, protocols.Done),                // unknown class counts in the last
		sample(1, 3200*ms, 400*24*time.Hour, protocols.TimedOut), // absurd values are clamped
	} {
		r.Add(s)
	}
	l := r.Finish()
	require.EqualValues(t, 3, l.Total.Committed)
	require.EqualValues(t, 1, l.Total.Rejected)
	require.EqualValues(t, 1, l.Total.TimedOut)
	require.EqualValues(t, 1, l.Total.Failed)
	require.EqualValues(t, "1.5", l.Total.ThroughputTPS.String())
	require.EqualValues(t, "2.5", l.OfferedTPS.String())
	require.EqualValues(t, 5, l.Total.LatencyMS.Count)
	require.EqualValues(t, 2, l.Total.LatencyMS.Censored)
	require.Equal(t, "500", l.Total.LatencyMS.Max.String(), "failures count with the time-out")
	require.InEpsilon(t, 40, l.Total.LatencyMS.P50.Float(), 0.001)
	require.EqualValues(t, (10+30+500+500+40)*1e6/5, l.Total.LatencyMS.Mean)
	require.EqualValues(t, 2, l.Classes[0].Committed)
	require.EqualValues(t, 1, l.Classes[1].Committed)

	byClass := map[string]int64{}
	for _, row := range l.Rows {
		byClass[row.Class] += row.Committed + row.Failed + row.TimedOut
	}
	require.Equal(t, map[string]int64{"": 10, "get": 6, "put": 4}, byClass)

	intervals, err := ReadLog(l.HLog)
	require.NoError(t, err)
	var inSeconds int64
	for _, i := range intervals {
		if !i.Window {
			inSeconds += i.Hist.TotalCount()
		}
	}
	require.EqualValues(t, 10, inSeconds)
	require.EqualValues(t, 5, WindowHistogram(intervals).TotalCount())
}

func TestRecorderRefusesNonsense(t *testing.T) {
	for _, c := range []RecorderConfig{
		{Start: 2, End: 1, Timeout: 1},
		{Start: 0, End: 1},
		{Start: -1, End: 1, Timeout: 1},
		{Start: 0, End: 1, Timeout: 1 << 62},
		{Classes: make([]string, 65), End: 1, Timeout: 1},
	} {
		_, err := NewRecorder(c)
		require.Error(t, err)
	}
}

func TestOriginIsSubtracted(t *testing.T) {
	r, err := NewRecorder(RecorderConfig{Origin: 1e15, Start: 0, End: time.Second, Timeout: time.Second})
	require.NoError(t, err)
	s := sample(0, 0, time.Millisecond, protocols.Done)
	s.Intended, s.Sent, s.Finished = s.Intended+1e15, s.Sent+1e15+5e6, s.Finished+1e15
	r.Add(s)
	l := r.Finish()
	require.EqualValues(t, 1, l.Total.Committed)
	require.Len(t, l.Rows, 2)
	require.InEpsilon(t, 5, l.LagP99.Float(), 0.001)
}

func TestIndexOfDispersion(t *testing.T) {
	for _, x := range []struct {
		name    string
		seconds int
		count   func(second int) int
		want    string // "" for none
	}{
		{"constant", 20, func(int) int { return 7 }, "0"},
		{"every other second", 20, func(s int) int { return s % 2 * 10 }, "5.263157"}, // 25 * 20/19 over 5
		{"one burst", 10, func(s int) int { return s / 9 * 100 }, "100"},
		{"too short", 9, func(int) int { return 7 }, ""},
		{"nothing", 20, func(int) int { return 0 }, ""},
	} {
		start := 1500 * time.Millisecond // the window begins and ends within a second
		r, err := NewRecorder(RecorderConfig{Start: start, End: start + time.Duration(x.seconds)*time.Second + 600*time.Millisecond, Timeout: time.Second})
		require.NoError(t, err)
		for s := range x.seconds {
			for k := range x.count(s) {
				r.Add(sample(0, 2*time.Second+time.Duration(s)*time.Second+time.Duration(k)*time.Millisecond, time.Millisecond, protocols.Done))
			}
		}
		d := r.Finish().Dispersion
		if x.want == "" {
			require.Nil(t, d, x.name)
			continue
		}
		require.NotNil(t, d, x.name)
		require.Equal(t, x.want, d.String(), x.name)
	}
}

func TestQuantileIsExactToThreeDigits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(1, 900_000_000), 1, 300).Draw(rt, "values")
		r := recorder(t)
		for _, v := range values {
			r.Add(sample(0, time.Second, time.Duration(v), protocols.Done))
		}
		h := r.Finish().Window
		sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
		for _, permille := range []int64{0, 1, 500, 950, 990, 999, 1000} {
			rank := max((int64(len(values))*permille+999)/1000, 1)
			want := float64(values[rank-1])
			require.InEpsilon(rt, want, float64(Quantile(h, permille)), 0.0011)
		}
	})
}

func TestMergingEqualsRecordingTogether(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, b, both := recorder(t), recorder(t), recorder(t)
	for i := 0; i < 2000; i++ {
		s := sample(0, time.Second+time.Duration(i), time.Duration(rng.Int64N(4e8)), protocols.Done)
		if i%3 == 0 {
			a.Add(s)
		} else {
			b.Add(s)
		}
		both.Add(s)
	}
	read := func(r *Recorder) *Load { return r.Finish() }
	la, lb, lboth := read(a), read(b), read(both)
	m := Merge(la.Window, lb.Window, nil)
	for p := int64(0); p <= 1000; p += 50 {
		require.Equal(t, Quantile(lboth.Window, p), Quantile(m, p))
	}
	require.EqualValues(t, 2000, m.TotalCount())
	require.Nil(t, Merge())
	require.Zero(t, Quantile(recorder(t).Finish().Window, 500))
}

func TestEqualRunsGiveEqualBytes(t *testing.T) {
	run := func() *Load {
		rng := rand.New(rand.NewPCG(3, 4))
		r := recorder(t, "a", "b")
		for i := 0; i < 3000; i++ {
			r.Add(sample(uint8(rng.IntN(2)), time.Duration(i)*time.Millisecond, time.Duration(rng.Int64N(4e8)), protocols.Done))
		}
		return r.Finish()
	}
	a, b := run(), run()
	require.Equal(t, a.HLog, b.HLog)
	require.Equal(t, a.Rows, b.Rows)
}

func full() *Result {
	cpu := Fixed(123456)
	return &Result{
		Schema: Schema, Cell: "0123456789ab", ConfigHash: "x", Mode: "sim", Protocol: "pbft", N: 4, F: 1, Clients: 2, Workload: "micro", Load: "closed",
		Topology: "lan", Costs: "none", Seed: 7, DurationS: 5e9, Committed: 10, ThroughputTPS: 2e6, LatencyMS: Latency{Mean: 1_500_000, P50: 999, Max: 5e9, Count: 10},
		Classes: []Class{{Name: "all"}}, Switches: []Switch{{AtS: 1, From: "a", To: "b"}}, Faults: []FaultInterval{{"crash 0", 1e9, 2e9}},
		Safety:   Safety{Agreement: Pass, Integrity: Pass, Validity: Pass, Linearizable: Undecided, Liveness: Fail, Root: Pass, Violations: []Violation{{Invariant: "liveness", AtS: 5e9, Node: 2, Detail: "stalled"}}},
		Cost:     Cost{MsgsPerReq: 24e6, CPUMSPerReq: &cpu},
		Validity: Validity{Valid: true, GeneratorCPUPermille: -1},
		Sim:      &Sim{VirtualS: 5e9, WallS: 1, Events: 3, EventsPerS: 4, TraceHash: "ab"}, Labels: []string{"network-only model"},
	}
}

func TestSummaryIsReadBack(t *testing.T) {
	r := full()
	b, err := r.Encode()
	require.NoError(t, err)
	back, err := Decode(b)
	require.NoError(t, err)
	again, err := back.Encode()
	require.NoError(t, err)
	require.Equal(t, string(b), string(again))
	require.Contains(t, string(b), `"p50": 0.000999`)
	require.Contains(t, string(b), `"linearizable": "undecided"`)
	require.Contains(t, string(b), `"energy_j_per_req": null`)

	for _, bad := range []string{``, `{}`, `{"schema": 9}`, `{"schema": 1, "x": 1}`, string(b) + "{}", `{"schema":1,"throughput_tps":1e3}`, `{"schema":1,"safety":{"root":"maybe"}}`} {
		_, err := Decode([]byte(bad))
		require.Error(t, err, "%s", bad)
	}
}

func TestSummaryHasTheKeysOfTheDesign(t *testing.T) {
	b, err := full().Encode()
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(b, &m))
	for key, inner := range map[string][]string{
		"protocol": nil, "n": nil, "f": nil, "clients": nil, "workload": nil, "topology": nil, "costs": nil, "seed": nil, "duration_s": nil,
		"committed": nil, "throughput_tps": nil, "failed": nil, "timed_out": nil, "switches": nil, "view_changes": nil, "instance_changes": nil,
		"latency_ms": {"mean", "p50", "p95", "p99", "max"},
		"safety":     {"agreement", "integrity", "validity", "linearizable", "liveness", "root", "application", "violations"},
		"cost":       {"msgs_per_req", "bytes_per_req", "mac_ops_bottleneck_per_req", "sign_per_req", "verify_per_req", "cpu_ms_per_req", "energy_j_per_req", "cpct_usd"},
		"sim":        {"virtual_s", "wall_s", "events", "events_per_s", "trace_hash"},
	} {
		require.Contains(t, m, key)
		for _, k := range inner {
			require.Contains(t, m[key], k)
		}
	}
}

// valid checks v against the keywords that JSONSchema uses.
func valid(schema map[string]any, v any) error {
	if any, ok := schema["anyOf"].([]any); ok {
		var last error
		for _, s := range any {
			if last = valid(s.(map[string]interface{}), v); last == nil {
				return nil
			}
		}
		return last
	}
	if enum, ok := schema["enum"].([]any); ok {
		for _, e := range enum {
			if e == v {
				return nil
			}
		}
		return fmt.Errorf("%v is not one of %v", v, enum)
	}
	ok := false
	switch schema["type"] {
	case "object":
		var m map[string]any
		if m, ok = v.(map[string]any); ok {
			props, _ := schema["properties"].(map[string]any)
			required, _ := schema["required"].([]any)
			for _, r := range required {
				if _, has := m[r.(string)]; !has {
					return fmt.Errorf("%v is missing", r)
				}
			}
			for k, e := range m {
				p, known := props[k].(map[string]any)
				if !known { // a map of any names
					p, known = schema["additionalProperties"].(map[string]any)
				}
				if !known {
					return fmt.Errorf("%s is not in the schema", k)
				}
				if err := valid(p, e); err != nil {
					return fmt.Errorf("%s: %w", k, err)
				}
			}
		}
	case "array":
		var l []any
		if l, ok = v.([]any); ok {
			for _, e := range l {
				if err := valid(schema["items"].(map[string]any), e); err != nil {
					return err
				}
			}
		}
	case "string":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "number":
		_, ok = v.(float64)
	case "integer":
		var f float64
		f, ok = v.(float64)
		ok = ok && f == float64(int64(f))
	case "null":
		ok = v == nil
	}
	if !ok {
		return fmt.Errorf("%v is no %v", v, schema["type"])
	}
	return nil
}

func TestSummaryMatchesItsSchema(t *testing.T) {
	b, err := json.Marshal(JSONSchema())
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, json.Unmarshal(b, &schema))
	for _, r := range []*Result{full(), {Schema: Schema}} {
		b, err := r.Encode()
		require.NoError(t, err)
		var v map[string]any
		require.NoError(t, json.Unmarshal(b, &v))
		require.NoError(t, valid(schema, v))
		v["extra"] = 1
		require.ErrorContains(t, valid(schema, v), "not in the schema")
		delete(v, "extra")
		v["seed"] = "7"
		require.ErrorContains(t, valid(schema, v), "no integer")
		delete(v, "seed")
		require.ErrorContains(t, valid(schema, v), "missing")
	}
}

func TestJudge(t *testing.T) {
	pass := func() *Result {
		return &Result{Safety: Safety{Agreement: Pass, Integrity: Pass, Validity: Pass, Linearizable: Pass, Liveness: Pass, Root: Pass}, Validity: Validity{Valid: true}}
	}
	for _, c := range []struct {
		change func(*Result)
		state  State
		code   int
		reason string
	}{
		{func(*Result) {}, OK, 0, ""},
		{func(r *Result) { r.Safety.Agreement = Fail }, Violated, 3, "safety violated: agreement"},
		{func(r *Result) {
			r.Safety.Violations = []Violation{{Invariant: "certificate", Node: 2, AtS: 1e9, Detail: "two"}}
		}, Violated, 3, "safety violated: certificate (certificate at 1s, node 2: two)"},
		{func(r *Result) { r.Safety.Agreement, r.Validity.Valid = Fail, false }, Violated, 3, "agreement"},
		{func(r *Result) { r.Validity = Validity{Reasons: []string{"generator late"}} }, Invalid, 5, "generator late"},
		{func(r *Result) { r.Safety.Linearizable = Undecided }, UndecidedState, 7, "undecided: linearizable"},
		{func(r *Result) { r.Safety.Linearizable, r.Safety.Unchecked = Undecided, []string{"linearizable"} }, OK, 0, ""},
		{func(r *Result) { r.Safety.Liveness = Fail }, NoProgress, 4, "no progress"},
		{func(r *Result) { r.Safety.Liveness = Undecided }, UndecidedState, 7, "undecided: liveness"},
	} {
		r := pass()
		c.change(r)
		state, reason := r.Judge()
		require.Equal(t, c.state, state)
		require.Equal(t, c.code, state.Code())
		require.Contains(t, reason, c.reason)
	}
}

func TestTablesAreReadBack(t *testing.T) {
	load := []LoadRow{{Second: 0, Offered: 3, P50: 5}, {Second: 1, Class: "get;=,\"x", Committed: 1 << 60}}
	b, err := EncodeLoad(load)
	require.NoError(t, err)
	back, err := DecodeLoad(b)
	require.NoError(t, err)
	require.Equal(t, load, back)

	rows := []ReplicaRow{{Second: 1, Replica: 2, Committed: 3, View: 1 << 63, Up: true, CPU: 5, MessagesOut: 7, MessagesIn: 8, BytesOut: 9, BytesIn: 10}, {Second: 2}}
	tb, err := EncodeTimeline(rows)
	require.NoError(t, err)
	tback, err := DecodeTimeline(tb)
	require.NoError(t, err)
	require.Equal(t, rows, tback)

	for cut := 0; cut < len(tb); cut++ {
		_, err := DecodeTimeline(tb[:cut])
		require.Error(t, err, "cut at %d", cut)
	}
	_, err = DecodeLoad(tb)
	require.Error(t, err)
}

func FuzzReadLog(f *testing.F) {
	r := recorder(f, "a")
	r.Add(sample(0, time.Second, time.Millisecond, protocols.Done))
	f.Add(r.Finish().HLog)
	f.Add([]byte("#[x]\nTag=a,0.1,1,2,zzz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if intervals, err := ReadLog(data); err == nil {
			_ = WindowHistogram(intervals)
		}
	})
}

func TestNumbersArePrintedExactly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := rapid.Int64().Draw(rt, "v")
		var f Fixed
		b, err := json.Marshal(Fixed(v))
		require.NoError(rt, err)
		require.NoError(rt, json.Unmarshal(b, &f))
		require.EqualValues(rt, v, f)
		var s Seconds
		b, err = json.Marshal(Seconds(v))
		require.NoError(rt, err)
		require.NoError(rt, json.Unmarshal(b, &s))
		require.EqualValues(rt, v, s)
	})
	require.Equal(t, "0.000001", Fixed(1).String())
	require.Equal(t, "-1.5", Fixed(-1_500_000).String())
	require.Equal(t, "333333.333333", FixedRatio(1_000_000, 3).String())
}

func BenchmarkRecorder(b *testing.B) {
	r, err := NewRecorder(RecorderConfig{Classes: []string{"a", "b"}, Start: 0, End: time.Hour, Timeout: 10 * time.Second})
	require.NoError(b, err)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		r.Add(sample(uint8(i&1), time.Duration(i)*time.Microsecond, time.Duration(i&0xfffff), protocols.Done))
	}
}
