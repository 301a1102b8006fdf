package strict

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/edgebft/edgebft/protocols"
	"go.yaml.in/yaml/v3"
)

// maxErrors bounds how many mistakes are reported at once.
const maxErrors = 10

// Defaulter is implemented by pointers to structs that have non-zero defaults.
type Defaulter interface{ SetDefaults() }

// NodeDecoder is implemented by pointers to values that have more than one
// written form.
type NodeDecoder interface {
	DecodeNode(v *Value) error
}

// Value is a node at its place in a document.
type Value struct {
	Doc  *Document
	Node *yaml.Node
	Path string
}

// Errorf builds an error at the value.
func (v *Value) Errorf(format string, args ...any) error {
	e := &Error{Path: v.Path, Msg: fmt.Sprintf(format, args...)}
	v.Doc.place(e, v.Node)
	return e
}

// Scalar returns a plain value of the same place, for lists that are written in
// a short form.
func (v *Value) Scalar(text string) *Value {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Line: v.Node.Line, Column: v.Node.Column}
	if o, ok := v.Doc.origins[v.Node]; ok {
		v.Doc.origins[n] = o
	}
	return &Value{v.Doc, n, v.Path}
}

// Of returns the mapping v as a document of its own that reports the same
// positions; changes to it do not reach v.
func Of(v *Value) *Document {
	d := &Document{File: v.Doc.File, Root: v.Node, origins: v.Doc.origins}
	return d.Clone()
}

// Decode decodes the value into a pointer.
func (v *Value) Decode(into any) error {
	d := decoder{doc: v.Doc}
	d.value(v.Node, reflect.ValueOf(into).Elem(), v.Path, "")
	return errors.Join(d.errs...)
}

// Text returns the text of a scalar that is not null.
func (v *Value) Text() (string, error) {
	d := decoder{doc: v.Doc}
	s, ok := d.scalar(v.Node, v.Path)
	if !ok {
		return "", errors.Join(d.errs...)
	}
	return s, nil
}

// Pair is one key of a mapping. Name is where the key stands.
type Pair struct {
	Key   string
	Name  *yaml.Node
	Value *Value
}

// Pairs returns the keys of a mapping in the order of the file, and fails on a
// repeated key.
func (v *Value) Pairs() ([]Pair, error) {
	d := decoder{doc: v.Doc}
	if v.Node.Kind != yaml.MappingNode {
		return nil, v.Errorf("a mapping (key: value) is needed, not %s", kindName(v.Node))
	}
	var pairs []Pair
	for _, kv := range d.pairs(v.Node, v.Path) {
		pairs = append(pairs, Pair{kv.k.Value, kv.k, &Value{v.Doc, kv.v, under(v.Path, kv.k.Value)}})
	}
	return pairs, errors.Join(d.errs...)
}

// Items returns the entries of a list.
func (v *Value) Items() ([]*Value, error) {
	if v.Node.Kind != yaml.SequenceNode {
		return nil, v.Errorf("a list [..] is needed, not %s", kindName(v.Node))
	}
	items := make([]*Value, len(v.Node.Content))
	for i, n := range v.Node.Content {
		items[i] = &Value{v.Doc, n, fmt.Sprintf("%s[%d]", v.Path, i)}
	}
	return items, nil
}

// IsList and IsMap tell the forms of a value apart.
func (v *Value) IsList() bool { return v.Node.Kind == yaml.SequenceNode }

// IsMap says whether the value is a mapping.
func (v *Value) IsMap() bool { return v.Node.Kind == yaml.MappingNode }

// Decode decodes the document into a pointer to a struct that already holds its
// defaults. It reports up to ten mistakes at once.
func (d *Document) Decode(into any) error {
	dec := decoder{doc: d}
	rv := reflect.ValueOf(into)
	if rv.Kind() != reflect.Pointer || rv.Elem().Kind() != reflect.Struct {
		panic("strict: Decode needs a pointer to a struct")
	}
	dec.structure(d.Root, rv.Elem(), "")
	return errors.Join(dec.errs...)
}

type decoder struct {
	doc  *Document
	errs []error
}

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	if len(d.errs) >= maxErrors {
		return
	}
	e := &Error{Path: path, Msg: fmt.Sprintf(format, args...)}
	d.doc.place(e, n)
	d.errs = append(d.errs, e)
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

