package strict

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"go.yaml.in/yaml/v3"
)

// Reader reads a document as a straight line of calls: the first error sticks, and one
// check of Err at the end is enough. Values returned after an error are zero. It is for
// files whose values are tuples and tables, which no struct describes; the rest is
// decoded by Document.Decode.
type Reader struct {
	doc *Document
	err error
}

// NewReader parses a file; file appears in errors. An empty one is an error.
func NewReader(file string, data []byte) *Reader {
	doc, err := Parse(file, data)
	if err == nil && doc.Root.Line == 0 {
		err = &Error{File: file, Msg: "the file is empty"}
	}
	return &Reader{doc, err}
}

// Err is the first error, nil when there was none.
func (r *Reader) Err() error { return r.err }

// Root is the top value.
func (r *Reader) Root() Cursor {
	if r.doc == nil {
		return Cursor{r: r}
	}
	return Cursor{r: r, n: r.doc.Root}
}

// Cursor is one value of the document. One that is not there is absent.
type Cursor struct {
	r    *Reader
	n    *yaml.Node
	path string
}

// Present reports whether the value is there.
func (c Cursor) Present() bool { return c.n != nil }

// Failf records an error at this value, unless there is one already.
func (c Cursor) Failf(format string, args ...any) { c.failAt(c.n, c.path, format, args...) }

func (c Cursor) failAt(n *yaml.Node, path, format string, args ...any) {
	if c.r.err != nil {
		return
	}
	e := &Error{Path: path, Msg: fmt.Sprintf(format, args...)}
	c.r.doc.place(e, n)
	c.r.err = e
}

// usable reports whether the value is there and of the kind.
func (c Cursor) usable(kind yaml.Kind, want string) bool {
	if c.r.err != nil {
		return false
	}
	if c.n == nil {
		c.Failf("is missing; want %s", want)
		return false
	}
	if why := refused(c.n); why != "" {
		c.Failf("%s", why)
		return false
	}
	if c.n.Kind != kind {
		c.Failf("is %s; want %s", kindName(c.n), want)
		return false
	}
	return true
}

// Fields is a mapping whose keys were checked.
type Fields struct {
	c     Cursor
	pairs []Pair
}

// Map reads a mapping with these keys and no others.
func (c Cursor) Map(allowed ...string) Fields {
	m := c.AnyMap()
	for _, p := range m.pairs {
		if !slices.Contains(allowed, p.Key) {
			c.failAt(p.Name, p.Value.Path, "unknown key %q%s", p.Key, protocols.Suggest(p.Key, allowed))
		}
	}
	return m
}

// AnyMap reads a mapping whose keys are names chosen by the author of the file.
func (c Cursor) AnyMap() Fields {
	m := Fields{c: c}
	if !c.usable(yaml.MappingNode, "a mapping") {
		return m
	}
	pairs, err := (&Value{Doc: c.r.doc, Node: c.n, Path: c.path}).Pairs()
	if err != nil {
		c.r.err = err
		return m
	}
	m.pairs = pairs
	return m
}

// Keys returns the keys in the order of the file.
func (m Fields) Keys() []string {
	keys := make([]string, len(m.pairs))
	for i, p := range m.pairs {
		keys[i] = p.Key
	}
	return keys
}

// Get returns the value of a key; it may be absent.
func (m Fields) Get(key string) Cursor {
	c := Cursor{r: m.c.r, path: under(m.c.path, key)}
	for _, p := range m.pairs {
		if p.Key == key {
			c.n = p.Value.Node
		}
	}
	return c
}

// Need returns the value of a key; its absence is an error at the mapping.
func (m Fields) Need(key string) Cursor {
	c := m.Get(key)
	if !c.Present() {
		m.c.Failf("key %q is missing", key)
	}
	return c
}

// List reads a list of lo to hi values.
func (c Cursor) List(lo, hi int) []Cursor {
	if !c.usable(yaml.SequenceNode, "a list") {
		return nil
	}
	if n := len(c.n.Content); n < lo || n > hi {
		want := fmt.Sprintf("%d to %d", lo, hi)
		if lo == hi {
			want = strconv.Itoa(lo)
		}
		c.Failf("has %d entries; want %s", n, want)
		return nil
	}
	out := make([]Cursor, len(c.n.Content))
	for i, n := range c.n.Content {
		out[i] = Cursor{r: c.r, n: n, path: fmt.Sprintf("%s[%d]", c.path, i)}
	}
	return out
}

// Int reads an integer from lo to hi, both included. Its digits may be grouped by
// underscores.
func (c Cursor) Int(lo, hi int64) int64 {
	if !c.usable(yaml.ScalarNode, "an integer") {
		return 0
	}
	i, err := ParseInt(strings.ReplaceAll(c.n.Value, "_", ""))
	switch {
	case errors.Is(err, errOctal):
		c.Failf("%v", err)
	case err != nil || c.n.ShortTag() != "!!int":
		c.Failf("is %q; want an integer from %d to %d", c.n.Value, lo, hi)
	case i < lo || i > hi:
		c.Failf("is %d; allowed is %d to %d", i, lo, hi)
	default:
		return i
	}
	return 0
}

// Ints reads a list of exactly n integers from lo to hi.
func (c Cursor) Ints(n int, lo, hi int64) []int64 {
	out := make([]int64, n)
	for i, e := range c.List(n, n) {
		out[i] = e.Int(lo, hi)
	}
	return out
}

// MaxText bounds what Text reads, in bytes.
const MaxText = 1000

// Text reads a text of at most MaxText bytes.
func (c Cursor) Text() string {
	switch {
	case !c.usable(yaml.ScalarNode, "a text"):
	case c.n.ShortTag() == "!!null":
		c.Failf("is empty; want a text")
	case len(c.n.Value) > MaxText:
		c.Failf("has %d bytes; at most %d", len(c.n.Value), MaxText)
	default:
		return c.n.Value
	}
	return ""
}

// OneOf reads one of the allowed names.
func (c Cursor) OneOf(allowed ...string) string {
	s := c.Text()
	if slices.Contains(allowed, s) {
		return s
	}
	c.Failf("is %q%s", s, protocols.Suggest(s, allowed))
	return ""
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// IsName reports whether a text is a name as Cursor.Name reads it.
func IsName(s string) bool { return nameForm.MatchString(s) }

// Name reads a name: lower-case letters, digits, '.', '_' and '-', at most 64.
func (c Cursor) Name() string {
	s := c.Text()
	if !IsName(s) {
		c.Failf("is %q; a name has up to 64 lower-case letters, digits, '.', '_' or '-'", s)
		return ""
	}
	return s
}

// Duration reads a duration with its unit ("250ms") from lo to hi, both included.
func (c Cursor) Duration(lo, hi time.Duration) time.Duration {
	var d Duration
	s := c.Text()
	if c.r.err != nil {
		return 0
	}
	if err := d.ParseScalar(s); err != nil {
		c.Failf("%v", err)
		return 0
	}
	if d.Std() < lo || d.Std() > hi {
		c.Failf("is %s; allowed is %s to %s", d.Std(), lo, hi)
		return 0
	}
	return d.Std()
}
