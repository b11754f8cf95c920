package outbound_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/outbound"
)

var authority tls.Certificate // trusted by this process, like one of the system's

const deadProxy = "http://127.0.0.1:1"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run sets what a process reads only once: the system's certificates, with one authority of ours, and the proxy.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "outbound")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// A proxy that answers nobody: net/http reads these once, so they are set before any test.
	_ = os.Setenv("HTTP_PROXY", deadProxy)
	_ = os.Setenv("http_proxy", deadProxy)
	authority, err = issue(nil, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	if err == nil {
		file := filepath.Join(dir, "ca.pem")
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate[0]}), 0o600)
		_ = os.Setenv("SSL_CERT_FILE", file)
		_ = os.Setenv("SSL_CERT_DIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// issue makes a certificate for 127.0.0.1, changed by change and signed by parent, or by itself.
func issue(parent *tls.Certificate, change func(*x509.Certificate)) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "bellhop test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	change(c)
	signer, signerKey := c, any(key)
	if parent != nil {
		if signer, err = x509.ParseCertificate(parent.Certificate[0]); err != nil {
			return tls.Certificate{}, err
		}
		signerKey = parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, &key.PublicKey, signerKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// T-21: bad certificates and old versions, beside a good one that shows that the others fail for the right reason.
func TestTLS(t *testing.T) {
	same := func(*x509.Certificate) {}
	cases := map[string]struct {
		parent *tls.Certificate
		change func(*x509.Certificate)
		max    uint16
		want   bool
	}{
		"good":        {&authority, same, 0, true},
		"TLS 1.2":     {&authority, same, tls.VersionTLS12, true},
		"TLS 1.1":     {&authority, same, tls.VersionTLS11, false},
		"self-signed": {nil, same, 0, false},
		"expired":     {&authority, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, 0, false},
		"not yet":     {&authority, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }, 0, false},
		"wrong host":  {&authority, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)} }, 0, false},
		"for clients": {&authority, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, 0, false},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			cert, err := issue(tt.parent, tt.change)
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tt.max} // old versions are the point
			s.StartTLS()
			defer s.Close()
			_, err = get(t, outbound.New(outbound.Options{Allow: loopback}), s.URL)
			if (err == nil) != tt.want {
				t.Errorf("error %v, want success %t", err, tt.want)
			}
		})
	}
}