type pair struct{ k, v *yaml.Node }

func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	seen := make(map[string]int, len(n.Content)/2)
	out := make([]pair, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.fail(k, path, "a key must be a plain word, not %s", kindName(k))
			continue
		}
		if k.ShortTag() == "!!merge" {
			d.fail(k, path, "merge keys are not supported; write the values out")
			continue
		}
		if line, ok := seen[k.Value]; ok {
			d.fail(k, under(path, k.Value), "the key is given twice, first in line %d; keep one", line)
			continue
		}
		seen[k.Value] = k.Line
		out = append(out, pair{k, v})
	}
	return out
}

// Shorthands is implemented by a type that knows more keys than its fields have: the
// reader takes them out before it decodes, and messages about unknown keys name
// them.
type Shorthands interface{ Shorthands() []string }

func (d *decoder) structure(n *yaml.Node, into reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "a mapping (key: value) is needed, not %s", kindName(n))
		return
	}
	fields := fieldsOf(into.Type())
	for _, kv := range d.pairs(n, path) {
		var f *field
		for i := range fields {
			if fields[i].key == kv.k.Value {
				f = &fields[i]
			}
		}
		if f == nil {
			names := make([]string, len(fields))
			for i := range fields {
				names[i] = fields[i].key
			}
			if s, ok := into.Addr().Interface().(Shorthands); ok {
				names = append(names, s.Shorthands()...)
			}
			d.fail(kv.k, under(path, kv.k.Value), "unknown key %q%s", kv.k.Value, protocols.Suggest(kv.k.Value, names))
			continue
		}
		before := len(d.errs)
		target := into.FieldByIndex(f.index)
		d.value(kv.v, target, under(path, f.key), f.tag)
		if len(d.errs) == before {
			d.bounds(kv.v, target, under(path, f.key), f)
		}
	}
}

// bounds checks the min and max tags.
func (d *decoder) bounds(n *yaml.Node, v reflect.Value, path string, f *field) {
	if v.Kind() != reflect.Int && v.Kind() != reflect.Int64 {
		return
	}
	x := v.Int()
	text := func(b int64) string {
		w := reflect.New(v.Type()).Elem()
		w.SetInt(b)
		return fmt.Sprint(w.Interface())
	}
	if f.hasMin && x < f.min {
		d.fail(n, path, "%s is too small; the least allowed is %s", n.Value, text(f.min))
	}
	if f.hasMax && x > f.max {
		d.fail(n, path, "%s is too large; the most allowed is %s", n.Value, text(f.max))
	}
}

// refused says why a value of any kind is not read, "" if it is: it should say what it
// means where it stands.
func refused(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return "anchors and aliases are not supported; write the value out"
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Sprintf("explicit tags (%s) are not supported; write the plain value", n.Tag)
	}
	return ""
}

// scalar returns the text of a plain value.
func (d *decoder) scalar(n *yaml.Node, path string) (string, bool) {
	why := refused(n)
	switch {
	case why != "":
		d.fail(n, path, "%s", why)
	case n.Kind != yaml.ScalarNode:
		d.fail(n, path, "one value is needed, not %s", kindName(n))
	case n.ShortTag() == "!!null" || strings.EqualFold(n.Value, "null"):
		d.fail(n, path, "null is not a value here; leave the key out to get its default (the no-op workload is called micro)")
	default:
		return n.Value, true
	}
	return "", false
}

