package smr

import (
	"slices"
	"time"

	"github.com/edgebft/edgebft/protocols"
)

// transfer fetches the state of a stable slot from another replica and serves the
// own one. A snapshot comes from one replica at a time, in chunks, and is believed
// only when the state restored from it has a digest that f+1 replicas vouch for.
//
// A replica that serves rubbish, nothing, less than chunksPerFetch chunks in too many
// periods, or a snapshot of more than limit chunks is passed over. Nobody vouches for
// the size, so limit begins small; it doubles, and so does the patience with slow
// holders, whenever all have been tried in vain. So a liar costs at most as much memory
// and bandwidth as the states that correct holders might have, and time in proportion.
// Memory: one snapshot served, one being fetched.
type transfer struct {
	env     protocols.Env
	timeout time.Duration // a period at first; wait is the present one
	wait    time.Duration
	least   func() uint64 // lowest slot whose state is of use
	vouched func(slot uint64, digest protocols.Digest) bool

	// The own stable state.
	slot     uint64
	digest   protocols.Digest
	snapshot []byte

	// The state being fetched; holders is empty when none is. A holder may send an
	// older state than the one aimed at, or a newer one, as long as it helps and is
	// vouched for: now, or as one of the aims when it was asked for.
	want    uint64
	aims    []aim
	from    uint64 // older states have been offered, and could not be believed
	refused bool   // the present holder offered one
	holders []int
	at      int // index into holders
	got     uint64
	gotSum  protocols.Digest
	chunks  [][]byte
	missing int
	timer   protocols.TimerID
	fresh   int // chunks since the timer was set

	patience, poor int // periods that a holder may, and did, bring little
	limit          int // chunks that the state of a holder may have
	passed         int // holders passed over since these grew
}

type aim struct {
	slot   uint64
	digest protocols.Digest
}

// maxAims bounds the checkpoints remembered as aims of a running transfer;
// leastPatience is what a holder is borne with at first, in periods, leastLimit what
// it may send, in chunks (8 MiB).
const (
	maxAims       = 16
	leastPatience = 8
	leastLimit    = 128
	maxChunks     = maxSnapshot / chunkSize
	maxWait       = 64
)

const timerTransfer uint32 = 0x5301

// serve replaces the state that this replica hands out.
func (t *transfer) serve(slot uint64, digest protocols.Digest, snapshot []byte) {
	t.slot, t.digest, t.snapshot = slot, digest, snapshot
}

// busy reports whether a state at or above slot is being fetched.
func (t *transfer) busy(slot uint64) bool { return len(t.holders) > 0 && t.want >= slot }

// fetch begins, or raises the aim of a running transfer: what is on its way goes on,
// since a state that is older than the aim helps too.
func (t *transfer) fetch(slot uint64, digest protocols.Digest, holders []int) {
	if t.busy(slot) || len(holders) == 0 {
		return
	}
	if len(t.aims) == maxAims {
		t.aims = append(t.aims[:0], t.aims[1:]...)
	}
	t.aims = append(t.aims, aim{slot, digest})
	t.want = slot
	if len(t.holders) > 0 {
		present := t.holders[t.at]
		t.holders = append(t.holders[:0], holders...)
		if t.at = slices.Index(t.holders, present); t.at < 0 {
			t.at = len(t.holders)
			t.holders = append(t.holders, present)
		}
		return
	}
	t.holders = append(t.holders[:0], holders...)
	t.patience, t.limit, t.wait = leastPatience, leastLimit, t.timeout
	// Spread the load: different replicas begin with different holders.
	t.at = t.env.Rand().IntN(len(t.holders))
	t.restart()
}

func (t *transfer) restart() {
	t.got, t.gotSum, t.chunks, t.missing, t.poor, t.refused = 0, protocols.Digest{}, nil, 0, 0, false
	t.ask()
	t.watch()
}

// floor is the lowest slot whose state is of use and may be believed.
func (t *transfer) floor() uint64 { return max(t.least(), t.from) }

