package stories

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/workloads/market"
)

// Story is one acceptance story.
type Story struct {
	Name    string
	Genesis *market.Genesis
	Steps   []Step
	// Check says what is wrong with the state at the end, if anything.
	Check func(*market.State) error
}

// Step is one transaction of a story.
type Step struct {
	Tx      []byte
	Want    market.Code
	Comment string
	// After, if not nil, looks at the state right after the transaction. Only who
	// applies the steps one by one can call it.
	After func(*market.State) error
}

// Run applies a story to a fresh state and returns it. Every code, every After,
// the invariants after every transaction, and Check must hold.
func (st *Story) Run(verify protocols.Verify) (*market.State, error) {
	s, err := market.New(st.Genesis)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", st.Name, err)
	}
	var m market.Monitor
	if err := errors.Join(market.Check(s), m.After(s)); err != nil {
		return nil, fmt.Errorf("%s: genesis: %w", st.Name, err)
	}
	for i, step := range st.Steps {
		got := market.CodeOf(s.Apply(step.Tx, verify))
		if got != step.Want {
			return nil, fmt.Errorf("%s: step %d (%s): got %v, want %v", st.Name, i, step.Comment, got, step.Want)
		}
		err := errors.Join(market.Check(s), m.After(s))
		if err == nil && step.After != nil {
			err = step.After(s)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: step %d (%s): %w", st.Name, i, step.Comment, err)
		}
	}
	if err := st.Check(s); err != nil {
		return nil, fmt.Errorf("%s: at the end: %w", st.Name, err)
	}
	return s, nil
}

