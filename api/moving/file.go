package moving

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
)

// The file is JSON lines: a header, a line for each thing, parents before
// children, and an end line that counts them and has the SHA-256 of all lines
// before it. docs/operations.md shows one.
const (
	fileFormat  = "kilonova-placement"
	fileVersion = 1
	maxLine     = 64 << 20 // bytes
)

// ErrFile is what a file is that cannot be read. The error names the line.
var ErrFile = errors.New("not a readable export")

type header struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	Exported time.Time `json:"exported_at"`
}

// line is a line of the file: one of its fields is set.
type line struct {
	Class      *string       `json:"resource_class,omitempty"`
	Trait      *string       `json:"trait,omitempty"`
	Provider   *fileProvider `json:"resource_provider,omitempty"`
	Consumer   *fileConsumer `json:"consumer,omitempty"`
	Attachment *attachment   `json:"attachment,omitempty"`
	End        *end          `json:"end,omitempty"`
}

type end struct {
	Lines  int    `json:"lines"` // between header and end
	SHA256 string `json:"sha256"`
}

type attachment struct {
	Key   string `json:"key"`
	Value []byte `json:"value"` // base64
}

type fileInventory struct {
	Class    string  `json:"resource_class"`
	Total    int64   `json:"total"`
	Reserved int64   `json:"reserved"`
	MinUnit  int64   `json:"min_unit"`
	MaxUnit  int64   `json:"max_unit"`
	StepSize int64   `json:"step_size"`
	Ratio    float64 `json:"allocation_ratio"`
}

type fileProvider struct {
	UUID        placement.UUID   `json:"uuid"`
	Name        string           `json:"name"`
	Parent      *placement.UUID  `json:"parent_provider_uuid"`
	Generation  int64            `json:"generation"`
	Created     time.Time        `json:"created_at"`
	Updated     time.Time        `json:"updated_at"`
	Inventories []fileInventory  `json:"inventories,omitempty"`
	Traits      []string         `json:"traits,omitempty"`
	Aggregates  []placement.UUID `json:"aggregates,omitempty"`
}

type fileAllocation struct {
	Provider placement.UUID `json:"resource_provider"`
	Class    string         `json:"resource_class"`
	Amount   int64          `json:"used"`
}

type fileConsumer struct {
	UUID        placement.UUID   `json:"uuid"`
	Project     string           `json:"project_id"`
	User        string           `json:"user_id"`
	Type        string           `json:"consumer_type,omitempty"`
	Generation  int64            `json:"consumer_generation"`
	Created     time.Time        `json:"created_at"`
	Updated     time.Time        `json:"updated_at"`
	Allocations []fileAllocation `json:"allocations"`
}

// WriteFile writes w as JSON lines.
func WriteFile(out io.Writer, w *World, now time.Time) error {
	sum := sha256.New()
	buffered := bufio.NewWriter(out)
	enc := json.NewEncoder(io.MultiWriter(buffered, sum))
	enc.SetEscapeHTML(false)
	lines := 0
	put := func(l line) error { lines++; return enc.Encode(l) }
	if err := enc.Encode(header{fileFormat, fileVersion, now.UTC()}); err != nil {
		return err
	}
	if err := w.eachLine(put); err != nil {
		return err
	}
	if err := json.NewEncoder(buffered).Encode(line{End: &end{lines, hex.EncodeToString(sum.Sum(nil))}}); err != nil {
		return err
	}
	return buffered.Flush()
}

func (w *World) eachLine(put func(line) error) error {
	for _, name := range w.Classes {
		if err := put(line{Class: &name}); err != nil {
			return err
		}
	}
	for _, name := range w.Traits {
		if err := put(line{Trait: &name}); err != nil {
			return err
		}
	}
	for _, level := range w.byDepth() {
		for _, u := range level {
			if err := put(line{Provider: toFileProvider(w.Providers[u])}); err != nil {
				return err
			}
		}
	}
	for _, u := range sortedKeys(w.Consumers) {
		if err := put(line{Consumer: toFileConsumer(w.Consumers[u])}); err != nil {
			return err
		}
	}
	for _, a := range w.Attachments {
		if err := put(line{Attachment: &attachment{a.Key, a.Value}}); err != nil {
			return err
		}
	}
	return nil
}

func toFileProvider(p placement.ProviderRecord) *fileProvider {
	f := &fileProvider{
		UUID: p.UUID, Name: p.Name, Generation: p.Generation, Created: p.CreatedAt.UTC(), Updated: p.UpdatedAt.UTC(),
		Traits: p.Traits, Aggregates: p.Aggregates,
	}
	if !p.Parent.IsZero() {
		f.Parent = &p.Parent
	}
	for _, i := range p.Inventories {
		v := i.Inventory
		f.Inventories = append(f.Inventories, fileInventory{i.Class, v.Total, v.Reserved, v.MinUnit, v.MaxUnit, v.StepSize, v.AllocationRatio})
	}
	return f
}

