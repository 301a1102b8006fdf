package market_test

import (
	"fmt"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
	"github.com/edgebft/edgebft/workloads/market"
)

// A ledger with one validator and two accounts: a payment, and a read of what came
// of it.
func Example() {
	scheme := auth.ModelledApp(1)
	alice, bob, validator := [32]byte{1}, [32]byte{2}, [32]byte{3}
	s, err := market.New(&market.Genesis{
		Chain:    7,
		Replicas: []uint64{1},
		Accounts: []market.GenesisAccount{
			{ID: 1, Key: scheme.Public(validator)},
			{ID: 10, Key: scheme.Public(alice), Balance: 100},
			{ID: 11, Key: scheme.Public(bob)},
		},
	})
	if err != nil {
		panic(err)
	}
	verify := func(c protocols.SigCheck) bool { return scheme.Verify(c.Key, c.Message, c.Signature) }

	wallet := market.Wallet{Scheme: scheme, Chain: 7, Account: 10, Seed: alice}
	for _, amount := range []uint64{30, 300} {
		op, err := wallet.Tx(&market.Transfer{To: 11, Amount: amount})
		if err != nil {
			panic(err)
		}
		fmt.Println("transfer of", amount, "-", market.CodeOf(s.Apply(op, verify)))
	}

	answer, err := market.DecodeAnswer(s.Query(market.NewQuery(market.QueryAccount, uint64(11))))
	if err != nil {
		panic(err)
	}
	var account market.Account
	if err := market.DecodeRecord(answer.Body, &account); err != nil {
		panic(err)
	}
	fmt.Println("bob has", account.Balance, "at version", answer.Applied)
	// Output:
	// transfer of 30 - 0 ok
	// transfer of 300 - 110 insufficient funds
	// bob has 30 at version 2
}
