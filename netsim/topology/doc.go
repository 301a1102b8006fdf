// Package topology says where hosts stand and what lies between them: access
// links with a rate, and one-way paths with a mandatory minimum delay, a tail
// and loss. It is data for the simulator, not code: K places and a K by K matrix,
// never an object per pair of nodes.
//
// [Load] takes the name of an embedded topology or of a file; [Parse] documents
// the format.
//
// # Delays
//
// A one-way delay has a median m and a 99th percentile. Half of m is the floor;
// the other half is multiplied by a log-normal factor of median 1 whose width
// follows from the percentile. So delays are never below m/2, and the median and
// the percentile are exact. Draws interpolate linearly in a table of 4,096
// quantiles ([Quantiles.Sample]). The tables come from integer arithmetic over
// generated data (shapes/, written by gen and committed), so that every
// architecture draws the same integers: no float is computed when a topology is
// loaded or sampled. A percentile between two generated shapes is met by blending
// them linearly.
//
// # Decisions where the sources leave room
//
//   - Half of a published round trip is a one-way delay, for the median and for
//     the 99th percentile alike.
//   - A radio profile describes the whole path between a station and its peers;
//     between two stations of one embedded site it applies once. Between two 5G
//     sites it applies twice.
//   - Where a source gives a range, the file says which value was taken.
//   - ec2: the table gives the average and the 99.99 % of round trips. Excursions
//     of about a second sit on top of a body that hardly moves, as lost and
//     retransmitted packets do, so one direction in about 1,200 draws carries the
//     whole excursion. The 99.999 % and the maxima (up to three minutes) are
//     outages, that is faults of a scenario, not jitter.
//   - Correlation over time and queueing in the network are not modelled; queues
//     of the access links are (by the simulator).
//   - Loss is in the path; the transport mode of a run decides what it means
//     (datagrams vanish, streams retransmit).
//   - T8 is several clusters. One cluster can express its upper level: the metro
//     cluster, with the site gateways as its clients.
package topology

//go:generate go run ./gen -o shapes
