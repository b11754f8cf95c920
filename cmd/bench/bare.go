package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// The bare program does the whole job with the same durability and nothing else: receive, group commit, filter,
// map three fields, group commit of the start, POST, group commit of the result. No language, no retries, no
// recovery, no history that can be read.

type bareWrite struct {
	key, value []byte
	done       chan error
}

func runBare(ctx context.Context, dir, sink string) error {
	db, err := bbolt.Open(filepath.Join(dir, "bare.db"), 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	bucket := []byte("j")
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucketIfNotExists(bucket); return err }); err != nil {
		return err
	}
	writes := make(chan bareWrite, 8192)
	go func() { // one writer, group commit, waits up to 2 ms for as many as the last time
		last, took := 1, time.Millisecond
		batch := make([]bareWrite, 0, 4096)
		for w := range writes {
			batch = append(batch[:0], w)
			deadline := time.NewTimer(min(took/2, 2*time.Millisecond))
		linger:
			for len(batch) < last {
				select {
				case w := <-writes:
					batch = append(batch, w)
				case <-deadline.C:
					break linger
				}
			}
			deadline.Stop()
		drain:
			for len(batch) < cap(batch) {
				select {
				case w := <-writes:
					batch = append(batch, w)
				default:
					break drain
				}
			}
			begun := time.Now()
			err := db.Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucket)
				for _, w := range batch {
					if err := b.Put(w.key, w.value); err != nil {
						return err
					}
				}
				return nil
			})
			took = (7*took + time.Since(begun)) / 8
			last = max(len(batch), last*7/8)
			for _, w := range batch {
				w.done <- err
			}
		}
	}()
	put := func(id uint64, seq byte, value []byte) error {
		key := append(binary.BigEndian.AppendUint64(nil, id), seq)
		done := make(chan error, 1)
		writes <- bareWrite{key, value, done}
		return <-done
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}, Timeout: 30 * time.Second}
	var ids, finished atomic.Uint64
	ids.Store(uint64(time.Now().UnixNano()))
	slots := make(chan struct{}, 512)
	work := func(id uint64, raw []byte) error {
		defer finished.Add(1)
		defer func() { <-slots }()
		var event struct {
			Total    float64 `json:"total"`
			Customer struct {
				Name string `json:"name"`
			} `json:"customer"`
			ID string `json:"id"`
		}
		if err := json.Unmarshal(raw, &event); err != nil {
			return err
		}
		if event.Total < 100 {
			return put(id, 1, []byte("filtered"))
		}
		body, err := json.Marshal(map[string]any{"order": event.ID, "customer": event.Customer.Name, "cents": int(event.Total * 100)})
		if err != nil {
			return err
		}
		if err := put(id, 1, body); err != nil {
			return err
		}
		resp, err := client.Post(sink, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		return put(id, 2, answer)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hooks/order", func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || !json.Valid(raw) {
			http.Error(w, "bad body", http.StatusBadRequest)
			return
		}
		id := ids.Add(1)
		if err := put(id, 0, raw); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"run":"%d"}`, id)
		go func() {
			slots <- struct{}{}
			if err := work(id, raw); err != nil {
				fmt.Println("bare:", err)
			}
		}()
	})
	mux.HandleFunc("GET /finished", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, finished.Load()) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", ln.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { <-ctx.Done(); srv.Close() }()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
