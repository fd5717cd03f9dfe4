package cells

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	const (
		one = "rabbit://stack:s%40cret@Host1:5672/vh?ssl=1#f"
		two = "rabbit://u1:p1@h1:1,u2:p2@[::1]:2/nova"
	)
	for _, c := range []struct {
		template, base, want, wrong string
	}{
		{"rabbit://a:b@c/", "", "rabbit://a:b@c/", ""},
		{"{scheme}://{username}:{password}@{hostname}:{port}/{path}_1?{query}#{fragment}", one, "rabbit://stack:s%40cret@Host1:5672/vh_1?ssl=1#f", ""},
		{"{scheme}://{username2}:{password2}@{hostname2}:{port2},{username1}@{hostname1}:{port1}/", two, "rabbit://u2:p2@::1:2,u1@h1:1/", ""},
		{"etcd://{hostname}:{port}/{path}/cell1", "etcd://h:2379/cloud/cell?tls=true", "etcd://h:2379/cloud/cell/cell1", ""},
		{"badger:///{path}/east", "badger:///var/lib/kilonova", "badger:///var/lib/kilonova/east", ""},
		{"a://{username}{port}/{{x}}", "b://h", "a:///{x}", ""},
		{"{colour}", one, "", `field of the URL template is "colour", allowed are: fragment, hostname,`},
		{"{hostname1}", one, "", `field of the URL template is "hostname1"`},
		{"{scheme", one, "", "a brace of the URL template has no other one"},
		{"a}b", one, "", "a brace of the URL template has no other one"},
		{"{scheme}", "", "", "URL is a template"},
	} {
		got, err := Resolve(c.template, c.base)
		require.Equal(t, c.want, got, c.template)
		if c.wrong == "" {
			require.NoError(t, err, c.template)
			continue
		}
		require.ErrorContains(t, err, c.wrong, c.template)
		require.NotContains(t, err.Error(), "cret")
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                    "",
		"nothing":                             "nothing",
		"none:///":                            "none:/",
		"badger:///var/lib/a":                 "badger:///var/lib/a",
		"rabbit://u:p@h:1/v":                  "rabbit://u:****@h:1/v",
		"rabbit://u@h:1/v":                    "rabbit://u@h:1/v",
		"rabbit://h:1/v":                      "rabbit://h:1/v",
		"rabbit://u:p@h:1,u2:p2@h2:2/v":       "rabbit://u:****@h2:2/v",
		"rabbit://u:a/b?c#d@h:1/v":            "rabbit://u:****@h:1/v",
		"etcd://u:p:q@h:1,h2:2/a/b?tls=true":  "etcd://u:****@h:1,h2:2/a/b?tls=true",
		"mysql+pymysql://nova:s@10.0.0.1/cl1": "mysql+pymysql://nova:****@10.0.0.1/cl1",
	} {
		require.Equal(t, want, Mask(text))
	}
}

func TestCell0Database(t *testing.T) {
	t.Parallel()
	for connection, want := range map[string]string{
		"badger:///var/lib/nova":            "badger:///var/lib/nova_cell0",
		"badger:///var/lib/nova/":           "badger:///var/lib/nova_cell0",
		"etcd://u:p@h:1,h2/a/b?tls=true":    "etcd://u:p@h:1,h2/a/b_cell0?tls=true",
		"mysql+pymysql://n:p@h/nova?cs=utf": "mysql+pymysql://n:p@h/nova_cell0?cs=utf",
	} {
		got, err := Cell0Database(connection)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, connection := range []string{"", "etcd://u:secret@h:1", "etcd://u:secret@h:1/?tls=true"} {
		_, err := Cell0Database(connection)
		require.ErrorContains(t, err, "has no path")
		require.NotContains(t, err.Error(), "secret")
	}
}
