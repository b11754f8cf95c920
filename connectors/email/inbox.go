package email

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

const inbox = "INBOX"

// box is an open mailbox.
type box struct {
	client *imapclient.Client
	conn   net.Conn
	name   string
	state  *imap.SelectData
	server server
	stop   func() bool
}

// open signs in and opens a mailbox.
func (a *account) open(ctx context.Context, c *connectors.Call, name string, readOnly bool) (*box, error) {
	s, ok, err := serverOf(c.Connection, "imap")
	if err == nil && !ok {
		err = fmt.Errorf("connection %s names no server for reading (imap_host)", c.Connection.Name)
	}
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	conn, err := c.Dial(ctx, "tcp", s.address())
	if err != nil {
		return nil, explain(ctx, s, err)
	}
	b := &box{conn: conn, name: name, server: s}
	// The library knows no context: closing its connection ends what it waits for.
	b.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := b.start(ctx, a, readOnly); err != nil {
		b.close()
		if ctx.Err() != nil {
			return nil, explain(ctx, s, ctx.Err())
		}
		return nil, err
	}
	return b, nil
}

func (b *box) start(ctx context.Context, a *account, readOnly bool) error {
	options := &imapclient.Options{TLSConfig: a.tls(b.server.host), WordDecoder: &mime.WordDecoder{CharsetReader: charset.Reader}}
	switch b.server.security {
	case "tls":
		secure := tls.Client(b.conn, options.TLSConfig)
		if err := secure.HandshakeContext(ctx); err != nil {
			return explain(ctx, b.server, err)
		}
		b.client = imapclient.New(secure, options)
	case "starttls":
		client, err := imapclient.NewStartTLS(b.conn, options)
		if err != nil {
			return explain(ctx, b.server, err)
		}
		b.client = client
	default:
		b.client = imapclient.New(b.conn, options)
	}
	var err error
	if a.oauth {
		err = b.client.Authenticate(&xoauth2{a.username, a.password})
	} else {
		err = b.client.Login(a.username, a.password).Wait()
	}
	if err != nil {
		return b.explain(ctx, err, "did not accept the sign-in of "+a.username, 401)
	}
	if b.state, err = b.client.Select(b.name, &imap.SelectOptions{ReadOnly: readOnly}).Wait(); err != nil {
		return b.explain(ctx, err, fmt.Sprintf("has no mailbox %q", b.name), 404)
	}
	return nil
}

// explain tells an answer of the server from one that did not come.
func (b *box) explain(ctx context.Context, err error, what string, status int) error {
	var answer *imap.Error
	if !errors.As(err, &answer) {
		return explain(ctx, b.server, err)
	}
	text := fmt.Sprintf("%s %s", b.server.host, what)
	if answer.Text != "" {
		text += ": " + cut(oneLine(answer.Text))
	}
	out := error(&connectors.StatusError{Status: status, Message: text})
	if answer.Code == imap.ResponseCodeUnavailable || answer.Code == imap.ResponseCodeInUse || answer.Code == imap.ResponseCodeLimit {
		return out // RFC 5530: another time
	}
	return connectors.Permanent(out)
}

func (b *box) close() {
	b.stop()
	if b.client != nil {
		_ = b.conn.SetDeadline(time.Now().Add(2 * time.Second))
		_ = b.client.Logout().Wait()
		_ = b.client.Close()
	}
	_ = b.conn.Close()
}

// xoauth2 is the sign-in of Google and Microsoft with an access token
// (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).
type xoauth2 struct{ username, token string }

