package pack

import (
	"reflect"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestParseMix(t *testing.T) {
	t.Parallel()
	mix, err := ParseMix([]string{"2:4096:20=3", "1:512:0=1", "2:4096:20=2"})
	want := []Demand{{Need: [Amounts]int64{2, 4096, 20480}}, {Need: [Amounts]int64{1, 512, 0}}}
	if err != nil || !reflect.DeepEqual(mix.demands, want) || !reflect.DeepEqual(mix.counts, []int64{5, 1}) {
		t.Errorf("%+v, %v", mix, err)
	}
	for _, wrong := range []string{"", "2:4096=1", "2:4096:20", "2:4096:20=0", "2:x:20=1", "-1:1:1=1", "1:1:1:1=1", "1:1:1=9999999999"} {
		if _, err := ParseMix([]string{"1:1:1=1", wrong}); err == nil || !strings.Contains(err.Error(), `"`+wrong+`", allowed is: `) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// TestMeasureOf holds the measure of a mix to what it strands, in average
// requests: 3 vCPUs and 4 GiB each.
func TestMeasureOf(t *testing.T) {
	t.Parallel()
	m, err := MeasureOf(&scheduler.Options{RequestMix: []string{"3:4096:0=7"}}, &LiveMix{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		free [Amounts]int64
		want float64
	}{
		{[Amounts]int64{3, 4096, 0}, 0},
		{[Amounts]int64{6, 8192, 1 << 40}, 0},
		{[Amounts]int64{6, 4096, 0}, 1},
		{[Amounts]int64{0, 6144, 0}, 1.5},
		{[Amounts]int64{4, 4096, 0}, 1. / 3},
	} {
		if got := m.Stranded(Room{Free: c.free}); got < c.want-equal || got > c.want+equal {
			t.Errorf("%v strands %v, want %v", c.free, got, c.want)
		}
	}
	for want, o := range map[string]scheduler.Options{
		"request_mix is not set":             {WeightClasses: []string{"RAMWeigher", "pack.FragmentationWeigher"}},
		`request_mix: element is "2:4096=1"`: {RequestMix: []string{"2:4096=1"}},
	} {
		if _, err := MeasureOf(&o, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if m, err := MeasureOf(&scheduler.Options{WeightClasses: []string{"RAMWeigher"}}, &LiveMix{}); m != nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
}
