package email

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"path"
	"slices"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/bellhop-dev/bellhop/connectors"
)

// send is the action.
func send(ctx context.Context, c *connectors.Call) (any, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if _, err := compose(c, "check@example.com"); err != nil { // mistakes of the input come before those of the account
		return nil, connectors.Permanent(err)
	}
	a, err := accountOf(ctx, c, "")
	if err != nil {
		return nil, err
	}
	m, err := compose(c, a.from)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	if err := a.deliver(ctx, c, m.msg); err != nil {
		if !a.oauth || !refused(err) {
			return nil, err
		}
		if a, err = accountOf(ctx, c, a.password); err != nil { // another token, once
			return nil, err
		}
		if err := a.deliver(ctx, c, m.msg); err != nil {
			return nil, err
		}
	}
	return map[string]any{"message_id": m.id, "recipients": m.recipients}, nil
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// composed is a mail that is ready to go.
type composed struct {
	msg        *gomail.Msg
	id         string
	recipients []any
}

var sendInputs = map[string]bool{
	"to": true, "cc": true, "bcc": true, "subject": true, "text": true, "html": true, "reply_to": true, "from": true, "attachments": true, "headers": true,
}

// compose reads the input. Its errors are the user's to mend.
func compose(c *connectors.Call, from string) (*composed, error) {
	for key := range c.Input {
		if !sendInputs[key] {
			return nil, fmt.Errorf("there is no input %q", key)
		}
	}
	out := &composed{msg: gomail.NewMsg(gomail.WithNoDefaultUserAgent()), recipients: []any{}}
	m := out.msg
	own, err := oneText(c.Input, "from")
	if err != nil {
		return nil, err
	}
	if own != "" {
		from = own
	}
	sender, err := parseAddress("from", from)
	if err != nil {
		return nil, err
	}
	m.FromMailAddress(sender)
	for _, list := range []struct {
		name string
		add  func(...*mail.Address)
	}{{"to", m.ToMailAddress}, {"cc", m.CcMailAddress}, {"bcc", m.BccMailAddress}} {
		people, err := addresses(c.Input, list.name)
		if err != nil {
			return nil, err
		}
		list.add(people...)
		for _, p := range people {
			out.recipients = append(out.recipients, p.Address)
		}
	}
	if len(out.recipients) == 0 {
		return nil, errors.New("to is missing: name at least one address")
	}
	if len(out.recipients) > maxRecipients {
		return nil, fmt.Errorf("the mail has %d recipients, at most %d can be named", len(out.recipients), maxRecipients)
	}
	if reply, err := oneText(c.Input, "reply_to"); err != nil {
		return nil, err
	} else if reply != "" {
		a, err := parseAddress("reply_to", reply)
		if err != nil {
			return nil, err
		}
		m.ReplyToMailAddress(a)
	}
	subject, err := oneText(c.Input, "subject")
	if err != nil {
		return nil, err
	}
	if subject == "" {
		return nil, errors.New("subject is missing")
	}
	m.Subject(subject)
	plain, err := anyText(c.Input, "text")
	if err != nil {
		return nil, err
	}
	html, err := anyText(c.Input, "html")
	if err != nil {
		return nil, err
	}
	switch {
	case html == "":
		m.SetBodyString(gomail.TypeTextPlain, plain)
	case plain == "":
		m.SetBodyString(gomail.TypeTextHTML, html)
	default:
		m.SetBodyString(gomail.TypeTextPlain, plain)
		m.AddAlternativeString(gomail.TypeTextHTML, html)
	}
	if err := addHeaders(m, c.Input["headers"]); err != nil {
		return nil, err
	}
	size, err := attach(m, c.Input["attachments"])
	if err != nil {
		return nil, err
	}
	if size += len(plain) + len(html); size > maxMail {
		return nil, fmt.Errorf("the mail has %d bytes, at most %d MiB can be sent", size, maxMail>>20)
	}
	// Every attempt carries the same id, so that a receiver can tell a repeat (RFC 5322, section 3.6.4).
	_, domain, _ := strings.Cut(sender.Address, "@")
	out.id = c.Key + "@" + domain
	if c.Key != "" {
		m.SetMessageIDWithValue(out.id)
	} else {
		m.SetMessageID()
		out.id = strings.Trim(m.GetMessageID(), "<>")
	}
	m.SetDateWithValue(c.Now)
	return out, nil
}

func oneText(input map[string]any, name string) (string, error) {
	s, err := anyText(input, name)
	if err != nil {
		return "", err
	}
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return "", fmt.Errorf("%s holds a line break or another control character", name)
	}
	return strings.TrimSpace(s), nil
}