func (x *xoauth2) Start() (mech string, ir []byte, err error) {
	return "XOAUTH2", []byte("user=" + x.username + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the server's account of what is wrong, which it ends with a NO.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

// inBox opens the mailbox of the input and does something in it; a token that is refused is renewed once.
func inBox[T any](ctx context.Context, c *connectors.Call, readOnly bool, do func(ctx context.Context, b *box) (T, error)) (T, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var none T
	name, err := oneText(c.Input, "mailbox")
	if err != nil {
		return none, connectors.Permanent(err)
	}
	if name == "" {
		name = inbox
	}
	a, err := accountOf(ctx, c, "")
	if err != nil {
		return none, err
	}
	b, err := a.open(ctx, c, name, readOnly)
	if a.oauth && refused(err) {
		if a, err = accountOf(ctx, c, a.password); err != nil {
			return none, err
		}
		b, err = a.open(ctx, c, name, readOnly)
	}
	if err != nil {
		return none, err
	}
	defer b.close()
	out, err := do(ctx, b)
	if err != nil && ctx.Err() != nil {
		err = explain(ctx, b.server, ctx.Err())
	}
	return out, err
}

// criteria reads what mails are looked for.
func criteria(input map[string]any) (*imap.SearchCriteria, error) {
	out := &imap.SearchCriteria{}
	for key, header := range map[string]string{"from": "From", "to": "To", "subject": "Subject"} {
		s, err := oneText(input, key)
		if err != nil {
			return nil, err
		}
		if s != "" {
			out.Header = append(out.Header, imap.SearchCriteriaHeaderField{Key: header, Value: s})
		}
	}
	slices.SortFunc(out.Header, func(a, b imap.SearchCriteriaHeaderField) int { return strings.Compare(a.Key, b.Key) })
	if s, err := oneText(input, "text"); err != nil {
		return nil, err
	} else if s != "" {
		out.Text = append(out.Text, s)
	}
	if s, err := oneText(input, "since"); err != nil {
		return nil, err
	} else if s != "" {
		day, _, _ := strings.Cut(s, "T")
		if out.Since, err = time.Parse(time.DateOnly, day); err != nil {
			return nil, fmt.Errorf("since: %q is no day such as 2026-03-01", cut(s))
		}
	}
	switch unread := input["unread"].(type) {
	case nil:
	case bool:
		if unread {
			out.NotFlag = append(out.NotFlag, imap.FlagSeen)
		}
	default:
		return nil, errors.New("unread is neither true nor false")
	}
	return out, nil
}

func whole(input map[string]any, name string, fallback, least, most int) (int, error) {
	n := fallback
	switch v := input[name].(type) {
	case nil:
	case int:
		n = v
	case float64:
		if n = int(v); float64(n) != v {
			return 0, fmt.Errorf("%s is not a whole number", name)
		}
	default:
		return 0, fmt.Errorf("%s is not a number", name)
	}
	if n < least || n > most {
		return 0, fmt.Errorf("%s is %d; it is from %d to %d", name, n, least, most)
	}
	return n, nil
}

func find(ctx context.Context, c *connectors.Call) (any, error) {
	looked, err := criteria(c.Input)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	limit, err := whole(c.Input, "limit", 10, 1, maxFound)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	return inBox(ctx, c, true, func(ctx context.Context, b *box) (any, error) {
		found, err := b.client.UIDSearch(looked, nil).Wait()
		if err != nil {
			return nil, b.explain(ctx, err, "could not search", 0)
		}
		uids := found.AllUIDs()
		slices.Sort(uids)
		slices.Reverse(uids)
		mails, err := b.read(ctx, uids[:min(len(uids), limit)])
		if err != nil {
			return nil, err
		}
		slices.Reverse(mails)
		out := []any{}
		for _, m := range mails {
			out = append(out, m)
		}
		return out, nil
	})
}

// read fetches mails, in the order of their numbers, without marking them as read.
func (b *box) read(ctx context.Context, uids []imap.UID) ([]map[string]any, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	part := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: maxRead}}
	cmd := b.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, Flags: true, Envelope: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{part}})
	list, err := cmd.Collect()
	if err != nil {
		return nil, b.explain(ctx, err, "could not give the mails", 0)
	}
	slices.SortFunc(list, func(x, y *imapclient.FetchMessageBuffer) int { return int(int64(x.UID) - int64(y.UID)) })
	out := make([]map[string]any, 0, len(list))
	for _, m := range list {
		var raw []byte
		if len(m.BodySection) > 0 {
			raw = m.BodySection[0].Bytes
		}
		out = append(out, plain(m, raw, b.name))
	}
	return out, nil
}

// cursor is where a poll stands: UIDs only grow, unless the mailbox was made anew (RFC 9051, section 2.3.1.1).
func cursorOf(v any) (validity, next uint32) {
	m, _ := v.(map[string]any)
	number := func(name string) uint32 {
		switch n := m[name].(type) {
		case int:
			return uint32(n)
		case float64:
			return uint32(n)
		}
		return 0
	}
	return number("uidvalidity"), number("next")
}

// fetch is one poll: the mails since the cursor. A first poll, and one of a mailbox that was made anew, begins at the end.
func fetch(ctx context.Context, c *connectors.Call, cursor any, _ time.Time) ([]connectors.Item, any, error) {
	looked, err := criteria(map[string]any{"from": c.Input["from"], "subject": c.Input["subject"]})
	if err != nil {
		return nil, nil, connectors.Permanent(err)
	}
	type found struct {
		items []connectors.Item
		next  any
	}
	out, err := inBox(ctx, c, true, func(ctx context.Context, b *box) (found, error) {
		validity, next := cursorOf(cursor)
		if validity != b.state.UIDValidity {
			return found{next: map[string]any{"uidvalidity": int(b.state.UIDValidity), "next": int(b.state.UIDNext)}}, nil
		}
		// A range that begins behind the last mail means that one (RFC 9051, section 6.4.9), so it is looked at again.
		looked.UID = []imap.UIDSet{{imap.UIDRange{Start: imap.UID(next), Stop: 0}}}
		answer, err := b.client.UIDSearch(looked, nil).Wait()
		if err != nil {
			return found{}, b.explain(ctx, err, "could not search", 0)
		}
		uids := slices.DeleteFunc(answer.AllUIDs(), func(u imap.UID) bool { return uint32(u) < next })
		slices.Sort(uids)
		ends := uint32(b.state.UIDNext)
		if len(uids) > batch {
			uids = uids[:batch]
			ends = uint32(uids[batch-1]) + 1
		}
		mails, err := b.read(ctx, uids)
		if err != nil {
			return found{}, err
		}
		f := found{next: map[string]any{"uidvalidity": int(validity), "next": int(max(next, ends))}}
		for _, m := range mails {
			f.items = append(f.items, connectors.Item{Key: fmt.Sprintf("%d/%d", validity, m["uid"]), Body: m})
		}
		return f, nil
	})
	return out.items, out.next, err
}

