// Package metrics counts requests and writes the counts in the text format of
// Prometheus.
//
// A [Requests] has a counter per route, method and status, and a histogram of
// durations per route. It is safe for concurrent use.
//
//	requests := metrics.NewRequests("kilonova_placement")
//	requests.Observe("/usages", "GET", 200, took)
//	err := requests.Write(w)
package metrics
