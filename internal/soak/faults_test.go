package soak

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

var (
	errDead = errors.New("the process that made this call is dead")
	errLost = errors.New("read: connection reset by peer")
)

func kindOf(err error) release.Kind { return awserr.Meaning(nil).KindOf(err) }

// Calls take as long as this where they are slow, which is less than the margin
// that a lease is to keep; where they hang, nothing comes of them.
const (
	slowest = 20 * time.Second
	hangs   = 130 * time.Second
)

// rate is a rate of faults, which is nothing in the calm.
func (w *world) rate(p float64) float64 {
	if w.calm {
		return 0
	}
	return p
}

// rateFor is the rate of faults that a caller suffers: what rolls back gets more
// than its share.
func (w *world) rateFor(c *caller, p float64) float64 {
	if strings.HasPrefix(c.what, "RollBack") {
		p = min(5*p, 0.2)
	}
	return w.rate(p)
}

// onCall decides what happens to a call to AWS.
func (w *world) onCall(call sim.Call) sim.Fault {
	w.judgeLate()
	c := w.callerOf(call.Principal)
	if c == nil {
		return sim.Fault{} // somebody else
	}
	w.calls++
	may, last := c.alive()
	if !may {
		return sim.Fault{Before: sim.Timeout()}
	}
	w.watchBegin(c, call)
	w.watchAfterEnd(c, call.Action+" "+call.Resource)
	var fault sim.Fault
	if w.d.chance(w.rateFor(c, w.s.rates.aws)) {
		fault = w.awsFault(c, call)
	} else {
		_ = w.clock.Sleep(c.ctx, w.latency()) // whether the caller is still there is asked next
	}
	if c.dead || c.ctx.Err() != nil {
		return sim.Fault{Before: sim.Timeout()}
	}
	if last {
		c.die("at " + call.Action)
		if fault.After = sim.Timeout(); w.d.chance(0.5) {
			fault.Before = sim.Timeout()
		}
	}
	if fault.Before == nil {
		w.watchPerform(c, call)
	}
	return fault
}

// latency is what an ordinary call takes; others go on meanwhile.
func (w *world) latency() time.Duration { return time.Duration(w.d.IntN(80)) * time.Millisecond }

// awsFault breaks a call. What is slow is slow here, so that nothing comes
// between the end of the wait and the call.
func (w *world) awsFault(c *caller, call sim.Call) sim.Fault {
	kind := pick(w.d, "throttled", "failed", "timed out", "answer lost", "answer lost", "slow", "slow", "hung", "refused", "stale")
	if kind == "refused" && w.d.chance(0.7) { // a refusal ends a release: there would be little else to see
		kind = "throttled"
	}
	if kind == "stale" && (isWrite(call) || call.Service != "lambda") { // what changes nothing of Lambda is never stale
		kind = "slow"
	}
	if strings.HasPrefix(call.Action, "Update") && kind != "refused" && w.d.chance(0.5) {
		kind = "late"
	}
	w.fault("AWS: " + kind)
	w.log.add(c.String(), "fault: %s %s is %s", call.Action, call.Resource, kind)
	w.broke(c)
	switch kind {
	case "throttled":
		return sim.Fault{Before: sim.Throttled(call.Service)}
	case "failed":
		return sim.Fault{Before: sim.ServerError(call.Service)}
	case "timed out":
		return sim.Fault{Before: sim.Timeout()}
	case "late":
		return sim.Fault{Before: sim.Timeout(), Late: w.d.between(time.Second, slowest), Arrives: func() {
			w.judgeLate()
			w.watchPerform(c, call)
		}}
	case "answer lost":
		return sim.Fault{After: sim.Timeout()}
	case "stale":
		return sim.Fault{Stale: true}
	case "slow":
		_ = w.clock.Sleep(c.ctx, w.d.between(time.Second, slowest)) // the caller is asked next
		return sim.Fault{}
	case "hung":
		_ = w.clock.Sleep(c.ctx, hangs) // the caller is asked next
		return sim.Fault{Before: sim.Timeout()}
	}
	return sim.Fault{Before: &smithy.GenericAPIError{
		Code: "AccessDeniedException", Message: "User is not authorized to perform this action for now", Fault: smithy.FaultClient,
	}}
}

// httpFault is what happens to a request besides what it asks for.
type httpFault struct {
	delay  time.Duration
	before func(*http.Request) (*http.Response, error)
	lost   bool
}

// hubFault breaks a request to GitHub.
func (w *world) hubFault(c *caller, req *http.Request) httpFault {
	if !w.d.chance(w.rateFor(c, w.s.rates.github)) {
		return httpFault{delay: w.latency()}
	}
	w.broke(c)
	kind := pick(w.d, "500", "502", "429", "403", "404", "timed out", "answer lost", "slow")
	if kind == "404" && w.d.chance(0.5) { // a stale read of what was just pushed; it ends a release
		kind = "slow"
	}
	w.fault("GitHub: " + kind)
	w.log.add(c.String(), "fault: %s %s is %s", req.Method, req.URL.Path, kind)
	switch kind {
	case "500":
		return refusedBy(http.StatusInternalServerError, nil)
	case "502":
		return refusedBy(http.StatusBadGateway, nil)
	case "429":
		return refusedBy(http.StatusTooManyRequests, http.Header{"Retry-After": {"7"}})
	case "403":
		return refusedBy(http.StatusForbidden, http.Header{"Retry-After": {"9"}})
	case "404":
		return refusedBy(http.StatusNotFound, nil)
	case "timed out":
		return httpFault{delay: w.d.between(0, slowest), before: timedOut}
	case "answer lost":
		return httpFault{lost: true}
	}
	return httpFault{delay: w.d.between(time.Second, slowest)}
}

// downloadFault breaks the download of a function's archive, of which there are few.
func (w *world) downloadFault(c *caller, req *http.Request) httpFault {
	if !w.d.chance(w.rateFor(c, 8*w.s.rates.aws)) {
		return httpFault{}
	}
	kind := pick(w.d, "timed out", "failed", "answer lost")
	w.fault("download: " + kind)
	w.broke(c)
	w.log.add(c.String(), "fault: download %s is %s", req.URL.Path, kind)
	switch kind {
	case "timed out":
		return httpFault{before: timedOut}
	case "failed":
		return refusedBy(http.StatusServiceUnavailable, nil)
	}
	return httpFault{lost: true}
}

func timedOut(*http.Request) (*http.Response, error) { return nil, errors.New("dial tcp: i/o timeout") }

func refusedBy(status int, header http.Header) httpFault {
	return httpFault{before: func(req *http.Request) (*http.Response, error) {
		if header == nil {
			header = http.Header{}
		}
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Header: header, Request: req, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Body: io.NopCloser(strings.NewReader(`{"message":"not now"}`)),
		}, nil
	}}
}

// onSettle decides whether an update settles well. It is called under the
// cloud's lock.
func (w *world) onSettle(u sim.Update) *sim.Failure {
	t := target{u.Account, u.Region, u.Function}
	// A step has 30 minutes for an update of the code, one of the settings and a publication.
	if 2*w.timing.Update+w.timing.Publish > 30*time.Minute {
		w.settleFailures[t]++
	}
	if !w.d.chance(w.rate(w.s.rates.settle)) {
		return nil
	}
	w.fault("Lambda: an update ends Failed")
	w.settleFailures[t]++
	w.log.add("lambda", "fault: %s %s of %s %s will end Failed", u.Action, u.Version, u.Account, u.Function)
	return &sim.Failure{Code: "InternalError", Reason: "an internal error, as told by the dice"}
}
