package smr

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// transfer fetches the state of a stable slot from another replica and serves the
// own one. A snapshot comes from one replica at a time, in chunks, and is believed
// only when the state restored from it has a digest that f+1 replicas vouch for; a
// replica that serves rubbish or nothing is passed over. Memory: one snapshot
// served, one being fetched.
type transfer struct {
	env     protocols.Env
	timeout time.Duration
	least   func() uint64 // lowest slot whose state is of use

	// The own stable state.
	slot     uint64
	digest   protocols.Digest
	snapshot []byte

	// The state being fetched; holders is empty when none is. A holder may send an
	// older state than the one aimed at, or a newer one, as long as it helps.
	want    uint64
	holders []int
	at      int // index into holders
	got     uint64
	gotSum  protocols.Digest
	chunks  [][]byte
	missing int
	timer   protocols.TimerID
	heard   bool // since the timer was set
}

const timerTransfer uint32 = 0x5301

// serve replaces the state that this replica hands out.
func (t *transfer) serve(slot uint64, digest protocols.Digest, snapshot []byte) {
	t.slot, t.digest, t.snapshot = slot, digest, snapshot
}

// busy reports whether a state at or above slot is being fetched.
func (t *transfer) busy(slot uint64) bool { return len(t.holders) > 0 && t.want >= slot }

// fetch begins, or raises the aim of a running transfer.
func (t *transfer) fetch(slot uint64, holders []int) {
	if t.busy(slot) || len(holders) == 0 {
		return
	}
	running := len(t.holders) > 0
	t.want = slot
	t.holders = append(t.holders[:0], holders...)
	if running {
		t.at %= len(t.holders)
	} else {
		// Spread the load: different replicas begin with different holders.
		t.at = t.env.Rand().IntN(len(t.holders))
	}
	t.restart()
}

func (t *transfer) restart() {
	t.got, t.chunks, t.missing = 0, nil, 0
	t.ask()
}

func (t *transfer) ask() {
	first := 0
	for first < len(t.chunks) && t.chunks[first] != nil {
		first++
	}
	t.env.Send(protocols.NodeID(t.holders[t.at]), &FetchState{Slot: t.least(), Chunk: uint32(first)})
	t.env.CancelTimer(t.timer)
	t.heard = false
	t.timer = t.env.SetTimer(t.timeout, timerTransfer, 0)
}

// next passes over the present holder.
func (t *transfer) next() {
	t.at = (t.at + 1) % len(t.holders)
	t.restart()
}

func (t *transfer) onTimeout() {
	if len(t.holders) == 0 {
		return
	}
	if t.heard { // slow, but coming: ask for what is missing
		t.ask()
		return
	}
	t.next()
}

func (t *transfer) onFetchState(from protocols.NodeID, m *FetchState) {
	if t.snapshot == nil || t.slot < m.Slot {
		return
	}
	total := (len(t.snapshot) + chunkSize - 1) / chunkSize
	for c := int(m.Chunk); c < total && c < int(m.Chunk)+chunksPerFetch; c++ {
		t.env.Send(from, &StateChunk{
			Slot: t.slot, Digest: t.digest, Chunk: uint32(c), Chunks: uint32(total),
			Data: t.snapshot[c*chunkSize : min((c+1)*chunkSize, len(t.snapshot))],
		})
	}
}

// onStateChunk returns the complete snapshot when the last chunk came.
func (t *transfer) onStateChunk(from protocols.NodeID, m *StateChunk) (slot uint64, digest protocols.Digest, snapshot []byte, complete bool) {
	if len(t.holders) == 0 || from != protocols.NodeID(t.holders[t.at]) || m.Slot < t.least() || m.Slot < t.got ||
		m.Chunks == 0 || m.Chunks > maxSnapshot/chunkSize || m.Chunk >= m.Chunks || len(m.Data) == 0 {
		return 0, protocols.Digest{}, nil, false
	}
	if m.Slot != t.got || len(t.chunks) != int(m.Chunks) {
		t.got, t.gotSum = m.Slot, m.Digest
		t.chunks = make([][]byte, m.Chunks)
		t.missing = int(m.Chunks)
		if m.Chunk != 0 { // the holder moved on to a newer state while we fetched
			t.ask()
			return 0, protocols.Digest{}, nil, false
		}
	}
	if t.chunks[m.Chunk] != nil {
		return 0, protocols.Digest{}, nil, false
	}
	t.chunks[m.Chunk] = m.Data
	t.missing--
	t.heard = true
	if t.missing > 0 {
		if (m.Chunk+1)%chunksPerFetch == 0 {
			t.ask()
		}
		return 0, protocols.Digest{}, nil, false
	}
	for _, c := range t.chunks {
		snapshot = append(snapshot, c...)
	}
	return t.got, t.gotSum, snapshot, true
}

// done ends the transfer.
func (t *transfer) done() {
	t.env.CancelTimer(t.timer)
	t.holders = t.holders[:0]
	t.chunks, t.missing, t.got = nil, 0, 0
}
