package connectors

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration reads a length of time as an action's input has it: text such as "90s", "1h30m" or "3d", or a number of
// seconds. It is never negative.
func Duration(v any) (time.Duration, error) {
	var d time.Duration
	switch v := v.(type) {
	case int:
		return seconds(float64(v))
	case float64:
		return seconds(v)
	case string:
		s := strings.TrimSpace(v)
		if days, ok := strings.CutSuffix(s, "d"); ok {
			n, err := strconv.ParseFloat(days, 64)
			if err != nil {
				return 0, fmt.Errorf("%q is not a length of time such as 30s, 5m or 3d", v)
			}
			return seconds(n * 24 * 60 * 60)
		}
		var err error
		if d, err = time.ParseDuration(s); err != nil || d < 0 {
			return 0, fmt.Errorf("%q is not a length of time such as 30s, 5m or 3d", v)
		}
	default:
		return 0, fmt.Errorf("a length of time is text such as 30s, 5m or 3d, not %T", v)
	}
	return d, nil
}

func seconds(n float64) (time.Duration, error) {
	if math.IsNaN(n) || n < 0 || n > float64(math.MaxInt64/time.Second) {
		return 0, fmt.Errorf("%v is not a length of time in seconds", n)
	}
	return time.Duration(n * float64(time.Second)), nil
}
