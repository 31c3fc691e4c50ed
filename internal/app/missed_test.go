package app_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// missing is a world whose schedule looks for missed events.
type missing struct {
	*demo.World
	t     *testing.T
	table *lossyTable
	// commit is one that every tag may be put at.
	commit string
}

// lookEvery is the schedule's rate.
const lookEvery = 5 * time.Minute

func newMissing(t *testing.T, registry string) *missing {
	t.Helper()
	w := &missing{t: t, table: &lossyTable{Table: narrowed(t, ledger.NewMemoryTable())}}
	var err error
	w.World, err = demo.NewWorld(t.Context(), demo.WorldOptions{Registry: registry, Table: w.table})
	if err != nil {
		t.Fatal(err)
	}
	w.commit = w.Repo.Commit("main", "first", demo.Files(demo.Handler, "2.32.3"))
	return w
}

// refusing is a registry that refuses every tag at admission: how a release ends
// is not what these tests are about.
func refusing(t *testing.T) string {
	t.Helper()
	return edited(t, demo.Registry, "branches: [main]", "branches: [nowhere]")
}

// look runs the schedule a number of times.
func (w *missing) look(times int) (found app.Found) {
	w.t.Helper()
	w.Clock.Run(func() {
		for range times {
			_ = w.Clock.Sleep(w.t.Context(), lookEvery)
			n, err := w.Local.Missed().Look(writing(w.t.Context(), "missed"))
			if err != nil {
				w.t.Fatal(err)
			}
			found.Started += n.Started
			found.Redelivered += n.Redelivered
			found.Failed += n.Failed
		}
	})
	return found
}

// tags puts tags at the commit and loses what events GitHub raises.
func (w *missing) tags(names ...string) { w.GitHub.PushTags(w.Repo, w.commit, names...) }

// deliver hands a delivery to the webhook, as somebody inside of the clock.
func (w *missing) deliver(d github.Delivery) release.Answer {
	return w.Hooks.Handle(w.t.Context(), webhook.Delivery{Method: "POST", Header: d.Header(), Body: d.Body})
}

// released are the sources of all releases there are.
func (w *missing) released() []string {
	w.t.Helper()
	var names []string
	w.Clock.Run(func() {
		w.table.calm = true
		defer func() { w.table.calm = false }()
		all, err := w.Local.Core().Ledger.List(w.t.Context(), ledger.Filter{})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, rel := range all {
			names = append(names, rel.App+" "+rel.Version)
		}
	})
	slices.Sort(names)
	return names
}

// want fails the test unless exactly these apps and versions were released.
func (w *missing) want(names ...string) {
	w.t.Helper()
	if got := w.released(); !slices.Equal(got, names) {
		w.t.Errorf("released are %q, want %q", got, names)
	}
}

// lossyTable loses one call, or its answer.
type lossyTable struct {
	ledger.Table
	calls, at  int
	afterwards bool
	calm       bool
}

func (f *lossyTable) do(call func() error) error {
	if f.calm {
		return call()
	}
	f.calls++
	if f.calls != f.at {
		return call()
	}
	if f.afterwards {
		_ = call() // nobody hears of it
	}
	return release.Errorf(release.Transient, "the table did not answer")
}

func (f *lossyTable) Get(ctx context.Context, key ledger.Key) (item ledger.Item, err error) {
	err = f.do(func() (err error) { item, err = f.Table.Get(ctx, key); return err })
	return item, err
}

func (f *lossyTable) Put(ctx context.Context, item ledger.Item) error {
	return f.do(func() error { return f.Table.Put(ctx, item) })
}

func (f *lossyTable) Delete(ctx context.Context, key ledger.Key, version int64) error {
	return f.do(func() error { return f.Table.Delete(ctx, key, version) })
}

func (f *lossyTable) Query(ctx context.Context, partition, prefix string, page ledger.Page) (items []ledger.Item, err error) {
	err = f.do(func() (err error) { items, err = f.Table.Query(ctx, partition, prefix, page); return err })
	return items, err
}

