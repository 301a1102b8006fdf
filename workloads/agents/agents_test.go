package agents

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

func clockMessage(k, ts uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte("clock"), k), ts)
}

func seedOf(i int) [32]byte { return [32]byte{byte(i + 1)} }

// bank is a ledger that knows nothing but time.
type bank struct {
	t        require.TestingT
	f        int
	tick     uint64
	now      uint64
	history  []uint64
	when     []protocols.Time
	verdicts [5]int
}

func (b *bank) rules() Ledger {
	return Ledger{
		Message: clockMessage,
		Tick: func(k uint64, reports []Report) ([]byte, error) {
			op := binary.BigEndian.AppendUint64(nil, k)
			for _, r := range reports {
				op = append(op, byte(r.Replica))
				op = binary.BigEndian.AppendUint64(op, r.Time)
				op = append(op, r.Signature[:]...)
			}
			return op, nil
		},
		Verdict: func(r []byte) Verdict { return Verdict(r[0]) },
	}
}

func (b *bank) apply(at protocols.Time, op []byte) Verdict {
	k := binary.BigEndian.Uint64(op)
	switch {
	case k <= b.tick:
		return Passed
	case k > b.tick+1:
		return Early
	}
	var times []uint64
	last := -1
	for r := op[8:]; len(r) > 0; r = r[73:] {
		i, ts := int(r[0]), binary.BigEndian.Uint64(r[1:])
		require.Greater(b.t, i, last, "ascending replicas")
		last = i
		if (scheme{}).Verify(seedOf(i), clockMessage(k, ts), r[9:73]) {
			times = append(times, ts)
		}
	}
	if len(times) < 2*b.f+1 {
		return Short
	}
	slices.Sort(times)
	m := times[(len(times)-1)/2]
	if m <= b.now {
		return NotAhead
	}
	b.tick, b.now = k, m
	b.history, b.when = append(b.history, m), append(b.when, at)
	return Applied
}

// client is a protocol client that takes a while.
type client struct {
	env  protocols.Env
	bank *bank
	net  *net
	open int
}

func (c *client) Start(env protocols.Env, _ protocols.Boot) { c.env = env.Sub("inner") }
func (c *client) Receive(*protocols.Envelope, protocols.Message, protocols.Verdicts) {
	panic("nothing is for me")
}

func (c *client) Invoke(id uint64, op []byte) {
	c.open++
	require.Equal(c.net.t, 1, c.open, "one operation at a time")
	result := []byte("foreign")
	if id&ownID != 0 {
		v := c.bank.apply(c.net.now, op)
		c.bank.verdicts[v]++
		result = []byte{byte(v)}
	}
	c.env.SetTimer(5*time.Millisecond, 0, id)
	pending[id] = result
}

var pending = map[uint64][]byte{}

func (c *client) Timeout(t protocols.Timer) {
	c.open--
	c.env.Complete(protocols.Completion{ID: t.Arg, Result: pending[t.Arg]})
}

const collectorID = protocols.FirstClient + 5

type cluster struct {
	*net
	bank   *bank
	clocks []*host
	coll   *host
	// signed[i] is what clock i said for each tick, over all of its lives.
	signed []map[uint64]uint64
}

func newCluster(t require.TestingT, seed uint64, f int, period time.Duration, skew func(i int) time.Duration) *cluster {
	n := 3*f + 1
	c := &cluster{net: newNet(t, seed), bank: &bank{t: t, f: f}, signed: make([]map[uint64]uint64, n)}
	var keys [][32]byte
	var group protocols.Group
	for i := range n {
		c.signed[i] = map[uint64]uint64{}
		keys = append(keys, seedOf(i))
		group = append(group, protocols.FirstAgent+protocols.NodeID(i))
	}
	rules := c.bank.rules()
	for i, id := range group {
		mine := rules
		mine.Message = func(k, ts uint64) []byte {
			if old, ok := c.signed[i][k]; ok {
				require.Equal(t, old, ts, "clock %d signs tick %d twice", i, k)
			}
			c.signed[i][k] = ts
			return clockMessage(k, ts)
		}
		c.clocks = append(c.clocks, c.add(id, skew(i), func() protocols.Node {
			return NewClock(ClockConfig{Seed: seedOf(i), Scheme: scheme{}, Ledger: mine, Collectors: protocols.Group{collectorID, collectorID + 1}})
		}))
	}
	cfg := CollectorConfig{Ledger: rules, Agents: group, Keys: keys, Quorum: 2*f + 1, Weak: f + 1, Median: f, Period: period}
	require.NoError(t, cfg.Check())
	c.coll = c.add(collectorID, 0, func() protocols.Node { return NewCollector(cfg, &client{bank: c.bank, net: c.net}) })
	c.add(collectorID+1, 0, c.coll.build)
	return c
}

func (c *cluster) startAll() {
	for _, h := range c.clocks {
		h.start(protocols.Fresh)
	}
	c.coll.start(protocols.Fresh)
}

func none(int) time.Duration { return 0 }

