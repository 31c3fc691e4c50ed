package sim_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/sim"
)

// failing injects one fault into every call of an action.
func (w world) failing(action string, fault sim.Fault) {
	w.cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action == action {
			return fault
		}
		return sim.Fault{}
	})
}

func TestACallThatIsLostIsNotPerformed(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.failing("UpdateFunctionCode", sim.Fault{Before: sim.Throttled("lambda")})
		_, err := w.updateCode(dev, "v2")
		var throttled *types.TooManyRequestsException
		if !errors.As(err, &throttled) || statusOf(err) != 429 {
			t.Errorf("got %v, want TooManyRequestsException with 429", err)
		}
		if got := w.get(dev, "").Configuration.LastUpdateStatus; got != types.LastUpdateStatusSuccessful {
			t.Errorf("the call was performed: the function is %s", got)
		}
	})
}

func TestAnAnswerThatIsLostBelongsToACallThatWasPerformed(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.failing("UpdateFunctionCode", sim.Fault{After: sim.Timeout()})
		_, err := w.updateCode(dev, "v2")
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		if got := w.get(dev, "").Configuration.LastUpdateStatus; got != types.LastUpdateStatusInProgress {
			t.Errorf("the call was not performed: the function is %s", got)
		}
	})
}

func TestACallThatIsGivenUpCanArriveLate(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.failing("UpdateFunctionCode", sim.Fault{Before: sim.Timeout(), Late: time.Minute})
		before := *w.get(dev, "").Configuration.CodeSha256
		_, err := w.updateCode(dev, "v2")
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		_ = w.clock.Sleep(w.ctx, 59*time.Second)
		if got := *w.get(dev, "").Configuration.CodeSha256; got != before {
			t.Errorf("the code is %s before the call has arrived, want %s", got, before)
		}
		_ = w.clock.Sleep(w.ctx, 2*time.Second)
		if got := *w.get(dev, "").Configuration.CodeSha256; got == before {
			t.Errorf("the call was not performed: the code is still %s", got)
		}
	})
}

func TestADelayTakesItsTimeAndEndsWithTheContext(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.failing("GetFunction", sim.Fault{Delay: time.Minute})
		w.get(dev, "")
		if got := w.clock.Now().Sub(start); got != time.Minute {
			t.Errorf("took %v, want 1m", got)
		}
		ctx, cancel := context.WithCancel(w.ctx)
		cancel()
		_, err := w.lambda(dev).GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: ptr("orders-api")})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestACallerThatDiesOfWaitingHasMadeItsCall(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.failing("UpdateFunctionCode", sim.Fault{Hang: time.Hour})
		before := w.get(dev, "").Configuration.CodeSha256
		ctx, cancel := context.WithCancel(w.ctx)
		w.clock.Go(func() {
			_ = w.clock.Sleep(ctx, time.Minute) // nobody ends it before
			cancel()
		})
		_, err := w.lambda(dev).UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{
			FunctionName: ptr("orders-api"), ZipFile: zipOf(w, map[string]string{"app.py": "v2"}),
		})
		if !errors.Is(err, context.Canceled) || w.clock.Now().Sub(start) != time.Minute {
			t.Errorf("got %v after %v, want the context's error after 1m", err, w.clock.Now().Sub(start))
		}
		if got := w.get(dev, "").Configuration.CodeSha256; *got == *before {
			t.Errorf("the call was not performed: the code is still %s", *got)
		}
	})
}

func TestCallsAreSeenAndRecorded(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		w.put(tools, "state", "k", "x")
		reader := w.role(tools, "reader", allow("*", "s3:*"))
		must(reader.S3(east).GetObject(w.ctx, &s3.GetObjectInput{Bucket: ptr("state"), Key: ptr("k")}))(t)
		want := sim.Call{
			Seq: 2, Service: "s3", Action: "GetObject", Account: tools, Region: east, Principal: "arn:aws:sts::" + tools + ":assumed-role/reader/session",
			Resource: "arn:aws:s3:::state/k", At: start,
		}
		if got := w.cloud.Calls(); len(got) != 2 || got[1] != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		w.cloud.RecordCalls(1)
		w.put(tools, "state", "k", "x")
		if got := w.cloud.Calls(); len(got) != 1 || got[0].Seq != 3 {
			t.Errorf("of a record of one: got %+v", got)
		}
		w.cloud.RecordCalls(0)
		w.put(tools, "state", "k", "x")
		if got := w.cloud.Calls(); len(got) != 0 {
			t.Errorf("of no record: got %+v", got)
		}
	})
}

