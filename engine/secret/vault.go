package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Names of the files in the data directory: what is sealed, and its key.
const (
	VaultFile = "secrets.json"
	KeyFile   = "secret.key"

	vaultFile   = VaultFile
	keyFile     = KeyFile
	nextKeyFile = "secret.key.next" // until the records are sealed with it
)

const (
	vaultFormat = 1
	keyBytes    = 32
	maxSealed   = 1000      // connections of one vault
	maxRecord   = 256 << 10 // bytes of one connection, as JSON
	maxVault    = maxSealed * maxRecord
)

// Errors of a vault that cannot be opened. Both stop a start: what is sealed must not look as if it were not there.
var (
	ErrWrongKey     = errors.New("the key does not open the sealed secrets")
	ErrDamagedVault = errors.New("the sealed secrets are damaged")
)

// A Vault keeps what people enter as secrets, sealed, in one file of the data directory. Every connection is
// encrypted with a key of its own (AES-256-GCM), which is wrapped by the vault's key; both are bound to the name of
// the connection and to the version of the record, so that neither can stand in for another. The vault's key lies in
// a file of its own with mode 0600, or comes from outside. Whoever has both files has the secrets.
//
// Every change is on disk when the call returns: the file is written beside the old one, synced, and renamed. It is
// safe for concurrent use by one process.
type Vault struct {
	dir     string
	outside bool // the key is not in keyFile

	mu      sync.Mutex
	key     []byte // nil: nothing is sealed yet
	records map[string]sealed
}

// sealed is one record as it lies in the file.
type sealed struct {
	Version uint64 `json:"version"`
	Key     []byte `json:"key"`  // of Data, wrapped: nonce and ciphertext
	Data    []byte `json:"data"` // nonce and ciphertext
}

type vaultContent struct {
	Format  int               `json:"format"`
	KeyID   string            `json:"key_id"`
	Records map[string]sealed `json:"records"`
}

// OpenVault opens the vault of a data directory. key is the vault's key as text, 32 bytes in base64, where it is kept
// outside of the directory; empty: it is in the file secret.key, which is made with the first secret. Every record
// is opened once, so that a wrong key or damage is known before anything runs.
func OpenVault(dir, key string) (*Vault, error) {
	v := &Vault{dir: dir, outside: key != "", records: map[string]sealed{}}
	if key != "" {
		k, err := parseKey(key)
		if err != nil {
			return nil, fmt.Errorf("the secret key: %w", err)
		}
		v.key = k
	}
	path := filepath.Join(dir, vaultFile)
	content, err := readVault(path)
	if errors.Is(err, fs.ErrNotExist) {
		// The key gets its name after the first record is on disk, so a key without records means that they got lost.
		if _, err := os.Stat(filepath.Join(dir, keyFile)); err == nil {
			return nil, fmt.Errorf("%s: %w: the file is missing, and its key is there\n  Take the file from a backup; "+
				"to forget every secret that was entered, remove %s too", path, ErrDamagedVault, keyFile)
		}
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	if err := v.findKey(content.KeyID); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	v.records = content.Records
	for name := range v.records {
		if _, err := v.open(name); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return v, nil
}

// CheckVault reports why the vault of a data directory cannot be opened, and changes nothing. key is that of [OpenVault].
func CheckVault(dir, key string) error {
	if _, err := os.Stat(filepath.Join(dir, nextKeyFile)); err == nil {
		return fmt.Errorf("%s: a change of the key was cut off: the next start of the server ends it", filepath.Join(dir, nextKeyFile))
	}
	_, err := OpenVault(dir, key) // it writes only to end such a change
	return err
}

func readVault(path string) (*vaultContent, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var c vaultContent
	if len(text) > 2*maxVault {
		return nil, fmt.Errorf("%s: %w: it has %d bytes", path, ErrDamagedVault, len(text))
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s: %w: %w\n  Take the file from a backup; removing it forgets every secret that was entered", path, ErrDamagedVault, err)
	}
	if c.Format > vaultFormat {
		return nil, fmt.Errorf("%s: a newer release wrote it (format %d, this one reads %d)", path, c.Format, vaultFormat)
	}
	if c.Format < 1 || c.KeyID == "" {
		return nil, fmt.Errorf("%s: %w: it has no format or no key_id", path, ErrDamagedVault)
	}
	if c.Records == nil {
		c.Records = map[string]sealed{}
	}
	return &c, nil
}

// findKey sets the key that sealed the file, and ends a change of the key that a crash cut off.
func (v *Vault) findKey(id string) error {
	if v.outside {
		if keyID(v.key) != id {
			return fmt.Errorf("%w: the key given has the id %s, the file was sealed with %s", ErrWrongKey, keyID(v.key), id)
		}
		return nil
	}
	path, next := filepath.Join(v.dir, keyFile), filepath.Join(v.dir, nextKeyFile)
	key, err := readKey(path)
	if err == nil && keyID(key) == id {
		v.key = key
		return nil
	}
	if nextKey, nerr := readKey(next); nerr == nil && keyID(nextKey) == id {
		v.key = nextKey
		if err := v.nameKey(); err != nil {
			return fmt.Errorf("end the change of the key: %w", err)
		}
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not there. Put it back, or give the key as BELLHOP_SECRET_KEY", ErrWrongKey, path)
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: the key in %s has the id %s, the file was sealed with %s", ErrWrongKey, path, keyID(key), id)
}

func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func parseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("want %d bytes in base64, such as `openssl rand -base64 %d` prints", keyBytes, keyBytes)
	}
	return key, nil
}

// keyID tells keys apart without saying anything about them.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("bellhop vault key\x00"), key...))
	return hex.EncodeToString(sum[:6])
}

