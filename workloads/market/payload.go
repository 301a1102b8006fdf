package market

import "fmt"

// Bounds of lists and byte strings in payloads. A longer one is refused with 101.
const (
	MaxMemo    = 256
	MaxSealed  = 256 // sealed keys and credentials
	MaxAttrs   = 16
	MaxBatch   = 256
	MaxReports = MaxPayload / 74
)

// Payload is the body of a transaction. The types of this package that implement
// it are named after their transactions; their fields stand in canonical order.
type Payload interface {
	// Type is the transaction code.
	Type() Type
	fields(c *codec)
}

// AppendPayload appends the canonical encoding. It fails if a list is over its
// bound or the whole over MaxPayload.
func AppendPayload(dst []byte, p Payload) ([]byte, error) {
	c := codec{enc: true, b: dst}
	p.fields(&c)
	if c.bad || len(c.b)-len(dst) > MaxPayload {
		return dst, fmt.Errorf("%s payload of %d bytes: a list is over its bound, or the whole over %d bytes; split it", p.Type(), len(c.b)-len(dst), MaxPayload)
	}
	return c.b, nil
}

// DecodePayload decodes the body of a transaction of the given type.
func DecodePayload(t Type, b []byte) (Payload, error) {
	e := rules[t]
	if e == nil {
		return nil, fmt.Errorf("transaction type 0x%02x is unknown", uint8(t))
	}
	p := e.payload()
	c := codec{b: b}
	p.fields(&c)
	if !c.done() {
		return nil, fmt.Errorf("%s payload of %d bytes is not canonical: truncated, trailing bytes, an unsorted set, or a value out of range", t, len(b))
	}
	return p, nil
}

// String returns the name of the transaction.
func (t Type) String() string {
	if e := rules[t]; e != nil {
		return e.name
	}
	return fmt.Sprintf("Type(0x%02x)", uint8(t))
}

// Types returns the known transaction codes in ascending order.
func Types() []Type {
	var out []Type
	for t, e := range rules {
		if e != nil {
			out = append(out, Type(t))
		}
	}
	return out
}
