//lint:allow determinism calibration measures the host it runs on

package profile

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/edgebft/edgebft/internal/strict"
	"github.com/edgebft/edgebft/protocols"
)

// MaxSpreadPermille is the largest distance of a median from its minimum, in per
// mille of the minimum, that Measure accepts unless forced.
const MaxSpreadPermille = 250

// Options of Measure. The zero value measures with the defaults.
type Options struct {
	// Name of the profile; default "calibrated".
	Name string
	// Dir is where durability is measured; default the temporary directory. Put it
	// on the disk that the log will lie on.
	Dir string
	// Rounds is how often everything is measured, in turn; default 7, at least 3.
	Rounds int
	// Slice is how long one measurement of one round takes; default 20 ms.
	Slice time.Duration
	// Force accepts any spread.
	Force bool
	// Progress, if set, is called before each round.
	Progress func(round, rounds int)
	// Apply applies one operation of the application to be charged. The default
	// hashes the operation and files the digest in a map.
	Apply func(op []byte)
	// Snapshot writes or reads a snapshot of size bytes. The default copies and
	// hashes as many.
	Snapshot func(size int)
}

// Check reports what is wrong with the options: what Measure would refuse before or,
// as the name, only after it has measured.
func (o *Options) Check() error {
	if o.Rounds != 0 && o.Rounds < 3 {
		return fmt.Errorf("calibration wants at least 3 rounds, not %d", o.Rounds)
	}
	if o.Name != "" && !strict.IsName(o.Name) {
		return fmt.Errorf("the profile cannot be called %q; a name has up to 64 lower-case letters, digits, '.', '_' or '-'", o.Name)
	}
	return nil
}

