package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/document"
	"github.com/kilonova-cloud/kilonova/scheduler/drain"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
)

func newPlanDrain() *cobra.Command {
	var input, format string
	var moves int
	cmd := &cobra.Command{
		Use:   "drain --input FILE --moves N",
		Short: "Say which instances to move so that the most hosts become empty",
		Long: `Reads hosts, their instances and server groups from a JSON document, and plans at most
so many moves. Nothing is moved. docs/scheduling.md describes the document.

Exits 0 with a plan, also when it is to move nothing; 2 when the document cannot be read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			text, err := readInput(input, cmd.InOrStdin())
			if err != nil {
				return failed(fmt.Errorf("read --input: %w", err))
			}
			plan, err := planDrain(text, moves)
			if err != nil {
				return fmt.Errorf("--input %s: %w", input, err)
			}
			return failed(show(cmd.OutOrStdout(), format, plan, drainRows(plan)))
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "file of the document; - is standard input")
	cmd.Flags().IntVar(&moves, "moves", 0, "how many instances may move")
	addFormat(cmd, &format)
	_ = cmd.MarkFlagRequired("input") // is defined above
	_ = cmd.MarkFlagRequired("moves")
	return cmd
}

func readInput(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

func planDrain(text []byte, moves int) (*drain.Plan, error) {
	d, err := document.ReadDrain(text)
	if err != nil {
		return nil, err
	}
	groups, err := drainGroups(d.Groups)
	if err != nil {
		return nil, err
	}
	r := drain.Request{Budget: moves, Units: [drain.Amounts]string{"vCPU", "MiB of memory", "MiB of disk"}}
	for _, h := range d.Hosts {
		host := drain.Host{Name: h.Host, Free: pack.RoomOf(h).Free, Closed: h.Service.Disabled || h.Service.ForcedDown}
		for _, uuid := range slices.Sorted(maps.Keys(h.Instances)) {
			in := d.Instances[uuid]
			host.Instances = append(host.Instances, drain.Instance{
				Name: uuid, Need: pack.DemandOf(&in.Flavor).Need, Fixed: in.Fixed, Group: groups[uuid],
			})
		}
		r.Hosts = append(r.Hosts, host)
	}
	return drain.Make(&r)
}

// drainGroups returns the group of each member. Soft policies bind nobody.
func drainGroups(groups []*scheduler.Group) (map[string]*drain.Group, error) {
	of := map[string]*drain.Group{}
	for i, g := range groups {
		group := &drain.Group{Name: g.UUID, Together: g.Policy == scheduler.Affinity, MaxPerHost: 1}
		if g.MaxServerPerHost != nil {
			group.MaxPerHost = int(*g.MaxServerPerHost)
		}
		switch g.Policy {
		case scheduler.Affinity, scheduler.AntiAffinity:
		case scheduler.SoftAffinity, scheduler.SoftAntiAffinity:
			continue
		default:
			return nil, fmt.Errorf("instance_groups[%d].policy is %q, allowed are: affinity, anti-affinity, soft-affinity, soft-anti-affinity", i, g.Policy)
		}
		for _, uuid := range g.Members {
			if of[uuid] != nil {
				return nil, fmt.Errorf("instance_groups[%d].members has %s, allowed is: an instance of no other group", i, uuid)
			}
			of[uuid] = group
		}
	}
	return of, nil
}

func drainRows(p *drain.Plan) []bench.Row {
	rows := []bench.Row{{Name: "frees", Value: fmt.Sprintf("%d hosts with %d moves: %s", len(p.Freed), len(p.Moves), strings.Join(p.Freed, ", "))}}
	if len(p.Freed) == 0 {
		rows[0].Value = "no host"
	}
	for _, m := range p.Moves {
		rows = append(rows, bench.Row{Name: "move " + m.Instance, Value: "from " + m.From + " to " + m.To})
	}
	for _, k := range p.Kept {
		rows = append(rows, bench.Row{Name: "keep " + k.Host, Value: k.Why})
	}
	best := "no plan of this kind frees more"
	if !p.Best {
		best = "others may free more: the search ended early"
	}
	return append(rows, bench.Row{Name: "best", Value: best})
}
