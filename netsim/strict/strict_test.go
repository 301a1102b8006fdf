package strict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func read(text string) error {
	d := Parse("x.yaml", []byte(text))
	m := d.Root().Map("name", "count", "list", "wait", "kind", "inner")
	m.Need("name").Name()
	if v := m.Get("count"); v.Present() {
		v.Int(0, 10)
	}
	if v := m.Get("list"); v.Present() {
		v.Ints(2, 0, 9)
	}
	if v := m.Get("wait"); v.Present() {
		v.Duration(0, time.Second)
	}
	if v := m.Get("kind"); v.Present() {
		v.OneOf("near", "far")
	}
	if v := m.Get("inner"); v.Present() {
		v.Map("deep").Need("deep").Int(1, 2)
	}
	return d.Err()
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `x.yaml: file is empty`,
		"name: a\n\tb":                 `x.yaml:2: found a tab character that violates indentation`,
		"- 1":                          `x.yaml:1: is a list; want a mapping`,
		"count: 3":                     `x.yaml:1: key "name" is missing`,
		"name: a\ncout: 3":             `x.yaml:2: unknown key "cout"; did you mean "count"?`,
		"name: a\nname: b":             `x.yaml:2: key "name" is given twice, first on line 1`,
		"name: A b":                    `x.yaml:1: name: is "A b"; a name has up to 64 lower-case letters, digits, '.', '_' or '-'`,
		"name:":                        `x.yaml:1: name: is empty; want a text`,
		"name: a\ncount: 11":           `x.yaml:2: count: is 11; allowed is 0 to 10`,
		"name: a\ncount: -1":           `x.yaml:2: count: is -1; allowed is 0 to 10`,
		"name: a\ncount: 1.5":          `x.yaml:2: count: is "1.5"; want an integer from 0 to 10`,
		"name: a\ncount: '3'":          `x.yaml:2: count: is "3"; want an integer from 0 to 10`,
		"name: a\ncount: 010":          `x.yaml:2: count: is "010"; a leading zero means octal to some readers, so it is not allowed`,
		"name: a\ncount: [3]":          `x.yaml:2: count: is a list; want an integer`,
		"name: a\nlist: [1]":           `x.yaml:2: list: has 1 entries; want 2`,
		"name: a\nlist: [1, 22]":       `x.yaml:2: list[1]: is 22; allowed is 0 to 9`,
		"name: a\nwait: 3":             `x.yaml:2: wait: is "3"; want a duration with its unit, such as 250us, 1.5ms or 2s`,
		"name: a\nwait: 2s":            `x.yaml:2: wait: is 2s; allowed is 0s to 1s`,
		"name: a\nkind: nera":          `x.yaml:2: kind: is "nera"; did you mean "near"?`,
		"name: a\ninner: {deep: 3}":    `x.yaml:2: inner.deep: is 3; allowed is 1 to 2`,
		"name: a\ninner: {}":           `x.yaml:2: inner: key "deep" is missing`,
		"name: &x a\nkind: *x":         `x.yaml:1: name: anchors, aliases and tags are not allowed`,
		"name: !!str a":                `x.yaml:1: name: anchors, aliases and tags are not allowed`,
		"name: a\n---\nname: b":        `x.yaml:2: a second document; one file holds one`,
		"name: a\n<<: {count: 1}":      `x.yaml:2: a key must be a plain name`,
		"name: a\n[1, 2]: 3":           `x.yaml:2: a key must be a plain name`,
		"name: a\nlist: {a: 1, b: 22}": `x.yaml:2: list: is a mapping; want a list`,
	} {
		t.Run(text, func(t *testing.T) { require.EqualError(t, read(text), want) })
	}
	require.NoError(t, read("name: a\ncount: 1_0\nlist: [1, 2]\nwait: 1.5ms\nkind: far\ninner: {deep: 1}"))
}

func FuzzParse(f *testing.F) {
	f.Add("name: a\ncount: 3")
	f.Add("name: &x a\nkind: *x")
	f.Fuzz(func(t *testing.T, text string) {
		d := Parse("x", []byte(text))
		m := d.Root().AnyMap()
		for _, k := range m.Keys() {
			m.Get(k).List(0, 3)
		}
	})
}
