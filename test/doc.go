// Package test holds the tests that cross packages: what every registered
// protocol must satisfy, the marketplace through consensus, sweeps of faults, and
// the command line. It has no code of its own.
package test
