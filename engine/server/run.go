package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds on connections. A sender who is slow or silent holds a connection for seconds, and not all of them.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 20 * time.Second // headers and body; lifted once they are read
	writeTimeout  = 60 * time.Second // from the headers on: the body, 30 s for a respond step, and the answer
	idleTimeout   = 60 * time.Second
	maxHeader     = 32 << 10 // bytes
	drainTimeout  = 25 * time.Second
	maxConns      = 16384
	maxPeerConns  = 1024 // of one address; proxies, which sit on a private one, have no limit of their own
)

// Run serves ln until ctx is done. Then the event streams end, no new connections come in, and calls under way get
// 25 s to finish. It closes ln. A nil error means that everything was answered.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	conns := &connLimit{refused: s.metrics.refused.Inc, peers: map[netip.Addr]int{}}
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ConnState: conns.state, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.watch(ctx) })
	group.Go(func() error { return s.watchDeliveries(ctx) })
	group.Go(func() error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", ln.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		s.hub.close()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if err := server.Shutdown(late); err != nil {
			return errors.Join(fmt.Errorf("calls were cut off after %s: %w", drainTimeout, err), server.Close())
		}
		return nil
	})
	return group.Wait()
}

// connLimit closes connections beyond the bounds at once, which keeps accepting alive where waiting would not.
type connLimit struct {
	refused func()

	mu    sync.Mutex
	total int
	peers map[netip.Addr]int
}

// state is http.Server's callback; New and Closed come once for each connection.
func (l *connLimit) state(c net.Conn, state http.ConnState) {
	if state != http.StateNew && state != http.StateClosed && state != http.StateHijacked {
		return
	}
	peer := peerOf(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	if state != http.StateNew {
		l.total--
		if l.peers[peer]--; l.peers[peer] <= 0 {
			delete(l.peers, peer)
		}
		return
	}
	l.total++
	l.peers[peer]++
	near := !peer.IsValid() || peer.IsLoopback() || peer.IsPrivate()
	if l.total > maxConns || !near && l.peers[peer] > maxPeerConns {
		l.refused()
		_ = c.Close() // its goroutine reads the end and reports Closed
	}
}

// peerOf is the address of the other side; an IPv6 site counts as its /64.
func peerOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	if addr.Is6() && !addr.IsLoopback() {
		if site, err := addr.WithZone("").Prefix(64); err == nil {
			return site.Addr()
		}
	}
	return addr
}
