package main

func Example() {
	main()
	// Output:
	// req-1 is on host1
	// req-1 is on host1
	// req-1 is on host2
	// req-2 failed: instance 10000000-0000-4000-8000-000000000004: no valid host was found: placement removes the last 3 of 3 hosts: lacks MEMORY_MB: … free, 61440 asked for (2), is in none of the aggregates [a0000000-0000-4000-8000-000000000001] (1); nearest is host2: lacks MEMORY_MB: 57344 free, 61440 asked for
	// placement left 0 of 3
}
