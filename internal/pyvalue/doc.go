// Package pyvalue does what Python does with the values that Nova's decisions
// depend on: it reads numbers as float() and int() do, prints as str() and
// repr() do, compares as the operators do, and reads JSON and versions as the
// json and packaging modules do.
//
// A [Value] is one Python value. Text is UTF-8; a lone surrogate, which only an
// escape in JSON can make, is kept as the three bytes that UTF-8 would have for
// it, so comparing bytes is comparing code points.
//
//	v, err := pyvalue.ParseJSON(`{"cores": 3.0, "flags": ["aes"]}`)
//	v.Get("cores").String() // "3.0"
//
// Values are never changed once they are made, and safe for concurrent use.
package pyvalue
