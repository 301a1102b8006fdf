package adversary

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
)

type ids = map[protocols.NodeID]int

const aClient = protocols.FirstClient + 3

var everybody = append(protocols.Replicas(7), aClient)

func TestNames(t *testing.T) {
	var names []string
	for _, a := range All(nil) {
		names = append(names, a.Name)
		require.NotEmpty(t, a.Doc)
		_, err := protocols.ResolveOptions(a.Options, nil)
		require.NoError(t, err)
		for _, o := range a.Options {
			require.NotEmpty(t, o.Doc)
			if o.Kind != protocols.OptionBool && o.Kind != protocols.OptionChoice {
				require.True(t, o.Min <= o.Default && o.Default <= o.Max, "%s.%s", a.Name, o.Name)
			}
		}
		require.Panics(t, func() { a.New(&protocols.Config{}, protocols.Options{}, nil) }, "a table is needed to build one")
	}
	require.Equal(t, []string{"silent", "silent-to", "selective", "delay", "bad-macs", "equivocate", "double-vote", "mutate", "wrong-replies", "byzzfuzz", "stale", "replay", "flood", "twins"}, names)
}

func TestSilent(t *testing.T) {
	b := start(t, "silent", 0, nil)
	b.in.env.Multicast(everybody, newVote(1))
	b.in.env.Send(3, newVote(1))
	b.in.env.Sub("inner").Send(3, newVote(1))
	require.Empty(t, b.take())
	b.in.env.Send(0, newVote(1))
	require.Len(t, b.take(), 1, "messages to oneself are left alone")
	b.receive(1, "", newVote(1))
	require.Equal(t, 1, b.in.received)
}

func TestWindow(t *testing.T) {
	b := start(t, "silent", 0, map[string]int64{"after": int64(time.Second), "until": int64(2 * time.Second)})
	for _, want := range []int{1, 0, 1} {
		b.in.env.Send(3, newVote(1))
		require.Len(t, b.take(), want)
		b.advance(time.Second)
	}
}

func TestSilentTo(t *testing.T) {
	m := newVote(1)
	for _, c := range []struct {
		set   map[string]int64
		peers []protocols.NodeID
		want  ids
	}{
		{nil, nil, ids{1: 1, 2: 1, 3: 1, 4: 1, 5: 1, aClient: 1}}, // self is 6, so the victim is 0
		{map[string]int64{"first": 5, "count": 3}, nil, ids{1: 1, 2: 1, 3: 1, 4: 1, aClient: 1}},
		{map[string]int64{"first": 5, "count": 3, "clients": 1}, nil, ids{1: 1, 2: 1, 3: 1, 4: 1}},
		{map[string]int64{"count": 7}, []protocols.NodeID{2}, ids{2: 1, aClient: 1}},
		{map[string]int64{"count": 0}, nil, ids{0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, aClient: 1}},
	} {
		b := start(t, "silent-to", 6, c.set, c.peers...)
		b.in.env.Multicast(everybody, m)
		same, other := tally(t, b.take(), m)
		require.Equal(t, c.want, same)
		require.Empty(t, other)
	}
}

func TestSelective(t *testing.T) {
	b := start(t, "selective", 0, nil)
	reached := ids{}
	for seq := range uint64(50) {
		b.in.env.Multicast(everybody, newVote(seq))
		s := b.take()
		require.LessOrEqual(t, len(s), 3+1, "f+1 replicas and the client")
		for _, x := range s {
			reached[x.to]++
		}
	}
	require.Len(t, reached, 7, "the choice moves")
	require.Equal(t, 50, reached[aClient])

	b = start(t, "selective", 0, map[string]int64{"reach": 4, "fixed": 1})
	b.in.env.Multicast(everybody, newVote(0))
	first := b.take()
	for seq := range uint64(10) {
		b.in.env.Multicast(everybody, newVote(seq))
		now := b.take()
		require.Len(t, now, len(first))
		for i := range now {
			require.Equal(t, first[i].to, now[i].to)
		}
	}
}

