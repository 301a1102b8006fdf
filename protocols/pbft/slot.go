package pbft

import (
	"slices"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// slot is the log entry of one sequence number above the last stable checkpoint.
type slot struct {
	seq uint64

	// The present vote view.
	accepted    bool // digest is this view's proposal
	digest      protocols.Digest
	hasBody     bool
	batch       []protocols.Request
	prepares    smr.Votes
	commits     smr.Votes
	voted       bool // PREPARE sent, or this replica is the primary
	prepared    bool
	committed   bool
	fetching    bool
	acceptedAt  protocols.Time
	held        *PrePrepare // waits until its requests are ready
	heldUnready smr.Bitset  // requests whose authenticator failed here

	// Across views: what VIEW-CHANGE reports.
	hasP   bool
	p      Entry
	q      []Entry // bounded by prePrepared, newest view last
	bodies []body  // of q, of fetched batches and of the decided one

	isDecided bool
	decided   protocols.Digest
}

type body struct {
	digest protocols.Digest
	batch  []protocols.Request
	logged bool
}

// startView forgets the votes of the view that was left.
func (s *slot) startView() {
	s.accepted, s.hasBody, s.voted, s.prepared, s.committed, s.fetching = false, false, false, false, false, false
	s.digest, s.batch, s.held = protocols.Digest{}, nil, nil
	s.prepares.Clear()
	s.commits.Clear()
	s.heldUnready.Clear()
}

// reset makes the slot stand for another sequence number.
func (s *slot) reset(seq uint64) {
	s.startView()
	s.seq = seq
	s.hasP, s.p = false, Entry{}
	s.isDecided, s.decided = false, protocols.Digest{}
	s.q = s.q[:0]
	clear(s.bodies)
	s.bodies = s.bodies[:0]
}

// prePrepared notes in Q that d was pre-prepared in view. The slot remembers the
// digests with the highest views: minTracked in any case, up to most while their
// batches take no more than spare bytes. Dropping an older one can cost progress in a
// later view change, never safety.
func (s *slot) prePrepared(d protocols.Digest, view uint64, most, spare int) {
	for i := range s.q {
		if s.q[i].Digest == d {
			s.q = append(s.q[:i], s.q[i+1:]...)
			break
		}
	}
	s.q = append(s.q, Entry{Seq: s.seq, Digest: d, View: view})
	for len(s.q) > most || len(s.q) > minTracked && s.bodyBytes() > spare {
		s.drop(s.q[0].Digest)
		s.q = append(s.q[:0], s.q[1:]...)
	}
	kept := s.bodies[:0]
	for _, b := range s.bodies {
		if s.tracked(b.digest) {
			kept = append(kept, b)
		}
	}
	clear(s.bodies[len(kept):])
	s.bodies = kept
}

// bodyBytes is the size of the batches that the slot keeps.
func (s *slot) bodyBytes() int {
	size := 0
	for i := range s.bodies {
		size += batchBytes(s.bodies[i].batch)
	}
	return size
}

// drop forgets the body of d unless something else than Q needs it.
func (s *slot) drop(d protocols.Digest) {
	if s.hasP && s.p.Digest == d || s.accepted && s.digest == d || s.isDecided && s.decided == d {
		return
	}
	s.bodies = slices.DeleteFunc(s.bodies, func(b body) bool { return b.digest == d })
}

// batchBytes is the size of a batch: operations and authenticators.
func batchBytes(batch []protocols.Request) int {
	size := 0
	for i := range batch {
		size += len(batch[i].Op) + len(batch[i].Auth)
	}
	return size
}

func (s *slot) tracked(d protocols.Digest) bool {
	if s.hasP && s.p.Digest == d || s.accepted && s.digest == d || s.isDecided && s.decided == d {
		return true
	}
	for i := range s.q {
		if s.q[i].Digest == d {
			return true
		}
	}
	return false
}

func (s *slot) keepBody(d protocols.Digest, batch []protocols.Request) {
	if _, ok := s.body(d); ok || d.IsZero() {
		return
	}
	s.bodies = append(s.bodies, body{digest: d, batch: batch})
}

// needsLog reports whether the body of d is not in the log yet, and notes that it
// will be.
func (s *slot) needsLog(d protocols.Digest) bool {
	for i := range s.bodies {
		if b := &s.bodies[i]; b.digest == d && !b.logged {
			b.logged = true
			return true
		}
	}
	return false
}

func (s *slot) body(d protocols.Digest) ([]protocols.Request, bool) {
	if d.IsZero() {
		return nil, true
	}
	for i := range s.bodies {
		if s.bodies[i].digest == d {
			return s.bodies[i].batch, true
		}
	}
	return nil, false
}

// log is the window of slots h < n <= h+L. Slots are made on first use and reused.
type log struct {
	window uint64
	ring   []*slot
}

func newLog(window int) log { return log{uint64(window), make([]*slot, window)} }

// at returns the slot of seq, made if need be; the caller has checked the window.
func (l *log) at(seq uint64) *slot {
	i := seq % l.window
	s := l.ring[i]
	if s == nil {
		s = &slot{seq: seq}
		l.ring[i] = s
	} else if s.seq != seq {
		s.reset(seq)
	}
	return s
}

// peek returns the slot of seq if it is in use.
func (l *log) peek(seq uint64) *slot {
	if s := l.ring[seq%l.window]; s != nil && s.seq == seq {
		return s
	}
	return nil
}

// each calls f for every used slot in (low, low+window], ascending.
func (l *log) each(low uint64, f func(s *slot)) {
	for seq := low + 1; seq <= low+l.window; seq++ {
		if s := l.peek(seq); s != nil {
			f(s)
		}
	}
}

// digestRequests computes the digests of requests that passed no admission: they came
// in a message without parts, or from the log.
func digestRequests(h protocols.Hasher, batch []protocols.Request) {
	for i := range batch {
		batch[i].Digest(h)
	}
}

// batchDigest covers every field of every request, authenticators included. The
// empty batch, the null request, has the zero digest.
func batchDigest(h protocols.Hasher, batch []protocols.Request) protocols.Digest {
	if len(batch) == 0 {
		return protocols.Digest{}
	}
	var stack [512]byte
	b := append(stack[:0], "edgebft/pbft/batch/v1"...)
	for i := range batch {
		r := &batch[i]
		d := r.Known(h)
		b = append(b, d[:]...)
		b = append(b, byte(len(r.Ident)), flag(r.Signed), byte(len(r.Auth)>>16), byte(len(r.Auth)>>8), byte(len(r.Auth)))
		b = append(b, r.Auth...)
	}
	return h.Digest(b)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
