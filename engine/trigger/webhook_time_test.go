package trigger_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections live in memory, so that a bubble's clock runs while they wait.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// exchange sends text, waits for an answer and returns it with how long it took.
func exchange(t *testing.T, h http.Handler, text string) (status int, body string, took time.Duration) {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 25 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	client, server := net.Pipe()
	l.conns <- server
	defer func() {
		client.Close()
		srv.Close()
		<-done
	}()
	begun := time.Now()
	if _, err := io.WriteString(client, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data), time.Since(begun)
}

func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir())
		h.live(t, parse(t, "in", openHook))
		status, body, took := exchange(t, h, "POST /hooks/in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
		if status != http.StatusRequestTimeout || took != 20*time.Second {
			t.Errorf("%d %s after %s, want 408 after 20 s", status, body, took)
		}
	})
}

// A caller that waits gets its 202 after 30 s: neither the deadline of the body nor that of the server cuts it off.
func TestRespondGivesUp(t *testing.T) {
	for _, respond := range []string{"step", "finished"} {
		t.Run(respond, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, t.TempDir())
				h.live(t, parse(t, "in", "triggers:\n  - webhook: {respond: "+respond+"}\nsteps:\n  - respond: {body: x}\n"))
				// Nothing works on the run.
				status, body, took := exchange(t, h, "POST /hooks/in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
				if status != 202 || !strings.HasPrefix(body, `{"run":"`) || took != 30*time.Second {
					t.Errorf("%d %s after %s, want 202 after 30 s", status, body, took)
				}
			})
		})
	}
}

// Bodies under way are bounded by what they can cost in memory; who comes too many is told to come again.
func TestTooManyLargeBodies(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", openHook))
	srv := serve(t, h)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	status := 0
	for len(held) < 50 && status != http.StatusServiceUnavailable {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
		// The server asks for the body once it has made room for it.
		if _, err := io.WriteString(conn, "POST /hooks/in HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "+strconv.Itoa(1<<20)+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if status, err = strconv.Atoi(strings.Fields(line)[1]); err != nil {
			t.Fatal(err)
		}
	}
	if status != http.StatusServiceUnavailable || len(held) < 4 {
		t.Fatalf("body %d of a megabyte: %d", len(held), status)
	}
	if a := do(t, srv, "POST", "/hooks/in", "application/json", `{}`); a.status != 202 {
		t.Errorf("a small body beside them: %d %s", a.status, a.body)
	}
	for _, c := range held {
		c.Close()
	}
	await(t, "room again", func() bool {
		a := do(t, srv, "POST", "/hooks/in", "application/json", `"`+strings.Repeat("x", 1<<20-2)+`"`)
		return a.status == 202
	})
}
