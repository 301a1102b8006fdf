package smr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/edgebft/edgebft/protocols"
)

// Executor applies ordered requests to the application, exactly once each, keeps
// the client table beside it, and takes both back together. It belongs to one
// lane.
//
// Undo is bounded by the caller: every request above the last Release costs one
// undo record here and whatever the application keeps.
type Executor struct {
	env     protocols.Env
	app     protocols.Application
	newApp  func() protocols.Application
	window  int
	clients *ClientTable
	ordered uint64           // requests executed, duplicates not counted: the index in the total order
	every   uint64           // requests per block; 0 is none
	block   protocols.Digest // of the requests of the present block so far
	undo    []undoRecord
	undoOn  bool
	scratch [64]byte
}

type undoRecord struct {
	version uint64 // application version before the request
	request *protocols.Request
	known   *Prechecked      // its signature checks and their answers
	block   protocols.Digest // block digest before it
	table   recorded         // how to take it back from the client table
}

// Result is the outcome of one executed request.
type Result struct {
	Request *protocols.Request
	// Reply is the application's result; nil when the request was a duplicate
	// whose reply is no longer cached.
	Reply []byte
	// Duplicate says that it had been executed before and nothing changed.
	Duplicate bool
}

// NewExecutor returns an executor over a fresh application. window is the number
// of replies kept per client; undo says whether Rollback will be used; block is the
// number of requests per block, 0 for none, which must be the same on all replicas
// for ever.
func NewExecutor(env protocols.Env, newApp func() protocols.Application, window int, undo bool, block uint64) *Executor {
	return &Executor{env: env, app: newApp(), newApp: newApp, window: window, clients: NewClientTable(window), undoOn: undo, every: block}
}

// Application returns the application, for reads.
func (x *Executor) Application() protocols.Application { return x.app }

// Executed is the number of requests executed since genesis.
func (x *Executor) Executed() uint64 { return x.ordered }

// Block returns the digest of the block of requests that ends with the last one
// executed; end is false if none ends there. A block's digest is the chain
// D(...D(D(s, r1), r2)..., rB) of the digests of its requests, where s is the digest
// of a domain string and the block's number from 1.
func (x *Executor) Block() (digest protocols.Digest, end bool) {
	if x.every == 0 || x.ordered == 0 || x.ordered%x.every != 0 {
		return protocols.Digest{}, false
	}
	return x.block, true
}

// absorb makes the request to be executed next part of its block.
func (x *Executor) absorb(r *protocols.Request) {
	if x.every == 0 {
		return
	}
	auth := x.env.Auth()
	if x.ordered%x.every == 0 {
		b := append(x.scratch[:0], blockDomain...)
		x.block = auth.Digest(binary.BigEndian.AppendUint64(b, x.ordered/x.every+1))
	}
	d := r.Known(auth)
	x.block = auth.Digest(append(append(x.scratch[:0], x.block[:]...), d[:]...))
}

const blockDomain = "edgebft/block/v1"

// Lookup answers from the client table.
func (x *Executor) Lookup(k protocols.RequestKey) (reply []byte, cached, done bool) {
	return x.clients.Executed(k)
}

// Apply executes r, unless it was executed before. known holds those of its signature
// checks whose answers are known; others are made now.
func (x *Executor) Apply(r *protocols.Request, known *Prechecked) Result {
	k := r.Key()
	if reply, _, done := x.clients.Executed(k); done {
		x.env.Emit(protocols.Event{Kind: protocols.EventDuplicate, Client: r.Client, Timestamp: r.Timestamp})
		return Result{Request: r, Reply: reply, Duplicate: true}
	}
	reply := x.do(r, known)
	x.env.Emit(protocols.Event{Kind: protocols.EventExecuted, Index: x.ordered, Client: r.Client, Timestamp: r.Timestamp, Digest: r.Known(x.env.Auth())})
	return Result{Request: r, Reply: reply}
}

