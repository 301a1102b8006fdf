package market

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Tree is the sparse Merkle tree over the state: each leaf at its shallowest
// unique depth.
//
//	path = SHA-256(table ‖ key), most significant bit first, 0 is left
//	leaf = H(00 ‖ path ‖ H(value))
//	node = H(01 ‖ left ‖ right), an empty side being 32 zero bytes
//	root = H(02 ‖ u64 leaf count ‖ tree)
//
// The root depends on the set of leaves only. Set and Remove mark the way down;
// hashes are made once per Root call, whatever the number of changes.
type Tree struct {
	// References: 0 is empty, odd values are leaves, even ones inner nodes; the
	// upper 31 bits are the index.
	root      uint32
	inner     []innerNode
	leaves    []leafNode
	freeInner []uint32
	freeLeaf  []uint32
	count     uint64
}

type innerNode struct {
	hash  Hash
	child [2]uint32
	dirty bool
}

type leafNode struct {
	path  Hash
	value Hash // SHA-256 of the value; the leaf's own hash is made when needed
}

const (
	tagLeaf = 0
	tagNode = 1
	tagRoot = 2
)

func isLeaf(ref uint32) bool { return ref&1 == 1 }

func bit(path *Hash, depth int) int { return int(path[depth>>3]>>(7-depth&7)) & 1 }

// NewTree returns the empty tree.
func NewTree() *Tree {
	// Index 0 is reserved on both sides, so that reference 0 means empty.
	return &Tree{inner: make([]innerNode, 1), leaves: make([]leafNode, 1)}
}

// Len is the number of leaves.
func (t *Tree) Len() uint64 { return t.count }

// Path is the place of a key of a table.
func Path(table byte, key []byte) Hash {
	h := sha256.New()
	h.Write([]byte{table})
	h.Write(key)
	return Hash(h.Sum(nil))
}

// Set stores the value of a key of a table.
func (t *Tree) Set(table byte, key, value []byte) { t.set(Path(table, key), sha256.Sum256(value)) }

// Remove takes a key out; an absent one is left alone.
func (t *Tree) Remove(table byte, key []byte) { t.remove(Path(table, key)) }

func leafHash(path, value *Hash) Hash {
	var b [65]byte
	b[0] = tagLeaf
	copy(b[1:], path[:])
	copy(b[33:], value[:])
	return sha256.Sum256(b[:])
}

func (t *Tree) newInner() uint32 {
	if n := len(t.freeInner); n > 0 {
		i := t.freeInner[n-1]
		t.freeInner = t.freeInner[:n-1]
		t.inner[i] = innerNode{dirty: true}
		return i << 1
	}
	t.inner = append(t.inner, innerNode{dirty: true})
	return uint32(len(t.inner)-1) << 1
}

func (t *Tree) newLeaf(path, value *Hash) uint32 {
	l := leafNode{path: *path, value: *value}
	t.count++
	if n := len(t.freeLeaf); n > 0 {
		i := t.freeLeaf[n-1]
		t.freeLeaf = t.freeLeaf[:n-1]
		t.leaves[i] = l
		return i<<1 | 1
	}
	t.leaves = append(t.leaves, l)
	return uint32(len(t.leaves)-1)<<1 | 1
}

// link makes ref a child of inner node parent, or the root if parent is 0.
func (t *Tree) link(parent uint32, side int, ref uint32) {
	if parent == 0 {
		t.root = ref
	} else {
		t.inner[parent>>1].child[side] = ref
	}
}

func (t *Tree) set(path, value Hash) {
	parent, side, ref, depth := uint32(0), 0, t.root, 0
	for ref != 0 && !isLeaf(ref) {
		n := &t.inner[ref>>1]
		n.dirty = true
		parent, side = ref, bit(&path, depth)
		ref = n.child[side]
		depth++
	}
	if ref == 0 {
		t.link(parent, side, t.newLeaf(&path, &value))
		return
	}
	old := &t.leaves[ref>>1]
	if old.path == path {
		old.value = value
		return
	}
	other := old.path
	leaf := t.newLeaf(&path, &value)
	// Both share the way down to here; go on until they part.
	for {
		n := t.newInner()
		t.link(parent, side, n)
		a, b := bit(&path, depth), bit(&other, depth)
		depth++
		if a != b {
			t.inner[n>>1].child[a] = leaf
			t.inner[n>>1].child[b] = ref
			return
		}
		parent, side = n, a
	}
}