func TestDelay(t *testing.T) {
	b := start(t, "delay", 0, map[string]int64{"by": int64(time.Second), "class": 2, "first": 1, "count": 3})
	m := newVote(1)
	b.in.env.Sub("inner").Multicast(protocols.Replicas(7), m)
	b.in.env.Send(aClient, &protocols.Reply{})
	own := b.in.env.SetTimer(time.Second, 5, 6)
	require.Len(t, b.take(), 3+1, "others, and other classes, get it at once")
	b.advance(time.Second - 1)
	require.Empty(t, b.take())
	b.advance(1)
	late := b.take()
	require.Len(t, late, 3)
	for _, s := range late {
		require.Equal(t, sent{to: s.to, path: "inner", m: m}, s)
	}
	require.Equal(t, []protocols.Timer{{ID: own, Kind: 5, Arg: 6}}, b.in.timeouts, "the node sees its own timer and no other")

	b = start(t, "delay", 0, nil)
	for seq := range uint64(maxHeld + 10) {
		b.in.env.Send(1, newVote(seq))
	}
	require.Len(t, b.take(), 10, "what exceeds the bound goes out at once")
	b.advance(time.Minute)
	require.Len(t, b.take(), maxHeld)
}

func TestBadMACs(t *testing.T) {
	b := start(t, "bad-macs", 1, map[string]int64{"count": 2}, 2)
	m := newVote(1)
	b.in.env.Multicast(everybody, m)
	bad := ids{}
	for _, s := range b.take() {
		require.Same(t, m, s.m)
		if s.bad {
			bad[s.to]++
		}
	}
	require.Equal(t, ids{3: 1}, bad, "2 and 3 are the victims, 2 colludes")
}

// A client whose authenticator verifies at some replicas and not at others.
func TestBadMACsInAuthenticator(t *testing.T) {
	b := start(t, "bad-macs", aClient, map[string]int64{"first": 2, "count": 3})
	r := &protocols.Request{Client: aClient, Timestamp: 9, Op: []byte("op")}
	r.Auth = b.in.env.Auth().MACs(protocols.TagRequest, b.cfg.Replicas, r.Digest(b.in.env.Auth()))
	before := encode(t, r)
	b.in.env.Multicast(b.cfg.Replicas, r)
	require.Equal(t, before, encode(t, r), "messages are immutable")
	copies := b.take()
	require.Len(t, copies, 7)
	for i, s := range copies {
		a := auth.New(b.h.ring.Keys(protocols.NodeID(i)), "", nil)
		p := s.m.(*protocols.Request).Part(a)
		require.Equal(t, i < 2 || i > 4, a.VerifyPart(&p, i, len(b.cfg.Replicas)), "replica %d", i)
	}
}

func TestEquivocate(t *testing.T) {
	b := start(t, "equivocate", 0, nil, 5)
	lies, truths := 0, 0
	for seq := range uint64(40) {
		m := newVote(seq * 10)
		b.in.env.Multicast(everybody, m)
		same, other := tally(t, b.take(), m)
		require.Equal(t, 1, same[5], "peers hear the truth")
		require.Equal(t, 7, len(same)+len(other), "everybody hears one thing")
		lies, truths = lies+len(other), truths+len(same)
	}
	require.Greater(t, lies, 60)
	require.Greater(t, truths, 60)

	b = start(t, "equivocate", 0, map[string]int64{"share": 1000})
	r := &protocols.Request{Client: aClient, Op: []byte("op")}
	b.in.env.Multicast(everybody, r)
	same, other := tally(t, b.take(), r)
	require.Len(t, same, 7, "other classes are left alone")
	require.Empty(t, other)
}

