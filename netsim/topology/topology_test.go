package topology

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/netsim/profile"
)

const ms = int64(time.Millisecond)

func load(t require.TestingT, name string) *Topology {
	topo, err := Load(name)
	require.NoError(t, err)
	return topo
}

// shortest is the smallest one-way delay between any two places.
func shortest(t *Topology) int64 {
	least := t.Paths[0][0].Quantile(0)
	for i := range t.Paths {
		for j := range t.Paths[i] {
			least = min(least, t.Paths[i][j].Quantile(0))
		}
	}
	return least
}

func TestEmbedded(t *testing.T) {
	require.Equal(t, []string{
		"4g", "5g", "ec2", "lan", "lan-10ms", "lan-1ms", "leo", "lte-m", "metro", "nb-iot",
		"t1-site", "t2-metro", "t3-edge-cloud", "t4-geo", "t5-xft", "t6-scale", "t7-heterogeneous", "t8-hierarchical",
		"wan", "wifi-busy", "wifi-good",
	}, Names())
	seen := map[string]bool{}
	for _, name := range Names() {
		topo := load(t, name)
		require.Equal(t, name, topo.Name)
		require.NotEmpty(t, topo.Doc)
		require.False(t, seen[topo.Hash], "two topologies are the same")
		seen[topo.Hash] = true
		require.Positive(t, shortest(topo))
		for i, place := range topo.Places {
			require.GreaterOrEqual(t, place.Link.Up, int64(0))
			if place.Profile != "" {
				_, err := profile.Load(place.Profile)
				require.NoError(t, err)
			}
			for j := range topo.Places {
				p := topo.Paths[i][j]
				require.Positive(t, p.Floor)
				require.GreaterOrEqual(t, p.Burst, int64(1))
				if p.Jitter != nil {
					require.Len(t, p.Jitter.Values, Entries)
					require.True(t, slices.IsSorted(p.Jitter.Values))
				}
			}
		}
	}
	require.Equal(t, load(t, "wan").Paths[0][1].Jitter, load(t, "wan").Paths[1][0].Jitter)
}

// draws samples a path and returns the sorted delays.
func draws(p *Path, n int) []int64 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]int64, n)
	for i := range out {
		out[i] = p.Delay(r.Uint64())
	}
	slices.Sort(out)
	return out
}

// Self-check 7 of the edge sheet: the samplers give half the median and half the
// 99th percentile of the published round trips, within 5 %.
func TestProfilesMatchTheirSource(t *testing.T) {
	for name, rtt := range map[string][2]int64{ // microseconds
		"lan": {300, 1000}, "metro": {2000, 5000}, "wifi-good": {5000, 90_000}, "wifi-busy": {20_000, 300_000},
		"5g": {25_000, 80_000}, "4g": {45_000, 150_000}, "lte-m": {120_000, 500_000}, "nb-iot": {850_000, 9_000_000}, "leo": {50_000, 200_000},
	} {
		p := &load(t, name).Paths[0][0]
		d := draws(p, 200_000)
		require.InEpsilon(t, rtt[0]*500, d[len(d)/2], 0.05, "%s median", name)
		require.InEpsilon(t, rtt[1]*500, d[len(d)*99/100], 0.05, "%s p99", name)
		require.GreaterOrEqual(t, d[0], rtt[0]*250, "%s has a floor of half its median", name)
		require.InEpsilon(t, d[len(d)/2], p.Quantile(500_000), 0.01)
		require.InEpsilon(t, d[len(d)*99/100], p.Quantile(990_000), 0.03)
	}
	for name, want := range map[string]int64{"lan-1ms": ms, "lan-10ms": 10 * ms} {
		d := draws(&load(t, name).Paths[0][0], 100)
		require.Equal(t, []int64{want, want}, []int64{d[0], d[99]})
	}
}

func TestWAN(t *testing.T) {
	topo := load(t, "wan")
	for _, c := range []struct {
		a, b string
		rtt  float64
	}{{"virginia", "oregon", 87}, {"ireland", "frankfurt", 19.6}, {"tokyo", "ireland", 212}, {"sydney", "frankfurt", 325}} {
		p := &topo.Paths[index(topo, c.a)][index(topo, c.b)]
		d := draws(p, 100_000)
		require.InEpsilon(t, c.rtt/2*float64(ms), d[len(d)/2], 0.01)
		require.InEpsilon(t, c.rtt*1.2/2*float64(ms), d[len(d)*99/100], 0.02)
		require.Equal(t, int64(500), p.LossPPM)
	}
}

func index(t *Topology, name string) int {
	return slices.IndexFunc(t.Places, func(p Place) bool { return p.Name == name })
}

