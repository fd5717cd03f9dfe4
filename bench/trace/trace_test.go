package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestOpenB(t *testing.T) {
	t.Parallel()
	nodes, err := OpenBNodes()
	if err != nil {
		t.Fatal(err)
	}
	var gpus int
	var cpu, mem int64
	for _, n := range nodes {
		gpus, cpu, mem = gpus+n.GPUs, cpu+n.CPUMilli, mem+n.MemoryMiB
	}
	if len(nodes) != 1523 || gpus != 6212 || cpu != 125_514_000 || mem != 612_028_416 {
		t.Errorf("got %d nodes, %d GPUs, %d milli CPU, %d MiB", len(nodes), gpus, cpu, mem)
	}
	want := map[string]int{"default": 8152, "gpuspec33": 8152, "multigpu50": 9061, "gpushare40": 8152, "cpu250": 9420}
	for _, variant := range Variants() {
		tasks, err := OpenBTasks(variant)
		if err != nil || len(tasks) != want[variant] {
			t.Errorf("%s: got %d tasks and %v, want %d", variant, len(tasks), err, want[variant])
		}
	}
	if _, err := OpenBTasks("best"); err == nil || !strings.Contains(err.Error(), `variant is "best", allowed are: default,`) {
		t.Errorf("unknown variant: %v", err)
	}
}

func TestHuaweiNUMA(t *testing.T) {
	t.Parallel()
	hosts, err := NUMAHosts()
	if err != nil {
		t.Fatal(err)
	}
	var all Cell
	racks := map[int]bool{}
	for _, h := range hosts {
		racks[h.Rack] = true
		for _, c := range h.Cells {
			all = Cell{all.VCPUs + c.VCPUs, all.GiB + c.GiB}
		}
	}
	if len(hosts) != 1710 || all != (Cell{141_856, 262_504}) || len(racks) != 100 {
		t.Errorf("got %d hosts in %d racks with %+v", len(hosts), len(racks), all)
	}
	want := map[string][]int{ // by rule
		"C1": {2763, 530, 532, 1173}, "C2": {2547, 606, 758, 1087}, "C3": {2605, 622, 667, 1104},
		"C4": {2113, 639, 790, 1456}, "C5": {2345, 568, 643, 1442},
	}
	for _, sequence := range NUMASequences() {
		requests, err := NUMARequests(sequence)
		got := make([]int, 4)
		for _, q := range requests {
			got[q.Rule]++
		}
		if err != nil || !reflect.DeepEqual(got, want[sequence]) {
			t.Errorf("%s: got %v and %v, want %v", sequence, got, err, want[sequence])
		}
	}
	if _, err := NUMARequests("C6"); err == nil || !strings.Contains(err.Error(), `sequence is "C6", allowed are: C1, C2`) {
		t.Errorf("unknown sequence: %v", err)
	}
}

