package run

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/netsim"
	"github.com/edgebft/edgebft/protocols"
)

// ChainsFile holds the checkpoints of every node's chain, so that a replay that
// diverges can be told where.
const ChainsFile = "chains.csv.zst"

// Chains are the checkpoints of a run by node, in the order of Nodes.
type Chains struct {
	Nodes []protocols.NodeID
	Of    map[protocols.NodeID][]netsim.Checkpoint
}

// ChainsOf reads the checkpoints of a simulation.
func ChainsOf(sim *netsim.Sim) Chains {
	c := Chains{Of: make(map[protocols.NodeID][]netsim.Checkpoint)}
	st := sim.Stats()
	for i := range st.Nodes {
		id := st.Nodes[i].ID
		c.Nodes = append(c.Nodes, id)
		c.Of[id] = sim.Checkpoints(id)
	}
	return c
}

func (c Chains) attach(out *result.Outcome) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"node", "steps", "chain", "at_ns"}) // a bytes.Buffer does not fail
	for _, id := range c.Nodes {
		for _, p := range c.Of[id] {
			_ = w.Write([]string{strconv.Itoa(int(id)), strconv.FormatUint(p.Steps, 10), strconv.FormatUint(p.Chain, 16), strconv.FormatInt(int64(p.At), 10)})
		}
	}
	w.Flush()
	return attachZstd(out, ChainsFile, b.Bytes())
}

// DecodeChains reads ChainsFile.
func DecodeChains(data []byte) (Chains, error) {
	c := Chains{Of: make(map[protocols.NodeID][]netsim.Checkpoint)}
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return c, fmt.Errorf("%s: %w", ChainsFile, err)
	}
	defer z.Close()
	r := csv.NewReader(z)
	r.FieldsPerRecord = 4
	for line := 0; ; line++ {
		row, err := r.Read()
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", ChainsFile, err)
		}
		if line == 0 {
			continue
		}
		node, e1 := strconv.ParseInt(row[0], 10, 32)
		steps, e2 := strconv.ParseUint(row[1], 10, 64)
		chain, e3 := strconv.ParseUint(row[2], 16, 64)
		at, e4 := strconv.ParseInt(row[3], 10, 64)
		for _, err := range []error{e1, e2, e3, e4} {
			if err != nil {
				return c, fmt.Errorf("%s line %d: %w", ChainsFile, line+1, err)
			}
		}
		id := protocols.NodeID(node)
		if c.Of[id] == nil {
			c.Nodes = append(c.Nodes, id)
		}
		c.Of[id] = append(c.Of[id], netsim.Checkpoint{Steps: steps, Chain: chain, At: protocols.Time(at)})
	}
}

// Divergence is where two runs part.
type Divergence struct {
	Node protocols.NodeID
	// After and Before bound the steps of the node in which they part; Until is the
	// virtual time of the later bound. Before is 0 if it was never reached by one.
	After, Before uint64
	From, Until   protocols.Time
}

// Compare finds the earliest checkpoint, in virtual time, at which two runs differ.
func (c Chains) Compare(o Chains) (Divergence, bool) {
	var first Divergence
	found := false
	for _, id := range c.Nodes {
		a, b := c.Of[id], o.Of[id]
		for i := 0; i < max(len(a), len(b)); i++ {
			if i < len(a) && i < len(b) && a[i].Steps == b[i].Steps && a[i].Chain == b[i].Chain {
				continue
			}
			d := Divergence{Node: id}
			if i > 0 {
				d.After, d.From = a[i-1].Steps, a[i-1].At
			}
			switch {
			case i < len(a) && i < len(b):
				d.Before, d.Until = a[i].Steps, max(a[i].At, b[i].At)
			case i < len(a):
				d.Until = a[i].At
			default:
				d.Until = b[i].At
			}
			if !found || d.Until < first.Until {
				first, found = d, true
			}
			break
		}
	}
	return first, found
}
