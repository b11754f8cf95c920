// Package mqtt is the connector for MQTT brokers, version 5 (https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html).
// Messages are published at least once and received at least once: a session at the broker keeps what comes while
// nobody listens, and a message is acknowledged when its event is durable.
package mqtt

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

const (
	timeout    = 30 * time.Second // of one publish, where the step sets no deadline
	connecting = 20 * time.Second
	keepAlive  = 30                   // seconds between signs of life
	session    = 7 * 24 * 3600        // seconds that the broker keeps what comes while nobody listens
	atOnce     = 20                   // messages that the broker sends before the first is acknowledged
	ackEvery   = 2 * time.Millisecond // acknowledgments go out together
	maxMessage = 1 << 20              // bytes
	maxTopic   = 65535                // bytes (section 1.5.4)
)

// New returns the connector.
func New() *connectors.Connector {
	qos := func(fallback int) connectors.Schema {
		return connectors.Schema{Type: "integer", Title: "Quality of service", Enum: []any{0, 1}, Default: fallback, Show: "more", Description: "1: at least once; 0: at most once."}
	}
	sample := map[string]any{"topic": "house/lobby/temperature", "payload": map[string]any{"celsius": 21.5}, "text": `{"celsius":21.5}`, "retained": false, "qos": 1, "type": ""}
	return &connectors.Connector{
		ID: "mqtt", Title: "MQTT", Version: "1.0.0", Docs: "https://mqtt.org", Icon: []byte(icon),
		Auth: []connectors.AuthScheme{
			{
				ID: "password", Type: connectors.AuthBasic, Title: "User name and password",
				Secrets: []connectors.Secret{{Name: "password", Title: "Password", Optional: true, Help: "Empty for a broker that lets everyone in."}}, Fields: []string{"host"},
			},
		},
		Fields: connectors.Schema{
			Type: "object", Closed: true, Order: []string{"host", "username", "port", "security", "ca"},
			Properties: map[string]connectors.Schema{
				"host":     {Type: "string", Title: "Broker", Examples: []any{"mqtt.example.com"}},
				"username": {Type: "string", Title: "User name"},
				"port":     {Type: "integer", Title: "Port", Minimum: ptr(1.0), Maximum: ptr(65535.0), Show: "more", Description: "Default 8883 for tls, 1883 for none."},
				"security": {Type: "string", Title: "Security", Enum: []any{"tls", "none"}, Default: "tls", Show: "more", Description: "none sends the password in the open: only inside your own network."},
				"ca":       {Type: "string", Title: "Certificate of your own authority", Format: "multiline", Show: "more", Description: "In PEM form, for a broker of your own."},
			},
		},
		Actions: []connectors.Action{{
			Name: "publish", Title: "Publish a message", Summary: "Sends a message to a topic.",
			Input: connectors.Schema{
				Type: "object", Closed: true, Required: []string{"topic"}, Order: []string{"topic", "payload", "retain", "qos", "content_type"},
				Properties: map[string]connectors.Schema{
					"topic":        {Type: "string", Title: "Topic", Examples: []any{"house/lobby/light"}},
					"payload":      {Title: "Message", Description: "Text goes out as it is, anything else as JSON."},
					"retain":       {Type: "boolean", Title: "Keep as the last message of the topic", Default: false, Show: "more"},
					"qos":          qos(1),
					"content_type": {Type: "string", Title: "Type of the message", Show: "more", Examples: []any{"application/json"}},
				},
			},
			Output: connectors.Schema{
				Type: "object", Closed: true, Order: []string{"topic", "bytes"}, Required: []string{"topic", "bytes"},
				Properties: map[string]connectors.Schema{"topic": {Type: "string"}, "bytes": {Type: "integer"}},
			},
			Sample: map[string]any{"topic": "house/lobby/light", "bytes": 2}, Do: publish,
		}, {
			Name: "check", Title: "Try the broker", Summary: "Connects to the broker and sends nothing.", Show: "hidden",
			Input:  connectors.Schema{Type: "object", Closed: true},
			Output: connectors.Schema{Type: "object"}, Sample: map[string]any{"broker": "mqtt.example.com"}, Safe: true, Do: check,
		}},
		Triggers: []connectors.Trigger{{
			Name: "message", Title: "New message", Summary: "Starts a run for each message of the topics, as it comes.",
			Input: connectors.Schema{
				Type: "object", Closed: true, Required: []string{"topic"}, Order: []string{"topic", "retained", "qos"},
				Properties: map[string]connectors.Schema{
					"topic":    {Type: "string", Title: "Topic", Examples: []any{"house/+/temperature"}, Description: "+ stands for one level, # at the end for all below."},
					"retained": {Type: "boolean", Title: "Also the last message that the broker keeps", Default: false, Show: "more", Description: "It comes when the trigger is set up for the first time."},
					"qos":      qos(1),
				},
			},
			Output: connectors.Schema{
				Type: "object", Title: "Message", Order: []string{"topic", "payload", "text", "retained", "qos", "type"},
				Properties: map[string]connectors.Schema{
					"topic": {Type: "string", Title: "Topic"}, "payload": {Title: "Message", Description: "Read as JSON where it is JSON, else text; base64 where it is no text."},
					"text": {Type: "string", Title: "Text"}, "retained": {Type: "boolean", Title: "Kept by the broker"}, "qos": {Type: "integer", Title: "Quality of service"},
					"type": {Type: "string", Title: "Type of the message"},
				},
			},
			Sample: sample, Run: listen,
		}},
		Test: &connectors.Test{Action: "check", Judge: func(out any) (string, error) {
			m, _ := out.(map[string]any)
			broker, _ := m["broker"].(string)
			return broker, nil
		}},
	}
}