func TestTicksComeOncePerPeriod(t *testing.T) {
	c := newCluster(t, 1, 1, 250*time.Millisecond, func(i int) time.Duration { return time.Duration(i*20) * time.Millisecond })
	c.startAll()
	c.play(10*time.Second + 20*time.Millisecond)
	require.Equal(t, uint64(41), c.bank.tick)
	require.Equal(t, [5]int{41, 0, 0, 0, 0}, c.bank.verdicts)
	for i := 1; i < len(c.bank.when); i++ {
		require.InDelta(t, 250, c.bank.when[i].Sub(c.bank.when[i-1]).Milliseconds(), 10)
	}
	// No more messages than one round of requests and reports per tick.
	require.Equal(t, 41*4, c.sent[TagClockRequest])
	require.Equal(t, 41*4, c.sent[TagClockReport])
	coll := c.coll.node.(*Collector)
	require.Equal(t, uint64(41), coll.Applied())
	require.Equal(t, c.bank.now, coll.LedgerTime())
}

func TestTimeSurvivesLossAndCrashedClocks(t *testing.T) {
	c := newCluster(t, 2, 2, 100*time.Millisecond, none)
	c.loss = 30
	c.startAll()
	c.clocks[0].crash()
	c.clocks[3].crash()
	c.play(20 * time.Second)
	require.Greater(t, c.bank.tick, uint64(40))
	c.loss = 0
	at := c.bank.tick
	c.play(25 * time.Second)
	require.InDelta(t, 50, c.bank.tick-at, 2)
}

func TestTooFewClocksStopTime(t *testing.T) {
	c := newCluster(t, 3, 1, 100*time.Millisecond, none)
	c.startAll()
	c.play(time.Second)
	c.clocks[0].crash()
	c.clocks[1].crash()
	c.play(time.Second + 50*time.Millisecond) // what is under way ends
	at := c.bank.tick
	c.play(5 * time.Second)
	require.LessOrEqual(t, c.bank.tick, at+1)
	c.clocks[1].start(protocols.Recovered)
	c.play(6 * time.Second)
	require.Greater(t, c.bank.tick, at+5, "and one that recovers starts it again")
}

func TestCollectorRestartsFromNothing(t *testing.T) {
	for _, kind := range []protocols.BootKind{protocols.Recovered, protocols.Wiped} {
		c := newCluster(t, 4, 1, 100*time.Millisecond, none)
		c.startAll()
		for s := 1; s <= 5; s++ {
			c.play(time.Duration(s)*4*time.Second + 3*time.Millisecond)
			c.coll.crash()
			c.play(time.Duration(s)*4*time.Second + 500*time.Millisecond)
			c.coll.start(kind)
		}
		c.play(24 * time.Second)
		require.Greater(t, c.bank.tick, uint64(200), "more ticks than the clocks remember")
		require.Zero(t, c.bank.verdicts[NotAhead])
		require.Zero(t, c.bank.verdicts[Early])
	}
}

func TestSlowClocksAnswerWhenTheyMay(t *testing.T) {
	// Half of the clocks are a second ahead: no reading may waste a tick.
	c := newCluster(t, 5, 1, 100*time.Millisecond, func(i int) time.Duration { return time.Duration(i%2) * time.Second })
	c.startAll()
	c.play(20 * time.Second)
	require.Greater(t, c.bank.tick, uint64(30), "as often as the slow half permits")
	require.Zero(t, c.bank.verdicts[NotAhead])
}

func TestTwoCollectorsShareTheClock(t *testing.T) {
	c := newCluster(t, 6, 1, 100*time.Millisecond, none)
	c.startAll()
	second := c.hosts[collectorID+1]
	c.play(3 * time.Second)
	second.start(protocols.Fresh)
	c.play(6 * time.Second)
	c.coll.crash()
	at := c.bank.tick
	c.play(9 * time.Second)
	require.Greater(t, c.bank.tick, at+20)
	require.Zero(t, c.bank.verdicts[Early])
}

func TestForeignOperationsPassThrough(t *testing.T) {
	c := newCluster(t, 7, 1, 20*time.Millisecond, none)
	var done []uint64
	c.coll.complete = func(r protocols.Completion) {
		require.Equal(t, "foreign", string(r.Result))
		done = append(done, r.ID)
	}
	c.startAll()
	for i := range 50 {
		c.at(time.Duration(i)*10*time.Millisecond, collectorID, 0, func(n protocols.Node) { n.(*Collector).Invoke(uint64(i), []byte("x")) })
	}
	c.play(2 * time.Second)
	require.Len(t, done, 50)
	require.True(t, slices.IsSorted(done))
	require.Greater(t, c.bank.tick, uint64(20))
}

func TestStrangersGetNoAnswer(t *testing.T) {
	c := newCluster(t, 8, 1, time.Second, none)
	c.startAll()
	c.play(100 * time.Millisecond)
	before := c.sent[TagClockReport]
	for _, from := range []protocols.NodeID{7, protocols.FirstClient} {
		c.at(1, protocols.FirstAgent, 0, func(n protocols.Node) {
			n.Receive(&protocols.Envelope{From: from, Path: Path}, &ClockRequest{Tick: 9}, protocols.Verdicts{})
		})
	}
	c.play(200 * time.Millisecond)
	require.Equal(t, before, c.sent[TagClockReport])
}

