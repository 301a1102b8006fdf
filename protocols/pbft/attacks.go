package pbft

import (
	"slices"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/adversary"
	"github.com/edgebft/edgebft/protocols/smr"
)

// Attacks are what a Byzantine replica can do in PBFT's own terms: unlike the generic
// mutations, its lies are well formed, have the right digests, fit what it heard, and
// fit one another, so that correct replicas have to tell them by the protocol's rules.
// A lie about a slot or view divides the others in two sides that stay the same, each
// of which is told one consistent story.
func Attacks() []protocols.Attack {
	list := []struct {
		name, doc string
		does      lies
	}{
		{"two-faced", "proposes two batches for one slot and votes for each before the side that got it", lies{propose: true}},
		{"eager", "sends PREPARE and COMMIT for whatever anybody proposes or votes for, in any view", lies{vote: true}},
		{"false-leave", "leaves views with sets P and Q that omit, age or invent entries, another one for each side, and takes its VIEW-CHANGE back", lies{leave: true}},
		{"false-lead", "begins its views with NEW-VIEWs that rest on other VIEW-CHANGEs than it should, or on none, another one for each side", lies{leave: true, lead: true}},
		{"traitor", "all of two-faced, eager, false-leave and false-lead, and false CHECKPOINTs and STATUS", lies{true, true, true, true, true}},
	}
	out := make([]protocols.Attack, len(list))
	for i, a := range list {
		out[i] = adversary.Own(a.name, a.doc, []protocols.Option{adversary.Rate(500, "occasions taken, in 1,000")}, Messages,
			func(c *protocols.Config, o protocols.Options) adversary.Behaviour {
				return &traitor{
					lies: a.does, rate: o.Int("rate"), n: c.N, window: Configure(c).Window,
					quorum: protocols.Quorum(c.N, c.F), weak: protocols.WeakQuorum(c.F),
					slots: make(map[uint64]*rumour), views: make(map[uint64]*revolt), done: make(map[claim]bool),
				}
			})
	}
	return out
}

// lies are the kinds of occasion that a traitor takes.
type lies struct{ propose, vote, leave, lead, other bool }

// Bounds of what a traitor remembers.
const (
	rumourSlots   = 128
	rumourViews   = 8
	rumourChoices = 4
	rumourVotes   = 1 << 12
)

// traitor is a Byzantine replica. It runs an honest one, changes what that sends and
// adds what it likes.
type traitor struct {
	adversary.Honest
	lies
	rate                    int
	n, quorum, weak, window int

	side  []bool             // of each replica: it is told the second story
	slots map[uint64]*rumour // by slot
	views map[uint64]*revolt // by view
	done  map[claim]bool     // votes that were cast
	last  uint64             // highest view heard of
	begin CheckpointEntry    // the first stable checkpoint
	life  uint32             // that it pretends to be in
}

// rumour is what is known of a slot.
type rumour struct {
	digests []protocols.Digest // at most rumourChoices
	// second is the proposal for the other side in view, if there is one.
	view   uint64
	second *PrePrepare
}

// revolt is what is known of the way into a view.
type revolt struct {
	vcs  map[protocols.NodeID]*ViewChange
	mine [2]*ViewChange // what each side was told
	news [2]*NewView
}

// Start implements adversary.Behaviour.
func (t *traitor) Start(a *adversary.Actor) { t.divide(a) }

// divide draws the sides anew.
func (t *traitor) divide(a *adversary.Actor) {
	t.side = make([]bool, t.n)
	for i := range t.side {
		t.side[i] = a.Rand().Uint64()&1 == 0
	}
}

// sides splits receivers; colluding nodes are told the first story.
func (t *traitor) sides(a *adversary.Actor, to protocols.Group) [2]protocols.Group {
	second, first := a.Split(to, func(id protocols.NodeID) bool {
		return id.IsReplica() && int(id) < t.n && a.Outsider(id) && t.side[id]
	})
	return [2]protocols.Group{first, second}
}

// anybody draws receivers among the replicas.
func (t *traitor) anybody(a *adversary.Actor) protocols.Group {
	yes, _ := a.Split(a.Config().Replicas, func(id protocols.NodeID) bool { return a.Outsider(id) && a.Rand().Uint64()&3 != 0 })
	return yes
}

func (t *traitor) slot(seq uint64) *rumour {
	r := t.slots[seq]
	if r == nil {
		if len(t.slots) >= rumourSlots {
			delete(t.slots, slices.Min(keys(t.slots)))
		}
		r = new(rumour)
		t.slots[seq] = r
	}
	return r
}

func (t *traitor) revolt(view uint64) *revolt {
	r := t.views[view]
	if r == nil {
		if len(t.views) >= rumourViews {
			delete(t.views, slices.Min(keys(t.views)))
		}
		r = &revolt{vcs: make(map[protocols.NodeID]*ViewChange)}
		t.views[view] = r
	}
	return r
}