func (t *Tree) remove(path Hash) {
	var way [257]uint32
	ref, depth := t.root, 0
	for ref != 0 && !isLeaf(ref) {
		way[depth] = ref
		ref = t.inner[ref>>1].child[bit(&path, depth)]
		depth++
	}
	if ref == 0 || t.leaves[ref>>1].path != path {
		return
	}
	t.freeLeaf = append(t.freeLeaf, ref>>1)
	t.count--
	up := uint32(0) // what takes the place below way[depth-1]
	for depth > 0 {
		n := &t.inner[way[depth-1]>>1]
		side := bit(&path, depth-1)
		sibling := n.child[1-side]
		if up == 0 && isLeaf(sibling) {
			up = sibling // a lone leaf rises to its shallowest unique depth
		} else if up == 0 || sibling != 0 {
			// up == 0 cannot meet an empty sibling: that node would have held a
			// lone leaf, which never stands below an inner node.
			n.child[side] = up
			n.dirty = true
			for d := depth - 1; d > 0; d-- {
				t.inner[way[d-1]>>1].dirty = true
			}
			return
		}
		t.freeInner = append(t.freeInner, way[depth-1]>>1)
		depth--
	}
	t.root = up
}

// hashOf returns the hash of a subtree, made anew where it changed.
func (t *Tree) hashOf(ref uint32) Hash {
	if ref == 0 {
		return Hash{}
	}
	if isLeaf(ref) {
		l := &t.leaves[ref>>1]
		return leafHash(&l.path, &l.value)
	}
	n := &t.inner[ref>>1]
	if n.dirty {
		l := t.hashOf(n.child[0])
		r := t.hashOf(n.child[1])
		n.hash = nodeHash(&l, &r)
		n.dirty = false
	}
	return n.hash
}

func nodeHash(l, r *Hash) Hash {
	var b [65]byte
	b[0] = tagNode
	copy(b[1:], l[:])
	copy(b[33:], r[:])
	return sha256.Sum256(b[:])
}

func rootHash(count uint64, tree *Hash) Hash {
	var b [41]byte
	b[0] = tagRoot
	binary.BigEndian.PutUint64(b[1:], count)
	copy(b[9:], tree[:])
	return sha256.Sum256(b[:])
}

// Root is the digest of the set of leaves.
func (t *Tree) Root() Hash {
	h := t.hashOf(t.root)
	return rootHash(t.count, &h)
}

// Proof shows that a key has a value under a root, or that it has none.
type Proof struct {
	Count    uint64 // leaves of the tree
	Siblings []Hash // from the root down
	// Other says that another key's leaf stands where this one's would: then the
	// key is absent, and path and value hash of the other are given.
	Other      bool
	OtherPath  Hash
	OtherValue Hash
}

// prove returns the proof for path and whether it is in the tree.
func (t *Tree) prove(path Hash) (p Proof, present bool) {
	t.Root()
	p.Count = t.count
	ref, depth := t.root, 0
	for ref != 0 && !isLeaf(ref) {
		n := &t.inner[ref>>1]
		side := bit(&path, depth)
		p.Siblings = append(p.Siblings, t.hashOf(n.child[1-side]))
		ref = n.child[side]
		depth++
	}
	if ref == 0 {
		return p, false
	}
	l := &t.leaves[ref>>1]
	if l.path == path {
		return p, true
	}
	p.Other, p.OtherPath, p.OtherValue = true, l.path, l.value
	return p, false
}

// Verify checks the proof for a key of a table against a root. A nil value asks
// whether the key is absent; value otherwise is the canonical record.
func (p *Proof) Verify(root Hash, table byte, key, value []byte) error {
	path := Path(table, key)
	if len(p.Siblings) > 256 {
		return fmt.Errorf("proof with %d siblings, at most 256 are possible", len(p.Siblings))
	}
	var h Hash
	switch {
	case value != nil:
		vh := Hash(sha256.Sum256(value))
		h = leafHash(&path, &vh)
	case p.Other:
		if p.OtherPath == path {
			return fmt.Errorf("proof of absence ends at the key's own leaf")
		}
		for d := range p.Siblings {
			if bit(&path, d) != bit(&p.OtherPath, d) {
				return fmt.Errorf("proof of absence: the other leaf leaves the way at depth %d of %d", d, len(p.Siblings))
			}
		}
		h = leafHash(&p.OtherPath, &p.OtherValue)
	}
	for d := len(p.Siblings) - 1; d >= 0; d-- {
		if bit(&path, d) == 0 {
			h = nodeHash(&h, &p.Siblings[d])
		} else {
			h = nodeHash(&p.Siblings[d], &h)
		}
	}
	if got := rootHash(p.Count, &h); got != root {
		return fmt.Errorf("proof leads to root %x, want %x", got[:8], root[:8])
	}
	return nil
}

func (p *Proof) fields(c *codec) {
	c.u64(&p.Count)
	list(c, &p.Siblings, 256, 32, func(c *codec, h *Hash) { c.hash(h) })
	c.flag(&p.Other)
	if p.Other {
		c.hash(&p.OtherPath)
		c.hash(&p.OtherValue)
	}
}