func ptr[T any](v T) *T { return &v }

// broker is a connection, read.
type broker struct {
	name, host, username, password string
	port                           int
	secure                         *tls.Config // nil: in the open
}

func (b *broker) address() string { return net.JoinHostPort(b.host, strconv.Itoa(b.port)) }

func brokerOf(ctx context.Context, c *connectors.Call) (*broker, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("the call was stopped: %w", err)
	}
	conn := c.Connection
	field := func(name string) string {
		if conn.Fields[name] == nil {
			return ""
		}
		return strings.TrimSpace(value.Text(conn.Fields[name]))
	}
	wrong := func(format string, args ...any) (*broker, error) {
		return nil, connectors.Permanent(fmt.Errorf(format, args...))
	}
	if conn.IsZero() {
		return wrong("name a connection: it says which broker to use")
	}
	if c.Dial == nil {
		return wrong("no broker can be reached from here")
	}
	b := &broker{name: conn.Name, host: field("host"), username: field("username"), password: conn.Secrets["password"], port: 8883}
	if b.host == "" || strings.ContainsAny(b.host, "/: \t@") {
		return wrong("connection %s: host is %q; write a name such as mqtt.example.com", conn.Name, b.host)
	}
	switch s := field("security"); s {
	case "", "tls":
		b.secure = &tls.Config{ServerName: b.host, MinVersion: tls.VersionTLS12}
		if pem := field("ca"); pem != "" {
			b.secure.RootCAs = x509.NewCertPool()
			if !b.secure.RootCAs.AppendCertsFromPEM([]byte(pem)) {
				return wrong("connection %s: ca holds no certificate in PEM form", conn.Name)
			}
		}
	case "none":
		b.port = 1883
	default:
		return wrong("connection %s: security is %q; it is tls or none", conn.Name, s)
	}
	if p := field("port"); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return wrong("connection %s: port is %q, which is no port", conn.Name, p)
		}
		b.port = n
	}
	return b, nil
}

// connect opens a connection. With an id the broker keeps a session for it.
func (b *broker) connect(ctx context.Context, c *connectors.Call, id string, config paho.ClientConfig) (*paho.Client, *paho.Connack, error) {
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	conn, err := c.Dial(ctx, "tcp", b.address())
	if err != nil {
		return nil, nil, wire.Describe(ctx, b.address(), err)
	}
	if b.secure != nil {
		secure := tls.Client(conn, b.secure)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, nil, wire.Describe(ctx, b.address(), err)
		}
		conn = secure
	}
	config.Conn, config.ClientID = packets.NewThreadSafeConn(conn), id
	client := paho.NewClient(config)
	hello := &paho.Connect{
		ClientID: id, KeepAlive: keepAlive, CleanStart: id == "", Username: b.username, UsernameFlag: b.username != "",
		Password: []byte(b.password), PasswordFlag: b.password != "",
		Properties: &paho.ConnectProperties{ReceiveMaximum: ptr(uint16(atOnce)), MaximumPacketSize: ptr(uint32(maxMessage)), RequestProblemInfo: true},
	}
	if id != "" {
		hello.Properties.SessionExpiryInterval = ptr(uint32(session))
	}
	ack, err := client.Connect(ctx, hello)
	if err == nil {
		return client, ack, nil
	}
	_ = conn.Close()
	if ack == nil || ack.ReasonCode == 0 {
		return nil, nil, wire.Describe(ctx, b.address(), err)
	}
	return nil, nil, b.refused("connection", ack.ReasonCode)
}

