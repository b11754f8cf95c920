package email_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
	"github.com/bellhop-dev/bellhop/connectors/email"
)

func TestConnector(t *testing.T) { connectorstest.Check(t, email.New()) }

// house has two real servers on this machine: one that takes mails and one that holds mailboxes.
type house struct {
	t    *testing.T
	ca   string
	smtp string // host:port
	imap string
	user *imapmemserver.User

	mu   sync.Mutex
	sent []received
}

type received struct {
	from string
	to   []string
	mail []byte
}

const password = "canary-password"

func newHouse(t *testing.T, security string) *house {
	t.Helper()
	h := &house{t: t}
	secure := h.certificate()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if security == "tls" {
			return tls.NewListener(l, secure)
		}
		return l
	}
	out := smtp.NewServer(backend{h})
	out.Domain, out.AllowInsecureAuth, out.MaxMessageBytes = "localhost", security == "none", 1<<20
	if security == "starttls" {
		out.TLSConfig = secure
	}
	out.ErrorLog = log.New(io.Discard, "", 0)
	outgoing := listen()
	h.smtp = outgoing.Addr().String()
	go func() { _ = out.Serve(outgoing) }()
	t.Cleanup(func() { _ = out.Close() })

	mem := imapmemserver.New()
	h.user = imapmemserver.NewUser("ada@example.com", password)
	for _, name := range []string{"INBOX", "Archive"} {
		if err := h.user.Create(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	mem.AddUser(h.user)
	options := &imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		InsecureAuth: security == "none", Caps: imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}},
		Logger: log.New(io.Discard, "", 0),
	}
	if security == "starttls" {
		options.TLSConfig = secure
	}
	in := imapserver.New(options)
	incoming := listen()
	h.imap = incoming.Addr().String()
	go func() { _ = in.Serve(incoming) }()
	t.Cleanup(func() { _ = in.Close() })
	return h
}

func (h *house) certificate() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// backend is the server that takes mails.
type backend struct{ h *house }

func (b backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{h: b.h}, nil }

type session struct {
	h  *house
	in received
	ok bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, given string) error {
		if username != "ada@example.com" || given != password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "wrong user or password"}
		}
		s.ok = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.ok {
		return smtp.ErrAuthRequired
	}
	s.in = received{from: from}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch {
	case strings.HasPrefix(to, "nobody@"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	case strings.HasPrefix(to, "busy@"):
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	}
	s.in.to = append(s.in.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.in.mail = b
	s.h.mu.Lock()
	s.h.sent = append(s.h.sent, s.in)
	s.h.mu.Unlock()
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// call is a call with the connection of this house.
func (h *house) call(security string, input map[string]any) *connectors.Call {
	fields := map[string]any{"username": "ada@example.com", "from": "Front desk <ada@example.com>", "ca": h.ca}
	for kind, address := range map[string]string{"smtp": h.smtp, "imap": h.imap} {
		host, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port)
		fields[kind+"_host"], fields[kind+"_port"], fields[kind+"_security"] = host, n, security
	}
	var d net.Dialer
	return &connectors.Call{
		Key: "06h1urbbs78e9ameqb5fgkuth8", Input: input, Now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), Dial: d.DialContext,
		Connection: connectors.Connection{Name: "desk", Connector: "email", Auth: "password", Fields: fields, Secrets: map[string]string{"password": password}},
	}
}

func (h *house) do(name, security string, input map[string]any) (any, error) {
	return email.New().Action(name).Do(h.t.Context(), h.call(security, input))
}

// drop puts a mail into a mailbox.
func (h *house) drop(mailbox, text string) {
	h.t.Helper()
	b := []byte(strings.ReplaceAll(text, "\n", "\r\n"))
	if _, err := h.user.Append(mailbox, literal{bytes.NewReader(b), int64(len(b))}, &imap.AppendOptions{Time: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}); err != nil {
		h.t.Fatal(err)
	}
}

type literal struct {
	io.Reader
	size int64
}

func (l literal) Size() int64 { return l.size }

