package main

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/bellhop-dev/bellhop/engine/folder"
)

const (
	defaultListen = "127.0.0.1:7788"
	defaultServer = "http://" + defaultListen
)

// flagName is the flag of a setting: storage.max is --storage-max.
func flagName(key string) string { return strings.NewReplacer("_", "-", ".", "-").Replace(key) }

// addSettings makes a flag of every setting.
func addSettings(flags *pflag.FlagSet) {
	keys := folder.Keys()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		flags.String(flagName(key), "", keys[key]+" ("+folder.Variable(key)+")")
	}
}

// mergeSettings lays flags over variables over bellhop.yaml.
func mergeSettings(flags *pflag.FlagSet, s folder.Settings) (folder.Settings, error) {
	for _, key := range slices.Sorted(maps.Keys(folder.Keys())) {
		name := flagName(key)
		if flags.Changed(name) {
			if err := s.Set(key, flags.Lookup(name).Value.String()); err != nil {
				return s, usagef("--%s: %w", name, err)
			}
			continue
		}
		if text := os.Getenv(folder.Variable(key)); text != "" {
			if err := s.Set(key, text); err != nil {
				return s, usagef("%s: %w", folder.Variable(key), err)
			}
		}
	}
	return s, nil
}

// textFlag is a flag that a variable stands in for, for what bellhop.yaml cannot hold.
func textFlag(flags *pflag.FlagSet, name, variable, fallback, help string) *string {
	if text := os.Getenv(variable); text != "" {
		fallback = text
	}
	return flags.String(name, fallback, help+" ("+variable+")")
}
