package smr

import "github.com/edgebft/edgebft/protocols"

// Votes counts votes for digests, one per voter: the first vote of a voter counts
// and later ones are ignored, whatever they say. The zero value is empty. Memory
// is bounded by the number of voters.
type Votes struct {
	voted   Bitset
	choices []choice
	used    int
}

type choice struct {
	digest protocols.Digest
	voters Bitset
}

// Add counts the vote of voter (a small non-negative integer) for d and returns
// how many voters d has now; 0 if this voter had voted before.
func (v *Votes) Add(voter int, d protocols.Digest) int {
	if !v.voted.Add(voter) {
		return 0
	}
	for i := range v.choices[:v.used] {
		if v.choices[i].digest == d {
			v.choices[i].voters.Add(voter)
			return v.choices[i].voters.Len()
		}
	}
	if v.used == len(v.choices) {
		v.choices = append(v.choices, choice{})
	}
	c := &v.choices[v.used]
	c.digest = d
	c.voters.Clear()
	c.voters.Add(voter)
	v.used++
	return 1
}

// Count returns the number of votes for d.
func (v *Votes) Count(d protocols.Digest) int {
	for i := range v.choices[:v.used] {
		if v.choices[i].digest == d {
			return v.choices[i].voters.Len()
		}
	}
	return 0
}

// Voted reports whether the voter has voted.
func (v *Votes) Voted(voter int) bool { return v.voted.Has(voter) }

// Len is the number of voters.
func (v *Votes) Len() int { return v.voted.Len() }

// Leader returns a digest with the most votes (the first to get there on a tie)
// and its number of votes.
func (v *Votes) Leader() (protocols.Digest, int) {
	best := -1
	for i := range v.choices[:v.used] {
		if best < 0 || v.choices[i].voters.Len() > v.choices[best].voters.Len() {
			best = i
		}
	}
	if best < 0 {
		return protocols.Digest{}, 0
	}
	return v.choices[best].digest, v.choices[best].voters.Len()
}

// Voters returns the voters for d in ascending order.
func (v *Votes) Voters(d protocols.Digest) []int {
	for i := range v.choices[:v.used] {
		if v.choices[i].digest == d {
			return v.choices[i].voters.AppendMembers(nil)
		}
	}
	return nil
}

// Clear forgets all votes and keeps the storage.
func (v *Votes) Clear() {
	v.voted.Clear()
	v.used = 0
}
