package router_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/kilonova-cloud/kilonova/cells/router"
)

// database stands for a cell's database.
type database map[string]int

func Example() {
	dbs := map[string]database{"1": {"a": 3, "d": 5}, "2": {"b": 4}}
	r, _ := router.New(router.Config[database]{
		Dial:  func(_ context.Context, c router.Cell) (database, error) { return dbs[c.UUID], nil },
		Probe: func(context.Context, database) error { return nil },
	})
	_ = r.Set(context.Background(), []router.Cell{{UUID: "1", Name: "east"}, {UUID: "2", Name: "west"}})

	_ = r.Call(context.Background(), "2", func(_ context.Context, db database) error {
		fmt.Println("b is", db["b"])
		return nil
	})
	sizes := router.Gather(context.Background(), r, nil, func(_ context.Context, db database) (int, error) { return len(db), nil })
	for _, a := range sizes.Answers {
		fmt.Println(a.Cell.Name, "has", a.Value)
	}
	fmt.Println(sizes.Err())
	_ = r.Close()
	// Output:
	// b is 4
	// east has 2
	// west has 1
	// <nil>
}

func ExampleColumns_Order() {
	type server struct{ id, name string }
	columns := router.Columns[server]{
		{Name: "uuid", Get: func(s *server) router.Value { return router.Text(s.id) }, Set: func(s *server, v router.Value) { s.id = v.AsText() }, Kinds: []router.Kind{router.KindText}},
		{Name: "name", Get: func(s *server) router.Value { return router.Text(s.name) }, Set: func(s *server, v router.Value) { s.name = v.AsText() }, Kinds: []router.Kind{router.KindText}},
	}
	order, _ := columns.Order(router.Sort{Column: "name", Desc: true})
	marker := order.Marker(&server{"7", "web"})
	after, _ := order.Parse(marker)
	fmt.Println(order.Sort(), strings.HasPrefix(marker, "~"), *after)
	_, err := columns.Order(router.Sort{Column: "color"})
	fmt.Println(err)
	// Output:
	// [{name true} {uuid true}] true {7 web}
	// sort key is "color", allowed are ["uuid" "name"]: unknown column
}

func ExampleTally() {
	small := router.NewShape(map[string]int64{"VCPU": 2})
	tally := router.NewTally(0, small)
	tally.Set("h1", router.Host{Free: map[string]int64{"VCPU": 5}})
	tally.Set("h2", router.Host{Free: map[string]int64{"VCPU": 1}})
	s := tally.Summary()
	fmt.Println(s.Fits[small.String()], s.Most["VCPU"])
	fmt.Println(s.Refuses(router.NewShape(map[string]int64{"VCPU": 8})))
	// Output:
	// 2 5
	// VCPU is 8, no host has more than 5 free
}
