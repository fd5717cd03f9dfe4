// Package document reads requests for hosts that are written in JSON, and
// writes the answers: the documents of kilonova schedule.
//
// [Read] is strict: it refuses keys that it does not know and values of
// another type, and says which key it is. An absent key, and one that is
// null, is what Nova has when nobody sets it. [Answer] is what came out.
//
// Time is fixed: [Now] is when a document is read, and a host's service
// reported some seconds before.
package document
