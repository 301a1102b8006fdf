package mix

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/market"
)

// Classes names the classes of the operations: one per type of transaction that
// the mixes send, then those that were never sent.
func Classes() []string {
	names := make([]string, 0, len(classTypes)+1)
	for _, t := range classTypes {
		names = append(names, t.String())
	}
	return append(names, "unsent")
}

// Unsent is the class of arrivals that never became a transaction.
const Unsent = uint8(len(classTypes))

var classTypes = [...]market.Type{
	market.TypeTransfer, market.TypeDeviceRegister, market.TypeDeviceCheckIn,
	market.TypeAuctionOpen, market.TypeBidCommit, market.TypeBidReveal, market.TypeAuctionClose, market.TypeAwardPay, market.TypeKeyDeliver,
	market.TypeServicePost, market.TypeProviderOffer, market.TypeAnchorReadings, market.TypeSampleReport,
	market.TypeVerdictCommit, market.TypeVerdictReveal, market.TypeVerdictFinalize,
	market.TypeChannelOpen, market.TypeChannelDeposit, market.TypeChannelClaim, market.TypeChannelStartSettle, market.TypeChannelSettle,
}

var classOf = func() (c [256]uint8) {
	for i := range c {
		c[i] = Unsent
	}
	for i, t := range classTypes {
		c[t] = uint8(i)
	}
	return c
}()

// Stats counts what the generator did.
type Stats struct {
	// Sent, Accepted and Rejected transactions.
	Sent, Accepted, Rejected uint64
	// Codes counts the results other than OK, by code.
	Codes map[market.Code]uint64
	// Sessions opened, by family.
	Sessions [numFamilies]uint64
	// Retried transactions and sessions that were GivenUp.
	Retried, GivenUp uint64
	// Promises are the payments that never reached the ledger.
	Promises uint64
	// Delivered counts auctions that ended with a key, Judged verdicts.
	Delivered, Judged uint64
}

// session is a running sequence of transactions. A step is one of them; arg tells
// apart steps of one kind.
type session interface {
	// payload returns the transaction of a step, just before it is sent.
	payload(g *Generator, step uint8, arg int) (market.Payload, []market.Signer)
	// result is told how it ended.
	result(g *Generator, j *job, code market.Code, result []byte)
}

// job is a transaction to be sent.
type job struct {
	s     session
	acc   *account
	step  uint8
	tries uint8
	arg   int
	due   int64 // wall clock in ms
	seq   uint64
	r     *rand.PCG // the stream of the session
}

// account is an account of the shard.
type account struct {
	w    market.Wallet
	busy bool
	// waiting jobs, the first to be sent when the account is free.
	waiting []*job
}

// Generator plays one shard of a world. It implements load.Generator.
type Generator struct {
	w   *World
	c   *cast
	cfg *Config
	env protocols.LoadEnv
	// r is the stream of the session that is played at the moment: what a session
	// draws depends on its family and number only, not on what happens beside it.
	// choice draws the families.
	r, choice    *rand.PCG
	seed1, seed2 uint64

	accounts []account
	devices  []device
	ready    []*job
	readyAt  int // ready[:readyAt] is done
	timed    timers
	seq      uint64
	open     []*job // by user
	sent     []protocols.Time
	freed    []protocols.Time // when a user got its last result; 0 once it came back
	votes    int              // opened so far, or left out
	channels int              // opened so far
	devs     int              // registered so far
	tick     int64            // ms
	// Smoothed latency, and time from a user's result to its return, in
	// microseconds. They begin with a guess, kept negative.
	lat, idle int64
	late      int64 // how much later than due transactions were sent of late, in ms
	opens     int64 // when the next auction may open, in microseconds of wall clock
	judges    int64 // when the next vote may
	service   int64 // transactions of a session of services, in thousandths, on average
	stats     Stats
}

// NewGenerator returns the generator of the configuration's shard for this many
// users of the load.
func (w *World) NewGenerator(env protocols.LoadEnv, users int) *Generator {
	g := &Generator{
		w: w, c: &w.shards[w.cfg.Shard], cfg: &w.cfg, env: env, open: make([]*job, users), sent: make([]protocols.Time, users),
		freed: make([]protocols.Time, users),
		tick:  w.cfg.Tick.Milliseconds(), lat: -50_000, idle: -1, stats: Stats{Codes: make(map[market.Code]uint64)},
	}
	g.seed1, g.seed2 = env.Stream("market")
	if r := uint64(w.cfg.Rate); r > 0 {
		g.idle = -int64(min(uint64(users*w.cfg.Shards)*1_000_000*uint64(arrival.PerSecond)/r, uint64(time.Hour/time.Microsecond)))
	}
	g.choice = g.stream(numFamilies, 0)
	g.devices = append([]device(nil), g.c.devices...)
	for _, gr := range []group{g.c.users, g.c.oems, g.c.providers, g.c.auditors, g.c.voters} {
		for i := range gr.n {
			g.accounts = append(g.accounts, account{w: market.Wallet{
				Scheme: env.Scheme(), Chain: w.cluster.Chain, Account: g.c.account(gr, i), Seed: seedOf(w.cluster.Chain, gr.kind, w.cfg.Shard, i),
			}})
		}
	}
	g.service = int64(w.cfg.opsPerSession(Service))
	return g
}