// All returns the stories of tier 1, signed under the scheme.
func All(scheme protocols.AppScheme) ([]Story, error) {
	var out []Story
	for _, write := range []struct {
		name string
		fn   func(*book)
	}{
		{"AC1", registration},
		{"AC2", (*book).firstPrice},
		{"AC3", secondPrice},
		{"AC4", keyWithheld},
		{"AC5", tokensPerHour},
		{"AC6", (*book).channel},
		{"AC7", (*book).voting},
		{"AC8", sampling},
		{"AC9", attestation},
		{"AC10", uptime},
		{"bond", (*book).bond},
		{"AC13", equivalence},
	} {
		st, err := compose(scheme, write.name, write.fn)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}

// Named returns one story.
func Named(scheme protocols.AppScheme, name string) (Story, error) {
	all, err := All(scheme)
	if err != nil {
		return Story{}, err
	}
	names := make([]string, len(all))
	for i := range all {
		if all[i].Name == name {
			return all[i], nil
		}
		names[i] = all[i].Name
	}
	return Story{}, fmt.Errorf("no story %q%s; known are %s", name, protocols.Suggest(name, names), strings.Join(names, ", "))
}

// book is a story being written. Parts set now and add transactions; the ticks are
// put in when everything is there and sorted by time, so that several parts can
// share a book.
type book struct {
	scheme  protocols.AppScheme
	genesis market.Genesis
	now     uint64
	lines   []line
	checks  []func(*market.State) error
	kitty   uint64 // expected at the end, summed over the parts
	fees    uint64
	next    uint64 // account handle
	err     error
}

type line struct {
	at   uint64
	step Step
}

const (
	chain    = 7
	replicas = 4
	faults   = 1
)

// seed derives a secret from a name.
func seed(name string) [32]byte { return sha256.Sum256([]byte("story/" + name)) }

func id16(b byte) (id market.ID) {
	for i := range id {
		id[i] = b
	}
	return id
}

func hashOf(name string) market.Hash { return sha256.Sum256([]byte(name)) }

func compose(scheme protocols.AppScheme, name string, write func(*book)) (Story, error) {
	b := &book{scheme: scheme, next: 1001}
	b.genesis = market.Genesis{Chain: chain, F: faults, AdminQuorum: 1, FirstAccount: 100_000}
	for r := range uint64(replicas) {
		b.genesis.Replicas = append(b.genesis.Replicas, r+1)
		b.genesis.Accounts = append(b.genesis.Accounts, market.GenesisAccount{ID: r + 1, Key: scheme.Public(replicaSeed(r))})
	}
	b.param(market.WMin, 0)
	b.param(market.SMin, 0)
	write(b)
	if b.err != nil {
		return Story{}, fmt.Errorf("story %s: %w", name, b.err)
	}
	return b.bind(name)
}

func replicaSeed(r uint64) [32]byte { return seed(fmt.Sprintf("replica-%d", r)) }

// bind sorts the lines by time and puts in the ticks.
func (b *book) bind(name string) (Story, error) {
	genesis := b.genesis
	checks := append(slices.Clone(b.checks), func(s *market.State) error {
		return errors.Join(want("KITTY", s.Pot(market.Kitty), b.kitty), want("FEES", s.Pot(market.Fees), b.fees))
	})
	st := Story{Name: name, Genesis: &genesis, Check: func(s *market.State) error {
		for _, check := range checks {
			if err := check(s); err != nil {
				return err
			}
		}
		return nil
	}}
	slices.SortStableFunc(b.lines, func(x, y line) int {
		switch {
		case x.at < y.at:
			return -1
		case x.at > y.at:
			return 1
		}
		return 0
	})
	now, tick := uint64(0), uint64(0)
	for _, l := range b.lines {
		if l.at > now {
			now = l.at
			tick++
			reports := make([]market.ClockReport, 0, 2*faults+1)
			for r := range uint64(2*faults + 1) {
				reports = append(reports, market.SignClock(b.scheme, replicaSeed(r), chain, uint16(r), tick, now))
			}
			op, err := market.NewClockTick(chain, tick, reports)
			if err != nil {
				return Story{}, err
			}
			st.Steps = append(st.Steps, Step{Tx: op, Comment: fmt.Sprintf("tick to %d", now)})
		}
		if l.step.Tx == nil { // a look at the state after the last transaction
			last := &st.Steps[len(st.Steps)-1]
			last.After = both(last.After, l.step.After)
			continue
		}
		st.Steps = append(st.Steps, l.step)
	}
	return st, nil
}

func both(a, b func(*market.State) error) func(*market.State) error {
	if a == nil {
		return b
	}
	return func(s *market.State) error { return errors.Join(a(s), b(s)) }
}

func (b *book) param(p market.Param, v uint64) {
	b.genesis.Params = append(b.genesis.Params, market.GenesisParam{Key: p, Value: v})
}

// account places an account with the next handle.
func (b *book) account(name string, balance uint64, edit ...func(*market.GenesisAccount)) *market.Wallet {
	w := &market.Wallet{Scheme: b.scheme, Chain: chain, Account: b.next, Seed: seed(name)}
	b.next++
	a := market.GenesisAccount{ID: w.Account, Key: b.scheme.Public(w.Seed), Balance: balance}
	for _, e := range edit {
		e(&a)
	}
	b.genesis.Accounts = append(b.genesis.Accounts, a)
	return w
}

func roles(r uint16) func(*market.GenesisAccount) {
	return func(a *market.GenesisAccount) { a.Roles |= r }
}

func org(o uint32) func(*market.GenesisAccount) { return func(a *market.GenesisAccount) { a.Org = o } }

// do adds a transaction at the present time and returns its wire form.
func (b *book) do(comment string, w *market.Wallet, p market.Payload, want market.Code, co ...market.Signer) []byte {
	op, err := w.Tx(p, co...)
	if err != nil {
		b.err = errors.Join(b.err, err)
		return nil
	}
	if want.Refused() {
		w.Nonce--
	}
	b.raw(comment, op, want)
	return op
}

func (b *book) raw(comment string, op []byte, want market.Code) {
	b.lines = append(b.lines, line{b.now, Step{Tx: op, Want: want, Comment: comment}})
}

// after looks at the state at this point of the story.
func (b *book) after(look func(*market.State) error) {
	b.lines = append(b.lines, line{b.now, Step{After: look}})
}

func (b *book) finally(look func(*market.State) error) { b.checks = append(b.checks, look) }

// want compares two amounts.
func want[T comparable](what string, got, expected T) error {
	if got != expected {
		return fmt.Errorf("%s is %v, want %v", what, got, expected)
	}
	return nil
}

// balance demands what is in a wallet.
func balance(s *market.State, w *market.Wallet, expected uint64) error {
	a, ok := s.Account(w.Account)
	if !ok {
		return fmt.Errorf("account %d is missing", w.Account)
	}
	return want(fmt.Sprintf("balance of %d", w.Account), a.Balance, expected)
}

// balances demands what is in several wallets at the end.
func (b *book) balances(pairs ...any) {
	b.finally(func(s *market.State) error {
		for i := 0; i+1 < len(pairs); i += 2 {
			if err := balance(s, pairs[i].(*market.Wallet), uint64(pairs[i+1].(int))); err != nil {
				return err
			}
		}
		return nil
	})
}
