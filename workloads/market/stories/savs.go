package stories

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/edgebft/edgebft/workloads/market"
)

// voting is AC7: verdict FAIL, slash, reputation.
func (b *book) voting() {
	client := b.account("client", 3900, org(1)) // and 1,100 in the budget
	provider := b.account("provider", 1000, roles(market.Provider), org(2), func(a *market.GenesisAccount) { a.Rep = 9000 })
	service := id16(0x77)
	scores := []uint32{0, 0, 12, 30, 30}
	votes := []market.Verdict{market.Fail, market.Pass, market.Fail, market.Fail, market.Fail}
	voters := make([]*market.Wallet, len(scores))
	panel := market.GenesisPanel{Service: service}
	for i, score := range scores {
		voters[i] = b.account(fmt.Sprintf("v%d", i+1), 50, roles(market.Voter), org(uint32(10+i)), func(a *market.GenesisAccount) {
			a.FreeStake, a.Score = 50, score
		})
		panel.Voters = append(panel.Voters, voters[i].Account)
	}
	b.genesis.Panels = append(b.genesis.Panels, panel)
	b.genesis.Services = append(b.genesis.Services, market.GenesisService{
		ID: service, Client: client.Account, Provider: provider.Account, Price: 1000, Stake: 1000, Q: 9000,
		Post: market.ServicePost{PriceMax: 1000, PanelFee: 100, EpochMS: 1000, Epochs: 1, Mechanism: market.Voting, Trust: 100},
	})

	const bucket = 12
	evidence := hashOf("evidence")
	b.now = 1000 // due
	for i, v := range voters {
		seal := market.VoteSeal(service, 0, v.Account, votes[i], bucket, evidence, salt(v))
		b.do(fmt.Sprintf("v%d commits", i+1), v, &market.VerdictCommit{Service: service, Seal: seal}, market.OK)
	}
	b.do("a stranger commits", client, &market.VerdictCommit{Service: service}, market.ErrNotInPanel)
	b.now = 1700
	for i, v := range voters {
		b.do(fmt.Sprintf("v%d reveals %s", i+1, votes[i]), v,
			&market.VerdictReveal{Service: service, Verdict: votes[i], QBucket: bucket, Evidence: evidence, Salt: salt(v)}, market.OK)
	}
	b.now = 1750
	b.do("finalize", client, &market.VerdictFinalize{Service: service}, market.OK)
	b.do("finalize again", client, &market.VerdictFinalize{Service: service}, market.ErrNotDue)

	b.balances(client, 4900, provider, 1000)
	b.kitty += 202
	b.finally(func(s *market.State) error {
		j, _ := s.Judgement(service, 0)
		o, _ := s.Offer(service, provider.Account)
		p, _ := s.Account(provider.Account)
		errs := []error{want("verdict", j.Verdict, market.Fail), want("provider's stake", o.Stake, 800), want("provider's reputation", p.Rep, 6000)}
		for i, v := range voters {
			a, _ := s.Account(v.Account)
			errs = append(errs,
				want(fmt.Sprintf("wallet and stake of v%d", i+1), a.Balance+a.FreeStake, []uint64{118, 50, 118, 156, 156}[i]),
				want(fmt.Sprintf("score of v%d", i+1), a.Score, []uint32{1, 0, 13, 31, 31}[i]))
		}
		return errors.Join(errs...)
	})
}

// Sampling story's figures.
const (
	sampleEpochs = 1000
	sampleUnits  = 120
	sampleSize   = 30
	sampleFails  = 817 // of 1,000 epochs, with the bad units below
	cleanEpochs  = 50  // of a service without a bad unit
)

var badUnits = map[uint32]bool{3: true, 17: true, 40: true, 66: true, 91: true, 118: true}

// sampleBeacon is the story's beacon of an epoch.
func sampleBeacon(epoch uint32) market.Hash {
	return sha256.Sum256(binary.BigEndian.AppendUint32(nil, epoch))
}

// sampledFails counts the bad units in an epoch's sample.
func sampledFails(service market.ID, epoch uint32, bad map[uint32]bool) (fails uint16) {
	for _, unit := range market.Sample(service, epoch, sampleBeacon(epoch), sampleUnits, sampleSize) {
		if bad[unit] {
			fails++
		}
	}
	return fails
}