func (d *decoder) value(n *yaml.Node, into reflect.Value, path string, tag reflect.StructTag) {
	if why := refused(n); why != "" {
		d.fail(n, path, "%s", why)
		return
	}
	if into.CanAddr() {
		if nd, ok := into.Addr().Interface().(NodeDecoder); ok {
			if err := nd.DecodeNode(&Value{d.doc, n, path}); err != nil {
				d.adopt(n, path, err)
			}
			return
		}
		if s, ok := into.Addr().Interface().(Scalar); ok {
			text, ok := d.scalar(n, path)
			if !ok {
				return
			}
			if err := s.ParseScalar(text); err != nil {
				d.fail(n, path, "%v", err)
				return
			}
			if into.Kind() == reflect.Int64 && into.Int() < 0 && tag.Get("min") == "" {
				d.fail(n, path, "%s is negative; write 0 or more", text)
			}
			return
		}
	}
	switch into.Kind() {
	case reflect.Struct:
		if def, ok := into.Addr().Interface().(Defaulter); ok && into.IsZero() {
			def.SetDefaults()
		}
		d.structure(n, into, path)
	case reflect.Pointer:
		p := reflect.New(into.Type().Elem())
		d.value(n, p.Elem(), path, tag)
		into.Set(p)
	case reflect.String:
		text, ok := d.scalar(n, path)
		if !ok {
			return
		}
		if enum := tag.Get("enum"); enum != "" {
			allowed := strings.Split(enum, ",")
			if !contains(allowed, text) {
				d.fail(n, path, "%q is not allowed%s", text, Suggest(text, allowed))
				return
			}
		}
		into.SetString(text)
	case reflect.Bool:
		text, ok := d.scalar(n, path)
		if !ok {
			return
		}
		if text != "true" && text != "false" {
			d.fail(n, path, "%q is not allowed; write true or false", text)
			return
		}
		into.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		text, ok := d.scalar(n, path)
		if !ok {
			return
		}
		v, err := ParseInt(text)
		if err != nil {
			d.fail(n, path, "%v", err)
			return
		}
		into.SetInt(v)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.fail(n, path, "a list [..] is needed, not %s", kindName(n))
			return
		}
		out := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
		for i, c := range n.Content {
			d.value(c, out.Index(i), fmt.Sprintf("%s[%d]", path, i), "")
		}
		into.Set(out)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			d.fail(n, path, "a mapping (key: value) is needed, not %s", kindName(n))
			return
		}
		out := reflect.MakeMap(into.Type())
		for _, kv := range d.pairs(n, path) {
			e := reflect.New(into.Type().Elem()).Elem()
			d.value(kv.v, e, under(path, kv.k.Value), "")
			out.SetMapIndex(reflect.ValueOf(kv.k.Value).Convert(into.Type().Key()), e)
		}
		into.Set(out)
	default:
		panic("strict: cannot decode into " + into.Type().String())
	}
}

// adopt takes over the errors of a NodeDecoder, giving a position to those that
// have none.
func (d *decoder) adopt(n *yaml.Node, path string, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			d.adopt(n, path, e)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		d.fail(n, path, "%v", err)
		return
	}
	if len(d.errs) < maxErrors {
		d.errs = append(d.errs, e)
	}
}

var errOctal = errors.New("a leading zero")

// ParseInt reads a decimal integer. A leading zero is refused, because YAML
// would read it as octal.
func ParseInt(text string) (int64, error) {
	body := strings.TrimPrefix(text, "-")
	if body == "" || !digits(body) {
		return 0, fmt.Errorf("%q is not a whole number; write for example 4", text)
	}
	if len(body) > 1 && body[0] == '0' {
		return 0, fmt.Errorf("%q has %w (YAML would read it as octal); write %s", text, errOctal, strings.TrimLeft(body[:len(body)-1], "0")+body[len(body)-1:])
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v == math.MinInt64 {
		return 0, fmt.Errorf("%q is too large for a whole number", text)
	}
	return v, nil
}

// Suggest returns the nearest of the allowed names and the whole list, to be
// appended to an error.
func Suggest(got string, allowed []string) string {
	s := protocols.Suggest(got, allowed)
	if len(allowed) > 0 && len(allowed) <= 40 && !strings.Contains(s, "allowed:") {
		s += " (allowed: " + strings.Join(allowed, ", ") + ")"
	}
	return s
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// field is one key of a struct.
type field struct {
	key            string
	index          []int
	tag            reflect.StructTag
	typ            reflect.Type
	min, max       int64
	hasMin, hasMax bool
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := 0; i < t.NumField(); i++ {
		sf := t.Field(i)
		key, ok := sf.Tag.Lookup("key")
		if !ok {
			continue
		}
		f := field{key: key, index: sf.Index, tag: sf.Tag, typ: sf.Type}
		f.min, f.hasMin = bound(sf.Tag.Get("min"))
		f.max, f.hasMax = bound(sf.Tag.Get("max"))
		out = append(out, f)
	}
	return out
}

func bound(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("strict: bad bound " + s)
	}
	return v, true
}
