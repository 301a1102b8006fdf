package strict

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

type inner struct {
	At    Duration `key:"at"`
	Size  Bytes    `key:"size" max:"4096"`
	Nodes []int    `key:"nodes"`
}

type outer struct {
	Name  string         `key:"name"`
	Mode  string         `key:"mode" enum:"sim,local"`
	N     int            `key:"n" min:"1" max:"100"`
	On    bool           `key:"on"`
	Rate  Rate           `key:"rate"`
	Loss  PPM            `key:"loss" max:"1000000"`
	Theta Milli          `key:"theta"`
	Link  BitRate        `key:"link"`
	In    inner          `key:"inner"`
	List  []inner        `key:"list"`
	Mix   map[string]int `key:"mix"`
	New   int            `key:"new" later:"1"`
	Label string         `key:"label" hash:"-"`
}

func decode(t *testing.T, text string, sets ...string) (outer, error) {
	t.Helper()
	d, err := Parse("f.yaml", []byte(text))
	if err != nil {
		return outer{}, err
	}
	for _, s := range sets {
		if err := d.Override(s); err != nil {
			return outer{}, err
		}
	}
	var o outer
	return o, d.Decode(&o)
}

func TestDecode(t *testing.T) {
	d, err := Parse("f.yaml", []byte(`
name: x
mode: sim
n: 4
on: true
rate: 1.5k/s
loss: 0.5%
theta: 0.99
link: 100Mbit/s
inner: {at: 1m30s, size: 4kB, nodes: [0, 2]}
list:
  - {at: 5ms}
  - {at: 7us}
mix: {b: 1, a: 2}
`))
	require.NoError(t, err)
	var o outer
	require.NoError(t, d.Decode(&o))
	require.Equal(t, outer{
		Name: "x", Mode: "sim", N: 4, On: true, Rate: 1_500_000_000, Loss: 5000, Theta: 990, Link: 100_000_000,
		In:   inner{At: 90_000_000_000, Size: 4000, Nodes: []int{0, 2}},
		List: []inner{{At: 5_000_000}, {At: 7_000}},
		Mix:  map[string]int{"a": 2, "b": 1},
	}, o)
}

func TestMistakesNamePlaceValueAndFix(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"modee: sim", `f.yaml:1:1: modee: unknown key "modee"; did you mean "mode"?`},
		{"\n\nmode: simm", `f.yaml:3:7: mode: "simm" is not allowed; did you mean "sim"? (allowed: sim, local)`},
		{"n: 010", `n: "010" has a leading zero (YAML would read it as octal); write 10`},
		{"n: 0x10", `"0x10" is not a whole number`},
		{"n: 4.0", `"4.0" is not a whole number`},
		{"n: 0", "0 is too small; the least allowed is 1"},
		{"n: 101", "101 is too large; the most allowed is 100"},
		{"n: 99999999999999999999", "too large for a whole number"},
		{"n: 4\nn: 5", "f.yaml:2:1: n: the key is given twice, first in line 1"},
		{"name: null", "f.yaml:1:7: name: null is not a value here"},
		{"name: ~", "null is not a value here"},
		{"name:", "null is not a value here"},
		{`name: "null"`, "null is not a value here"},
		{"inner: {at: 5}", `f.yaml:1:13: inner.at: duration "5" has no unit; write for example 5ms`},
		{"inner: {at: 5parsec}", `unknown unit "parsec"; allowed: ns, us`},
		{"inner: {at: -5ms}", "-5ms is negative; write 0 or more"},
		{"inner: {at: 05ms}", `"05ms" is not a duration`},
		{"inner: {at: 0.1ns}", "finer than this field can hold"},
		{"inner: {at: 999999999999h}", "too large"},
		{"inner: {size: 5kB}", "5kB is too large; the most allowed is 4KiB"},
		{"rate: 10k", `rate "10k" has the unknown unit "k"; allowed: /s, k/s`},
		{"rate: -1/s", "-1/s is negative"},
		{"loss: 0.05", `fraction "0.05" has no unit; write for example 5% or 200ppm`},
		{"loss: 101%", "the most allowed is 100%"},
		{"on: yes", `"yes" is not allowed; write true or false`},
		{"list: 5", `a list [..] is needed, not the value "5"`},
		{"inner: 5", "a mapping (key: value) is needed"},
		{"name: [a]", "one value is needed, not a list"},
		{"list: [{at: 5ms}, {att: 5ms}]", `f.yaml:1:20: list[1].att: unknown key "att"; did you mean "at"?`},
		{"name: &a x\nmode: *a", "anchors and aliases are not supported"},
		{"inner: &a {at: 5ms}", "anchors and aliases are not supported"},
		{"inner: {<<: {at: 5ms}}", "merge keys are not supported"},
		{"name: !!str 5", "explicit tags"},
		{"- a", "must be a mapping"},
		{"name: a\n---\nname: b", "f.yaml:2:1: a second document starts here"},
		{"name: 'a", "f.yaml:"},
		{"a: b: c", "f.yaml: mapping values"},
		{"? [a]\n: b", "a key must be a plain word"},
	} {
		_, err := decode(t, c.text)
		require.ErrorContains(t, err, c.want, "%s", c.text)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 2, e.ExitCode())
		require.Equal(t, "f.yaml", e.File)
	}
}

