//go:build ignore

// Checkreport reads the JSON report of bench trace from standard input and
// fails unless it is the one of OpenB with every key of the contract.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	var r map[string]any
	d := json.NewDecoder(os.Stdin)
	if err := d.Decode(&r); err != nil {
		log.Fatal(err)
	}
	if d.More() {
		log.Fatal("more than one JSON document")
	}
	for _, key := range []string{
		"trace", "variant", "policy", "seed", "store", "nodes", "tasks", "placed", "refused", "requested_gpu_share",
		"allocated_gpu_share", "allocated_cpu_share", "allocated_memory_share", "allocated_gpu_share_at_100",
		"seconds", "claims_per_second", "latency_us",
	} {
		if _, ok := r[key]; !ok {
			log.Fatalf("key %s is missing", key)
		}
	}
	if r["nodes"] != 1523.0 || r["tasks"] != 8152.0 || r["placed"].(float64)+r["refused"].(float64) != 8152 {
		log.Fatalf("not the OpenB trace: %v", r)
	}
	fmt.Printf("placed %v of %v tasks, %.1f %% of the GPUs allocated\n", r["placed"], r["tasks"], 100*r["allocated_gpu_share"].(float64))
}
