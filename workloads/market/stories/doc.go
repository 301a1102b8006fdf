// Package stories holds the acceptance stories of the marketplace: small worlds
// with a genesis, an ordered list of signed transactions, the result code that
// each must give, and what must be true at the end. A story can be run on the
// state machine alone (Run) or be fed, in order, through any protocol.
//
// Clock keys and validators are the story's own, four of them with f = 1, whatever
// the number of replicas that order its transactions; its clock ticks are
// transactions like the others.
//
// Times are in ms from 0. Amounts are base units.
package stories