// sampling is AC8: an auditor reports on 1,000 epochs.
func sampling(b *book) {
	client := b.account("client", 0, org(1))
	provider := b.account("provider", 0, roles(market.Provider), org(2))
	auditor := b.account("auditor", 0, roles(market.Auditor), org(3))
	service := id16(0x11)
	b.genesis.Services = append(b.genesis.Services, market.GenesisService{
		ID: service, Client: client.Account, Provider: provider.Account, Price: 10, Q: 9000,
		Post: market.ServicePost{PriceMax: 12, PanelFee: 1, EpochMS: 1000, Epochs: sampleEpochs, Mechanism: market.Sampling, SampleK: sampleSize},
	})
	// Beside it a service without a bad unit.
	honest := b.account("honest client", 0, org(1))
	good := b.account("honest provider", 0, roles(market.Provider), org(4))
	clean := id16(0x12)
	b.genesis.Services = append(b.genesis.Services, market.GenesisService{
		ID: clean, Client: honest.Account, Provider: good.Account, Price: 10, Q: 9000,
		Post: market.ServicePost{PriceMax: 12, PanelFee: 1, EpochMS: 1000, Epochs: cleanEpochs, Mechanism: market.Sampling, SampleK: sampleSize},
	})
	for e := range uint32(sampleEpochs) {
		b.now = 1000 * (uint64(e) + 1)
		if e < cleanEpochs {
			b.do(fmt.Sprintf("report on clean epoch %d", e), auditor,
				&market.SampleReport{Service: clean, Epoch: e, K: sampleSize, Fails: sampledFails(clean, e, nil)}, market.OK)
		}
		if e == 0 {
			b.do("one unit short", auditor, &market.SampleReport{Service: service, Epoch: e, K: sampleSize - 1}, market.ErrSampleSize)
			b.do("not due", auditor, &market.SampleReport{Service: service, Epoch: 1, K: sampleSize}, market.ErrNotDue)
			b.do("no auditor", client, &market.SampleReport{Service: service, Epoch: e, K: sampleSize}, market.ErrRole)
		}
		b.do(fmt.Sprintf("report on epoch %d", e), auditor,
			&market.SampleReport{Service: service, Epoch: e, K: sampleSize, Fails: sampledFails(service, e, badUnits)}, market.OK)
	}
	const passed = sampleEpochs - sampleFails
	b.balances(client, 12*sampleFails+2*passed, provider, 10*passed, auditor, sampleEpochs+cleanEpochs, honest, 2*cleanEpochs, good, 10*cleanEpochs)
	b.finally(func(s *market.State) error {
		count := func(service market.ID, verdict market.Verdict) (n int) {
			for e := range uint32(sampleEpochs) {
				if j, ok := s.Judgement(service, e); ok && j.Verdict == verdict {
					n++
				}
			}
			return n
		}
		return errors.Join(want("FAIL verdicts", count(service, market.Fail), sampleFails),
			want("FAIL verdicts without a bad unit", count(clean, market.Fail), 0),
			want("PASS verdicts without a bad unit", count(clean, market.Pass), cleanEpochs))
	})
}

