// Package exit holds the exit codes of the edgebft command line and the typed
// errors that lead to them. Codes are part of the interface: schedulers decide
// by them whether a job is worth retrying.
//
// It is not for control flow inside the program: only main turns an error into
// a code, by Code.
package exit

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes. A scheduler may retry 1, 6 and 130; 5 a bounded number of times;
// 7 with a larger budget. 2 and 3 are deterministic.
const (
	// OK: all checks passed.
	OK = 0
	// Infrastructure: disk, network, lost host.
	Infrastructure = 1
	// Usage: bad command line or configuration.
	Usage = 2
	// Safety: a safety invariant was violated.
	Safety = 3
	// Liveness: liveness, a threshold or a tolerance failed.
	Liveness = 4
	// Invalid: the measurement is not valid (generator saturated, replay
	// diverged, record corrupt).
	Invalid = 5
	// Incomplete: cells of a suite are missing or failed.
	Incomplete = 6
	// Undecided: a checker ran out of its budget.
	Undecided = 7
	// Interrupted: stopped by a signal; resumable.
	Interrupted = 130
)

// Meaning says what a code means to a user.
type Meaning struct {
	Code int
	// Text is one line, Retry says whether running the same again can help.
	Text, Retry string
}

// Meanings returns the codes in ascending order. It is the one table of them: the
// command prints it, and a test compares the README with it.
func Meanings() []Meaning {
	return []Meaning{
		{OK, "all checks passed", "-"},
		{Infrastructure, "disk, network or host failed", "yes"},
		{Usage, "bad command line, file or record", "no"},
		{Safety, "a safety invariant was violated; the line that reproduces it is printed", "no"},
		{Liveness, "no progress, or a claim or threshold of a suite failed", "no"},
		{Invalid, "the measurement is not valid: generator overloaded, replay diverged, merge in conflict", "a few times"},
		{Incomplete, "cells of a suite are missing or failed", "yes"},
		{Undecided, "a checker ran out of its budget", "with a larger budget"},
		{Interrupted, "interrupted; the same command goes on where it stopped", "yes"},
	}
}

// Coder is implemented by errors that know their exit code.
type Coder interface {
	error
	ExitCode() int
}

// Error gives an error an exit code.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode implements Coder.
func (e *Error) ExitCode() int { return e.Code }

// Wrap gives err the code; a nil err stays nil.
func Wrap(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// Errorf builds an error with a code.
func Errorf(code int, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Code returns the exit code for err: 0 for nil, that of the first Coder in its
// chain, Interrupted for a cancelled context, and Infrastructure otherwise.
func Code(err error) int {
	if err == nil {
		return OK
	}
	var c Coder
	if errors.As(err, &c) {
		return c.ExitCode()
	}
	if errors.Is(err, context.Canceled) {
		return Interrupted
	}
	return Infrastructure
}

// precedence orders the verdicts of the cells of a sweep: the first that occurs
// is the code of the whole.
var precedence = [...]int{Safety, Invalid, Undecided, Liveness, Incomplete}

// Worst returns the code of a sweep from those of its cells: the first of 3, 5,
// 7, 4, 6 that occurs, and Incomplete for any other failure.
func Worst(codes []int) int {
	for _, p := range precedence {
		for _, c := range codes {
			if c == p {
				return p
			}
		}
	}
	for _, c := range codes {
		if c != OK {
			return Incomplete
		}
	}
	return OK
}
