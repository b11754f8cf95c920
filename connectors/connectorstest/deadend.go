package connectorstest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

// deadEnd is an outside world in which nothing works.
type deadEnd struct{}

var errDeadEnd = errors.New("nothing works here")

func fail(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errDeadEnd
}

func (deadEnd) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, fail(r.Context())
}

func (deadEnd) Get(ctx context.Context, _, _ string) (any, bool, error) { return nil, false, fail(ctx) }

func (deadEnd) Set(ctx context.Context, _, _ string, _ any, _ time.Duration, _ string) error {
	return fail(ctx)
}

func (deadEnd) Increment(ctx context.Context, _, _ string, _ any, _ string) (any, error) {
	return nil, fail(ctx)
}

func (deadEnd) Delete(ctx context.Context, _, _, _ string) (bool, error) { return false, fail(ctx) }

func (deadEnd) List(ctx context.Context, _, _ string, _ int) ([]connectors.Pair, error) {
	return nil, fail(ctx)
}
