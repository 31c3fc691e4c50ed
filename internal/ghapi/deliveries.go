package ghapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// maxDeliveryPages is how many pages of deliveries are read, a hundred each.
const maxDeliveryPages = 20

// Delivery is one attempt to deliver an event to the GitHub App's webhook.
type Delivery struct {
	ID int64
	// GUID is the event's: all attempts have the same.
	GUID  string
	Event string
	At    time.Time
	// Code is the HTTP status of the answer; 0 if there was none.
	Code       int
	Repository int64
}

// Arrived tells whether the webhook took the event.
func (d Delivery) Arrived() bool { return d.Code/100 == 2 }

// IsApp tells whether the client acts as a GitHub App: only an app may look at
// deliveries and ask for them again.
func (c *Client) IsApp() bool {
	_, ok := c.token.(*installations)
	return ok
}

// Deliveries lists the attempts to deliver to the app's webhook since a time, the
// latest first, at most two thousand. An app without a webhook has none.
func (c *Client) Deliveries(ctx context.Context, since time.Time) ([]Delivery, error) {
	app, ok := c.token.(*installations)
	if !ok {
		return nil, release.Errorf(release.Invalid, "deliveries can be listed by a GitHub App only")
	}
	const path = "app/hook/deliveries"
	k := call{method: http.MethodGet, path: path + "?per_page=100", what: "the list of webhook deliveries", permission: ownKey}
	var listed []Delivery
	for range maxDeliveryPages {
		resp, err := app.asApp(ctx, k)
		if release.KindOf(err) == release.NotFound {
			return listed, nil
		}
		if err != nil {
			return nil, err
		}
		var page []github.HookDelivery
		err = decode(resp.Body, k, &page)
		_ = resp.Body.Close() // it was read
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			if d.GetDeliveredAt().Before(since) {
				return listed, nil
			}
			listed = append(listed, Delivery{
				ID: d.GetID(), GUID: d.GetGUID(), Event: d.GetEvent(), At: d.GetDeliveredAt().Time,
				Code: d.GetStatusCode(), Repository: d.GetRepositoryID(),
			})
		}
		next := nextPage(resp)
		if next == "" {
			break
		}
		k.path = path + "?" + next
	}
	return listed, nil
}

// Redeliver asks GitHub to deliver again. It is done some time later.
func (c *Client) Redeliver(ctx context.Context, id int64) error {
	app, ok := c.token.(*installations)
	if !ok {
		return release.Errorf(release.Invalid, "a delivery can be asked for again by a GitHub App only")
	}
	resp, err := app.asApp(ctx, call{
		method: http.MethodPost, path: fmt.Sprintf("app/hook/deliveries/%d/attempts", id),
		what: fmt.Sprintf("webhook delivery %d", id), permission: ownKey,
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
