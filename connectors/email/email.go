// Package email is the connector for mail of any provider: it sends by SMTP (RFC 5321) and reads by IMAP (RFC 9051,
// RFC 3501).
package email

import (
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

const (
	timeout       = 60 * time.Second // of one action, where the step sets no deadline
	every         = 5 * time.Minute
	maxRecipients = 100
	maxAttached   = 20
	maxMail       = 25 << 20 // bytes of a mail that is sent
	maxRead       = 10 << 20 // bytes of a mail that is read
	maxText       = 256 << 10
	maxFound      = 100
	batch         = 50 // mails of one poll
)

// New returns the connector.
func New() *connectors.Connector {
	text := func(title, description string) connectors.Schema {
		return connectors.Schema{Type: "string", Title: title, Description: description}
	}
	more := func(s connectors.Schema) connectors.Schema { s.Show = "more"; return s }
	addresses := func(title string) connectors.Schema {
		return connectors.Schema{Title: title, Examples: []any{"ada@example.com"}, Description: `One address or a list; "Ada <ada@example.com>" names the person too.`}
	}
	mailbox := more(connectors.Schema{Type: "string", Title: "Mailbox", Default: inbox})
	uid := connectors.Schema{Type: "integer", Title: "Number of the mail", Minimum: ptr(1.0), Description: "The uid that \"Find mails\" and \"New mail\" give."}
	security := func(title string) connectors.Schema {
		return connectors.Schema{Type: "string", Title: title, Enum: []any{"tls", "starttls", "none"}, Default: "tls", Show: "more", Description: "none sends the password in the open: only on this machine."}
	}
	port := func(title string, normal int) connectors.Schema {
		return connectors.Schema{Type: "integer", Title: title, Minimum: ptr(1.0), Maximum: ptr(65535.0), Show: "more", Description: fmt.Sprintf("Default %d for tls.", normal)}
	}
	oauth := func(id, title, authorize, token string, scopes []string, params map[string]string) connectors.AuthScheme {
		fixed := func(address string) func(connectors.Connection) (string, error) {
			return func(connectors.Connection) (string, error) { return address, nil }
		}
		return connectors.AuthScheme{
			ID: id, Type: connectors.AuthOAuth2, Title: title, Fields: []string{"username"},
			Secrets: []connectors.Secret{{Name: "client_id", Title: "Client ID"}, {Name: "client_secret", Title: "Client secret"}},
			OAuth2: &connectors.OAuth2{
				Flow: "authorization_code", AuthorizeURL: fixed(authorize), TokenURL: fixed(token), PKCE: true, Client: "post",
				Scopes: scopes, AuthorizeParams: params, Read: connectors.ReadToken,
			},
		}
	}
	return &connectors.Connector{
		ID: "email", Title: "E-mail", Version: "1.0.0", Docs: "https://www.rfc-editor.org/rfc/rfc5321", Icon: []byte(icon),
		Auth: []connectors.AuthScheme{
			{
				ID: "password", Type: connectors.AuthBasic, Title: "User name and password",
				Help:    "Many providers want an app password here, which is made in the settings of the account.",
				Secrets: []connectors.Secret{{Name: "password", Title: "Password"}}, Fields: []string{"username"},
			},
			oauth("google", "Sign in with Google", "https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token",
				[]string{"https://mail.google.com/"}, map[string]string{"access_type": "offline", "prompt": "consent"}),
			oauth("microsoft", "Sign in with Microsoft", "https://login.microsoftonline.com/common/oauth2/v2.0/authorize", "https://login.microsoftonline.com/common/oauth2/v2.0/token",
				[]string{"offline_access", "https://outlook.office.com/SMTP.Send", "https://outlook.office.com/IMAP.AccessAsUser.All"}, nil),
		},
		Fields: connectors.Schema{
			Type: "object", Closed: true,
			Order: []string{"smtp_host", "imap_host", "username", "from", "smtp_port", "smtp_security", "imap_port", "imap_security", "ca"},
			Properties: map[string]connectors.Schema{
				"smtp_host":     {Type: "string", Title: "Server for sending (SMTP)", Examples: []any{"smtp.example.com"}},
				"imap_host":     {Type: "string", Title: "Server for reading (IMAP)", Examples: []any{"imap.example.com"}},
				"username":      {Type: "string", Title: "User name", Examples: []any{"ada@example.com"}},
				"from":          {Type: "string", Title: "Sender", Description: "Default: the user name.", Examples: []any{"Front desk <desk@example.com>"}},
				"smtp_port":     port("Port for sending", 465),
				"smtp_security": security("Security of sending"),
				"imap_port":     port("Port for reading", 993),
				"imap_security": security("Security of reading"),
				"ca":            {Type: "string", Title: "Certificate of your own authority", Format: "multiline", Show: "more", Description: "In PEM form, for a server of your own."},
			},
		},
		Actions: []connectors.Action{
			{
				Name: "send", Title: "Send an e-mail", Summary: "Sends one mail to everyone named.",
				Input: connectors.Schema{
					Type: "object", Closed: true, Required: []string{"to", "subject"},
					Order: []string{"to", "subject", "text", "html", "cc", "bcc", "reply_to", "from", "attachments", "headers"},
					Properties: map[string]connectors.Schema{
						"to": addresses("To"), "cc": more(addresses("Copy to")), "bcc": more(addresses("Hidden copy to")),
						"subject":  {Type: "string", Title: "Subject"},
						"text":     {Type: "string", Title: "Text", Format: "multiline"},
						"html":     {Type: "string", Title: "HTML", Format: "multiline", Show: "more", Description: "For programs that show it; others show the text."},
						"reply_to": more(text("Answers go to", "")), "from": more(text("Sender", "Default: that of the connection.")),
						"attachments": {Type: "array", Title: "Attached files", Show: "more", Items: &connectors.Schema{
							Type: "object", Closed: true, Required: []string{"filename", "content"}, Order: []string{"filename", "content", "type", "base64"},
							Properties: map[string]connectors.Schema{
								"filename": text("File name", ""), "content": text("Content", ""), "type": text("Type", "Such as application/pdf."),
								"base64": {Type: "boolean", Title: "The content is base64", Default: false},
							},
						}},
						"headers": {Type: "object", Title: "Headers", Show: "more", Values: &connectors.Schema{Type: "string"}},
					},
				},
				Output: connectors.Schema{
					Type: "object", Closed: true, Order: []string{"message_id", "recipients"}, Required: []string{"message_id", "recipients"},
					Properties: map[string]connectors.Schema{
						"message_id": {Type: "string", Title: "ID of the mail"},
						"recipients": {Type: "array", Title: "Recipients", Items: &connectors.Schema{Type: "string"}},
					},
				},
				Sample: map[string]any{"message_id": "06h1urbbs78e9ameqb5fgkuth8@example.com", "recipients": []any{"ada@example.com"}},
				Do:     send,
			},
			{
				Name: "find", Title: "Find mails", Summary: "Returns the newest mails of a mailbox that fit.",
				Input: connectors.Schema{
					Type: "object", Closed: true, Order: []string{"from", "to", "subject", "text", "since", "unread", "mailbox", "limit"},
					Properties: map[string]connectors.Schema{
						"from": text("From", "A part of the sender."), "to": more(text("To", "")), "subject": text("Subject", "A part of it."), "text": more(text("Text", "A part of the mail.")),
						"since":   {Type: "string", Title: "Since", Format: "date", Show: "more", Examples: []any{"2026-03-01"}},
						"unread":  {Type: "boolean", Title: "Only unread", Default: false},
						"mailbox": mailbox,
						"limit":   {Type: "integer", Title: "At most", Default: 10, Minimum: ptr(1.0), Maximum: ptr(float64(maxFound)), Show: "more"},
					},
				},
				Output: connectors.Schema{Type: "array", Items: ptr(mailSchema())}, Sample: []any{sample()}, Safe: true, Do: find,
			},
			{
				Name: "move", Title: "Move a mail", Summary: "Moves a mail into another mailbox.",
				Input: connectors.Schema{
					Type: "object", Closed: true, Required: []string{"uid", "to"}, Order: []string{"uid", "to", "mailbox"},
					Properties: map[string]connectors.Schema{"uid": uid, "to": {Type: "string", Title: "Into", Examples: []any{"Archive"}}, "mailbox": mailbox},
				},
				Output: done("moved"), Sample: map[string]any{"moved": true}, Do: move,
			},
			{
				Name: "mark_read", Title: "Mark a mail as read", Summary: "Marks a mail as read, or as unread again.",
				Input: connectors.Schema{
					Type: "object", Closed: true, Required: []string{"uid"}, Order: []string{"uid", "read", "mailbox"},
					Properties: map[string]connectors.Schema{"uid": uid, "read": {Type: "boolean", Title: "Read", Default: true}, "mailbox": mailbox},
				},
				Output: done("read"), Sample: map[string]any{"read": true}, Idempotent: true, Do: markRead,
			},
			{
				Name: "check", Title: "Try the account", Summary: "Signs in to the servers and sends nothing.", Show: "hidden",
				Input:  connectors.Schema{Type: "object", Closed: true},
				Output: connectors.Schema{Type: "object"}, Sample: map[string]any{"account": "ada@example.com", "smtp": true, "imap": true}, Safe: true, Do: check,
			},
		},
		Triggers: []connectors.Trigger{{
			Name: "received", Title: "New mail", Summary: "Starts a run for each mail that comes into a mailbox.",
			Input: connectors.Schema{
				Type: "object", Closed: true, Order: []string{"mailbox", "from", "subject"},
				Properties: map[string]connectors.Schema{"mailbox": mailbox, "from": text("Only from", "A part of the sender."), "subject": text("Only with this subject", "A part of it.")},
			},
			Output: mailSchema(), Sample: sample(),
			Poll: &connectors.Poll{Every: every, Emit: "each", First: "baseline", Fetch: fetch},
		}},
		Test: &connectors.Test{Action: "check", Judge: func(out any) (string, error) {
			m, _ := out.(map[string]any)
			account, _ := m["account"].(string)
			return account, nil
		}},
	}
}

func ptr[T any](v T) *T { return &v }

func done(name string) connectors.Schema {
	return connectors.Schema{Type: "object", Closed: true, Order: []string{name}, Properties: map[string]connectors.Schema{name: {Type: "boolean"}}}
}

func mailSchema() connectors.Schema {
	text := func(title string) connectors.Schema { return connectors.Schema{Type: "string", Title: title} }
	person := connectors.Schema{
		Type: "object", Closed: true, Order: []string{"name", "address"},
		Properties: map[string]connectors.Schema{"name": text("Name"), "address": text("Address")},
	}
	people := connectors.Schema{Type: "array", Items: &person}
	with := func(s connectors.Schema, title string) connectors.Schema { s.Title = title; return s }
	return connectors.Schema{
		Type: "object", Title: "Mail",
		Order: []string{"uid", "message_id", "from", "to", "cc", "subject", "date", "text", "html", "attachments", "unread", "in_reply_to", "mailbox", "truncated"},
		Properties: map[string]connectors.Schema{
			"uid": {Type: "integer", Title: "Number"}, "message_id": text("ID of the mail"), "from": with(person, "From"), "to": with(people, "To"), "cc": with(people, "Copy to"),
			"subject": text("Subject"), "date": {Type: "string", Format: "date-time", Title: "Date"}, "text": text("Text"), "html": text("HTML"),
			"attachments": {Type: "array", Title: "Attached files", Items: &connectors.Schema{
				Type: "object", Order: []string{"filename", "type", "size", "content"},
				Properties: map[string]connectors.Schema{
					"filename": text("File name"), "type": text("Type"), "size": {Type: "integer", Title: "Bytes"},
					"content": {Type: "string", Title: "Content", Description: "Base64; left out above 256 KiB."},
				},
			}},
			"unread": {Type: "boolean", Title: "Unread"}, "in_reply_to": text("Answer to"), "mailbox": text("Mailbox"),
			"truncated": {Type: "boolean", Title: "Cut", Description: "The mail is longer than what is read of it."},
		},
	}
}

func sample() map[string]any {
	return map[string]any{
		"uid": 42, "message_id": "m1@example.com", "from": map[string]any{"name": "Ada", "address": "ada@example.com"},
		"to": []any{map[string]any{"name": "", "address": "desk@example.com"}}, "cc": []any{}, "subject": "Room 12", "date": "2026-03-01T09:00:00Z",
		"text": "Is it free?", "html": "", "attachments": []any{}, "unread": true, "in_reply_to": "", "mailbox": inbox, "truncated": false,
	}
}

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#1d5fa8" stroke-width="1.9" stroke-linejoin="round"><rect x="3.2" y="5.4" width="17.6" height="13.2" rx="2.2"/><path d="m4 7.2 8 6 8-6" stroke-linecap="round"/></svg>`
