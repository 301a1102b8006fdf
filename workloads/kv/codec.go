package kv

import (
	"encoding/binary"
	"fmt"
)

// Kind of operation.
type Kind uint8

// Kinds.
const (
	Get Kind = 1 + iota
	Put
	CAS
)

func (k Kind) String() string { return [...]string{"?", "get", "put", "cas"}[k&3] }

// Status of a result.
type Status uint8

// Statuses.
const (
	// OK: the operation took effect.
	OK Status = iota
	// Mismatch: a compare-and-swap found another value than it expected.
	Mismatch
	// Malformed: the operation could not be decoded.
	Malformed
	// NoKey: there is no such register.
	NoKey
)

// Input is a decoded operation.
type Input struct {
	Kind Kind
	Key  uint32
	// Expected is what a compare-and-swap compares with, Value what it or a put
	// writes.
	Expected, Value uint64
}

// Output is a decoded result.
type Output struct {
	// Unknown says that the client saw no result.
	Unknown bool
	Status  Status
	// Previous is the value before the operation.
	Previous uint64
}

// Initial is the value of every register at genesis.
const Initial uint64 = 0

// Append appends the encoding of the operation.
func (in Input) Append(dst []byte) []byte {
	dst = append(dst, byte(in.Kind))
	dst = binary.BigEndian.AppendUint32(dst, in.Key)
	if in.Kind == CAS {
		dst = binary.BigEndian.AppendUint64(dst, in.Expected)
	}
	if in.Kind != Get {
		dst = binary.BigEndian.AppendUint64(dst, in.Value)
	}
	return dst
}

// DecodeInput decodes an operation.
func DecodeInput(op []byte) (Input, error) {
	if len(op) == 0 || op[0] < byte(Get) || op[0] > byte(CAS) {
		return Input{}, fmt.Errorf("kv: operation %x begins with no known kind; allowed is 01 to 03", op[:min(len(op), 8)])
	}
	in := Input{Kind: Kind(op[0])}
	if want := 5 + 8*int(in.Kind-Get); len(op) != want {
		return Input{}, fmt.Errorf("kv: %v of %d bytes; it must have %d", in.Kind, len(op), want)
	}
	in.Key = binary.BigEndian.Uint32(op[1:])
	switch in.Kind {
	case Put:
		in.Value = binary.BigEndian.Uint64(op[5:])
	case CAS:
		in.Expected, in.Value = binary.BigEndian.Uint64(op[5:]), binary.BigEndian.Uint64(op[13:])
	}
	return in, nil
}

func (o Output) encode() []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(o.Status)}, o.Previous)
}

// DecodeOutput decodes a result; nil is the result of an operation that got none.
func DecodeOutput(result []byte) (Output, error) {
	if result == nil {
		return Output{Unknown: true}, nil
	}
	if len(result) != 9 || result[0] > byte(NoKey) {
		return Output{}, fmt.Errorf("kv: result %x; it must have 9 bytes and a status of 0 to 3", result[:min(len(result), 9)])
	}
	return Output{Status: Status(result[0]), Previous: binary.BigEndian.Uint64(result[1:])}, nil
}

// Decode decodes an operation together with its result.
func Decode(op, result []byte) (Input, Output, error) {
	in, err := DecodeInput(op)
	if err != nil {
		return in, Output{}, err
	}
	out, err := DecodeOutput(result)
	return in, out, err
}

// Step is the sequential specification of one register: whether out is a legal
// result of in at this value, and the value afterwards.
func Step(value uint64, in Input, out Output) (legal bool, after uint64) {
	want := Output{Previous: value}
	after = value
	switch {
	case in.Kind == Put:
		after = in.Value
	case in.Kind == CAS && in.Expected == value:
		after = in.Value
	case in.Kind == CAS:
		want.Status = Mismatch
	}
	return out.Unknown || out == want, after
}