func (f *fileProvider) record() placement.ProviderRecord {
	p := placement.ProviderRecord{
		Provider: placement.Provider{UUID: f.UUID, Name: f.Name, Generation: f.Generation, CreatedAt: f.Created, UpdatedAt: f.Updated},
		Traits:   f.Traits, Aggregates: f.Aggregates,
	}
	if f.Parent != nil {
		p.Parent = *f.Parent
	}
	for _, i := range f.Inventories {
		p.Inventories = append(p.Inventories, placement.InventoryRecord{Class: i.Class, Inventory: placement.Inventory{
			Total: i.Total, Reserved: i.Reserved, MinUnit: i.MinUnit, MaxUnit: i.MaxUnit, StepSize: i.StepSize, AllocationRatio: i.Ratio,
		}})
	}
	return p
}

func toFileConsumer(c placement.ConsumerRecord) *fileConsumer {
	f := &fileConsumer{
		UUID: c.UUID, Project: c.Project, User: c.User, Type: c.Type, Generation: c.Generation, Created: c.CreatedAt.UTC(), Updated: c.UpdatedAt.UTC(),
	}
	for _, a := range c.Allocations {
		f.Allocations = append(f.Allocations, fileAllocation(a))
	}
	return f
}

func (f *fileConsumer) record() placement.ConsumerRecord {
	c := placement.ConsumerRecord{Consumer: placement.Consumer{
		UUID: f.UUID, Project: f.Project, User: f.User, Type: f.Type, Generation: f.Generation, CreatedAt: f.Created, UpdatedAt: f.Updated,
	}}
	for _, a := range f.Allocations {
		c.Allocations = append(c.Allocations, placement.Allocation(a))
	}
	return c
}

// ReadFile reads what [WriteFile] wrote. Errors: [ErrFile].
func ReadFile(in io.Reader) (*World, error) {
	r := reader{sum: sha256.New(), w: NewWorld()}
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		r.n++
		if err := r.take(scan.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w: %w", r.n, err, ErrFile)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", r.n+1, err)
	}
	if !r.ended {
		return nil, fmt.Errorf("line %d: the end line is missing, the file is cut off: %w", r.n+1, ErrFile)
	}
	slices.Sort(r.w.Classes)
	slices.Sort(r.w.Traits)
	return r.w, nil
}

type reader struct {
	n     int // the line
	sum   hash.Hash
	ended bool
	w     *World
}

func (r *reader) take(text []byte) error {
	if r.ended {
		return errors.New("there is something after the end line")
	}
	if r.n == 1 {
		return r.header(text)
	}
	var l line
	if err := strict(text, &l); err != nil {
		return err
	}
	if l.End != nil {
		r.ended = true
		return r.end(l.End)
	}
	r.hash(text)
	return r.add(&l)
}

func (r *reader) hash(text []byte) {
	_, _ = r.sum.Write(text) // a hash never fails
	_, _ = r.sum.Write([]byte{'\n'})
}

func strict(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("there is more than one value in the line")
	}
	return nil
}

func (r *reader) header(text []byte) error {
	var h header
	if err := strict(text, &h); err != nil {
		return err
	}
	if h.Format != fileFormat {
		return fmt.Errorf("format is %q, allowed is %q", h.Format, fileFormat)
	}
	if h.Version != fileVersion {
		return fmt.Errorf("version is %d, this program reads %d", h.Version, fileVersion)
	}
	r.hash(text)
	return nil
}

func (r *reader) end(e *end) error {
	if e.Lines != r.n-2 {
		return fmt.Errorf("%d lines before the end, it says %d", r.n-2, e.Lines)
	}
	if sum := hex.EncodeToString(r.sum.Sum(nil)); sum != e.SHA256 {
		return fmt.Errorf("sha256 of the lines is %s, the end line says %s", sum, e.SHA256)
	}
	return nil
}

func (r *reader) add(l *line) error {
	switch {
	case l.Class != nil:
		r.w.Classes = append(r.w.Classes, *l.Class)
	case l.Trait != nil:
		r.w.Traits = append(r.w.Traits, *l.Trait)
	case l.Attachment != nil:
		r.w.Attachments = append(r.w.Attachments, placement.Attachment(*l.Attachment))
	case l.Provider != nil:
		if _, twice := r.w.Providers[l.Provider.UUID]; twice {
			return fmt.Errorf("resource_provider %s is there twice", l.Provider.UUID)
		}
		r.w.addProvider(l.Provider.record())
	case l.Consumer != nil:
		if _, twice := r.w.Consumers[l.Consumer.UUID]; twice {
			return fmt.Errorf("consumer %s is there twice", l.Consumer.UUID)
		}
		r.w.addConsumer(l.Consumer.record())
	default:
		return errors.New("it has none of: resource_class, trait, resource_provider, consumer, attachment, end")
	}
	return nil
}
