package smr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/edgebft/edgebft/protocols"
)

// ClientTable remembers per client which requests were executed and the replies
// to the last ones: it makes execution exactly-once and answers retransmissions.
// One entry exists per client that ever had a request executed; each keeps the replies
// to the window latest requests, by timestamp. What is older than all of these was
// executed long ago or never will be: a correct client with at most window requests
// open has given it up. The table is part of the replicated state: it changes only
// when requests are executed.
type ClientTable struct {
	window  int
	entries map[protocols.NodeID]*clientEntry
	ids     []protocols.NodeID // in order of first appearance, which is the same everywhere
}

type clientEntry struct {
	done []executed // ascending timestamps
}

type executed struct {
	timestamp uint64
	result    []byte
}

// NewClientTable returns an empty table that keeps window replies per client
// (at least 1).
func NewClientTable(window int) *ClientTable {
	return &ClientTable{window: max(window, 1), entries: make(map[protocols.NodeID]*clientEntry)}
}

// Executed reports whether the request was executed, or is too old ever to be.
// The result is there if it is still cached.
func (t *ClientTable) Executed(k protocols.RequestKey) (result []byte, cached, done bool) {
	e := t.entries[k.Client]
	if e == nil {
		return nil, false, false
	}
	for i := len(e.done) - 1; i >= 0; i-- {
		if d := &e.done[i]; d.timestamp == k.Timestamp {
			return d.result, true, true
		}
	}
	return nil, false, len(e.done) == t.window && k.Timestamp < e.done[0].timestamp
}

// Record notes that a request was executed. The caller has checked that it was
// not executed before.
func (t *ClientTable) Record(k protocols.RequestKey, result []byte) {
	e := t.entries[k.Client]
	if e == nil {
		e = &clientEntry{}
		t.entries[k.Client] = e
		t.ids = append(t.ids, k.Client)
	}
	i := len(e.done)
	for i > 0 && e.done[i-1].timestamp > k.Timestamp {
		i--
	}
	if len(e.done) < t.window {
		e.done = append(e.done, executed{})
		copy(e.done[i+1:], e.done[i:])
		e.done[i] = executed{k.Timestamp, result}
		return
	}
	copy(e.done[:i-1], e.done[1:i]) // i > 0: what is older than all that is kept is not executed
	e.done[i-1] = executed{k.Timestamp, result}
}

// Len is the number of clients in the table.
func (t *ClientTable) Len() int { return len(t.entries) }

// restoreEntry puts back what copyEntry returned before a request was recorded;
// rollbacks undo requests in the reverse order of their execution.
func (t *ClientTable) restoreEntry(c protocols.NodeID, e *clientEntry) {
	if e == nil {
		delete(t.entries, c)
		t.ids = t.ids[:len(t.ids)-1]
		return
	}
	t.entries[c] = e
}

func (t *ClientTable) copyEntry(c protocols.NodeID) *clientEntry {
	e := t.entries[c]
	if e == nil {
		return nil
	}
	return &clientEntry{done: append([]executed(nil), e.done...)}
}

// sorted returns the ids in ascending order.
func (t *ClientTable) sorted() []protocols.NodeID {
	ids := append([]protocols.NodeID(nil), t.ids...)
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}

// AppendTo appends the canonical encoding: equal tables give equal bytes.
func (t *ClientTable) AppendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.entries)))
	for _, id := range t.sorted() {
		e := t.entries[id]
		b = binary.BigEndian.AppendUint32(b, uint32(id))
		b = binary.BigEndian.AppendUint32(b, uint32(len(e.done)))
		for _, d := range e.done {
			b = binary.BigEndian.AppendUint64(b, d.timestamp)
			b = binary.BigEndian.AppendUint32(b, uint32(len(d.result)))
			b = append(b, d.result...)
		}
	}
	return b
}

var errTable = errors.New("client table is malformed")

// readClientTable reads what AppendTo wrote. Allocation is bounded by the bytes
// read.
func readClientTable(r io.Reader, window int) (*ClientTable, error) {
	t := NewClientTable(window)
	var buf [12]byte
	u32 := func() (uint32, error) {
		_, err := io.ReadFull(r, buf[:4])
		return binary.BigEndian.Uint32(buf[:4]), err
	}
	u64 := func() (uint64, error) {
		_, err := io.ReadFull(r, buf[:8])
		return binary.BigEndian.Uint64(buf[:8]), err
	}
	n, err := u32()
	if err != nil {
		return nil, fmt.Errorf("client table: %w", err)
	}
	last := int64(-1)
	for ; n > 0; n-- {
		id, err := u32()
		if err != nil {
			return nil, fmt.Errorf("client table: %w", err)
		}
		if int64(id) <= last || protocols.NodeID(id) < 0 {
			return nil, errTable
		}
		last = int64(id)
		e := &clientEntry{}
		k, err := u32()
		if err != nil {
			return nil, fmt.Errorf("client table: %w", err)
		}
		if k == 0 || int(k) > t.window {
			return nil, errTable
		}
		for ; k > 0; k-- {
			var d executed
			if d.timestamp, err = u64(); err != nil {
				return nil, fmt.Errorf("client table: %w", err)
			}
			size, err := u32()
			if err != nil {
				return nil, fmt.Errorf("client table: %w", err)
			}
			if size > protocols.MaxOperation || len(e.done) > 0 && e.done[len(e.done)-1].timestamp >= d.timestamp {
				return nil, errTable
			}
			d.result = make([]byte, size)
			if _, err := io.ReadFull(r, d.result); err != nil {
				return nil, fmt.Errorf("client table: %w", err)
			}
			e.done = append(e.done, d)
		}
		t.entries[protocols.NodeID(id)] = e
		t.ids = append(t.ids, protocols.NodeID(id))
	}
	return t, nil
}
