package scheduler

// Plain returns how many decisions columns did not answer.
func (s *HostSet) Plain() int { return s.plain }
