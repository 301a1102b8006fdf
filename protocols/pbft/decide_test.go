package pbft

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

func dg(b byte) protocols.Digest { return protocols.Digest{31: b} }

func vc(r int, stable uint64, p, q []Entry) *ViewChange {
	return &ViewChange{View: 9, Replica: protocols.NodeID(r), Stable: stable, Checkpoints: []CheckpointEntry{{stable, dg(byte(stable))}}, Prepared: p, PrePrepared: q}
}

func TestDecide(t *testing.T) {
	a := Entry{Seq: 1, Digest: dg('a'), View: 3}
	aLater := Entry{Seq: 1, Digest: dg('a'), View: 5}
	b := Entry{Seq: 1, Digest: dg('b'), View: 4}
	p := func(e ...Entry) []Entry { return e }
	for _, c := range []struct {
		name string
		set  []*ViewChange
		ok   bool
		want []Chosen
	}{
		{"nothing prepared: null, left out", []*ViewChange{vc(0, 0, nil, nil), vc(1, 0, nil, nil), vc(2, 0, nil, nil)}, true, nil},
		{"two messages do not make a quorum", []*ViewChange{vc(0, 0, nil, nil), vc(1, 0, nil, nil)}, false, nil},
		{"prepared at one, vouched by two", []*ViewChange{vc(0, 0, p(a), p(a)), vc(1, 0, nil, p(a)), vc(2, 0, nil, nil)}, true, []Chosen{{1, a.Digest}}},
		{"prepared at one, vouched by itself only: undecided", []*ViewChange{vc(0, 0, p(a), p(a)), vc(1, 0, nil, nil), vc(2, 0, nil, nil)}, false, nil},
		{"a fourth message that says nothing settles it as null", []*ViewChange{vc(0, 0, p(a), p(a)), vc(1, 0, nil, nil), vc(2, 0, nil, nil), vc(3, 0, nil, nil)}, true, nil},
		{"the later view wins", []*ViewChange{vc(0, 0, p(a), p(a)), vc(1, 0, p(b), p(b)), vc(2, 0, nil, p(b))}, true, []Chosen{{1, b.Digest}}},
		{"pre-prepared again later counts as vouching", []*ViewChange{vc(0, 0, p(a), p(a)), vc(1, 0, nil, p(aLater)), vc(2, 0, nil, nil)}, true, []Chosen{{1, a.Digest}}},
		{"pre-prepared earlier does not", []*ViewChange{vc(0, 0, p(aLater), p(aLater)), vc(1, 0, nil, p(a)), vc(2, 0, nil, nil)}, false, nil},
		{"two digests in one view: undecided", []*ViewChange{vc(0, 0, p(a), p(a)), vc(1, 0, p(Entry{1, dg('b'), 3}), p(Entry{1, dg('b'), 3})), vc(2, 0, nil, p(a))}, false, nil},
		{"a null request that was prepared is kept", []*ViewChange{vc(0, 0, p(Entry{Seq: 1, View: 3}), p(Entry{Seq: 1, View: 3})), vc(1, 0, nil, p(Entry{Seq: 1, View: 3})), vc(2, 0, nil, nil)}, true, []Chosen{{Seq: 1}}},
		{"a gap becomes null", []*ViewChange{vc(0, 0, p(Entry{2, dg('c'), 1}), p(Entry{2, dg('c'), 1})), vc(1, 0, nil, p(Entry{2, dg('c'), 1})), vc(2, 0, nil, nil)}, true, []Chosen{{Seq: 1}, {2, dg('c')}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, ok := decide(c.set, 3, 2, 4)
			require.Equal(t, c.ok, ok)
			if ok {
				require.Equal(t, c.want, d.chosen)
			}
		})
	}
}

func TestDecideCheckpoint(t *testing.T) {
	with := func(r int, stable uint64, more ...uint64) *ViewChange {
		v := vc(r, stable, nil, nil)
		for _, s := range more {
			v.Checkpoints = append(v.Checkpoints, CheckpointEntry{s, dg(byte(s))})
		}
		return v
	}
	d, ok := decide([]*ViewChange{with(0, 0, 4), with(1, 0, 4), with(2, 0)}, 3, 2, 8)
	require.True(t, ok)
	require.Equal(t, uint64(4), d.stable, "two replicas hold it and nobody is beyond")
	d, ok = decide([]*ViewChange{with(0, 0, 4), with(1, 0), with(2, 0)}, 3, 2, 8)
	require.True(t, ok)
	require.Zero(t, d.stable, "one replica alone may be lying")
	_, ok = decide([]*ViewChange{with(0, 4), with(1, 0), with(2, 0)}, 3, 2, 8)
	require.False(t, ok, "the slots up to 4 are gone at a replica whose checkpoint nobody else holds")
}

