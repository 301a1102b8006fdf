// Package strict reads YAML the way this project wants its files read: an
// unknown key, a repeated key, a wrong type or a value out of bounds is an error
// that names the file, the line, what was allowed and the nearest name.
//
// The first error sticks to the document, so that a reader can be written as a
// straight line of calls with one check of [Document.Err] at the end. Values
// returned after an error are zero. Anchors, aliases, tags and several documents
// in a file are refused: they make a file mean something else than what it shows.
//
// It is not a general YAML library; experiments, profiles and topologies are
// what it is for.
package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/edgebft/edgebft/protocols"
)

// MaxSize bounds a file in bytes.
const MaxSize = 16 << 20

// Document is one file being read.
type Document struct {
	file string
	root *yaml.Node
	err  error
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// Parse parses a file; name appears in errors.
func Parse(name string, data []byte) *Document {
	d := &Document{file: name}
	if len(data) > MaxSize {
		d.fail(0, "file has %d bytes; at most %d", len(data), MaxSize)
		return d
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		line, msg := 0, err.Error()
		if errors.Is(err, io.EOF) {
			msg = "file is empty"
		}
		if m := yamlLine.FindStringSubmatch(msg); m != nil {
			line, _ = strconv.Atoi(m[1])
			msg = msg[len(m[0]):]
		}
		d.fail(line, "%s", strings.TrimPrefix(msg, "yaml: "))
		return d
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.fail(more.Line, "a second document; one file holds one")
		return d
	}
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		d.root = root.Content[0]
	}
	return d
}

// Err is the first error, nil when there was none.
func (d *Document) Err() error { return d.err }

// Root is the top value.
func (d *Document) Root() Value { return Value{d: d, n: d.root, path: ""} }

func (d *Document) fail(line int, format string, args ...any) {
	if d.err != nil {
		return
	}
	where := d.file
	if line > 0 {
		where = fmt.Sprintf("%s:%d", d.file, line)
	}
	d.err = fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
}

// Value is one node of the document. A Value that is not there is absent.
type Value struct {
	d    *Document
	n    *yaml.Node
	path string
}

// Present reports whether the value is there.
func (v Value) Present() bool { return v.n != nil }

// Line is the line of the value, 0 when absent.
func (v Value) Line() int {
	if v.n == nil {
		return 0
	}
	return v.n.Line
}

// Failf records an error at this value, unless there is one already.
func (v Value) Failf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if v.path != "" {
		msg = v.path + ": " + msg
	}
	v.d.fail(v.Line(), "%s", msg)
}

func (v Value) kind() string {
	if v.n == nil {
		return "nothing"
	}
	switch v.n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		return fmt.Sprintf("%q", v.n.Value)
	}
}

func (v Value) usable(kind yaml.Kind, want string) bool {
	if v.d.err != nil {
		return false
	}
	if v.n == nil {
		v.Failf("is missing; want %s", want)
		return false
	}
	if v.n.Anchor != "" || v.n.Kind == yaml.AliasNode || v.n.Style&yaml.TaggedStyle != 0 {
		v.Failf("anchors, aliases and tags are not allowed")
		return false
	}
	if v.n.Kind != kind {
		v.Failf("is %s; want %s", v.kind(), want)
		return false
	}
	return true
}

// Map is a mapping whose keys were checked.
type Map struct {
	v      Value
	values map[string]Value
	keys   []string
}

func (v Value) mapping(check func(key string) string) Map {
	m := Map{v: v, values: map[string]Value{}}
	if !v.usable(yaml.MappingNode, "a mapping") {
		return m
	}
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		k, c := v.n.Content[i], v.n.Content[i+1]
		path := k.Value
		if v.path != "" {
			path = v.path + "." + k.Value
		}
		key := Value{d: v.d, n: k, path: v.path}
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			key.Failf("a key must be a plain name")
			return m
		}
		if complaint := check(k.Value); complaint != "" {
			key.Failf("%s", complaint)
			return m
		}
		if old, ok := m.values[k.Value]; ok {
			key.Failf("key %q is given twice, first on line %d", k.Value, old.Line())
			return m
		}
		m.values[k.Value] = Value{d: v.d, n: c, path: path}
		m.keys = append(m.keys, k.Value)
	}
	return m
}

// Map reads a mapping with these keys and no others.
func (v Value) Map(allowed ...string) Map {
	return v.mapping(func(key string) string {
		for _, a := range allowed {
			if a == key {
				return ""
			}
		}
		return fmt.Sprintf("unknown key %q%s", key, protocols.Suggest(key, allowed))
	})
}