func anyText(input map[string]any, name string) (string, error) {
	switch v := input[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s is not text", name)
}

// addresses reads one address, several with commas between them, or a list.
func addresses(input map[string]any, name string) ([]*mail.Address, error) {
	var texts []string
	switch v := input[name].(type) {
	case nil:
		return nil, nil
	case string:
		texts = []string{v}
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("%s holds what is no text", name)
			}
			texts = append(texts, s)
		}
	default:
		return nil, fmt.Errorf("%s is neither an address nor a list of addresses", name)
	}
	var out []*mail.Address
	for _, s := range texts {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if strings.IndexFunc(s, unicode.IsControl) >= 0 {
			return nil, fmt.Errorf("%s holds a line break or another control character", name)
		}
		list, err := mail.ParseAddressList(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no e-mail address", name, cut(s))
		}
		out = append(out, list...)
	}
	return out, nil
}

func parseAddress(name, s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return nil, fmt.Errorf("%s: %q is no e-mail address", name, cut(s))
	}
	return a, nil
}

func cut(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// ours are the headers that a mail gets from elsewhere.
var ours = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "subject": true, "date": true, "message-id": true, "reply-to": true, "sender": true, "return-path": true,
	"mime-version": true, "content-type": true, "content-transfer-encoding": true, "received": true, "dkim-signature": true,
}

func addHeaders(m *gomail.Msg, v any) error {
	if v == nil {
		return nil
	}
	headers, ok := v.(map[string]any)
	if !ok {
		return errors.New("headers is not an object")
	}
	for name, v := range headers {
		s, ok := v.(string)
		switch {
		case !ok:
			return fmt.Errorf("the header %q is not text", cut(name))
		case ours[strings.ToLower(name)]:
			return fmt.Errorf("the header %q cannot be set here", cut(name))
		case name == "" || strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) >= 0: // RFC 5322, section 2.2
			return fmt.Errorf("%q is no name for a header", cut(name))
		case strings.IndexFunc(s, unicode.IsControl) >= 0:
			return fmt.Errorf("the header %q holds a line break or another control character", cut(name))
		}
		m.SetGenHeader(gomail.Header(name), s)
	}
	return nil
}

