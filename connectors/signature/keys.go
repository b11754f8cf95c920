package signature

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	fetchTimeout = 5 * time.Second
	maxKeyFile   = 256 << 10      // bytes of a key set or a certificate
	maxKeyFiles  = 256            // that are remembered
	keysFresh    = time.Hour      // how long a key set is believed without a look
	keysStale    = 24 * time.Hour // how long it is believed while the issuer cannot be reached
	refetch      = time.Minute    // between two looks at one address
	maxFetches   = 30             // a minute, to addresses that calls name
)

// Keys fetches the public keys of senders and remembers them. It is safe for concurrent use, and one of it serves
// every verifier.
type Keys struct {
	client *http.Client
	roots  *x509.CertPool // nil: those of the system

	mu      sync.Mutex
	files   map[string]*keyFile
	minute  time.Time // when fetches began to be counted
	fetches int       // since then, to addresses that calls name
}

// NewKeys returns Keys that fetch with the client, which must not follow redirects. Roots are the authorities that
// certificates must lead to; nil: those of the system.
func NewKeys(client *http.Client, roots *x509.CertPool) *Keys {
	return &Keys{client: client, roots: roots, files: map[string]*keyFile{}}
}

// keyFile is what stands at one address, once it was read.
type keyFile struct {
	mu      sync.Mutex // held while it is fetched, so that one call fetches and the others wait for it
	parsed  any
	fetched time.Time
	tried   time.Time
	err     error
}

func (k *Keys) file(address string) *keyFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.files[address]
	if f == nil {
		if len(k.files) >= maxKeyFiles {
			oldest := slices.MinFunc(slices.Collect(maps.Keys(k.files)), func(a, b string) int {
				return cmp.Compare(k.files[a].lastTried(), k.files[b].lastTried())
			})
			delete(k.files, oldest)
		}
		f = &keyFile{}
		k.files[address] = f
	}
	return f
}

// lastTried is the newest for a file that is being fetched.
func (f *keyFile) lastTried() int64 {
	if !f.mu.TryLock() {
		return 1<<63 - 1
	}
	defer f.mu.Unlock()
	return f.tried.Unix()
}

// get returns what stands at an address. enough says whether what is remembered will do; if not, it is fetched
// again, at most once a minute.
func (k *Keys) get(ctx context.Context, address string, now time.Time, named bool, parse func([]byte) (any, error), enough func(any) bool) (any, error) {
	if k == nil || k.client == nil {
		return nil, errors.New("there is no way to fetch keys")
	}
	f := k.file(address)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parsed != nil && now.Sub(f.fetched) < keysFresh && enough(f.parsed) {
		return f.parsed, nil
	}
	if f.tried.IsZero() || now.Sub(f.tried) >= refetch || now.Before(f.tried) {
		if named && !k.mayFetch(now) {
			return nil, errors.New("too many keys were asked for within a minute")
		}
		f.tried = now
		data, err := k.fetch(ctx, address)
		if err == nil {
			var parsed any
			if parsed, err = parse(data); err == nil {
				f.parsed, f.fetched = parsed, now
			}
		}
		f.err = err
	}
	if f.parsed != nil && now.Sub(f.fetched) < keysStale {
		return f.parsed, nil
	}
	if f.err == nil {
		return nil, errors.New("the keys are too old and could not be fetched again")
	}
	return nil, f.err
}

// mayFetch bounds how often a stranger can make us call somebody.
func (k *Keys) mayFetch(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.minute) >= time.Minute || now.Before(k.minute) {
		k.minute, k.fetches = now, 0
	}
	k.fetches++
	return k.fetches <= maxFetches
}

func (k *Keys) fetch(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout) // for those who wait for it, too
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", req.URL.Host, resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("%s sent more than %d bytes", req.URL.Host, maxKeyFile)
	}
	return data, err
}
