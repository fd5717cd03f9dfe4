package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// asProgram makes the test binary the program itself, so that a test can kill
// it as the system does.
const asProgram = "KILONOVA_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// scaled chooses by how long tests may take.
func scaled(short, normal, soak int) int {
	switch {
	case os.Getenv("KILONOVA_SOAK") == "1":
		return soak
	case testing.Short():
		return short
	}
	return normal
}

// process is a placement-api in a process of its own.
type process struct {
	cmd *exec.Cmd
	url string
}

// startProcess returns once the server listens.
func startProcess(t *testing.T, state string) *process {
	t.Helper()
	return startConnected(t, "badger://"+state)
}

// startConnected starts a server on a database.
func startConnected(t *testing.T, connection string, more ...string) *process {
	t.Helper()
	args := []string{"placement-api", "--auth-strategy", "noauth2", "--listen", "127.0.0.1:0", "--access-log=false", "--connection", connection}
	cmd := exec.CommandContext(t.Context(), os.Args[0], append(args, more...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(p.kill)
	at := regexp.MustCompile(`listening on (\S+)$`)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := at.FindStringSubmatch(lines.Text()); m != nil {
			p.url = "http://" + m[1]
			go func() { _, _ = io.Copy(io.Discard, stderr) }() // ends with the process
			return p
		}
	}
	t.Fatalf("%s ended without listening: %v", cmd, lines.Err())
	return nil
}

// kill is kill -9; it may be called twice.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// client has one connection to a server.
type client struct {
	url  string
	http *http.Client
}

func (p *process) client() *client {
	return &client{p.url, &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 5 * time.Minute}}
}

// call makes a request with a JSON body, nil for none, and decodes the answer
// into answer, unless that is nil.
func (c *client) call(method, path string, body, answer any) (status int, err error) {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, c.url+path, in)
	if err != nil {
		return 0, err
	}
	r.Header = http.Header{"X-Auth-Token": {"admin"}, "Openstack-Api-Version": {"placement 1.39"}, "Content-Type": {"application/json"}}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = &refused{fmt.Sprintf("%s %s: %d %.500s", method, path, resp.StatusCode, text)}
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(text, answer)
	}
	return resp.StatusCode, err
}

// refused is an answer that is no success.
type refused struct{ text string }

func (e *refused) Error() string { return e.text }

type object = map[string]any

// provider makes a resource provider with one inventory a class.
func (c *client) provider(uuid, parent string, totals map[string]int) error {
	body := object{"uuid": uuid, "name": uuid}
	if parent != "" {
		body["parent_provider_uuid"] = parent
	}
	if _, err := c.call(http.MethodPost, "/resource_providers", body, nil); err != nil {
		return err
	}
	if len(totals) == 0 {
		return nil
	}
	inv := object{}
	for class, total := range totals {
		inv[class] = object{"total": total}
	}
	_, err := c.call(http.MethodPut, "/resource_providers/"+uuid+"/inventories", object{"resource_provider_generation": 0, "inventories": inv}, nil)
	return err
}