func TestOfFiveTagsPushedAtOnceTheNewestIsReleased(t *testing.T) {
	w := newMissing(t, "")
	w.look(1)
	if raised := w.GitHub.PushTags(w.Repo, w.commit, "v1.9.0", "v1.10.0", "v1.2.0", "v1.10.0-rc.1", "unrelated"); len(raised) != 0 {
		t.Fatalf("GitHub raised %d events, want none for more than three tags", len(raised))
	}
	w.look(1)
	w.want()
	if found := w.look(3); found.Started != 1 || found.Failed != 0 {
		t.Errorf("found %+v, want one started", found)
	}
	w.want("orders 1.10.0")
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.10.0"))
	if late.Status != release.AnswerDuplicate {
		t.Errorf("the late webhook is answered %+v, want duplicate", late)
	}
	rel, err := w.Release(t.Context(), late.Releases[0])
	if err != nil || rel.State != release.Succeeded || rel.Request.Trigger != release.TriggeredBySchedule {
		t.Errorf("the release is %s by %s (%v), want succeeded by the schedule", rel.State, rel.Request.Trigger, err)
	}
}

func TestWhatThereWasAtFirstSightStaysKnown(t *testing.T) {
	w := newMissing(t, "")
	w.tags("v1.0.0", "v2.0.0", "worker-1.0.0")
	w.look(3)
	worker := edited(t, demo.Registry, "apps:\n", "apps:\n"+
		"  - name: worker\n    repository: {id: 186853002, name: acme/orders}\n    tags: worker-{version}\n"+
		"    manifest: worker.yaml\n    environments: [dev]\n    resources: [worker-*]\n")
	w.Clock.Run(func() {
		if _, err := w.Local.State.Put(t.Context(), app.RegistryKey, []byte(worker)); err != nil {
			t.Fatal(err)
		}
	})
	w.Repo.Rename("acme/purchases") // the id decides
	w.look(3)
	w.want()
	w.tags("worker-1.1.0")
	w.look(2)
	w.want("worker 1.1.0")
}

