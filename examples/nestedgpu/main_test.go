package main

func Example() {
	main()
	// Output:
	// ways: 6
	// ways: 1
}
