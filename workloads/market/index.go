package market

import (
	"bytes"
	"cmp"
	"slices"
)

// index holds what can be found again from the tables but not fast enough. It
// follows every insertion and removal, those of undo and restore included, and is
// in no root and no snapshot.
type index struct {
	byKey    map[Key]uint64
	voters   []uint64 // ascending
	classes  map[uint16]*idSet
	bidders  map[ID][]uint64 // of an auction, ascending
	offerers map[ID][]uint64 // of a service, ascending
	granted  map[uint64][]ID // to a consumer, ascending
	sites    map[uint32][]ID // services that a site number belongs to, ascending
	params   [][]uint64      // by slot: positions, ascending
	fixed    []uint32        // epochs that have a beacon, ascending
	queue    expiryHeap
}

// reset empties the index.
func (x *index) reset() {
	x.voters, x.fixed, x.queue = nil, nil, nil
	x.byKey = make(map[Key]uint64)
	x.classes = make(map[uint16]*idSet)
	x.bidders = make(map[ID][]uint64)
	x.offerers = make(map[ID][]uint64)
	x.granted = make(map[uint64][]ID)
	x.sites = make(map[uint32][]ID)
	x.params = make([][]uint64, len(paramTable))
}

// attach makes the index follow the tables.
func (x *index) attach(s *State) {
	x.reset()
	s.accounts.added = func(k uint64, a *Account) {
		x.byKey[a.Key] = k
		if a.Has(Voter) {
			x.voters = insertSorted(x.voters, k)
		}
	}
	s.accounts.removed = func(k uint64, a *Account) {
		delete(x.byKey, a.Key)
		if a.Has(Voter) {
			x.voters = removeSorted(x.voters, k)
		}
	}
	s.devices.added = func(k ID, d *Device) {
		set := x.classes[d.Class]
		if set == nil {
			set = new(idSet)
			x.classes[d.Class] = set
		}
		set.add(k)
	}
	s.devices.removed = func(k ID, d *Device) { x.classes[d.Class].remove(k) }
	s.bids.added = func(k partyKey, _ *Bid) { addChild(x.bidders, k.object, k.party, cmp.Compare[uint64]) }
	s.bids.removed = func(k partyKey, _ *Bid) { removeChild(x.bidders, k.object, k.party, cmp.Compare[uint64]) }
	s.offers.added = func(k partyKey, _ *Offer) { addChild(x.offerers, k.object, k.party, cmp.Compare[uint64]) }
	s.offers.removed = func(k partyKey, _ *Offer) { removeChild(x.offerers, k.object, k.party, cmp.Compare[uint64]) }
	s.grants.added = func(k partyKey, _ *Grant) { addChild(x.granted, k.party, k.object, compareID) }
	s.grants.removed = func(k partyKey, _ *Grant) { removeChild(x.granted, k.party, k.object, compareID) }
	s.services.added = func(k ID, _ *Service) { addChild(x.sites, ServiceSite(k), k, compareID) }
	s.services.removed = func(k ID, _ *Service) { removeChild(x.sites, ServiceSite(k), k, compareID) }
	s.params.added = func(k paramKey, _ *uint64) {
		x.params[k.key.slot()] = insertSorted(x.params[k.key.slot()], k.at)
	}
	s.params.removed = func(k paramKey, _ *uint64) {
		x.params[k.key.slot()] = removeSorted(x.params[k.key.slot()], k.at)
	}
	s.beacons.added = func(k uint32, _ *Beacon) { x.fixed = insertSorted(x.fixed, k) }
	s.beacons.removed = func(k uint32, _ *Beacon) { x.fixed = removeSorted(x.fixed, k) }
	s.expiry.added = func(k expiryKey, _ *struct{}) { x.queue.push(k, s.expiry) }
}

func compareID(a, b ID) int { return bytes.Compare(a[:], b[:]) }

func insertSorted[T cmp.Ordered](list []T, v T) []T {
	i, _ := slices.BinarySearch(list, v)
	return slices.Insert(list, i, v)
}

func removeSorted[T cmp.Ordered](list []T, v T) []T {
	if i, ok := slices.BinarySearch(list, v); ok {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func addChild[P, C comparable](m map[P][]C, parent P, child C, compare func(a, b C) int) {
	list := m[parent]
	i, _ := slices.BinarySearchFunc(list, child, compare)
	m[parent] = slices.Insert(list, i, child)
}

func removeChild[P, C comparable](m map[P][]C, parent P, child C, compare func(a, b C) int) {
	list := m[parent]
	if i, ok := slices.BinarySearchFunc(list, child, compare); ok {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(m, parent)
	} else {
		m[parent] = list
	}
}

// idSet is a set of ids that is read in ascending order. New ids wait unsorted
// until the next read, so that a storm of registrations costs no moving.
type idSet struct {
	sorted []ID
	fresh  []ID
}

func (s *idSet) add(id ID) { s.fresh = append(s.fresh, id) }

func (s *idSet) remove(id ID) {
	for i := len(s.fresh) - 1; i >= 0; i-- {
		if s.fresh[i] == id {
			s.fresh = slices.Delete(s.fresh, i, i+1)
			return
		}
	}
	if i, ok := slices.BinarySearchFunc(s.sorted, id, compareID); ok {
		s.sorted = slices.Delete(s.sorted, i, i+1)
	}
}

func (s *idSet) ascending() []ID {
	if len(s.fresh) == 0 {
		return s.sorted
	}
	slices.SortFunc(s.fresh, compareID)
	merged := make([]ID, 0, len(s.sorted)+len(s.fresh))
	a, b := s.sorted, s.fresh
	for len(a) > 0 && len(b) > 0 {
		if compareID(a[0], b[0]) < 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	s.sorted = append(append(merged, a...), b...)
	s.fresh = s.fresh[:0]
	return s.sorted
}

func compareExpiry(a, b *expiryKey) int {
	if c := cmp.Compare(a.deadline, b.deadline); c != 0 {
		return c
	}
	if c := cmp.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	return compareID(a.id, b.id)
}

// expiryHeap finds the least entry of the expiry table. Entries that left the
// table stay in the heap until they come up or outnumber the others.
type expiryHeap []expiryKey

func (h *expiryHeap) push(k expiryKey, t *table[expiryKey, struct{}]) {
	*h = append(*h, k)
	h.up(len(*h) - 1)
	if len(*h) > 2*len(t.rows)+64 {
		q := (*h)[:0]
		for k := range t.rows { //lint:allow determinism a heap gives its least whatever the order of pushes
			q = append(q, k)
		}
		*h = q
		for i := len(q)/2 - 1; i >= 0; i-- {
			h.down(i)
		}
	}
}

// least returns the least entry that is in the table.
func (h *expiryHeap) least(t *table[expiryKey, struct{}]) (expiryKey, bool) {
	for len(*h) > 0 {
		if k := (*h)[0]; t.get(k) != nil {
			return k, true
		}
		h.pop()
	}
	return expiryKey{}, false
}

func (h *expiryHeap) pop() {
	q := *h
	n := len(q) - 1
	q[0] = q[n]
	*h = q[:n]
	h.down(0)
}

func (h expiryHeap) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if compareExpiry(&h[i], &h[p]) >= 0 {
			return
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
}

func (h expiryHeap) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && compareExpiry(&h[c+1], &h[c]) < 0 {
			c++
		}
		if compareExpiry(&h[i], &h[c]) <= 0 {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
