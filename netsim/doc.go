// Package netsim is a deterministic simulator of hosts and networks that runs
// protocol nodes unchanged.
package netsim
