// Package store keeps results as plain files: one directory per cell, written
// beside the final place, sealed by SHA256SUMS and renamed into it, so that a
// crash leaves no half cell.
//
//	results/<suite>/
//	  suite.resolved.yaml
//	  suite.inputs.json             its profile, the files that its scenarios name, and the ids of its cells
//	  cells/<cell-id>/manifest.json summary.json latency.hlog load.csv.zst timeline.csv.zst inputs/ ... SHA256SUMS
//	  cells/.tmp-<pid>-...-<host>/  cells that a process is writing
//	  superseded/<cell-id>-<utc>/   earlier versions of re-run cells
//	  index.csv index.bench         rebuilt from the cells
//	results/latest -> <suite>
//
// Nothing is overwritten: a re-run moves the old cell to superseded first.
// Failed, invalid and undecided cells are results and are kept like the others.
// index.csv holds neither wall-clock times nor host data and is ordered by
// content, so that a sweep in the simulator gives the same bytes whatever was
// interrupted, resumed, sharded or merged.
//
// Every read checks SHA256SUMS. A truncated or changed file is an error that
// names the file and the fix; it is never skipped.
//
// It is not for deciding what to run (package sweep) or what a run means
// (packages result and stats).
package store
