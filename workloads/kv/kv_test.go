package kv

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

func TestCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Input{Kind: Kind(rapid.IntRange(1, 3).Draw(t, "kind")), Key: rapid.Uint32().Draw(t, "key")}
		if in.Kind != Get {
			in.Value = rapid.Uint64().Draw(t, "value")
		}
		if in.Kind == CAS {
			in.Expected = rapid.Uint64().Draw(t, "expected")
		}
		got, err := DecodeInput(in.Append(nil))
		require.NoError(t, err)
		require.Equal(t, in, got)
	})
	for _, b := range [][]byte{nil, {0}, {4, 0, 0, 0, 0}, {1, 0, 0, 0}, {2, 0, 0, 0, 0}, make([]byte, 40)} {
		_, _, err := Decode(b, nil)
		require.Error(t, err)
	}
	for _, b := range [][]byte{{}, {0}, make([]byte, 10), {4, 0, 0, 0, 0, 0, 0, 0, 0}} {
		_, err := DecodeOutput(b)
		require.Error(t, err)
	}
}

func FuzzApply(f *testing.F) {
	f.Add(Input{Kind: CAS, Key: 1, Value: 2}.Append(nil))
	f.Fuzz(func(t *testing.T, op []byte) {
		a := New(10)
		before := a.Root()
		out, err := DecodeOutput(a.Apply(op, nil))
		require.NoError(t, err)
		require.False(t, out.Unknown)
		require.NotEqual(t, before, a.Root(), "every operation counts")
		require.NoError(t, a.Rollback(0))
		require.Equal(t, before, a.Root())
	})
}

// The application against its own specification and a model of its past.
func TestApplicationFollowsSpecification(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const keys = 130
		a := New(keys)
		past := [][keys]uint64{{}}
		roots := []protocols.Digest{a.Root()}
		released := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				now := past[len(past)-1]
				in := Input{
					Kind: Kind(rapid.IntRange(1, 3).Draw(t, "kind")), Key: rapid.Uint32Range(0, keys).Draw(t, "key"),
					Expected: rapid.Uint64Range(0, 3).Draw(t, "expected"), Value: rapid.Uint64Range(0, 3).Draw(t, "value"),
				}
				in, out, err := Decode(in.Append(nil), a.Apply(in.Append(nil), nil))
				require.NoError(t, err)
				if in.Key < keys {
					legal, after := Step(now[in.Key], in, out)
					require.True(t, legal)
					now[in.Key] = after
				} else {
					require.Equal(t, NoKey, out.Status)
				}
				past, roots = append(past, now), append(roots, a.Root())
			},
			"malformed": func(t *rapid.T) {
				out, _ := DecodeOutput(a.Apply([]byte("nonsense"), nil))
				require.Equal(t, Malformed, out.Status)
				past, roots = append(past, past[len(past)-1]), append(roots, a.Root())
			},
			"rollback": func(t *rapid.T) {
				v := rapid.Uint64Range(0, a.Version()+1).Draw(t, "v")
				if v < released || v > a.Version() {
					require.Error(t, a.Rollback(v))
					return
				}
				require.NoError(t, a.Rollback(v))
				past, roots = past[:v+1], roots[:v+1]
			},
			"release": func(t *rapid.T) {
				v := rapid.Uint64Range(0, a.Version()+2).Draw(t, "v")
				a.Release(v)
				released = max(released, min(v, a.Version()))
			},
			"snapshot": func(t *rapid.T) {
				var w bytes.Buffer
				require.NoError(t, a.Snapshot(&w))
				a = New(keys)
				require.NoError(t, a.Restore(&w))
				released = a.Version()
			},
			"": func(t *rapid.T) {
				v := a.Version()
				require.Equal(t, roots[v], a.Root())
				for _, k := range []uint32{0, 63, 64, keys - 1} {
					out, err := DecodeOutput(a.Query(Input{Kind: Get, Key: k}.Append(nil)))
					require.NoError(t, err)
					require.Equal(t, past[v][k], out.Previous)
				}
			},
		})
	})
}

func TestRestoreRefusesGarbage(t *testing.T) {
	var good bytes.Buffer
	require.NoError(t, New(5).Snapshot(&good))
	for _, b := range [][]byte{nil, good.Bytes()[:59], append(bytes.Clone(good.Bytes()), 0), make([]byte, 60)} {
		require.Error(t, New(5).Restore(bytes.NewReader(b)))
	}
	require.ErrorContains(t, New(6).Restore(bytes.NewReader(good.Bytes())), "6 registers")
	require.Panics(t, func() { New(0) })
}

