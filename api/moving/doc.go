// Package moving copies all that a Placement holds from one place to another:
// from a server to an engine, from an engine to a file and back, and from an
// engine to a server. Every copy is of a [World], and two worlds can be
// compared.
//
// A server tells of a provider and a consumer when it was changed last, to the
// second, but not when it was made; an engine keeps both to the nanosecond.
package moving
