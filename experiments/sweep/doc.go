// Package sweep runs the cells of a suite: in parallel, resumable, and without
// ever losing or overwriting a result.
//
// What a cell does is a hook ([Run]); this package decides which cells are
// missing, admits them by cores and memory, stores every outcome the moment it
// is there, reports failing cells when they happen, searches for the knee where
// the suite says auto, and rebuilds the index at the end.
//
// Interrupting is safe at any time, kill -9 included: a cell is either recorded
// completely or not at all, and the next sweep runs what is missing. In the
// simulator the final index is the same bytes as without the interruption.
//
// It is not for protocols or simulated code: it owns goroutines and reads the
// clock, for the progress line and the manifests.
package sweep
