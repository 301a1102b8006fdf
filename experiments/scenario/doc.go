// Package scenario holds the scenario: the nested file that describes one run,
// for the simulator, for a local cluster and for remote hosts alike, and its
// resolved Go form.
//
// A scenario is read strictly (package strict), overridden by --set key=value
// with the same paths and the same checks, and then resolved against a
// [Catalog]: names are looked up, options get their values, n follows from f and
// the protocol, files are read. A resolved scenario has a canonical JSON form
// whose SHA-256 names the cell ([Scenario.ID]); the code revision is not part of
// it, the seed and the mode are.
//
// Decisions:
//   - duration is shorthand for window.measure. The warm-up defaults to a tenth
//     of it, at most 5 s, and the cool-down to a fiftieth, at most 2 s; both come
//     on top. Fault times count from the start of the run, warm-up included.
//   - An open load needs as many clients as requests may be in flight. Without
//     clients there is one per request of a second (64 to 4096), so that a fault of
//     a second does not make the generator wait; a closed load has 16.
//   - Rates are kept in millionths of a request per second, because edge
//     workloads are slower than one request per second.
//   - A file named by topology or costs enters the canonical form by the hash of
//     its content, never by its path.
//   - Options equal to their default are left out of the canonical form, so that
//     a new option does not turn every recorded cell into a missing one.
//   - loss, duplicate and reorder need an explicit transport, and stream refuses
//     them: whether a lost packet is lost to the protocol (datagram) or late (tcp)
//     must be said.
//   - More adversaries than f need beyond_f: true.
//
// It is not the runner: it knows no simulator, no network and no plotting, so
// that the edge daemon can import it.
package scenario
