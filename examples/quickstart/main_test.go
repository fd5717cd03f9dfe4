package main

func Example() {
	main()
	// Output: used: map[VCPU:4]
}
