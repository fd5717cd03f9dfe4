package document

import "fmt"

// KeyError says which key of a document has a wrong value.
type KeyError struct {
	Key     string // its path, such as hosts[3].free_ram_mb; "": the document
	Value   string // JSON, perhaps cut
	Allowed string
}

// Error names the key, its value and what is allowed.
func (e *KeyError) Error() string {
	key := e.Key
	if key == "" {
		key = "the document"
	}
	return fmt.Sprintf("%s is %s, allowed is: %s", key, e.Value, e.Allowed)
}
