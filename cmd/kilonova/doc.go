// Command kilonova is the one binary of Kilonova. Each daemon and tool is a
// subcommand; this package only wires them to the packages that hold the
// logic.
//
// Data goes to standard output, everything else to standard error. The exit
// code is 0 on success, 1 on failure and 2 on wrong usage.
package main
