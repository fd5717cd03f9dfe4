// Package trace reads the workload traces that bench replays: nodes and tasks
// of a GPU cluster in the columns of OpenB, virtual machines with their
// lifetimes, and requests with rules for hosts with NUMA cells. The OpenB files
// and those of Huawei are part of the package.
//
// Traces are CSV files with a header line, as they are or compressed with
// gzip. Columns are found by name, in any order; columns that are not known
// are skipped. A value that is not allowed is refused with a [*FormatError],
// which names file, line, column, value and what is allowed.
//
//	nodes, err := trace.OpenBNodes()
//	tasks, err := trace.OpenBTasks("default")
//
// Units: thousandths of a CPU or GPU (milli), MiB. All functions are safe for
// concurrent use, and results belong to the caller.
package trace