func TestSend(t *testing.T) {
	for _, security := range []string{"tls", "starttls", "none"} {
		t.Run(security, func(t *testing.T) {
			h := newHouse(t, security)
			out, err := h.do("send", security, map[string]any{
				"to": []any{"Bob <bob@example.com>", "eve@example.com, mallory@example.com"}, "bcc": "hidden@example.com", "subject": "Zimmer für zwölf", "text": "Hi Bob,\n\nall is well.",
				"html": "<p>Hi Bob</p>", "headers": map[string]any{"X-Order": "42"},
				"attachments": []any{map[string]any{"filename": "../../etc/a.csv", "content": "YSxi", "base64": true, "type": "text/csv"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"message_id": "06h1urbbs78e9ameqb5fgkuth8@example.com", "recipients": []any{"bob@example.com", "eve@example.com", "mallory@example.com", "hidden@example.com"}}
			if diff := cmp.Diff(any(want), out); diff != "" {
				t.Error(diff)
			}
			if len(h.sent) != 1 || h.sent[0].from != "ada@example.com" || len(h.sent[0].to) != 4 {
				t.Fatalf("%+v", h.sent)
			}
			m, err := mail.ReadMessage(bytes.NewReader(h.sent[0].mail))
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"From": `"Front desk" <ada@example.com>`, "X-Order": "42", "Message-Id": "<06h1urbbs78e9ameqb5fgkuth8@example.com>", "Bcc": "",
				"Date": "Sun, 01 Mar 2026 09:00:00 +0000",
			} {
				if got := m.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			text := string(h.sent[0].mail)
			for _, part := range []string{"all is well.", "<p>Hi Bob</p>", `filename="a.csv"`, "text/csv"} {
				if !strings.Contains(text, part) {
					t.Errorf("the mail lacks %q:\n%s", part, text)
				}
			}
		})
	}
}

func TestSendMistakes(t *testing.T) {
	h := newHouse(t, "none")
	good := map[string]any{"to": "bob@example.com", "subject": "Hi", "text": "Hi"}
	tests := []struct {
		name  string
		input map[string]any
		want  string
	}{
		{"nobody", map[string]any{"to": ""}, "to is missing"},
		{"no address", map[string]any{"to": "bob"}, `"bob" is no e-mail address`},
		{"another header in the subject", map[string]any{"subject": "Hi\r\nBcc: all@example.com"}, "line break"},
		{"another recipient in the address", map[string]any{"to": "bob@example.com\r\nRCPT TO:<eve@example.com>"}, "line break"},
		{"another header in a header", map[string]any{"headers": map[string]any{"X-A": "1\nBcc: all@example.com"}}, "line break"},
		{"a header that is ours", map[string]any{"headers": map[string]any{"bcc": "all@example.com"}}, "cannot be set here"},
		{"too many", map[string]any{"to": strings.Repeat("a@example.com,", 101) + "b@example.com"}, "at most 100"},
		{"not base64", map[string]any{"attachments": []any{map[string]any{"filename": "a", "content": "%", "base64": true}}}, "not base64"},
		{"a typo", map[string]any{"subjekt": "Hi"}, `no input "subjekt"`},
		{"refused for good", map[string]any{"to": "nobody@example.com"}, "no such mailbox"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			input := map[string]any{}
			for k, v := range good {
				input[k] = v
			}
			for k, v := range test.input {
				input[k] = v
			}
			_, err := h.do("send", "none", input)
			if err == nil || !strings.Contains(err.Error(), test.want) || !connectors.IsPermanent(err) {
				t.Fatalf("%v (permanent %t), want %q", err, connectors.IsPermanent(err), test.want)
			}
		})
	}
	if _, err := h.do("send", "none", map[string]any{"to": "busy@example.com", "subject": "Hi"}); err == nil || connectors.IsPermanent(err) {
		t.Errorf("a server that is busy now: %v", err)
	}
	if len(h.sent) != 0 {
		t.Errorf("%d mails went out", len(h.sent))
	}
}

func TestAccountMistakes(t *testing.T) {
	h := newHouse(t, "tls")
	tests := []struct {
		name   string
		change func(c *connectors.Call)
		want   string
	}{
		{"a wrong password", func(c *connectors.Call) { c.Connection.Secrets["password"] = "canary-wrong" }, "refused|did not accept"},
		{"no such host", func(c *connectors.Call) {
			c.Connection.Fields["smtp_host"], c.Connection.Fields["imap_host"] = "absent.invalid", "absent.invalid"
		}, "no host|looked up"},
		{"an unknown authority", func(c *connectors.Call) { delete(c.Connection.Fields, "ca") }, "certificate"},
		{"an address for a host", func(c *connectors.Call) {
			c.Connection.Fields["smtp_host"], c.Connection.Fields["imap_host"] = "https://x", "https://x"
		}, "write a name"},
		{"no connection", func(c *connectors.Call) { c.Connection = connectors.Connection{} }, "name a connection"},
		{"no sign-in", func(c *connectors.Call) { c.Connection.Auth = "google" }, "sign in first"},
	}
	for _, test := range tests {
		for action, input := range map[string]map[string]any{"send": {"to": "bob@example.com", "subject": "Hi"}, "find": {}} {
			t.Run(test.name+", "+action, func(t *testing.T) {
				c := h.call("tls", input)
				test.change(c)
				_, err := email.New().Action(action).Do(t.Context(), c)
				found := false
				for _, want := range strings.Split(test.want, "|") {
					found = found || err != nil && strings.Contains(err.Error(), want)
				}
				if !found || strings.Contains(err.Error(), "canary") {
					t.Fatalf("%v, want %q", err, test.want)
				}
			})
		}
	}
	c := h.call("tls", map[string]any{"to": "bob@example.com", "subject": "Hi"})
	c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, refusal{} }
	if _, err := email.New().Action("send").Do(t.Context(), c); !errors.As(err, &refusal{}) || !connectors.IsPermanent(err) {
		t.Errorf("an address that may not be called: %v", err)
	}
}

type refusal struct{}

func (refusal) Error() string   { return "the call was refused: a private address" }
func (refusal) Permanent() bool { return true }

func TestMailbox(t *testing.T) {
	for _, security := range []string{"tls", "starttls"} {
		t.Run(security, func(t *testing.T) {
			h := newHouse(t, security)
			h.drop("INBOX", "From: Eve <eve@example.com>\nTo: ada@example.com\nSubject: Old news\nMessage-ID: <m1@example.com>\nDate: Sat, 28 Feb 2026 08:00:00 +0000\n\nOld.\n")
			h.drop("INBOX", "From: =?utf-8?q?J=C3=B6rg?= <j@example.com>\nTo: Ada <ada@example.com>, desk@example.com\nSubject: =?iso-8859-1?q?Zimmer_zw=F6lf?=\nMessage-ID: <m2@example.com>\n"+
				"Date: Sun, 01 Mar 2026 10:00:00 +0100\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"+
				"--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nIst es f=FCr uns?\n"+
				"--b\nContent-Type: text/html\n\n<p>Frei?</p>\n"+
				"--b\nContent-Type: text/csv\nContent-Disposition: attachment; filename=a.csv\n\na,b\n--b--\n")
			out, err := h.do("find", security, map[string]any{"unread": true})
			if err != nil {
				t.Fatal(err)
			}
			mails := out.([]any)
			want := map[string]any{
				"uid": 2, "message_id": "m2@example.com", "from": map[string]any{"name": "Jörg", "address": "j@example.com"},
				"to": []any{map[string]any{"name": "Ada", "address": "ada@example.com"}, map[string]any{"name": "", "address": "desk@example.com"}}, "cc": []any{},
				"subject": "Zimmer zwölf", "date": "2026-03-01T09:00:00Z", "text": "Ist es für uns?", "html": "<p>Frei?</p>",
				"attachments": []any{map[string]any{"filename": "a.csv", "type": "text/csv", "size": 3, "content": "YSxi"}},
				"unread":      true, "in_reply_to": "", "mailbox": "INBOX", "truncated": false,
			}
			if len(mails) != 2 {
				t.Fatalf("%d mails", len(mails))
			}
			if diff := cmp.Diff(any(want), mails[0]); diff != "" {
				t.Error(diff)
			}
			if err := email.New().Check(email.New().Action("find").Output, out); err != nil {
				t.Errorf("the output does not fit its schema: %v", err)
			}
			if _, err := h.do("mark_read", security, map[string]any{"uid": 2}); err != nil {
				t.Fatal(err)
			}
			if out, err := h.do("find", security, map[string]any{"unread": true}); err != nil || len(out.([]any)) != 1 {
				t.Errorf("after one was read: %v, %v", out, err)
			}
			if _, err := h.do("move", security, map[string]any{"uid": 2, "to": "Archive"}); err != nil {
				t.Fatal(err)
			}
			if out, err := h.do("find", security, map[string]any{"mailbox": "Archive", "subject": "zwölf"}); err != nil || len(out.([]any)) != 1 {
				t.Errorf("in the archive: %v, %v", out, err)
			}
			if _, err := h.do("find", security, map[string]any{"mailbox": "Absent"}); err == nil || !strings.Contains(err.Error(), `no mailbox "Absent"`) || !connectors.IsPermanent(err) {
				t.Errorf("a mailbox that is not there: %v", err)
			}
			if out, err := h.do("check", security, nil); err != nil || out.(map[string]any)["imap"] != true || out.(map[string]any)["smtp"] != true {
				t.Errorf("check: %v, %v", out, err)
			}
		})
	}
}

func TestReceived(t *testing.T) {
	h := newHouse(t, "none")
	drop := func(n string) { h.drop("INBOX", "From: eve@example.com\nSubject: "+n+"\n\nText.\n") }
	poll := email.New().Trigger("received").Poll
	fetch := func(cursor any) ([]string, any) {
		t.Helper()
		items, next, err := poll.Fetch(t.Context(), h.call("none", map[string]any{}), cursor, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var subjects []string
		for _, i := range items {
			subjects = append(subjects, i.Body.(map[string]any)["subject"].(string))
		}
		return subjects, next
	}
	drop("before")
	got, cursor := fetch(nil)
	if got != nil {
		t.Fatalf("the first poll: %v", got)
	}
	if got, cursor = fetch(cursor); got != nil {
		t.Fatalf("nothing new: %v", got)
	}
	drop("one")
	drop("two")
	got, cursor = fetch(cursor)
	if diff := cmp.Diff([]string{"one", "two"}, got); diff != "" {
		t.Fatal(diff)
	}
	for n := range 60 { // more than one poll reads
		drop(strconv.Itoa(n))
	}
	first, cursor := fetch(cursor)
	second, cursor := fetch(cursor)
	if len(first) != 50 || len(second) != 10 || second[9] != "59" {
		t.Fatalf("%d and %d mails", len(first), len(second))
	}
	if got, _ = fetch(cursor); got != nil {
		t.Fatalf("at the end: %v", got)
	}
	// A mailbox that was made anew numbers its mails from the start: nothing old is taken for new.
	stale := map[string]any{"uidvalidity": 99, "next": 1}
	if got, _ = fetch(stale); got != nil {
		t.Fatalf("a mailbox that was made anew: %v", got)
	}
}
