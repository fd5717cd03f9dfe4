package main

func Example() {
	main()
	// Output: found: host1
}