// attestation is AC9: verdicts of a simulated TEE.
func attestation(b *book) {
	client := b.account("client", 0, org(1))
	provider := b.account("provider", 0, roles(market.Provider), org(2))
	reporter := b.account("reporter", 0, org(3))
	broker := b.account("broker", 0, roles(market.TEEBroker), org(4))
	service, m1, m2 := id16(0x33), hashOf("m1"), hashOf("m2")
	const epochs = 6
	b.genesis.Services = append(b.genesis.Services, market.GenesisService{
		ID: service, Client: client.Account, Provider: provider.Account, Price: 1000, Q: 9000,
		Post: market.ServicePost{PriceMax: 1000, PanelFee: 5, EpochMS: 100, Epochs: epochs, Mechanism: market.TEE},
	})
	b.genesis.Brokers = append(b.genesis.Brokers, market.GenesisBroker{Account: broker.Account, Until: 500})
	b.genesis.Measurements = append(b.genesis.Measurements, market.GenesisMeasurement{Service: service, Measurement: m1})

	enclave, forger := seed("enclave"), seed("forger")
	report := func(epoch uint32, counter uint64, measurement market.Hash, brokerSeed [32]byte) *market.AttestedVerdict {
		key := market.Key(b.scheme.Public(enclave))
		return &market.AttestedVerdict{
			Service: service, Epoch: epoch, Verdict: market.Pass, QBucket: 9000, Measurement: measurement, Enclave: key, Counter: counter,
			BrokerSig:  market.Sig(b.scheme.Sign(brokerSeed, market.BrokerMessage(reporter.Account, service, key))),
			EnclaveSig: market.Sig(b.scheme.Sign(enclave, market.EnclaveMessage(service, epoch, counter, market.Pass, 9000, measurement))),
		}
	}
	paid := func(amount uint64) {
		b.after(func(s *market.State) error { return balance(s, provider, amount) })
	}
	b.now = 100
	b.do("counter 1", reporter, report(0, 1, m1, broker.Seed), market.OK)
	paid(1000)
	b.do("the same report under a new nonce", reporter, report(0, 1, m1, broker.Seed), market.ErrCounterReplay)
	b.now = 200
	b.do("another build", reporter, report(1, 2, m2, broker.Seed), market.ErrMeasurement)
	b.do("enclave not signed by the broker", reporter, report(1, 2, m1, forger), market.ErrAttestation)
	tampered := report(1, 2, m1, broker.Seed)
	tampered.Counter = 3
	b.do("counter changed after signing", reporter, tampered, market.ErrAttestation)
	b.now = 499 // epoch 3 is due since 400
	b.do("broker still valid", reporter, report(3, 2, m1, broker.Seed), market.OK)
	paid(2000)
	b.now = 500
	b.do("broker revoked", reporter, report(4, 3, m1, broker.Seed), market.ErrAttestation)
	b.now = 700 // everything nobody attested is settled as None
	b.balances(client, 4*1005, provider, 2000, reporter, 10)
	b.after(func(s *market.State) error {
		v, _ := s.Service(service)
		return want("service state", v.State, market.ServiceEnded)
	})
}

// uptime is AC10: 99 % uptime, measured by a third party.
func uptime(b *book) {
	client := b.account("client", 0, org(1))
	provider := b.account("provider", 0, roles(market.Provider), org(2))
	auditor := b.account("auditor", 0, roles(market.Auditor), org(3))
	friend := b.account("friend", 0, roles(market.Auditor), org(2))
	service := id16(0x55)
	const total = 86_400_000
	b.genesis.Services = append(b.genesis.Services, market.GenesisService{
		ID: service, Client: client.Account, Provider: provider.Account, Price: 1000, Q: 9900,
		Post: market.ServicePost{PriceMax: 1000, UptimeBps: 9900, EpochMS: total, Epochs: 4, Mechanism: market.Uptime},
	})
	ups := []uint64{85_536_000, 85_535_999, 85_540_000, 85_000_000}
	verdicts := []market.Verdict{market.Pass, market.Fail, market.Pass, market.Fail}
	for e, up := range ups {
		report := &market.UptimeReport{Service: service, Epoch: uint32(e), UpMS: up, TotalMS: total}
		b.now = total * (uint64(e) + 1)
		b.do("report of the provider's organisation", friend, report, market.ErrRole)
		if e > 0 {
			overlap := &market.UptimeReport{Service: service, Epoch: uint32(e) - 1, UpMS: total, TotalMS: total}
			b.do("report overlapping the previous window", auditor, overlap, market.ErrReportGap)
		}
		b.do(fmt.Sprintf("%d of %d ms", up, total), auditor, report, market.OK)
	}
	b.balances(client, 2000, provider, 2000)
	b.finally(func(s *market.State) error {
		var errs []error
		for e, v := range verdicts {
			j, _ := s.Judgement(service, uint32(e))
			errs = append(errs, want(fmt.Sprintf("verdict on epoch %d", e), j.Verdict, v))
		}
		return errors.Join(errs...)
	})
}
