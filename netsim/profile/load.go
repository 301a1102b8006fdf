package profile

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
)

//go:embed data/*.yaml
var embedded embed.FS

// Names returns the embedded profiles in ascending order.
func Names() []string {
	entries, err := embedded.ReadDir("data")
	if err != nil {
		panic("profile: embedded data: " + err.Error())
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(names) // "pi4-18.yaml" sorts before "pi4.yaml"
	return names
}

// Load returns the embedded profile of this name, or reads a file if the
// argument has an extension or a directory in it.
func Load(nameOrFile string) (*Profile, error) {
	if filepath.Ext(nameOrFile) == "" && !strings.ContainsAny(nameOrFile, `/\`) {
		data, err := embedded.ReadFile(path.Join("data", nameOrFile+".yaml"))
		if err != nil {
			return nil, fmt.Errorf("unknown profile %q%s (a file needs an extension or a directory in its name)", nameOrFile, protocols.Suggest(nameOrFile, Names()))
		}
		return Parse(nameOrFile+".yaml", data)
	}
	data, err := os.ReadFile(nameOrFile)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return Parse(nameOrFile, data)
}

// Bounds of what a file may say. Products of them fit into 63 bits.
const (
	maxCost    = 1e15 // picoseconds: 1,000 s
	maxPerByte = 1e9  // picoseconds: 1 ms
	maxBytes   = 1 << 30
	maxScale   = 1e6 // a thousand times slower
	maxCores   = 4096
	maxTable   = 1024
)

// Parse reads a profile. file appears in errors. The format, with every key that
// is known:
//
//	schema: 1
//	name: zen5-2vcpu
//	doc: one line                  # optional
//	origin: measured               # measured, emulated, assumed or none
//	host: {cpu: "...", cores: 2, arch: amd64, go: "1.26.8", os: linux, governor: "...", throttled: "...", load: "..."}
//	scale_permille: 1000           # optional; 6100 = 6.1 times slower
//	io:                            # [per flush, per message, per byte]
//	  tcp: {send: [2280000, 120000, 160], recv: [1550000, 100000, 100]}
//	  udp: {send: [3660000, 0, 0], recv: [1660000, 0, 16]}    # optional
//	step: {base: 200000, timer: 100000}
//	disk: {fsync: 68000000, per_record: 2500000}
//	ops:                           # every operation, in one of two forms
//	  digest: {linear: [65000, 460]}
//	  mac: {table: [[64, 155000], [1024, 604000]]}
//	  ...
//	assumed: [step, ops.apply]     # optional
//	measured:                      # optional: name, minimum, median, rounds
//	  - [digest/64, 95000, 97000, 5]
//
// Times are picoseconds. Tables ascend strictly in size and never descend in
// cost.
func Parse(file string, data []byte) (*Profile, error) {
	d := strict.NewReader(file, data)
	p := &Profile{ScalePermille: 1000}
	top := d.Root().Map("schema", "name", "doc", "origin", "host", "scale_permille", "io", "step", "disk", "ops", "assumed", "measured")
	top.Need("schema").Int(1, 1)
	p.Name = top.Need("name").Name()
	if v := top.Get("doc"); v.Present() {
		p.Doc = v.Text()
	}
	p.Origin = top.Need("origin").OneOf("measured", "emulated", "assumed", "none")
	p.parseHost(top.Need("host"))
	if v := top.Get("scale_permille"); v.Present() {
		p.ScalePermille = v.Int(1, maxScale)
	}
	sockets := top.Need("io").Map("tcp", "udp")
	tcp := parseSockets(sockets.Need("tcp"))
	p.Send, p.Recv = tcp.Send, tcp.Recv
	if v := sockets.Get("udp"); v.Present() {
		udp := parseSockets(v)
		p.UDP = &udp
	}
	step := top.Need("step").Map("base", "timer")
	p.StepBase, p.StepTimer = step.Need("base").Int(0, maxCost), step.Need("timer").Int(0, maxCost)
	disk := top.Need("disk").Map("fsync", "per_record")
	p.Fsync, p.PerRecord = disk.Need("fsync").Int(0, maxCost), disk.Need("per_record").Int(0, maxCost)
	ops := top.Need("ops").Map(opNames()...)
	for op := range p.Ops {
		p.Ops[op] = parseCost(ops.Need(protocols.Op(op).String()))
	}
	if v := top.Get("assumed"); v.Present() {
		for _, e := range v.List(0, 64) {
			p.Assumed = append(p.Assumed, e.Text())
		}
	}
	if v := top.Get("measured"); v.Present() {
		for _, e := range v.List(0, 256) {
			p.Measurements = append(p.Measurements, parseMeasurement(e))
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if p.Origin == "none" && !p.Free() {
		top.Get("origin").Failf("is none, but costs are given; want measured, emulated or assumed")
		return nil, d.Err()
	}
	p.Hash = p.hash()
	return p, nil
}

func opNames() []string {
	names := make([]string, protocols.NumOps)
	for op := range names {
		names[op] = protocols.Op(op).String()
	}
	return names
}

func (p *Profile) parseHost(v strict.Cursor) {
	m := v.Map("cpu", "cores", "arch", "go", "os", "governor", "throttled", "load")
	p.Host.CPU, p.Host.Arch = m.Need("cpu").Text(), m.Need("arch").Text()
	p.Cores = int(m.Need("cores").Int(1, maxCores))
	for _, f := range []struct {
		key string
		to  *string
	}{{"go", &p.Host.Go}, {"os", &p.Host.OS}, {"governor", &p.Host.Governor}, {"throttled", &p.Host.Throttled}, {"load", &p.Host.Load}} {
		if e := m.Get(f.key); e.Present() {
			*f.to = e.Text()
		}
	}
}

func parseSockets(v strict.Cursor) Sockets {
	m := v.Map("send", "recv")
	return Sockets{Send: parseIO(m.Need("send")), Recv: parseIO(m.Need("recv"))}
}

func parseIO(v strict.Cursor) IO {
	n := v.Ints(3, 0, maxCost)
	if n[2] > maxPerByte {
		v.Failf("%d per byte; at most %d", n[2], int64(maxPerByte))
	}
	return IO{Flush: n[0], Message: n[1], Byte: n[2]}
}

func parseCost(v strict.Cursor) (c Cost) {
	m := v.Map("linear", "table")
	linear, table := m.Get("linear"), m.Get("table")
	switch {
	case linear.Present() && table.Present(), len(m.Keys()) == 0:
		v.Failf("wants exactly one of linear: [a, b] and table: [[size, cost], ...]")
	case linear.Present():
		n := linear.Ints(2, 0, maxCost)
		if n[1] > maxPerByte {
			linear.Failf("%d per byte; at most %d", n[1], int64(maxPerByte))
		}
		c.A, c.B = n[0], n[1]
	default:
		for i, e := range table.List(1, maxTable) {
			n := e.Ints(2, 0, maxCost)
			if n[0] > maxBytes {
				e.Failf("size is %d; at most %d", n[0], maxBytes)
			}
			if i > 0 {
				last := c.Table[i-1]
				if n[0] <= last[0] {
					e.Failf("size %d follows %d; sizes must ascend", n[0], last[0])
				}
				if n[1] < last[1] {
					e.Failf("cost %d follows %d; costs must not descend", n[1], last[1])
				}
			}
			c.Table = append(c.Table, [2]int64{n[0], n[1]})
		}
	}
	return c
}

func parseMeasurement(v strict.Cursor) (m Measurement) {
	e := v.List(4, 4)
	if e == nil {
		return m
	}
	m.Name = e[0].Text()
	m.Min, m.Median = e[1].Int(0, maxCost), e[2].Int(0, maxCost)
	m.Rounds = int(e[3].Int(1, 1e6))
	if m.Median < m.Min {
		v.Failf("median %d is below the minimum %d", m.Median, m.Min)
	}
	return m
}

// Encode writes the profile in the format that Parse reads.
func (p *Profile) Encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "schema: 1\nname: %s\n", p.Name)
	if p.Doc != "" {
		fmt.Fprintf(&b, "doc: %q\n", p.Doc)
	}
	fmt.Fprintf(&b, "origin: %s\nhost:\n  cpu: %q\n  cores: %d\n  arch: %q\n", p.Origin, p.Host.CPU, p.Cores, p.Host.Arch)
	for _, f := range [][2]string{{"go", p.Host.Go}, {"os", p.Host.OS}, {"governor", p.Host.Governor}, {"throttled", p.Host.Throttled}, {"load", p.Host.Load}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "  %s: %q\n", f[0], f[1])
		}
	}
	fmt.Fprintf(&b, "scale_permille: %d\nio: # [per flush, per message, per byte], picoseconds\n  tcp: {send: [%d, %d, %d], recv: [%d, %d, %d]}\n",
		p.ScalePermille, p.Send.Flush, p.Send.Message, p.Send.Byte, p.Recv.Flush, p.Recv.Message, p.Recv.Byte)
	if u := p.UDP; u != nil {
		fmt.Fprintf(&b, "  udp: {send: [%d, %d, %d], recv: [%d, %d, %d]}\n", u.Send.Flush, u.Send.Message, u.Send.Byte, u.Recv.Flush, u.Recv.Message, u.Recv.Byte)
	}
	fmt.Fprintf(&b, "step: {base: %d, timer: %d}\ndisk: {fsync: %d, per_record: %d}\nops:\n", p.StepBase, p.StepTimer, p.Fsync, p.PerRecord)
	for op := range p.Ops {
		c := &p.Ops[op]
		if len(c.Table) == 0 {
			fmt.Fprintf(&b, "  %s: {linear: [%d, %d]}\n", protocols.Op(op), c.A, c.B)
			continue
		}
		rows := make([]string, len(c.Table))
		for i, r := range c.Table {
			rows[i] = fmt.Sprintf("[%d, %d]", r[0], r[1])
		}
		fmt.Fprintf(&b, "  %s: {table: [%s]}\n", protocols.Op(op), strings.Join(rows, ", "))
	}
	if len(p.Assumed) > 0 {
		quoted := make([]string, len(p.Assumed))
		for i, a := range p.Assumed {
			quoted[i] = fmt.Sprintf("%q", a)
		}
		fmt.Fprintf(&b, "assumed: [%s]\n", strings.Join(quoted, ", "))
	}
	if len(p.Measurements) > 0 {
		b.WriteString("measured: # [name, minimum, median, rounds], picoseconds\n")
		for _, m := range p.Measurements {
			fmt.Fprintf(&b, "  - [%q, %d, %d, %d]\n", m.Name, m.Min, m.Median, m.Rounds)
		}
	}
	return []byte(b.String())
}

// hash identifies what the file says, not how it says it: comments and layout do
// not matter.
func (p *Profile) hash() string {
	sum := sha256.Sum256(p.Encode())
	return hex.EncodeToString(sum[:8])
}
