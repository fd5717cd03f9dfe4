// Package sim runs a cloud of services in one goroutine, in virtual time, and
// lets everything go wrong that can: messages, stores, processes and clocks.
//
// Services are [machine.Machine]s. A [Scenario] adds them to a [Sim], each with
// a store that outlives it, and names what must hold after every step, and at
// the end. [Scenario.Run] plays one seed; the same seed gives the same trace,
// to the last byte. [Scenario.Twice] makes sure of that. [Scenario.Shrink]
// takes a seed that fails and looks for fewer actors and fewer faults that fail
// in the same way, and a run with a trace prints what happens then.
//
//	sc := sim.Scenario{Build: build, Counts: []sim.Count{{"hosts", 4}}, Rates: sim.Rough(), Settle: time.Minute}
//	rep, err := sc.Twice(sim.Options{Seed: 7, Steps: 2000})
//	if rep.Failure != nil {
//		least, err := sc.Shrink(rep, 1000)
//		least.Trace = os.Stdout
//		_, err = sc.Run(least.Options)
//	}
//
// Faults happen during the first Steps steps. Then they stop, whoever is down
// comes back, and Settle of virtual time is left to bring everything to an end.
//
// docs/simulator.md tells how to work with it. Nothing here is safe for
// concurrent use; different runs may go on at the same time.
package sim
