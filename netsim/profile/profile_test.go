package profile

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
)

func TestEmbedded(t *testing.T) {
	require.Equal(t, []string{"a53", "gw-x86", "jetson-nano", "jetson-orin", "none", "pi4", "pi4-18", "pi5", "server", "srv-ref"}, Names())
	hashes := map[string]string{}
	for _, name := range Names() {
		p, err := Load(name)
		require.NoError(t, err)
		require.Equal(t, name, p.Name)
		require.Equal(t, name == "none", p.Free(), name)
		require.NotEmpty(t, p.Doc)
		require.Len(t, p.Hash, 16)
		require.Empty(t, hashes[p.Hash])
		hashes[p.Hash] = name
	}
	server, err := Load("server")
	require.NoError(t, err)
	require.Equal(t, int64(33_100_000), server.Ops[protocols.OpVerify].At(0))
	require.Equal(t, int64(65_000+460*1024), server.Ops[protocols.OpDigest].At(1024))
	require.Equal(t, IO{2_280_000, 120_000, 160}, server.Send)
	require.Equal(t, IO{1_550_000, 100_000, 100}, server.Recv)
	require.Equal(t, &Sockets{Send: IO{Flush: 3_660_000}, Recv: IO{Flush: 1_660_000, Byte: 16}}, server.UDP)
	pi, err := Load("pi4")
	require.NoError(t, err)
	require.Equal(t, int64(370_000_000), pi.Ops[protocols.OpAppVerify].At(0))
	require.Equal(t, "emulated", pi.Origin)
}

func TestTable(t *testing.T) {
	c := Cost{Table: [][2]int64{{64, 100}, {128, 300}, {1024, 300}, {2048, 1324}}}
	for size, want := range map[int]int64{-5: 100, 0: 100, 64: 100, 65: 103, 96: 200, 128: 300, 500: 300, 1024: 300, 1025: 301, 2048: 1324, 4096: 3372} {
		require.Equal(t, want, c.At(size), "%d bytes", size)
	}
	one := Cost{Table: [][2]int64{{64, 100}}}
	require.Equal(t, int64(100), one.At(1000))
	steep := Cost{Table: [][2]int64{{0, 0}, {1, maxCost}}}
	require.Equal(t, int64(ceiling), steep.At(1<<30))
	dear := Cost{A: maxCost, B: maxPerByte}
	require.Equal(t, dear.At(1<<30), dear.At(math.MaxInt32), "more than 1 GiB costs the same")
}

func drawCost(t *rapid.T) (c Cost) {
	if rapid.Bool().Draw(t, "linear") {
		return Cost{A: rapid.Int64Range(0, maxCost).Draw(t, "a"), B: rapid.Int64Range(0, maxPerByte).Draw(t, "b")}
	}
	size, cost := int64(0), int64(0)
	for range rapid.IntRange(1, 5).Draw(t, "rows") {
		size += rapid.Int64Range(1, 1000).Draw(t, "size")
		cost += rapid.Int64Range(0, 1000).Draw(t, "cost")
		c.Table = append(c.Table, [2]int64{size, cost})
	}
	return c
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Profile{Name: "x", Origin: "measured", ScalePermille: rapid.Int64Range(1, maxScale).Draw(t, "scale"), Cores: 3}
		p.Doc = rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "doc")
		p.Host = Host{CPU: rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "cpu"), Arch: "arm64", Governor: rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "governor")}
		p.Send = IO{1, 2, rapid.Int64Range(0, maxPerByte).Draw(t, "byte")}
		p.StepBase, p.Fsync = 4, rapid.Int64Range(0, maxCost).Draw(t, "fsync")
		for op := range p.Ops {
			p.Ops[op] = drawCost(t)
		}
		if rapid.Bool().Draw(t, "more") {
			p.Assumed = []string{"step"}
			p.Measurements = []Measurement{{Name: "digest/64", Min: 5, Median: 7, Rounds: 3}}
		}
		got, err := Parse("x.yaml", p.Encode())
		require.NoError(t, err)
		p.Hash = p.hash()
		require.Equal(t, p, got)
		got.Ops[0].A++
		got.Ops[0].Table = nil
		require.NotEqual(t, p.Hash, got.hash())
	})
}

func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCost(t)
		size := rapid.IntRange(0, 1<<29).Draw(t, "size")
		require.GreaterOrEqual(t, c.At(size+rapid.IntRange(0, 100).Draw(t, "more")), c.At(size))
	})
}

