// Package work is what adapters of the bus share: calls that wait for their
// end, and handlers that run a few at a time.
package work
