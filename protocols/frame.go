package protocols

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// frameHeader is what every frame carries besides path, body and seal: length
// u32, tag u16, from i32, to i32, path length u8.
const frameHeader = 4 + 2 + 4 + 4 + 1

// MaxFrame bounds a frame in bytes. Hosts refuse longer ones before they
// allocate.
const MaxFrame = 64 << 20

// SealSize returns the bytes that a seal adds to each copy of a message.
func (s Seal) SealSize() int {
	switch s {
	case SealMAC:
		return MACSize
	case SealSignature:
		return SignatureSize
	default:
		return 0
	}
}

// FrameSize returns the size on the wire of a message whose encoding has body
// bytes.
func FrameSize(path string, body int, s Seal) int {
	return frameHeader + len(path) + body + s.SealSize()
}

// AppendFrame appends the frame of a message. seal must have the size that the
// type's Seal demands. Both hosts use this one format.
func AppendFrame(dst []byte, from, to NodeID, path string, mt *MessageType, m WireMessage, seal []byte) ([]byte, error) {
	if len(seal) != mt.Seal.SealSize() {
		return dst, fmt.Errorf("%s: seal has %d bytes, want %d", mt.Name, len(seal), mt.Seal.SealSize())
	}
	if len(path) > 255 {
		return dst, fmt.Errorf("%s: path of %d bytes; at most 255", mt.Name, len(path))
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(mt.Tag))
	dst = binary.BigEndian.AppendUint32(dst, uint32(from))
	dst = binary.BigEndian.AppendUint32(dst, uint32(to))
	dst = append(dst, byte(len(path)))
	dst = append(dst, path...)
	dst, err := m.MarshalMsg(dst)
	if err != nil {
		return dst[:start], fmt.Errorf("%s: %w", mt.Name, err)
	}
	dst = append(dst, seal...)
	if len(dst)-start > MaxFrame {
		n := len(dst) - start
		return dst[:start], fmt.Errorf("%s: frame of %d bytes; at most %d", mt.Name, n, MaxFrame)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst, nil
}

// Frame is a decoded frame. Body is the canonical encoding of Message and aliases
// the input.
type Frame struct {
	From, To NodeID
	Path     string
	Type     *MessageType
	Message  WireMessage
	Body     []byte
	Seal     []byte
}

var errShort = errors.New("frame is truncated")

// DecodeFrame decodes one frame, without its length word. It accepts canonical
// encodings only: unknown tags, trailing bytes and encodings that differ from the
// re-encoding of the decoded message are errors.
func DecodeFrame(t *MessageTable, b []byte) (Frame, error) {
	var f Frame
	if len(b) < frameHeader-4 {
		return f, errShort
	}
	tag := Tag(binary.BigEndian.Uint16(b))
	f.From = NodeID(binary.BigEndian.Uint32(b[2:]))
	f.To = NodeID(binary.BigEndian.Uint32(b[6:]))
	n := int(b[10])
	b = b[11:]
	f.Type = t.Lookup(tag)
	if f.Type == nil || f.Type.Record {
		return f, fmt.Errorf("unknown message tag %#04x", uint16(tag))
	}
	seal := f.Type.Seal.SealSize()
	if len(b) < n+seal {
		return f, errShort
	}
	f.Path = string(b[:n])
	f.Body, f.Seal = b[n:len(b)-seal], b[len(b)-seal:]
	m, err := DecodeMessage(f.Type, f.Body)
	if err != nil {
		return f, err
	}
	f.Message = m
	return f, nil
}

// DecodeMessage decodes the canonical encoding of one message.
func DecodeMessage(mt *MessageType, body []byte) (WireMessage, error) {
	m := mt.New()
	rest, err := m.UnmarshalMsg(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mt.Name, err)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%s: %d bytes after the message", mt.Name, len(rest))
	}
	again, err := m.MarshalMsg(make([]byte, 0, len(body)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mt.Name, err)
	}
	if string(again) != string(body) {
		return nil, fmt.Errorf("%s: encoding is not canonical", mt.Name)
	}
	return m, nil
}
