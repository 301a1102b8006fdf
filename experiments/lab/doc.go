// Package lab holds what the verbs of the command edgebft do; the command itself
// only parses flags. Results go to IO.Out, progress and logs to IO.Err. Errors carry
// their exit code (package exit).
package lab