// TestDecideKeepsWhatWasDecided is the safety argument of TOCS section 4.5 as a
// property: whatever a Byzantine replica reports, a digest that 2f+1 replicas
// committed in some view is the only one that any quorum of VIEW-CHANGEs can lead
// to.
func TestDecideKeepsWhatWasDecided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.IntRange(1, 2).Draw(t, "f")
		n := 3*f + 1 + rapid.IntRange(0, 1).Draw(t, "extra")
		quorum, weak := protocols.Quorum(n, f), protocols.WeakQuorum(f)
		view := uint64(rapid.IntRange(1, 3).Draw(t, "view"))
		decided := Entry{1, dg('d'), view}
		if rapid.Bool().Draw(t, "null") { // the null request is decided like any other
			decided.Digest = protocols.Digest{}
		}
		correct := n - f
		// quorum replicas committed, so at least quorum-f correct ones prepared in
		// that view, and pre-prepared it. The others prepared, if anything, in
		// earlier views; later views can only have carried the same digest.
		prepared := map[int]bool{}
		for _, r := range rapid.Permutation(seq(correct)).Draw(t, "preparers")[:quorum-f] {
			prepared[r] = true
		}
		later := decided
		later.View += uint64(rapid.IntRange(0, 2).Draw(t, "carried"))
		var all []*ViewChange
		for r := 0; r < correct; r++ {
			switch {
			case prepared[r]:
				e := decided
				if rapid.Bool().Draw(t, "later") {
					e = later
				}
				all = append(all, vc(r, 0, []Entry{e}, []Entry{e}))
			case view > 0 && rapid.Bool().Draw(t, "older"):
				e := Entry{1, dg(byte(rapid.IntRange(1, 3).Draw(t, "digest"))), view - 1}
				all = append(all, vc(r, 0, []Entry{e}, []Entry{e}))
			default:
				all = append(all, vc(r, 0, nil, nil))
			}
		}
		for r := correct; r < n; r++ {
			entry := func(label string) []Entry {
				if !rapid.Bool().Draw(t, label) {
					return nil
				}
				return []Entry{{1, dg(byte(rapid.IntRange(1, 3).Draw(t, label+" digest"))), uint64(rapid.IntRange(0, 8).Draw(t, label+" view"))}}
			}
			all = append(all, vc(r, 0, entry("P"), entry("Q")))
		}
		var set []*ViewChange
		for _, r := range rapid.Permutation(seq(n)).Draw(t, "order")[:rapid.IntRange(quorum, n).Draw(t, "size")] {
			set = append(set, all[r])
		}
		d, ok := decide(set, quorum, weak, 2)
		if ok {
			require.NotEmpty(t, d.chosen, "a decided slot is free again")
			require.Equal(t, decided.Digest, d.chosen[0].Digest)
		}
		if len(set) == n { // everything correct is in: then it must be determined
			complete := true
			for _, v := range all[correct:] {
				complete = complete && len(v.Prepared) == 0
			}
			if complete && vouchers(all[:correct], decided.Digest) >= weak {
				require.True(t, ok)
			}
		}
	})
}

func vouchers(set []*ViewChange, d protocols.Digest) int {
	top := Entry{}
	for _, v := range set {
		if e, ok := preparedAt(v, 1); ok && e.View >= top.View && e.Digest == d {
			top = e
		}
	}
	count := 0
	for _, v := range set {
		if prePreparedSince(v, 1, top) {
			count++
		}
	}
	return count
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestValidateViewChange(t *testing.T) {
	e := func(seq, view uint64, d byte) Entry { return Entry{seq, dg(d), view} }
	good := func() *ViewChange {
		v := vc(0, 4, []Entry{e(5, 1, 1), e(6, 2, 1)}, []Entry{e(5, 1, 1), e(5, 2, 2), e(6, 2, 1)})
		v.Checkpoints = append(v.Checkpoints, CheckpointEntry{8, dg(8)})
		return v
	}
	require.True(t, good().validate(8, 4))
	for name, spoil := range map[string]func(*ViewChange){
		"stable off the interval":    func(v *ViewChange) { v.Stable, v.Checkpoints[0].Seq = 3, 3 },
		"no checkpoint":              func(v *ViewChange) { v.Checkpoints = nil },
		"first checkpoint not h":     func(v *ViewChange) { v.Checkpoints = v.Checkpoints[1:] },
		"checkpoint beyond window":   func(v *ViewChange) { v.Checkpoints[1].Seq = 16 },
		"P below h":                  func(v *ViewChange) { v.Prepared[0].Seq = 4 },
		"P beyond window":            func(v *ViewChange) { v.Prepared[1].Seq = 13 },
		"P of the new view":          func(v *ViewChange) { v.Prepared[1].View = 9 },
		"P twice":                    func(v *ViewChange) { v.Prepared[1].Seq = 5 },
		"Q unsorted":                 func(v *ViewChange) { v.PrePrepared[0], v.PrePrepared[1] = v.PrePrepared[1], v.PrePrepared[0] },
		"Q twice":                    func(v *ViewChange) { v.PrePrepared[1].Digest = dg(1) },
		"window arithmetic overflow": func(v *ViewChange) { v.Stable = ^uint64(0) - 3 },
	} {
		v := good()
		spoil(v)
		require.False(t, v.validate(8, 4), name)
	}
}
