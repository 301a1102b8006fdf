package scenario

import (
	"fmt"
	"sort"
	"strings"

	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
)

// Options are the parameters of a protocol, an application or an attack. They
// are read as plain words and get their meaning from the declaration when the
// scenario is resolved. Nested mappings are the same as dotted names:
// batch: {max: 64} is batch.max: 64.
type Options struct {
	// Set holds the words as written, by name.
	Set map[string]string
	// Values holds the resolved values in base units of what was set and differs
	// from the default.
	Values map[string]int64
	// Resolved holds all values once Resolve has run.
	Resolved protocols.Options

	decl []protocols.Option
}

// DecodeNode implements strict.NodeDecoder.
func (o *Options) DecodeNode(v *strict.Value) error {
	o.Set = make(map[string]string)
	return o.flatten(v, "")
}

func (o *Options) flatten(v *strict.Value, prefix string) error {
	pairs, err := v.Pairs()
	if err != nil {
		return err
	}
	for _, p := range pairs {
		name := prefix + p.Key
		if p.Value.IsMap() {
			if err := o.flatten(p.Value, name+"."); err != nil {
				return err
			}
			continue
		}
		text, err := p.Value.Text()
		if err != nil {
			return err
		}
		if _, ok := o.Set[name]; ok {
			return p.Value.Errorf("option %s is given twice; keep one", name)
		}
		o.Set[name] = text
	}
	return nil
}

// Empty implements strict.Emptier.
func (o Options) Empty() bool { return len(o.Set) == 0 }

// names returns the names that were set, in ascending order.
func (o *Options) names() []string {
	names := make([]string, 0, len(o.Set))
	for n := range o.Set {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// resolve checks what was set against a declaration. path and doc locate errors.
func (o *Options) resolve(decl []protocols.Option, doc *strict.Document, path string) error {
	values := make(map[string]int64, len(o.Set))
	for _, name := range o.names() {
		at := path + "." + name
		d, err := declared(decl, name)
		if err != nil {
			return doc.Errorf(at, "%v", err)
		}
		v, err := ParseOption(d, o.Set[name])
		if err != nil {
			return doc.Errorf(at, "%v", err)
		}
		if _, err := protocols.ResolveOptions(decl, map[string]int64{name: v}); err != nil {
			return doc.Errorf(at, "%v", err)
		}
		values[name] = v
	}
	r, err := protocols.ResolveOptions(decl, values)
	if err != nil {
		return doc.Errorf(path, "%v", err)
	}
	for _, d := range decl {
		if v, ok := values[d.Name]; ok && v == d.Default {
			delete(values, d.Name)
		}
	}
	o.Values, o.Resolved, o.decl = values, r, decl
	return nil
}

func declared(decl []protocols.Option, name string) (protocols.Option, error) {
	names := make([]string, len(decl))
	for i, d := range decl {
		if d.Name == name {
			return d, nil
		}
		names[i] = d.Name
	}
	return protocols.Option{}, fmt.Errorf("unknown option %q%s", name, strict.Suggest(name, names))
}

// ParseOption reads the word of one option. The result is in the option's base
// units.
func ParseOption(d protocols.Option, text string) (int64, error) {
	switch d.Kind {
	case protocols.OptionDuration:
		var v strict.Duration
		err := v.ParseScalar(text)
		return int64(v), err
	case protocols.OptionBytes:
		var v strict.Bytes
		err := v.ParseScalar(text)
		return int64(v), err
	case protocols.OptionBool:
		switch text {
		case "true":
			return 1, nil
		case "false":
			return 0, nil
		}
		return 0, fmt.Errorf("%q is not allowed; write true or false", text)
	case protocols.OptionChoice:
		for i, c := range d.Choices {
			if c == text {
				return int64(i), nil
			}
		}
		return 0, fmt.Errorf("%q is not allowed%s", text, strict.Suggest(text, d.Choices))
	}
	return strict.ParseInt(text)
}

// Base returns the canonical form: the values that differ from the defaults.
// Before resolving it is what was written.
func (o Options) Base() any {
	if o.Values == nil {
		if o.Set == nil {
			return map[string]string{}
		}
		return o.Set
	}
	return o.Values
}

// EncodeText implements strict.TextEncoder.
func (o Options) EncodeText() any {
	out := strict.Ordered{}
	for _, name := range o.names() {
		text := o.Set[name]
		if v, ok := o.Values[name]; ok {
			if d, err := declared(o.decl, name); err == nil {
				text = formatOption(d, v)
			}
		}
		out = append(out, strict.Entry{Key: name, Value: text})
	}
	return out
}

// formatOption prints a value so that ParseOption reads it back.
func formatOption(d protocols.Option, v int64) string {
	switch d.Kind {
	case protocols.OptionDuration:
		return strict.Duration(v).String()
	case protocols.OptionBytes:
		return strict.Bytes(v).String()
	}
	return d.Format(v)
}

// String lists what was set, for messages and labels.
func (o Options) String() string {
	var b strings.Builder
	for i, name := range o.names() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name + "=" + o.Set[name])
	}
	return b.String()
}

// JSONSchema implements strict.Schematic.
func (o Options) JSONSchema() map[string]any {
	return map[string]any{"type": "object", "description": "names and values as declared by what they belong to; see edgebft list"}
}
