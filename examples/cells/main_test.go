package main

func Example() {
	main()
	// Output:
	// [a b d] missing: 0
	// [e f] missing: 0
	// [a c d] missing: 1
	// west is away: true
	// [a b c] missing: 0
}
