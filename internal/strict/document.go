package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile bounds the size of a file that is read, in bytes.
const MaxFile = 4 << 20

// Error is one mistake in a file or on the command line.
type Error struct {
	// File is the file name, or "--set key=value" for an override.
	File string
	// Line and Column count from 1; 0 when unknown.
	Line, Column int
	// Path of the value, for example workload.rate.
	Path string
	Msg  string
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	return b.String()
}

// ExitCode says that a mistake in the configuration is a usage error.
func (e *Error) ExitCode() int { return 2 }

// Document is a parsed file whose nodes still know where they came from.
type Document struct {
	// File is the name used in messages.
	File string
	// Root is the top-level mapping.
	Root    *yaml.Node
	origins map[*yaml.Node]string
}

// New returns an empty document.
func New(file string) *Document {
	return &Document{File: file, Root: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, origins: map[*yaml.Node]string{}}
}

// Read reads and parses a file.
func Read(path string) (*Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{File: path, Msg: cause(err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, &Error{File: path, Msg: cause(err)}
	}
	return Parse(path, data)
}

func cause(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

// Parse parses one YAML (or JSON) document.
func Parse(file string, data []byte) (*Document, error) {
	if len(data) > MaxFile {
		return nil, &Error{File: file, Msg: fmt.Sprintf("the file is larger than %d bytes", MaxFile)}
	}
	d := New(file)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		return nil, syntaxError(file, err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, syntaxError(file, err)
		}
		return nil, &Error{File: file, Line: more.Line, Column: more.Column, Msg: "a second document starts here; one file holds one document"}
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return d, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, &Error{File: file, Line: root.Line, Column: root.Column, Msg: "the file must be a mapping (key: value), not " + kindName(root)}
	}
	d.Root = root
	return d, nil
}

func syntaxError(file string, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ := strconv.Atoi(m[1])
		return &Error{File: file, Line: line, Column: 1, Msg: m[2]}
	}
	return &Error{File: file, Msg: msg}
}

// Clone copies the document, so that overrides of one cell leave the others
// alone.
func (d *Document) Clone() *Document {
	c := &Document{File: d.File, origins: make(map[*yaml.Node]string, len(d.origins))}
	c.Root = d.copyInto(c, d.Root)
	return c
}

func (d *Document) copyInto(c *Document, n *yaml.Node) *yaml.Node {
	m := *n
	m.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		m.Content[i] = d.copyInto(c, child)
	}
	if o, ok := d.origins[n]; ok {
		c.origins[&m] = o
	}
	return &m
}

// SetKey puts a copy of a node under one key of a mapping at path; the key may
// contain dots.
func (d *Document) SetKey(path, key string, value *yaml.Node) error {
	m, exact := d.find(path)
	if !exact || m.Kind != yaml.MappingNode {
		m = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: value.Line, Column: value.Column}
		if err := d.SetNode(path, m, ""); err != nil {
			return err
		}
		m, _ = d.find(path)
	}
	v := d.copyInto(d, value)
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = v
			return nil
		}
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: v.Line, Column: v.Column}, v)
	return nil
}

func (d *Document) lookup(m *yaml.Node, key string) (k, v *yaml.Node) {
	if m.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// Override applies one "key=value" from the command line. The value is YAML, so
// lists and mappings can be given in their {flow} form.
func (d *Document) Override(assignment string) error {
	origin := "--set " + assignment
	key, value, ok := strings.Cut(assignment, "=")
	if !ok || key == "" {
		return &Error{File: origin, Msg: "an override is written key=value, for example workload.rate=10k/s"}
	}
	return d.Set(key, value, origin)
}

// Set parses value as YAML and puts it at path. origin is named in messages
// about it.
func (d *Document) Set(path, value, origin string) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil {
		return &Error{File: origin, Path: path, Msg: strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if len(doc.Content) == 0 {
		return &Error{File: origin, Path: path, Msg: "the value is empty"}
	}
	return d.SetNode(path, doc.Content[0], origin)
}

// SetNode puts a copy of a node at path: keys joined by dots, list entries as
// [index], where the index one past the end appends. A non-empty origin replaces
// the position in messages about the node.
func (d *Document) SetNode(path string, value *yaml.Node, origin string) error {
	fail := func(format string, args ...any) error {
		return &Error{File: origin, Path: path, Msg: fmt.Sprintf(format, args...)}
	}
	steps, err := splitPath(path)
	if err != nil {
		return fail("%v", err)
	}
	v := d.copyInto(d, value)
	if origin != "" {
		d.mark(v, origin)
	}
	at := d.Root
	for i, s := range steps {
		var slot **yaml.Node
		switch {
		case s.index < 0:
			if at.Kind != yaml.MappingNode {
				return fail("%s is %s, which has no key %q", join(steps[:i]), kindName(at), s.key)
			}
			for j := 0; j+1 < len(at.Content); j += 2 {
				if at.Content[j].Value == s.key {
					slot = &at.Content[j+1]
				}
			}
			if slot == nil {
				k := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s.key, Line: v.Line, Column: v.Column}
				if origin != "" {
					d.origins[k] = origin
				}
				at.Content = append(at.Content, k, nil)
				slot = &at.Content[len(at.Content)-1]
			}
		default:
			if at.Kind != yaml.SequenceNode {
				return fail("%s is %s, not a list", join(steps[:i]), kindName(at))
			}
			if s.index > len(at.Content) {
				return fail("%s has %d entries; the next free index is %d", join(steps[:i]), len(at.Content), len(at.Content))
			}
			if s.index == len(at.Content) {
				at.Content = append(at.Content, nil)
			}
			slot = &at.Content[s.index]
		}
		if i == len(steps)-1 {
			*slot = v
			return nil
		}
		if *slot == nil {
			n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: v.Line, Column: v.Column}
			if steps[i+1].index >= 0 {
				n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: v.Line, Column: v.Column}
			}
			if origin != "" {
				d.origins[n] = origin
			}
			*slot = n
		}
		at = *slot
	}
	return nil
}

