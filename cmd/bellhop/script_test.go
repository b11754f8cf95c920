package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the programs that scripts call: bellhop itself, and small tools beside it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bellhop": main,
		"http":    tool(httpTool),
		"code":    tool(codeTool),
		"until":   tool(untilTool),
		"sink":    tool(sinkTool),
		"term":    tool(termTool),
		"load":    tool(loadTool),
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"capture": capture, "harm": harm},
		Setup: func(e *testscript.Env) error {
			port, err := freePort()
			if err != nil {
				return err
			}
			sink, err := freePort()
			if err != nil {
				return err
			}
			e.Setenv("SINK", sink)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each program waits a second at its end
			e.Setenv("PORT", port)
			e.Setenv("URL", "http://127.0.0.1:"+port)
			e.Setenv("BELLHOP_LISTEN", "127.0.0.1:"+port)
			e.Setenv("BELLHOP_SERVER", "http://127.0.0.1:"+port)
			return nil
		},
	})
}

// capture sets a variable to what a pattern finds in the last output, or in its first group: capture RUN '[0-9a-v]{26}'.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("capture: want a variable and a pattern")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("capture: nothing matches %q", args[1])
	}
	ts.Setenv(args[0], found[len(found)-1])
}

// harm damages a file: harm cut FILE leaves the first half of it, harm flip FILE TEXT flips bits of every TEXT in it.
func harm(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || (args[0] == "flip") != (len(args) == 3) {
		ts.Fatalf("harm: want cut and a file, or flip, a file and a text")
	}
	path := ts.MkAbs(args[1])
	src, err := os.ReadFile(path)
	ts.Check(err)
	if args[0] == "cut" {
		ts.Check(os.WriteFile(path, src[:len(src)/2], 0o600))
		return
	}
	flipped := []byte(args[2])
	for i := range flipped {
		flipped[i] ^= 0x5a
	}
	if !bytes.Contains(src, []byte(args[2])) {
		ts.Fatalf("harm: %s has no %q", args[1], args[2])
	}
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(src, []byte(args[2]), flipped), 0o600))
}

// lastPort is where freePort looked last. It begins anywhere, as other processes do this too.
var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32()) }

// freePort is a port that nobody uses, and that nobody will be given: the system takes those for outgoing connections,
// and for listeners that want any, from 32768 on.
func freePort() (string, error) {
	const low, ports = 20_000, 12_000
	for range ports {
		port := strconv.Itoa(low + int(lastPort.Add(1)%ports))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return "", errors.New("all ports are in use")
}

func tool(run func(args []string) error) func() {
	return func() {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// httpTool makes one call and prints the status on the first line and the body below:
//
//	http [-H 'Name: value']... METHOD URL [BODY]
//
// A body that begins with @ is the content of a file. A refused connection is tried again for a minute.
func httpTool(args []string) error {
	var headers []string
	for len(args) > 1 && args[0] == "-H" {
		headers, args = append(headers, args[1]), args[2:]
	}
	if len(args) < 2 {
		return errors.New("http: want a method and an address")
	}
	body := ""
	if len(args) > 2 {
		body = args[2]
		if name, ok := strings.CutPrefix(body, "@"); ok {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			body = string(text)
		}
	}
	client := &http.Client{Timeout: 40 * time.Second}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequest(args[0], args[1], strings.NewReader(body))
		if err != nil {
			return err
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ":")
			req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		res, err := client.Do(req)
		var refused *net.OpError
		if errors.As(err, &refused) && refused.Op == "dial" && time.Now().Before(end) {
			continue
		}
		if err != nil {
			return err
		}
		defer res.Body.Close()
		fmt.Println(res.StatusCode)
		if _, err := io.Copy(os.Stdout, res.Body); err != nil {
			return err
		}
		fmt.Println()
		return nil
	}
}

// codeTool runs a command and fails unless it exits with the code: code 3 bellhop serve.
func codeTool(args []string) error {
	if len(args) < 2 {
		return errors.New("code: want a code and a command")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return err
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("code: %s exits with %d, want %d", args[1], got, want)
	}
	return nil
}

// untilTool runs a command again and again until its output matches, for at most the time given, and prints that
// output: until 5s 'succeeded' bellhop runs list.
func untilTool(args []string) error {
	if len(args) < 3 {
		return errors.New("until: want a time, a pattern and a command")
	}
	limit, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit+5*time.Second)
	defer cancel()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		cmd := exec.CommandContext(ctx, args[2], args[3:]...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // an error shows in the output, if at all: it may pass
		if pattern.Match(out.Bytes()) {
			_, err := os.Stdout.Write(out.Bytes())
			return err
		}
		if time.Since(began) > limit {
			return fmt.Errorf("until: no %q within %s, but\n%s", args[1], limit, out.Bytes())
		}
	}
}

// sinkTool is a receiver on the loopback: it answers each call with the status of its path (/500 answers 500) and
// prints method, path and body. A call of /200?until=FILE is answered when there is that file. sink ADDRESS.
func sinkTool(args []string) error {
	if len(args) != 1 {
		return errors.New("sink: want an address")
	}
	server := &http.Server{Addr: args[0], ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		for file := r.URL.Query().Get("until"); file != "" && r.Context().Err() == nil; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(filepath.Base(file)); err == nil {
				break
			}
		}
		fmt.Println(r.Method, r.URL.Path, string(body))
		status, err := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
		if err != nil {
			status = http.StatusOK
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"ok":true}`)
	})}
	return server.ListenAndServe()
}

// loadTool makes calls one after another until it is told to stop, and fails when one is refused: load URL.
func loadTool(args []string) error {
	if len(args) != 1 {
		return errors.New("load: want an address")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for n := 0; ctx.Err() == nil; n++ {
		res, err := http.Post(args[0], "application/json", strings.NewReader(fmt.Sprintf(`{"load": %d}`, n)))
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			return fmt.Errorf("load: call %d: %s", n, res.Status)
		}
	}
	return nil
}

// termTool sends SIGTERM to the server that holds a data folder: term data.
func termTool(args []string) error {
	if len(args) != 1 {
		return errors.New("term: want a data folder")
	}
	text, err := os.ReadFile(filepath.Join(args[0], "bellhop.lock"))
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Sscanf(string(text), "process %d on", &pid); err != nil {
		return fmt.Errorf("term: %q names no process: %w", text, err)
	}
	return syscall.Kill(pid, syscall.SIGTERM)
}
