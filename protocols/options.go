package protocols

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// OptionKind is the type of an option's value.
type OptionKind uint8

// Kinds of option. All values are int64 in base units: nanoseconds, bytes, 0 or
// 1, an index into Choices.
const (
	OptionInt OptionKind = iota
	OptionDuration
	OptionBytes
	OptionBool
	OptionChoice
)

// Option declares one parameter of a protocol or an attack.
type Option struct {
	Name    string
	Kind    OptionKind
	Default int64
	// Min and Max bound the value, both included; unused for bool and choice.
	Min, Max int64
	Choices  []string
	Doc      string
}

// Options holds the resolved values of all declared options.
type Options struct {
	decl   []Option
	values map[string]int64
}

// ResolveOptions checks set against the declaration and fills in the defaults.
// An unknown name or a value out of bounds is an error that says what is allowed.
func ResolveOptions(decl []Option, set map[string]int64) (Options, error) {
	o := Options{decl: decl, values: make(map[string]int64, len(decl))}
	for _, d := range decl {
		o.values[d.Name] = d.Default
	}
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		i := 0
		for i < len(decl) && decl[i].Name != name {
			i++
		}
		if i == len(decl) {
			return Options{}, fmt.Errorf("unknown option %q%s", name, Suggest(name, optionNames(decl)))
		}
		v, d := set[name], decl[i]
		lo, hi := d.Min, d.Max
		switch d.Kind {
		case OptionBool:
			lo, hi = 0, 1
		case OptionChoice:
			lo, hi = 0, int64(len(d.Choices)-1)
		}
		if d.Kind == OptionChoice && (v < lo || v > hi) {
			return Options{}, fmt.Errorf("option %s is choice %d; allowed are 0 to %d: %s", name, v, hi, strings.Join(d.Choices, ", "))
		}
		if v < lo || v > hi {
			return Options{}, fmt.Errorf("option %s is %s; allowed is %s to %s", name, d.Format(v), d.Format(lo), d.Format(hi))
		}
		o.values[name] = v
	}
	return o, nil
}

// Format prints a value of the option with its unit.
func (d Option) Format(v int64) string {
	switch d.Kind {
	case OptionDuration:
		return time.Duration(v).String()
	case OptionBytes:
		return fmt.Sprintf("%dB", v)
	case OptionBool:
		return fmt.Sprint(v != 0)
	case OptionChoice:
		if v >= 0 && v < int64(len(d.Choices)) {
			return d.Choices[v]
		}
	}
	return fmt.Sprint(v)
}

func optionNames(decl []Option) []string {
	names := make([]string, len(decl))
	for i, d := range decl {
		names[i] = d.Name
	}
	return names
}

func (o Options) get(name string) int64 {
	v, ok := o.values[name]
	if !ok {
		panic("protocols: option " + name + " was not declared")
	}
	return v
}

// Int returns an integer option. Reading an undeclared option panics: it is a
// programming error.
func (o Options) Int(name string) int { return int(o.get(name)) }

// Duration returns a duration option.
func (o Options) Duration(name string) time.Duration { return time.Duration(o.get(name)) }

// Bool returns a boolean option.
func (o Options) Bool(name string) bool { return o.get(name) != 0 }

// Choice returns the name of the chosen alternative.
func (o Options) Choice(name string) string {
	v := o.get(name)
	for _, d := range o.decl {
		if d.Name == name {
			return d.Choices[v]
		}
	}
	return ""
}

// Suggest returns `; did you mean "x"?` with the nearest of the allowed names, or
// the list of them when nothing is near.
func Suggest(got string, allowed []string) string {
	best, dist := "", len(got)/2+2
	for _, a := range allowed {
		if d := editDistance(strings.ToLower(got), strings.ToLower(a)); d < dist {
			best, dist = a, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	if len(allowed) == 0 {
		return "; nothing is allowed here"
	}
	sorted := append([]string(nil), allowed...)
	sort.Strings(sorted)
	return "; allowed: " + strings.Join(sorted, ", ")
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			prev, row[j] = row[j], min(row[j]+1, row[j-1]+1, prev+cost)
		}
	}
	return row[len(b)]
}
