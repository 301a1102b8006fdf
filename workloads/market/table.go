package market

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
)

// table is one table of the state: rows by key, an undo journal, and the set of
// rows that changed since the tree was last brought up to date.
//
// Steps number mutations' owners: every transaction has two, one for its envelope
// (nonce and fee) and one for its body, so that a refused body is taken back
// alone. Reads never create journal entries; every write goes through mut, put or
// del. The order of Go maps reaches nothing: lists for people and snapshots are
// sorted by encoded key.
type table[K comparable, V any] struct {
	id    byte
	rows  map[K]*row[K, V]
	key   func(*codec, *K)
	val   func(*codec, *V)
	step  *uint64
	undo  []undo[K, V]
	head  int // undo[:head] is released
	dirty []*row[K, V]
	gone  []K // deleted rows that the tree still holds
	free  []*row[K, V]
	// added and removed keep an index over the rows; they see undo and restore
	// like any other change. Either may be nil.
	added   func(K, *V)
	removed func(K, *V)
}

type row[K comparable, V any] struct {
	key    K
	val    V
	step   uint64 // of the last journal entry
	dirty  int32  // position in table.dirty, or -1
	inTree bool
}

type undoKind uint8

const (
	created undoKind = iota
	changed
	deleted
)

type undo[K comparable, V any] struct {
	key  K
	step uint64
	kind undoKind
	old  V
}

// rowBlock is how many rows are allocated at once.
const rowBlock = 32

func newTable[K comparable, V any](s *State, id byte, key func(*codec, *K), val func(*codec, *V)) *table[K, V] {
	t := &table[K, V]{id: id, rows: make(map[K]*row[K, V]), key: key, val: val, step: &s.step}
	s.tables = append(s.tables, t)
	return t
}

// get returns the row for reading, or nil.
func (t *table[K, V]) get(k K) *V {
	if r := t.rows[k]; r != nil {
		return &r.val
	}
	return nil
}

// mut returns the row for writing, or nil.
func (t *table[K, V]) mut(k K) *V {
	r := t.rows[k]
	if r == nil {
		return nil
	}
	t.journal(r)
	return &r.val
}

func (t *table[K, V]) journal(r *row[K, V]) {
	if r.step == *t.step {
		return
	}
	t.undo = append(t.undo, undo[K, V]{r.key, *t.step, changed, r.val})
	r.step = *t.step
	t.mark(r)
}

func (t *table[K, V]) mark(r *row[K, V]) {
	if r.dirty < 0 {
		r.dirty = int32(len(t.dirty))
		t.dirty = append(t.dirty, r)
	}
}

// put stores a new row or replaces an old one.
func (t *table[K, V]) put(k K, v V) *V {
	if r := t.rows[k]; r != nil {
		t.journal(r)
		r.val = v
		return &r.val
	}
	r := t.insert(k, v)
	r.step = *t.step
	t.undo = append(t.undo, undo[K, V]{key: k, step: *t.step, kind: created})
	return &r.val
}

// del removes a row; an absent one is left alone.
func (t *table[K, V]) del(k K) {
	r := t.rows[k]
	if r == nil {
		return
	}
	t.undo = append(t.undo, undo[K, V]{k, *t.step, deleted, r.val})
	t.drop(r)
}

func (t *table[K, V]) insert(k K, v V) *row[K, V] {
	if len(t.free) == 0 {
		block := make([]row[K, V], rowBlock)
		for i := range block {
			t.free = append(t.free, &block[i])
		}
	}
	r := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	*r = row[K, V]{key: k, val: v, dirty: -1}
	t.rows[k] = r
	t.mark(r)
	if t.added != nil {
		t.added(k, &r.val)
	}
	return r
}

func (t *table[K, V]) drop(r *row[K, V]) {
	if t.removed != nil {
		t.removed(r.key, &r.val)
	}
	if r.dirty >= 0 {
		last := t.dirty[len(t.dirty)-1]
		t.dirty[r.dirty] = last
		last.dirty = r.dirty
		t.dirty = t.dirty[:len(t.dirty)-1]
	}
	if r.inTree {
		t.gone = append(t.gone, r.key)
	}
	delete(t.rows, r.key)
	*r = row[K, V]{dirty: -1}
	t.free = append(t.free, r)
}

// revert takes back every change of steps above step.
func (t *table[K, V]) revert(step uint64) {
	for i := len(t.undo) - 1; i >= t.head && t.undo[i].step > step; i-- {
		u := &t.undo[i]
		switch u.kind {
		case created:
			t.drop(t.rows[u.key])
		case changed:
			r := t.rows[u.key]
			r.val = u.old
			r.step = 0
			t.mark(r)
		case deleted:
			t.insert(u.key, u.old)
		}
		*u = undo[K, V]{}
		t.undo = t.undo[:i]
	}
}

