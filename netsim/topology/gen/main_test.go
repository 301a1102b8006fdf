package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The committed tables are what this program writes, up to the last bits in
// which architectures differ.
func TestCommittedTables(t *testing.T) {
	files, err := os.ReadDir("../shapes")
	require.NoError(t, err)
	require.Len(t, files, len(Ratios))
	for _, r := range Ratios {
		data, err := os.ReadFile(fmt.Sprintf("../shapes/lognormal-%05d.bin", r))
		require.NoError(t, err)
		sum := uint64(0)
		for i, want := range tail(r) {
			d, n := binary.Uvarint(data)
			require.Positive(t, n)
			data = data[n:]
			sum += d
			require.InDelta(t, want, sum, 64, "ratio %d, entry %d", r, i)
		}
		require.Empty(t, data)
	}
}
