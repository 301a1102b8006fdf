package pbft

import (
	"math/rand/v2"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// Phases of a round, in the order of a slot's life.
const (
	phasePrePrepare uint8 = iota + 1
	phasePrepare
	phaseCommit
	phaseCheckpoint
	phaseViewChange
	phaseAck
	phaseNewView
	phaseRepair
)

// MessageTypes returns PBFT's own types, for tables of protocols that contain it.
func MessageTypes() []protocols.MessageType {
	type wire = protocols.WireMessage
	type trace = protocols.TraceHash
	vote := func(t trace, view, seq uint64, d protocols.Digest) {
		t.U64(view)
		t.U64(seq)
		t.Digest(d)
	}
	order := func(tag protocols.Tag, name string, mk func() wire, round func(wire) protocols.Round, tr func(wire, trace), mut ...protocols.Mutation) protocols.MessageType {
		return protocols.MessageType{Tag: tag, Name: name, Class: protocols.ClassOrder, Seal: protocols.SealMAC, New: mk, Round: round, Trace: tr, Mutations: mut}
	}
	record := func(tag protocols.Tag, name string, mk func() wire) protocols.MessageType {
		return protocols.MessageType{Tag: tag, Name: name, Class: protocols.ClassOrder, New: mk, Record: true}
	}
	bulk := func(mt protocols.MessageType) protocols.MessageType {
		mt.Class = protocols.ClassBulk
		return mt
	}
	prePrepare := order(TagPrePrepare, "PRE-PREPARE", func() wire { return new(PrePrepare) },
		func(m wire) protocols.Round {
			p := m.(*PrePrepare)
			return protocols.Round{View: p.View, Seq: p.Seq, Phase: phasePrePrepare}
		},
		func(m wire, t trace) {
			p := m.(*PrePrepare)
			vote(t, p.View, p.Seq, p.Digest)
			t.U64(uint64(len(p.Requests)))
			for i := range p.Requests {
				protocols.TraceRequest(&p.Requests[i], t)
			}
		},
		mutate("view+1", func(p *PrePrepare, _ *rand.Rand) { p.View++ }),
		mutate("view-1", func(p *PrePrepare, _ *rand.Rand) { p.View-- }),
		mutate("sequence+1", func(p *PrePrepare, _ *rand.Rand) { p.Seq++ }),
		mutate("sequence-1", func(p *PrePrepare, _ *rand.Rand) { p.Seq-- }),
		mutate("digest", func(p *PrePrepare, r *rand.Rand) { p.Digest = randomDigest(r) }),
		mutate("drop request", func(p *PrePrepare, _ *rand.Rand) {
			p.Requests = p.Requests[:max(len(p.Requests)-1, 0)]
			p.Digest = rehash(p.Requests)
		}),
		mutate("repeat request", func(p *PrePrepare, _ *rand.Rand) {
			if len(p.Requests) > 0 {
				p.Requests = append(append([]protocols.Request(nil), p.Requests...), p.Requests[0])
				p.Digest = rehash(p.Requests)
			}
		}),
	)
	prePrepare.Parts = func(dst []protocols.Part, h protocols.Hasher, _ *protocols.Envelope, m wire) []protocols.Part {
		p := m.(*PrePrepare)
		for i := range p.Requests {
			dst = append(dst, p.Requests[i].Part(h))
		}
		return dst
	}
	return promises([]protocols.MessageType{
		prePrepare,
		order(TagPrepare, "PREPARE", func() wire { return new(Prepare) },
			func(m wire) protocols.Round {
				p := m.(*Prepare)
				return protocols.Round{View: p.View, Seq: p.Seq, Phase: phasePrepare}
			},
			func(m wire, t trace) { p := m.(*Prepare); vote(t, p.View, p.Seq, p.Digest) },
			mutate("view+1", func(p *Prepare, _ *rand.Rand) { p.View++ }),
			mutate("view-1", func(p *Prepare, _ *rand.Rand) { p.View-- }),
			mutate("sequence+1", func(p *Prepare, _ *rand.Rand) { p.Seq++ }),
			mutate("sequence-1", func(p *Prepare, _ *rand.Rand) { p.Seq-- }),
			mutate("digest", func(p *Prepare, r *rand.Rand) { p.Digest = randomDigest(r) })),
		order(TagCommit, "COMMIT", func() wire { return new(Commit) },
			func(m wire) protocols.Round {
				p := m.(*Commit)
				return protocols.Round{View: p.View, Seq: p.Seq, Phase: phaseCommit}
			},
			func(m wire, t trace) { p := m.(*Commit); vote(t, p.View, p.Seq, p.Digest) },
			mutate("view+1", func(p *Commit, _ *rand.Rand) { p.View++ }),
			mutate("view-1", func(p *Commit, _ *rand.Rand) { p.View-- }),
			mutate("sequence+1", func(p *Commit, _ *rand.Rand) { p.Seq++ }),
			mutate("sequence-1", func(p *Commit, _ *rand.Rand) { p.Seq-- }),
			mutate("digest", func(p *Commit, r *rand.Rand) { p.Digest = randomDigest(r) })),
		order(TagCheckpoint, "CHECKPOINT", func() wire { return new(Checkpoint) },
			func(m wire) protocols.Round {
				return protocols.Round{Seq: m.(*Checkpoint).Seq, Phase: phaseCheckpoint}
			},
			func(m wire, t trace) { c := m.(*Checkpoint); vote(t, 0, c.Seq, c.Digest) },
			mutate("sequence+interval", func(c *Checkpoint, _ *rand.Rand) { c.Seq *= 2 }),
			mutate("digest", func(c *Checkpoint, r *rand.Rand) { c.Digest = randomDigest(r) })),
		order(TagViewChange, "VIEW-CHANGE", func() wire { return new(ViewChange) },
			func(m wire) protocols.Round {
				v := m.(*ViewChange)
				return protocols.Round{View: v.View, Seq: v.Stable, Phase: phaseViewChange}
			},
			func(m wire, t trace) { traceViewChange(m.(*ViewChange), t) },
			mutate("view+1", func(v *ViewChange, _ *rand.Rand) { v.View++ }),
			mutate("view-1", func(v *ViewChange, _ *rand.Rand) { v.View-- }),
			mutate("life+1", func(v *ViewChange, _ *rand.Rand) { v.Life++ }),
			mutate("empty P", func(v *ViewChange, _ *rand.Rand) { v.Prepared = nil }),
			mutate("empty Q", func(v *ViewChange, _ *rand.Rand) { v.PrePrepared = nil }),
			mutate("empty C", func(v *ViewChange, _ *rand.Rand) { v.Checkpoints = v.Checkpoints[:min(1, len(v.Checkpoints))] }),
			mutate("P digest", func(v *ViewChange, r *rand.Rand) {
				v.Prepared = append([]Entry(nil), v.Prepared...)
				for i := range v.Prepared {
					v.Prepared[i].Digest = randomDigest(r)
				}
			}),
			mutate("P view", func(v *ViewChange, _ *rand.Rand) {
				v.Prepared = append([]Entry(nil), v.Prepared...)
				for i := range v.Prepared {
					v.Prepared[i].View = v.View - 1
				}
			}),
			mutate("P and Q view", func(v *ViewChange, _ *rand.Rand) {
				later := func(list []Entry) []Entry {
					list = append([]Entry(nil), list...)
					for i := range list {
						list[i].View = v.View - 1
					}
					return list
				}
				v.Prepared, v.PrePrepared = later(v.Prepared), later(v.PrePrepared)
			}),
			mutate("stable 0", func(v *ViewChange, _ *rand.Rand) {
				v.Stable, v.Checkpoints = 0, []CheckpointEntry{{}}
			})),
		order(TagViewChangeAck, "VIEW-CHANGE-ACK", func() wire { return new(ViewChangeAck) },
			func(m wire) protocols.Round {
				return protocols.Round{View: m.(*ViewChangeAck).View, Phase: phaseAck}
			},
			func(m wire, t trace) {
				a := m.(*ViewChangeAck)
				vote(t, a.View, uint64(uint32(a.Replica)), a.Digest)
			},
			mutate("digest", func(a *ViewChangeAck, r *rand.Rand) { a.Digest = randomDigest(r) })),
		order(TagNewView, "NEW-VIEW", func() wire { return new(NewView) },
			func(m wire) protocols.Round {
				return protocols.Round{View: m.(*NewView).View, Phase: phaseNewView}
			},
			func(m wire, t trace) { traceNewView(m.(*NewView), t) },
			mutate("view+1", func(v *NewView, _ *rand.Rand) { v.View++ }),
			// The sender leads this one too, with 4 or 7 replicas.
			mutate("view+28", func(v *NewView, _ *rand.Rand) { v.View += 28 }),
			mutate("empty X", func(v *NewView, _ *rand.Rand) { v.Chosen = nil }),
			mutate("X null", func(v *NewView, _ *rand.Rand) {
				v.Chosen = append([]Chosen(nil), v.Chosen...)
				for i := range v.Chosen {
					v.Chosen[i].Digest = protocols.Digest{}
				}
			}),
			mutate("X digest", func(v *NewView, r *rand.Rand) {
				v.Chosen = append([]Chosen(nil), v.Chosen...)
				if len(v.Chosen) > 0 {
					v.Chosen[r.IntN(len(v.Chosen))].Digest = randomDigest(r)
				}
			}),
			mutate("drop V", func(v *NewView, _ *rand.Rand) { v.ViewChanges = v.ViewChanges[:max(len(v.ViewChanges)-1, 0)] })),
		order(TagStatus, "STATUS", func() wire { return new(Status) },
			func(m wire) protocols.Round {
				s := m.(*Status)
				return protocols.Round{View: s.View, Seq: s.Delivered, Phase: phaseRepair}
			},
			func(m wire, t trace) {
				s := m.(*Status)
				vote(t, s.View, s.Delivered, s.NewView)
				t.U64(s.Stable<<1 | uint64(flag(s.Active)))
				t.U64(uint64(s.Life))
				t.U64(s.Since)
			},
			mutate("view+1", func(s *Status, _ *rand.Rand) { s.View++ }),
			mutate("active", func(s *Status, _ *rand.Rand) { s.Active = !s.Active }),
			mutate("delivered 0", func(s *Status, _ *rand.Rand) { s.Delivered = 0 }),
			mutate("life+1", func(s *Status, _ *rand.Rand) { s.Life++ })),
		bulk(order(TagFetchBatch, "FETCH", func() wire { return new(FetchBatch) }, nil,
			func(m wire, t trace) { t.Digest(m.(*FetchBatch).Digest) })),
		bulk(order(TagBatch, "BATCH", func() wire { return new(Batch) }, nil,
			func(m wire, t trace) {
				b := m.(*Batch)
				for i := range b.Requests {
					protocols.TraceRequest(&b.Requests[i], t)
				}
			})),
		bulk(order(TagFetchViewChange, "FETCH-VIEW-CHANGE", func() wire { return new(FetchViewChange) }, nil,
			func(m wire, t trace) {
				f := m.(*FetchViewChange)
				vote(t, f.View, uint64(uint32(f.Replica)), f.Digest)
			})),
		bulk(order(TagViewChangeCopy, "VIEW-CHANGE-COPY", func() wire { return new(ViewChangeCopy) }, nil,
			func(m wire, t trace) { traceViewChange(&m.(*ViewChangeCopy).ViewChange, t) })),
		order(TagQueryStable, "QUERY-STABLE", func() wire { return new(QueryStable) }, nil,
			func(m wire, t trace) { t.U64(uint64(m.(*QueryStable).Life)) },
			mutate("life+1", func(q *QueryStable, _ *rand.Rand) { q.Life++ })),
		order(TagReplyStable, "REPLY-STABLE", func() wire { return new(ReplyStable) }, nil,
			func(m wire, t trace) {
				r := m.(*ReplyStable)
				t.U64(uint64(r.Life))
				t.U64(r.Reached)
			},
			mutate("reached 0", func(r *ReplyStable, _ *rand.Rand) { r.Reached = 0 }),
			mutate("reached far", func(r *ReplyStable, _ *rand.Rand) { r.Reached = 1 << 63 }),
			mutate("reached end", func(r *ReplyStable, _ *rand.Rand) { r.Reached = ^uint64(0) })),
		record(TagPrepared, "prepared record", func() wire { return new(PreparedRecord) }),
		record(TagCommitted, "committed record", func() wire { return new(CommittedRecord) }),
		record(TagBody, "body record", func() wire { return new(BodyRecord) }),
		record(TagCheckpointed, "checkpoint record", func() wire { return new(CheckpointRecord) }),
		record(TagStable, "stable record", func() wire { return new(StableRecord) }),
		record(TagLearner, "learner record", func() wire { return new(LearnerRecord) }),
		record(TagLife, "life record", func() wire { return new(LifeRecord) }),
		record(TagSummary, "summary record", func() wire { return new(Summary) }),
	})
}

// mutate makes a Mutation out of a change to a shallow copy.
func mutate[M any, P interface {
	*M
	protocols.WireMessage
}](name string, change func(P, *rand.Rand)) protocols.Mutation {
	return protocols.Mutation{Name: name, Apply: func(m protocols.WireMessage, r *rand.Rand) protocols.WireMessage {
		c := *m.(P)
		p := P(&c)
		change(p, r)
		return p
	}}
}

func randomDigest(r *rand.Rand) protocols.Digest {
	var d protocols.Digest
	for i := range d {
		d[i] = byte(r.Uint32())
	}
	return d
}

// rehash gives a changed batch a digest of its own. Mutations have no hasher, so
// the new digest is one that the receivers will reject; equivocation with valid
// digests is the adversary's business, who reorders batches through its own Env.
func rehash(batch []protocols.Request) protocols.Digest {
	var d protocols.Digest
	for i := range batch {
		k := batch[i].Key()
		d[i%len(d)] ^= byte(k.Timestamp) + byte(k.Client) + 1
	}
	return d
}

func traceEntries(t protocols.TraceHash, list []Entry) {
	t.U64(uint64(len(list)))
	for _, e := range list {
		t.U64(e.Seq)
		t.U64(e.View)
		t.Digest(e.Digest)
	}
}

func traceViewChange(v *ViewChange, t protocols.TraceHash) {
	t.U64(v.View)
	t.U64(uint64(uint32(v.Replica)))
	t.U64(uint64(v.Life))
	t.U64(v.Stable)
	t.U64(uint64(len(v.Checkpoints)))
	for _, c := range v.Checkpoints {
		t.U64(c.Seq)
		t.Digest(c.Digest)
	}
	traceEntries(t, v.Prepared)
	traceEntries(t, v.PrePrepared)
}

func traceNewView(v *NewView, t protocols.TraceHash) {
	t.U64(v.View)
	t.U64(uint64(len(v.ViewChanges)))
	for _, r := range v.ViewChanges {
		t.U64(uint64(uint32(r.Replica)))
		t.U64(uint64(r.Life))
		t.Digest(r.Digest)
	}
	t.U64(v.Stable)
	t.Digest(v.StableDigest)
	t.U64(uint64(len(v.Chosen)))
	for _, c := range v.Chosen {
		t.U64(c.Seq)
		t.Digest(c.Digest)
	}
}

// Messages returns the table of PBFT used alone.
func Messages() *protocols.MessageTable {
	return protocols.NewMessageTable(smr.MessageTypes(), MessageTypes())
}