func TestAWebhookThatComesBetweenTwoLooksIsNotMadeUpFor(t *testing.T) {
	w := newMissing(t, "")
	w.look(1)
	w.tags("v1.1.0", "v1.2.0")
	w.look(1)
	w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.2.0"))
	if found := w.look(2); found.Started != 0 {
		t.Errorf("found %+v, want nothing started", found)
	}
	w.want("orders 1.2.0")
	rel, _ := w.Release(t.Context(), w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.2.0")).Releases[0])
	if rel.Request.Actor != github.DefaultSender {
		t.Errorf("it was asked for by %q, want the sender of the webhook", rel.Request.Actor)
	}
}

func TestAMissedTagIsNotReleasedAfterANewerOne(t *testing.T) {
	w := newMissing(t, refusing(t))
	w.look(1)
	w.tags("v1.1.0")
	w.look(1)
	w.tags("v1.2.0")
	w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.2.0"))
	w.look(3)
	w.want("orders 1.2.0")
}

func TestDuringAnOutageOfTheWebhook(t *testing.T) {
	t.Run("tags that come one after another are released by their own looks", func(t *testing.T) {
		w := newMissing(t, refusing(t))
		w.look(1)
		w.tags("v1.1.0")
		w.look(2)
		w.tags("v1.2.0")
		w.look(2)
		w.want("orders 1.1.0", "orders 1.2.0")
	})
	t.Run("a newer tag takes the place of one that waits", func(t *testing.T) {
		w := newMissing(t, refusing(t))
		w.look(1)
		w.tags("v1.1.0")
		w.look(1)
		w.tags("v1.2.0")
		w.look(3)
		w.want("orders 1.2.0")
	})
	t.Run("tags that never stop coming are released now and then", func(t *testing.T) {
		w := newMissing(t, refusing(t))
		w.look(1)
		for n := range 20 {
			w.tags(fmt.Sprintf("v1.%d.0", n))
			w.look(1)
		}
		if got := len(w.released()); got < 2 || got > 5 {
			t.Errorf("%d of 20 tags within 100 minutes were released, want one each half an hour: %v", got, w.released())
		}
	})
}

func TestTwoSchedulesAtOnceStartOneRelease(t *testing.T) {
	for seed := range uint64(20) {
		w := newMissing(t, refusing(t))
		w.look(1)
		w.tags("v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")
		w.GitHub.OnRequest(func(*http.Request) github.Fault {
			return github.Fault{Delay: time.Duration(seed) * 7 * time.Millisecond}
		})
		w.Clock.Run(func() {
			for range 4 {
				_ = w.Clock.Sleep(t.Context(), lookEvery)
				for i := range 2 {
					w.Clock.Go(func() {
						_ = w.Clock.Sleep(t.Context(), time.Duration(i)*time.Duration(seed)*time.Millisecond)
						if _, err := w.Local.Missed().Look(writing(t.Context(), "missed")); err != nil {
							t.Error(err)
						}
					})
				}
			}
			_ = w.Clock.Sleep(t.Context(), lookEvery)
		})
		w.want("orders 1.4.0")
	}
}

func TestTagsThatWaitAndChange(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *missing)
		want   []string
	}{
		{"a tag that is deleted is not released", func(w *missing) { w.Repo.DeleteTag("v1.1.0") }, nil},
		{"a tag that moves is not released", func(w *missing) {
			w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "second", demo.Files(demo.Handler, "2.32.4")))
		}, nil},
		{"a branch that moves changes nothing", func(w *missing) { w.Repo.Commit("main", "second", demo.Files(demo.Handler, "2.32.4")) }, []string{"orders 1.1.0"}},
		{"an older tag is not released as well", func(w *missing) { w.tags("v1.0.5") }, []string{"orders 1.1.0"}},
		{"one without an order is released after it", func(w *missing) { w.tags("vlatest") }, []string{"orders 1.1.0", "orders latest"}},
		{"several without an order are not", func(w *missing) { w.tags("vlatest", "vbest") }, []string{"orders 1.1.0"}},
		{"a tag whose characters cannot be read is not", func(w *missing) { w.tags("v1.2.0\u202e") }, []string{"orders 1.1.0"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newMissing(t, refusing(t))
			w.look(1)
			w.tags("v1.1.0")
			w.look(1)
			test.change(w)
			w.look(4)
			w.want(test.want...)
		})
	}
}

func TestAnAnnotatedTagThatWasMissedIsReleased(t *testing.T) {
	w := newMissing(t, "")
	w.look(1)
	w.Repo.AnnotatedTag("v1.1.0", w.commit, "one")
	w.look(2)
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer := w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.1.0"))
	rel, err := w.Release(t.Context(), answer.Releases[0])
	if err != nil || rel.State != release.Succeeded || rel.Source.Commit != w.commit {
		t.Errorf("the release is %s of commit %s (%v), want succeeded of %s", rel.State, rel.Source.Commit, err, w.commit)
	}
}

func TestAKnownTagThatMovesIsNotReleased(t *testing.T) {
	w := newMissing(t, "")
	w.tags("v1.0.0")
	w.look(1)
	w.Repo.Tag("v1.0.0", w.Repo.Commit("main", "second", demo.Files(demo.Handler, "2.32.4")))
	w.look(3)
	w.Repo.DeleteTag("v1.0.0")
	w.look(1)
	w.tags("v1.0.0")
	w.look(3)
	w.want()
}

func TestAnAppThatWaitsForThePublishedReleaseIsReleasedByIt(t *testing.T) {
	w := newMissing(t, edited(t, demo.Registry, `tags: "v{version}"`, `tags: "v{version}"`+"\n    trigger: release"))
	w.tags("v1.0.0")
	w.Repo.Publish("v1.0.0", "one")
	w.look(1)
	w.tags("v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")
	w.Repo.Publish("v1.1.0", "published")
	w.look(3)
	w.want("orders 1.1.0")
	w.Repo.Publish("v1.2.0", "later")
	w.look(2)
	w.want("orders 1.1.0", "orders 1.2.0")
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer := w.Deliver(t.Context(), w.GitHub.Release(w.Repo, "v1.2.0")); answer.Status != release.AnswerDuplicate {
		t.Errorf("the late webhook is answered %+v, want duplicate", answer)
	}
}

