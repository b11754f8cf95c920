package manifest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"hash/crc32"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/signature"
)

// signPayPal does for a test's delivery what PayPal would do: it signs with a key whose certificate the call names. The
// keys that it returns trust the invented authority of that certificate, and no other.
func signPayPal(req *signature.Request, secrets map[string]string, genuine bool) (*signature.Keys, error) {
	sender, err := inventPayPal()
	if err != nil {
		return nil, err
	}
	id, at := "invented-id", req.Now.UTC().Format(time.RFC3339)
	if given := req.Header.Get("Paypal-Transmission-Id"); given != "" {
		id = given
	}
	webhook := other(secrets["signing_secret"], genuine)
	sum := sha256.Sum256([]byte(id + "|" + at + "|" + webhook + "|" + strconv.FormatUint(uint64(crc32.ChecksumIEEE(req.Body)), 10)))
	signed, err := rsa.SignPKCS1v15(rand.Reader, sender.key, crypto.SHA256, sum[:])
	if err != nil {
		return nil, err
	}
	req.Header.Set("Paypal-Transmission-Id", id)
	req.Header.Set("Paypal-Transmission-Time", at)
	req.Header.Set("Paypal-Transmission-Sig", base64.StdEncoding.EncodeToString(signed))
	req.Header.Set("Paypal-Auth-Algo", "SHA256withRSA")
	req.Header.Set("Paypal-Cert-Url", "https://api.paypal.com/v1/notifications/certs/CERT-1")
	roots := x509.NewCertPool()
	roots.AddCert(sender.certificate)
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sender.certificate.Raw})
	return signature.NewKeys(&http.Client{Transport: fileOf(file)}, roots), nil
}

// fileOf answers every request with itself.
type fileOf []byte

func (f fileOf) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(f)), ContentLength: int64(len(f)), Request: req}, nil
}

type payPalKey struct {
	key         *rsa.PrivateKey
	certificate *x509.Certificate
}

var inventPayPal = sync.OnceValues(func() (payPalKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return payPalKey{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "messageverificationcerts.paypal.com"}, DNSNames: []string{"messageverificationcerts.paypal.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return payPalKey{}, err
	}
	certificate, err := x509.ParseCertificate(raw)
	return payPalKey{key, certificate}, err
})
