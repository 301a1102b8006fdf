// Package conformance holds what every registered protocol must pass before anybody
// believes it: the same scripts of faults and lies for all of them, judged by the
// simulator's observers.
//
//	go test ./test/conformance                  # all protocols
//	go test ./test/conformance -protocol pbft   # one
//
// It has no code of its own.
package conformance
