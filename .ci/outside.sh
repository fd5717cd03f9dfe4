#!/usr/bin/env bash
# Builds and runs, in the folder given, a module that imports this one as a
# user's would: no build tags, no cgo.
set -euo pipefail
repo=$PWD module=$(go list -m)
mkdir -p "$1"
cp examples/quickstart/main.go go.sum "$1"
cd "$1"
go mod init example.com/outside
go mod edit -require "$module@v0.0.0" -replace "$module=$repo"
CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=mod" go run . | tee output
test -s output