func TestQueryRefusesWhatIsNoRead(t *testing.T) {
	a := New(2)
	for op, want := range map[string]Status{"": Malformed, string(Input{Kind: Put}.Append(nil)): Malformed, string(Input{Kind: Get, Key: 2}.Append(nil)): NoKey} {
		out, err := DecodeOutput(a.Query([]byte(op)))
		require.NoError(t, err)
		require.Equal(t, want, out.Status)
	}
}

func model() porcupine.Model {
	return porcupine.Model{
		Partition: func(h []porcupine.Operation) (parts [][]porcupine.Operation) {
			at := map[uint32]int{}
			for _, o := range h {
				k := o.Input.(Input).Key
				i, ok := at[k]
				if !ok {
					i, at[k], parts = len(parts), len(parts), append(parts, nil)
				}
				parts[i] = append(parts[i], o)
			}
			return parts
		},
		Init: func() any { return Initial },
		Step: func(s, in, out any) (bool, any) { return Step(s.(uint64), in.(Input), out.(Output)) },
	}
}

// Histories of the generator over the application pass porcupine; the same with
// one stale result do not.
func TestPorcupineJudgesHistories(t *testing.T) {
	const keys, clients = 4, 3
	g, err := NewGenerator(Mix{5, 3, 2}, keys, 0, clients, func(x uint64) int { return int(x >> 62) }, 1, 2)
	require.NoError(t, err)
	a, r := New(keys), rand.New(rand.NewPCG(3, 4))
	var h []porcupine.Operation
	type open struct {
		op   []byte
		call int64
	}
	var pending [clients]*open
	kinds := map[Kind]int{}
	for now := int64(0); now < 600; now++ {
		c := r.IntN(clients)
		if pending[c] == nil {
			_, op, ok := g.Next(c, 0)
			require.True(t, ok)
			pending[c] = &open{op, now}
			continue
		}
		p := pending[c]
		pending[c] = nil
		result := a.Apply(p.op, nil)
		require.Equal(t, protocols.Done, g.Result(c, 0, p.op, result))
		in, out, err := Decode(p.op, result)
		require.NoError(t, err)
		kinds[in.Kind]++
		h = append(h, porcupine.Operation{ClientId: c, Input: in, Output: out, Call: p.call, Return: now})
	}
	require.Len(t, kinds, 3)
	lost := Input{Kind: Put, Key: 0, Value: 12345}
	_, unknown, err := Decode(lost.Append(nil), nil)
	require.NoError(t, err)
	h = append(h, porcupine.Operation{ClientId: clients, Input: lost, Output: unknown, Call: 10, Return: 1 << 40})
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model(), h, 5*time.Second))
	for i := len(h) - 2; i >= 0; i-- {
		if o := h[i].Output.(Output); h[i].Input.(Input).Kind == Get && o.Previous != Initial {
			o.Previous = Initial
			h[i].Output = o
			break
		}
	}
	require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(model(), h, 5*time.Second))
}

// Every value is new, also among processes.
func TestValuesAreUnique(t *testing.T) {
	seen := map[uint64]bool{}
	for process := range 3 {
		g, err := NewGenerator(Mix{Put: 1, CAS: 1}, 4, 2*process, 2, func(x uint64) int { return int(x >> 62) }, 1, 2)
		require.NoError(t, err)
		for i := range 50 {
			_, op, ok := g.Next(i%2, 0)
			require.True(t, ok)
			in, _, err := Decode(op, nil)
			require.NoError(t, err)
			require.False(t, seen[in.Value], "process %d writes %x again", process, in.Value)
			seen[in.Value] = true
		}
	}
}

func TestGeneratorIsChecked(t *testing.T) {
	_, err := NewGenerator(Mix{}, 1, 0, 1, nil, 1, 2)
	require.ErrorContains(t, err, "shares")
	_, err = NewGenerator(Mix{Get: 1}, 0, 0, 1, nil, 1, 2)
	require.ErrorContains(t, err, "allowed is 1 to")
	_, err = NewGenerator(Mix{Get: 1}, 1, MaxClients, 1, nil, 1, 2)
	require.ErrorContains(t, err, "clients 16777215 to 16777215; allowed is 0 to 16777214")
	g, err := NewGenerator(Mix{Get: 1}, 1, 0, 1, func(uint64) int { return 0 }, 1, 2)
	require.NoError(t, err)
	_, op, _ := g.Next(0, 0)
	require.Equal(t, protocols.Rejected, g.Result(0, 0, op, []byte("nonsense")))
}

func BenchmarkApply(b *testing.B) {
	a, op := New(1024), Input{Kind: Put, Key: 7, Value: 1}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		a.Apply(op, nil)
		a.Release(a.Version())
	}
}

func BenchmarkRoot(b *testing.B) {
	a, op := New(1024), Input{Kind: Put, Key: 7, Value: 1}.Append(nil)
	for b.Loop() {
		a.Apply(op, nil)
		a.Release(a.Version())
		a.Root()
	}
}
