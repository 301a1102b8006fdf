package pbft

import (
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// decision is what a set of VIEW-CHANGEs implies for the new view.
type decision struct {
	stable uint64
	digest protocols.Digest
	chosen []Chosen
}

// decide is the decision procedure of the MAC-based view change (TOCS 2002,
// figure 4), for a set of VIEW-CHANGEs of distinct replicas that passed validate.
// It reports false while the set does not determine the new view; more messages
// may.
//
//   - The checkpoint is the highest that weak = f+1 of the messages hold and that
//     is not below the stable checkpoint of quorum = 2f+1 of them.
//   - Digest d is chosen for slot n if some message has (n,d,v) in P, quorum
//     messages with h < n have nothing in P at n that conflicts with it (only lower
//     views, or v with the same digest), and weak messages have (n,d,v') with
//     v' >= v in Q.
//   - The null request is chosen if quorum messages with h < n have nothing in P
//     at n.
//
// Null requests behind the last slot that was chosen from P are left out: nobody
// has prepared anything there. One that was prepared stays, for it may be decided.
func decide(s []*ViewChange, quorum, weak, window int) (decision, bool) {
	var d decision
	if len(s) < quorum || !chooseCheckpoint(s, quorum, weak, &d) {
		return d, false
	}
	end := 0
	for n := d.stable + 1; n <= d.stable+uint64(window); n++ {
		c, prepared, ok := chooseSlot(s, n, quorum, weak)
		if !ok {
			return d, false
		}
		d.chosen = append(d.chosen, c)
		if prepared {
			end = len(d.chosen)
		}
	}
	if d.chosen = d.chosen[:end]; end == 0 {
		d.chosen = nil
	}
	return d, true
}

func chooseCheckpoint(s []*ViewChange, quorum, weak int, d *decision) bool {
	found := false
	for _, vc := range s {
		for _, c := range vc.Checkpoints {
			if found && c.Seq <= d.stable {
				continue
			}
			hold, below := 0, 0
			for _, w := range s {
				if hasCheckpoint(w, c.Seq, c.Digest) {
					hold++
				}
				if w.Stable <= c.Seq {
					below++
				}
			}
			if hold >= weak && below >= quorum {
				found, d.stable, d.digest = true, c.Seq, c.Digest
			}
		}
	}
	return found
}

// chooseSlot decides one slot; prepared says that the choice comes from P.
func chooseSlot(s []*ViewChange, n uint64, quorum, weak int) (c Chosen, prepared, ok bool) {
	silent := 0
	for _, vc := range s {
		if _, ok := preparedAt(vc, n); !ok && vc.Stable < n {
			silent++
		}
	}
	// Candidates in the order of the messages, each tried once; at most one can
	// qualify.
	var tried []Entry
	for _, vc := range s {
		e, ok := preparedAt(vc, n)
		if !ok || hasEntry(tried, e) {
			continue
		}
		tried = append(tried, e)
		agree, vouch := 0, 0
		for _, w := range s {
			if w.Stable < n {
				if x, ok := preparedAt(w, n); !ok || x.View < e.View || x.View == e.View && x.Digest == e.Digest {
					agree++
				}
			}
			if prePreparedSince(w, n, e) {
				vouch++
			}
		}
		if agree >= quorum && vouch >= weak {
			return Chosen{n, e.Digest}, true, true
		}
	}
	return Chosen{Seq: n}, false, silent >= quorum
}

func hasEntry(list []Entry, e Entry) bool {
	for i := range list {
		if list[i] == e {
			return true
		}
	}
	return false
}

func preparedAt(vc *ViewChange, n uint64) (Entry, bool) {
	i := sort.Search(len(vc.Prepared), func(i int) bool { return vc.Prepared[i].Seq >= n })
	if i < len(vc.Prepared) && vc.Prepared[i].Seq == n {
		return vc.Prepared[i], true
	}
	return Entry{}, false
}

func prePreparedSince(vc *ViewChange, n uint64, e Entry) bool {
	i := sort.Search(len(vc.PrePrepared), func(i int) bool { return vc.PrePrepared[i].Seq >= n })
	for ; i < len(vc.PrePrepared) && vc.PrePrepared[i].Seq == n; i++ {
		if q := vc.PrePrepared[i]; q.Digest == e.Digest && q.View >= e.View {
			return true
		}
	}
	return false
}

// validate checks that a VIEW-CHANGE is well formed: lists ascend, lie within the
// sender's window and speak of earlier views only.
func (vc *ViewChange) validate(window, interval int) bool {
	top := vc.Stable + uint64(window)
	if top < vc.Stable || vc.Stable%uint64(interval) != 0 || len(vc.Checkpoints) == 0 || vc.Checkpoints[0].Seq != vc.Stable {
		return false
	}
	for i, c := range vc.Checkpoints {
		if c.Seq%uint64(interval) != 0 || c.Seq > top || i > 0 && vc.Checkpoints[i-1].Seq >= c.Seq {
			return false
		}
	}
	for i, e := range vc.Prepared {
		if e.Seq <= vc.Stable || e.Seq > top || e.View >= vc.View || i > 0 && vc.Prepared[i-1].Seq >= e.Seq {
			return false
		}
	}
	run := 0
	for i, e := range vc.PrePrepared {
		if e.Seq <= vc.Stable || e.Seq > top || e.View >= vc.View {
			return false
		}
		if i > 0 {
			p := vc.PrePrepared[i-1]
			if p.Seq > e.Seq || p.Seq == e.Seq && !lessDigest(p.Digest, e.Digest) {
				return false
			}
			if p.Seq != e.Seq {
				run = 0
			}
		}
		if run++; run > tracked(window) {
			return false
		}
	}
	return true
}

func lessDigest(a, b protocols.Digest) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
