package trigger

import (
	"context"

	"github.com/bellhop-dev/bellhop/engine"
)

func (c *endpointCall) tasks(ctx context.Context, h *happening) ([]engine.Put, error) {
	return nil, nil
}
