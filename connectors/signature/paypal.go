package signature

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"hash/crc32"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

// preparePayPal checks a signature over id|time|webhook id|CRC-32 of the body with a certificate that the call names.
// That is fetched from PayPal alone and must lead to a known authority. developer.paypal.com, Webhooks, Verify.
func preparePayPal(c *connectors.Verify, keys *Keys) (method, error) {
	p := &paypal{keys: keys, tolerance: defaultTolerance}
	if c.Tolerance > 0 {
		p.tolerance = c.Tolerance
	}
	return method{verify: p.verify, replay: func(r Request) [sha256.Size]byte {
		return hashPieces([][]byte{[]byte(r.Header.Get("Paypal-Transmission-Id")), []byte(r.Header.Get("Paypal-Transmission-Time")), r.Body})
	}}, nil
}

type paypal struct {
	keys      *Keys
	tolerance time.Duration
}

const maxRSA = 1024 // bytes of a signature

func (p *paypal) verify(ctx context.Context, r Request, s Secrets) error {
	text, err := single(r.Header, "Paypal-Transmission-Sig")
	if err != nil {
		return err
	}
	timestamp, at, err := singleTime(r, "Paypal-Transmission-Time", "rfc3339")
	if err != nil {
		return err
	}
	id, err := single(r.Header, "Paypal-Transmission-Id")
	if err != nil {
		return instead(err, NoID)
	}
	sig, err := decoders["base64"](text)
	if err != nil || len(sig) > maxRSA {
		return refuse(Malformed, "the header PAYPAL-TRANSMISSION-SIG holds no signature that can be read")
	}
	if algorithm, err := single(r.Header, "Paypal-Auth-Algo"); err != nil {
		return err
	} else if algorithm != "SHA256withRSA" {
		return refuse(Malformed, "the signature is not one of SHA256withRSA")
	}
	address, err := single(r.Header, "Paypal-Cert-Url")
	if err != nil {
		return err
	}
	if !isPayPal(address) {
		return refuse(Malformed, "the header PAYPAL-CERT-URL does not lead to PayPal")
	}
	if err := fresh(at, r.Now, p.tolerance); err != nil { // before anything is fetched
		return err
	}
	parsed, err := p.keys.get(ctx, address, r.Now, true, parseCertificates, func(any) bool { return true })
	if err != nil {
		return refuse(Unreachable, "the certificate of PayPal cannot be read: %v", err)
	}
	key, err := p.keyOf(parsed, r.Now)
	if err != nil {
		return refuse(Mismatch, "the certificate is not one of PayPal: %v", err)
	}
	match := false
	for _, webhook := range nonEmpty(s.Signing) {
		signed := id + "|" + timestamp + "|" + webhook + "|" + strconv.FormatUint(uint64(crc32.ChecksumIEEE(r.Body)), 10)
		sum := sha256.Sum256([]byte(signed))
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil {
			match = true
		}
	}
	if !match {
		return refuse(Mismatch, "the signature does not match: it was made for another webhook id, or for another body")
	}
	return nil
}

// isPayPal reports whether an address is below paypal.com, over https on its own port.
func isPayPal(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.User == nil && u.Port() == "" && u.Fragment == "" && len(address) <= 500 &&
		strings.HasSuffix(strings.ToLower(u.Host), ".paypal.com")
}

func parseCertificates(src []byte) (any, error) {
	var chain []*x509.Certificate
	for len(chain) < 10 {
		block, rest := pem.Decode(src)
		if block == nil {
			break
		}
		src = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("it is not a certificate")
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("it is not a certificate")
	}
	return chain, nil
}

// keyOf checks the chain at the time of the call.
func (p *paypal) keyOf(parsed any, now time.Time) (*rsa.PublicKey, error) {
	chain, _ := parsed.([]*x509.Certificate)
	leaf := chain[0]
	options := x509.VerifyOptions{
		Roots: p.keys.roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(options); err != nil {
		return nil, err
	}
	ours := strings.HasSuffix(strings.ToLower(leaf.Subject.CommonName), ".paypal.com")
	for _, name := range leaf.DNSNames {
		ours = ours || strings.HasSuffix(strings.ToLower(name), ".paypal.com")
	}
	key, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	if !ours || !isRSA {
		return nil, errors.New("it is made out to another name or holds another kind of key")
	}
	return key, nil
}