func attach(m *gomail.Msg, v any) (size int, err error) {
	if v == nil {
		return 0, nil
	}
	list, ok := v.([]any)
	if !ok {
		return 0, errors.New("attachments is not a list")
	}
	if len(list) > maxAttached {
		return 0, fmt.Errorf("%d files are attached, at most %d can be", len(list), maxAttached)
	}
	for i, item := range list {
		file, ok := item.(map[string]any)
		if !ok {
			return 0, fmt.Errorf("attachments[%d] is not an object", i)
		}
		name, err1 := oneText(file, "filename")
		kind, err2 := oneText(file, "type")
		content, err3 := anyText(file, "content")
		if err := errors.Join(err1, err2, err3); err != nil {
			return 0, fmt.Errorf("attachments[%d]: %w", i, err)
		}
		if name = path.Base(strings.ReplaceAll(name, `\`, "/")); name == "." || name == "/" {
			return 0, fmt.Errorf("attachments[%d] has no filename", i)
		}
		data := []byte(content)
		if encoded, _ := file["base64"].(bool); encoded {
			if data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(content)); err != nil {
				return 0, fmt.Errorf("attachments[%d]: the content is not base64", i)
			}
		}
		var options []gomail.FileOption
		if kind != "" {
			options = append(options, gomail.WithFileContentType(gomail.ContentType(kind)))
		}
		if err := m.AttachReader(name, bytes.NewReader(data), options...); err != nil {
			return 0, fmt.Errorf("attachments[%d]: %w", i, err)
		}
		size += len(data)
	}
	return size, nil
}

// client makes the SMTP client of the account.
func (a *account) client(c *connectors.Call) (*gomail.Client, server, error) {
	s, ok, err := serverOf(c.Connection, "smtp")
	if err == nil && !ok {
		err = fmt.Errorf("connection %s names no server for sending (smtp_host)", c.Connection.Name)
	}
	if err != nil {
		return nil, s, connectors.Permanent(err)
	}
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(timeout), gomail.WithTLSConfig(a.tls(s.host)), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := c.Dial(ctx, network, address)
			if err != nil || s.security != "tls" {
				return conn, err
			}
			secure := tls.Client(conn, a.tls(s.host))
			if err := secure.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, err
			}
			return secure, nil
		}),
	}
	switch s.security {
	case "tls":
		options = append(options, gomail.WithSSL())
	case "starttls":
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if _, domain, ok := strings.Cut(a.from, "@"); ok {
		options = append(options, gomail.WithHELO(strings.Trim(domain, "> ")))
	}
	switch {
	case a.oauth:
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthXOAUTH2), gomail.WithUsername(a.username), gomail.WithPassword(a.password))
	case a.password != "":
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthCustom), gomail.WithSMTPAuthCustom(&login{username: a.username, password: a.password}))
	}
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return nil, s, connectors.Permanent(fmt.Errorf("connection %s: %w", c.Connection.Name, err))
	}
	return client, s, nil
}

// login is the sign-in with a password: PLAIN (RFC 4616), or LOGIN for servers that know nothing else. The library's own
// choice does not see that a connection which we dialed is encrypted.
type login struct {
	username, password string
	asked              int
	plain              bool
}

func (l *login) Start(s *smtp.ServerInfo) (mechanism string, first []byte, err error) {
	switch {
	case slices.Contains(s.Auth, "PLAIN"):
		l.plain = true
		return "PLAIN", []byte("\x00" + l.username + "\x00" + l.password), nil
	case slices.Contains(s.Auth, "LOGIN"):
		return "LOGIN", nil, nil
	}
	return "", nil, connectors.Permanent(fmt.Errorf("%s offers no sign-in with a password", s.Name))
}

func (l *login) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	l.asked++
	switch {
	case l.plain || l.asked > 2:
		return nil, errors.New("the server asks for more than a user name and a password")
	case l.asked == 1:
		return []byte(l.username), nil
	}
	return []byte(l.password), nil
}

// deliver hands a mail over to the server.
func (a *account) deliver(ctx context.Context, c *connectors.Call, m *gomail.Msg) error {
	client, s, err := a.client(c)
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return smtpError(ctx, s, err)
	}
	defer func() { _ = client.Close() }() // what was sent is sent
	return smtpError(ctx, s, client.Send(m))
}

// smtpError says what a server answered, and whether another try helps: 4yz may, 5yz does not (RFC 5321, section 4.2.1).
func smtpError(ctx context.Context, s server, err error) error {
	if err == nil {
		return nil
	}
	status := 0
	var answer *gomail.SendError
	if errors.As(err, &answer) {
		status = answer.ErrorCode()
	} else if code := codeOf(err); code != 0 {
		status = code
	}
	if status == 0 {
		return explain(ctx, s, err)
	}
	out := error(&connectors.StatusError{Status: httpStatus(status), Message: fmt.Sprintf("%s refused the mail: %s", s.host, cut(oneLine(err.Error())))})
	if status >= 500 {
		return connectors.Permanent(out)
	}
	return out
}

// httpStatus lets error.status of a workflow tell a refused sign-in apart; other SMTP codes have no such number.
func httpStatus(smtp int) int {
	if smtp == 535 || smtp == 534 || smtp == 530 {
		return 401
	}
	return 0
}

func refused(err error) bool {
	var s *connectors.StatusError
	return errors.As(err, &s) && s.Status == 401
}

// codeOf finds the code that an answer begins with: libraries hide it in their texts.
func codeOf(err error) int {
	for _, word := range strings.Fields(err.Error()) {
		if len(word) == 3 && (word[0] == '4' || word[0] == '5') && word[1] >= '0' && word[1] <= '9' && word[2] >= '0' && word[2] <= '9' {
			return int(word[0]-'0')*100 + int(word[1]-'0')*10 + int(word[2]-'0')
		}
	}
	return 0
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// check signs in to the servers that the connection names.
func check(ctx context.Context, c *connectors.Call) (any, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	a, err := accountOf(ctx, c, "")
	if err != nil {
		return nil, err
	}
	out := map[string]any{"account": a.username, "smtp": false, "imap": false}
	_, sends, err := serverOf(c.Connection, "smtp")
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	_, reads, err := serverOf(c.Connection, "imap")
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	if !sends && !reads {
		return nil, connectors.Permanent(fmt.Errorf("connection %s names neither smtp_host nor imap_host", c.Connection.Name))
	}
	if sends {
		client, s, err := a.client(c)
		if err != nil {
			return nil, err
		}
		if err := client.DialWithContext(ctx); err != nil {
			return nil, smtpError(ctx, s, err)
		}
		_ = client.Close()
		out["smtp"] = true
	}
	if reads {
		box, err := a.open(ctx, c, inbox, true)
		if err != nil {
			return nil, err
		}
		box.close()
		out["imap"] = true
	}
	return out, nil
}
