// Command novajudge compares the decisions of `kilonova schedule` with those
// of Nova's own scheduler.
//
// It generates documents, family by family (one family a rule of a filter or
// weigher), has judge.py answer them with Nova's code, has kilonova answer
// them, and compares. A difference is made small before it is shown.
//
//	go run ./internal/novajudge -cases 5000 -kilonova bin/kilonova -nova /src/nova
//
// Without -nova the Nova that Python finds is asked, such as Debian's
// python3-nova; -older says that it is not the newest one. The judge runs in
// Python with the libraries that Debian's python3-nova depends on.
package main
