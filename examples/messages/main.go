// Command messages lets one half of a program call the other: over RabbitMQ
// when its argument is a transport_url, else in process.
//
//	messages rabbit://user:secret@broker1:5672,user:secret@broker2:5672/cell1
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/local"
	"github.com/kilonova-cloud/kilonova/cells/bus/rabbit"
)

func main() {
	b := bus.Bus(local.New(local.Config{}))
	if len(os.Args) == 2 {
		cfg, err := rabbit.Parse(os.Args[1], nil)
		check(err)
		b, err = rabbit.New(cfg)
		check(err)
	}
	check(run(b))
	check(b.Close())
}

// contract is what both sides know: methods, bodies, version.
var contract = bus.Version{Major: 1}

func run(b bus.Bus) error {
	ctx := context.Background()
	stop, err := b.Handle(ctx, "compute.host1", bus.Service{Version: contract, Methods: map[string]bus.Handler{
		"uptime": func(context.Context, bus.Envelope) ([]byte, error) { return []byte("4 days"), nil },
		"reboot": func(context.Context, bus.Envelope) ([]byte, error) {
			return nil, &bus.RemoteError{Code: "InstanceIsLocked", Message: "instance i1 is locked"}
		},
	}})
	if err != nil {
		return err
	}
	defer stop()

	reply, err := bus.Call(ctx, b, to("uptime"))
	for errors.Is(err, bus.ErrUnavailable) || errors.Is(err, bus.ErrNoHandler) { // not connected yet
		time.Sleep(100 * time.Millisecond)
		reply, err = bus.Call(ctx, b, to("uptime"))
	}
	if err != nil {
		return err
	}
	fmt.Printf("uptime: %s\n", reply)

	var refused *bus.RemoteError
	if _, err = bus.Call(ctx, b, to("reboot")); errors.As(err, &refused) {
		fmt.Printf("reboot: %s: %s\n", refused.Code, refused.Message)
	}
	_, err = bus.Call(ctx, b, to("fly"))
	fmt.Println("fly: there is no such method:", errors.Is(err, bus.ErrNoMethod))
	return nil
}

// to is a message. Whoever sends one again uses the same ID.
func to(method string) bus.Envelope {
	return bus.Envelope{ID: bus.NewID(), Topic: "compute.host1", Method: method, Version: contract, Timeout: 5 * time.Second}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
