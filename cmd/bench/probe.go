package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// fdatasyncProbe appends 4 KiB and calls fdatasync n times; it returns the median and the rate per second.
func fdatasyncProbe(dir string, n int) (p50 time.Duration, rate float64, err error) {
	f, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	took := make([]time.Duration, 0, n)
	begun := time.Now()
	for range n {
		t := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(t))
	}
	rate = float64(n) / time.Since(begun).Seconds()
	return percentile(took, 0.5), rate, nil
}

// bareCommits is what bbolt alone does.
type bareCommits struct {
	rate float64 // commits per second
	disk float64 // share of the time spent in writing and syncing
}

// commitProbe commits to a new database beside dir what the store in dir was given: values of the size that it stored,
// so many in each of n commits, in the order of their keys. There is no caller to wait for and no event to encode, so
// what the store does in the same minute on the same disk is compared with the least that its commits cost.
func commitProbe(dir string, ops, n int) (r bareCommits, err error) {
	size, err := meanJournalValue(filepath.Join(dir, "state.db"))
	if err != nil {
		return r, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "probe.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		return r, err
	}
	defer db.Close()
	bucket := []byte("j")
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucket); return err }); err != nil {
		return r, err
	}
	var disk time.Duration
	key, value := make([]byte, 20), make([]byte, size)
	begun := time.Now()
	for i := range n {
		tx, err := db.Begin(true)
		if err != nil {
			return r, err
		}
		b := tx.Bucket(bucket)
		for k := range ops {
			binary.BigEndian.PutUint64(key, uint64(i*ops+k))
			if err := b.Put(key, value); err != nil {
				return r, errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return r, err
		}
		st := tx.Stats()
		disk += st.GetWriteTime()
	}
	spent := time.Since(begun)
	return bareCommits{rate: float64(n) / spent.Seconds(), disk: disk.Seconds() / spent.Seconds()}, nil
}

// meanJournalValue is the mean size of what a closed store keeps for a run that has only been accepted, in bytes.
func meanJournalValue(path string) (int, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	n, bytes := 0, 0
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("j")).ForEach(func(_, v []byte) error {
			n++
			bytes += len(v)
			return nil
		})
	})
	return bytes / max(n, 1), err
}

func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, int(float64(len(s))*p))]
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// cpuOf is the processor time that a process has used.
func cpuOf(pid int) (time.Duration, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil // USER_HZ is 100 on Linux
}

// memoryOf reads VmRSS or VmHWM of a process in MiB.
func memoryOf(pid int, name string) (float64, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s of process %d", name, pid)
}
