package rabbit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates, which are files in a folder.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.issue(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// file is the path of a certificate, or of its key.
func (a *authority) file(name string) string { return filepath.Join(a.dir, name+".pem") }

// issue writes the certificate NAME and its key, NAME-key.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a.last++
	template.SerialNumber, template.Subject = big.NewInt(a.last), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if a.cert == nil {
		a.cert, a.key = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{name: {Type: "CERTIFICATE", Bytes: der}, name + "-key": {Type: "PRIVATE KEY", Bytes: secret}} {
		require.NoError(t, os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600))
	}
}

// broker writes the certificate of a broker with a name and perhaps addresses.
func (a *authority) broker(t *testing.T, name string, ips ...net.IP) {
	t.Helper()
	a.issue(t, name, &x509.Certificate{DNSNames: []string{name}, IPAddresses: ips, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

// client writes the certificate of a client.
func (a *authority) client(t *testing.T, name string) {
	t.Helper()
	a.issue(t, name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// TestTLS opens connections to something that speaks TLS and no AMQP: those
// that come so far end with another error than one of TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	a.broker(t, "here", net.IPv4(127, 0, 0, 1))
	a.broker(t, "elsewhere")
	a.client(t, "client")
	other.client(t, "client")
	serve := func(cert string, newest uint16) string { return serveTLS(t, a, cert, newest) }
	here, elsewhere, old := serve("here", tls.VersionTLS13), serve("elsewhere", tls.VersionTLS13), serve("here", tls.VersionTLS11)
	ca, pair := "&ssl_ca_file="+a.file("ca"), "&ssl_cert_file="+a.file("client")+"&ssl_key_file="+a.file("client-key")
	for _, c := range []struct{ address, options, says string }{
		{here, ca + pair, ""},
		{here, ca, "certificate required"},
		{here, ca + strings.ReplaceAll(pair, a.dir, other.dir), "unknown certificate authority"},
		{here, pair, "unknown authority"},
		{here, "&ssl_ca_file=" + other.file("ca") + pair, "unknown authority"},
		{elsewhere, ca + pair, "doesn't contain any IP SANs"},
		{elsewhere, ca + pair + "&ssl_enforce_hostname_verification=false", ""},
		{elsewhere, "&ssl_ca_file=" + other.file("ca") + pair + "&ssl_enforce_hostname_verification=false", "unknown authority"},
		{old, ca + pair, "protocol version"},
	} {
		cfg, err := Parse("rabbit://u:sesame@"+c.address+"/?ssl=1"+c.options, nil)
		require.NoError(t, err)
		secure, err := cfg.Options.tlsConfig()
		require.NoError(t, err)
		cfg.Dial = (&net.Dialer{}).DialContext
		_, err = dialer{cfg: cfg, tls: secure}.open(t.Context(), cfg.URL.Hosts[0])
		require.Error(t, err)
		if c.says == "" {
			require.NotContains(t, err.Error(), "tls: ", c.options)
			require.NotContains(t, err.Error(), "x509: ", c.options)
		} else {
			require.ErrorContains(t, err, c.says, c.options)
		}
		require.NotContains(t, err.Error(), "sesame")
	}
}

// serveTLS hangs up on everybody whose certificate a has signed.
func serveTLS(t *testing.T, a *authority, cert string, newest uint16) (address string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.file(cert), a.file(cert+"-key"))
	require.NoError(t, err)
	signed := x509.NewCertPool()
	text, err := os.ReadFile(a.file("ca"))
	require.NoError(t, err)
	require.True(t, signed.AppendCertsFromPEM(text))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: signed, MinVersion: tls.VersionTLS10, MaxVersion: newest,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if secure := conn.(*tls.Conn); secure.HandshakeContext(context.Background()) != nil {
				_, _ = io.Copy(io.Discard, secure.NetConn()) // or the reason might not arrive
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// TestTLSFiles: what is wrong with a file is said when the bus is made.
func TestTLSFiles(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for options, says := range map[string]string{
		"ssl_ca_file=/no/such":                         "ssl_ca_file: open /no/such",
		"ssl_ca_file=" + a.file("ca-key"):              "which has no certificate, allowed is: PEM",
		"ssl_cert_file=" + a.file("ca"):                "one of ssl_cert_file and ssl_key_file is set",
		"ssl_cert_file=/no/such&ssl_key_file=/no/such": "ssl_cert_file and ssl_key_file: open /no/such",
	} {
		cfg, err := Parse("rabbit://h/?ssl=1&"+options, nil)
		require.NoError(t, err)
		_, err = New(cfg)
		require.ErrorContains(t, err, says)
		cfg.Options.SSL = false
		b, err := New(cfg)
		require.NoError(t, err, "without TLS they mean nothing")
		require.NoError(t, b.Close())
	}
}
