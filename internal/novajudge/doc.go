// Package novajudge compares the decisions of `kilonova schedule` with those
// of Nova's own scheduler.
//
// [Run] generates documents, family by family (one family a rule of a filter
// or weigher), has judge.py answer them with Nova's code, has kilonova answer
// them, and compares. A difference is made small before it is shown. The
// command is internal/novajudge/soak.
//
// The kept corpus is documents with the answers of the newest Nova, for tests
// that have no Nova: [ReadCorpus] and [Differences].
//
// The judge runs in Python with the libraries that Debian's python3-nova
// depends on. Where the newest Nova needs newer ones, shims.py helps out.
package novajudge