// tooLong takes the place of a result that exceeds protocols.MaxOperation, which no
// REPLY and no snapshot could carry.
const tooLong = "edgebft: the result has more than 1048576 bytes"

// do executes a fresh request. It remembers the answers to its signature checks, so
// that executing it again costs none.
func (x *Executor) do(r *protocols.Request, known *Prechecked) []byte {
	auth := x.env.Auth()
	auth.Charge(protocols.OpApply, len(r.Op))
	if x.undoOn {
		x.undo = append(x.undo, undoRecord{version: x.app.Version(), request: r, block: x.block})
	}
	x.absorb(r)
	reply := x.app.Apply(r.Op, func(c protocols.SigCheck) bool {
		if ok, found := known.lookup(c); found {
			return ok
		}
		ok := auth.VerifyApp(c)
		if x.undoOn {
			if known == nil {
				known = new(Prechecked)
			}
			known.learn(c, ok)
		}
		return ok
	})
	if len(reply) > protocols.MaxOperation {
		reply = []byte(tooLong)
	}
	x.ordered++
	table := x.clients.record(r.Key(), x.ordered, reply)
	if x.undoOn {
		u := &x.undo[len(x.undo)-1]
		u.known, u.table = known, table
	} else {
		x.app.Release(x.app.Version())
	}
	return reply
}

// Rollback takes back everything above index.
func (x *Executor) Rollback(index uint64) error {
	if err := x.rewind(index); err != nil {
		return err
	}
	x.env.Emit(protocols.Event{Kind: protocols.EventRolledBack, Index: index})
	return nil
}

func (x *Executor) rewind(index uint64) error {
	if index > x.ordered || x.ordered-index > uint64(len(x.undo)) {
		return fmt.Errorf("rollback to %d: executed %d, the last %d can be taken back", index, x.ordered, len(x.undo))
	}
	n := len(x.undo) - int(x.ordered-index)
	if n == len(x.undo) {
		return nil
	}
	if err := x.app.Rollback(x.undo[n].version); err != nil { // first: it may refuse
		return fmt.Errorf("rollback to %d: %w", index, err)
	}
	for i := len(x.undo) - 1; i >= n; i-- {
		x.clients.undo(x.undo[i].table)
	}
	x.block, x.ordered = x.undo[n].block, index
	clear(x.undo[n:])
	x.undo = x.undo[:n]
	return nil
}

// Release says that nothing at or below index will be taken back.
func (x *Executor) Release(index uint64) {
	keep := x.ordered - min(index, x.ordered)
	if keep >= uint64(len(x.undo)) {
		return
	}
	cut := uint64(len(x.undo)) - keep
	n := copy(x.undo, x.undo[cut:])
	clear(x.undo[n:])
	x.undo = x.undo[:n]
	v := x.app.Version()
	if len(x.undo) > 0 {
		v = x.undo[0].version
	}
	x.app.Release(v)
}

// Digest is the checkpoint digest of the present state: application root, client
// table, number of executed requests and block digest. root is the first of them.
func (x *Executor) Digest() (digest, root protocols.Digest) {
	root = x.app.Root()
	b := make([]byte, 0, 256)
	b = append(b, "edgebft/checkpoint/v3"...)
	b = append(b, root[:]...)
	b = binary.BigEndian.AppendUint64(b, x.ordered)
	b = binary.BigEndian.AppendUint64(b, x.app.Version())
	b = append(b, x.block[:]...)
	clients := x.clients.Digest(x.env.Auth())
	b = append(b, clients[:]...)
	return x.env.Auth().Digest(b), root
}

// Snapshot returns the present state as bytes; equal states give equal bytes.
func (x *Executor) Snapshot() ([]byte, error) {
	var w bytes.Buffer
	head := binary.BigEndian.AppendUint64([]byte(snapshotMagic), x.ordered)
	w.Write(x.clients.AppendTo(append(head, x.block[:]...)))
	if err := x.app.Snapshot(&w); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	x.env.Auth().Charge(protocols.OpSnapshot, w.Len())
	return w.Bytes(), nil
}

