package smr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// Bounds of a client table. They are part of the replicated state machine: all
// replicas of all clusters have the same.
const (
	// MaxClients is the number of clients that a table remembers. It never forgets
	// one, which could get a request executed twice: at the bound, requests of further
	// clients are not executed. How many ids there can be is up to whoever grants them.
	MaxClients = 1 << 20
	// MaxReplies bounds the cached replies, in bytes of results. At the bound the reply
	// to what was executed longest ago is dropped; the request still counts as executed,
	// but a client that has not heard of it yet will not get that reply.
	MaxReplies = 256 << 20
)

// ClientTable remembers per client which requests were executed and the replies
// to the last ones: it makes execution exactly-once and answers retransmissions.
// One entry exists per client that ever had a request executed; each keeps the replies
// to the window latest requests, by timestamp. What is older than all of these was
// executed long ago or never will be: a correct client with at most window requests
// open has given it up. The table is part of the replicated state: it changes only
// when requests are executed. Its bounds are MaxClients and MaxReplies.
type ClientTable struct {
	window, maxClients, maxBytes int

	entries map[protocols.NodeID]*clientEntry
	buckets [tableBuckets]tableBucket
	// The cached replies in the order of execution, and their bytes.
	oldest, newest *reply
	bytes          int
	scratch        []byte
}

// tableBuckets is the number of parts whose digests are kept: a checkpoint costs a
// hash of the entries that changed and of the buckets that they are in.
const tableBuckets = 1024

type tableBucket struct {
	ids  []protocols.NodeID // ascending
	sum  protocols.Digest
	good bool // sum is up to date
}

type clientEntry struct {
	done []*reply // ascending timestamps, 1 to window
	sum  protocols.Digest
	good bool
}

type reply struct {
	client     protocols.NodeID
	timestamp  uint64
	at         uint64 // number of the request in the order of execution
	result     []byte
	cached     bool
	prev, next *reply // among the cached ones
}

// NewClientTable returns an empty table that keeps window replies per client
// (at least 1).
func NewClientTable(window int) *ClientTable {
	return &ClientTable{
		window: max(window, 1), maxClients: MaxClients, maxBytes: MaxReplies,
		entries: make(map[protocols.NodeID]*clientEntry),
	}
}

// Executed reports whether the request was executed, or never will be. The result is
// there if it is still cached.
func (t *ClientTable) Executed(k protocols.RequestKey) (result []byte, cached, done bool) {
	e := t.entries[k.Client]
	if e == nil {
		return nil, false, len(t.entries) >= t.maxClients
	}
	for i := len(e.done) - 1; i >= 0; i-- {
		if r := e.done[i]; r.timestamp == k.Timestamp {
			return r.result, r.cached, true
		}
	}
	return nil, false, len(e.done) == t.window && k.Timestamp < e.done[0].timestamp
}

// recorded says how to take a Record back.
type recorded struct {
	added, evicted *reply
	wasCached      bool // evicted was
	dropped        []droppedReply
}

type droppedReply struct {
	*reply
	result []byte
}

// Record notes that a request was executed, as number at in the order of execution,
// which ascends. The caller has checked that Executed denies it.
func (t *ClientTable) Record(k protocols.RequestKey, at uint64, result []byte) {
	t.record(k, at, result)
}

func (t *ClientTable) record(k protocols.RequestKey, at uint64, result []byte) recorded {
	e := t.entries[k.Client]
	if e == nil {
		e = &clientEntry{}
		t.entries[k.Client] = e
		b := t.bucket(k.Client)
		i, _ := slices.BinarySearch(b.ids, k.Client)
		b.ids = slices.Insert(b.ids, i, k.Client)
	}
	t.touch(k.Client, e)
	r := &reply{client: k.Client, timestamp: k.Timestamp, at: at, result: result, cached: true}
	u := recorded{added: r}
	i := len(e.done)
	for i > 0 && e.done[i-1].timestamp > k.Timestamp {
		i--
	}
	if len(e.done) < t.window {
		e.done = slices.Insert(e.done, i, r)
	} else { // i > 0: what is older than all that is kept is not executed
		u.evicted, u.wasCached = e.done[0], e.done[0].cached
		copy(e.done[:i-1], e.done[1:i])
		e.done[i-1] = r
		if u.wasCached {
			t.unlink(u.evicted)
		}
	}
	r.prev = t.newest
	t.link(r)
	for t.bytes > t.maxBytes && t.oldest != r {
		o := t.oldest
		t.unlink(o)
		u.dropped = append(u.dropped, droppedReply{o, o.result})
		o.result, o.cached = nil, false
		t.touch(o.client, t.entries[o.client])
	}
	return u
}

// undo takes back the last record that was not taken back yet.
func (t *ClientTable) undo(u recorded) {
	for i := len(u.dropped) - 1; i >= 0; i-- {
		d := u.dropped[i]
		d.reply.result, d.cached = d.result, true
		t.link(d.reply)
		t.touch(d.client, t.entries[d.client])
	}
	r := u.added
	t.unlink(r)
	e := t.entries[r.client]
	t.touch(r.client, e)
	i := slices.Index(e.done, r)
	switch {
	case u.evicted != nil:
		copy(e.done[1:i+1], e.done[:i])
		e.done[0] = u.evicted
		if u.wasCached {
			t.link(u.evicted)
		}
	case len(e.done) > 1:
		e.done = slices.Delete(e.done, i, i+1)
	default:
		delete(t.entries, r.client)
		b := t.bucket(r.client)
		i, _ := slices.BinarySearch(b.ids, r.client)
		b.ids = slices.Delete(b.ids, i, i+1)
	}
}

