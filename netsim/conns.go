package netsim

import "github.com/edgebft/edgebft/protocols"

// connTable remembers until when each connection (source process, destination
// process, class) is occupied. An entry whose time has passed means the same as
// none. Up to denseConns processes it is one array per class in use, 8 bytes per
// pair; beyond, a hash table that drops passed entries instead of growing, so
// that its size follows the connections with something under way.
type connTable struct {
	procs int
	dense [protocols.NumClasses][]int64
	cells []connCell
	n     int
}

type connCell struct {
	key  uint64 // 0 is empty
	last int64
}

const denseConns = 2048

// at returns the cell of a connection, which reads any past time if nothing is
// under way. The pointer is valid until the next call.
func (t *connTable) at(src, dst int32, class protocols.Class, now int64) *int64 {
	if t.procs <= denseConns {
		d := t.dense[class]
		if d == nil {
			d = make([]int64, t.procs*t.procs)
			for i := range d {
				d[i] = -1
			}
			t.dense[class] = d
		}
		return &d[int(src)*t.procs+int(dst)]
	}
	return t.cell(uint64(src)<<34|uint64(dst)<<4|uint64(class)<<1|1, now)
}

func (t *connTable) cell(key uint64, now int64) *int64 {
	if 2*(t.n+1) > len(t.cells) {
		t.rebuild(now)
	}
	mask := uint64(len(t.cells) - 1)
	for i := mix(key) & mask; ; i = (i + 1) & mask {
		switch c := &t.cells[i]; c.key {
		case key:
			return &c.last
		case 0:
			c.key, c.last = key, -1
			t.n++
			return &c.last
		}
	}
}

// forget frees all connections from and to a process.
func (t *connTable) forget(proc int32) {
	for _, d := range t.dense {
		if d == nil {
			continue
		}
		for i := range t.procs {
			d[int(proc)*t.procs+i], d[i*t.procs+int(proc)] = -1, -1
		}
	}
	for i := range t.cells {
		if c := &t.cells[i]; int32(c.key>>34) == proc || int32(c.key>>4&(1<<30-1)) == proc {
			c.last = -1 // an empty cell does not mind
		}
	}
}

func (t *connTable) rebuild(now int64) {
	live := 0
	for i := range t.cells {
		if c := &t.cells[i]; c.key != 0 && c.last >= now {
			live++
		}
	}
	size := 64
	for size < 4*(live+1) {
		size *= 2
	}
	old := t.cells
	t.cells, t.n = make([]connCell, size), 0
	for i := range old {
		if c := &old[i]; c.key != 0 && c.last >= now {
			*t.cell(c.key, now) = c.last
		}
	}
}