func TestReadNUMARequests(t *testing.T) {
	t.Parallel()
	in := "flavor_vcpus,flavor_ram,numa,strategy,group,domain\n8,16,2,fault_domain,3,1\n4,8,1,anti-affinity,2,\n2,8,1,,,\n"
	got, err := ReadNUMARequests("n.csv", strings.NewReader(in))
	want := []NUMARequest{
		{Part: Cell{4, 8}, Cells: 2, Rule: FaultDomain, Group: 3, Domain: 1},
		{Part: Cell{4, 8}, Cells: 1, Rule: AntiAffinity, Group: 2},
		{Part: Cell{2, 8}, Cells: 1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	for line, want := range map[string]string{
		"3,4,2,,,":               `column flavor_vcpus is "3", allowed is: a multiple of 2`,
		"2,4,3,,,":               `column numa is "3", allowed is: a whole number from 1 to 2`,
		"2,4,1,near,1,":          `column strategy is "near", allowed is: affinity, anti-affinity, fault_domain, or empty`,
		"2,4,1,affinity,,":       `column group is ""`,
		"2,4,1,fault_domain,1,x": `column domain is "x"`,
	} {
		_, err := ReadNUMARequests("n.csv", strings.NewReader("flavor_vcpus,flavor_ram,numa,strategy,group,domain\n"+line+"\n"))
		if err == nil || !strings.Contains(err.Error(), "n.csv: line 2: "+want) {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}

func TestReadTasks(t *testing.T) {
	t.Parallel()
	in := "num_gpu,gpu_milli,gpu_spec,name,cpu_milli,memory_mib,qos\n" +
		"2,1000,T4|A10|T4,a,4000,0,LS\n" +
		"0,0,,b,1000,2048,BE\n"
	want := []Task{
		{Name: "a", CPUMilli: 4000, GPUs: 2, GPUMilli: 1000, Models: []string{"A10", "T4"}},
		{Name: "b", CPUMilli: 1000, MemoryMiB: 2048},
	}
	for name, r := range map[string]io.Reader{"plain": strings.NewReader(in), "gzip": zipped(t, in)} {
		got, err := ReadTasks("t.csv", r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v and %v, want %v", name, got, err, want)
		}
	}
}

func TestReadVMs(t *testing.T) {
	t.Parallel()
	got, err := ReadVMs("v.csv", strings.NewReader("vmid,cpu,mem,at,lt\nx,1.1,0.0001e1,0.5,3600\ny,2,1.0001,7,0\n"))
	want := []VM{
		{Name: "x", Line: 2, CPUMilli: 1100, MemMilli: 1, Arrival: 500_000, Lifetime: 3600e6},
		{Name: "y", Line: 3, CPUMilli: 2000, MemMilli: 1001, Arrival: 7e6},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	nodes := func(r io.Reader) error { _, err := ReadNodes("f", r); return err }
	tasks := func(r io.Reader) error { _, err := ReadTasks("f", r); return err }
	vms := func(r io.Reader) error { _, err := ReadVMs("f", r); return err }
	const nodeHeader, taskHeader = "sn,cpu_milli,memory_mib,gpu,model\n", "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
	for _, c := range []struct {
		read func(io.Reader) error
		in   string
		want string
	}{
		{nodes, "", `f: line 1: column header is "", allowed is: sn,cpu_milli,memory_mib,gpu,model`},
		{nodes, "sn,gpu\n", `f: line 1: column header is "sn,gpu", allowed is: a header with the columns sn,cpu_milli,memory_mib,gpu,model`},
		{nodes, nodeHeader, `f: line 2: column line is "", allowed is: at least one line after the header`},
		{nodes, nodeHeader + "a,0,1,0,\n", `f: line 2: column cpu_milli is "0", allowed is: a whole number from 1 to 2147483647`},
		{nodes, nodeHeader + "a,1,1,0,\nb,1,1,65,T4\n", `f: line 3: column gpu is "65", allowed is: a whole number from 0 to 64`},
		{nodes, nodeHeader + "a,1,1,0,\na,1,1,0,\n", `f: line 3: column sn is "a", allowed is: a name that no other line has`},
		{nodes, nodeHeader + "a,1,1,1,\n", `f: line 2: column model is "", allowed is: letters, digits and _ with GPUs, empty without`},
		{nodes, nodeHeader + "a,1,1,0,T4\n", `f: line 2: column model is "T4", allowed is: letters, digits and _ with GPUs, empty without`},
		{tasks, taskHeader + "a,x,1,0,0,\n", `f: line 2: column cpu_milli is "x", allowed is: a whole number from 0 to 2147483647`},
		{tasks, taskHeader + "a,1,1,2,500,\n", `f: line 2: column gpu_milli is "500", allowed is: a whole number from 1000 to 1000`},
		{tasks, taskHeader + "a,1,1,1,1001,\n", `f: line 2: column gpu_milli is "1001", allowed is: a whole number from 1 to 1000`},
		{tasks, taskHeader + "a,1,1,1,1,T4||P100\n", `f: line 2: column gpu_spec is "T4||P100", allowed is: GPU models joined by |, and empty without GPUs`},
		{tasks, taskHeader + "a,0,0,0,0,\n", `f: line 2: column cpu_milli is "0", allowed is: at least one resource above 0 in a line`},
		{tasks, taskHeader + "a,1,1\n", `read f: record on line 2: wrong number of fields`},
		{vms, "vmid,cpu,mem,at,lt\na,1,1,0,-1\n", `f: line 2: column lt is "-1", allowed is: a number from 0 to 100000000000`},
		{vms, "vmid,cpu,mem,at,lt\na,NaN,1,0,1\n", `f: line 2: column cpu is "NaN", allowed is: a number from 0.001 to 2147483`},
	} {
		err := c.read(strings.NewReader(c.in))
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.in, err, c.want)
		}
	}
}

func TestDamagedGzip(t *testing.T) {
	t.Parallel()
	whole, err := io.ReadAll(zipped(t, "vmid,cpu,mem,at,lt\na,1,1,0,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ReadVMs("v.csv.gz", bytes.NewReader(whole[:len(whole)-6]))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "v.csv.gz") {
		t.Errorf("got %v", err)
	}
}

func zipped(t *testing.T, s string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return &b
}

func FuzzRead(f *testing.F) {
	f.Add("sn,cpu_milli,memory_mib,gpu,model\na,1000,2048,2,T4\n")
	f.Add("name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\na,1,2,1,300,T4|A10\n")
	f.Add("vmid,cpu,mem,at,lt\na,1.5,2,0,1e3\n")
	f.Add("CPU1,RAM1,CPU2,RAM2\n16,32,0,64\n")
	f.Add("flavor_vcpus,flavor_ram,numa,strategy,group,domain\n8,16,2,fault_domain,0,1\n4,8,1,,,\n")
	f.Add("\x1f\x8b")
	f.Fuzz(func(t *testing.T, in string) {
		nodes, err := ReadNodes("f", strings.NewReader(in))
		for _, n := range nodes {
			if err == nil && (n.Name == "" || n.CPUMilli < 1 || n.MemoryMiB < 1 || n.GPUs > MaxGPUs || (n.GPUs > 0) != (n.Model != "")) {
				t.Errorf("accepted node %+v", n)
			}
		}
		tasks, err := ReadTasks("f", strings.NewReader(in))
		for _, x := range tasks {
			if err == nil && (x.CPUMilli < 0 || x.MemoryMiB < 0 || (x.GPUs > 0) != (x.GPUMilli > 0) || x.GPUMilli > GPUMilli) {
				t.Errorf("accepted task %+v", x)
			}
		}
		requests, err := ReadNUMARequests("f", strings.NewReader(in))
		for _, q := range requests {
			if err == nil && (q.Part.VCPUs < 1 || q.Part.GiB < 1 || q.Cells < 1 || q.Cells > Cells || q.Rule > FaultDomain || q.Group < 0) {
				t.Errorf("accepted request %+v", q)
			}
		}
		vms, err := ReadVMs("f", strings.NewReader(in))
		for _, v := range vms {
			if err == nil && (v.CPUMilli < 1 || v.MemMilli < 1 || v.Lifetime < 0 || v.Arrival+v.Lifetime < v.Arrival) {
				t.Errorf("accepted virtual machine %+v", v)
			}
		}
	})
}