// SnapshotAt returns the state at an earlier index that was not released: it takes
// back what came later, and executes it again. Nobody sees that.
func (x *Executor) SnapshotAt(index uint64) ([]byte, error) {
	if index > x.ordered || x.ordered-index > uint64(len(x.undo)) {
		return nil, fmt.Errorf("snapshot at %d: executed %d, the last %d can be taken back", index, x.ordered, len(x.undo))
	}
	again := slices.Clone(x.undo[uint64(len(x.undo))-(x.ordered-index):])
	if err := x.rewind(index); err != nil {
		return nil, err
	}
	snapshot, err := x.Snapshot()
	for _, u := range again {
		x.do(u.request, u.known)
	}
	return snapshot, err
}

// snapshotMagic begins every snapshot; its last character counts the formats.
const snapshotMagic = "edgebft3"

// Restore replaces the state by a snapshot if that is well formed and has this
// checkpoint digest; otherwise it leaves the state as it was and says why.
func (x *Executor) Restore(snapshot []byte, want protocols.Digest) error {
	x.env.Auth().Charge(protocols.OpSnapshot, len(snapshot))
	r := bytes.NewReader(snapshot)
	var head [len(snapshotMagic) + 8 + protocols.DigestSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:len(snapshotMagic)]) != snapshotMagic {
		return errors.New("snapshot: not one of ours")
	}
	clients, err := readClientTable(r, x.window)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	app := x.newApp()
	if err := app.Restore(r); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if r.Len() != 0 {
		return fmt.Errorf("snapshot: %d bytes after the state", r.Len())
	}
	fresh := Executor{
		env: x.env, app: app, newApp: x.newApp, window: x.window, clients: clients, undoOn: x.undoOn, every: x.every,
		ordered: binary.BigEndian.Uint64(head[len(snapshotMagic):]), block: protocols.Digest(head[len(snapshotMagic)+8:]),
	}
	if got, _ := fresh.Digest(); got != want {
		return fmt.Errorf("snapshot: digest %v, want %v", got, want)
	}
	*x = fresh
	return nil
}

// Prechecked holds the answers to the signature checks of a batch that were made
// before its execution, on the admission cores. A nil *Prechecked knows nothing.
type Prechecked struct {
	checks []protocols.SigCheck
	bad    Bitset
	next   int
}

// NewPrechecked collects the checks of a batch.
func NewPrechecked(app protocols.Application, batch []protocols.Request) *Prechecked {
	p := &Prechecked{}
	for i := range batch {
		p.checks = app.Checks(p.checks, batch[i].Op)
	}
	return p
}

// Checks returns what has to be checked.
func (p *Prechecked) Checks() []protocols.SigCheck { return p.checks }

// Answer records which of the checks failed.
func (p *Prechecked) Answer(bad []int) {
	for _, i := range bad {
		p.bad.Add(i)
	}
}

// learn records the answer to a check that was not announced.
func (p *Prechecked) learn(c protocols.SigCheck, ok bool) {
	c.Message, c.Signature = bytes.Clone(c.Message), bytes.Clone(c.Signature) // they may be scratch
	if !ok {
		p.bad.Add(len(p.checks))
	}
	p.checks = append(p.checks, c)
}

func (p *Prechecked) lookup(c protocols.SigCheck) (ok, found bool) {
	if p == nil {
		return false, false
	}
	// The application asks in the order in which it announced, so the answer is
	// almost always the next one.
	for range p.checks {
		if p.next >= len(p.checks) {
			p.next = 0
		}
		i := p.next
		p.next++
		q := &p.checks[i]
		if q.Key == c.Key && bytes.Equal(q.Signature, c.Signature) && bytes.Equal(q.Message, c.Message) {
			return !p.bad.Has(i), true
		}
	}
	return false, false
}
