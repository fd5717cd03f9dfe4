package main

func Example() {
	main()
	// Output:
	// candidate:
	//   2 VCPU from host1
	//   100 DISK_GB from pool
	// candidate:
	//   2 VCPU from host2
	//   100 DISK_GB from pool
}
