package mix

import (
	"crypto/sha256"

	"github.com/edgebft/edgebft/workloads/market"
)

// vote is the judgement of one epoch of a service by a panel.
type vote struct {
	id         market.ID
	service    int
	epoch      uint32
	due        int64 // ledger time at which the epoch ended
	epochMS    int64
	verdict    market.Verdict
	seats      []seat
	committing int
	revealing  int
	complete   bool // whoever committed has revealed
}

type seat struct {
	acc     *account
	verdict market.Verdict
	salt    market.Hash
}

const (
	stepVote uint8 = iota
	stepOpenVote
	stepFinalize
)

// startService votes on the epoch of a service or has one sampled, each as often as
// the other while there are epochs to vote on.
func (g *Generator) startService() bool {
	vote := g.chance(500) && g.startVote()
	if !vote && !g.startSampling() {
		if vote = g.startVote(); !vote {
			return false
		}
	}
	ops := int64(opsPerSampling)
	if vote {
		ops = int64(g.cfg.opsPerVote())
	}
	g.service += (ops - g.service) / 16
	return true
}

// startVote takes the next epoch that is due and still open for commits. Epochs end
// one after the other, in the order of their services.
func (g *Generator) startVote() bool {
	n := len(g.c.services)
	if n == 0 {
		return false
	}
	ms, now := int64(g.w.epochMS()), g.clock()
	if now*1000 < g.judges {
		return false
	}
	// The panel reveals in a short window: there must be room for it, and it takes
	// half of what the users do at most.
	room := ms/5 - g.lag() - 3*g.latency()
	if g.lat >= 0 && 2*g.spacing(uint64(1000*g.cfg.Panel)) > 1000*room { // a mere guess would forbid all votes for ever
		return false
	}
	for g.votes/n < g.cfg.Epochs {
		service, epoch := g.votes%n, g.votes/n
		due := g.w.began(g.cfg.Shard, service) + int64(epoch+1)*ms
		if now < due+g.lag() {
			return false // ledger time may be behind
		}
		g.votes++
		if now <= due+ms/3 { // most of the commit window is left
			g.judges = max(g.judges, (now-4*g.tick)*1000) + g.spacing(g.cfg.opsPerVote())
			g.openVote(service, epoch, due, now)
			return true
		}
	}
	return false
}

func (g *Generator) openVote(service, epoch int, due, now int64) {
	ms := int64(g.w.epochMS())
	s := &vote{id: g.c.services[service], service: service, epoch: uint32(epoch), due: due, epochMS: ms, verdict: market.Pass, complete: true}
	if g.chance(g.cfg.FailPermille) {
		s.verdict = market.Fail
	}
	for j := range g.cfg.Panel {
		acc := g.account(g.c.voters, g.w.seat(g.c, service, epoch, j))
		v := s.verdict
		if g.chance(20) {
			v = market.Pass + market.Fail - v // an honest mistake
		}
		s.seats = append(s.seats, seat{acc: acc, verdict: v, salt: salt(acc.w.Seed, s.id, uint64(epoch))})
		s.committing++
		g.after(now+int64(g.uniform(int(ms/12)+1)), s, acc, stepVote, j)
	}
}

func (s *vote) payload(g *Generator, step uint8, arg int) (market.Payload, []market.Signer) {
	if step == stepFinalize {
		return &market.VerdictFinalize{Service: s.id, Epoch: s.epoch}, nil
	}
	seat := &s.seats[arg]
	evidence := sha256.Sum256(s.id[:])
	if step == stepVote {
		return &market.VerdictCommit{Service: s.id, Epoch: s.epoch, Seal: market.VoteSeal(s.id, s.epoch, seat.acc.w.Account, seat.verdict, seat.bucket(), evidence, seat.salt)}, nil
	}
	return &market.VerdictReveal{Service: s.id, Epoch: s.epoch, Verdict: seat.verdict, QBucket: seat.bucket(), Evidence: evidence, Salt: seat.salt}, nil
}

// bucket is the coarse quality that all who agree on the verdict measured.
func (s *seat) bucket() uint16 {
	if s.verdict == market.Pass {
		return 9000
	}
	return 1000
}

func (s *vote) result(g *Generator, j *job, code market.Code, _ []byte) {
	switch j.step {
	case stepVote:
		if code == market.ErrWindow && g.clock() < s.due+s.epochMS/3 && g.retry(j) {
			return // ledger time is not there yet
		}
		s.committing--
		if code == market.OK {
			s.revealing++
			// In the middle of the reveal window, allowing for ledger time's lag.
			begin := s.due + s.epochMS*7/10
			due := begin + g.lag()
			if room := begin + s.epochMS/5 - 3*g.latency() - due; room > 1 {
				due += int64(g.uniform(int(room / 2)))
			}
			g.after(due, s, s.seats[j.arg].acc, stepOpenVote, j.arg)
		}
		s.finish(g)
	case stepOpenVote:
		if code == market.ErrWindow && g.clock() < s.due+s.epochMS*9/10 && g.retry(j) {
			return
		}
		s.revealing--
		if code != market.OK {
			s.complete = false
		}
		s.finish(g)
	case stepFinalize:
		switch {
		case code == market.OK:
			g.stats.Judged++
		case code == market.ErrWindow && g.clock() < s.due+s.epochMS && g.retry(j):
		default:
			g.stats.GivenUp++
		}
	}
}

