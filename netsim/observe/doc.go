// Package observe judges runs: it watches the events that nodes emit and says
// which invariants held. A [Checker] is a protocols.Observer and bundles
//
//   - agreement: correct replicas execute the same requests in the same order;
//     no slot is decided in two ways, by one replica or by two, also across
//     restarts;
//   - integrity: a request is executed once, and no replica skips one;
//   - validity: what is executed for a correct client was invoked by it, and
//     what a correct client accepts was executed by a correct replica;
//   - root: equal state roots at equal index;
//   - application: its own invariants, if it has any ([Checker.Audit]), at
//     checkpoints and at the end;
//   - promise: no correct node contradicts what it said before, also across
//     restarts (of the message types that declare it, see protocols.MessageType.Once);
//   - liveness: every operation that a correct client invoked before a deadline
//     was accepted by the end, and the system never stalls under load in calm;
//   - linearizability of client histories (optional): the order of the replicas
//     as a witness, replayed on an application of its own, in one pass; and
//     porcupine as an independent check ([Windows]).
//
// Correct nodes only are judged. A replica that runs an adversary, or whose
// promises were wiped without it knowing, must not be declared correct.
//
// # Verdicts
//
// Each property is true, false or undecided. Undecided is never a pass: it means
// that the check was switched off or had nothing to look at (then it is listed in
// Report.Unchecked), or that it gave up (a reason is in Report.Notes).
//
// # Order, speculation and restarts
//
// With immediate finality an executed request is judged at once and may not be
// taken back. With speculative finality a replica's order counts up to what it
// reported as final. The first correct replica to get to an index fixes the
// agreed order there.
//
// A replica's index moves by one. It may jump to an index by EventTransfer, but
// not beyond what a correct replica has executed; and it may begin again at 1,
// which is what a replica does that restarts and replays its log. A host that
// tells of restarts (Config.Restarts and [Checker.Restarted]) makes the latter an
// error otherwise.
//
// # Memory
//
// Bounded, whatever the length of the run: the agreed order is kept for the last
// Window requests and as a chain of hashes every 1,024 before that, against
// which a straggler is still judged; decided slots are kept for the last Window
// of each instance; of each node its last 256 promises at least, of all together
// about 262,144 for clusters of up to 1,024; roots for the last 4,096 checkpoints; of a client only what
// is open, and the intervals of timestamps that were executed.
//
// What it is not: porcupine excepted it runs inside the simulation and decides
// nothing there, unless the host stops at the first violation.
package observe