// Measure measures this host: hashing, MACs and signatures as package auth makes
// them, socket work over loopback TCP, making records durable in Dir, and
// handing a message or a timer to a trivial handler.
//
// Everything is measured once per round, so that a disturbance hits one round of
// all rather than all rounds of one. CPU costs are the minima, as is usual for
// code that interference can only slow down; durability is the median, because
// its variation is the disk's own. Both are kept in Measurements with their
// spread. A spread above MaxSpreadPermille of a CPU cost is an error unless
// forced: such a host is too noisy to calibrate. The profile is returned even
// then.
//
// Loopback has no network interface and few interrupts: the socket figures are a
// lower bound. TLS is not in them.
func Measure(o Options) (*Profile, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "calibrated"
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if o.Rounds == 0 {
		o.Rounds = 7
	}
	if o.Slice <= 0 {
		o.Slice = 20 * time.Millisecond
	}
	host := hostFacts()
	b, err := newBench(&o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	results, err := interleave(b.tasks(), o.Rounds, o.Slice, o.Progress)
	if err != nil {
		return nil, err
	}
	p := assemble(results)
	p.Name, p.Origin, p.Host = o.Name, "measured", host
	p.Doc = "Measured by edgebft calibrate"
	p.Cores, p.ScalePermille = runtime.NumCPU(), 1000
	if o.Apply == nil {
		p.Assumed = append(p.Assumed, "ops.apply")
	}
	if o.Snapshot == nil {
		p.Assumed = append(p.Assumed, "ops.snapshot")
	}
	p.Hash = p.hash()
	if _, err := Parse(o.Name, p.Encode()); err != nil { // what Measure gives, Load must take
		return nil, err
	}
	if o.Force {
		return p, nil
	}
	return p, checkSpread(results)
}

// A task measures one thing n times and says how long that took.
type task struct {
	name string
	disk bool // spread is the disk's own and does not count
	run  func(n int) (time.Duration, error)
}

// interleave measures all tasks once per round. A first run sizes n so that one
// measurement takes about slice.
func interleave(tasks []task, rounds int, slice time.Duration, progress func(round, rounds int)) ([]result, error) {
	results := make([]result, len(tasks))
	sizes := make([]int, len(tasks))
	for i, t := range tasks {
		results[i].task = t
		n := 4
		for {
			d, err := t.run(n)
			if err != nil {
				return nil, fmt.Errorf("calibration of %s: %w", t.name, err)
			}
			if d >= slice/4 || n >= 1<<26 {
				n = int(int64(n) * int64(slice) / max(int64(d), 1))
				break
			}
			n *= 4
		}
		sizes[i] = min(max(n, 1), 1<<26)
	}
	for r := range rounds {
		if progress != nil {
			progress(r, rounds)
		}
		for i, t := range tasks {
			d, err := t.run(sizes[i])
			if err != nil {
				return nil, fmt.Errorf("calibration of %s: %w", t.name, err)
			}
			results[i].samples = append(results[i].samples, mulDiv(max(int64(d), 0), 1000, int64(sizes[i])))
		}
	}
	return results, nil
}

// result holds the samples of a task in picoseconds per operation.
type result struct {
	task
	samples []int64
}

func (r *result) measurement() Measurement {
	s := slices.Clone(r.samples)
	slices.Sort(s)
	median := s[len(s)/2]
	if len(s)%2 == 0 {
		median = (s[len(s)/2-1] + median) / 2
	}
	return Measurement{Name: r.name, Min: s[0], Median: median, Rounds: len(s)}
}

func checkSpread(results []result) error {
	var noisy []string
	for i := range results {
		m := results[i].measurement()
		if s := m.SpreadPermille(); !results[i].disk && s > MaxSpreadPermille {
			noisy = append(noisy, fmt.Sprintf("%s %d.%d %%", m.Name, s/10, s%10))
		}
	}
	if len(noisy) == 0 {
		return nil
	}
	return &SpreadError{Noisy: noisy}
}

// SpreadError says that the host was too noisy to be calibrated.
type SpreadError struct{ Noisy []string }

func (e *SpreadError) Error() string {
	return fmt.Sprintf("the host is too noisy: medians lie more than %d %% above minima for %s; measure again on an idle host, or force it",
		MaxSpreadPermille/10, strings.Join(e.Noisy, ", "))
}

// assemble turns measurements into costs.
func assemble(results []result) *Profile {
	p := new(Profile)
	at := func(name string) int64 {
		for i := range results {
			if results[i].name == name {
				m := results[i].measurement()
				if results[i].disk {
					return m.Median
				}
				return m.Min
			}
		}
		panic("profile: nothing measures " + name)
	}
	for i := range results {
		p.Measurements = append(p.Measurements, results[i].measurement())
	}
	digest := &p.Ops[protocols.OpDigest]
	for _, size := range digestSizes {
		c := at(fmt.Sprintf("digest/%d", size))
		if n := len(digest.Table); n > 0 {
			c = max(c, digest.Table[n-1][1]) // noise must not make a table descend
		}
		digest.Table = append(digest.Table, [2]int64{int64(size), c})
	}
	for _, op := range []protocols.Op{protocols.OpMAC, protocols.OpMACVerify, protocols.OpSign, protocols.OpVerify, protocols.OpAppVerify} {
		p.Ops[op] = Cost{A: at(op.String())}
	}
	p.Ops[protocols.OpApply] = line(applySizes, at(fmt.Sprintf("apply/%d", applySizes[0])), at(fmt.Sprintf("apply/%d", applySizes[1])))
	p.Ops[protocols.OpSnapshot] = line(snapshotSizes, at(fmt.Sprintf("snapshot/%d", snapshotSizes[0])), at(fmt.Sprintf("snapshot/%d", snapshotSizes[1])))

	p.Send, p.Recv = fitIO(at("send/64"), at("send/16x64"), at("exchange/64"), at("exchange/16x64"), at("exchange/262144"))

	p.StepBase, p.StepTimer = at("step"), at("timer")
	one, many := at("fsync/1"), at(fmt.Sprintf("fsync/%d", manyRecords))
	p.PerRecord = max((many-one)/(manyRecords-1), 0)
	p.Fsync = max(one-p.PerRecord, 0)
	return p
}

// line fits cost = A + B*size through two points, without going negative.
func line(sizes [2]int, small, large int64) Cost {
	b := max(large-small, 0) / int64(sizes[1]-sizes[0])
	return Cost{A: max(small-b*int64(sizes[0]), 0), B: b}
}

// fitIO solves flush + messages + bytes for both directions. A round trip costs
// two sends and two receives, so half of one, less a send, is a receive, with
// what waking the receiver takes. Bytes are copied once on each side: their cost
// is split evenly.
func fitIO(send, sendBatch, trip, tripBatch, tripLarge int64) (out, in IO) {
	perByte := max(tripLarge-trip, 0) / (4 * (largeMessage - smallMessage))
	solve := func(one, batch int64) IO {
		perMessage := max(batch-one-perByte*smallMessage*(batchOf-1), 0) / (batchOf - 1)
		return IO{Flush: max(one-perMessage-perByte*smallMessage, 0), Message: perMessage, Byte: perByte}
	}
	return solve(send, sendBatch), solve(max(trip/2-send, 0), max(tripBatch/2-sendBatch, 0))
}

// hostFacts reads what is known of this machine; what cannot be read is left out.
func hostFacts() Host {
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		s, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
		return strings.ToValidUTF8(s[:min(len(s), 200)], "")
	}
	h := Host{
		CPU: "unknown", Arch: runtime.GOARCH, OS: runtime.GOOS, Go: strings.TrimPrefix(runtime.Version(), "go"),
		Governor:  read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Throttled: read("/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"),
		Load:      read("/proc/loadavg"),
	}
	data, err := os.ReadFile("/proc/cpuinfo")
	if errors.Is(err, os.ErrNotExist) {
		return h
	}
	for _, l := range strings.Split(string(data), "\n") {
		key, value, ok := strings.Cut(l, ":")
		if k := strings.TrimSpace(key); ok && (k == "model name" || k == "Model") && strings.TrimSpace(value) != "" {
			h.CPU = strings.ToValidUTF8(strings.TrimSpace(value), "")
			break
		}
	}
	return h
}
