// Package jsonschema reads JSON documents strictly and checks them against
// schemas, with messages that clients of Python's jsonschema recognise.
//
// [Parse] makes a [Value] of a body. It refuses what lenient readers let
// through: repeated keys, NaN and infinities, invalid UTF-8, lone surrogates,
// deep nesting, text after the document. A [Schema] is a plain struct;
// [Schema.Validate] reports the first of the shallowest violations.
//
//	doc, err := jsonschema.Parse(body)
//	violation := schema.Validate(&doc)
//
// Values share memory with the body that they were read from: copy a string
// that outlives the request. A Schema is safe for concurrent use.
package jsonschema