// link puts r between its neighbours; unlink takes it out and leaves it knowing them.
// So what is unlinked can be linked again when everything later is taken back.
func (t *ClientTable) link(r *reply) {
	if r.prev != nil {
		r.prev.next = r
	} else {
		t.oldest = r
	}
	if r.next != nil {
		r.next.prev = r
	} else {
		t.newest = r
	}
	t.bytes += len(r.result)
}

func (t *ClientTable) unlink(r *reply) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		t.oldest = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		t.newest = r.prev
	}
	t.bytes -= len(r.result)
}

func (t *ClientTable) bucket(c protocols.NodeID) *tableBucket {
	return &t.buckets[uint32(c)%tableBuckets]
}

// touch says that the entry of a client changes.
func (t *ClientTable) touch(c protocols.NodeID, e *clientEntry) {
	e.good, t.bucket(c).good = false, false
}

// Len is the number of clients in the table.
func (t *ClientTable) Len() int { return len(t.entries) }

// Digest is a digest of the whole table. It hashes what has changed since the last
// call, and at most 34 KiB beside.
func (t *ClientTable) Digest(h protocols.Hasher) protocols.Digest {
	top := append(make([]byte, 0, 256), "edgebft/clients/v1"...)
	for i := range t.buckets {
		b := &t.buckets[i]
		if len(b.ids) == 0 {
			continue
		}
		if !b.good {
			sums := make([]byte, 0, len(b.ids)*protocols.DigestSize)
			for _, id := range b.ids {
				e := t.entries[id]
				if !e.good {
					t.scratch = e.appendTo(t.scratch[:0], id)
					e.sum, e.good = h.Digest(t.scratch), true
				}
				sums = append(sums, e.sum[:]...)
			}
			b.sum, b.good = h.Digest(sums), true
		}
		top = binary.BigEndian.AppendUint16(top, uint16(i))
		top = append(top, b.sum[:]...)
	}
	return h.Digest(top)
}

// appendTo appends the canonical encoding of one entry.
func (e *clientEntry) appendTo(b []byte, id protocols.NodeID) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.done)))
	for _, r := range e.done {
		b = binary.BigEndian.AppendUint64(b, r.timestamp)
		b = binary.BigEndian.AppendUint64(b, r.at)
		if !r.cached {
			b = binary.BigEndian.AppendUint32(b, replyDropped)
			continue
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(r.result)))
		b = append(b, r.result...)
	}
	return b
}

// replyDropped stands in place of the length of a reply that is not cached any more.
const replyDropped = 1<<32 - 1

// AppendTo appends the canonical encoding: equal tables give equal bytes. It begins
// with the number of clients and goes by bucket, then by id.
func (t *ClientTable) AppendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.entries)))
	for i := range t.buckets {
		for _, id := range t.buckets[i].ids {
			b = t.entries[id].appendTo(b, id)
		}
	}
	return b
}

var errTable = errors.New("client table is malformed")

// readClientTable reads what AppendTo wrote. Allocation is bounded by the bytes
// read.
func readClientTable(r io.Reader, window int) (*ClientTable, error) {
	t := NewClientTable(window)
	var cached []*reply
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("client table: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxClients {
		return nil, fmt.Errorf("client table: %d clients; allowed are %d", n, MaxClients)
	}
	at, last := uint32(0), int64(-1)
	for ; n > 0; n-- {
		id, e, err := t.readEntry(r)
		if err != nil {
			return nil, err
		}
		b := uint32(id) % tableBuckets
		if id < 0 || b < at || b == at && int64(id) <= last {
			return nil, errTable
		}
		at, last = b, int64(id)
		t.entries[id] = e
		t.buckets[b].ids = append(t.buckets[b].ids, id)
		for _, r := range e.done {
			if r.cached {
				cached = append(cached, r)
			}
		}
	}
	sort.Slice(cached, func(i, j int) bool { return cached[i].at < cached[j].at })
	for _, r := range cached {
		r.prev = t.newest
		t.link(r)
	}
	return t, nil
}

func (t *ClientTable) readEntry(r io.Reader) (protocols.NodeID, *clientEntry, error) {
	var buf [20]byte
	if _, err := io.ReadFull(r, buf[:8]); err != nil {
		return 0, nil, fmt.Errorf("client table: %w", err)
	}
	id, k := protocols.NodeID(binary.BigEndian.Uint32(buf[:])), binary.BigEndian.Uint32(buf[4:])
	if k == 0 || uint64(k) > uint64(t.window) {
		return 0, nil, fmt.Errorf("client table: %d replies of client %d; allowed are 1 to %d", k, id, t.window)
	}
	e := &clientEntry{}
	for ; k > 0; k-- {
		if _, err := io.ReadFull(r, buf[:]); err != nil {
			return 0, nil, fmt.Errorf("client table: %w", err)
		}
		d := &reply{client: id, timestamp: binary.BigEndian.Uint64(buf[:]), at: binary.BigEndian.Uint64(buf[8:])}
		size := binary.BigEndian.Uint32(buf[16:])
		if size != replyDropped && size > protocols.MaxOperation ||
			len(e.done) > 0 && e.done[len(e.done)-1].timestamp >= d.timestamp {
			return 0, nil, errTable
		}
		if size != replyDropped {
			d.cached, d.result = true, make([]byte, size)
			if _, err := io.ReadFull(r, d.result); err != nil {
				return 0, nil, fmt.Errorf("client table: %w", err)
			}
		}
		e.done = append(e.done, d)
	}
	return id, e, nil
}