func TestSeveralMistakesAreReportedAtOnce(t *testing.T) {
	_, err := decode(t, "n: 0\nmode: x\nfoo: 1")
	require.Equal(t, 3, strings.Count(err.Error(), "\n")+1)
}

func TestOverride(t *testing.T) {
	o, err := decode(t, "n: 4\nlist: [{at: 1s}]", "n=7", "inner.at=3ms", "list[0].at=2s", "list[1].at=4s", "list[1].nodes=[1, 2]", "mix.a=3", "inner.nodes[0]=9")
	require.NoError(t, err)
	require.Equal(t, 7, o.N)
	require.Equal(t, inner{At: 3_000_000, Nodes: []int{9}}, o.In)
	require.Equal(t, []inner{{At: 2_000_000_000}, {At: 4_000_000_000, Nodes: []int{1, 2}}}, o.List)
	require.Equal(t, map[string]int{"a": 3}, o.Mix)

	for set, want := range map[string]string{
		"n":             "--set n: an override is written key=value",
		"n=":            "--set n=: n: the value is empty",
		"n=x":           `--set n=x: n: "x" is not a whole number`,
		"nn=4":          `--set nn=4: nn: unknown key "nn"; did you mean "n"?`,
		"list[3].at=1s": "list has 1 entries; the next free index is 1",
		"n.x=1":         `n is the value "4", which has no key "x"`,
		"n[0]=1":        `n is the value "4", not a list`,
		"list[x]=1":     "is not a path",
		"list[=1":       "is not a path",
		".a=1":          "is not a path",
		"inner.at=[1":   "--set inner.at=[1: inner.at:",
		"name=null":     "null is not a value",
	} {
		_, err := decode(t, "n: 4\nlist: [{at: 1s}]", set)
		require.ErrorContains(t, err, want, "%s", set)
	}
}

func TestCloneIsDeep(t *testing.T) {
	d, err := Parse("f", []byte("inner: {at: 1s}"))
	require.NoError(t, err)
	c := d.Clone()
	require.NoError(t, c.Override("inner.at=2s"))
	var a, b outer
	require.NoError(t, d.Decode(&a))
	require.NoError(t, c.Decode(&b))
	require.EqualValues(t, 1e9, a.In.At)
	require.EqualValues(t, 2e9, b.In.At)
	c.Delete("inner.at")
	require.False(t, c.Has("inner.at"))
	require.True(t, d.Has("inner.at"))
}

