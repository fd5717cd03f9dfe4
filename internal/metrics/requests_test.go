package metrics

import (
	"strings"
	"testing"
	"time"
)

func TestRequests(t *testing.T) {
	t.Parallel()
	r := NewRequests("p")
	r.Observe("/a", "GET", 200, time.Millisecond)
	r.Observe("/a", "GET", 200, 3*time.Millisecond)
	r.Observe("/a", "BREW", 405, time.Minute)
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`p_requests_total{route="/a",method="GET",status="200"} 2`,
		`p_requests_total{route="/a",method="other",status="405"} 1`,
		`p_request_duration_seconds_bucket{route="/a",le="0.001"} 1`,
		`p_request_duration_seconds_bucket{route="/a",le="0.005"} 2`,
		`p_request_duration_seconds_bucket{route="/a",le="+Inf"} 3`,
		`p_request_duration_seconds_sum{route="/a"} 60.004`,
		`p_request_duration_seconds_count{route="/a"} 3`,
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("missing %s in\n%s", want, b.String())
		}
	}
}