// release forgets how to take back steps up to step.
func (t *table[K, V]) release(step uint64) {
	for t.head < len(t.undo) && t.undo[t.head].step <= step {
		t.undo[t.head] = undo[K, V]{}
		t.head++
	}
	// Move down only when that is cheap against what was released.
	if t.head > 64 && t.head*2 >= len(t.undo) {
		n := copy(t.undo, t.undo[t.head:])
		clear(t.undo[n:])
		t.undo = t.undo[:n]
		t.head = 0
	}
}

// flush brings the tree up to date.
func (t *table[K, V]) flush(tree *Tree, scratch []byte) []byte {
	c := codec{enc: true}
	for i := range t.gone {
		if t.rows[t.gone[i]] == nil {
			c.b = append(scratch[:0], t.id)
			t.key(&c, &t.gone[i])
			scratch = c.b
			tree.remove(sha256.Sum256(scratch))
		}
	}
	t.gone = t.gone[:0]
	for i, r := range t.dirty {
		c.b = append(scratch[:0], t.id)
		t.key(&c, &r.key)
		path := sha256.Sum256(c.b)
		c.b = c.b[:0]
		t.val(&c, &r.val)
		scratch = c.b
		tree.set(path, sha256.Sum256(scratch))
		r.dirty = -1
		r.inTree = true
		t.dirty[i] = nil
	}
	t.dirty = t.dirty[:0]
	return scratch
}

// sorted returns all keys by their encoding.
func (t *table[K, V]) sorted() []K {
	type entry struct {
		enc [48]byte
		n   int
		k   K
	}
	keys := make([]entry, 0, len(t.rows))
	c := codec{enc: true}
	for k := range t.rows { //lint:allow determinism the keys are sorted below
		c.b = c.b[:0]
		t.key(&c, &k)
		e := entry{k: k, n: len(c.b)}
		copy(e.enc[:], c.b)
		keys = append(keys, e)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := &keys[i], &keys[j]
		for x := 0; x < len(a.enc); x += 8 {
			u, v := binary.BigEndian.Uint64(a.enc[x:]), binary.BigEndian.Uint64(b.enc[x:])
			if u != v {
				return u < v
			}
		}
		return a.n < b.n
	})
	out := make([]K, len(keys))
	for i := range keys {
		out[i] = keys[i].k
	}
	return out
}

// maxRow bounds one row of a snapshot.
const maxRow = 4096

// write puts the rows into a snapshot: a count, then per row a u16 length, key and
// value.
func (t *table[K, V]) write(w *bufio.Writer, c *codec) error {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(t.rows)))
	if _, err := w.Write(n[:]); err != nil {
		return err
	}
	for _, k := range t.sorted() {
		c.b = append(c.b[:0], 0, 0)
		t.key(c, &k)
		t.val(c, &t.rows[k].val)
		binary.BigEndian.PutUint16(c.b, uint16(len(c.b)-2))
		if _, err := w.Write(c.b); err != nil {
			return err
		}
	}
	return nil
}

// read replaces the rows by those of a snapshot. Memory grows only by what was
// read.
func (t *table[K, V]) read(r *bufio.Reader, buf []byte) error {
	var n [8]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return err
	}
	count := binary.BigEndian.Uint64(n[:])
	var prev []byte
	for i := range count {
		if _, err := io.ReadFull(r, n[:2]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint16(n[:2]))
		if size > maxRow {
			return fmt.Errorf("table %02x row %d of %d bytes, at most %d allowed", t.id, i, size, maxRow)
		}
		b := buf[:size]
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		c := codec{b: b}
		var k K
		var v V
		t.key(&c, &k)
		keyLen := c.off
		t.val(&c, &v)
		if !c.done() {
			return fmt.Errorf("table %02x row %d of %d bytes is malformed", t.id, i, size)
		}
		if i > 0 && string(prev) >= string(b[:keyLen]) {
			return fmt.Errorf("table %02x row %d: keys do not ascend", t.id, i)
		}
		prev = append(prev[:0], b[:keyLen]...)
		t.insert(k, v)
	}
	return nil
}

// clear empties the table, journal included. The index over it is the caller's to
// empty.
func (t *table[K, V]) clear() {
	clear(t.rows)
	clear(t.undo)
	t.undo, t.head = t.undo[:0], 0
	t.dirty, t.gone, t.free = nil, nil, nil
}

func (t *table[K, V]) unreleased() int { return len(t.undo) - t.head }

// anyTable is what the state needs of a table whatever it holds.
type anyTable interface {
	revert(step uint64)
	release(step uint64)
	flush(tree *Tree, scratch []byte) []byte
	write(w *bufio.Writer, c *codec) error
	read(r *bufio.Reader, buf []byte) error
	clear()
	unreleased() int
}
