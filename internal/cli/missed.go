package cli

import (
	"context"

	"github.com/tagboat/tagboat/internal/app"
)

// lookForMissed looks for events that did not come, as the stack's schedule does.
func (s *station) lookForMissed(ctx context.Context) {
	missed := s.local.Missed()
	for {
		found, err := missed.Look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.ErrorContext(ctx, "missed events could not be looked for", "error", err)
		case found != app.Found{}:
			s.log.InfoContext(ctx, "looked for missed events", "started", found.Started, "redelivered", found.Redelivered, "failed", found.Failed)
		}
		if s.clock.Sleep(ctx, sweepInterval) != nil {
			return
		}
	}
}