func TestDoubleVote(t *testing.T) {
	b := start(t, "double-vote", 0, nil, 5)
	m := newVote(3)
	b.in.env.Multicast(everybody, m)
	same, other := tally(t, b.take(), m)
	require.Equal(t, ids{1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, aClient: 1}, same)
	require.Equal(t, ids{1: 1, 2: 1, 3: 1, 4: 1, 6: 1, aClient: 1}, other)
}

func TestMutate(t *testing.T) {
	b := start(t, "mutate", 0, nil)
	m := newVote(3)
	b.in.env.Multicast(everybody, m)
	s := b.take()
	same, other := tally(t, s, m)
	require.Empty(t, same)
	require.Len(t, other, 7)
	for i := range s {
		require.Equal(t, encode(t, s[0].m), encode(t, s[i].m), "the same lie to everybody")
	}
	b = start(t, "mutate", 0, map[string]int64{"rate": 0})
	b.in.env.Multicast(everybody, m)
	same, _ = tally(t, b.take(), m)
	require.Len(t, same, 7)
}

// A lie about a message that the liar vouched for inside passes admission.
func TestLiesAreVouchedFor(t *testing.T) {
	for _, signed := range []bool{false, true} {
		b := start(t, "mutate", aClient, map[string]int64{"class": 0})
		a := b.in.env.Auth()
		r := &protocols.Request{Client: aClient, Timestamp: 9, Op: []byte("op"), Signed: signed}
		if signed {
			r.Auth = a.Sign(protocols.TagRequest, r.Digest(a))
		} else {
			r.Auth = a.MACs(protocols.TagRequest, b.cfg.Replicas, r.Digest(a))
		}
		b.in.env.Multicast(b.cfg.Replicas, r)
		same, other := tally(t, b.h.sent, r)
		require.Empty(t, same)
		require.Len(t, other, 7)
		for i, s := range b.take() {
			a := auth.New(b.h.ring.Keys(protocols.NodeID(i)), "", nil)
			p := s.m.(*protocols.Request).Part(a)
			require.True(t, a.VerifyPart(&p, i, len(b.cfg.Replicas)))
		}
	}
	// Somebody else's request cannot be vouched for.
	b := start(t, "mutate", 0, map[string]int64{"class": 0})
	theirs := auth.New(b.h.ring.Keys(aClient), "", nil)
	r := &protocols.Request{Client: aClient, Timestamp: 9, Op: []byte("op")}
	r.Auth = theirs.MACs(protocols.TagRequest, b.cfg.Replicas, r.Digest(theirs))
	b.in.env.Send(1, r)
	a := auth.New(b.h.ring.Keys(1), "", nil)
	lie := b.take()[0].m.(*protocols.Request)
	p := lie.Part(a)
	require.NotEqual(t, encode(t, r), encode(t, lie))
	require.False(t, a.VerifyPart(&p, 1, len(b.cfg.Replicas)))
}

func TestWrongReplies(t *testing.T) {
	var first string
	for _, self := range []protocols.NodeID{0, 1} {
		b := start(t, "wrong-replies", self, nil)
		m := &protocols.Reply{Timestamp: 4, Result: []byte("yes")}
		b.in.env.Send(aClient, m)
		b.in.env.Send(3, m)
		s := b.take()
		require.Equal(t, []byte("yes\x01"), s[0].m.(*protocols.Reply).Result)
		require.Same(t, m, s[1].m, "replicas get the truth")
		if first == "" {
			first = encode(t, s[0].m)
		}
		require.Equal(t, first, encode(t, s[0].m), "colluding replicas tell the same lie")
	}
}

