package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Document is a request for hosts.
type Document struct {
	Hosts  []*scheduler.HostState
	Spec   *scheduler.RequestSpec
	Config map[string]any // by section.option: texts, [json.Number], booleans, or lists of them
	Seed   uint64         // of what is drawn at random
}

// Now is the time at which documents are read.
var Now = time.Unix(1_000_000_000, 0).UTC()

// Read reads a document. It returns a [*KeyError], or an error that says
// where the text is not JSON.
func Read(text []byte) (*Document, error) {
	if err := wellFormed(text); err != nil {
		return nil, err
	}
	var err error
	o := open(text, "", &err)
	d := &Document{Spec: &scheduler.RequestSpec{}}
	o.each("hosts", func(path string, raw json.RawMessage) {
		d.Hosts = append(d.Hosts, readHost(open(raw, path, &err)))
	})
	if raw := o.take("spec"); raw != nil {
		d.Spec = readSpec(open(raw, "spec", &err))
	} else {
		refuse(&err, "spec", []byte("absent"), "an object")
	}
	if config := o.object("config"); config != nil {
		d.Config = map[string]any{}
		config.rest(func(key, path string, raw json.RawMessage) { d.Config[key] = readOption(&err, path, raw) })
	}
	o.into("seed", &d.Seed, "an integer of 0 or more")
	o.done("hosts, spec, config, seed")
	if err != nil {
		return nil, err
	}
	return d, nil
}

func wellFormed(text []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(text, &v)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("the document is no JSON, at byte %d: %w", syntax.Offset, err)
	}
	return err
}

// readOption reads the value of an option of nova.conf.
func readOption(err *error, path string, raw json.RawMessage) any {
	v := decode(raw)
	switch v := v.(type) {
	case map[string]any:
		refuse(err, path, raw, "a text, a number, true, false, or a list of them")
	case []any:
		for _, item := range v {
			switch item.(type) {
			case map[string]any, []any, nil:
				refuse(err, path, raw, "a text, a number, true, false, or a list of them")
			}
		}
	}
	return v
}