// Stats returns the counters.
func (g *Generator) Stats() Stats { return g.stats }

// Counters implements load.Counter. Transactions that the ledger refused are counted
// by their result code, sessions by their family.
func (g *Generator) Counters(add func(name string, value uint64)) {
	s := &g.stats
	add("retried", s.Retried)
	add("given_up", s.GivenUp)
	add("promises", s.Promises)
	add("delivered", s.Delivered)
	add("judged", s.Judged)
	for f, n := range s.Sessions {
		if n > 0 {
			add("sessions_"+Family(f).String(), n)
		}
	}
	codes := make([]market.Code, 0, len(s.Codes))
	for c := range s.Codes {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	for _, c := range codes {
		add("code "+c.String(), s.Codes[c])
	}
}

func (g *Generator) account(gr group, i int) *account { return &g.accounts[gr.first+i] }

// stream returns the random stream of a session.
func (g *Generator) stream(f Family, session uint64) *rand.PCG {
	const golden = 0x9e3779b97f4a7c15 // spreads the numbers over all bits
	return rand.NewPCG(g.seed1+uint64(f)<<56, g.seed2+session*golden)
}

// uniform draws from [0, n).
func (g *Generator) uniform(n int) int {
	return int(g.r.Uint64() >> 32 * uint64(n) >> 32)
}

// chance is true in so many cases of a thousand.
func (g *Generator) chance(permille int) bool { return g.uniform(1000) < permille }

// clock is the wall clock in ms from the ledger's origin, which ledger time
// follows.
func (g *Generator) clock() int64 {
	return int64(g.env.Clock()-g.cfg.Origin) / int64(time.Millisecond)
}

// smooth follows a duration; the first one replaces the guess.
func smooth(v *int64, d time.Duration) {
	us := d.Microseconds()
	if *v < 0 {
		*v = us
	}
	if us < *v/4 { // the end of an outage: there are few results to learn from
		*v -= (*v - us) / 4
	} else {
		*v += (us - *v) / 16
	}
}

// latency is what a transaction takes at present, in ms, rounded up.
func (g *Generator) latency() int64 { return abs(g.lat)/1000 + 1 }

func abs(v int64) int64 { return max(v, -v) }

// lag is how far ledger time may be behind the wall clock: a tick, and the way of
// the tick through the protocol.
func (g *Generator) lag() int64 { return g.tick + 2*g.latency() + 10 }

// window is the length of a window in which several transactions have to arrive.
func (g *Generator) window() int64 {
	return 4*g.tick + 6*g.latency() + 4*g.late + 2*g.spacing(g.cfg.opsPerSession(Auction))/1000
}

// spacing is how many microseconds lie between sessions of so many transactions
// (in thousandths) when the users do nothing else: sessions that wait for time
// are not opened faster, or their deadlines would come all at once. A tenth faster,
// because they are opened only when nothing is due and a lack is to be made up.
func (g *Generator) spacing(ops uint64) int64 {
	return int64(ops) * max(abs(g.lat)+abs(g.idle), 100) / int64(len(g.open)) / 1100
}

// free finds an account of the group that has nothing to send, from the given one
// on; -1 if the next few are all busy.
func (g *Generator) free(gr group, from int) int {
	for k := range min(gr.n, 32) {
		i := (from + k) % gr.n
		if a := g.account(gr, i); !a.busy && len(a.waiting) == 0 {
			return i
		}
	}
	return -1
}

// after schedules a step of a session; due is in ms of wall clock, 0 is now.
func (g *Generator) after(due int64, s session, acc *account, step uint8, arg int) {
	g.push(&job{s: s, acc: acc, step: step, arg: arg, due: due, r: g.r})
}

func (g *Generator) push(j *job) {
	if j.due == 0 {
		g.ready = append(g.ready, j)
		return
	}
	g.seq++
	j.seq = g.seq
	g.timed.push(j)
}

// retry sends a step again a tick later, a few times; it reports false when that
// was enough.
func (g *Generator) retry(j *job) bool {
	if j.tries >= 3 {
		g.stats.GivenUp++
		return false
	}
	g.stats.Retried++
	again := *j
	again.tries++
	again.due = g.clock() + g.tick
	g.push(&again)
	return true
}

// Next implements load.Generator.
func (g *Generator) Next(user int, now protocols.Time) (uint8, []byte, bool) {
	clock := g.clock()
	if at := g.freed[user]; at != 0 {
		smooth(&g.idle, now.Sub(at))
		g.freed[user] = 0
	}
	for len(g.timed) > 0 && g.timed[0].due <= clock {
		g.ready = append(g.ready, g.timed.pop())
	}
	for range 64 {
		j := g.pop()
		if j == nil {
			if !g.start() {
				return 0, nil, false
			}
			continue
		}
		if j.acc.busy {
			j.acc.waiting = append(j.acc.waiting, j)
			continue
		}
		g.r = j.r
		p, co := j.s.payload(g, j.step, j.arg)
		op, err := j.acc.w.Tx(p, co...)
		if err != nil { // no payload here is too long
			panic("mix: " + err.Error())
		}
		if j.due != 0 {
			g.late = max(clock-j.due, g.late-g.late/16-1, 0)
		}
		j.acc.busy = true
		g.open[user] = j
		g.sent[user] = now
		g.stats.Sent++
		return classOf[p.Type()], op, true
	}
	return 0, nil, false
}

// pop takes the first job that is ready.
func (g *Generator) pop() *job {
	if g.readyAt == len(g.ready) {
		g.ready, g.readyAt = g.ready[:0], 0
		return nil
	}
	j := g.ready[g.readyAt]
	g.ready[g.readyAt] = nil
	g.readyAt++
	if g.readyAt >= 1024 && g.readyAt*2 >= len(g.ready) {
		n := copy(g.ready, g.ready[g.readyAt:])
		g.ready, g.readyAt = g.ready[:n], 0
	}
	return j
}

// Result implements load.Generator.
func (g *Generator) Result(user int, now protocols.Time, _, result []byte) protocols.Outcome {
	j := g.open[user]
	if j == nil {
		return protocols.Rejected
	}
	g.open[user] = nil
	g.freed[user] = max(now, 1)
	smooth(&g.lat, now.Sub(g.sent[user]))
	code := market.CodeOf(result)
	g.repair(&j.acc.w, code)
	j.acc.busy = false
	if n := len(j.acc.waiting); n > 0 {
		g.ready = append(g.ready, j.acc.waiting[0])
		j.acc.waiting[0] = nil
		j.acc.waiting = j.acc.waiting[1:]
		if n == 1 {
			j.acc.waiting = nil
		}
	}
	g.r = j.r
	j.s.result(g, j, code, result)
	if code != market.OK {
		g.stats.Rejected++
		g.stats.Codes[code]++
		return protocols.Rejected
	}
	g.stats.Accepted++
	return protocols.Done
}

// repair keeps the nonce right: a refused transaction did not use it up.
func (g *Generator) repair(w *market.Wallet, code market.Code) {
	switch {
	case code == market.ErrNonceReplay: // the ledger is further than we thought
	case code == market.ErrNonceGap:
		w.Nonce -= min(w.Nonce, 2)
	case code.Refused():
		w.Nonce--
	}
}

// start opens a session; it reports false if no family can at present.
func (g *Generator) start() bool {
	var weight [numFamilies]uint64
	for {
		// Each family's weight counts transactions; a session makes several.
		total := uint64(0)
		for f := range numFamilies {
			if weight[f] != tried {
				ops := g.cfg.opsPerSession(f)
				if f == Service {
					ops = uint64(g.service)
				}
				weight[f] = uint64(g.cfg.Weights[f]) * 1_000_000_000 / ops
				total += weight[f]
			}
		}
		if total == 0 {
			return false
		}
		x := g.choice.Uint64() % total
		for f := range numFamilies {
			if weight[f] == tried {
				continue
			}
			if x >= weight[f] {
				x -= weight[f]
				continue
			}
			g.r = g.stream(f, g.stats.Sessions[f])
			if g.startFamily(f) {
				g.stats.Sessions[f]++
				return true
			}
			weight[f] = tried
			break
		}
	}
}

const tried = 1<<64 - 1

func (g *Generator) startFamily(f Family) bool {
	switch f {
	case Register:
		return g.startRegistration()
	case Auction:
		return g.startAuction()
	case Service:
		return g.startService()
	case Channel:
		return g.startChannel()
	default:
		return g.startTransfer()
	}
}

// timers is a binary heap of jobs by due time, then by age.
type timers []*job

func (t timers) before(i, j int) bool {
	return t[i].due < t[j].due || t[i].due == t[j].due && t[i].seq < t[j].seq
}

func (t *timers) push(j *job) {
	*t = append(*t, j)
	for i := len(*t) - 1; i > 0; {
		up := (i - 1) / 2
		if !t.before(i, up) {
			return
		}
		(*t)[i], (*t)[up] = (*t)[up], (*t)[i]
		i = up
	}
}

func (t *timers) pop() *job {
	s := *t
	top, n := s[0], len(s)-1
	s[0], s[n] = s[n], nil
	s = s[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if s.before(c, least) {
				least = c
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*t = s
	return top
}