func TestByzzFuzz(t *testing.T) {
	lies := func(set map[string]int64, rounds uint64) (out []uint64) {
		b := start(t, "byzzfuzz", 0, set)
		for seq := range rounds {
			m := newVote(seq * 10)
			for range 2 { // a round has several messages
				b.in.env.Multicast(everybody, m)
			}
			same, other := tally(t, b.take(), m)
			total := 0
			for _, id := range everybody[1:] {
				total += same[id] + other[id]
			}
			require.Equal(t, 14, total, "nothing is lost")
			if len(other) > 0 {
				out = append(out, seq)
			}
		}
		return out
	}
	hit := lies(map[string]int64{"c": 5, "r": 10}, 40)
	require.NotEmpty(t, hit)
	require.LessOrEqual(t, len(hit), 5)
	require.Less(t, hit[len(hit)-1], uint64(10), "only in the first r rounds")
	require.Empty(t, lies(map[string]int64{"c": 0}, 40))
	require.Len(t, lies(map[string]int64{"c": 1000, "r": 5}, 40), 5)
}

func TestStale(t *testing.T) {
	b := start(t, "stale", 0, map[string]int64{"rate": 1000, "instead": 1})
	for seq := range uint64(10) {
		m := newVote(seq)
		b.in.env.Multicast(protocols.Replicas(7), m)
		s := b.take()
		require.Len(t, s, 6)
		old := s[0].m.(*vote).Timestamp
		if seq > 0 {
			require.Less(t, old, seq)
		}
	}
	b = start(t, "stale", 0, map[string]int64{"rate": 1000})
	b.in.env.Send(1, newVote(1))
	b.in.env.Sub("inner").Send(1, newVote(2))
	s := b.take()
	require.Len(t, s, 3)
	require.Equal(t, "", s[2].path, "an old message goes out where it belongs")
}

func TestReplay(t *testing.T) {
	b := start(t, "replay", 0, map[string]int64{"rate": 1000}, 3)
	b.in.env.Sub("inner")
	b.receive(2, "inner", newVote(1))
	require.Empty(t, b.take())
	b.receive(2, "inner", newVote(2))
	s := b.take()
	require.Len(t, s, 5, "to all but itself and its peer")
	require.Equal(t, "inner", s[0].path)
	require.Equal(t, newVote(1), s[0].m)
	b.receive(2, "unknown", newVote(2))
	b.take()
	require.Equal(t, 3, b.in.received, "the node still gets everything")
}

func TestFlood(t *testing.T) {
	b := start(t, "flood", 0, map[string]int64{"every": int64(time.Millisecond), "burst": 4, "limit": 10})
	b.advance(time.Millisecond)
	require.Empty(t, b.take(), "nothing to repeat yet")
	b.receive(2, "", newVote(1))
	b.advance(time.Millisecond)
	require.Len(t, b.take(), 4*6)
	b.advance(time.Second)
	require.Len(t, b.take(), 6*6, "up to the limit")
	require.Empty(t, b.h.timers)
	require.Empty(t, b.in.timeouts)
}

// drawOptions picks any allowed options, but keeps floods short.
func drawOptions(t *rapid.T, a protocols.Attack) map[string]int64 {
	set := map[string]int64{}
	for _, o := range a.Options {
		if rapid.Bool().Draw(t, "set "+o.Name) {
			lo, hi := o.Min, o.Max
			switch o.Kind {
			case protocols.OptionBool:
				lo, hi = 0, 1
			case protocols.OptionChoice:
				lo, hi = 0, int64(len(o.Choices)-1)
			}
			if o.Name == "burst" || o.Name == "limit" || o.Name == "c" {
				hi = 20
			}
			set[o.Name] = rapid.Int64Range(lo, hi).Draw(t, o.Name)
		}
	}
	return set
}

