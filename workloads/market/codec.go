package market

import "encoding/binary"

// ID is a 16-byte identifier of a device, auction, topic, service or channel.
type ID [16]byte

// Hash is a 32-byte SHA-256 value.
type Hash [32]byte

// Key is a 32-byte Ed25519 public key.
type Key [32]byte

// Sig is a 64-byte Ed25519 signature.
type Sig [64]byte

// codec walks over the fields of a record in canonical order, in one of two
// directions. A type says its layout once, in a method fields(*codec), and is
// thereby encoded and decoded alike. Decoding stops at the first fault: bad is
// set and every later field reads as zero. It allocates no more than it reads.
type codec struct {
	b   []byte
	off int
	enc bool
	bad bool
}

func (c *codec) fail() {
	c.bad = true
	c.off = len(c.b)
}

// take returns the next n bytes of the input, or nil.
func (c *codec) take(n int) []byte {
	if c.bad || len(c.b)-c.off < n {
		c.fail()
		return nil
	}
	p := c.b[c.off : c.off+n]
	c.off += n
	return p
}

// done reports whether decoding succeeded and consumed everything.
func (c *codec) done() bool { return !c.bad && c.off == len(c.b) }

func (c *codec) u8(v *uint8) {
	if c.enc {
		c.b = append(c.b, *v)
	} else if p := c.take(1); p != nil {
		*v = p[0]
	} else {
		*v = 0
	}
}

func (c *codec) u16(v *uint16) {
	if c.enc {
		c.b = binary.BigEndian.AppendUint16(c.b, *v)
	} else if p := c.take(2); p != nil {
		*v = binary.BigEndian.Uint16(p)
	} else {
		*v = 0
	}
}

func (c *codec) u32(v *uint32) {
	if c.enc {
		c.b = binary.BigEndian.AppendUint32(c.b, *v)
	} else if p := c.take(4); p != nil {
		*v = binary.BigEndian.Uint32(p)
	} else {
		*v = 0
	}
}

func (c *codec) u64(v *uint64) {
	if c.enc {
		c.b = binary.BigEndian.AppendUint64(c.b, *v)
	} else if p := c.take(8); p != nil {
		*v = binary.BigEndian.Uint64(p)
	} else {
		*v = 0
	}
}

func (c *codec) i32(v *int32) {
	u := uint32(*v)
	c.u32(&u)
	*v = int32(u)
}

func (c *codec) i64(v *int64) {
	u := uint64(*v)
	c.u64(&u)
	*v = int64(u)
}

// flag is a byte that is 0 or 1.
func (c *codec) flag(v *bool) {
	var u uint8
	if *v {
		u = 1
	}
	c.u8(&u)
	if u > 1 {
		c.fail()
	}
	*v = u == 1
}

// raw is a fixed-size field.
func (c *codec) raw(v []byte) {
	if c.enc {
		c.b = append(c.b, v...)
	} else if p := c.take(len(v)); p != nil {
		copy(v, p)
	} else {
		clear(v)
	}
}

func (c *codec) id(v *ID)     { c.raw(v[:]) }
func (c *codec) hash(v *Hash) { c.raw(v[:]) }
func (c *codec) key(v *Key)   { c.raw(v[:]) }
func (c *codec) sig(v *Sig)   { c.raw(v[:]) }

// bytes is a u16 length and that many bytes, at most limit. A decoded field
// reuses the capacity of *v.
func (c *codec) bytes(v *[]byte, limit int) {
	n := c.count(len(*v), limit, 1)
	if c.enc {
		c.b = append(c.b, (*v)[:n]...)
		return
	}
	*v = append((*v)[:0], c.take(n)...)
}

// count is the u16 length of a list of elements of at least size bytes each. A
// length over the limit, or over what the input can hold, is a fault.
func (c *codec) count(n, limit, size int) int {
	if c.enc {
		if n > limit {
			c.bad = true
			n = limit
		}
		c.b = binary.BigEndian.AppendUint16(c.b, uint16(n))
		return n
	}
	var u uint16
	c.u16(&u)
	if int(u) > limit || int(u)*size > len(c.b)-c.off {
		c.fail()
		return 0
	}
	return int(u)
}

// list is a u16 count and the elements. A decoded list reuses the capacity of *v.
func list[T any](c *codec, v *[]T, limit, size int, field func(*codec, *T)) {
	n := c.count(len(*v), limit, size)
	if !c.enc {
		*v = (*v)[:0]
		var zero T
		for range n {
			*v = append(*v, zero)
		}
	}
	for i := range n {
		field(c, &(*v)[i])
	}
}

// enum8 decodes a byte that must lie in [lo, hi].
func enum8[T ~uint8](c *codec, v *T, lo, hi T) {
	u := uint8(*v)
	c.u8(&u)
	*v = T(u)
	if !c.enc && (*v < lo || *v > hi) {
		c.fail()
	}
}