// Names returns which connections have a record. A record whose name has a slash belongs to something else.
func (v *Vault) Names() map[string]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := make(map[string]bool, len(v.records))
	for name := range v.records {
		if !strings.Contains(name, "/") {
			names[name] = true
		}
	}
	return names
}

// Get returns what Put stored, and its version; nil and 0 when there is nothing.
func (v *Vault) Get(name string) (data []byte, version uint64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.records[name]
	if !ok {
		return nil, 0, nil
	}
	data, err = v.open(name)
	return data, r.Version, err
}

// Put seals data for a connection if its version is still ifVersion (0: there is none), and returns the new one. It
// is on disk then. ErrChanged: somebody else was first.
func (v *Vault) Put(name string, data []byte, ifVersion uint64) (version uint64, err error) {
	if len(data) > maxRecord {
		return 0, fmt.Errorf("seal %s: it has %d bytes, at most %d can be kept", name, len(data), maxRecord)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	was, ok := v.records[name]
	if was.Version != ifVersion {
		return 0, fmt.Errorf("seal %s: %w", name, ErrChanged)
	}
	if !ok && len(v.records) >= maxSealed {
		return 0, fmt.Errorf("seal %s: there are %d connections already", name, maxSealed)
	}
	key := v.key
	if key == nil {
		if key, err = v.makeKey(); err != nil {
			return 0, fmt.Errorf("seal %s: %w", name, err)
		}
	}
	r := sealed{Version: was.Version + 1}
	dataKey := random(keyBytes)
	r.Data = seal(dataKey, data, bound("data", name, r.Version))
	r.Key = seal(key, dataKey, bound("key", name, r.Version))
	records := maps.Clone(v.records)
	records[name] = r
	if err = v.write(records, key); err == nil && v.key == nil {
		v.key = key
		err = v.nameKey()
	}
	if err != nil {
		return 0, fmt.Errorf("seal %s: %w", name, err)
	}
	return r.Version, nil
}

// Delete forgets a connection. One that is not there is no error.
func (v *Vault) Delete(name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.records[name]; !ok {
		return nil
	}
	records := maps.Clone(v.records)
	delete(records, name)
	if err := v.write(records, v.key); err != nil {
		return fmt.Errorf("forget the secrets of %s: %w", name, err)
	}
	return nil
}

// Rotate makes a new key and wraps every record with it. After a crash at any point the vault opens with either the
// old or the new key, whichever sealed the file.
func (v *Vault) Rotate() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.outside {
		return errors.New("the key is kept outside of Bellhop: it can only be changed there")
	}
	if v.key == nil {
		return nil
	}
	key, err := v.makeKey()
	if err != nil {
		return fmt.Errorf("rotate the key: %w", err)
	}
	records := make(map[string]sealed, len(v.records))
	for name, r := range v.records {
		dataKey, err := unseal(v.key, r.Key, bound("key", name, r.Version))
		if err != nil {
			return fmt.Errorf("rotate the key: the secrets of %s: %w", name, ErrDamagedVault)
		}
		r.Key = seal(key, dataKey, bound("key", name, r.Version))
		records[name] = r
	}
	if err := v.write(records, key); err != nil {
		return fmt.Errorf("rotate the key: %w", err)
	}
	v.key = key
	if err := v.nameKey(); err != nil {
		return fmt.Errorf("rotate the key: %w", err)
	}
	return nil
}

// open decrypts one record. The caller holds mu, or is alone.
func (v *Vault) open(name string) ([]byte, error) {
	r := v.records[name]
	dataKey, err := unseal(v.key, r.Key, bound("key", name, r.Version))
	if err == nil {
		var data []byte
		if data, err = unseal(dataKey, r.Data, bound("data", name, r.Version)); err == nil {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%w: those of connection %s do not open", ErrDamagedVault, name)
}

// write replaces the file and then what memory holds.
func (v *Vault) write(records map[string]sealed, key []byte) error {
	text, err := json.MarshalIndent(vaultContent{Format: vaultFormat, KeyID: keyID(key), Records: records}, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(v.dir, vaultFile, append(text, '\n')); err != nil {
		return err
	}
	v.records = records
	return nil
}

// makeKey writes a new key under its name for the time until records are sealed with it; nameKey gives it its own.
func (v *Vault) makeKey() ([]byte, error) {
	key := random(keyBytes)
	return key, replaceFile(v.dir, nextKeyFile, []byte(base64.StdEncoding.EncodeToString(key)+"\n"))
}

func (v *Vault) nameKey() error {
	if err := os.Rename(filepath.Join(v.dir, nextKeyFile), filepath.Join(v.dir, keyFile)); err != nil {
		return err
	}
	return syncDir(v.dir)
}

// replaceFile writes a file that only its owner can read, and returns when it and its name are on disk.
func replaceFile(dir, name string, content []byte) error {
	tmp, err := os.CreateTemp(dir, name+".*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone after the rename
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// bound is what a ciphertext is bound to: it opens as nothing else.
func bound(what, name string, version uint64) []byte {
	return fmt.Appendf(nil, "bellhop %s of connection %s, version %d", what, name, version)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func seal(key, plain, with []byte) []byte {
	gcm := cipherOf(key)
	nonce := random(gcm.NonceSize())
	return gcm.Seal(nonce, nonce, plain, with)
}

func unseal(key, sealed, with []byte) ([]byte, error) {
	if len(key) != keyBytes {
		return nil, ErrDamagedVault
	}
	gcm := cipherOf(key)
	if len(sealed) < gcm.NonceSize() {
		return nil, ErrDamagedVault
	}
	return gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], with)
}

// cipherOf cannot fail for a key of 32 bytes.
func cipherOf(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}
