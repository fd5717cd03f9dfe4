package placementapi

import (
	"encoding/json"
	"net/http"

	"github.com/kilonova-cloud/kilonova/placement"
)

type explainedStage struct {
	Condition string `json:"condition"`
	Left      int    `json:"left"`
}

type explainedGroup struct {
	Suffix string             `json:"suffix"`
	Chains [][]explainedStage `json:"chains"`
}

// explainCandidates is GET /_explain/allocation_candidates, a route of our
// own: how many providers each condition of the same query leaves.
func (c *call) explainCandidates() error {
	if err := c.checkQuery(pick(schemasQuery, c.version.Minor)); err != nil {
		return err
	}
	req, err := c.candidateRequest()
	if err != nil {
		return err
	}
	x, err := c.s.engine.Explain(c.r.Context(), req)
	if err != nil {
		return candidatesError(err)
	}
	answer := struct {
		Providers int              `json:"resource_providers"`
		Groups    []explainedGroup `json:"groups"`
		Trees     []explainedStage `json:"trees"`
	}{x.Providers, nil, explained(x.Trees)}
	for _, g := range x.Groups {
		out := explainedGroup{Suffix: g.Suffix}
		for _, chain := range g.Chains {
			out.Chains = append(out.Chains, explained(chain))
		}
		answer.Groups = append(answer.Groups, out)
	}
	if c.out, err = json.Marshal(answer); err != nil {
		return err
	}
	return c.send(http.StatusOK)
}

func explained(stages []placement.Stage) []explainedStage {
	out := make([]explainedStage, 0, len(stages))
	for _, s := range stages {
		out = append(out, explainedStage(s))
	}
	return out
}