// Whatever the options: nothing panics, messages stay immutable, nobody but the
// node's own paths speaks, the node gets all that is its own, and peers are never
// lied to.
func TestAnyAttack(t *testing.T) {
	attacks := All(table)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(attacks).Draw(t, "attack")
		self := rapid.SampledFrom([]protocols.NodeID{0, 3, 6, aClient}).Draw(t, "self")
		b := start(t, a.Name, self, drawOptions(t, a), 5)
		inner := b.in.env.Sub("inner")
		received, ownTimers := 0, 0
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			var m protocols.WireMessage = newVote(uint64(i))
			switch rapid.IntRange(0, 2).Draw(t, "message") {
			case 1:
				m = &protocols.Reply{Timestamp: uint64(i), Result: []byte{1}}
			case 2:
				m = &protocols.Request{Client: self, Timestamp: uint64(i), Op: []byte{2}, Auth: make([]byte, 7*protocols.MACSize)}
			}
			before := encode(t, m)
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				b.in.env.Multicast(everybody, m)
			case 1:
				inner.Send(rapid.SampledFrom(everybody).Draw(t, "to"), m)
			case 2:
				b.receive(2, "inner", m)
				received++
			case 3:
				b.in.env.SetTimer(time.Duration(rapid.Int64Range(1, 1e9).Draw(t, "timer")), 1, 2)
				ownTimers++
			case 4:
				b.advance(time.Duration(rapid.Int64Range(1, 1e8).Draw(t, "advance")))
			}
			require.Equal(t, before, encode(t, m))
		}
		if a.Name != "flood" { // its timers may go on for hours
			b.advance(2 * time.Hour)
			require.Len(t, b.in.timeouts, ownTimers)
		}
		if a.Name != "twins" { // who is with the other twin is not heard
			require.Equal(t, received, b.in.received)
		}
		for _, x := range b.in.timeouts {
			require.Equal(t, uint64(2), x.Arg)
		}
		for _, s := range b.take() {
			require.Contains(t, []string{"", "inner"}, s.path)
			if s.to == 5 && a.Name != "stale" && a.Name != "replay" {
				require.False(t, s.bad)
			}
		}
	})
}

// A restart is a new life: nothing of the old one is remembered.
func TestNewLife(t *testing.T) {
	a := find(t, "delay")
	o, err := protocols.ResolveOptions(a.Options, nil)
	require.NoError(t, err)
	cfg := &protocols.Config{N: 7, F: 2, Replicas: protocols.Replicas(7)}
	adv := a.New(cfg, o, nil)
	for range 2 {
		h := &fakeHost{ring: auth.NewModelled(1, 1)}
		in := new(script)
		e := adv.Env(0, h.env(""))
		n := adv.Node(0, in)
		n.Start(e, protocols.Boot{})
		in.env.Send(1, newVote(1))
		require.Empty(t, h.sent)
		require.Len(t, h.timers, 1)
		n.Timeout(h.timers[0].t)
		require.Len(t, h.sent, 1)
	}
}

func TestClientStaysAClient(t *testing.T) {
	a := find(t, "silent")
	o, err := protocols.ResolveOptions(a.Options, nil)
	require.NoError(t, err)
	adv := a.New(&protocols.Config{N: 4}, o, nil)
	adv.Env(0, (&fakeHost{ring: auth.NewModelled(1, 1)}).env(""))
	in := new(invoked)
	c, ok := adv.Node(0, in).(protocols.Client)
	require.True(t, ok)
	c.Invoke(7, []byte("x"))
	require.Equal(t, uint64(7), in.id)
}

type invoked struct {
	script
	id uint64
}

func (i *invoked) Invoke(id uint64, _ []byte) { i.id = id }