func TestForgedReportsDoNotCount(t *testing.T) {
	c := newCluster(t, 9, 1, 100*time.Millisecond, none)
	c.startAll()
	c.clocks[0].crash()
	c.clocks[1].crash()
	sig := (scheme{}).Sign(seedOf(9), clockMessage(1, 50))
	for i := range 4 {
		c.at(time.Millisecond, collectorID, 0, func(n protocols.Node) {
			n.Receive(&protocols.Envelope{From: protocols.FirstAgent + protocols.NodeID(i), Path: Path}, &ClockReport{Tick: 1, Time: 50, Signature: sig[:]}, protocols.Verdicts{})
			n.Receive(&protocols.Envelope{From: protocols.FirstAgent + protocols.NodeID(i), Path: Path}, &ClockReport{Tick: 1 << 40, Time: 50, Signature: sig[:]}, protocols.Verdicts{})
		})
	}
	c.play(3 * time.Second)
	require.Zero(t, c.bank.tick)
}

func TestAWipedClockStaysSilentForWhatItMayHaveSigned(t *testing.T) {
	c := newCluster(t, 10, 1, 100*time.Millisecond, none)
	c.startAll()
	c.play(950 * time.Millisecond)
	c.clocks[2].crash()
	c.clocks[2].start(protocols.Wiped)
	c.clocks[2].crash()
	c.clocks[2].start(protocols.Recovered) // it forgets neither that it forgot
	c.play(3 * time.Second)
	missing := 0
	for k := uint64(1); k < c.bank.tick; k++ {
		if _, ok := c.signed[2][k]; !ok {
			missing++
		}
	}
	require.InDelta(t, 2, missing, 1)
}

// Random schedules of loss, crashes with and without disk, skew and collector
// restarts: no clock contradicts itself (checked in newCluster), time only grows,
// and it goes on once the network is calm.
func TestRandomSchedules(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 77))
			f := 1 + int(seed%2)
			c := newCluster(t, seed, f, time.Duration(20+r.IntN(200))*time.Millisecond, func(int) time.Duration {
				return time.Duration(r.IntN(400)-200) * time.Millisecond
			})
			c.loss = r.IntN(40)
			c.startAll()
			end := time.Duration(0)
			for range 30 {
				end += time.Duration(r.IntN(300)) * time.Millisecond
				c.play(end)
				i := r.IntN(len(c.clocks) + 1)
				h, kind := c.coll, protocols.Recovered
				if i < len(c.clocks) {
					h = c.clocks[i]
					if i < f && r.IntN(2) == 0 { // only f clocks ever lose their disks
						kind = protocols.Wiped
					}
				}
				if h.up {
					h.crash()
				} else {
					h.start(kind)
				}
			}
			c.loss = 0
			for _, h := range append(slices.Clone(c.clocks), c.coll) {
				if !h.up {
					h.start(protocols.Recovered)
				}
			}
			at := c.bank.tick
			c.play(end + 10*time.Second)
			require.Greater(t, c.bank.tick, at+10)
			require.True(t, slices.IsSorted(c.bank.history))
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	good := CollectorConfig{Agents: protocols.Group{1, 2, 3, 4}, Keys: make([][32]byte, 4), Quorum: 3, Weak: 2, Median: 1, Period: time.Second}
	require.NoError(t, good.Check())
	for want, change := range map[string]func(*CollectorConfig){
		"needs its replica's key": func(c *CollectorConfig) { c.Keys = nil },
		"clock quorum of 5":       func(c *CollectorConfig) { c.Quorum = 5 },
		"weak clock quorum of 0":  func(c *CollectorConfig) { c.Weak = 0 },
		"median at index 3":       func(c *CollectorConfig) { c.Median = 3 },
		"period of 1µs":           func(c *CollectorConfig) { c.Period = time.Microsecond },
		"retry after -1ns":        func(c *CollectorConfig) { c.Retry = -1 },
	} {
		bad := good
		change(&bad)
		require.ErrorContains(t, bad.Check(), want)
		require.Panics(t, func() { NewCollector(bad, nil) })
	}
}

func TestMessagesAreComplete(t *testing.T) {
	table := protocols.NewMessageTable(Messages())
	require.Len(t, table.Types(), 4)
	require.NotNil(t, table.Lookup(TagClockReport))
}

func FuzzDecode(f *testing.F) {
	for _, m := range []protocols.WireMessage{&ClockRequest{1, 2, true}, &ClockReport{1, 2, make([]byte, 64)}, &ClockRecord{true, 3, []ClockReport{{1, 2, []byte{3}}}}} {
		b, _ := m.MarshalMsg(nil)
		f.Add(b)
	}
	types := Messages()
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := range types {
			m, err := protocols.DecodeMessage(&types[i], b)
			if err != nil {
				continue
			}
			again, err := m.MarshalMsg(nil)
			require.NoError(t, err)
			require.Equal(t, b, again, "canonical encodings only")
		}
	})
}
