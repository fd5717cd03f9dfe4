package scheduler

// Weigher scores hosts. Higher scores win when the multiplier is positive.
// Weighers are safe for concurrent use and do not allocate.
type Weigher interface {
	// Name is the name that configuration knows, such as RAMWeigher.
	Name() string
	Reads() Reads
	// Weigh writes the raw score of each host to raw, which is as long. An
	// error fails the whole request, as in Nova.
	Weigh(r *Request, hosts []*HostState, raw []float64) error
	// Multiplier says what normalised scores are multiplied with.
	Multiplier() Multiplier
	// Floor is the least raw score that counts: lower ones are raised to it,
	// and normalisation starts there instead of at the lowest score. false:
	// there is none.
	Floor() (least float64, ok bool)
}

// Multiplier is the weight of a weigher.
type Multiplier struct {
	Value  float64
	Key    string // aggregate metadata of this name override Value; "": nothing does
	Negate bool   // after overriding
}

// For returns the multiplier of a host: the least number among the values
// that its aggregates give the key, or Value when there is none or one of
// them is not a number.
//
// Source: nova, scheduler/utils.py, get_weight_multiplier.
func (m *Multiplier) For(h *HostState) float64 {
	value := m.Value
	if m.Key != "" {
		value = m.override(h.Aggregates)
	}
	if m.Negate {
		return -1 * value
	}
	return value
}

func (m *Multiplier) override(aggregates []Aggregate) float64 {
	value, found := m.Value, false
	for i := range aggregates {
		text, has := aggregates[i].Metadata[m.Key]
		if !has {
			continue
		}
		n, ok := ParseFloat(text)
		if !ok {
			return m.Value
		}
		if !found || n < value {
			value, found = n, true
		}
	}
	return value
}

// Idler is implemented by weighers that have no say in some requests: every
// host then has the raw score 0.
type Idler interface {
	Idle(s *RequestSpec) bool
}

// Learner is implemented by weighers whose scores follow what is asked for.
// Methods are safe for concurrent use.
type Learner interface {
	// Learn notes that n instances of a spec were placed.
	Learn(s *RequestSpec, n int)
	// Version grows when the scores of all hosts change by what was learned:
	// scores of before do not compare with those of now.
	Version() uint64
}