func (t *transfer) ask() {
	first := 0
	for first < len(t.chunks) && t.chunks[first] != nil {
		first++
	}
	t.env.Send(protocols.NodeID(t.holders[t.at]), &FetchState{Slot: t.floor(), Chunk: uint32(first)})
}

// watch sets the timer anew.
func (t *transfer) watch() {
	t.env.CancelTimer(t.timer)
	t.fresh = 0
	t.timer = t.env.SetTimer(t.wait, timerTransfer, 0)
}

// next passes over the present holder.
func (t *transfer) next() {
	t.at = (t.at + 1) % len(t.holders)
	if t.passed++; t.passed >= len(t.holders) {
		t.passed, t.patience, t.limit, t.from = 0, min(2*t.patience, 1<<20), min(2*t.limit, maxChunks), 0
		// The way there and back may take longer than the time-out.
		t.wait = min(2*t.wait, maxWait*t.timeout)
	}
	t.restart()
}

func (t *transfer) onTimeout() {
	if len(t.holders) == 0 {
		return
	}
	if t.want < t.least() { // got there by ordering meanwhile
		t.done()
		return
	}
	if t.fresh < chunksPerFetch {
		t.poor++
	}
	if t.fresh == 0 || t.poor > t.patience {
		t.next()
		return
	}
	t.ask() // slow, but coming: ask for what is missing
	t.watch()
}

// send sends some chunks of a snapshot.
func (t *transfer) send(to protocols.NodeID, first uint32, slot uint64, digest protocols.Digest, snapshot []byte) {
	total := (len(snapshot) + chunkSize - 1) / chunkSize
	for c := int(first); c < total && c < int(first)+chunksPerFetch; c++ {
		t.env.Send(to, &StateChunk{
			Slot: slot, Digest: digest, Chunk: uint32(c), Chunks: uint32(total),
			Data: snapshot[c*chunkSize : min((c+1)*chunkSize, len(snapshot))],
		})
	}
}

// onStateChunk returns the complete snapshot when the last chunk came.
func (t *transfer) onStateChunk(from protocols.NodeID, m *StateChunk) (slot uint64, digest protocols.Digest, snapshot []byte, complete bool) {
	if len(t.holders) == 0 || from != protocols.NodeID(t.holders[t.at]) || m.Slot < t.floor() || m.Slot < t.got ||
		m.Chunk >= m.Chunks || len(m.Data) == 0 || len(m.Data) > chunkSize || len(m.Data) < chunkSize && m.Chunk+1 < m.Chunks {
		return 0, protocols.Digest{}, nil, false
	}
	if m.Slot != t.got || m.Digest != t.gotSum || len(t.chunks) != int(m.Chunks) {
		if !t.believable(m.Slot, m.Digest) {
			if m.Slot < t.want { // too old to be known here: ask for a later one, once
				t.from = t.want
				if t.refused {
					t.next()
				} else {
					t.refused = true
					t.ask()
				}
			}
			return 0, protocols.Digest{}, nil, false
		}
		if m.Chunks > uint32(t.limit) {
			if m.Chunk == 0 && len(t.holders) > 1 {
				t.next() // a single one is asked again when the timer runs out
			}
			return 0, protocols.Digest{}, nil, false
		}
		if t.chunks != nil { // a holder that keeps changing its mind is passed over
			t.poor += leastPatience / 2
		}
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
	t.fresh++
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

func (t *transfer) believable(slot uint64, digest protocols.Digest) bool {
	return slices.Contains(t.aims, aim{slot, digest}) || t.vouched(slot, digest)
}

// done ends the transfer.
func (t *transfer) done() {
	t.env.CancelTimer(t.timer)
	t.holders, t.aims = t.holders[:0], t.aims[:0]
	t.chunks, t.missing, t.got, t.gotSum = nil, 0, 0, protocols.Digest{}
	t.from, t.poor, t.passed = 0, 0, 0
}
