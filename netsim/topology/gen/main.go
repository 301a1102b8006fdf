// Command gen writes the quantile tables of package topology. It is run by hand
// (go generate) and its output is committed, because floating point differs in
// the last bit between architectures and one rounded nanosecond would change
// every trace.
//
// For each ratio r of a 99th percentile to its median it tabulates the tail of a
// delay of median 1: J(p) = a*exp(s*z(p)) with a = 1/2, z the standard normal
// quantile and s chosen so that (1-a) + J(0.99) = r. The file holds 4,096 values
// for p = i/4095 in units of 2^-32: the first as a varint, then the differences.
// The infinite ends are cut at half a step.
//
//lint:allow determinism floats are confined to generating committed data
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

const (
	entries = 4096
	share   = 0.5 // a: the part of the median that varies
)

// Ratios are the ratios of 99th percentile to median, in per mille.
var Ratios = []int{1200, 1500, 2000, 2500, 3000, 3333, 4000, 5000, 6000, 8000, 10000, 12000, 15000, 18000, 22000}

// tail returns the table of one ratio.
func tail(ratioPermille int) []uint64 {
	s := math.Log((float64(ratioPermille)/1000-(1-share))/share) / normal(0.99)
	out := make([]uint64, entries)
	for i := range out {
		p := float64(i) / (entries - 1)
		p = min(max(p, 0.5/(entries-1)), 1-0.5/(entries-1))
		out[i] = uint64(math.Round(share * math.Exp(s*normal(p)) * (1 << 32)))
	}
	return out
}

// normal is the quantile function of the standard normal distribution.
func normal(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// encode writes an ascending table.
func encode(table []uint64) []byte {
	var out []byte
	last := uint64(0)
	for _, v := range table {
		out = binary.AppendUvarint(out, v-last)
		last = v
	}
	return out
}

func main() {
	dir := flag.String("o", "shapes", "directory to write to")
	flag.Parse()
	for _, r := range Ratios {
		name := filepath.Join(*dir, fmt.Sprintf("lognormal-%05d.bin", r))
		if err := os.WriteFile(name, encode(tail(r)), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}
