package mix

import "github.com/edgebft/edgebft/workloads/market"

// channel is a payment channel from its opening to its end.
type channel struct {
	id           market.ID
	payer, payee *account
	deposit, cum uint64
	settle       uint64 // ms
	way          uint8
	lifetime     int64
	payeeAccount uint64
}

// How a channel ends. Of 48 channels 44 are just claimed, two get a second deposit
// first, one is claimed while its payer settles and one is settled: the mix of the
// workload table.
const (
	wayClaim uint8 = iota
	wayDeposit
	wayClaimSettling
	waySettle
)

const (
	stepOpen uint8 = iota
	stepDeposit
	stepClaim
	stepStartSettle
	stepSettle
)

// payeeBacklog is how many claims may wait for one payee.
const payeeBacklog = 32

// promiseEvery is how many payments a channel makes per tick off the ledger: two
// per second of a one-second tick.
const promiseEvery = 2

func (g *Generator) startChannel() bool {
	n := g.c.users.n
	from := g.free(g.c.users, g.uniform(n))
	if from < 0 {
		return false
	}
	to := g.payee(from)
	for i := 0; len(g.account(g.c.users, to).waiting) >= payeeBacklog || to == from; i++ {
		if i == n {
			return false
		}
		to = (to + 1) % n
	}
	s := &channel{
		payer: g.account(g.c.users, from), payee: g.account(g.c.users, to), payeeAccount: g.c.account(g.c.users, to),
		deposit: 10_000, settle: uint64(4*g.tick + 6*g.latency()), lifetime: g.tick + int64(g.uniform(int(7*g.tick))),
	}
	switch g.channels % 48 {
	case 12, 36:
		s.way = wayDeposit
	case 24:
		s.way = wayClaimSettling
	case 47:
		s.way = waySettle
	}
	g.channels++
	g.after(0, s, s.payer, stepOpen, 0)
	return true
}

func (s *channel) payload(g *Generator, step uint8, _ int) (market.Payload, []market.Signer) {
	switch step {
	case stepOpen:
		return &market.ChannelOpen{Payee: s.payeeAccount, Deposit: s.deposit, SettleMS: s.settle}, nil
	case stepDeposit:
		return &market.ChannelDeposit{Channel: s.id, Amount: 1_000}, nil
	case stepClaim:
		return g.promise(s).Claim(), nil
	case stepStartSettle:
		return &market.ChannelStartSettle{Channel: s.id}, nil
	default:
		return &market.ChannelSettle{Channel: s.id}, nil
	}
}

// promise is the last of the channel's off-ledger payments, as the payee received
// it.
func (g *Generator) promise(s *channel) *market.Promise {
	chain := g.w.cluster.Chain
	scheme := g.env.Scheme()
	p := market.SignPromise(scheme, s.payer.w.Seed, chain, s.id, s.cum)
	r := market.Receiver{Chain: chain, Channel: s.id, PayerKey: scheme.Public(s.payer.w.Seed), Deposit: s.deposit, Settle: s.settle}
	if err := r.Accept(p, s.cum, scheme); err != nil {
		panic("mix: a payee refuses its own channel's promise: " + err.Error())
	}
	return &r.Best
}

func (s *channel) result(g *Generator, j *job, code market.Code, result []byte) {
	if code == market.ErrTooEarly {
		g.retry(j)
		return
	}
	if code != market.OK {
		if !(j.step == stepSettle && code == market.ErrChannelState) { // the queue was faster
			g.stats.GivenUp++
		}
		return
	}
	now := g.clock()
	switch j.step {
	case stepOpen:
		if len(result) < 18 {
			g.stats.GivenUp++
			return
		}
		s.id = market.ID(result[2:18])
		payments := uint64(max(1, s.lifetime*promiseEvery/g.tick))
		s.cum = payments * 7
		g.stats.Promises += payments
		end := now + s.lifetime
		switch s.way {
		case wayClaim:
			g.after(end, s, s.payee, stepClaim, 0)
		case wayDeposit:
			g.after(now+s.lifetime/2, s, s.payer, stepDeposit, 0)
		default:
			g.after(end, s, s.payer, stepStartSettle, 0)
		}
	case stepDeposit:
		s.deposit += 1_000
		g.after(now+s.lifetime/2, s, s.payee, stepClaim, 0)
	case stepStartSettle:
		switch {
		case s.way == wayClaimSettling:
			g.after(0, s, s.payee, stepClaim, 0)
		case g.cfg.Explicit:
			g.after(now+int64(s.settle)+g.lag(), s, s.payer, stepSettle, 0)
		}
	}
}
