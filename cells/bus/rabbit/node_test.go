//go:build integration

package rabbit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// node is a RabbitMQ node on loopback, of a test's own, with the vhosts cell1
// to cell4 and the user kilonova.
type node struct {
	dir        string
	port, dist int
	env        []string
}

const (
	nodeBin      = "/usr/lib/rabbitmq/bin/"
	nodeUser     = "kilonova"
	nodePassword = "se,cr@t/%"
)

// newNode starts a node, which ends with the test. Its configuration has conf
// as well.
func newNode(t testing.TB, conf ...string) *node {
	t.Helper()
	if _, err := os.Stat(nodeBin + "rabbitmq-server"); err != nil {
		t.Skip("needs rabbitmq-server")
	}
	dir := t.TempDir()
	ports := freePorts(t, 3)
	n := &node{dir: dir, port: ports[0], dist: ports[1]}
	epmd := exec.Command("epmd", "-port", strconv.Itoa(ports[2]), "-address", "127.0.0.1", "-relaxed_command_check")
	if err := epmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.signal(t, syscall.SIGKILL)
		n.gone(t)
		_ = epmd.Process.Kill()
		_ = epmd.Wait()
	})
	hash := sha256.Sum256([]byte("salt" + nodePassword))
	user := fmt.Sprintf(`"name":%q,"password_hash":%q,"hashing_algorithm":"rabbit_password_hashing_sha256","tags":""`,
		nodeUser, base64.StdEncoding.EncodeToString(append([]byte("salt"), hash[:]...)))
	vhosts, permissions := `{"name":"/"}`, fmt.Sprintf(`{"user":%q,"vhost":"cell1","configure":"^kn\\..*","write":"^(kn\\..*|amq\\.default)$","read":"^kn\\..*"}`, nodeUser)
	for _, vhost := range []string{"cell1", "cell2", "cell3", "cell4"} {
		vhosts += fmt.Sprintf(`,{"name":%q}`, vhost)
		if vhost != "cell1" {
			permissions += fmt.Sprintf(`,{"user":%q,"vhost":%q,"configure":".*","write":".*","read":".*"}`, nodeUser, vhost)
		}
	}
	n.write(t, "definitions.json", fmt.Sprintf(`{"vhosts":[%s],"users":[{%s}],"permissions":[%s]}`, vhosts, user, permissions))
	n.write(t, "rabbitmq.conf", fmt.Sprintf(
		"listeners.tcp.default = 127.0.0.1:%d\nload_definitions = %s/definitions.json\nvm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n%s\n", n.port, dir, strings.Join(conf, "\n")))
	n.write(t, "plugins", "[].")
	n.write(t, ".erlang.cookie", "KILONOVATESTS")
	if err := os.Chmod(filepath.Join(dir, ".erlang.cookie"), 0o400); err != nil {
		t.Fatal(err)
	}
	n.env = append(os.Environ(), "HOME="+dir, fmt.Sprintf("ERL_EPMD_PORT=%d", ports[2]), "ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=kn-%d@localhost", n.port), "RABBITMQ_MNESIA_BASE="+dir+"/db", "RABBITMQ_LOG_BASE="+dir+"/log",
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", n.dist), "RABBITMQ_CONF_ENV_FILE="+dir+"/none", "RABBITMQ_CONFIG_FILE="+dir+"/rabbitmq",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+dir+"/plugins", "RABBITMQ_PID_FILE="+dir+"/pid",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}")
	n.start(t)
	return n
}

func freePorts(t testing.TB, count int) (ports []int) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (n *node) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts the node and waits until it is up.
func (n *node) start(t testing.TB) {
	t.Helper()
	_ = os.Remove(n.dir + "/pid")
	log, err := os.OpenFile(n.dir+"/stdout", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server := exec.Command(nodeBin + "rabbitmq-server")
	server.Env, server.Stdout, server.Stderr = n.env, log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	go server.Wait() // no zombie
	for range 1200 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n.port))
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(n.dir + "/stdout")
	t.Fatalf("the node does not start: %s", text)
}

func (n *node) pid() int {
	text, _ := os.ReadFile(n.dir + "/pid")
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

func (n *node) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if pid := n.pid(); pid > 1 {
		if err := syscall.Kill(pid, s); err != nil && err != syscall.ESRCH {
			t.Errorf("signal %v: %v", s, err)
		}
	}
}

// gone waits until the node is no more.
func (n *node) gone(t testing.TB) {
	t.Helper()
	for range 400 {
		if pid := n.pid(); pid <= 1 || syscall.Kill(pid, 0) == syscall.ESRCH {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Error("the node does not end")
}

// ctl is rabbitmqctl; it returns what that prints.
func (n *node) ctl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(nodeBin+"rabbitmqctl", append([]string{"-q"}, args...)...)
	cmd.Env = n.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("rabbitmqctl %q: %v: %s", args, err, bytes.TrimSpace(out))
	}
	return string(out)
}

// url is that of a cell; the first of its hosts does not answer.
func (n *node) url(cell string) string {
	login := nodeUser + ":" + escape(nodePassword)
	return fmt.Sprintf("rabbit://%s@127.0.0.1:1,%s@127.0.0.1:%d/%s", login, login, n.port, cell)
}

func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, "%%%02X", text[i])
	}
	return b.String()
}
