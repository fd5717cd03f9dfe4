package filter

import (
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// query evaluates the hint of this name, an expression in JSON such as
// ["and", [">=", "$free_ram_mb", 1024], ["=", "$hypervisor_type", "QEMU"]].
//
// Source: nova, scheduler/filters/json_filter.py, JsonFilter.
type query struct {
	base
	queries memo[string, pyvalue.Value]
}

func newQuery(*scheduler.Options) (scheduler.Filter, error) {
	return &query{base: base{
		"JsonFilter", scheduler.ReadsAllocations | scheduler.ReadsInstances | scheduler.ReadsHost | scheduler.ReadsAggregates | scheduler.ReadsRequest,
	}}, nil
}

// Scope leaves out requests without a query.
func (*query) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(hint(s, "query") != nil, 0)
}

// Pass evaluates the query. A list, which only not returns, passes if one of
// its elements is true.
func (f *query) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	texts := hint(r.Spec, "query")
	if texts == nil {
		return scheduler.Reason{}, nil
	}
	if len(texts) > 1 {
		return scheduler.Reason{}, cannot("hint query is %q, allowed is: one text", texts)
	}
	q, err := f.queries.read(texts[0], pyvalue.ParseJSON)
	if err != nil {
		return scheduler.Reason{}, cannot("hint query %s: %w", texts[0], err)
	}
	v, err := evaluate(q, h)
	if err != nil {
		return scheduler.Reason{}, cannot("host %s, hint query %s: %w", h.Host, texts[0], err)
	}
	if !anyTrue(v) {
		return scheduler.Reason{Why: "hint query %a is not true of the host", Asked: texts[0]}, nil
	}
	return scheduler.Reason{}, nil
}

func anyTrue(v pyvalue.Value) bool {
	if v.Kind() != pyvalue.KindList {
		return v.True()
	}
	for _, item := range v.List() {
		if item.True() {
			return true
		}
	}
	return false
}

// evaluate returns the value of a list of a command and its arguments. A text
// is such a list too, of its letters.
func evaluate(q pyvalue.Value, h *scheduler.HostState) (pyvalue.Value, error) {
	if !q.True() {
		return pyvalue.OfBool(true), nil
	}
	items := q.List()
	if text, ok := q.Text(); ok {
		items = letters(text)
	}
	if len(items) == 0 {
		return pyvalue.Value{}, cannot("%s is no list", q)
	}
	command, ok := items[0].Text()
	if !ok {
		return pyvalue.Value{}, cannot("%s is no command", items[0])
	}
	c := call{command: command}
	if err := c.check(); err != nil {
		return pyvalue.Value{}, err
	}
	for _, item := range items[1:] {
		arg, err := argument(item, h)
		if err == nil && !arg.IsNone() {
			err = c.take(arg)
		}
		if err != nil {
			return pyvalue.Value{}, err
		}
	}
	return c.result(), nil
}

func letters(text string) []pyvalue.Value {
	var list []pyvalue.Value
	for _, r := range text {
		list = append(list, pyvalue.OfText(string(r)))
	}
	return list
}

// argument returns the value of an argument. None is left out by the caller.
func argument(item pyvalue.Value, h *scheduler.HostState) (pyvalue.Value, error) {
	if item.Kind() == pyvalue.KindList {
		return evaluate(item, h)
	}
	text, ok := item.Text()
	switch {
	case !ok:
		return item, nil
	case text == "":
		return pyvalue.Value{}, nil
	case text[0] == '$':
		return variable(text[1:], h)
	default:
		return item, nil
	}
}

// call is a command that takes its arguments one after the other.
type call struct {
	command string
	n       int           // arguments so far
	first   pyvalue.Value // of them
	failed  bool          // some argument is not in the relation to the first, or not true
	found   bool          // some argument equals the first, or is true
	flipped []pyvalue.Value
}

func (c *call) check() error {
	switch c.command {
	case "=", "<", ">", "<=", ">=", "in", "and", "or", "not":
		return nil
	default:
		return cannot("%q is no command", c.command)
	}
}

func (c *call) take(arg pyvalue.Value) error {
	c.n++
	switch c.command {
	case "and", "or":
		c.note(arg.True())
	case "not":
		c.flipped = append(c.flipped, pyvalue.OfBool(!arg.True()))
	default:
		if c.n == 1 {
			c.first = arg
			return nil
		}
		return c.compare(arg)
	}
	return nil
}

func (c *call) note(holds bool) {
	c.failed = c.failed || !holds
	c.found = c.found || holds
}

func (c *call) compare(arg pyvalue.Value) error {
	switch c.command {
	case "in":
		c.note(pyvalue.Same(c.first, arg))
	case "=":
		c.note(pyvalue.Equal(c.first, arg))
	default:
		order, ordered, err := pyvalue.Compare(c.first, arg)
		if err != nil {
			return err
		}
		c.note(ordered && pyvalue.Ordered(c.command, order))
	}
	return nil
}

func (c *call) result() pyvalue.Value {
	switch c.command {
	case "not":
		return pyvalue.OfList(c.flipped)
	case "or":
		return pyvalue.OfBool(c.found)
	case "and":
		return pyvalue.OfBool(!c.failed)
	case "in":
		return pyvalue.OfBool(c.n > 1 && c.found)
	default:
		return pyvalue.OfBool(c.n > 1 && !c.failed)
	}
}

// variable returns an attribute of the host, or what its dictionary has under
// further names behind dots. What is not there is None.
func variable(path string, h *scheduler.HostState) (pyvalue.Value, error) {
	name, rest, more := strings.Cut(path, ".")
	doc := document(h, name)
	if doc == nil {
		v, _ := attribute(h, name)
		switch {
		case !more || v.IsNone():
			return v, nil
		case name == "instances":
			return memberOf(h, rest), nil
		case name == "service":
			return serviceField(h, rest), nil
		case v.Kind() == pyvalue.KindDict:
			return pyvalue.Value{}, nil
		default:
			return pyvalue.Value{}, cannot("$%s is no dictionary", name)
		}
	}
	for more {
		at, ok := doc.(map[string]any)
		if !ok {
			return pyvalue.Value{}, cannot("%s in $%s belongs to no dictionary", rest, path)
		}
		name, rest, more = strings.Cut(rest, ".")
		if doc = at[name]; doc == nil {
			return pyvalue.Value{}, nil
		}
	}
	return pyvalue.OfDecoded(doc), nil
}

// serviceField returns a field of the host's compute service.
func serviceField(h *scheduler.HostState, name string) pyvalue.Value {
	switch name {
	case "disabled":
		return pyvalue.OfBool(h.Service.Disabled)
	case "forced_down":
		return pyvalue.OfBool(h.Service.ForcedDown)
	case "host":
		return pyvalue.OfText(h.Host)
	case "binary":
		return pyvalue.OfText("nova-compute")
	case "topic":
		return pyvalue.OfText("compute")
	default:
		return pyvalue.Value{}
	}
}
