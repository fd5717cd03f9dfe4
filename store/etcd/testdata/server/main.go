// Command server is etcd itself, built from its module for tests. It is a
// module of its own, so that the server is no requirement of Kilonova's.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
