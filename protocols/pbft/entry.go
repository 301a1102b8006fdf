package pbft

import (
	"time"

	"github.com/edgebft/edgebft/protocols"
	"github.com/edgebft/edgebft/protocols/smr"
)

// Options are the options of every protocol that holds a PBFT orderer.
func Options() []protocols.Option {
	return []protocols.Option{
		{Name: "batch_max", Kind: protocols.OptionInt, Default: 64, Min: 1, Max: MaxBatch, Doc: "requests per batch"},
		{Name: "batch_bytes", Kind: protocols.OptionBytes, Default: 1 << 20, Min: 1, Max: 16 << 20, Doc: "bytes of operations and their authenticators per batch (one larger request goes alone)"},
		{Name: "batch_delay", Kind: protocols.OptionDuration, Default: 0, Min: 0, Max: int64(time.Minute), Doc: "how long a batch waits to fill while another is in flight"},
		{Name: "pipeline", Kind: protocols.OptionInt, Default: 8, Min: 1, Max: MaxWindow, Doc: "slots in flight"},
		{Name: "checkpoint", Kind: protocols.OptionInt, Default: 128, Min: 1, Max: MaxWindow / 2, Doc: "checkpoint interval K in slots; the log window L is a multiple of it"},
		{Name: "windows", Kind: protocols.OptionInt, Default: 2, Min: 2, Max: 8, Doc: "log window L in checkpoint intervals"},
		{Name: "pending_max", Kind: protocols.OptionInt, Default: 65536, Min: 1, Max: 1 << 24, Doc: "requests that a replica keeps waiting"},
		{Name: "view_change_timeout", Kind: protocols.OptionDuration, Default: int64(time.Second), Min: int64(time.Millisecond), Max: int64(time.Hour), Doc: "wait for progress before the primary is suspected; doubles while changes bring none"},
		{Name: "view_change_timeout_max", Kind: protocols.OptionDuration, Default: int64(64 * time.Second), Min: int64(time.Millisecond), Max: int64(24 * time.Hour), Doc: "bound of the doubling"},
		{Name: "fairness", Kind: protocols.OptionInt, Default: 8, Min: 1, Max: 1000, Doc: "one signed request may be passed over for this many time-outs"},
		{Name: "resend", Kind: protocols.OptionDuration, Default: int64(100 * time.Millisecond), Min: int64(time.Millisecond), Max: int64(time.Hour), Doc: "period at which a replica without progress asks for what it lacks"},
		{Name: "client_timeout", Kind: protocols.OptionDuration, Default: int64(500 * time.Millisecond), Min: int64(time.Millisecond), Max: int64(time.Hour), Doc: "wait before a client retransmits, or four times its usual latency if that is longer; doubles"},
		{Name: "client_timeout_max", Kind: protocols.OptionDuration, Default: int64(8 * time.Second), Min: int64(time.Millisecond), Max: int64(time.Hour), Doc: "bound of the doubling"},
		{Name: "snapshot_every", Kind: protocols.OptionInt, Default: 16384, Min: 1, Max: 100_000, Doc: "requests between two durable snapshots; the log holds what came after the last one"},
		{Name: "block", Kind: protocols.OptionInt, Default: 1024, Min: 0, Max: 1 << 30, Doc: "executed requests per certified block; 0 is no certificates"},
		{Name: "log", Kind: protocols.OptionBool, Default: 1, Doc: "votes are durable before they are sent; without, a restarted replica counts as one that lost its disk"},
	}
}

// Protocol registers PBFT used alone.
func Protocol() protocols.Entry {
	return protocols.Entry{
		Name: "pbft", Doc: "three-phase Byzantine agreement with MACs, batching, pipelining and a MAC-based view change",
		Paper:      "Castro, Liskov: Practical Byzantine Fault Tolerance and Proactive Recovery, TOCS 2002",
		Replicas:   func(f int) int { return 3*f + 1 },
		FaultModel: protocols.Byzantine, Finality: protocols.Immediate, Complete: true,
		Hosts:       protocols.OnSimulator,
		Outstanding: 1,
		Options:     Options(),
		Messages:    Messages,
		Observers:   observers,
		Attacks:     Attacks(),
		NewReplica:  func(c *protocols.Config) []protocols.Node { return []protocols.Node{NewReplica(c)} },
		NewClient:   func(c *protocols.Config) protocols.Client { return NewClient(c) },
	}
}

// Configure fills an OrdererConfig from the options.
func Configure(c *protocols.Config) OrdererConfig {
	o := c.Options
	interval := o.Int("checkpoint")
	window := min(interval*o.Int("windows"), MaxWindow)
	return OrdererConfig{
		Self: c.Self, N: c.N, F: c.F, Replicas: c.Replicas,
		BatchMax: o.Int("batch_max"), BatchBytes: o.Int("batch_bytes"), BatchDelay: o.Duration("batch_delay"),
		Pipeline: min(o.Int("pipeline"), window), Window: window, Interval: interval,
		PendingMax: o.Int("pending_max"), PendingPerClient: 1,
		Timeout: o.Duration("view_change_timeout"), MaxTimeout: max(o.Duration("view_change_timeout"), o.Duration("view_change_timeout_max")),
		Fairness: o.Int("fairness"), Resend: o.Duration("resend"), Log: o.Bool("log"),
	}
}

// NewReplica returns a replica of PBFT used alone.
func NewReplica(c *protocols.Config) *smr.Replica {
	oc := Configure(c)
	return smr.NewReplica(c, NewOrderer(oc), replicaOptions(c, oc))
}

func replicaOptions(c *protocols.Config, oc OrdererConfig) smr.ReplicaOptions {
	return smr.ReplicaOptions{
		Window: 1, TransferTimeout: 2 * oc.Resend, RelayAfter: oc.Resend, SignFor: 10 * oc.Timeout,
		SnapshotEvery: uint64(c.Options.Int("snapshot_every")),
		Block:         uint64(c.Options.Int("block")),
	}
}

// NewClient returns a client of PBFT used alone.
func NewClient(c *protocols.Config) *smr.Client {
	n := uint64(c.N)
	return smr.NewClient(c, smr.ClientOptions{
		Quorum:     protocols.WeakQuorum(c.F),
		Timeout:    c.Options.Duration("client_timeout"),
		MaxTimeout: max(c.Options.Duration("client_timeout"), c.Options.Duration("client_timeout_max")),
		Primary:    func(view uint64) protocols.NodeID { return protocols.NodeID(view % n) },
	})
}
