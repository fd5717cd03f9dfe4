// Package twin is a second placement model for tests: every rule written down
// once more, in the most direct way, next to the source that it restates.
//
// A [World] keeps plain maps and answers by looking at everything: no index,
// no ordering, no shortcut. It is far too slow for anything but worlds of a
// few dozen providers, and that is its use: the fast engine must give the
// same answers on them ([World.Candidates]) and change in the same way
// ([World.Apply]). [RandomWorld], [RandomRequest] and [RandomOp] make such
// worlds, requests and changes from a seed.
//
// Not safe for concurrent use. Tests import this package, nothing else does.
package twin
