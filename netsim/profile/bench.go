//lint:allow determinism calibration measures the host it runs on

package profile

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

// Sizes that are measured, in bytes.
var (
	digestSizes   = [...]int{64, 256, 1024, 4096, 16384}
	applySizes    = [2]int{64, 4096}
	snapshotSizes = [2]int{4096, 1 << 20}
)

const (
	smallMessage = 64
	largeMessage = 256 << 10
	batchOf      = 16
	manyRecords  = 64
	recordSize   = 200
)

// bench holds what the tasks work on.
type bench struct {
	o        *Options
	a, b     auth.Keys
	app      protocols.AppScheme
	link     *loopback
	log      *os.File
	filed    map[[32]byte]int
	snapshot []byte
}

func newBench(o *Options) (*bench, error) {
	ring := auth.NewReal(1, []byte("calibration"))
	b := &bench{o: o, a: ring.Keys(0), b: ring.Keys(1), app: ring.App(), filed: make(map[[32]byte]int)}
	log, err := os.Create(filepath.Join(o.Dir, fmt.Sprintf("edgebft-calibrate-%d", os.Getpid())))
	if err != nil {
		return nil, fmt.Errorf("calibration of durability: %w", err)
	}
	b.log = log
	if b.link, err = newLoopback(); err != nil {
		b.close()
		return nil, fmt.Errorf("calibration of sockets: %w", err)
	}
	return b, nil
}

func (b *bench) close() {
	if b.link != nil {
		b.link.close()
	}
	name := b.log.Name()
	_ = b.log.Close() // nothing in it is wanted
	_ = os.Remove(name)
}

// elapsed makes a task of code that runs on one thread.
func elapsed(f func(i int)) func(n int) (time.Duration, error) {
	return func(n int) (time.Duration, error) {
		t := time.Now()
		for i := range n {
			f(i)
		}
		return time.Since(t), nil
	}
}

func (b *bench) tasks() []task {
	var ts []task
	add := func(name string, run func(n int) (time.Duration, error)) { ts = append(ts, task{name: name, run: run}) }
	for _, size := range digestSizes {
		data := make([]byte, size)
		add(fmt.Sprintf("digest/%d", size), elapsed(func(int) { b.a.Digest(data) }))
	}
	s, d := auth.Scope{Use: auth.SealUse, Path: "", Type: 1}, protocols.Digest{1}
	mac, sig := b.a.MAC(s, 1, d), b.a.Sign(s, d)
	add("mac", elapsed(func(int) { b.a.MAC(s, 1, d) }))
	add("mac_verify", elapsed(func(int) { b.b.CheckMAC(s, 0, d, mac[:]) }))
	add("sign", elapsed(func(int) { b.a.Sign(s, d) }))
	add("verify", elapsed(func(int) { b.b.CheckSignature(s, 0, d, sig[:]) }))
	message := make([]byte, 150)
	key, appSig := b.app.Public([32]byte{1}), b.app.Sign([32]byte{1}, message)
	add("app_verify", elapsed(func(int) { b.app.Verify(key, message, appSig[:]) }))
	for _, size := range applySizes {
		op := make([]byte, size)
		add(fmt.Sprintf("apply/%d", size), elapsed(func(i int) { op[0], op[1] = byte(i), byte(i>>8); b.apply(op) }))
	}
	for _, size := range snapshotSizes {
		add(fmt.Sprintf("snapshot/%d", size), elapsed(func(int) { b.takeSnapshot(size) }))
	}
	small, large := make([]byte, smallMessage), make([]byte, largeMessage)
	add("send/64", func(n int) (time.Duration, error) { return b.link.send(n, 1, small) })
	add("send/16x64", func(n int) (time.Duration, error) { return b.link.send(n, batchOf, small) })
	add("exchange/64", func(n int) (time.Duration, error) { return b.link.exchange(n, 1, small) })
	add("exchange/16x64", func(n int) (time.Duration, error) { return b.link.exchange(n, batchOf, small) })
	add("exchange/262144", func(n int) (time.Duration, error) { return b.link.exchange(n, 1, large) })
	add("step", driveSteps)
	add("timer", driveTimers)
	ts = append(ts,
		task{name: "fsync/1", disk: true, run: func(n int) (time.Duration, error) { return b.sync(n, 1) }},
		task{name: fmt.Sprintf("fsync/%d", manyRecords), disk: true, run: func(n int) (time.Duration, error) { return b.sync(n, manyRecords) }})
	return ts
}

func (b *bench) apply(op []byte) {
	if b.o.Apply != nil {
		b.o.Apply(op)
		return
	}
	b.filed[sha256.Sum256(op)]++
}

