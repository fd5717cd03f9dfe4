// Command durable writes to a store on disk, opens it again, and finds what
// was acknowledged.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

func main() {
	dir, err := os.MkdirTemp("", "kilonova-example-")
	check(err)
	defer func() { check(os.RemoveAll(dir)) }()
	host := placement.Provider{UUID: placement.MustUUID("70000000-0000-4000-8000-000000000001"), Name: "host1"}
	check(with(dir, func(ctx context.Context, engine *placement.Engine) error {
		_, err := engine.CreateProvider(ctx, host)
		return err
	}))
	check(with(dir, func(_ context.Context, engine *placement.Engine) error {
		found, err := engine.Provider(host.UUID)
		fmt.Println("found:", found.Name)
		return err
	}))
}

// with opens the store and an engine on it, calls use, and closes both.
func with(dir string, use func(context.Context, *placement.Engine) error) error {
	ctx := context.Background()
	store, err := badger.Open(badger.Config{Dir: dir})
	if err != nil {
		return err
	}
	engine, err := placement.Open(ctx, placement.Config{Store: store, Now: time.Now})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	return errors.Join(use(ctx, engine), engine.Close(), store.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
