// Package value is the plain data that flows through Bellhop: nil, bool, int, float64, string, []any and
// map[string]any, and json.Number for whole numbers too large for an int. It reads and writes the formats of the
// outside world, under bounds on depth and size, so that every room sees the same data.
package value
