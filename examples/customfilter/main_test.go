package main

func Example() {
	main()
	// Output:
	// c: rack r2 is under repair
	// training goes to b
}