// Delete removes a top-level or nested key if it is there.
func (d *Document) Delete(path string) {
	steps, err := splitPath(path)
	if err != nil {
		return
	}
	at := d.Root
	for i, s := range steps {
		if s.index >= 0 || at.Kind != yaml.MappingNode {
			return
		}
		for j := 0; j+1 < len(at.Content); j += 2 {
			if at.Content[j].Value != s.key {
				continue
			}
			if i == len(steps)-1 {
				at.Content = append(at.Content[:j:j], at.Content[j+2:]...)
				return
			}
			at = at.Content[j+1]
			break
		}
	}
}

// Has says whether path is present.
func (d *Document) Has(path string) bool {
	n, exact := d.find(path)
	return n != nil && exact
}

// HasKey is Has for a document that may be nil.
func (d *Document) HasKey(path string) bool { return d != nil && d.Has(path) }

// At returns the value at path; nil if it is not there.
func (d *Document) At(path string) *Value {
	n, exact := d.find(path)
	if n == nil || !exact {
		return nil
	}
	return &Value{d, n, path}
}

// find returns the node at path, or the deepest one on the way to it.
func (d *Document) find(path string) (n *yaml.Node, exact bool) {
	steps, err := splitPath(path)
	if err != nil {
		return d.Root, false
	}
	at := d.Root
	for _, s := range steps {
		if s.index >= 0 {
			if at.Kind != yaml.SequenceNode || s.index >= len(at.Content) {
				return at, false
			}
			at = at.Content[s.index]
			continue
		}
		_, v := d.lookup(at, s.key)
		if v == nil {
			return at, false
		}
		at = v
	}
	return at, true
}

// Errorf builds an error about the value at path. It works on a nil document
// too, for values that were built by a program.
func (d *Document) Errorf(path, format string, args ...any) error {
	e := &Error{Path: path, Msg: fmt.Sprintf(format, args...)}
	if d == nil {
		return e
	}
	n, _ := d.find(path)
	d.place(e, n)
	return e
}

func (d *Document) place(e *Error, n *yaml.Node) {
	e.File = d.File
	if n == nil {
		return
	}
	if o, ok := d.origins[n]; ok {
		e.File = o
		return
	}
	e.Line, e.Column = n.Line, n.Column
}

func (d *Document) mark(n *yaml.Node, origin string) {
	d.origins[n] = origin
	for _, c := range n.Content {
		d.mark(c, origin)
	}
}

type step struct {
	key   string
	index int // -1 for a key
}

func join(steps []step) string {
	if len(steps) == 0 {
		return "the file"
	}
	var b strings.Builder
	for i, s := range steps {
		if s.index >= 0 {
			fmt.Fprintf(&b, "[%d]", s.index)
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.key)
	}
	return b.String()
}

func splitPath(path string) ([]step, error) {
	var steps []step
	for _, part := range strings.Split(path, ".") {
		key, rest, _ := strings.Cut(part, "[")
		if key == "" {
			return nil, fmt.Errorf("%q is not a path; write for example faults[0].at", path)
		}
		steps = append(steps, step{key, -1})
		if rest == "" {
			if strings.HasSuffix(part, "[") {
				return nil, fmt.Errorf("%q is not a path; write for example faults[0].at", path)
			}
			continue
		}
		for _, idx := range strings.Split(rest, "[") {
			idx, ok := strings.CutSuffix(idx, "]")
			i, err := strconv.Atoi(idx)
			if !ok || err != nil || i < 0 {
				return nil, fmt.Errorf("%q is not a path; write for example faults[0].at", path)
			}
			steps = append(steps, step{index: i})
		}
	}
	return steps, nil
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.ShortTag() == "!!null" {
		return "null"
	}
	return fmt.Sprintf("the value %q", n.Value)
}