// refused explains a reason code (section 2.4). Those of a busy broker may pass.
func (b *broker) refused(what string, code byte) error {
	text := fmt.Sprintf("%s refused the %s", b.host, what)
	status := 0
	switch code {
	case packets.ConnackBadUsernameOrPassword, packets.ConnackNotAuthorized:
		text, status = fmt.Sprintf("%s did not accept the user name and password for the %s", b.host, what), 401
	case packets.ConnackUnsupportedProtocolVersion, 0x01:
		text = b.host + " does not speak MQTT version 5"
	default:
		text += fmt.Sprintf(" (reason %#x)", code)
	}
	err := error(&connectors.StatusError{Status: status, Message: text})
	switch code {
	case packets.ConnackServerUnavailable, packets.ConnackServerBusy, packets.ConnackConnectionRateExceeded, packets.ConnackQuotaExceeded:
		return err
	}
	return connectors.Permanent(err)
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// check is the test call.
func check(ctx context.Context, c *connectors.Call) (any, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	b, err := brokerOf(ctx, c)
	if err != nil {
		return nil, err
	}
	client, _, err := b.connect(ctx, c, "", paho.ClientConfig{})
	if err != nil {
		return nil, err
	}
	_ = client.Disconnect(&paho.Disconnect{})
	return map[string]any{"broker": b.host}, nil
}

// publish is the action.
func publish(ctx context.Context, c *connectors.Call) (any, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	m, err := message(c.Input)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	b, err := brokerOf(ctx, c)
	if err != nil {
		return nil, err
	}
	client, _, err := b.connect(ctx, c, "", paho.ClientConfig{PacketTimeout: timeout})
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Disconnect(&paho.Disconnect{}) }()
	res, err := client.Publish(ctx, m)
	if res != nil && res.ReasonCode >= 0x80 {
		return nil, b.refused("message", res.ReasonCode)
	}
	if err != nil {
		if errors.Is(err, paho.ErrInvalidArguments) {
			return nil, connectors.Permanent(fmt.Errorf("%s cannot take this message: %w", b.host, err))
		}
		return nil, wire.Describe(ctx, b.address(), err)
	}
	return map[string]any{"topic": m.Topic, "bytes": len(m.Payload)}, nil
}

// message reads the input of publish.
func message(input map[string]any) (*paho.Publish, error) {
	for key := range input {
		switch key {
		case "topic", "payload", "retain", "qos", "content_type":
		default:
			return nil, fmt.Errorf("there is no input %q", key)
		}
	}
	topic, err := topicOf(input)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(topic, "+#") { // section 4.7.1
		return nil, errors.New("topic holds + or #, which only stand in what is listened to")
	}
	qos, err := qosOf(input)
	if err != nil {
		return nil, err
	}
	m := &paho.Publish{Topic: topic, QoS: qos, Properties: &paho.PublishProperties{}}
	switch v := input["payload"].(type) {
	case nil:
	case string:
		m.Payload = []byte(v)
	default:
		if m.Payload, err = value.AppendJSON(nil, v); err != nil {
			return nil, fmt.Errorf("payload: %w", err)
		}
		m.Properties.ContentType = "application/json"
	}
	if len(m.Payload) > maxMessage {
		return nil, fmt.Errorf("payload has %d bytes, at most %d can be sent", len(m.Payload), maxMessage)
	}
	switch v := input["retain"].(type) {
	case nil:
	case bool:
		m.Retain = v
	default:
		return nil, errors.New("retain is neither true nor false")
	}
	switch v := input["content_type"].(type) {
	case nil:
	case string:
		m.Properties.ContentType = v
	default:
		return nil, errors.New("content_type is not text")
	}
	return m, nil
}

func topicOf(input map[string]any) (string, error) {
	topic, ok := input["topic"].(string)
	switch {
	case !ok || topic == "":
		return "", errors.New("topic is missing")
	case len(topic) > maxTopic || !utf8.ValidString(topic) || strings.IndexFunc(topic, unicode.IsControl) >= 0:
		return "", errors.New("topic is too long or holds a control character")
	}
	return topic, nil
}