// finish has somebody call for the verdict once no vote is under way.
func (s *vote) finish(g *Generator) {
	if s.committing > 0 || s.revealing > 0 {
		return
	}
	due := int64(0)
	if !s.complete {
		due = s.due + s.epochMS*9/10 + g.lag()
	}
	g.after(due, s, g.account(g.c.users, g.uniform(g.c.users.n)), stepFinalize, 0)
}

// sampled is a service that a client posts, providers offer to run, and an auditor
// verifies by sampling.
type sampled struct {
	id       market.ID
	client   *account
	offers   [2]int // providers
	accepted int
	pending  int
	auditor  *account
	epochMS  int64
	edge     int64 // by then the first epoch has begun, wall clock
	failed   bool
}

// sampledEpochs is how many epochs such a service runs; an epoch is short, because
// nobody waits in it.
const sampledEpochs = 2

const (
	stepPost uint8 = iota
	stepOffer
	stepAnchor
	stepReport
)

func (g *Generator) startSampling() bool {
	if g.cfg.NoSampling {
		return false
	}
	n := g.c.providers.n
	client := g.free(g.c.users, g.uniform(g.c.users.n))
	first := g.free(g.c.providers, g.uniform(n))
	if client < 0 || first < 0 {
		return false
	}
	second := g.free(g.c.providers, (first+1+g.uniform(n-1))%n)
	if second < 0 || second == first {
		return false
	}
	s := &sampled{
		client: g.account(g.c.users, client), auditor: g.account(g.c.auditors, g.uniform(g.c.auditors.n)), offers: [2]int{first, second},
		epochMS: g.window(),
	}
	g.after(0, s, s.client, stepPost, 0)
	return true
}

func (s *sampled) payload(g *Generator, step uint8, arg int) (market.Payload, []market.Signer) {
	switch step {
	case stepPost:
		return &market.ServicePost{
			SpecHash: sha256.Sum256([]byte("2K, 200 ms")), QMin: 5000, DelayMS: 200, UptimeBps: 9900, PriceMax: servicePrice,
			EpochMS: uint32(min(s.epochMS, 1<<31)), Epochs: sampledEpochs, Mechanism: market.Sampling, SampleK: sampleK, MinStake: minStake,
			HystBps: uint16(g.cfg.param(market.DefaultHystBps)), PanelFee: panelFee, Budget: sampledEpochs * (servicePrice + panelFee),
		}, nil
	case stepOffer:
		// The first provider is so much cheaper that it is chosen whatever the
		// reputations are.
		return &market.ProviderOffer{Service: s.id, Price: servicePrice / 2 * uint64(1+arg), Stake: minStake, Q: 9000, TTLEpochs: sampledEpochs + 2}, nil
	case stepAnchor:
		return &market.AnchorReadings{
			Site: market.ServiceSite(s.id), Slot: uint64(arg), SlotMS: uint32(min(s.epochMS, 1<<31)), Count: 120,
			Root: salt(s.client.w.Seed, s.id, uint64(arg)), Sum: 120 * 20, Min: 15, Max: 25,
		}, nil
	default:
		p := &market.SampleReport{Service: s.id, Epoch: uint32(arg), K: sampleK, EvidenceRoot: salt(s.auditor.w.Seed, s.id, uint64(arg))}
		if s.failed {
			p.Fails = 2
		}
		return p, nil
	}
}

func (s *sampled) result(g *Generator, j *job, code market.Code, result []byte) {
	now := g.clock()
	switch j.step {
	case stepPost:
		if code != market.OK || len(result) < 18 {
			g.stats.GivenUp++
			return
		}
		s.id = market.ID(result[2:18])
		s.edge = now + s.epochMS + g.lag()
		s.pending = len(s.offers)
		for i, p := range s.offers {
			g.after(0, s, g.account(g.c.providers, p), stepOffer, i)
		}
	case stepOffer:
		if code == market.OK {
			s.accepted |= 1 << j.arg
		}
		if s.pending--; s.pending > 0 {
			return
		}
		if s.accepted == 0 || now >= s.edge-g.lag() { // too late for the first edge
			g.stats.GivenUp++
			return
		}
		s.begin(g, 0)
	case stepAnchor:
		g.after(s.edge+int64(j.arg+1)*s.epochMS, s, s.auditor, stepReport, j.arg)
	case stepReport:
		switch {
		case code == market.OK:
			g.stats.Judged++
			// A provider that failed is replaced on the spot; the data of the
			// epoch that is under way is then nobody's.
			if j.arg+1 < sampledEpochs && !s.failed {
				s.begin(g, j.arg+1)
			}
		case code == market.ErrNotDue && g.retry(j):
		default:
			g.stats.GivenUp++
		}
	}
}

// begin plays an epoch: the active provider anchors its data, the auditor reports.
func (s *sampled) begin(g *Generator, epoch int) {
	s.failed = g.chance(g.cfg.FailPermille)
	active := 0
	if s.accepted&1 == 0 {
		active = 1
	}
	at := s.edge + int64(epoch)*s.epochMS + s.epochMS/2
	g.after(at, s, g.account(g.c.providers, s.offers[active]), stepAnchor, epoch)
}