func TestTagsOfAnAppThatIsReleasedByUploadsAreNotMissed(t *testing.T) {
	w := newMissing(t, edited(t, demo.Registry, `tags: "v{version}"`, `tags: "v{version}"`+"\n    trigger: upload"))
	w.tags("v1.0.0")
	w.look(1)
	w.tags("v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")
	w.Repo.Publish("v1.4.0", "published")
	w.look(3)
	w.want()
}

func TestARepositoryThatCannotBeReadDoesNotStopTheOthers(t *testing.T) {
	w := newMissing(t, edited(t, demo.Registry, "apps:\n", "apps:\n"+
		"  - name: hidden\n    repository: {id: 7, name: acme/hidden}\n    tags: v{version}\n    environments: [dev]\n    resources: [hidden-*]\n"))
	w.look(1)
	w.tags("v1.1.0")
	if found := w.look(2); found.Failed != 2 || found.Started != 1 {
		t.Errorf("found %+v, want one started and a failure each time", found)
	}
	w.want("orders 1.1.0")
}

func TestAListThatHasNotChangedCostsNoRateLimit(t *testing.T) {
	w := newMissing(t, "")
	for n := range 40 {
		w.tags(fmt.Sprintf("v0.%d.0", n))
	}
	w.look(1)
	var etags []string
	w.GitHub.OnRequest(func(req *http.Request) github.Fault {
		etags = append(etags, req.Header.Get("If-None-Match"))
		return github.Fault{}
	})
	calls := w.table.calls
	w.look(2)
	if len(etags) != 2 || etags[0] == "" || etags[0] != etags[1] {
		t.Errorf("two looks asked with the ETags %q, want twice the same", etags)
	}
	if got := w.table.calls - calls; got > 8 {
		t.Errorf("two looks made %d calls to the table", got)
	}
}

// Every call to the table and to GitHub is lost once, and once done with its
// answer lost: at the end the newest tag is released, once.
func TestWhateverCallFailsTheNewestIsReleasedOnce(t *testing.T) {
	run := func(install func(w *missing)) *missing {
		w := newMissing(t, refusing(t))
		w.look(1)
		w.tags("v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")
		w.table.calls = 0
		install(w)
		w.look(5)
		w.want("orders 1.4.0")
		return w
	}
	calls := 40 // those of a look that starts a release are fewer; the release's own follow
	for n := 1; n <= calls; n++ {
		for _, afterwards := range []bool{false, true} {
			run(func(w *missing) { w.table.at, w.table.afterwards = n, afterwards })
		}
	}
	for n := 1; n <= 6; n++ {
		for _, fault := range []github.Fault{{Status: http.StatusBadGateway}, {LoseAnswer: true}} {
			count := 0
			run(func(w *missing) {
				w.GitHub.OnRequest(func(*http.Request) github.Fault {
					if count++; count == n {
						return fault
					}
					return github.Fault{}
				})
			})
		}
	}
}

// A first sight that breaks off anywhere begins again, and starts nothing.
func TestAFirstSightThatBreaksOffBeginsAgain(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for _, afterwards := range []bool{false, true} {
			w := newMissing(t, "")
			w.tags("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")
			w.table.calls, w.table.at, w.table.afterwards = 0, n, afterwards
			w.look(4)
			w.want()
		}
	}
}

// silent makes the uploads bucket raise no events.
func (w *missing) silent() { w.Cloud.OnEvent(nil) }

func (w *missing) upload(key string, body []byte) {
	w.t.Helper()
	if err := w.Upload(w.t.Context(), key, body, nil); err != nil {
		w.t.Fatal(err)
	}
}

