package sim

import (
	"encoding/json"
	"fmt"
	"time"
)

// objectEvent is EventBridge's "Object Created" event.
//
// Source: Amazon S3 User Guide, "EventBridge event message structure".
type objectEvent struct {
	Version    string       `json:"version"`
	ID         string       `json:"id"`
	DetailType string       `json:"detail-type"`
	Source     string       `json:"source"`
	Account    string       `json:"account"`
	Time       string       `json:"time"`
	Region     string       `json:"region"`
	Resources  []string     `json:"resources"`
	Detail     objectDetail `json:"detail"`
}

type objectDetail struct {
	Version         string      `json:"version"`
	Bucket          eventBucket `json:"bucket"`
	Object          eventObject `json:"object"`
	RequestID       string      `json:"request-id"`
	Requester       string      `json:"requester"`
	SourceIPAddress string      `json:"source-ip-address"`
	Reason          string      `json:"reason"`
}

type eventBucket struct {
	Name string `json:"name"`
}

// eventObject has no version-id where the bucket keeps no versions. The key is not URL-encoded.
type eventObject struct {
	Key       string `json:"key"`
	Size      int    `json:"size"`
	ETag      string `json:"etag"`
	VersionID string `json:"version-id,omitempty"`
	Sequencer string `json:"sequencer"`
}

// OnEvent sets the hook that receives the events of EventBridge-enabled buckets, in the
// goroutine of whoever created the object and after it was created.
func (c *Cloud) OnEvent(hook func(event json.RawMessage)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEvent = hook
}

// announce queues the event of an object that was created; the cloud's lock is held.
func (r request) announce(b *bucket, o *object, reason string) error {
	c := r.session.cloud
	if !b.eventBridge || c.onEvent == nil {
		return nil
	}
	event, err := json.Marshal(objectEvent{
		Version: "0", ID: c.uuid(), DetailType: "Object Created", Source: "aws.s3", Account: b.account,
		Time: o.modified.UTC().Format(time.RFC3339), Region: b.region, Resources: []string{bucketARN(b.name)},
		Detail: objectDetail{
			Version: "0", Bucket: eventBucket{Name: b.name},
			Object: eventObject{
				Key: o.key, Size: len(o.body), ETag: unquoted(o.etag), VersionID: value(b.version(o)),
				Sequencer: fmt.Sprintf("%018X", c.next()),
			},
			RequestID: fmt.Sprintf("SIM%013d", c.next()), Requester: r.session.account,
			SourceIPAddress: "192.0.2.1", Reason: reason,
		},
	})
	if err != nil {
		return err
	}
	c.undelivered = append(c.undelivered, event)
	return nil
}
