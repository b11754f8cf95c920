//go:build !race

package workflow_test

const slowdown = 1