func TestCanonical(t *testing.T) {
	o := outer{Name: "x", N: 4, Rate: 1000, Mix: map[string]int{"b": 1, "a": 2}, Label: "not hashed"}
	b, err := Canonical(o)
	require.NoError(t, err)
	require.Equal(t, `{"inner":{"at":0,"nodes":[],"size":0},"link":0,"list":[],"loss":0,"mix":{"a":2,"b":1},"mode":"","n":4,"name":"x","on":false,"rate":1000,"theta":0}`, string(b))
	o.New = 5
	b, err = Canonical(o)
	require.NoError(t, err)
	require.Contains(t, string(b), `"new":5`)
}

func TestTextIsReadBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := outer{
			Name: "x", Mode: "local", N: rapid.IntRange(1, 100).Draw(rt, "n"), On: rapid.Bool().Draw(rt, "on"),
			Rate:  Rate(rapid.Int64Range(0, 1<<60).Draw(rt, "rate")),
			Loss:  PPM(rapid.Int64Range(0, 1e6).Draw(rt, "loss")),
			Theta: Milli(rapid.Int64Range(0, 1e6).Draw(rt, "theta")),
			Link:  BitRate(rapid.Int64Range(0, 1<<60).Draw(rt, "link")),
			In:    inner{At: Duration(rapid.Int64Range(0, 1<<62).Draw(rt, "at")), Size: Bytes(rapid.Int64Range(0, 4096).Draw(rt, "size"))},
			Mix:   map[string]int{"a": 1},
			List:  []inner{{At: Duration(rapid.Int64().Filter(func(v int64) bool { return v > 0 }).Draw(rt, "at1"))}},
		}
		for _, marshal := range []func(any) ([]byte, error){yaml.Marshal, json.Marshal} {
			text, err := marshal(Text(o, nil))
			require.NoError(rt, err)
			d, err := Parse("f", text)
			require.NoError(rt, err)
			var back outer
			require.NoError(rt, d.Decode(&back), "%s", text)
			require.Equal(rt, o, back)
		}
	})
}

func TestQuantitiesPrintShort(t *testing.T) {
	require.Equal(t, "10k/s", Rate(10_000_000_000).String())
	require.Equal(t, "0.5/s", Rate(500_000).String())
	require.Equal(t, "0/s", Rate(0).String())
	require.Equal(t, "1500ms", Duration(1_500_000_000).String())
	require.Equal(t, "0ns", Duration(0).String())
	require.Equal(t, "5%", PPM(50_000).String())
	require.Equal(t, "123ppm", PPM(123).String())
	require.Equal(t, "64MiB", Bytes(64<<20).String())
	require.Equal(t, "-0.25", Milli(-250).String())
}

func TestJSONSchemaHasEveryKey(t *testing.T) {
	s := JSONSchema(outer{}, "t", "d")
	props := s["properties"].(map[string]any)
	require.Len(t, props, 13)
	require.Equal(t, false, s["additionalProperties"])
	require.Equal(t, []string{"sim", "local"}, props["mode"].(map[string]any)["enum"])
	require.EqualValues(t, 100, props["n"].(map[string]any)["maximum"])
	_, err := json.Marshal(s)
	require.NoError(t, err)
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"n: 4", "inner: {at: 5ms}", "a: &a [*a]", "list: [{at: 1h2m}]", "rate: 1e9/s", "? {}\n: 1", "mix: {a: 1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse("f", data)
		if err != nil {
			return
		}
		var o outer
		if d.Clone().Decode(&o) != nil {
			return
		}
		text, err := yaml.Marshal(Text(o, nil))
		require.NoError(t, err)
		d, err = Parse("g", text)
		require.NoError(t, err, "%s", text)
		var back outer
		require.NoError(t, d.Decode(&back), "%s", text)
		a, err := Canonical(o)
		require.NoError(t, err)
		b, err := Canonical(back)
		require.NoError(t, err)
		require.Equal(t, string(a), string(b))
	})
}
