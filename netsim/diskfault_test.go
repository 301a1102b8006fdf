package netsim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/edgebft/edgebft/netsim/profile"
	"github.com/edgebft/edgebft/protocols"
	"github.com/stretchr/testify/require"
)

// logger logs a record every period and tells node 1 of it. It notes how it was
// started.
type logger struct {
	*puppet
	boots []protocols.Boot
}

func newLogger(period time.Duration, compactEvery uint64) *logger {
	l := &logger{}
	n := uint64(0)
	l.puppet = &puppet{
		start: func(p *puppet, b protocols.Boot) {
			l.boots = append(l.boots, b)
			p.env.SetTimer(period, 0, 0)
		},
		timeout: func(p *puppet, _ protocols.Timer) {
			n++
			if compactEvery > 0 && n%compactEvery == 0 {
				p.env.Compact(record(n))
			} else {
				p.env.Log(record(n))
			}
			p.ask(1, n, 0)
			p.env.SetTimer(period, 0, 0)
		},
	}
	return l
}

func kinds(boots []protocols.Boot) []string {
	var out []string
	for _, b := range boots {
		out = append(out, fmt.Sprint(b.Kind, " ", len(b.Records)))
	}
	return out
}

// A crash with a torn log loses what was being written from some record on: what
// is found is what was durable and perhaps more, without gaps, and nothing that
// waited for the rest had left.
func TestTornLog(t *testing.T) {
	lengths := make(map[int]int)
	for seed := range uint64(60) {
		s := newStage(t, Config{Seed: seed, Profile: diskProfile(), Faults: []Fault{{Kind: FaultCrash, At: protocols.Time(150 * us), For: ms, Torn: true, Nodes: ids(0)}}})
		var boots []protocols.Boot
		var a arrivals
		s.add(0, &puppet{start: func(p *puppet, b protocols.Boot) {
			boots = append(boots, b)
			if b.Kind == protocols.Fresh {
				p.env.Log(record(1)) // durable at 101 us
				p.ask(1, 1, 0)
				for i := range uint64(3) {
					p.env.SetTimer(110*us, 0, 2+i)
				}
				p.env.SetTimer(160*us, 0, 5)
			}
		}, timeout: func(p *puppet, tm protocols.Timer) {
			p.env.Log(record(tm.Arg))
			p.ask(1, tm.Arg, 0)
		}})
		s.add(1, &puppet{receive: a.receive})
		s.run(time.Second)
		require.Equal(t, []uint64{1}, a.seq)
		require.Len(t, boots, 2)
		require.Equal(t, protocols.Recovered, boots[1].Kind)
		found := recordSeqs(boots[1])
		require.Equal(t, []uint64{1, 2, 3, 4}[:len(found)], found)
		lengths[len(found)]++
	}
	require.Len(t, lengths, 4, "everything from the durable one to all four is found by some seed: %v", lengths)
}

// A damaged record is found when the log is read, and the process then says that
// it lost its disk. Until then, and if a summary has replaced the record, nothing
// is wrong.
func TestDamagedRecords(t *testing.T) {
	rot := Fault{Kind: FaultDiskCorrupt, At: protocols.Time(5*ms + 500*us), PPM: 1_000_000, Nodes: ids(0)}
	crash := Fault{Kind: FaultCrash, At: protocols.Time(8*ms + 500*us), For: ms, Nodes: ids(0)}
	for name, c := range map[string]struct {
		faults  []Fault
		compact uint64
		want    []string
	}{
		"no crash":            {[]Fault{rot}, 0, []string{"fresh 0"}},
		"crash":               {[]Fault{rot, crash}, 0, []string{"fresh 0", "wiped 0"}},
		"compacted before":    {[]Fault{rot, crash}, 7, []string{"fresh 0", "recovered 2"}},
		"crash without fault": {[]Fault{crash}, 0, []string{"fresh 0", "recovered 8"}},
		"once":                {[]Fault{rot, crash, {Kind: FaultCrash, At: protocols.Time(15 * ms), For: ms, Nodes: ids(0)}}, 0, []string{"fresh 0", "wiped 0", "recovered 5"}},
		"another disk":        {[]Fault{{Kind: FaultDiskCorrupt, PPM: 1_000_000, At: rot.At, Nodes: ids(1)}, crash}, 0, []string{"fresh 0", "recovered 8"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{Faults: c.faults})
			l := newLogger(ms, c.compact)
			s.add(0, l.puppet)
			s.add(1, &puppet{})
			s.run(20 * ms)
			require.Equal(t, c.want, kinds(l.boots))
		})
	}
}

