package rabbit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsConfig returns the configuration of TLS without a server name, or nil if
// there is to be none. The broker's certificate is always verified, by
// ssl_ca_file or the system's authorities.
func (o Options) tlsConfig() (*tls.Config, error) {
	if !o.SSL {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.SSLCAFile != "" {
		pem, err := os.ReadFile(o.SSLCAFile)
		if err != nil {
			return nil, fmt.Errorf("ssl_ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ssl_ca_file is %s, which has no certificate, allowed is: PEM", o.SSLCAFile)
		}
	}
	if (o.SSLCertFile == "") != (o.SSLKeyFile == "") {
		return nil, errors.New("one of ssl_cert_file and ssl_key_file is set, allowed are: both or none")
	}
	if o.SSLCertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.SSLCertFile, o.SSLKeyFile)
		if err != nil {
			return nil, fmt.Errorf("ssl_cert_file and ssl_key_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if !o.SSLEnforceHostnameVerification {
		anyName(cfg)
	}
	return cfg, nil
}

// anyName verifies the chain of the broker's certificate, but not its name.
func anyName(cfg *tls.Config) {
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		middle := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			middle.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: middle})
		return err
	}
}