// keys lists the keys of a map in ascending order.
func keys[V any](m map[uint64]V) []uint64 {
	list := make([]uint64, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func (t *traitor) heard(view, seq uint64, d protocols.Digest) {
	t.last = max(t.last, view)
	r := t.slot(seq)
	if !slices.Contains(r.digests, d) && !d.IsZero() && len(r.digests) < rumourChoices {
		r.digests = append(r.digests, d)
	}
}

// Send implements adversary.Behaviour.
func (t *traitor) Send(a *adversary.Actor, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	switch m := m.(type) {
	case *PrePrepare:
		t.heard(m.View, m.Seq, m.Digest)
		if t.propose {
			t.proposing(a, e, to, m)
			return
		}
	case *Prepare:
		if s := t.told(m.View, m.Seq); s != nil {
			t.both(a, e, to, m, &Prepare{m.View, m.Seq, s.Digest})
			return
		}
	case *Commit:
		if s := t.told(m.View, m.Seq); s != nil {
			t.both(a, e, to, m, &Commit{m.View, m.Seq, s.Digest})
			return
		}
	case *ViewChange:
		if m.Replica == a.Self() {
			t.leaving(a, e, to, m)
			return
		}
	case *NewView:
		if t.lead {
			t.leading(a, e, to, m)
			return
		}
	case *Checkpoint:
		if t.other && a.Chance(t.rate) {
			t.both(a, e, to, m, &Checkpoint{m.Seq, randomDigest(a.Rand())})
			return
		}
	case *Status:
		if t.other && a.Chance(t.rate) {
			t.claiming(a, e, to, *m)
			return
		}
	}
	a.Pass(e, to, m)
}

// both tells each side its story.
func (t *traitor) both(a *adversary.Actor, e protocols.Env, to protocols.Group, first, second protocols.WireMessage) {
	sides := t.sides(a, to)
	a.Pass(e, sides[0], first)
	a.Pass(e, sides[1], second)
}

// told returns the proposal that the second side was told of, if there is one.
func (t *traitor) told(view, seq uint64) *PrePrepare {
	if r := t.slots[seq]; r != nil && r.second != nil && r.view == view {
		return r.second
	}
	return nil
}

// proposing sends another valid batch to the second side, and COMMIT for each.
func (t *traitor) proposing(a *adversary.Actor, e protocols.Env, to protocols.Group, m *PrePrepare) {
	s := t.told(m.View, m.Seq)
	if s == nil && a.Chance(t.rate) {
		if s = t.another(a, e, m); s != nil {
			r := t.slot(m.Seq)
			r.view, r.second = m.View, s
			t.heard(m.View, m.Seq, s.Digest)
		}
	}
	if s == nil {
		a.Pass(e, to, m)
		return
	}
	t.both(a, e, to, m, s)
	if a.Chance(t.rate) {
		t.both(a, e, to, &Commit{m.View, m.Seq, m.Digest}, &Commit{m.View, m.Seq, s.Digest})
	}
}

// another makes a batch of requests that were heard of, other than that of m.
func (t *traitor) another(a *adversary.Actor, e protocols.Env, m *PrePrepare) *PrePrepare {
	batch := slices.Clone(m.Requests)
	switch k := len(batch); a.Rand().IntN(3) {
	case 0:
		slices.Reverse(batch)
	case 1:
		batch = batch[:max(k-1, 1)]
	}
	for _, seq := range keys(t.slots) { // a request of an earlier second proposal, or of a neighbour
		if s := t.slots[seq].second; s != nil && seq != m.Seq && a.Chance(300) {
			batch = slices.Clone(s.Requests)
		}
	}
	d := batchDigest(e.Auth(), batch)
	if d == m.Digest { // nothing to vary: one request twice
		batch = append(batch, batch[0])
		d = batchDigest(e.Auth(), batch)
	}
	return &PrePrepare{m.View, m.Seq, d, batch}
}

// claiming says to be somewhere else.
func (t *traitor) claiming(a *adversary.Actor, e protocols.Env, to protocols.Group, s Status) {
	switch a.Rand().IntN(5) {
	case 0:
		s.Delivered, s.Stable = 0, 0
	case 1:
		s.Delivered += uint64(t.window)
	case 2:
		s.View++
	case 3:
		s.Active = !s.Active
	case 4:
		if r := t.views[s.View]; r != nil && r.news[1] != nil {
			s.Active, s.NewView = true, digestOf(e, r.news[1])
		}
	}
	a.Pass(e, to, &s)
}

func digestOf(e protocols.Env, m protocols.WireMessage) protocols.Digest {
	b, err := m.MarshalMsg(nil)
	if err != nil {
		return protocols.Digest{}
	}
	return e.Auth().Digest(b)
}

// leaving sends VIEW-CHANGE, to each side its own if it lies.
func (t *traitor) leaving(a *adversary.Actor, e protocols.Env, to protocols.Group, m *ViewChange) {
	if t.begin.Digest.IsZero() {
		t.begin = m.Checkpoints[0]
	}
	r := t.revolt(m.View)
	if r.mine[0] == nil {
		r.mine = [2]*ViewChange{m, m}
		if t.leave && a.Chance(t.rate) {
			if a.Chance(300) {
				t.divide(a)
			}
			r.mine[1] = t.falseLeave(a, m)
			if a.Chance(500) { // one lie for all
				r.mine[0] = r.mine[1]
			}
		}
	} else if t.leave && a.Chance(t.rate/8) {
		// As if it had lost its disk, it has the others forget what it said.
		t.life++
		a.Pass(e, to, &QueryStable{Life: t.life})
		r.mine[a.Rand().IntN(2)] = t.falseLeave(a, m)
	}
	t.both(a, e, to, r.mine[0], r.mine[1])
}

// falseLeave changes what a VIEW-CHANGE says of each slot.
func (t *traitor) falseLeave(a *adversary.Actor, m *ViewChange) *ViewChange {
	r := a.Rand()
	v := &ViewChange{View: m.View, Replica: m.Replica, Life: max(m.Life, t.life), Stable: m.Stable, Checkpoints: m.Checkpoints}
	if r.IntN(8) == 0 && t.begin.Seq < m.Stable { // stale
		v.Stable, v.Checkpoints = t.begin.Seq, []CheckpointEntry{t.begin}
	}
	if r.IntN(8) == 0 {
		v.Checkpoints = v.Checkpoints[:1]
	}
	style := r.IntN(4)
	for seq := v.Stable + 1; seq <= v.Stable+uint64(t.window); seq++ {
		p, prepared := preparedAt(m, seq)
		known := t.slots[seq]
		if !prepared && known == nil {
			continue
		}
		act := style
		if style == 3 {
			act = r.IntN(3)
		}
		switch act {
		case 0: // omitted
			continue
		case 1: // another batch, or none that prepared, as late as can be
			if known == nil || len(known.digests) == 0 {
				continue
			}
			d := known.digests[r.IntN(len(known.digests))]
			p, prepared = Entry{seq, d, t.earlier(a, m.View)}, true
		case 2: // aged
			if !prepared {
				continue
			}
			p.View = t.earlier(a, m.View)
		}
		v.Prepared = append(v.Prepared, p)
		v.PrePrepared = append(v.PrePrepared, p)
	}
	if r.IntN(3) == 0 { // Q as it is, so that it vouches for what others claim
		v.PrePrepared = m.PrePrepared
	}
	if !v.validate(t.window, 1) {
		return m
	}
	return v
}

// earlier draws a view below the given one, mostly the last.
func (t *traitor) earlier(a *adversary.Actor, view uint64) uint64 {
	if a.Chance(700) {
		return view - 1
	}
	return a.Rand().Uint64N(view)
}

// leading sends NEW-VIEW, to each side its own if it lies.
func (t *traitor) leading(a *adversary.Actor, e protocols.Env, to protocols.Group, m *NewView) {
	r := t.revolt(m.View)
	if r.news[0] == nil {
		r.news = [2]*NewView{m, m}
		for i := range r.news {
			if a.Chance(t.rate) {
				r.news[i] = t.falseLead(a, e, r, m.View, i, m)
			}
		}
		if a.Chance(500) { // one lie for all
			r.news[0] = r.news[1]
		}
	}
	t.installed(a, e, to, m.View, r)
}

// installed sends what each side is to begin the view with, and votes for it.
func (t *traitor) installed(a *adversary.Actor, e protocols.Env, to protocols.Group, view uint64, r *revolt) {
	sides := t.sides(a, to)
	for i, nv := range r.news {
		if nv == nil {
			continue
		}
		a.Pass(e, sides[i], nv)
		for _, c := range nv.Chosen {
			t.heard(view, c.Seq, c.Digest)
			if t.vote && a.Chance(t.rate) {
				a.Pass(e, sides[i], &Commit{view, c.Seq, c.Digest})
			}
		}
	}
}

// falseLead makes a NEW-VIEW for a side: one that follows from other VIEW-CHANGEs, or
// one that does not follow.
func (t *traitor) falseLead(a *adversary.Actor, e protocols.Env, r *revolt, view uint64, side int, honest *NewView) *NewView {
	var others []protocols.NodeID
	for id := range protocols.NodeID(t.n) {
		if r.vcs[id] != nil && id != a.Self() {
			others = append(others, id)
		}
	}
	a.Rand().Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	if r.mine[side] == nil || len(others) < t.quorum-1 {
		return honest
	}
	chosen := append([]protocols.NodeID{a.Self()}, others[:t.quorum-1]...)
	slices.Sort(chosen)
	var set []*ViewChange
	nv := &NewView{View: view}
	for _, id := range chosen {
		vc := r.vcs[id]
		if id == a.Self() {
			vc = r.mine[side]
		}
		set = append(set, vc)
		nv.ViewChanges = append(nv.ViewChanges, ViewChangeRef{id, vc.Life, digestOf(e, vc)})
	}
	d, ok := decide(set, t.quorum, t.weak, t.window)
	if !ok {
		if honest == nil {
			return nil
		}
		d = decision{honest.Stable, honest.StableDigest, honest.Chosen}
	}
	nv.Stable, nv.StableDigest, nv.Chosen = d.stable, d.digest, d.chosen
	if ok && a.Chance(400) {
		return nv
	}
	nv.Chosen = slices.Clone(nv.Chosen)
	for i := range nv.Chosen {
		c := &nv.Chosen[i]
		switch known := t.slots[c.Seq]; a.Rand().IntN(3) {
		case 0:
			c.Digest = protocols.Digest{}
		case 1:
			if known != nil && len(known.digests) > 0 {
				c.Digest = known.digests[a.Rand().IntN(len(known.digests))]
			}
		}
	}
	if known := t.slots[nv.Stable+uint64(len(nv.Chosen))+1]; known != nil && len(known.digests) > 0 && a.Chance(500) { // one more
		nv.Chosen = append(nv.Chosen, Chosen{nv.Stable + uint64(len(nv.Chosen)) + 1, known.digests[0]})
	}
	for k := len(nv.Chosen); k > 0 && nv.Chosen[k-1].Digest.IsZero(); k-- {
		nv.Chosen = nv.Chosen[:k-1]
	}
	return nv
}

// Receive implements adversary.Behaviour.
func (t *traitor) Receive(a *adversary.Actor, env *protocols.Envelope, m protocols.WireMessage) {
	e := a.Env(smr.OrdererPath)
	if e == nil || env.Path != smr.OrdererPath || !env.From.IsReplica() {
		return
	}
	switch m := m.(type) {
	case *PrePrepare:
		t.heard(m.View, m.Seq, m.Digest)
		t.voteFor(a, e, m.View, m.Seq, m.Digest)
	case *Prepare:
		t.heard(m.View, m.Seq, m.Digest)
		t.voteFor(a, e, m.View, m.Seq, m.Digest)
	case *Commit:
		t.heard(m.View, m.Seq, m.Digest)
		t.voteFor(a, e, m.View, m.Seq, m.Digest)
	case *NewView:
		for _, c := range m.Chosen {
			t.heard(m.View, c.Seq, c.Digest)
			t.voteFor(a, e, m.View, c.Seq, c.Digest)
		}
	case *ViewChange:
		if m.Replica == env.From && m.View > 0 && m.validate(t.window, 1) {
			t.joined(a, e, m)
		}
	}
}

// voteFor sends PREPARE and COMMIT once for anything.
func (t *traitor) voteFor(a *adversary.Actor, e protocols.Env, view, seq uint64, d protocols.Digest) {
	c := claim{TagCommit, view, seq, d}
	if !t.vote || t.done[c] {
		return
	}
	if len(t.done) >= rumourVotes {
		clear(t.done)
	}
	t.done[c] = true
	if a.Chance(t.rate) {
		if view%uint64(t.n) != uint64(a.Self()) {
			a.Pass(e, t.anybody(a), &Prepare{view, seq, d})
		}
		a.Pass(e, t.anybody(a), &Commit{view, seq, d})
	}
}

// joined notes a VIEW-CHANGE. As the next primary the traitor does not wait for ACKs.
func (t *traitor) joined(a *adversary.Actor, e protocols.Env, m *ViewChange) {
	t.last = max(t.last, m.View)
	r := t.revolt(m.View)
	r.vcs[m.Replica] = m
	for _, p := range m.Prepared {
		t.heard(0, p.Seq, p.Digest)
	}
	if !t.lead || protocols.NodeID(m.View%uint64(t.n)) != a.Self() || r.news[0] != nil || r.mine[0] == nil || len(r.vcs) < t.quorum-1 || !a.Chance(t.rate) {
		return
	}
	for i := range r.news {
		r.news[i] = t.falseLead(a, e, r, m.View, i, nil)
	}
	if r.news[0] == nil {
		r.news = [2]*NewView{}
		return
	}
	t.installed(a, e, a.Config().Replicas, m.View, r)
}
