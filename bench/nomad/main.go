// Command nomad measures Nomad's scheduler, in process, as a peer of
// kilonova bench scheduler: called with numbers of nodes, it prints a line of
// JSON for each.
//
// It is a module of its own, so that nothing else needs Nomad (which has a
// licence of its own, BUSL-1.1). A decision is one evaluation of a service job
// with one allocation, from a snapshot of the state to the plan applied to it;
// registering the job is not measured.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-version"
	"github.com/hashicorp/nomad/nomad/mock"
	"github.com/hashicorp/nomad/nomad/state"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/scheduler"
)

const decisions = 301

func main() {
	for _, arg := range os.Args[1:] {
		nodes, err := strconv.Atoi(arg)
		if err == nil {
			err = measure(nodes)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "nomad: %s nodes: %v\n", arg, err)
			os.Exit(1)
		}
	}
}

// measure prints the median processor time of an evaluation.
func measure(nodes int) error {
	c, err := newCluster(nodes)
	if err != nil {
		return err
	}
	taken := make([]time.Duration, decisions)
	for n := range taken {
		eval, err := c.register()
		if err != nil {
			return err
		}
		snapshot, err := c.state.Snapshot()
		if err != nil {
			return err
		}
		events := make(chan any, 8)
		begun := cpuTime()
		err = scheduler.NewServiceScheduler(hclog.NewNullLogger(), events, snapshot, c).Process(eval)
		if taken[n] = cpuTime() - begun; err != nil {
			return err
		}
		if c.placed != n+1 {
			return fmt.Errorf("%d allocations were placed, want %d", c.placed, n+1)
		}
	}
	slices.Sort(taken)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"peer": "nomad", "hosts": nodes, "decisions": decisions, "cpu_us": float64(taken[decisions/2].Nanoseconds()) / 1e3,
	})
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cluster is a state of Nomad, and the planner that applies plans to it.
type cluster struct {
	state  *state.StateStore
	index  uint64
	placed int
}

func newCluster(nodes int) (*cluster, error) {
	s, err := state.NewStateStore(&state.StateStoreConfig{
		Logger: hclog.NewNullLogger(), Region: "global", JobTrackedVersions: structs.JobDefaultTrackedVersions,
	})
	if err != nil {
		return nil, err
	}
	c := &cluster{state: s}
	for n := range nodes {
		node := mock.Node()
		node.Name = "host" + strconv.Itoa(n)
		node.NodeResources.Memory.MemoryMB = 4 << 20
		node.NodeResources.Disk.DiskMB = 1 << 30
		if err := node.ComputeClass(); err != nil {
			return nil, err
		}
		if err := s.UpsertNode(structs.MsgTypeTestSetup, c.next(), node); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cluster) next() uint64 {
	c.index++
	return c.index
}

// register adds a service job of one allocation, and asks for its evaluation.
func (c *cluster) register() (*structs.Evaluation, error) {
	job := mock.Job()
	group := job.TaskGroups[0]
	group.Count, group.Networks, group.Services = 1, nil, nil
	group.Tasks[0].Services = nil
	group.Tasks[0].Resources = &structs.Resources{CPU: 10, MemoryMB: 512}
	if err := c.state.UpsertJob(structs.MsgTypeTestSetup, c.next(), nil, job); err != nil {
		return nil, err
	}
	eval := mock.Eval()
	eval.JobID, eval.Namespace, eval.Priority, eval.Type = job.ID, job.Namespace, job.Priority, job.Type
	eval.TriggeredBy = structs.EvalTriggerJobRegister
	return eval, c.state.UpsertEvals(structs.MsgTypeTestSetup, c.next(), []*structs.Evaluation{eval})
}

// SubmitPlan applies a plan to the state.
func (c *cluster) SubmitPlan(plan *structs.Plan) (*structs.PlanResult, scheduler.State, error) {
	index := c.next()
	result := &structs.PlanResult{
		NodeUpdate: plan.NodeUpdate, NodeAllocation: plan.NodeAllocation, NodePreemptions: plan.NodePreemptions,
		Deployment: plan.Deployment, DeploymentUpdates: plan.DeploymentUpdates, AllocIndex: index,
	}
	request := structs.ApplyPlanResultsRequest{
		AllocUpdateRequest: structs.AllocUpdateRequest{Job: plan.Job},
		Deployment:         plan.Deployment, DeploymentUpdates: plan.DeploymentUpdates, EvalID: plan.EvalID,
	}
	for _, allocs := range plan.NodeAllocation {
		request.AllocsUpdated = append(request.AllocsUpdated, allocs...)
		c.placed += len(allocs)
	}
	return result, nil, c.state.UpsertPlanResults(structs.MsgTypeTestSetup, index, &request)
}

// UpdateEval takes note of nothing.
func (c *cluster) UpdateEval(*structs.Evaluation) error { return nil }

// CreateEval refuses: what was asked for is not all placed.
func (c *cluster) CreateEval(*structs.Evaluation) error {
	return errors.New("an evaluation is left to do")
}

// ReblockEval refuses, for the same reason.
func (c *cluster) ReblockEval(*structs.Evaluation) error {
	return errors.New("an evaluation is blocked")
}

// ServersMeetMinimumVersion says yes.
func (c *cluster) ServersMeetMinimumVersion(*version.Version, bool) bool { return true }