// A round trip, which is a draw in each direction, has the published average and
// the published 99.99 %.
func TestEC2(t *testing.T) {
	topo := load(t, "ec2")
	require.Len(t, topo.Places, 6)
	for _, c := range []struct {
		a, b       string
		mean, tail int64
	}{{"va", "ca", 88, 1097}, {"eu", "jp", 287, 1310}, {"jp", "br", 394, 2496}, {"au", "br", 392, 1496}} {
		there, back := &topo.Paths[index(topo, c.a)][index(topo, c.b)], &topo.Paths[index(topo, c.b)][index(topo, c.a)]
		r := rand.New(rand.NewPCG(3, 4))
		trips := make([]int64, 400_000)
		sum := int64(0)
		for i := range trips {
			trips[i] = there.Delay(r.Uint64()) + back.Delay(r.Uint64())
			sum += trips[i] / 1000
		}
		slices.Sort(trips)
		require.InEpsilon(t, c.mean*1000, sum/int64(len(trips)), 0.01, "mean of %s-%s", c.a, c.b)
		require.InEpsilon(t, c.tail*ms, trips[len(trips)-len(trips)/10_000], 0.05, "99.99 %% of %s-%s", c.a, c.b)
		p99 := trips[len(trips)*99/100]
		require.Less(t, p99, c.mean*ms*13/10, "the body stays a body")
	}
}

func TestSampleInterpolates(t *testing.T) {
	q := &Quantiles{Values: []int64{0, 100, 1000}}
	require.Equal(t, int64(0), q.Sample(0))
	require.Equal(t, int64(50), q.Sample(1<<62))
	require.Equal(t, int64(100), q.Sample(1<<63))
	require.Equal(t, int64(550), q.Sample(3<<62))
	require.Equal(t, int64(999), q.Sample(1<<64-1))
	require.Equal(t, int64(1000), q.At(1_000_000))
}

// Whatever a file asks for: the quantiles ascend, and median and 99th percentile
// are met.
func TestTail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		median := rapid.Int64Range(int64(minDelay), int64(maxDelay)).Draw(t, "median")
		p99 := rapid.Int64Range(median, MaxRatio*median).Draw(t, "p99")
		q := tail(median, p99)
		require.True(t, slices.IsSorted(q.Values))
		require.GreaterOrEqual(t, q.Values[0], int64(0))
		p := Path{Floor: median - median/2, Jitter: q}
		require.InEpsilon(t, median, p.Quantile(500_000), 0.005)
		require.InEpsilon(t, p99, p.Quantile(990_000), 0.005)
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		require.LessOrEqual(t, cmp.Compare(p.Delay(min(a, b)), p.Delay(max(a, b))), 0, "a draw is monotone in its bits")
	})
}

// The integers that a draw gives are part of every trace hash.
func TestPinned(t *testing.T) {
	p := &load(t, "lan").Paths[0][0]
	require.Equal(t, []int64{75000 + pinned[0], 75000 + pinned[1], 75000 + pinned[2]},
		[]int64{p.Delay(0), p.Delay(1 << 63), p.Delay(1<<64 - 1)})
}

const example = `schema: 1
name: example
doc: two sites
links:
  fibre: {up: 1Gbit/s, down: 10Mbit/s, mtu: 9000, queue: 100000}
  free: {up: unlimited, down: unlimited}
places:
  - {name: north, link: fibre, profile: server}
  - {name: south, link: free}
within: {delay: {median: 150us, p99: 500us}}
paths:
  - {between: [north, south], rtt: {median: 20ms, p99: 24ms}, loss_ppm: 500, burst: 3}
  - {between: [south, south], delay: {median: 1ms}}
replicas: [north, south]
clients: [south]
`

