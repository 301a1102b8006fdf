package netsim

// connTable remembers until when each connection is occupied. An entry whose
// time has passed means the same as none, so the table drops such entries
// instead of growing: its size follows the connections with something under way.
type connTable struct {
	keys []uint64 // 0 is empty
	last []int64
	n    int
}

// at returns the cell of a connection, which reads -1 or any past time if
// nothing is under way. The pointer is valid until the next call.
func (t *connTable) at(key uint64, now int64) *int64 {
	if 2*(t.n+1) > len(t.keys) {
		t.rebuild(now)
	}
	mask := uint64(len(t.keys) - 1)
	for i := mix(key) & mask; ; i = (i + 1) & mask {
		switch t.keys[i] {
		case key:
			return &t.last[i]
		case 0:
			t.keys[i], t.last[i] = key, -1
			t.n++
			return &t.last[i]
		}
	}
}

func (t *connTable) rebuild(now int64) {
	live := 0
	for i, k := range t.keys {
		if k != 0 && t.last[i] >= now {
			live++
		}
	}
	size := 64
	for size < 4*(live+1) {
		size *= 2
	}
	keys, last := t.keys, t.last
	t.keys, t.last, t.n = make([]uint64, size), make([]int64, size), 0
	for i, k := range keys {
		if k != 0 && last[i] >= now {
			*t.at(k, now) = last[i]
		}
	}
}
