//go:build race

package workflow_test

// raceDetector reports that this build is slow, and large, on purpose.
const raceDetector = true