// A process whose disk takes no more stops before anything leaves that waited for
// it, and goes on with what was durable when the disk works again.
func TestDiskThatFailsStopsTheProcess(t *testing.T) {
	size, err := record(7).MarshalMsg(nil)
	require.NoError(t, err)
	at := protocols.Time(5*ms + 500*us)
	for name, c := range map[string]struct {
		faults []Fault
		want   []string
		sent   []uint64 // what node 1 hears
	}{
		"error":         {[]Fault{{Kind: FaultDiskError, At: at, For: 3 * ms, Nodes: ids(0)}}, []string{"fresh 0", "recovered 5"}, []uint64{1, 2, 3, 4, 5, 7, 8}},
		"for good":      {[]Fault{{Kind: FaultDiskError, At: at, Nodes: ids(0)}}, []string{"fresh 0"}, []uint64{1, 2, 3, 4, 5}},
		"full":          {[]Fault{{Kind: FaultDiskFull, At: at, For: 3 * ms, Nodes: ids(0)}}, []string{"fresh 0", "recovered 5"}, []uint64{1, 2, 3, 4, 5, 7, 8}},
		"nearly full":   {[]Fault{{Kind: FaultDiskFull, At: at, For: 3 * ms, Room: int64(len(size)), Nodes: ids(0)}}, []string{"fresh 0", "recovered 6"}, []uint64{1, 2, 3, 4, 5, 6, 8, 9}},
		"other disk":    {[]Fault{{Kind: FaultDiskError, At: at, For: 3 * ms, Nodes: ids(1)}}, []string{"fresh 0"}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"too early":     {[]Fault{{Kind: FaultDiskError, At: at, For: 100 * us, Nodes: ids(0)}}, []string{"fresh 0"}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"still failing": {[]Fault{{Kind: FaultDiskError, At: at, For: 3 * ms, Nodes: ids(0)}, {Kind: FaultDiskFull, At: at, For: 4 * ms, Nodes: ids(0)}}, []string{"fresh 0", "recovered 5"}, []uint64{1, 2, 3, 4, 5, 7}},
		"recovered and stopped again": {
			[]Fault{{Kind: FaultDiskError, At: at, For: 3 * ms, Nodes: ids(0)}, {Kind: FaultRecover, At: protocols.Time(6*ms + 500*us), Nodes: ids(0)}},
			[]string{"fresh 0", "recovered 5", "recovered 5"},
			[]uint64{1, 2, 3, 4, 5, 8, 9},
		},
	} {
		for disk, p := range map[string]*profile.Profile{"free": nil, "slow": diskProfile()} {
			t.Run(name+" "+disk, func(t *testing.T) {
				s := newStage(t, Config{Profile: p, Faults: c.faults})
				l := newLogger(ms, 0)
				var a arrivals
				s.add(0, l.puppet)
				s.add(1, &puppet{receive: a.receive})
				s.run(12 * ms)
				require.Equal(t, c.want, kinds(l.boots))
				require.Equal(t, c.sent, a.seq)
			})
		}
	}
}

// Compaction makes room on a disk that is nearly full.
func TestCompactionMakesRoom(t *testing.T) {
	size, err := record(7).MarshalMsg(nil)
	require.NoError(t, err)
	s := newStage(t, Config{Faults: []Fault{{Kind: FaultDiskFull, At: protocols.Time(500 * us), Room: 5 * int64(len(size)), Nodes: ids(0)}}})
	l := newLogger(ms, 4)
	var a arrivals
	s.add(0, l.puppet)
	s.add(1, &puppet{receive: a.receive})
	s.run(20*ms + 1)
	require.Len(t, a.seq, 19)
}

// What one node sends over links of limited capacity shares it and waits, in
// order; what finds the queue full is lost and announced.
func TestCapacity(t *testing.T) {
	const each = 1000
	wire := wireOf(each)
	rate := wire * 8 * 1000 // one message per millisecond
	topology := flat(1, ms, 0)
	topology.Places[0].Link.Queue = 20 * wire
	s := newStage(t, Config{Topology: topology, Faults: []Fault{{Kind: FaultCapacity, At: protocols.Time(5 * ms), For: 100 * ms, Rate: rate, Nodes: ids(0), OneWay: true}}})
	burst := func(to ...protocols.NodeID) *puppet {
		return &puppet{
			start: func(p *puppet, _ protocols.Boot) { p.env.SetTimer(10*ms, 0, 0) },
			timeout: func(p *puppet, _ protocols.Timer) {
				for i := range uint64(30) {
					p.ask(to[i%uint64(len(to))], i, each)
				}
			},
		}
	}
	var h [3]heard
	sender, back, third := burst(1, 2), burst(0), &puppet{}
	for i, p := range []*puppet{sender, back, third} {
		p.receive = h[i].receive
		s.add(i, p)
	}
	st := s.run(time.Second)
	require.Len(t, h[0].seq, 30, "the other direction is not limited")
	for _, at := range h[0].at {
		require.Equal(t, protocols.Time(11*ms), at)
	}
	at := append(append([]protocols.Time(nil), h[1].at...), h[2].at...)
	slices.Sort(at)
	require.InDelta(t, 22, len(at), 1, "one on the way, the queue, and the one that found it just full")
	require.InDelta(t, int64(12*ms), int64(at[0]), float64(10*us))
	for i := 1; i < len(at); i++ { // those that join a flush are a little shorter
		require.InDelta(t, int64(900*us), int64(at[i]-at[i-1]), float64(100*us), "message %d", i)
	}
	require.IsIncreasing(t, h[1].seq)
	require.IsIncreasing(t, h[2].seq)
	lost := uint64(30 - len(at))
	require.Equal(t, lost, st.Nodes[0].Drops[DropSendQueue]+st.Nodes[1].Drops[DropSendQueue]+st.Nodes[2].Drops[DropSendQueue])
	require.NotEmpty(t, h[0].notices)
}
