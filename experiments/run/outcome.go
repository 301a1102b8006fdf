package run

import (
	"fmt"
	"sort"
	"time"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/netsim/observe"
	"github.com/edgebft/edgebft/protocols"
)

// counters are sums over a run so far.
type counters struct {
	messages, bytes uint64
	macs            []uint64 // per replica
	signs, verifies uint64
	cpu             int64
	lanes           []int64                 // all lanes of all replicas
	hosts           map[netsim.HostID]int64 // CPU
	disks           map[netsim.HostID]int64 // time that syncs take
	sent, received  map[netsim.HostID]int64 // bytes on the link
	clients         map[protocols.NodeID]int64
	held            uint64 // arrivals that the generators had nothing for
}

func (x *run) count() counters {
	st := x.sim.Stats()
	perHost := func() map[netsim.HostID]int64 { return make(map[netsim.HostID]int64) }
	c := counters{
		macs: make([]uint64, x.s.N), hosts: perHost(), disks: perHost(), sent: perHost(), received: perHost(),
		clients: make(map[protocols.NodeID]int64),
	}
	for _, l := range x.loads {
		if !l.ignored {
			c.held += l.Stats().Held
		}
	}
	for i := range st.Nodes {
		n := &st.Nodes[i]
		for class, t := range n.Sent {
			c.messages += t.Messages
			c.bytes += t.Bytes
			c.sent[n.Host] += int64(t.Wire)
			c.received[n.Host] += int64(n.Received[class].Wire)
		}
		c.hosts[n.Host] += n.CPU
		switch {
		case n.ID.IsReplica():
			c.lanes = append(c.lanes, n.LaneCPU...)
			if p := x.costs.replica(x.place(int(n.ID))); p != nil {
				c.disks[n.Host] += (int64(n.Fsyncs)*p.Fsync + int64(n.Records)*p.PerRecord) / 1000
			}
			c.macs[n.ID] = n.Ops[protocols.OpMAC] + n.Ops[protocols.OpMACVerify]
			c.cpu += n.CPU
			c.signs += n.Ops[protocols.OpSign]
			c.verifies += n.Ops[protocols.OpVerify] + n.Ops[protocols.OpAppVerify]
		case n.ID.IsClient():
			c.clients[n.ID] = n.CPU
		}
	}
	return c
}

// maxTimeline bounds the rows of the timeline: what comes later is left out, and a
// label of the result says so.
const maxTimeline = 1 << 20

// tick closes a second of the timeline.
func (x *run) tick() {
	if len(x.timeline)+x.s.N > maxTimeline {
		x.cut = true
		return
	}
	st := x.sim.Stats()
	second := int((x.sim.Now() - 1) / protocols.Time(time.Second))
	for i := range st.Nodes {
		n := &st.Nodes[i]
		if !n.ID.IsReplica() {
			continue
		}
		row := result.ReplicaRow{Second: second, Replica: int(n.ID), View: x.progress.view[n.ID], Up: !n.Down && !n.Paused}
		// Less than before only where speculation was taken back.
		row.Committed = max(x.progress.executed[n.ID]-x.executed[n.ID], 0)
		x.executed[n.ID] = x.progress.executed[n.ID]
		var old netsim.NodeStats
		if i < len(x.before) {
			old = x.before[i]
		}
		row.CPU = n.CPU - old.CPU
		for c := range n.Sent {
			row.MessagesOut += int64(n.Sent[c].Messages - old.Sent[c].Messages)
			row.MessagesIn += int64(n.Received[c].Messages - old.Received[c].Messages)
			row.BytesOut += int64(n.Sent[c].Bytes - old.Sent[c].Bytes)
			row.BytesIn += int64(n.Received[c].Bytes - old.Received[c].Bytes)
		}
		x.timeline = append(x.timeline, row)
	}
	x.before = st.Nodes
}

