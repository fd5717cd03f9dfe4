// Command soak decides random documents with Nova and with kilonova, and fails
// when they differ.
//
//	go run ./internal/novajudge/soak -cases 5000 -kilonova bin/kilonova -nova /src/nova
//
// Without -nova the Nova that Python finds is asked, such as Debian's
// python3-nova; -older says that it is not the newest one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/kilonova-cloud/kilonova/internal/novajudge"
)

func main() {
	var o novajudge.Options
	flag.Uint64Var(&o.Seed, "seed", 1, "seed of the documents")
	flag.Uint64Var(&o.Cases, "cases", 1000, "how many documents")
	flag.Uint64Var(&o.First, "first", 0, "number of the first document")
	flag.StringVar(&o.Kilonova, "kilonova", "", "kilonova binary; without it only Nova is asked")
	flag.StringVar(&o.Nova, "nova", "", "source tree of Nova; without it the one that Python finds")
	flag.StringVar(&o.Python, "python", "/usr/bin/python3", "Python with Nova's libraries")
	flag.StringVar(&o.Family, "family", "", "only families whose name contains this")
	flag.StringVar(&o.Corpus, "corpus", "", "write small documents and Nova's answers to this file")
	flag.BoolVar(&o.Older, "older", false, "the Nova is 26.2: without the weighers that it lacks")
	flag.IntVar(&o.Shrink, "shrink", 300, "tries to make a failing document smaller")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := novajudge.Run(ctx, &o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}
