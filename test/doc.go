// Package test holds the tests that cross packages: the codecs of every registered
// protocol and of the agents, and the acceptance stories of the marketplace through
// consensus, with and without faults. What every protocol must survive is in its
// subpackage conformance. It has no code of its own; the command line is tested in
// cmd/edgebft, the suites of faults in experiments.
package test
