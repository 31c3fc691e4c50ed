package soak

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// caller is one running piece of Tagboat: a task, the webhook, a sweep. Every
// call that it makes is known as its own, and none takes effect once it is dead.
type caller struct {
	w         *world
	id        int
	what      string
	in        app.Input // of a task
	ctx       context.Context
	cancel    context.CancelFunc
	dead      bool
	callsLeft int // before it dies; -1 is never
	died      clock.Signal
	session   *sim.Session
	skew      time.Duration // of its clock
	began     time.Time
	sawRecord []time.Time // when it read the record of its release
}

// newCaller makes a caller that lives as long as ctx.
func (w *world) newCaller(ctx context.Context, what string, in app.Input) *caller {
	c := &caller{w: w, id: len(w.callers), what: what, in: in, callsLeft: -1, died: w.clock.NewSignal(), began: w.clock.Now()}
	if w.s.skew > 0 {
		c.skew = w.d.between(-w.s.skew, w.s.skew)
	}
	c.ctx, c.cancel = context.WithCancel(ctx)
	w.callers = append(w.callers, c)
	w.living[c.id] = c
	return c
}

// livingIDs are the callers that are at work, oldest first.
func (w *world) livingIDs() []int { return slices.Sorted(maps.Keys(w.living)) }

// end forgets a caller that has done its work.
func (c *caller) end() {
	c.cancel()
	delete(c.w.living, c.id)
}

// doom decides that the caller dies at one of its next calls.
func (c *caller) doom() { c.callsLeft = c.w.d.IntN(30) }

// die ends all effects of the caller. Its context ends at the clock's next turn:
// the call under way is still performed.
func (c *caller) die(why string) {
	if c.dead {
		return
	}
	c.dead = true
	c.w.hurt[c.in.Release]++
	c.w.draw("a task or its like killed")
	c.w.log.add(c.String(), "dies: %s", why)
	c.died.Fire()
	c.w.clock.Go(c.cancel)
}

func (c *caller) String() string { return "c" + strconv.Itoa(c.id) + " " + c.what }

// alive counts a call and tells whether it may be made, and whether it is the last.
func (c *caller) alive() (may, last bool) {
	if c.w.over {
		c.w.fail("%s makes a call after everything has ended", c)
	}
	if c.dead || c.ctx.Err() != nil {
		return false, false
	}
	if c.callsLeft < 0 {
		return true, false
	}
	c.callsLeft--
	return true, c.callsLeft < 0
}

// sessionName is how the calls of a caller are recognised in the cloud.
func (c *caller) sessionName() string { return "c" + strconv.Itoa(c.id) }

// callerOf finds who made a call; nil is somebody else than Tagboat.
func (w *world) callerOf(principal string) *caller {
	name := principal[strings.LastIndex(principal, "/")+1:]
	id, err := strconv.Atoi(strings.TrimPrefix(name, "c"))
	if err != nil || !strings.Contains(principal, ":assumed-role/") || id >= len(w.callers) {
		return nil
	}
	return w.callers[id]
}

// parts wires Tagboat to the world as this caller.
func (c *caller) parts() (*app.Parts, error) {
	w := c.w
	var err error
	if c.session, err = w.cloud.AssumeRole(sim.RoleARN(toolsAccount, taskRole), c.sessionName()); err != nil {
		return nil, err
	}
	gh, err := ghapi.New(ghapi.Config{
		BaseURL: ghapi.DefaultBaseURL, Token: ghapi.StaticToken(githubToken), Clock: w.clock,
		HTTP: &http.Client{Transport: callerTransport{c, w.hub.Client().Transport, w.hubFault}},
	})
	if err != nil {
		return nil, err
	}
	state := &artifact.S3Store{S3: c.session.S3(home), Bucket: stateBucket}
	return &app.Parts{
		Table: callerTable{c}, Clock: callerClock{w.clock, c.skew}, Log: slog.New(&watchedLog{c: c}), State: state,
		Registries: &app.StoredRegistries{Store: state, Key: app.RegistryKey, Parsed: &w.parsed}, Parsed: &w.parsed,
		UploadsBucket: uploadsBucket,
		S3:            c.s3,
		Remover:       func(region string) artifact.Remover { return c.session.S3(region) },
		Lambda: func(ctx context.Context, t release.Target, phase release.Phase) (app.LambdaClient, error) {
			session, err := c.assume(ctx, t, phase)
			if err != nil {
				return nil, err
			}
			return session.Lambda(t.Region), nil
		},
		Alarms: func(ctx context.Context, t release.Target) (function.AlarmsAPI, error) {
			session, err := c.assume(ctx, t, release.PhaseBake)
			if err != nil {
				return nil, err
			}
			return session.CloudWatch(t.Region), nil
		},
		GitHub: gh, HTTP: &http.Client{Transport: callerTransport{c, w.cloud.HTTP().Transport, w.downloadFault}},
		Tokens: callerTokens{c}, Executions: callerExecutions{c}, Announcer: callerAnnouncer{c},
	}, nil
}

// callerClock is the clock of a caller, which can be off.
type callerClock struct {
	*clock.Virtual
	skew time.Duration
}

// Now implements [clock.Clock].
func (c callerClock) Now() time.Time { return c.Virtual.Now().Add(c.skew) }

func (c *caller) s3(region string) artifact.API {
	if region == "" {
		region = home
	}
	return c.session.S3(region)
}

// assume takes the target's role as awsapi does. What STS says is an error of
// the call, as with the real client, which asks it before its first call.
func (c *caller) assume(ctx context.Context, t release.Target, phase release.Phase) (*sim.Session, error) {
	if t.Role == "" {
		return c.session, nil
	}
	policy, err := awsapi.SessionPolicy(t, phase)
	if err != nil {
		return nil, err
	}
	arn, name := awsapi.RoleARN(t), c.sessionName()
	out, err := c.session.STS().AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: &arn, RoleSessionName: &name, ExternalId: &t.ExternalID, Policy: &policy,
	})
	if err != nil {
		return nil, release.Errorf(kindOf(err), "role %s cannot be assumed: %w", arn, err)
	}
	return c.w.cloud.WithCredentials(*out.Credentials.AccessKeyId)
}

// callerTransport makes the caller's HTTP requests.
type callerTransport struct {
	c     *caller
	inner http.RoundTripper
	fault func(c *caller, req *http.Request) httpFault
}

// RoundTrip performs a request unless a fault comes in between.
func (t callerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	may, last := t.c.alive()
	if !may {
		return nil, errDead
	}
	fault := t.fault(t.c, req)
	if fault.delay > 0 && t.c.w.clock.Sleep(req.Context(), fault.delay) != nil || t.c.dead {
		return nil, errDead
	}
	t.c.w.watchRequest(t.c, req)
	if fault.before != nil {
		return fault.before(req)
	}
	resp, err := t.inner.RoundTrip(req)
	if last {
		t.c.die("at " + req.Method + " " + req.URL.Path)
	}
	if fault.lost || last {
		return nil, errLost
	}
	return resp, err
}

// watchedLog reads what is logged.
type watchedLog struct {
	c     *caller
	attrs []slog.Attr
}

// Enabled implements [slog.Handler].
func (h *watchedLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps a record and looks for secrets in it.
func (h *watchedLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	add := func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.c.w.log.add(h.c.String(), "log: %s", text)
	h.c.w.searchSecrets("the log", []byte(text))
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *watchedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &watchedLog{h.c, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup implements [slog.Handler].
func (h *watchedLog) WithGroup(string) slog.Handler { return h }
