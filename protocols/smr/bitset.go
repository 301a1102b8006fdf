package smr

import "math/bits"

// Bitset is a set of small integers. The zero value is empty. Up to 64 members
// it needs no allocation.
type Bitset struct {
	low  uint64
	high []uint64
	n    int
}

// Add puts i into the set and reports whether it was new.
func (b *Bitset) Add(i int) bool {
	if i < 64 {
		if b.low&(1<<i) != 0 {
			return false
		}
		b.low |= 1 << i
		b.n++
		return true
	}
	w := i>>6 - 1
	for len(b.high) <= w {
		b.high = append(b.high, 0)
	}
	if b.high[w]&(1<<(i&63)) != 0 {
		return false
	}
	b.high[w] |= 1 << (i & 63)
	b.n++
	return true
}

// Has reports whether i is a member.
func (b *Bitset) Has(i int) bool {
	if i < 64 {
		return b.low&(1<<i) != 0
	}
	w := i>>6 - 1
	return w < len(b.high) && b.high[w]&(1<<(i&63)) != 0
}

// Len is the number of members.
func (b *Bitset) Len() int { return b.n }

// Clear empties the set and keeps its storage.
func (b *Bitset) Clear() {
	b.low, b.n = 0, 0
	clear(b.high)
}

// AppendMembers appends the members in ascending order.
func (b *Bitset) AppendMembers(dst []int) []int {
	for w := -1; w < len(b.high); w++ {
		word, base := b.low, 0
		if w >= 0 {
			word, base = b.high[w], 64*(w+1)
		}
		for word != 0 {
			dst = append(dst, base+bits.TrailingZeros64(word))
			word &= word - 1
		}
	}
	return dst
}
