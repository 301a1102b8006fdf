package scenario

import (
	"fmt"
	"strings"

	"github.com/edgebft/edgebft/internal/strict"
)

// Node names a node of the run in a fault or an adversary: a replica by its
// number, the replica that is primary at that moment as "primary", a client as
// "c" and its number.
type Node string

// Primary is the replica that leads when the fault strikes.
const Primary Node = "primary"

// ParseScalar implements strict.Scalar.
func (n *Node) ParseScalar(text string) error {
	if text == string(Primary) {
		*n = Primary
		return nil
	}
	number := strings.TrimPrefix(text, "c")
	v, err := strict.ParseInt(number)
	if err != nil || v < 0 || v > 1<<30 {
		return fmt.Errorf("%q is not a node; write a replica (0), a client (c0) or primary", text)
	}
	*n = Node(text)
	return nil
}

// Replica returns the number of a replica.
func (n Node) Replica() (int, bool) {
	v, err := strict.ParseInt(string(n))
	return int(v), err == nil
}

// Client returns the number of a client.
func (n Node) Client() (int, bool) {
	if !strings.HasPrefix(string(n), "c") {
		return 0, false
	}
	v, err := strict.ParseInt(string(n[1:]))
	return int(v), err == nil
}

// Base implements strict.Based.
func (n Node) Base() any {
	if i, ok := n.Replica(); ok {
		return int64(i)
	}
	return string(n)
}

// EncodeText implements strict.TextEncoder.
func (n Node) EncodeText() any { return n.Base() }

// JSONSchema implements strict.Schematic.
func (n Node) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 0},
		map[string]any{"type": "string", "pattern": "^(c[0-9]+|primary)$"},
	}}
}
