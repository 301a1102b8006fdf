// Package strict reads YAML so that nothing is guessed: an unknown key, a
// missing unit, a number with a leading zero, a null, a repeated key or a value
// out of range is an error that names file, line, column, the value, what was
// allowed and the nearest name.
//
// A struct describes a file by tags, and the same tags drive decoding, the JSON
// Schema, the canonical form that cells are named by, and the resolved file that
// is written next to results:
//
//	key:"rate"        the key; a field without one is not part of the file
//	doc:"..."         one line for the schema
//	enum:"a,b"        the allowed values of a string
//	min:"1" max:"9"   bounds of an integer or a quantity, both included, in base units
//	later:"1"         added after schema 1: left out of the canonical form while zero
//	hash:"-"          never part of the canonical form
//
// Anchors, aliases, merge keys and explicit tags are refused: a scenario should
// say what it means where it says it.
//
// Files whose values are tuples and tables (topologies, profiles) are read by a Reader
// instead, a straight line of calls with the same rules and the same messages.
//
// It is not a general YAML binding: it knows the few kinds of value that
// scenario, suite and data files need.
package strict