func (x *run) outcome(from, to counters) (*result.Outcome, error) {
	s := x.s
	r := result.New(s)
	l := x.recorder.Finish()
	r.SetLoad(l)
	r.Counters = x.counters()
	x.safety(r, x.sim.Finish())
	for k := range x.progress.views { //lint:allow determinism counting only
		if k.view > 0 {
			r.ViewChanges++
		}
	}
	total := s.Window.Total()
	for i := range s.Faults {
		if iv, ok := interval(&s.Faults[i], total); ok {
			r.Faults = append(r.Faults, iv)
		}
	}
	sort.SliceStable(r.Faults, func(i, j int) bool { return r.Faults[i].FromS < r.Faults[j].FromS })
	x.cost(r, from, to)
	r.Labels = append(r.Labels, x.costs.labels()...)
	if x.cut {
		r.Labels = append(r.Labels, fmt.Sprintf("the timeline ends after %d s, at its bound of %d rows", len(x.timeline)/s.N, maxTimeline))
	}
	if s.Workload.Kind == "closed" {
		r.Labels = append(r.Labels, "closed loop")
	}
	window := int64(s.Window.Measure)
	if x.costs.charged() {
		busiest := int64(0)
		for id, cpu := range to.clients { //lint:allow determinism maximum, order-free
			if id != x.collectorID() {
				busiest = max(busiest, cpu-from.clients[id])
			}
		}
		r.Validity.GeneratorCPUPermille = int(busiest * 1000 / max(window, 1))
		r.Validity.BottleneckPermille = int(x.bottleneck(from, to) * 1000 / max(window, 1))
	}
	x.starved(r, int64(to.held-from.held), l.Offered)
	out := &result.Outcome{Result: r, Load: l, Timeline: x.timeline}
	stats.Judge(out, stats.DefaultGates)
	for _, a := range []attachment{x.trace, x.requests, ChainsOf(x.sim)} {
		if err := a.attach(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// counters gathers what the loads of correct clients counted.
func (x *run) counters() map[string]uint64 {
	all := make(map[string]uint64)
	for _, l := range x.loads {
		if l.ignored {
			continue
		}
		l.Counters(func(name string, v uint64, peak bool) {
			if peak {
				all[name] = max(all[name], v)
				return
			}
			all[name] += v
		})
	}
	return all
}

// bottleneck returns how long the busiest resource of a replica worked between two
// counts: a lane, the disk, a direction of the link, or the cores of its host on
// average.
func (x *run) bottleneck(from, to counters) int64 {
	busiest := int64(0)
	for i := range to.lanes {
		busiest = max(busiest, to.lanes[i]-from.lanes[i])
	}
	through := func(bytes, rate int64) int64 { // in ns; exact to a microsecond
		if rate == 0 {
			return 0
		}
		return bytes * 8_000_000 / rate * 1000
	}
	for i, h := range x.hosts {
		link := &x.top.Places[x.place(i)].Link
		busiest = max(busiest, through(to.sent[h]-from.sent[h], link.Up), through(to.received[h]-from.received[h], link.Down))
		busiest = max(busiest, (to.hosts[h]-from.hosts[h])/x.cores[h], to.disks[h]-from.disks[h])
	}
	return busiest
}

// starvedPPM is how many arrivals may find the generator without anything to send.
const starvedPPM = 10_000

// starved makes a measurement invalid whose generator had nothing to send when
// requests were due: their latency counts from then on, but it is not the system's.
func (x *run) starved(r *result.Result, held, offered int64) {
	if held*1_000_000 <= offered*starvedPPM {
		return
	}
	r.Validity.Valid = false
	r.Validity.Reasons = append(r.Validity.Reasons, fmt.Sprintf(
		"the workload had nothing to send for %d of %d requests when they were due; at most 1 %% is allowed: lower the rate, or give it more to do (keys, services, a shorter tick, another mix)", held, offered))
}

// cost fills in what a request cost in the measured window.
func (x *run) cost(r *result.Result, from, to counters) {
	n := max(r.Committed, 1)
	per := func(v uint64) result.Fixed { return result.FixedRatio(int64(v), n) }
	r.Cost.MsgsPerReq = per(to.messages - from.messages)
	r.Cost.BytesPerReq = per(to.bytes - from.bytes)
	bottleneck := uint64(0)
	for i := range to.macs {
		bottleneck = max(bottleneck, to.macs[i]-from.macs[i])
	}
	r.Cost.MACOpsBottleneckPerReq = per(bottleneck)
	r.Cost.SignPerReq = per(to.signs - from.signs)
	r.Cost.VerifyPerReq = per(to.verifies - from.verifies)
	if x.costs.charged() {
		ms := result.FixedRatio(to.cpu-from.cpu, n*int64(time.Millisecond))
		r.Cost.CPUMSPerReq = &ms
	}
}

func (x *run) safety(r *result.Result, found []protocols.Violation) {
	rep := x.checker.Report()
	verdict := func(v observe.Verdict) result.Verdict { return result.Verdict(v) }
	r.Safety = result.Safety{
		Agreement: verdict(rep.Agreement), Integrity: verdict(rep.Integrity), Validity: verdict(rep.Validity),
		Linearizable: verdict(rep.Linearizable), Liveness: verdict(rep.Liveness), Root: verdict(rep.Root), Application: verdict(rep.Application),
		Unchecked: rep.Unchecked,
	}
	for _, v := range found {
		r.Safety.Violations = append(r.Safety.Violations, result.Violation{Invariant: v.Invariant, AtS: result.Seconds(v.At), Node: int(v.Node), Detail: v.Detail})
	}
}
