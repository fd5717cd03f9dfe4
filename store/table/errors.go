package table

import "errors"

// The errors of tables. Those of the store, [store.ErrNewerFormat] among
// them, are returned as well.
var (
	// ErrExists: a row with this primary key exists.
	ErrExists = errors.New("row exists")
	// ErrNotFound: there is no row with this primary key.
	ErrNotFound = errors.New("row not found")
	// ErrOutcomeUnknown: the change may take effect or not.
	ErrOutcomeUnknown = errors.New("outcome of the change is unknown")
	// ErrNotSynced: the database has an older schema than the program.
	ErrNotSynced = errors.New("database schema is older than the program")
	// ErrOtherSchema: the store holds another sort of database.
	ErrOtherSchema = errors.New("store holds another database")
	// ErrTooFarBehind: changes since that revision are not held any more;
	// read the tables again.
	ErrTooFarBehind = errors.New("too far behind the changes")
	// ErrClosed: the database is closed, or its store's feed has failed.
	ErrClosed = errors.New("database is closed")
	// ErrReadOnly: a View may not write.
	ErrReadOnly = errors.New("transaction is read-only")
	// ErrUnknownColumn: a query names a column that the table has not.
	ErrUnknownColumn = errors.New("unknown column")
)

// errMalformed: bytes are not an encoded row.
var errMalformed = errors.New("malformed row")
