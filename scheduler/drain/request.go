package drain

import "fmt"

// Amounts is how many kinds of resources there are, such as vCPUs, memory and
// disk.
const Amounts = 3

// Host is one host and who lives on it.
type Host struct {
	Name      string
	Free      [Amounts]int64
	Closed    bool // takes no instance
	Instances []Instance
}

// Instance is one instance.
type Instance struct {
	Name  string
	Need  [Amounts]int64
	Fixed bool // cannot move
	Group *Group
}

// Group is a server group; its members point to the same one.
type Group struct {
	Name string
	// Together: all members are on one host. Otherwise a host has at most
	// MaxPerHost of them, at least 1.
	Together   bool
	MaxPerHost int
}

// Request is what to plan for.
type Request struct {
	Hosts  []Host
	Budget int // moves at most
	// Units names the amounts in explanations; "": amount and its number.
	Units [Amounts]string
	// Allows says whether an instance may go to a host, for rules beyond size
	// and group; nil: it may.
	Allows func(instance *Instance, host *Host) bool
	// Effort bounds the search for more than the obvious, in steps; 0: 100,000.
	Effort int
}

// validate refuses what makes no sense.
func (r *Request) validate() error {
	if r.Budget < 0 {
		return fmt.Errorf("field Budget is %d, allowed is: 0 or more", r.Budget)
	}
	hosts, instances := map[string]bool{}, map[string]bool{}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		if h.Name == "" || hosts[h.Name] {
			return fmt.Errorf("field Hosts has the name %q, allowed is: a name that no other host has", h.Name)
		}
		hosts[h.Name] = true
		for k := range h.Instances {
			in := &h.Instances[k]
			if in.Name == "" || instances[in.Name] {
				return fmt.Errorf("host %s has the instance %q, allowed is: a name that no other instance has", h.Name, in.Name)
			}
			instances[in.Name] = true
			if in.Group != nil && !in.Group.Together && in.Group.MaxPerHost < 1 {
				return fmt.Errorf("field MaxPerHost of group %s is %d, allowed is: at least 1", in.Group.Name, in.Group.MaxPerHost)
			}
			for _, need := range in.Need {
				if need < 0 {
					return fmt.Errorf("instance %s needs %d, allowed is: 0 or more", in.Name, need)
				}
			}
		}
	}
	return nil
}

// Move is one instance that goes to another host.
type Move struct {
	Instance string `json:"instance"`
	From     string `json:"from"`
	To       string `json:"to"`
}

// Kept is a host in use that the plan does not free.
type Kept struct {
	Host string `json:"host"`
	Why  string `json:"why"`
}

// Plan is what to do.
type Plan struct {
	Moves []Move   `json:"moves"`
	Freed []string `json:"freed"` // hosts, in the order of the request
	Kept  []Kept   `json:"kept"`  // in the order of the request
	// Best is set when no plan of this kind frees more hosts. It is not set
	// when the search ended before that was known.
	Best bool `json:"best"`
}