func TestUploadsWhoseEventWasLostAreReleased(t *testing.T) {
	deps := zipped(t, map[string]string{"python/requests/__init__.py": "__version__ = '2.32.3'\n"})
	w := newMissing(t, "")
	w.silent()
	w.upload("drops/orders/deps/0.9.0.zip", deps)
	w.look(2)
	w.want()
	w.upload("drops/orders/deps/1.0.0.zip", deps)
	w.upload("drops/orders/deps/1.1.0.zip", deps)
	w.upload("drops/orders/deps/notes.txt", []byte("not a zip"))
	w.upload("drops/stranger/deps/1.0.0.zip", deps)
	w.upload("artifacts/orders/2.0.0/code.zip", deps)
	w.upload("artifacts/orders/2.1.0/tagboat.yaml", []byte("app: orders\n"))
	if found := w.look(6); found.Started != 3 || found.Failed != 0 {
		t.Errorf("found %+v, want three started", found)
	}
	w.want("orders 1.0.0", "orders 1.1.0", "orders 2.1.0")
}

func TestUploadsThatStartNothing(t *testing.T) {
	deps := zipped(t, map[string]string{"python/requests/__init__.py": "__version__ = '2.32.3'\n"})
	tests := []struct {
		name string
		do   func(w *missing)
		want []string
	}{
		{"one whose event came", func(w *missing) { w.upload("drops/orders/deps/1.0.0.zip", deps) }, []string{"orders 1.0.0"}},
		{"one that was deleted again", func(w *missing) {
			w.silent()
			w.upload("drops/orders/deps/1.0.0.zip", deps)
			w.delete("drops/orders/deps/1.0.0.zip")
		}, nil},
		{"other bytes of a version", func(w *missing) {
			w.upload("drops/orders/deps/1.0.0.zip", deps)
			w.silent()
			w.upload("drops/orders/deps/1.0.0.zip", zipped(t, map[string]string{"python/x.py": "x = 1\n"}))
		}, []string{"orders 1.0.0"}},
		{"an empty object", func(w *missing) {
			w.silent()
			w.upload("drops/orders/deps/1.0.0.zip", nil)
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newMissing(t, "")
			w.look(2)
			test.do(w)
			if found := w.look(4); found != (app.Found{}) {
				t.Errorf("found %+v, want nothing", found)
			}
			w.want(test.want...)
		})
	}
}

func TestAnUploadIsFoundThoughCallsFail(t *testing.T) {
	deps := []byte("no zip: the release is refused early")
	for n := 1; n <= 25; n++ {
		for _, afterwards := range []bool{false, true} {
			w := newMissing(t, "")
			w.look(2) // what comes in the second of the first sight was there
			w.silent()
			w.upload("drops/orders/deps/1.0.0.zip", deps)
			w.table.calls, w.table.at, w.table.afterwards = 0, n, afterwards
			failed := false
			w.Cloud.OnCall(func(c sim.Call) sim.Fault {
				if c.Action == "ListObjectVersions" && !failed {
					failed = true
					return sim.Fault{Before: sim.Throttled("s3")}
				}
				return sim.Fault{}
			})
			w.look(6)
			w.want("orders 1.0.0")
		}
	}
}

// delete deletes an object, as somebody with all rights.
func (w *missing) delete(key string) {
	w.t.Helper()
	bucket := demo.UploadsBucket
	w.Clock.Run(func() {
		if _, err := w.Cloud.Root(demo.Tools).S3(demo.Home).DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			w.t.Fatal(err)
		}
	})
}