// In every period each of the others talks with one of the twins at least, some with
// one only, and the twins agree on who does; later it is others.
func TestTwins(t *testing.T) {
	a := find(t, "twins")
	require.Equal(t, 2, a.Copies)
	o, err := protocols.ResolveOptions(a.Options, map[string]int64{"period": int64(time.Second)})
	require.NoError(t, err)
	var twins [2]*bench
	for i := range twins {
		b := &bench{t: t, h: &fakeHost{ring: auth.NewModelled(1, 1), self: 2, now: 1000}, in: new(script)}
		b.cfg = &protocols.Config{Cluster: 1, Self: 2, Copy: i, N: 7, F: 2, Replicas: protocols.Replicas(7)}
		adv := a.New(b.cfg, o, protocols.Group{2})
		e := adv.Env(0, b.h.env(""))
		b.node = adv.Node(0, b.in)
		b.node.Start(e, protocols.Boot{})
		twins[i] = b
	}
	seen := map[string]bool{}
	for range 20 {
		pattern, split := "", false
		for _, id := range everybody {
			if id == 2 {
				continue
			}
			reached := 0
			for _, b := range twins {
				b.in.env.Send(id, newVote(1))
				sent := len(b.take())
				before := b.in.received
				b.receive(id, "", newVote(2))
				require.Equal(t, sent, b.in.received-before, "who is talked to is heard")
				reached += sent
				pattern += string(rune('0' + sent))
			}
			require.NotZero(t, reached)
			split = split || reached == 1
		}
		seen[pattern] = true
		require.True(t, split)
		for _, b := range twins {
			b.advance(time.Second)
		}
	}
	require.Greater(t, len(seen), 10)
}

// noisy is a behaviour as a protocol would write it.
type noisy struct {
	Honest
	log *[]string
}

func (n noisy) Start(a *Actor) {
	*n.log = append(*n.log, "start")
	a.SetTimer(time.Second, 7)
}

func (n noisy) Send(a *Actor, e protocols.Env, to protocols.Group, m protocols.WireMessage) {
	odd, even := a.Split(to, func(id protocols.NodeID) bool { return a.Outsider(id) && id%2 == 1 })
	a.Pass(e, odd, newVote(99))
	a.Pass(e, even, m)
}

func (n noisy) Receive(a *Actor, e *protocols.Envelope, m protocols.WireMessage) {
	if a.Chance(1000) && !a.Chance(0) {
		a.Pass(a.Env(e.Path), protocols.Group{e.From}, m)
	}
}

func (n noisy) Timeout(a *Actor, arg uint64) {
	*n.log = append(*n.log, fmt.Sprint("timeout ", arg, " of ", a.Self(), " of ", a.Config().N, " at ", a.Now()))
}

func TestOwn(t *testing.T) {
	var log []string
	a := Own("noisy", "doc", []protocols.Option{Rate(100, "how much")}, func() *protocols.MessageTable { return table },
		func(_ *protocols.Config, o protocols.Options) Behaviour {
			log = append(log, fmt.Sprint("rate ", o.Int("rate")))
			return noisy{log: &log}
		})
	o, err := protocols.ResolveOptions(a.Options, map[string]int64{"until": int64(2 * time.Second)})
	require.NoError(t, err)
	b := &bench{t: t, h: &fakeHost{ring: auth.NewModelled(1, 1), self: 2}, in: new(script)}
	adv := a.New(&protocols.Config{Cluster: 1, Self: 2, N: 7, F: 2, Replicas: protocols.Replicas(7)}, o, protocols.Group{2, 3})
	e := adv.Env(0, b.h.env(""))
	b.node = adv.Node(0, b.in)
	b.node.Start(e, protocols.Boot{})
	b.in.env.Multicast(protocols.Replicas(7), newVote(1))
	same, other := tally(t, b.take(), newVote(1))
	require.Equal(t, map[protocols.NodeID]int{0: 1, 3: 1, 4: 1, 6: 1}, same, "peers are spared")
	require.Equal(t, map[protocols.NodeID]int{1: 1, 5: 1}, other)
	b.receive(4, "", newVote(5))
	require.Len(t, b.take(), 1)
	b.advance(3 * time.Second)
	b.in.env.Send(1, newVote(1))
	same, _ = tally(t, b.take(), newVote(1))
	require.Len(t, same, 1, "honest after its time")
	require.Equal(t, []string{"rate 100", "start", "timeout 7 of 2 of 7 at 1000000000"}, log)
}
