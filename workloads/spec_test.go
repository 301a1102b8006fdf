package workloads

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/auth"
	"github.com/edgebft/edgebft/workloads/arrival"
	"github.com/edgebft/edgebft/workloads/market"
)

func env() Env {
	return Env{
		Scheme: auth.ModelledApp(1), Chain: 7, N: 4, F: 1, Clients: []int{3, 2}, Outstanding: 2,
		Collector: protocols.Group{protocols.FirstClient + 100},
	}
}

func TestEveryApplicationAssembles(t *testing.T) {
	names, docs := Names()
	require.Len(t, docs, len(names))
	for _, a := range Apps() {
		require.Contains(t, names, a.Name)
		for _, kind := range []string{Open, Closed} {
			s := Spec{App: a.Name, Kind: kind, Keys: 50, Zipf: a.Zipf, Timeout: time.Second}
			if kind == Open {
				s.Arrivals = arrival.Config{Kind: arrival.Poisson, Rate: 100 * arrival.PerSecond}
			}
			w, err := New(s, env())
			require.NoError(t, err, a.Name)
			require.Len(t, w.Loads, 2)
			require.Equal(t, map[string]int{Open: 2, Closed: 1}[kind], w.Outstanding)
			x, y := w.NewApplication(), w.NewApplication()
			require.Equal(t, x.Root(), y.Root())
			require.Zero(t, x.Version())
			if a.Ledger {
				require.Len(t, w.Agents, 4)
				require.NotNil(t, w.Collector)
				require.NotEmpty(t, a.Messages())
			} else {
				require.Empty(t, w.Agents)
				require.Nil(t, w.Collector)
				require.Empty(t, a.Messages())
			}
		}
	}
}

func TestBadDescriptionsAreRefused(t *testing.T) {
	poisson := arrival.Config{Kind: arrival.Poisson, Rate: arrival.PerSecond}
	for want, s := range map[string]Spec{
		`unknown workload "mikro"; did you mean "micro"?`: {App: "mikro", Kind: Closed},
		`unknown kind of workload "close"; did you mean`:  {App: "micro", Kind: "close"},
		"no think time":                                       {App: "micro", Kind: Open, Arrivals: poisson, Think: 1},
		"no arrivals":                                         {App: "micro", Kind: Closed, Arrivals: poisson},
		"unknown arrival process":                             {App: "micro", Kind: Open},
		"belong to micro":                                     {App: "kv", Kind: Closed, Keys: 1, ReplyBytes: 5},
		"request of -1 bytes":                                 {App: "micro", Kind: Closed, RequestBytes: -1},
		"reply of 1048577 bytes":                              {App: "micro", Kind: Closed, ReplyBytes: protocols.MaxOperation + 1},
		"0 keys; allowed is 1 to 65536":                       {App: "kv", Kind: Closed},
		"0 keys; allowed is 1 to 1048576":                     {App: "market", Kind: Closed},
		`mix weighs "aution"; did you mean "auction"?`:        {App: "market", Kind: Closed, Keys: 1, Mix: map[string]int{"aution": 1}},
		"all weights are 0":                                   {App: "kv", Kind: Closed, Keys: 1, Mix: map[string]int{"get": 0}},
		"weight of put is -1":                                 {App: "kv", Kind: Closed, Keys: 1, Mix: map[string]int{"put": -1}},
		`unknown option "tik"; did you mean "tick"?`:          {App: "market", Kind: Closed, Keys: 1, Options: map[string]int64{"tik": 1}},
		"option tick is 1ms":                                  {App: "w3", Kind: Closed, Keys: 1, Options: map[string]int64{"tick": 1e6}},
		"timeout is -1ns":                                     {App: "micro", Kind: Closed, Timeout: -1},
		"zipf exponent 3":                                     {App: "kv", Kind: Closed, Keys: 1, Zipf: 3000},
		"3 operations open per client; the protocol allows 2": {App: "micro", Kind: Closed, Outstanding: 3},
	} {
		_, err := New(s, env())
		require.ErrorContains(t, err, want)
	}
	for want, change := range map[string]func(*Env){
		"no process of clients": func(e *Env) { e.Clients = nil },
		"process 1 has 0":       func(e *Env) { e.Clients[1] = 0 },
		"give a scheme":         func(e *Env) { e.Scheme = nil },
		"needs a collector":     func(e *Env) { e.Collector = nil },
		"at least 4 needed":     func(e *Env) { e.N = 3 },
	} {
		e := env()
		change(&e)
		_, err := New(Spec{App: "market", Kind: Closed, Keys: 1}, e)
		require.ErrorContains(t, err, want)
	}
}

// Parameters of the marketplace are options, by their names.
func TestParametersAreOptions(t *testing.T) {
	for option, p := range map[string]market.Param{"param.slash_bps": market.SlashBps, "param.cascade": market.Cascade, "param.market_fee_bps": market.MarketFeeBps} {
		w, err := New(Spec{App: "market", Kind: Closed, Keys: 10, Options: map[string]int64{option: 7}}, env())
		require.NoError(t, err)
		require.EqualValues(t, 7, w.NewApplication().(*market.State).Param(p))
		plain, err := New(Spec{App: "market", Kind: Closed, Keys: 10}, env())
		require.NoError(t, err)
		require.Equal(t, p.Default(), plain.NewApplication().(*market.State).Param(p))
	}
	for option, want := range map[string]string{
		"param.slash_bp": `did you mean "param.slash_bps"`,
		"param.w_min_ms": "unknown option", // the sessions' windows rely on it
	} {
		_, err := New(Spec{App: "market", Kind: Closed, Keys: 10, Options: map[string]int64{option: 7}}, env())
		require.ErrorContains(t, err, want)
	}
	_, err := New(Spec{App: "market", Kind: Closed, Keys: 10, Options: map[string]int64{"param.slash_bps": 10_001}}, env())
	require.ErrorContains(t, err, "slash_bps")
}

// Users count through all processes, so that what they write is unique.
func TestUsersCountThroughAllProcesses(t *testing.T) {
	e := env()
	w := &Workload{Outstanding: 2}
	require.Equal(t, 0, w.firstUser(&e, 0))
	require.Equal(t, 6, w.firstUser(&e, 1))
}
