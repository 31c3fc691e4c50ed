package sim

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Call is one API call, as it was received.
type Call struct {
	// Seq counts the calls of a cloud from 1.
	Seq int
	// Service is the service's prefix in policies: lambda, s3, sts, cloudwatch, dynamodb.
	Service string
	// Action is the API operation: "GetFunction".
	Action string
	// Account and Principal are the caller's.
	Account, Principal string
	// Region is the one that the client talks to; empty for STS.
	Region string
	// Resource is the ARN that the call is about, as permissions see it.
	Resource string
	At       time.Time
}

// Fault is what happens to a call besides what it asks for. The zero Fault is nothing.
type Fault struct {
	// Delay passes before the call is performed; others run meanwhile.
	Delay time.Duration
	// Before is returned instead of performing the call.
	Before error
	// Late is how long after Before the call is performed all the same: it was given up, and is on its
	// way. Arrives is called right before.
	Late    time.Duration
	Arrives func()
	// After is returned after performing the call: the answer is lost.
	After error
	// Hang passes between the call and its answer, if the caller has so much time.
	Hang time.Duration
	// Stale answers a read of Lambda from before the last write, if that was made within
	// [StaleFor].
	Stale bool
}

// OnCall sets the hook that sees every call before it is performed and decides its fault.
func (c *Cloud) OnCall(hook func(Call) Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onCall = hook
}

// RecordCalls sets how many calls [Cloud.Calls] remembers; 0 switches the record off.
func (c *Cloud) RecordCalls(last int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callLimit = last
	c.trimCalls()
}

// Calls is the record of the last calls, oldest first.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls[max(0, len(c.calls)-c.callLimit):])
}

// Interleave makes every call give way to the clock's other goroutines before it is
// performed, so that a simulation meets every interleaving of calls.
func (c *Cloud) Interleave(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interleave = on
}

// trimCalls forgets the oldest calls, but not at every call; c.mu is held.
func (c *Cloud) trimCalls() {
	if len(c.calls) > 2*c.callLimit {
		c.calls = slices.Clone(c.calls[len(c.calls)-c.callLimit:])
	}
}

// request is what an API method says about itself.
type request struct {
	session *Session
	service service
	action  string
	region  string
	// resource is the ARN; for AccessDenied, hooks and records.
	resource string
	// permission is what the caller needs on resource, checked before the call is
	// performed. Empty: the method checks by itself, because a resource policy takes part.
	permission string
}

// service is an AWS service: its prefix in policies and its name in errors.
type service struct{ prefix, id string }

var (
	lambdaService     = service{"lambda", "Lambda"}
	s3Service         = service{"s3", "S3"}
	stsService        = service{"sts", "STS"}
	cloudwatchService = service{"cloudwatch", "CloudWatch"}
	dynamodbService   = service{"dynamodb", "DynamoDB"}
)

// do performs an API call: fault, permission, effect under the lock, object events, lost answer.
func do[T any](ctx context.Context, r request, perform func() (*T, error)) (*T, error) {
	return doThen(ctx, r, perform, nil)
}

// doThen is do with a part that runs after the effect and outside of the lock.
func doThen[T any](ctx context.Context, r request, perform func() (*T, error), then func(*T)) (*T, error) {
	fault, err := r.begin(ctx)
	if err != nil && fault.Late > 0 {
		c := r.session.cloud
		c.clock.Go(func() {
			if c.clock.Sleep(context.Background(), fault.Late) != nil {
				return
			}
			if fault.Arrives != nil {
				fault.Arrives()
			}
			_, _ = take(r, false, perform, then) // nobody hears the answer
		})
	}
	if err != nil {
		return nil, r.wrap(err)
	}
	out, err := take(r, fault.Stale, perform, then)
	if err != nil {
		return nil, r.wrap(err)
	}
	if fault.Hang > 0 {
		if err := r.session.cloud.clock.Sleep(ctx, fault.Hang); err != nil {
			return nil, r.wrap(canceled(err))
		}
	}
	if fault.After != nil {
		return nil, r.wrap(fault.After)
	}
	return out, nil
}

// take is what the service does with a call that has come to it.
func take[T any](r request, stale bool, perform func() (*T, error), then func(*T)) (*T, error) {
	out, err := locked(r, stale, perform)
	if err != nil {
		return nil, err
	}
	if then != nil {
		then(out)
	}
	r.session.cloud.deliver()
	return out, nil
}

// begin records the call and suffers what of its fault comes before the effect.
func (r request) begin(ctx context.Context) (Fault, error) {
	c := r.session.cloud
	call, hook, interleave := r.record()
	var fault Fault
	if hook != nil {
		fault = hook(call)
	}
	if fault.Delay > 0 || interleave {
		if err := c.clock.Sleep(ctx, fault.Delay); err != nil {
			return fault, canceled(err)
		}
	}
	if err := ctx.Err(); err != nil {
		return fault, canceled(err)
	}
	return fault, fault.Before
}

func (r request) record() (Call, func(Call) Fault, bool) {
	c := r.session.cloud
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callSeq++
	call := Call{
		Seq: c.callSeq, Service: r.service.prefix, Action: r.action, Account: r.session.account,
		Region: r.region, Principal: r.session.arn, Resource: r.resource, At: now,
	}
	if c.callLimit > 0 {
		c.calls = append(c.calls, call)
		c.trimCalls()
	}
	return call, c.onCall, c.interleave
}

func locked[T any](r request, stale bool, perform func() (*T, error)) (*T, error) {
	c := r.session.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := r.checkExpiry(); err != nil {
		return nil, err
	}
	if r.permission != "" {
		if err := r.authorize(r.permission, r.resource); err != nil {
			return nil, err
		}
	}
	if stale {
		defer r.goBack()()
	}
	was := r.before()
	out, err := perform()
	if err == nil {
		r.remember(was)
	}
	return out, err
}

// checkExpiry refuses credentials that have expired, in the service's own words.
func (r request) checkExpiry() error {
	s := r.session
	if s.expires.IsZero() || s.cloud.clock.Now().Before(s.expires) {
		return nil
	}
	return Expired(r.service.prefix)
}

// deliver hands the object events of a call to the hook.
func (c *Cloud) deliver() {
	c.mu.Lock()
	events, hook := c.undelivered, c.onEvent
	c.undelivered = nil
	c.mu.Unlock()
	if hook == nil {
		return
	}
	for _, e := range events {
		hook(e)
	}
}

// wrap dresses an error as the SDK's client does: the operation, then the HTTP answer
// if there was one, then what the service said.
func (r request) wrap(err error) error {
	var answered smithy.APIError
	if errors.As(err, &answered) {
		response := &smithyhttp.Response{Response: &http.Response{StatusCode: statusOf(answered.ErrorCode()), Header: http.Header{}}}
		err = &awshttp.ResponseError{
			ResponseError: &smithyhttp.ResponseError{Response: response, Err: err},
			RequestID:     "00000000-0000-4000-8000-000000000000",
		}
	}
	return &smithy.OperationError{ServiceID: r.service.id, OperationName: r.action, Err: err}
}

// canceled is how the SDK tells that the caller's context ended.
func canceled(err error) error { return &aws.RequestCanceledError{Err: err} }
