// Package imagemeta reads image properties as OpenStack Nova does: old names
// become current ones, unknown ones are dropped, and values become the text
// that Python prints of them. [Read] is what [scheduler.Image] and
// [scheduler.Instance] want.
package imagemeta
