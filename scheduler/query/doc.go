// Package query turns a request for instances into what placement is asked:
// which resources, traits and aggregates a host has to have before any filter
// looks at it.
//
// A [Builder] does what Nova does in two steps. A flavor and an image become
// request groups: VCPU or PCPU, MEMORY_MB, DISK_GB, extra specs such as
// resources:CUSTOM_GPU and trait:HW_CPU_X86_VMX, and traits that their
// properties stand for. Then the pre-filters narrow the request: to a tenant's
// or an availability zone's aggregates, away from disabled hosts, and so on.
// What other services know, such as the resources of ports, comes with the
// [Request]; what the cloud looks like, with the [View].
//
//	b := query.New(options)
//	q, err := b.Build(&query.View{Aggregates: all}, &query.Request{Spec: spec})
//	for c, err := range engine.Candidates(ctx, q.Candidates) { ... }
//
// Everything is pure, and a Builder is safe for concurrent use. Amounts are in
// placement's units: MiB of memory, GiB of disk.
package query
