// Package workflows holds the examples that ship with Bellhop, each with its test.
package workflows

import "embed"

// Files are the examples, <name>.yaml and <name>.test.yaml, and bellhop.yaml, the settings with what they connect to.
//
//go:embed *.yaml demo/*.yaml
var Files embed.FS
