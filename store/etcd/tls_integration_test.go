//go:build integration

package etcd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// certificate writes one that signs itself, for 127.0.0.1, and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

// TestTLS: a member that demands certificates is used with the right ones, and
// refused, and refuses, with others.
func TestTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t)
	otherCert, otherKey := certificate(t)
	var urls, hosts []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		hosts, urls = append(hosts, l.Addr().String()), append(urls, "https://"+l.Addr().String())
		require.NoError(t, l.Close())
	}
	peer := "http://" + hosts[1]
	member := exec.CommandContext(t.Context(), os.Getenv("ETCD_SERVER"), "--name", "m", "--data-dir", t.TempDir(), "--log-level", "error",
		"--listen-client-urls", urls[0], "--advertise-client-urls", urls[0], "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "m="+peer,
		"--cert-file", certFile, "--key-file", keyFile, "--trusted-ca-file", certFile, "--client-cert-auth")
	require.NoError(t, member.Start())
	t.Cleanup(func() {
		_ = member.Process.Kill()
		_ = member.Wait()
	})
	try := func(parameters string) error {
		cfg, err := etcd.ParseURL(etcd.Scheme + hosts[0] + "/p?" + parameters)
		require.NoError(t, err)
		s, err := etcd.Open(t.Context(), cfg)
		if err != nil {
			return err
		}
		return s.Close()
	}
	right := "certfile=" + certFile + "&keyfile=" + keyFile
	require.NoError(t, try("dial_timeout=30s&cafile="+certFile+"&"+right))
	require.NoError(t, try("insecure=true&"+right))
	for name, parameters := range map[string]string{
		"no TLS": "", "authorities of the system": "tls=true&" + right, "another authority": "cafile=" + otherCert + "&" + right,
		"no certificate": "cafile=" + certFile, "another certificate": "cafile=" + certFile + "&certfile=" + otherCert + "&keyfile=" + otherKey,
	} {
		require.Error(t, try("dial_timeout=1s&"+parameters), name)
	}
	require.ErrorContains(t, try("cafile="+keyFile), "has no certificate")
	require.ErrorContains(t, try("certfile="+certFile+"&keyfile="+otherKey), "read certfile and keyfile")
}
