package pbft

import (
	"slices"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// Checkpoint implements smr.Orderer: the shell's state after seq has this digest.
func (o *Orderer) Checkpoint(seq uint64, d protocols.Digest) {
	if seq <= o.h {
		return
	}
	o.own = append(o.own, CheckpointEntry{seq, d})
	o.countCheckpoint(int(o.cfg.Self), seq, d)
	if o.learner == nil && !o.recovering {
		o.record(&CheckpointRecord{Seq: seq, Digest: d})
		o.env.Multicast(o.cfg.Replicas, &Checkpoint{Seq: seq, Digest: d})
	}
}

// onCheckpoint handles CHECKPOINT.
func (o *Orderer) onCheckpoint(from protocols.NodeID, m *Checkpoint) {
	if m.Seq <= o.h || m.Seq%uint64(o.cfg.Interval) != 0 {
		return
	}
	if o.inWindow(m.Seq) {
		o.countCheckpoint(int(from), m.Seq, m.Digest)
		return
	}
	if m.Seq <= o.ahead[from].Seq {
		return
	}
	o.ahead[from] = CheckpointEntry{m.Seq, m.Digest}
	o.prove()
	if o.Vouched(m.Seq, m.Digest) {
		o.fallBehind(m.Seq, m.Digest)
	}
}

func (o *Orderer) countCheckpoint(from int, seq uint64, d protocols.Digest) {
	votes := o.checkpoints[seq]
	if votes == nil {
		votes = new(smr.Votes)
		o.checkpoints[seq] = votes
	}
	votes.Add(from, d)
	if seq > o.delivered && seq > o.target.Seq && votes.Count(d) >= o.weak {
		// A correct replica is there already. If the next ticks bring no progress,
		// its state is fetched.
		o.target = CheckpointEntry{seq, d}
		o.armResend()
	}
	o.checkStable(seq, votes)
}

// checkStable makes a checkpoint stable when 2f+1 replicas agree on it and this
// replica has that state itself.
func (o *Orderer) checkStable(seq uint64, votes *smr.Votes) {
	d, count := votes.Leader()
	if count < o.quorum-o.cfg.mutate.skipStability {
		return
	}
	for _, own := range o.own {
		if own.Seq != seq {
			continue
		}
		if own.Digest == d {
			o.makeStable(seq, d)
			return
		}
		o.env.Emit(protocols.Event{Kind: protocols.EventProtocol, Seq: seq, Digest: own.Digest, Note: "own state differs from the stable checkpoint"})
		o.diverged = seq
		o.shell.Behind(seq, d, votes.Voters(d))
		return
	}
}

// Vouched implements smr.Orderer: f+1 replicas sent this checkpoint.
func (o *Orderer) Vouched(seq uint64, d protocols.Digest) bool {
	return len(o.holders(seq, d)) >= o.weak
}

// holders lists the replicas that sent this checkpoint.
func (o *Orderer) holders(seq uint64, d protocols.Digest) []int {
	var out []int
	if votes := o.checkpoints[seq]; votes != nil {
		out = votes.Voters(d)
	}
	for i, a := range o.ahead {
		if a.Seq == seq && a.Digest == d {
			out = append(out, i)
		}
	}
	if nv := o.newView; len(out) < o.weak && nv != nil && nv.Stable == seq && nv.StableDigest == d {
		// The NEW-VIEW's checkpoint rests on f+1 VIEW-CHANGEs. Those that this replica
		// has not seen, since others vouched for the NEW-VIEW, may be anybody's.
		for _, ref := range nv.ViewChanges {
			if vc := o.findViewChange(nv.View, ref); vc != nil && hasCheckpoint(vc, seq, d) && !contains(out, int(ref.Replica)) {
				out = append(out, int(ref.Replica))
			}
		}
		for i := 0; i < o.cfg.N && len(out) < o.weak; i++ {
			if i != int(o.cfg.Self) && !contains(out, i) {
				out = append(out, i)
			}
		}
	}
	return out
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

func hasCheckpoint(vc *ViewChange, seq uint64, d protocols.Digest) bool {
	for _, c := range vc.Checkpoints {
		if c.Seq == seq && c.Digest == d {
			return true
		}
	}
	return false
}

// fallBehind asks the shell to fetch a state that ordering will not reach.
func (o *Orderer) fallBehind(seq uint64, d protocols.Digest) {
	if seq <= o.delivered {
		return
	}
	if seq > o.target.Seq {
		o.target = CheckpointEntry{seq, d}
	}
	o.armResend()
	o.shell.Behind(seq, d, o.holders(seq, d))
}

// makeStable moves the low watermark h to seq and drops the log up to it. The record
// comes before the state that the shell may make durable: a state without it was
// fetched, and is not proven.
func (o *Orderer) makeStable(seq uint64, d protocols.Digest) {
	o.env.Emit(protocols.Event{Kind: protocols.EventCheckpoint, View: o.view, Seq: seq, Digest: d})
	o.record(&StableRecord{Seq: seq, Digest: d})
	if o.shell.Stable(seq, d) {
		o.durable = max(o.durable, seq)
	}
	o.moveWindow(seq, d)
}

// prove moves the low watermark towards a fetched state as far as that is safe. f+1
// replicas vouch for such a state, of which one may be correct: if this replica dropped
// its log up to there, no 2f+1 others could perhaps agree on where a view begins any
// more. h moves to a checkpoint that 2f+1 replicas have sent, so that f+1 correct ones
// hold it, or that f+1 have sent and f+1 have passed, as they say in STATUS: then a
// correct replica knows of such a proof for a later one.
func (o *Orderer) prove() {
	if o.fetched.Seq <= o.h || o.recovering {
		return
	}
	if o.inWindow(o.fetched.Seq) {
		o.countCheckpoint(int(o.cfg.Self), o.fetched.Seq, o.fetched.Digest)
	}
	passed := o.claimedBy(func(c *Status) uint64 { return c.Stable })
	best := CheckpointEntry{Seq: o.h}
	consider := func(c CheckpointEntry) {
		if c.Seq <= best.Seq || c.Seq > o.fetched.Seq {
			return
		}
		votes := 0
		if o.inWindow(c.Seq) {
			if v := o.checkpoints[c.Seq]; v != nil {
				votes = v.Count(c.Digest)
			}
		} else {
			for i := range o.ahead {
				if o.ahead[i] == c {
					votes++
				}
			}
			votes += int(flag(c == o.fetched))
		}
		if votes >= o.quorum || c.Seq <= passed && (votes >= o.weak || c == o.fetched) {
			best = c
		}
	}
	consider(o.fetched)
	for _, c := range o.ahead {
		consider(c)
	}
	k := uint64(o.cfg.Interval)
	for seq := o.h + k; o.inWindow(seq); seq += k {
		if v := o.checkpoints[seq]; v != nil {
			d, _ := v.Leader()
			consider(CheckpointEntry{seq, d})
		}
	}
	if best.Seq > o.h {
		o.makeStable(best.Seq, best.Digest)
	}
}

// claimedBy is the highest number that f+1 replicas say, in STATUS, to have reached:
// one of them is correct.
func (o *Orderer) claimedBy(what func(c *Status) uint64) uint64 {
	top := make([]uint64, len(o.claims))
	for i := range o.claims {
		top[i] = what(&o.claims[i])
	}
	slices.Sort(top)
	return top[len(top)-o.weak]
}

// dropOwn forgets the own checkpoints up to seq.
func (o *Orderer) dropOwn(seq uint64) {
	keep := o.own[:0]
	for _, c := range o.own {
		if c.Seq > seq {
			keep = append(keep, c)
		}
	}
	o.own = keep
}

// Least implements smr.Orderer.
func (o *Orderer) Least() uint64 {
	if o.diverged > o.h {
		return o.diverged
	}
	return o.delivered + 1
}

// Jump implements smr.Orderer. The state, which is durable, and what is delivered move
// at once, back too if the own state had diverged; the low watermark h, and with it P
// and Q, only when that is proven (prove). Until then nothing is ordered above h+L.
func (o *Orderer) Jump(seq uint64, d protocols.Digest) {
	if seq < o.Least() {
		return
	}
	wrong := seq // own checkpoints from here on are wrong, or passed over
	if o.diverged > o.h {
		wrong = o.diverged
	}
	o.diverged = 0
	for i, c := range o.own {
		if c.Seq >= wrong {
			o.own = o.own[:i]
			break
		}
	}
	o.fetched = CheckpointEntry{seq, d}
	o.own = append(o.own, o.fetched)
	o.delivered, o.durable = seq, seq
	o.next, o.highest = max(o.next, seq), max(o.highest, seq)
	if o.target.Seq <= seq {
		o.target = CheckpointEntry{}
	}
	o.forgetDone()
	o.prove()
	if o.learner == nil { // others may lack this vote
		o.env.Multicast(o.cfg.Replicas, &Checkpoint{Seq: seq, Digest: d})
	}
	o.deliver()
	o.asking = true // there is probably more above the checkpoint
	o.sendStatus()
	o.armResend()
}

func (o *Orderer) moveWindow(seq uint64, d protocols.Digest) {
	old := o.h
	o.h, o.hDigest = seq, d
	o.highest = max(o.highest, seq)
	for n := old + 1; n <= old+uint64(o.cfg.Window) && n <= seq; n++ {
		s := o.log.peek(n)
		if s == nil {
			continue
		}
		if s.held != nil {
			o.heldSlots--
		}
		for i := range s.batch {
			delete(o.inFlight, s.batch[i].Key())
		}
		s.reset(0)
	}
	o.dropOwn(seq)
	for n := old + 1; n <= seq; n++ {
		if n%uint64(o.cfg.Interval) == 0 {
			delete(o.checkpoints, n)
		}
		if n-old > uint64(o.cfg.Window) {
			break
		}
	}
	if o.target.Seq <= seq {
		o.target = CheckpointEntry{}
	}
	// Votes that were beyond the window may be inside now.
	for i := range o.ahead {
		if a := o.ahead[i]; a.Seq != 0 && (a.Seq <= seq || o.inWindow(a.Seq)) {
			o.ahead[i] = CheckpointEntry{}
			if a.Seq > seq {
				o.countCheckpoint(i, a.Seq, a.Digest)
			}
		}
	}
	if o.h == seq {
		o.prove()
	}
	if o.h != seq { // a later checkpoint became stable by now
		return
	}
	o.graduate()
	o.applyChosen()
	if !o.recovering {
		o.prepareChosen()
		o.tryNewView()
	}
	if o.durable >= o.h {
		o.compact()
	}
	o.tryPropose()
}

// compact replaces the log by what it has to say above h. The state at h or above must
// be durable.
func (o *Orderer) compact() {
	if o.cfg.Log && !o.recovering { // later records are not replayed yet
		o.viewRecords = 0
		o.env.Compact(o.summary())
	}
}

// maxViewRecords bounds the view changes, and lives of others, in the log.
const maxViewRecords = 32

// compactViews keeps view changes without progress, of which there may be any number,
// from filling the log; snapshots, which come with progress, take care of the rest.
func (o *Orderer) compactViews() {
	if o.viewRecords++; o.viewRecords < maxViewRecords || !o.cfg.Log {
		return
	}
	if o.durable < o.h && o.shell.Save(o.h) {
		o.durable = o.h
	}
	if o.durable >= o.h {
		o.compact()
	}
}
