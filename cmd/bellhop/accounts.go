package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

// openVault opens the sealed secrets of a data directory.
func openVault(data string) (*secret.Vault, error) {
	key, err := secretKey()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, cannotStart("%w", err)
	}
	vault, err := secret.OpenVault(data, key)
	if err != nil {
		return nil, cannotStart("%w", err)
	}
	return vault, nil
}

// secretKey is the key of the sealed secrets where it is kept outside of the data directory: BELLHOP_SECRET_KEY, or the
// file that BELLHOP_SECRET_KEY_FILE names. It is no flag, for others can see those. Empty: it is in the directory.
func secretKey() (string, error) {
	key := os.Getenv("BELLHOP_SECRET_KEY")
	if path := os.Getenv("BELLHOP_SECRET_KEY_FILE"); path != "" {
		if key != "" {
			return "", usagef("BELLHOP_SECRET_KEY and BELLHOP_SECRET_KEY_FILE are both set: take one of them away")
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", cannotStart("BELLHOP_SECRET_KEY_FILE: %w", err)
		}
		if key = strings.TrimSpace(string(text)); key == "" {
			return "", cannotStart("BELLHOP_SECRET_KEY_FILE: %s is empty", path)
		}
	}
	return key, nil
}

// notes keeps how connections are doing beside the runs.
type notes struct{ store engine.Store }

func (n notes) Load(ctx context.Context, name string) ([]byte, error) {
	note, _, err := n.store.KV().Get(ctx, "connection/"+name)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	return note, err
}

func (n notes) Save(ctx context.Context, name string, note []byte) error {
	if _, err := n.store.Accept(ctx, engine.Batch{Puts: []engine.Put{{Key: "connection/" + name, Value: note, AnyRev: true}}}); err != nil {
		return fmt.Errorf("note how connection %s is doing: %w", name, err)
	}
	return nil
}