func TestTheSDKRetriesWhatTheFaultsAre(t *testing.T) {
	retryable := retry.IsErrorRetryables(retry.DefaultRetryables)
	faults := map[string]error{
		"throttled lambda": sim.Throttled("lambda"), "throttled s3": sim.Throttled("s3"), "throttled cloudwatch": sim.Throttled("cloudwatch"),
		"timeout": sim.Timeout(), "server error of lambda": sim.ServerError("lambda"), "server error of s3": sim.ServerError("s3"),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			within(t, func(w world) {
				w.function(dev)
				w.failing("GetFunction", sim.Fault{Before: fault})
				_, err := w.lambda(dev).GetFunction(w.ctx, &lambda.GetFunctionInput{FunctionName: ptr("orders-api")})
				if !retryable.IsErrorRetryable(err).Bool() {
					t.Errorf("%v is not retryable", err)
				}
				var operation *smithy.OperationError
				if !errors.As(err, &operation) || operation.Operation() != "GetFunction" || operation.Service() != "Lambda" {
					t.Errorf("got %v, want it to name Lambda and GetFunction", err)
				}
			})
		})
	}
}

func TestInterleavingIsDecidedByTheClocksSeed(t *testing.T) {
	order := func(seed uint64, interleave bool) string {
		c := clock.NewVirtual(start, seed)
		var got []string
		c.Run(func() {
			cloud := sim.New(c)
			cloud.Interleave(interleave)
			if err := cloud.CreateBucket(tools, east, "state", sim.BucketOptions{Versioned: true}); err != nil {
				t.Error(err)
			}
			client := cloud.Root(tools).S3(east)
			clock.Each(c, 4, 0, func(i int) {
				for range 4 {
					if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: ptr("state"), Key: ptr("k"), Body: strings.NewReader(fmt.Sprint(i))}); err != nil {
						t.Error(err)
					}
				}
			})
			for _, o := range cloud.Objects("state") {
				got = append(got, string(o.Body))
			}
		})
		return strings.Join(got, "")
	}
	if first, again := order(7, true), order(7, true); first != again {
		t.Errorf("one seed gave two orders: %s, %s", first, again)
	}
	if order(0, false) != "0000111122223333" {
		t.Errorf("without interleaving: got %s", order(0, false))
	}
	if order(7, true) == order(8, true) && order(8, true) == order(9, true) {
		t.Error("three seeds gave one order")
	}
}

func TestConcurrentCallersOnTheWallClock(t *testing.T) {
	cloud := sim.New(clock.System{})
	if err := cloud.CreateBucket(tools, east, "state", sim.BucketOptions{Versioned: true}); err != nil {
		t.Fatal(err)
	}
	clock.Each(clock.System{}, 50, 8, func(i int) {
		client := cloud.Root(tools).S3(east)
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: ptr("state"), Key: ptr(fmt.Sprint(i)), Body: strings.NewReader("x")}); err != nil {
			t.Error(err)
		}
	})
	if got := len(cloud.Objects("state")); got != 50 {
		t.Errorf("got %d objects, want 50", got)
	}
}

func TestAStaleReadIsAnsweredFromBeforeTheLastWrite(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.sleep(sim.StaleFor + time.Second)
		w.failing("GetFunction", sim.Fault{Stale: true})
		before := *w.get(dev, "").Configuration.CodeSha256
		if _, err := w.updateCode(dev, "v2"); err != nil {
			t.Fatal(err)
		}
		if got := w.get(dev, "").Configuration; *got.CodeSha256 != before || got.LastUpdateStatus != types.LastUpdateStatusSuccessful {
			t.Errorf("right after the write the code is %s (%s), want the former, %s", *got.CodeSha256, got.LastUpdateStatus, before)
		}
		w.sleep(sim.StaleFor + time.Second)
		if got := *w.get(dev, "").Configuration.CodeSha256; got == before {
			t.Errorf("%s after the write the code is still the former", sim.StaleFor)
		}
		w.failing("GetFunction", sim.Fault{})
		if got := *w.get(dev, "").Configuration.CodeSha256; got == before {
			t.Error("a read that is not stale found the former code")
		}
	})
}

func TestAStaleReadDoesNotFindALayerVersionThatWasJustPublished(t *testing.T) {
	within(t, func(w world) {
		w.failing("ListLayerVersions", sim.Fault{Stale: true})
		w.layer("deps", "one")
		out, err := w.lambda(tools).ListLayerVersions(w.ctx, &lambda.ListLayerVersionsInput{LayerName: ptr("deps")})
		if err != nil || len(out.LayerVersions) != 0 {
			t.Errorf("right after the publication: %v, %v; want none", out.LayerVersions, err)
		}
		w.sleep(sim.StaleFor + time.Second)
		out, err = w.lambda(tools).ListLayerVersions(w.ctx, &lambda.ListLayerVersionsInput{LayerName: ptr("deps")})
		if err != nil || len(out.LayerVersions) != 1 {
			t.Errorf("later: %v, %v; want one", out.LayerVersions, err)
		}
	})
}
