package scheduler_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

func options(t *testing.T, document string) (*scheduler.Options, error) {
	t.Helper()
	var values map[string]any
	d := json.NewDecoder(strings.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		t.Fatal(err)
	}
	c, err := oslocfg.FromMap(values)
	if err != nil {
		return nil, err
	}
	o := scheduler.ReadOptions(c)
	return o, c.Err()
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := options(t, `{}`)
	if err != nil || o.MaxAttempts != 3 || o.HostSubsetSize != 1 || len(o.EnabledFilters) != 5 || o.BuildFailureWeightMultiplier != 1e6 ||
		o.IOOpsWeightMultiplier != -1 || o.ServiceDownTime != time.Minute || !o.MetricsRequired || o.MetricsWeightOfUnavailable != -10000 {
		t.Errorf("defaults are %+v, %v", o, err)
	}
	o, err = options(t, `{"scheduler.max_attempts": 5, "filter_scheduler.enabled_filters": ["A", "B"],
		"filter_scheduler.ram_weight_multiplier": -2.5, "metrics.weight_setting": ["a=1", " b= 2", "c", "=3", "d=x", "e=1=2", "a=4"],
		"metrics.required": false, "filter_scheduler.isolated_hosts": "x, y", "pci.alias": ["{\"a\": 1, \"b\": 2}"],
		"filter_scheduler.image_properties_default_architecture": null, "filter_scheduler.isolated_images": []}`)
	if err != nil {
		t.Fatal(err)
	}
	if o.MaxAttempts != 5 || !slices.Equal(o.EnabledFilters, []string{"A", "B"}) || o.RAMWeightMultiplier != -2.5 || o.MetricsRequired ||
		!reflect.DeepEqual(o.MetricsWeightSetting, []scheduler.Setting{{Name: "a", Ratio: 1}, {Name: " b", Ratio: 2}, {Name: "a", Ratio: 4}}) ||
		!slices.Equal(o.IsolatedHosts, []string{"x", "y"}) || !slices.Equal(o.PCIAliases, []string{`{"a": 1, "b": 2}`}) {
		t.Errorf("%+v", o)
	}
	o, err = options(t, `{"kilonova.best_fit_weight_multiplier": 2, "kilonova.host_age_weight_multiplier": -0.5, "kilonova.request_mix": ["1:2:3=4"]}`)
	if err != nil || o.BestFitWeightMultiplier != 2 || o.WorstFitWeightMultiplier != 1 || o.FragmentationWeightMultiplier != 1 ||
		o.HostAgeWeightMultiplier != -0.5 || o.LifetimeWeightMultiplier != 1 || !slices.Equal(o.RequestMix, []string{"1:2:3=4"}) {
		t.Errorf("[kilonova]: %+v, %v", o, err)
	}
	if o, err := options(t, `{"filter_scheduler.enabled_filters": []}`); err != nil || o.EnabledFilters == nil || len(o.EnabledFilters) != 0 {
		t.Errorf("an empty list of filters is %#v, %v", o, err)
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"filter_scheduler.host_subset_size": 0}`:                          `[filter_scheduler] host_subset_size is "0", allowed is: an integer of 1 or more`,
		`{"filter_scheduler.pci_weight_multiplier": -1}`:                    `allowed is: a number of 0 or more`,
		`{"filter_scheduler.ram_weight_multiplier": "x"}`:                   `allowed is: a number`,
		`{"filter_scheduler.image_properties_default_architecture": "z80"}`: `allowed is: alpha, armv6`,
		`{"metrics.required": "perhaps"}`:                                   `allowed is: true or false`,
		`{"max_attempts": 1}`:                                               `option is "max_attempts", allowed is: section.option`,
		`{"scheduler.max_attempts": {}}`:                                    `option scheduler.max_attempts is map[], allowed are:`,
		`{"kilonova.lifetime_weight_multiplier": "x"}`:                      `[kilonova] lifetime_weight_multiplier is "x", allowed is: a number`,
		`{"scheduler.max_attempts": []}`:                                    `max_attempts is "", allowed is: an integer`,
	} {
		if _, err := options(t, document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", document, err, want)
		}
	}
}

// TestServiceDownTime holds that hosts may be silent for longer than the
// interval of their reports.
func TestServiceDownTime(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]time.Duration{
		`{"DEFAULT.service_down_time": 11}`:                                11 * time.Second,
		`{"DEFAULT.service_down_time": 10}`:                                25 * time.Second,
		`{"DEFAULT.service_down_time": 20, "DEFAULT.report_interval": 21}`: 52 * time.Second,
	} {
		if o, err := options(t, document); err != nil || o.ServiceDownTime != want {
			t.Errorf("%s: %v, %v; want %v", document, o.ServiceDownTime, err, want)
		}
	}
}