func uidOf(c *connectors.Call) (imap.UIDSet, error) {
	if c.Input["uid"] == nil {
		return nil, errors.New("uid is missing")
	}
	n, err := whole(c.Input, "uid", 0, 1, 1<<32-1)
	if err != nil {
		return nil, err
	}
	return imap.UIDSetNum(imap.UID(n)), nil
}

func move(ctx context.Context, c *connectors.Call) (any, error) {
	uid, err := uidOf(c)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	to, err := oneText(c.Input, "to")
	if err == nil && to == "" {
		err = errors.New("to is missing")
	}
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	return inBox(ctx, c, false, func(ctx context.Context, b *box) (any, error) {
		if _, err := b.client.Move(uid, to).Wait(); err != nil {
			return nil, b.explain(ctx, err, fmt.Sprintf("could not move the mail into %q", cut(to)), 0)
		}
		return map[string]any{"moved": true}, nil
	})
}

func markRead(ctx context.Context, c *connectors.Call) (any, error) {
	uid, err := uidOf(c)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	read := true
	switch v := c.Input["read"].(type) {
	case nil:
	case bool:
		read = v
	default:
		return nil, connectors.Permanent(errors.New("read is neither true nor false"))
	}
	change := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}
	if !read {
		change.Op = imap.StoreFlagsDel
	}
	return inBox(ctx, c, false, func(ctx context.Context, b *box) (any, error) {
		if err := b.client.Store(uid, change, nil).Close(); err != nil {
			return nil, b.explain(ctx, err, "could not mark the mail", 0)
		}
		return map[string]any{"read": read}, nil
	})
}

// plain makes plain data of a mail.
func plain(m *imapclient.FetchMessageBuffer, raw []byte, mailbox string) map[string]any {
	out := map[string]any{
		"uid": int(m.UID), "message_id": "", "from": person("", ""), "to": []any{}, "cc": []any{}, "subject": "", "date": m.InternalDate.UTC().Format(time.RFC3339),
		"text": "", "html": "", "attachments": []any{}, "unread": !slices.Contains(m.Flags, imap.FlagSeen), "in_reply_to": "", "mailbox": mailbox,
		"truncated": m.RFC822Size > int64(len(raw)),
	}
	if e := m.Envelope; e != nil {
		out["message_id"], out["subject"] = clean(e.MessageID), clean(e.Subject)
		if len(e.InReplyTo) > 0 {
			out["in_reply_to"] = clean(e.InReplyTo[0])
		}
		if !e.Date.IsZero() {
			out["date"] = e.Date.UTC().Format(time.RFC3339)
		}
		people := func(list []imap.Address) []any {
			all := []any{}
			for i := range list[:min(len(list), 200)] {
				all = append(all, person(list[i].Name, list[i].Addr()))
			}
			return all
		}
		out["to"], out["cc"] = people(e.To), people(e.Cc)
		if from := people(e.From); len(from) > 0 {
			out["from"] = from[0]
		}
	}
	attached := []any{}
	r, err := mail.CreateReader(bytes.NewReader(raw))
	if r == nil || err != nil && !isCharset(err) {
		out["text"] = clean(string(raw[:min(len(raw), maxText)]))
		return out
	}
	for n := 0; n < 200; n++ {
		part, err := r.NextPart()
		if err != nil && !isCharset(err) {
			break
		}
		body, _ := io.ReadAll(io.LimitReader(part.Body, maxRead))
		switch h := part.Header.(type) {
		case *mail.InlineHeader:
			kind, _, _ := h.ContentType()
			switch {
			case kind == "text/html" && out["html"] == "":
				out["html"] = clean(string(body[:min(len(body), maxText)]))
			case strings.HasPrefix(kind, "text/") && out["text"] == "":
				out["text"] = clean(string(body[:min(len(body), maxText)]))
			}
		case *mail.AttachmentHeader:
			name, _ := h.Filename()
			kind, _, _ := h.ContentType()
			file := map[string]any{"filename": clean(name), "type": clean(kind), "size": len(body)}
			if len(body) <= maxText {
				file["content"] = base64.StdEncoding.EncodeToString(body)
			}
			attached = append(attached, file)
		}
	}
	out["attachments"] = attached
	return out
}

// isCharset tells a mail whose letters could not all be read from one that is broken.
func isCharset(err error) bool { return err != nil && strings.Contains(err.Error(), "charset") }

func person(name, address string) map[string]any {
	return map[string]any{"name": clean(name), "address": clean(address)}
}

func clean(s string) string {
	return value.Text(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n"))
}