func TestParse(t *testing.T) {
	topo, err := Parse("x.yaml", []byte(example))
	require.NoError(t, err)
	require.Equal(t, Place{Name: "north", Link: Link{Up: 1e9, Down: 1e7, MTU: 9000, Queue: 100_000}, Profile: "server"}, topo.Places[0])
	require.Equal(t, Link{MTU: 1500, Queue: 64 << 20}, topo.Places[1].Link)
	require.Equal(t, []int{0, 1}, topo.Replicas)
	require.Equal(t, []int{1}, topo.Clients)
	require.Equal(t, int64(5*ms), topo.Paths[0][1].Floor)
	require.Equal(t, [2]int64{500, 3}, [2]int64{topo.Paths[1][0].LossPPM, topo.Paths[1][0].Burst})
	require.Equal(t, Path{Floor: ms, Burst: 1}, topo.Paths[1][1])
	require.Equal(t, int64(75_000), topo.Paths[0][0].Floor)

	oneWay := strings.Replace(example, "between: [north, south], rtt: {median: 20ms, p99: 24ms}", "from: north, to: south, delay: {median: 3ms}", 1)
	oneWay = strings.Replace(oneWay, "paths:", "default: {delay: {median: 7ms}}\npaths:", 1)
	topo, err = Parse("x.yaml", []byte(oneWay))
	require.NoError(t, err)
	require.Equal(t, [2]int64{3 * ms, 7 * ms}, [2]int64{topo.Paths[0][1].Floor, topo.Paths[1][0].Floor})
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"schema: 1", "schema: 9", `x.yaml:1:9: schema: is 9; allowed is 1 to 1`},
		{"1Gbit/s", "1Gb", `x.yaml:5:15: links.fibre.up: bit rate "1Gb" has the unknown unit "Gb"; allowed: bit/s, kbit/s, Mbit/s, Gbit/s, or unlimited`},
		{"1Gbit/s", "-1Gbit/s", `x.yaml:5:15: links.fibre.up: is -1Gbit/s; allowed is 1bit/s to 1000000Gbit/s, or unlimited`},
		{"link: free}", "link: fre}", `x.yaml:9:25: places[1].link: is "fre"; did you mean "free"?`},
		{"name: south", "name: north", `x.yaml:9:5: places[1]: place "north" is given twice`},
		{"replicas: [north", "replicas: [nroth", `x.yaml:14:12: replicas[0]: is "nroth"; did you mean "north"?`},
		{"clients: [south]", "clients: []", `x.yaml:15:10: clients: has 0 entries; want 1 to 1024`},
		{"p99: 24ms", "p99: 19ms", `x.yaml:12:56: paths[0].rtt.p99: is 19ms; it must lie between the median 20ms and 22 times that`},
		{"p99: 24ms", "p99: 2s", `x.yaml:12:56: paths[0].rtt.p99: is 2s; it must lie between the median 20ms and 22 times that`},
		{"median: 1ms", "median: 0s", `x.yaml:13:47: paths[1].delay.median: is 0s; allowed is 1µs to 10m0s`},
		{"median: 1ms", "median: 1", `x.yaml:13:47: paths[1].delay.median: duration "1" has no unit; write for example 5ms, 2s or 1m30s (units: ns, us, µs, ms, s, m, h)`},
		{"loss_ppm: 500", "lossppm: 500", `x.yaml:12:63: paths[0].lossppm: unknown key "lossppm"; did you mean "loss_ppm"?`},
		{"loss_ppm: 500", "loss_ppm: 1000000", `x.yaml:12:73: paths[0].loss_ppm: is 1000000; allowed is 0 to 900000`},
		{"between: [north, south], ", "", `x.yaml:12:5: paths[0]: wants either between: [a, b] or from: a and to: b`},
		{"rtt: {median: 20ms, p99: 24ms}, ", "", `x.yaml:12:5: paths[0]: wants either delay (one way) or rtt (both ways)`},
		{"between: [south, south]", "between: [south, north]", `x.yaml:13:5: paths[1]: the path from south to north is given twice`},
		{"between: [north, south]", "from: north, to: south", `x.yaml:12:3: paths: no path from south to north, and no default`},
		{"within: {delay: {median: 150us, p99: 500us}}\n", "", `x.yaml:1:1: key "within" is missing`},
	} {
		t.Run(c.new, func(t *testing.T) {
			text := strings.Replace(example, c.old, c.new, 1)
			require.NotEqual(t, example, text)
			_, err := Parse("x.yaml", []byte(text))
			require.EqualError(t, err, c.want)
		})
	}
	_, err := Load("wfi-good")
	require.EqualError(t, err, `unknown topology "wfi-good"; did you mean "wifi-good"? (a file needs an extension or a directory in its name)`)
	_, err = Load(filepath.Join(t.TempDir(), "no.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDamagedShape(t *testing.T) {
	data, err := shapeFiles.ReadFile("shapes/lognormal-01200.bin")
	require.NoError(t, err)
	_, err = decodeShape(data[:len(data)-1])
	require.Error(t, err)
	_, err = decodeShape(append(append([]byte(nil), data...), 1))
	require.Error(t, err)
	_, err = decodeShape([]byte{0xff})
	require.Error(t, err)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	for _, name := range []string{"ec2", "t7-heterogeneous"} {
		data, err := embedded.ReadFile("data/" + name + ".yaml")
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		topo, err := Parse("x", data)
		if err == nil && shortest(topo) < 1 {
			t.Fatal("a delay without a minimum")
		}
	})
}

func BenchmarkDelay(b *testing.B) {
	p := &load(b, "lan").Paths[0][0]
	u := uint64(0)
	for b.Loop() {
		u += 0x9e3779b97f4a7c15
		p.Delay(u)
	}
}

func BenchmarkLoadWAN(b *testing.B) {
	for b.Loop() {
		load(b, "wan")
	}
}

// pinned are the jitters of the draws in TestPinned.
var pinned = [3]int64{4866, 74999, 1155942}