// asApp makes the world's GitHub a GitHub App's, whose webhook is ours while up.
func (w *missing) asApp(up *bool) {
	w.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	w.GitHub.SetApp(12, 34, &key.PublicKey)
	w.GitHub.SetReceiver(func(d github.Delivery) int {
		if !*up {
			return http.StatusBadGateway
		}
		return w.deliver(d).HTTPStatus()
	})
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	w.Local.GitHub, err = ghapi.New(ghapi.Config{
		BaseURL: ghapi.DefaultBaseURL, App: &ghapi.App{ID: 12, PrivateKey: private}, HTTP: w.GitHub.Client(), Clock: w.Clock,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAFailedDeliveryIsAskedForAgain(t *testing.T) {
	w := newMissing(t, "")
	up := false
	w.asApp(&up)
	w.look(1)
	w.tags("v1.0.0") // of an app that no list shows: deliveries alone are tested
	d := w.GitHub.Push(w.Repo, "v1.0.0")
	w.Repo.DeleteTag("v1.0.0")
	w.Clock.Run(func() { w.GitHub.Send(d) })
	if found := w.look(24); found.Redelivered != 3 {
		t.Errorf("in two hours of outage it was asked for %d times again, want 3, with growing pauses", found.Redelivered)
	}
	w.want()
	up = true
	if found := w.look(72); found.Redelivered != 1 || found.Failed != 0 {
		t.Errorf("after the outage: found %+v, want one redelivery", found)
	}
	w.want("orders 1.0.0")
}

// TestFailedDeliveriesComeAsTheyHappened: where versions have no order, the last that is released is live.
func TestFailedDeliveriesComeAsTheyHappened(t *testing.T) {
	w := newMissing(t, "")
	up := false
	w.asApp(&up)
	w.look(1)
	var failed, again []string
	w.GitHub.SetReceiver(func(d github.Delivery) int {
		failed = append(failed, d.GUID)
		return http.StatusBadGateway
	})
	for _, tag := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		w.tags(tag)
		d := w.GitHub.Push(w.Repo, tag)
		w.Repo.DeleteTag(tag)
		w.Clock.Run(func() {
			w.GitHub.Send(d)
			_ = w.Clock.Sleep(t.Context(), time.Second)
		})
	}
	w.Clock.Run(func() { _ = w.Clock.Sleep(t.Context(), time.Hour) }) // all are due then, and the first is tried once more
	w.GitHub.SetReceiver(func(d github.Delivery) int {
		if again = append(again, d.GUID); len(again) == 1 {
			return http.StatusBadGateway
		}
		return http.StatusAccepted
	})
	if w.look(2); !slices.Equal(failed, again[:min(3, len(again))]) || len(failed) != 3 {
		t.Errorf("failed in the order %q, and were asked for again in the order %q", failed, again)
	}
}

func TestDeliveriesThatAreNotAskedForAgain(t *testing.T) {
	tests := []struct {
		name string
		send func(w *missing, up *bool)
	}{
		{"one that arrived", func(w *missing, up *bool) {
			*up = true
			w.GitHub.Send(w.GitHub.Ping(w.Repo))
			w.GitHub.Send(w.GitHub.PushBranch(w.Repo, "main"))
		}},
		{"one that starts nothing", func(w *missing, _ *bool) { w.GitHub.Send(w.GitHub.Ping(w.Repo)) }},
		{"one of another repository", func(w *missing, _ *bool) {
			other := w.GitHub.AddRepository(7, "acme/other")
			other.Tag("v1.0.0", other.Commit("main", "first", nil))
			w.GitHub.Send(w.GitHub.Push(other, "v1.0.0"))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newMissing(t, "")
			up := false
			w.asApp(&up)
			w.look(1)
			w.Clock.Run(func() { test.send(w, &up) })
			if found := w.look(6); found != (app.Found{}) {
				t.Errorf("found %+v, want nothing", found)
			}
		})
	}
}

func TestTheAnswerToARedeliveryIsLost(t *testing.T) {
	w := newMissing(t, "")
	up := false
	w.asApp(&up)
	w.look(1)
	w.tags("v1.1.0")
	w.Clock.Run(func() { w.GitHub.Send(w.GitHub.Push(w.Repo, "v1.1.0")) })
	up = true
	w.GitHub.OnRequest(func(req *http.Request) github.Fault {
		return github.Fault{LoseAnswer: strings.HasSuffix(req.URL.Path, "/attempts")}
	})
	w.look(4)
	w.want("orders 1.1.0")
}