// AnyMap reads a mapping whose keys are names chosen by the author of the file.
func (v Value) AnyMap() Map { return v.mapping(func(string) string { return "" }) }

// Keys returns the keys in the order of the file.
func (m Map) Keys() []string { return m.keys }

// Get returns the value of a key; it may be absent.
func (m Map) Get(key string) Value {
	if v, ok := m.values[key]; ok {
		return v
	}
	path := key
	if m.v.path != "" {
		path = m.v.path + "." + key
	}
	return Value{d: m.v.d, path: path}
}

// Need returns the value of a key; its absence is an error at the mapping.
func (m Map) Need(key string) Value {
	v := m.Get(key)
	if !v.Present() {
		m.v.Failf("key %q is missing", key)
	}
	return v
}

// List reads a list of lo to hi values.
func (v Value) List(lo, hi int) []Value {
	if !v.usable(yaml.SequenceNode, "a list") {
		return nil
	}
	if n := len(v.n.Content); n < lo || n > hi {
		want := fmt.Sprintf("%d to %d", lo, hi)
		if lo == hi {
			want = strconv.Itoa(lo)
		}
		v.Failf("has %d entries; want %s", n, want)
		return nil
	}
	out := make([]Value, len(v.n.Content))
	for i, c := range v.n.Content {
		out[i] = Value{d: v.d, n: c, path: fmt.Sprintf("%s[%d]", v.path, i)}
	}
	return out
}

// Int reads an integer from lo to hi, both included.
func (v Value) Int(lo, hi int64) int64 {
	if !v.usable(yaml.ScalarNode, "an integer") {
		return 0
	}
	i, err := strconv.ParseInt(strings.ReplaceAll(v.n.Value, "_", ""), 10, 64)
	if digits := strings.TrimLeft(v.n.Value, "+-"); len(digits) > 1 && digits[0] == '0' {
		v.Failf("is %q; a leading zero means octal to some readers, so it is not allowed", v.n.Value)
		return 0
	}
	if err != nil || v.n.Tag != "!!int" {
		v.Failf("is %q; want an integer from %d to %d", v.n.Value, lo, hi)
		return 0
	}
	if i < lo || i > hi {
		v.Failf("is %d; allowed is %d to %d", i, lo, hi)
		return 0
	}
	return i
}

// Ints reads a list of exactly n integers from lo to hi.
func (v Value) Ints(n int, lo, hi int64) []int64 {
	out := make([]int64, n)
	for i, e := range v.List(n, n) {
		out[i] = e.Int(lo, hi)
	}
	return out
}

// Text reads a text of at most 1,000 bytes.
func (v Value) Text() string {
	if !v.usable(yaml.ScalarNode, "a text") {
		return ""
	}
	if v.n.Tag == "!!null" {
		v.Failf("is empty; want a text")
		return ""
	}
	if len(v.n.Value) > 1000 {
		v.Failf("has %d bytes; at most 1000", len(v.n.Value))
		return ""
	}
	return v.n.Value
}

// OneOf reads one of the allowed names.
func (v Value) OneOf(allowed ...string) string {
	s := v.Text()
	for _, a := range allowed {
		if a == s {
			return s
		}
	}
	if v.d.err == nil {
		v.Failf("is %q%s", s, protocols.Suggest(s, allowed))
	}
	return ""
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// IsName reports whether a text is a name as Value.Name reads it.
func IsName(s string) bool { return nameForm.MatchString(s) }

// Name reads a name: lower-case letters, digits, '.', '_' and '-', at most 64.
func (v Value) Name() string {
	s := v.Text()
	if v.d.err == nil && !nameForm.MatchString(s) {
		v.Failf("is %q; a name has up to 64 lower-case letters, digits, '.', '_' or '-'", s)
		return ""
	}
	return s
}

// Duration reads a duration with its unit ("250ms") from lo to hi, both included.
func (v Value) Duration(lo, hi time.Duration) time.Duration {
	s := v.Text()
	if v.d.err != nil {
		return 0
	}
	t, err := time.ParseDuration(s)
	if err != nil {
		v.Failf("is %q; want a duration with its unit, such as 250us, 1.5ms or 2s", s)
		return 0
	}
	if t < lo || t > hi {
		v.Failf("is %s; allowed is %s to %s", t, lo, hi)
		return 0
	}
	return t
}
