//go:build race

package workflow_test

// slowdown is by how much the race detector slows a reader of texts.
const slowdown = 10
