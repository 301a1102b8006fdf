package micro

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

func TestResultsHaveTheConfiguredSize(t *testing.T) {
	for _, n := range []int{0, 1, 7, 16, 100, 1024, 4096} {
		a := New(Config{ReplyBytes: n})
		require.Len(t, a.Apply([]byte("x"), nil), n)
	}
}

func TestHistoriesShow(t *testing.T) {
	roots := map[protocols.Digest]string{}
	for _, ops := range [][]string{
		{},
		{""},
		{"", ""},
		{"a"},
		{"a", "b"},
		{"b", "a"},
		{"ab"},
		{"a\x00"},
		{"\x00"},
		{"a", ""},
		{"", "a"},
		{"0123456789abcdef"},
		{"0123456789abcdef", ""},
		{"0123456789abcdef\x00"},
		{"0123456789abcdeg"},
		{"1123456789abcdef"},
	} {
		a := New(Config{})
		for _, op := range ops {
			a.Apply([]byte(op), nil)
		}
		name := fmt.Sprintf("%q", ops)
		require.Empty(t, roots[a.Root()], "%s collides", name)
		roots[a.Root()] = name
	}
}

// Against a model that remembers every state: undo, release and snapshots.
func TestUndo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := New(Config{ReplyBytes: 16})
		roots := []protocols.Digest{a.Root()}
		released := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				for range rapid.IntRange(1, 700).Draw(t, "n") {
					a.Apply([]byte{byte(len(roots))}, nil)
					roots = append(roots, a.Root())
				}
			},
			"rollback": func(t *rapid.T) {
				v := rapid.Uint64Range(0, a.Version()+1).Draw(t, "v")
				if v < released || v > a.Version() {
					require.Error(t, a.Rollback(v))
					return
				}
				require.NoError(t, a.Rollback(v))
				roots = roots[:v+1]
			},
			"release": func(t *rapid.T) {
				v := rapid.Uint64Range(0, a.Version()+5).Draw(t, "v")
				a.Release(v)
				released = max(released, min(v, a.Version()))
			},
			"snapshot": func(t *rapid.T) {
				var w bytes.Buffer
				require.NoError(t, a.Snapshot(&w))
				a = New(Config{ReplyBytes: 16})
				require.NoError(t, a.Restore(&w))
				released = a.Version()
			},
			"": func(t *rapid.T) {
				require.Equal(t, uint64(len(roots)-1), a.Version())
				require.Equal(t, roots[a.Version()], a.Root())
			},
		})
	})
}

func TestUndoMemoryIsBoundedByWhatIsUnreleased(t *testing.T) {
	a := New(Config{})
	for i := range 200_000 {
		a.Apply(nil, nil)
		if i >= 100 {
			a.Release(uint64(i - 100))
		}
	}
	require.Less(t, cap(a.undo), 8192)
}

func TestRestoreRefusesGarbage(t *testing.T) {
	var good bytes.Buffer
	require.NoError(t, New(Config{}).Snapshot(&good))
	bad := append([]byte("x"), good.Bytes()[1:]...)
	for _, b := range [][]byte{nil, good.Bytes()[:31], append(good.Bytes(), 0), bad} {
		require.Error(t, New(Config{}).Restore(bytes.NewReader(b)))
	}
}

func TestConfigIsChecked(t *testing.T) {
	require.ErrorContains(t, Config{ReplyBytes: -1}.Check(), "allowed is 0 to")
	require.Panics(t, func() { New(Config{ReplyBytes: -1}) })
}

func TestGenerator(t *testing.T) {
	_, err := NewGenerator(-1, 0, 1, 1, 1)
	require.ErrorContains(t, err, "allowed is 0 to")
	_, err = NewGenerator(1, -1, 1, 1, 1)
	require.ErrorContains(t, err, "allowed is 0 to")
	for _, size := range []int{0, 1, 3, 8, 11, 12, 200, 4096} {
		// Two processes with two clients each and the same stream.
		var processes [2]*Generator
		for p := range processes {
			g, err := NewGenerator(size, 2*p, 2, 1, 2)
			require.NoError(t, err)
			processes[p] = g
		}
		seen := map[string]bool{}
		for i := range 400 {
			_, op, ok := processes[i/2%2].Next(i%2, 0)
			require.True(t, ok)
			require.Len(t, op, size)
			seen[string(op)] = true
		}
		switch {
		case size >= 12:
			require.Len(t, seen, 400, "all differ")
		case size > 0:
			require.Len(t, seen, 100, "those of one client differ")
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{0, 1024, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a, op := New(Config{}), make([]byte, n)
			b.ReportAllocs()
			for b.Loop() {
				a.Apply(op, nil)
				a.Release(a.Version())
			}
		})
	}
}