func TestErrors(t *testing.T) {
	good, err := embedded.ReadFile("data/server.yaml")
	require.NoError(t, err)
	for _, c := range []struct{ old, new, want string }{
		{"schema: 1", "schema: 2", `x.yaml:3:9: schema: is 2; allowed is 1 to 1`},
		{"origin: measured", "origin: guessed", `x.yaml:6:9: origin: is "guessed"; allowed: assumed, emulated, measured, none`},
		{"origin: measured", "origin: none", `x.yaml:6:9: origin: is none, but costs are given; want measured, emulated or assumed`},
		{"disk: {fsync", "disc: {fsync", `x.yaml:12:1: disc: unknown key "disc"; did you mean "disk"?`},
		{"  mac_verify: {linear: [172000, 0]}\n", "", `x.yaml:14:3: ops: key "mac_verify" is missing`},
		{"sign: {linear: [13900000, 0]}", "sign: {linear: [-1, 0]}", `x.yaml:17:19: ops.sign.linear[0]: is -1; allowed is 0 to 1000000000000000`},
		{"sign: {linear: [13900000, 0]}", "sign: {linear: [1]}", `x.yaml:17:18: ops.sign.linear: has 1 entries; want 2`},
		{"sign: {linear: [13900000, 0]}", "sign: {linear: [1, 2000000000]}", `x.yaml:17:18: ops.sign.linear: 2000000000 per byte; at most 1000000000`},
		{"sign: {linear: [13900000, 0]}", "sign: {}", `x.yaml:17:9: ops.sign: wants exactly one of linear: [a, b] and table: [[size, cost], ...]`},
		{"sign: {linear: [13900000, 0]}", "sign: {table: [[64, 5], [64, 6]]}", `x.yaml:17:27: ops.sign.table[1]: size 64 follows 64; sizes must ascend`},
		{"sign: {linear: [13900000, 0]}", "sign: {table: [[64, 5], [65, 4]]}", `x.yaml:17:27: ops.sign.table[1]: cost 4 follows 5; costs must not descend`},
		{"sign: {linear: [13900000, 0]}", "sing: {linear: [13900000, 0]}", `x.yaml:17:3: ops.sing: unknown key "sing"; did you mean "sign"?`},
		{"cores: 2", "cores: 0", `x.yaml:7:45: host.cores: is 0; allowed is 1 to 4096`},
		{"cores: 2", "cores: 2.5", `x.yaml:7:45: host.cores: is "2.5"; want an integer from 1 to 4096`},
	} {
		t.Run(c.new, func(t *testing.T) {
			text := strings.Replace(string(good), c.old, c.new, 1)
			require.NotEqual(t, string(good), text)
			_, err := Parse("x.yaml", []byte(text))
			require.EqualError(t, err, c.want)
		})
	}
	_, err = Load("sevrer")
	require.EqualError(t, err, `unknown profile "sevrer"; did you mean "server"? (a file needs an extension or a directory in its name)`)
	_, err = Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		data, err := embedded.ReadFile("data/" + name + ".yaml")
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("x", data)
		if err != nil {
			return
		}
		for op := range protocols.NumOps {
			if p.Ops[op].At(1000) < 0 {
				t.Fatal("negative cost")
			}
		}
	})
}

// scripted tasks take the time they are told to.
func scripted(name string, disk bool, perOp ...time.Duration) task {
	calls := 0
	return task{name: name, disk: disk, run: func(n int) (time.Duration, error) {
		calls++
		if calls == 1 { // sizing
			return time.Duration(n) * time.Second, nil
		}
		return time.Duration(n) * perOp[calls-2], nil
	}}
}

func TestInterleave(t *testing.T) {
	var order []int
	results, err := interleave([]task{
		scripted("a", false, 5, 4, 6, 9),
		scripted("b", true, 100, 300, 200, 400),
	}, 4, time.Second, func(r, of int) { order = append(order, r, of) })
	require.NoError(t, err)
	require.Equal(t, []int{0, 4, 1, 4, 2, 4, 3, 4}, order)
	require.Equal(t, Measurement{Name: "a", Min: 4000, Median: 5500, Rounds: 4}, results[0].measurement())
	require.Equal(t, Measurement{Name: "b", Min: 100_000, Median: 250_000, Rounds: 4}, results[1].measurement())
	require.EqualError(t, checkSpread(results), "the host is too noisy: medians lie more than 25 % above minima for a 37.5 %; measure again on an idle host, or force it")
	require.NoError(t, checkSpread(results[1:]), "the spread of a disk is its own")
}

func TestFit(t *testing.T) {
	require.Equal(t, Cost{A: 100, B: 3}, line([2]int{10, 110}, 130, 430))
	require.Equal(t, Cost{A: 500}, line([2]int{10, 110}, 500, 400), "never a negative slope")
	send, recv := IO{Flush: 2_000_000, Message: 120_000, Byte: 100}, IO{Flush: 1_500_000, Message: 90_000, Byte: 100}
	price := func(io IO, messages, bytes int64) int64 { return io.Flush + io.Message*messages + io.Byte*bytes }
	trip := func(messages, bytes int64) int64 {
		return 2*price(send, messages, bytes) + 2*price(recv, messages, bytes)
	}
	out, in := fitIO(price(send, 1, 64), price(send, 16, 1024), trip(1, 64), trip(16, 1024), trip(1, largeMessage))
	require.Equal(t, []IO{send, recv}, []IO{out, in})
}

// The real thing, as short as it gets: everything is measured and the result is
// a profile that Load accepts.
func TestMeasure(t *testing.T) {
	p, err := Measure(Options{Dir: t.TempDir(), Rounds: 3, Slice: 200 * time.Microsecond, Force: true})
	require.NoError(t, err)
	require.Equal(t, "measured", p.Origin)
	require.Equal(t, []string{"ops.apply", "ops.snapshot"}, p.Assumed)
	require.NotEmpty(t, p.Hash)
	for _, op := range []protocols.Op{protocols.OpDigest, protocols.OpMAC, protocols.OpSign, protocols.OpVerify, protocols.OpAppVerify} {
		require.Positive(t, p.Ops[op].At(64), op)
	}
	require.Positive(t, p.Fsync+p.PerRecord)
	file := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(file, p.Encode(), 0o600))
	again, err := Load(file)
	require.NoError(t, err)
	require.Equal(t, p, again)

	_, err = Measure(Options{Rounds: 1})
	require.EqualError(t, err, "calibration wants at least 3 rounds, not 1")
	_, err = Measure(Options{Dir: filepath.Join(t.TempDir(), "missing")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func BenchmarkCost(b *testing.B) {
	p, err := Load("pi4")
	require.NoError(b, err)
	for b.Loop() {
		p.Ops[protocols.OpDigest].At(200)
	}
}
