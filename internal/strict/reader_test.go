package strict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func read(text string) error {
	d := NewReader("x.yaml", []byte(text))
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

func TestReaderErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `x.yaml: the file is empty`,
		"name: a\n\tb":                 `x.yaml:2:1: found a tab character that violates indentation`,
		"- 1":                          `x.yaml:1:1: the file must be a mapping (key: value), not a list`,
		"count: 3":                     `x.yaml:1:1: key "name" is missing`,
		"name: a\ncout: 3":             `x.yaml:2:1: cout: unknown key "cout"; did you mean "count"?`,
		"name: a\nname: b":             `x.yaml:2:1: name: the key is given twice, first in line 1; keep one`,
		"name: A b":                    `x.yaml:1:7: name: is "A b"; a name has up to 64 lower-case letters, digits, '.', '_' or '-'`,
		"name:":                        `x.yaml:1:6: name: is empty; want a text`,
		"name: a\ncount: 11":           `x.yaml:2:8: count: is 11; allowed is 0 to 10`,
		"name: a\ncount: -1":           `x.yaml:2:8: count: is -1; allowed is 0 to 10`,
		"name: a\ncount: 1.5":          `x.yaml:2:8: count: is "1.5"; want an integer from 0 to 10`,
		"name: a\ncount: '3'":          `x.yaml:2:8: count: is "3"; want an integer from 0 to 10`,
		"name: a\ncount: 010":          `x.yaml:2:8: count: "010" has a leading zero (YAML would read it as octal); write 10`,
		"name: a\ncount: [3]":          `x.yaml:2:8: count: is a list; want an integer`,
		"name: a\nlist: [1]":           `x.yaml:2:7: list: has 1 entries; want 2`,
		"name: a\nlist: [1, 22]":       `x.yaml:2:11: list[1]: is 22; allowed is 0 to 9`,
		"name: a\nwait: 3":             `x.yaml:2:7: wait: duration "3" has no unit; write for example 5ms, 2s or 1m30s (units: ns, us, µs, ms, s, m, h)`,
		"name: a\nwait: 2s":            `x.yaml:2:7: wait: is 2s; allowed is 0s to 1s`,
		"name: a\nkind: nera":          `x.yaml:2:7: kind: is "nera"; did you mean "near"?`,
		"name: a\ninner: {deep: 3}":    `x.yaml:2:15: inner.deep: is 3; allowed is 1 to 2`,
		"name: a\ninner: {}":           `x.yaml:2:8: inner: key "deep" is missing`,
		"name: &x a\nkind: *x":         `x.yaml:1:7: name: anchors and aliases are not supported; write the value out`,
		"name: !!str a":                `x.yaml:1:7: name: explicit tags (!!str) are not supported; write the plain value`,
		"name: a\n---\nname: b":        `x.yaml:2:1: a second document starts here; one file holds one document`,
		"name: a\n<<: {count: 1}":      `x.yaml:2:1: merge keys are not supported; write the values out`,
		"name: a\n[1, 2]: 3":           `x.yaml:2:1: a key must be a plain word, not a list`,
		"name: a\nlist: {a: 1, b: 22}": `x.yaml:2:7: list: is a mapping; want a list`,
	} {
		t.Run(text, func(t *testing.T) { require.EqualError(t, read(text), want) })
	}
	require.NoError(t, read("name: a\ncount: 1_0\nlist: [1, 2]\nwait: 1.5ms\nkind: far\ninner: {deep: 1}"))
}

func FuzzReader(f *testing.F) {
	f.Add("name: a\ncount: 3")
	f.Add("name: &x a\nkind: *x")
	f.Fuzz(func(t *testing.T, text string) {
		d := NewReader("x", []byte(text))
		m := d.Root().AnyMap()
		for _, k := range m.Keys() {
			m.Get(k).List(0, 3)
		}
	})
}
