package local_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/bustest"
	"github.com/kilonova-cloud/kilonova/cells/bus/local"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T, test func(caller, server bustest.Side)) {
		t.Helper()
		b := local.New(local.Config{})
		t.Cleanup(func() { _ = b.Close() })
		test(bustest.Real(b), bustest.Real(b))
	})
}

func Example() {
	b := local.New(local.Config{})
	defer b.Close()
	_, err := b.Handle(context.Background(), "compute.host1", bus.Service{
		Version: bus.Version{Major: 1},
		Methods: map[string]bus.Handler{"greet": func(_ context.Context, e bus.Envelope) ([]byte, error) {
			return append([]byte("hello, "), e.Body...), nil
		}},
	})
	if err != nil {
		fmt.Println(err)
	}
	reply, err := bus.Call(context.Background(), b, bus.Envelope{
		ID: bus.NewID(), Topic: "compute.host1", Method: "greet", Version: bus.Version{Major: 1},
		Timeout: 5 * time.Second, Body: []byte("conductor"),
	})
	fmt.Println(string(reply), err)
	// Output: hello, conductor <nil>
}