func (b *bench) takeSnapshot(size int) {
	if b.o.Snapshot != nil {
		b.o.Snapshot(size)
		return
	}
	if len(b.snapshot) < size {
		b.snapshot = make([]byte, size)
	}
	out := append([]byte(nil), b.snapshot[:size]...)
	b.filed[sha256.Sum256(out)]++
}

// sync appends records in one write and makes them durable, n times. The file is
// empty at first and the clock starts when that is durable: an append allocates
// blocks and commits a size, which writing over old ones does not.
func (b *bench) sync(n, records int) (time.Duration, error) {
	if err := b.log.Truncate(0); err != nil {
		return 0, err
	}
	if _, err := b.log.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	if err := b.log.Sync(); err != nil {
		return 0, err
	}
	batch := make([]byte, records*recordSize)
	t := time.Now()
	for range n {
		if _, err := b.log.Write(batch); err != nil {
			return 0, err
		}
		if err := b.log.Sync(); err != nil {
			return 0, err
		}
	}
	return time.Since(t), nil
}

// null is the trivial handler.
type null struct{ count uint64 }

func (h *null) Start(protocols.Env, protocols.Boot) {}

func (h *null) Receive(*protocols.Envelope, protocols.Message, protocols.Verdicts) { h.count++ }

func (h *null) Timeout(protocols.Timer) { h.count++ }

// driveSteps hands n messages through a queue to a lane, as a host does, and
// gives the CPU time of both ends.
func driveSteps(n int) (time.Duration, error) {
	var node protocols.Node = new(null)
	queue, done := make(chan protocols.Message, 256), make(chan struct{})
	start := processCPU()
	go func() {
		defer close(done)
		var e protocols.Envelope
		for m := range queue {
			node.Receive(&e, m, protocols.Verdicts{})
		}
	}()
	m := new(protocols.Reply)
	for range n {
		queue <- m
	}
	close(queue)
	<-done
	return processCPU() - start, nil
}

// driveTimers sets n timers that fire at once, one after the other.
func driveTimers(n int) (time.Duration, error) {
	var node protocols.Node = new(null)
	fired := make(chan protocols.Timer, 1)
	start := processCPU()
	for i := range n {
		time.AfterFunc(0, func() { fired <- protocols.Timer{ID: protocols.TimerID(i + 1)} })
		node.Timeout(<-fired)
	}
	return processCPU() - start, nil
}

// loopback is a TCP connection of this process with itself.
type loopback struct{ near, far net.Conn }

func newLoopback() (*loopback, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := l.Accept()
	if err != nil {
		near.Close()
		return nil, err
	}
	return &loopback{near: near, far: far}, nil
}

func (l *loopback) close() {
	_ = l.near.Close()
	_ = l.far.Close()
}

// flush writes a batch of messages with one system call where the batch fits.
func flush(w *bufio.Writer, batch int, message []byte) error {
	for range batch {
		if _, err := w.Write(message); err != nil {
			return err
		}
	}
	return w.Flush()
}

// unread is how many bytes send leaves unread, well below any socket buffer.
const unread = 32 << 10

// send gives the CPU time of the sending thread for n flushes of small messages.
// The other end reads only between groups of flushes, so that the sender neither
// waits nor competes.
func (l *loopback) send(n, batch int, message []byte) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := bufio.NewWriterSize(l.near, 64<<10)
	group := unread / (batch * len(message))
	in := make([]byte, unread)
	var spent time.Duration
	for n > 0 {
		g := min(n, group)
		start := threadCPU()
		for range g {
			if err := flush(w, batch, message); err != nil {
				return 0, err
			}
		}
		spent += threadCPU() - start
		if _, err := io.ReadFull(l.far, in[:g*batch*len(message)]); err != nil {
			return 0, err
		}
		n -= g
	}
	return spent, nil
}

// exchange gives the CPU time of the process for n round trips: each is two
// flushes and two reads.
func (l *loopback) exchange(n, batch int, message []byte) (time.Duration, error) {
	answered := make(chan error, 1)
	turn := func(c net.Conn, first bool) error {
		w, r, in := bufio.NewWriterSize(c, 64<<10), bufio.NewReaderSize(c, 64<<10), make([]byte, len(message))
		for range n {
			if first {
				if err := flush(w, batch, message); err != nil {
					return err
				}
			}
			for range batch {
				if _, err := io.ReadFull(r, in); err != nil {
					return err
				}
			}
			if !first {
				if err := flush(w, batch, message); err != nil {
					return err
				}
			}
		}
		return nil
	}
	start := processCPU()
	go func() { answered <- turn(l.far, false) }()
	if err := turn(l.near, true); err != nil {
		return 0, err
	}
	err := <-answered
	return processCPU() - start, err
}
