package cells

import "errors"

// The errors of a Mapper, beside those of cells/apidb and store/table.
var (
	// ErrNoHost: no such host is mapped.
	ErrNoHost = errors.New("host not found")
	// ErrHasHosts: the cell has hosts.
	ErrHasHosts = errors.New("cell has hosts")
	// ErrHasInstances: the cell or the host has instances that are not deleted.
	ErrHasInstances = errors.New("there are instances")
	// ErrHasMappings: the cell has mappings of instances that are all deleted.
	ErrHasMappings = errors.New("cell has mappings of deleted instances")
)
