package market

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgebft/edgebft/protocols"
)

// crowd is a genesis with n accounts from 1001 on.
func crowd(n int) *Genesis {
	g := kitGenesis(modelled, withParam(OpenObjects, 1<<30), withDevice("d1"))
	g.FirstAccount = 1 << 40
	for i := range uint64(n) {
		var key Key
		binary.BigEndian.PutUint64(key[:], i+1)
		g.Accounts = append(g.Accounts, GenesisAccount{ID: 1001 + i, Key: key, Balance: 1 << 30, FreeStake: 1000})
	}
	return g
}

func yes(protocols.SigCheck) bool { return true }

// unsigned builds a transaction whose signature nobody looks at.
func unsigned(b testing.TB, sender, nonce uint64, p Payload) []byte {
	op, err := Sign(noScheme{}, Envelope{Chain: kitChain, Sender: sender, Nonce: nonce, ValidUntil: Forever}, p, Signer{Account: sender})
	require.NoError(b, err)
	return op
}

type noScheme struct{}

func (noScheme) Public(s [32]byte) [32]byte          { return s }
func (noScheme) Sign([32]byte, []byte) (s [64]byte)  { return s }
func (noScheme) Verify(_ [32]byte, _, _ []byte) bool { return true }

// run applies ops, which must all succeed, releasing every 256 and asking for the
// root every rootEvery transactions (0: never).
func run(b *testing.B, s *State, ops [][]byte, rootEvery int) {
	b.ReportAllocs()
	b.ResetTimer()
	for i, op := range ops {
		if code := CodeOf(s.Apply(op, yes)); code != OK {
			b.Fatalf("transaction %d: %v", i, code)
		}
		if i%256 == 255 {
			s.Release(s.Version())
		}
		if rootEvery != 0 && i%rootEvery == rootEvery-1 {
			s.Root()
		}
	}
	b.ReportMetric(float64(len(ops))/b.Elapsed().Seconds(), "tx/s")
}

func transfers(b *testing.B, accounts int) [][]byte {
	ops := make([][]byte, b.N)
	for i := range ops {
		from := uint64(i*7919) % uint64(accounts)
		ops[i] = unsigned(b, 1001+from, uint64(i/accounts)+1, &Transfer{To: 1001 + (from+13)%uint64(accounts), Amount: 1})
	}
	return ops
}

func BenchmarkTransfer(b *testing.B) {
	for _, c := range []struct {
		name      string
		rootEvery int
	}{{"apply", 0}, {"root-256", 256}, {"root-25600", 25600}} {
		b.Run(c.name, func(b *testing.B) {
			const accounts = 100_003
			s, err := New(crowd(accounts))
			require.NoError(b, err)
			run(b, s, transfers(b, accounts), c.rootEvery)
		})
	}
}

// BenchmarkMarket mixes the families: per round one auction with five bidders in
// bond mode, four channels opened and claimed, and ten transfers, under a ticking
// clock; the root every 256 transactions.
func BenchmarkMarket(b *testing.B) {
	const accounts = 20_000
	g := crowd(accounts)
	g.Devices = nil
	const devices = 512
	for i := range uint64(devices) {
		var key Key
		binary.BigEndian.PutUint64(key[8:], i+1)
		g.Devices = append(g.Devices, GenesisDevice{Key: key, Model: fill16(0x4D), Owner: 1001 + i, CheckedIn: true})
	}
	s, err := New(g)
	require.NoError(b, err)
	nonces := make(map[uint64]uint64)
	var ops [][]byte
	add := func(sender uint64, p Payload) uint64 {
		nonces[sender]++
		ops = append(ops, unsigned(b, sender, nonces[sender], p))
		return nonces[sender]
	}
	now, tick := uint64(0), uint64(0)
	clock := func() {
		now, tick = now+100, tick+1
		op, err := NewClockTick(kitChain, tick, []ClockReport{{Replica: 0, Time: now}, {Replica: 1, Time: now}, {Replica: 2, Time: now}})
		require.NoError(b, err)
		ops = append(ops, op)
	}
	next := uint64(0)
	someone := func() uint64 {
		next = (next*6364136223846793005 + 1442695040888963407)
		return 2001 + (next>>33)%(accounts-2000)
	}
	for len(ops) < b.N {
		const width = 64 // auctions side by side
		var ids [width]ID
		var bidders [width][5]uint64
		first := (tick * width) % devices
		for i := range ids {
			d := g.Devices[first+uint64(i)]
			n := add(d.Owner, &AuctionOpen{Device: DeviceID(d.Key), Kind: FirstPrice, Mode: Bond, Bond: 10, Term: 1000, CommitUntil: now + 100, RevealUntil: now + 200, PayMS: 1000})
			ids[i] = AuctionID(kitChain, DeviceID(d.Key), d.Owner, n)
			for j := range bidders[i] {
				who := 2001 + (uint64(i*5+j)+tick*320)%(accounts-2000)
				bidders[i][j] = who
				add(who, &BidCommit{ids[i], BidCommitment(kitChain, ids[i], who, uint64(100-j), Hash{}), 10})
			}
			for range 4 {
				payer, payee := someone(), someone()
				if payer == payee {
					payee = 1001
				}
				n := add(payer, &ChannelOpen{payee, 100, 1000})
				add(payee, &ChannelClaim{Channel: ChannelID(kitChain, payer, payee, n), Cum: 60})
			}
			for range 10 {
				add(someone(), &Transfer{To: someone(), Amount: 3})
			}
		}
		clock()
		for i := range ids {
			for j, who := range bidders[i] {
				add(who, &BidReveal{ids[i], uint64(100 - j), Hash{}})
			}
		}
		clock()
		for i := range ids {
			add(bidders[i][0], &AwardPay{ids[i], 100})
			add(g.Devices[first+uint64(i)].Owner, &KeyDeliver{Auction: ids[i], SealedKey: make([]byte, 80)})
		}
	}
	run(b, s, ops[:b.N], 256)
}

func BenchmarkRegister(b *testing.B) {
	s, err := New(crowd(10))
	require.NoError(b, err)
	ops := make([][]byte, b.N)
	oem := accountNamed("oem")
	for i := range ops {
		var key Key
		binary.BigEndian.PutUint64(key[:], uint64(i+1))
		op, err := Sign(noScheme{}, Envelope{Chain: kitChain, Sender: oem, Nonce: uint64(i + 1), ValidUntil: Forever},
			&DeviceRegister{DeviceKey: key, Model: fill16(0x4D), Attrs: []Attr{{1, 2}, {3, 4}}},
			Signer{Account: oem}, Signer{Role: RoleOwner, Account: 1001}, Signer{Role: RoleDevice})
		require.NoError(b, err)
		ops[i] = op
	}
	run(b, s, ops, 256)
}

func BenchmarkSnapshot(b *testing.B) {
	s, err := New(crowd(100_000))
	require.NoError(b, err)
	s.Root()
	var snap bytes.Buffer
	require.NoError(b, s.Snapshot(&snap))
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(snap.Len()))
		for range b.N {
			require.NoError(b, s.Snapshot(io.Discard))
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(int64(snap.Len()))
		for range b.N {
			require.NoError(b, s.Restore(bytes.NewReader(snap.Bytes())))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	op := unsigned(b, 1001, 1, &Transfer{To: 1002, Amount: 1})
	s, err := New(crowd(10))
	require.NoError(b, err)
	b.ReportAllocs()
	for range b.N {
		if p, _ := s.parse(op); p == nil {
			b.Fatal("refused")
		}
	}
}
