package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// TextEncoder is implemented by values that have their own written form; it
// returns a string, a bool, an integer, a slice or an Ordered mapping.
type TextEncoder interface{ EncodeText() any }

// Ordered is a mapping that keeps its order.
type Ordered []Entry

// Entry is one key of an Ordered mapping.
type Entry struct {
	Key   string
	Value any
}

// MarshalJSON writes the entries in their order.
func (o Ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, e := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		k, err := json.Marshal(e.Key)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(e.Value)
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalYAML writes the entries in their order.
func (o Ordered) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range o {
		k, v := new(yaml.Node), new(yaml.Node)
		if err := k.Encode(e.Key); err != nil {
			return nil, err
		}
		if err := v.Encode(e.Value); err != nil {
			return nil, err
		}
		n.Content = append(n.Content, k, v)
	}
	return n, nil
}

// Text returns the value of a tagged struct in its written form, with units, so
// that Decode reads it back. Keys are in the order of the struct. Defaults are
// written out; what is zero and zero by default is left out. def is the default
// of v, or nil.
func Text(v, def any) Ordered {
	d := reflect.Value{}
	if def != nil {
		d = reflect.ValueOf(def)
	}
	o, _ := encodeText(reflect.ValueOf(v), d).(Ordered)
	return o
}

func encodeText(v, def reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return encodeText(v.Elem(), reflect.Value{})
	}
	switch x := v.Interface().(type) {
	case TextEncoder:
		return x.EncodeText()
	case Based:
		if s, ok := x.(fmt.Stringer); ok {
			return s.String()
		}
		return x.Base()
	}
	switch v.Kind() {
	case reflect.Struct:
		o := Ordered{}
		for _, f := range fieldsOf(v.Type()) {
			fv, fd := v.FieldByIndex(f.index), reflect.Value{}
			if def.IsValid() {
				fd = def.FieldByIndex(f.index)
			}
			if empty(fv) && (!fd.IsValid() || empty(fd)) {
				continue
			}
			o = append(o, Entry{f.key, encodeText(fv, fd)})
		}
		return o
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = encodeText(v.Index(i), reflect.Value{})
		}
		return out
	case reflect.Map:
		keys := make([]string, 0, v.Len())
		for _, k := range v.MapKeys() {
			keys = append(keys, k.String())
		}
		sort.Strings(keys)
		o := Ordered{}
		for _, k := range keys {
			o = append(o, Entry{k, encodeText(v.MapIndex(reflect.ValueOf(k).Convert(v.Type().Key())), reflect.Value{})})
		}
		return o
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64:
		return v.Int()
	}
	panic("strict: cannot encode " + v.Type().String())
}

// Emptier is implemented by values that know whether they hold nothing.
type Emptier interface{ Empty() bool }

func empty(v reflect.Value) bool {
	if e, ok := v.Interface().(Emptier); ok {
		return e.Empty()
	}
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

// Canonical returns the value of a tagged struct as canonical JSON: keys
// sorted, quantities as integers in their base units, no floats, no spaces.
// Fields tagged later are left out while they are zero, fields tagged hash:"-"
// always.
func Canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := canonical(&b, reflect.ValueOf(v)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func canonical(b *bytes.Buffer, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			b.WriteString("{}")
			return nil
		}
		return canonical(b, v.Elem())
	}
	if x, ok := v.Interface().(Based); ok {
		return canonical(b, reflect.ValueOf(x.Base()))
	}
	switch v.Kind() {
	case reflect.Struct:
		fields := fieldsOf(v.Type())
		sort.Slice(fields, func(i, j int) bool { return fields[i].key < fields[j].key })
		b.WriteByte('{')
		first := true
		for _, f := range fields {
			fv := v.FieldByIndex(f.index)
			if f.tag.Get("hash") == "-" || f.tag.Get("later") != "" && fv.IsZero() {
				continue
			}
			if !first {
				b.WriteByte(',')
			}
			first = false
			fmt.Fprintf(b, "%q:", f.key)
			if err := canonical(b, fv); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case reflect.Slice:
		b.WriteByte('[')
		for i := 0; i < v.Len(); i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := canonical(b, v.Index(i)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case reflect.Map:
		keys := make([]string, 0, v.Len())
		for _, k := range v.MapKeys() {
			keys = append(keys, k.String())
		}
		sort.Strings(keys)
		b.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			kb, err := json.Marshal(k)
			if err != nil {
				return err
			}
			b.Write(kb)
			b.WriteByte(':')
			if err := canonical(b, v.MapIndex(reflect.ValueOf(k).Convert(v.Type().Key()))); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case reflect.String:
		kb, err := json.Marshal(v.String())
		if err != nil {
			return err
		}
		b.Write(kb)
	case reflect.Bool:
		fmt.Fprint(b, v.Bool())
	case reflect.Int, reflect.Int64:
		fmt.Fprint(b, v.Int())
	default:
		return fmt.Errorf("strict: %s has no canonical form", v.Type())
	}
	return nil
}

// Schematic is implemented by values that describe their own JSON Schema.
type Schematic interface{ JSONSchema() map[string]any }

// JSONSchema describes a tagged struct as a JSON Schema object.
func JSONSchema(v any, title, description string) map[string]any {
	s := schemaOf(reflect.TypeOf(v), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	s["description"] = description
	return s
}

func schemaOf(t reflect.Type, tag reflect.StructTag) map[string]any {
	if t.Kind() == reflect.Pointer {
		return schemaOf(t.Elem(), tag)
	}
	if s, ok := reflect.New(t).Interface().(Schematic); ok {
		return s.JSONSchema()
	}
	switch t {
	case reflect.TypeOf(Duration(0)):
		return quantitySchema(`^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, "duration with a unit, for example 5ms")
	case reflect.TypeOf(Rate(0)):
		return quantitySchema(`^[0-9]+(\.[0-9]+)?[kM]?/(s|min|h)$`, "rate with a unit, for example 10k/s")
	case reflect.TypeOf(Bytes(0)):
		return quantitySchema(`^[0-9]+(\.[0-9]+)?([kMG]|[KMG]i)?B$`, "size with a unit, for example 200B")
	case reflect.TypeOf(BitRate(0)):
		return quantitySchema(`^[0-9]+(\.[0-9]+)?[kMG]?bit/s$`, "bit rate with a unit, for example 100Mbit/s")
	case reflect.TypeOf(PPM(0)):
		return quantitySchema(`^-?[0-9]+(\.[0-9]+)?(%|ppm)$`, "fraction with a unit, for example 5%")
	case reflect.TypeOf(Milli(0)):
		return map[string]any{"type": "number"}
	}
	switch t.Kind() {
	case reflect.Struct:
		props := map[string]any{}
		for _, f := range fieldsOf(t) {
			p := schemaOf(f.typ, f.tag)
			if doc := f.tag.Get("doc"); doc != "" {
				p["description"] = doc
			}
			if f.typ.Kind() == reflect.Int || f.typ == reflect.TypeOf(int64(0)) {
				if f.hasMin {
					p["minimum"] = f.min
				}
				if f.hasMax {
					p["maximum"] = f.max
				}
			}
			props[f.key] = p
		}
		return map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), "")}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), "")}
	case reflect.String:
		s := map[string]any{"type": "string"}
		if enum := tag.Get("enum"); enum != "" {
			s["enum"] = strings.Split(enum, ",")
		}
		return s
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	}
	panic("strict: no schema for " + t.String())
}

func quantitySchema(pattern, doc string) map[string]any {
	return map[string]any{"type": "string", "pattern": pattern, "description": doc}
}
