package badger

// What tests of the package from outside need of its inside.
var FormatText = formatText

// BreakLog makes the next write to the log fail in a way that leaves open
// whether it happened.
func (s *Store) BreakLog() { _ = s.wal.file.Close() }

// MarkOf returns a high-water mark's slot.
func MarkOf(revision uint64) []byte { return appendMark(nil, revision) }