func qosOf(input map[string]any) (byte, error) {
	switch v := input["qos"].(type) {
	case nil:
		return 1, nil
	case int:
		if v == 0 || v == 1 {
			return byte(v), nil
		}
	case float64:
		if v == 0 || v == 1 {
			return byte(v), nil
		}
	}
	return 0, errors.New("qos is neither 0 nor 1")
}

// filter checks what is listened to (section 4.7.1).
func filter(topic string) error {
	parts := strings.Split(topic, "/")
	for i, part := range parts {
		if strings.Contains(part, "+") && part != "+" || strings.Contains(part, "#") && (part != "#" || i != len(parts)-1) {
			return fmt.Errorf("topic %q: + stands for a whole level, and # for all below at the end", topic)
		}
	}
	return nil
}

// listen is the trigger. The id of its session is made of the workflow and of what is listened to, so that after a
// restart the broker sends what came in between.
func listen(ctx context.Context, c *connectors.Call, emit func(ctx context.Context, item connectors.Item) error) error {
	topic, err := topicOf(c.Input)
	if err == nil {
		err = filter(topic)
	}
	if err != nil {
		return connectors.Permanent(err)
	}
	qos, err := qosOf(c.Input)
	if err != nil {
		return connectors.Permanent(err)
	}
	retained, _ := c.Input["retained"].(bool)
	b, err := brokerOf(ctx, c)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", c.Workflow, b.name, topic, qos))
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	client, ack, err := b.connect(work, c, "bellhop-"+hex.EncodeToString(sum[:6]), paho.ClientConfig{
		EnableManualAcknowledgment: true, SendAcksInterval: ackEvery,
		OnClientError:      func(err error) { stop(wire.Describe(ctx, b.address(), err)) },
		OnServerDisconnect: func(d *paho.Disconnect) { stop(b.refused("connection", d.ReasonCode)) },
		// The library calls this for one message after another; the next waits until this one is durable.
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(in paho.PublishReceived) (bool, error) {
			if work.Err() != nil {
				return true, nil
			}
			if !in.Packet.Retain || retained {
				if err := emit(work, connectors.Item{Body: body(in.Packet)}); err != nil {
					stop(err) // not acknowledged: the broker sends it again
					return true, nil
				}
			}
			if err := in.Client.Ack(in.Packet); err != nil {
				stop(wire.Describe(ctx, b.address(), err))
			}
			return true, nil
		}},
	})
	if err != nil {
		return err
	}
	defer func() {
		select { // the library sends acknowledgments by a clock and has no other end for them
		case <-time.After(5 * ackEvery):
		case <-client.Done():
		}
		_ = client.Disconnect(&paho.Disconnect{})
	}()
	handling := byte(0) // send what is retained
	if !retained {
		handling = 2
	} else if ack.SessionPresent {
		handling = 1
	}
	answer, err := client.Subscribe(work, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: qos, RetainHandling: handling}}})
	if answer != nil && len(answer.Reasons) > 0 && answer.Reasons[0] >= 0x80 {
		// A session that goes on has its subscription; some brokers then take our packet for one of theirs.
		if !ack.SessionPresent || answer.Reasons[0] != packets.SubackPacketIdentifierinuse {
			return b.refused("topic "+topic, answer.Reasons[0])
		}
	} else if err != nil {
		return wire.Describe(work, b.address(), err)
	}
	select {
	case <-work.Done():
	case <-client.Done():
		stop(fmt.Errorf("%s closed the connection", b.host))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return context.Cause(work)
}

// body is what starts a run.
func body(p *paho.Publish) map[string]any {
	out := map[string]any{"topic": p.Topic, "retained": p.Retain, "qos": int(p.QoS), "type": ""}
	if p.Properties != nil {
		out["type"] = strings.ToValidUTF8(p.Properties.ContentType, "\uFFFD")
	}
	if !utf8.Valid(p.Payload) {
		out["text"], out["payload"] = "", base64.StdEncoding.EncodeToString(p.Payload)
		return out
	}
	out["text"], out["payload"] = string(p.Payload), string(p.Payload)
	if v, err := value.DecodeJSON(p.Payload); err == nil {
		out["payload"] = v
	}
	return out
}

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#6b3fa0" stroke-width="2" stroke-linecap="round"><circle cx="12" cy="12" r="2.4" fill="#6b3fa0" stroke="none"/><path d="M7.4 16.6a6.5 6.5 0 0 1 0-9.2M16.6 7.4a6.5 6.5 0 0 1 0 9.2M4.6 19.4a10.4 10.4 0 0 1 0-14.8M19.4 4.6a10.4 10.4 0 0 1 0 14.8"/></svg>`
