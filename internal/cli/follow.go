package cli

import (
	"context"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

const (
	// firstLook and longestLook are the waits between two looks at a release.
	firstLook   = 250 * time.Millisecond
	longestLook = 3 * time.Second
	// patience is how long the server may be away while a release is watched: it
	// takes releases up again when it starts.
	patience = 2 * time.Minute
)

// follow looks at a release until it has ended, and shows each look. It answers the
// last one, also with an error.
func (c *command) follow(ctx context.Context, cl *client, id string, w watcher) (last report.View, err error) {
	wait, seen := firstLook, c.Clock.Now()
	for {
		var view report.View
		err := cl.get(ctx, nil, &view, "releases", id)
		switch {
		case err == nil:
			seen, last = c.Clock.Now(), view
			w.show(view)
			if view.State.Ended() {
				return view, nil
			}
		case ctx.Err() != nil || release.KindOf(err) != release.Transient || c.Clock.Now().Sub(seen) > patience:
			return last, err
		}
		if err := c.pause(ctx, wait, w); err != nil {
			return last, release.Errorf(release.Transient, "interrupted").WithRemedy("Run it again to go on watching.")
		}
		wait = min(wait*3/2, longestLook)
	}
}

// pause waits for the next look, and lets each second be seen.
func (c *command) pause(ctx context.Context, wait time.Duration, w watcher) error {
	for {
		part := min(wait, time.Second)
		if err := c.Clock.Sleep(ctx, part); err != nil {
			return err
		}
		if wait -= part; wait <= 0 {
			return nil
		}
		w.tick()
	}
}
