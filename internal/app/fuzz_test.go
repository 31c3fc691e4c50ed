package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// executionName is what Step Functions takes for one.
var executionName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// begun keeps what was started and what runs.
type begun struct {
	running map[string]bool
	started []string
	inputs  []string
}

func (b *begun) Start(_ context.Context, name string, input json.RawMessage) error {
	if _, known := b.running[name]; known {
		return app.ErrExecutionExists
	}
	b.running[name] = true
	b.started, b.inputs = append(b.started, name), append(b.inputs, string(input))
	return nil
}

func (b *begun) Running(_ context.Context, name string) (bool, error) { return b.running[name], nil }

// recovering is a ledger with releases at whose executions events may point.
type recovering struct {
	*begun
	recovery *app.Recovery
	// dead, alive and ended are releases, forgotten one whose execution never began.
	dead, alive, ended, forgotten release.Release
}

func newRecovering(t testing.TB) *recovering {
	t.Helper()
	r := &recovering{begun: &begun{running: map[string]bool{}}}
	c := clock.System{}
	core := &app.Core{Ledger: ledger.New(ledger.NewMemoryTable(), c), Clock: c, Log: slog.New(slog.DiscardHandler)}
	r.recovery = &app.Recovery{Core: core, Executions: r.begun, Leases: &app.Leasing{Core: core}}
	create := func(version string, runs bool, state release.State) release.Release {
		rel, _, err := core.Ledger.Create(t.Context(), release.Request{
			App: "orders", Version: version, Attempt: 1, Source: release.Source{RepositoryID: 1, Tag: "v" + version},
		})
		if err == nil && state != "" {
			r.running[rel.ID] = runs
			rel, err = core.Ledger.Update(t.Context(), rel.ID, "", func(rel *release.Release) error {
				rel.State, rel.Execution = state, rel.ID
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		return rel
	}
	r.dead, r.alive = create("1.0.0", false, release.Running), create("1.1.0", true, release.Running)
	r.ended, r.forgotten = create("1.2.0", false, release.FailedClean), create("1.3.0", false, "")
	return r
}

// statusOf is the event of an execution (Step Functions developer guide: EventBridge).
func statusOf(t testing.TB, name, status string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"version": "0", "detail-type": "Step Functions Execution Status Change", "source": "aws.states", "account": "999999999999",
		"detail": map[string]string{
			"executionArn": "arn:aws:states:us-east-1:999999999999:execution:tagboat-release:" + name, "name": name, "status": status,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// FuzzStatusChange sends any event to the recovery: at most the executions that
// it names are followed by one of their own release that has not ended, and a
// sweep follows the dead ones alone. The same event again starts nothing more.
func FuzzStatusChange(f *testing.F) {
	r := newRecovering(f)
	for _, rel := range []release.Release{r.dead, r.alive, r.ended, r.forgotten} {
		for _, suffix := range []string{"", "-r1", "-r999", "-r1000", "-r99999999999999999999", "-r-r1"} {
			f.Add(statusOf(f, rel.ID+suffix, "FAILED"), rel.ID+suffix, "TIMED_OUT")
		}
		f.Add(statusOf(f, rel.ID, "RUNNING"), rel.ID, "RUNNING")
	}
	scheduled, err := os.ReadFile("../../functions/recover/event.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(scheduled, "", "")
	f.Add([]byte("null"), "release/x", "ABORTED")
	f.Add([]byte(`{"detail-type":1}`), "a\x00b", "\u202e")
	f.Add([]byte(`{"detail-type":"Step Functions Execution Status Change","detail":null}`), strings.Repeat("a", 3000), "FAILED")
	f.Fuzz(func(t *testing.T, event []byte, name, status string) {
		named := statusOf(t, name, status)
		for _, event := range [][]byte{event, named} {
			r := newRecovering(t)
			swept, err := r.recovery.Handle(t.Context(), event)
			if err != nil && release.KindOf(err) != release.Invalid && release.KindOf(err) != release.NotFound {
				t.Errorf("got the kind %s: %v", release.KindOf(err), err)
			}
			r.check(t, event, swept)
			before := len(r.started)
			swept, again := r.recovery.Handle(t.Context(), event)
			if (again == nil) != (err == nil) || len(r.started) != before || swept != (app.Swept{}) {
				t.Errorf("the same event again starts %v and tells %+v (%v)", r.started[before:], swept, again)
			}
		}
	})
}

func (r *recovering) check(t *testing.T, event []byte, swept app.Swept) {
	t.Helper()
	var got struct {
		Type   string `json:"detail-type"`
		Detail struct{ Name, Status string }
	}
	isChange := json.Unmarshal(event, &got) == nil && got.Type == "Step Functions Execution Status Change"
	for i, name := range r.started {
		id := regexp.MustCompile(`-r[0-9]+$`).ReplaceAllString(name, "")
		if !executionName.MatchString(name) || name == id || !strings.Contains(r.inputs[i], id) || !strings.Contains(r.inputs[i], `"recover":true`) {
			t.Errorf("execution %q was started with %s", name, r.inputs[i])
		}
		if id == r.ended.ID || isChange && (!strings.HasPrefix(got.Detail.Name, id) || got.Detail.Status == "RUNNING") || !isChange && id != r.dead.ID {
			t.Errorf("execution %q was started by %q", name, event)
		}
	}
	if isChange && (len(r.started) > 1 || swept != app.Swept{}) || !isChange && swept.Recovered != len(r.started) {
		t.Errorf("%v were started, and told as %+v", r.started, swept)
	}
	for _, rel := range []release.Release{r.dead, r.alive, r.ended, r.forgotten} {
		after, err := r.recovery.Ledger.Release(t.Context(), rel.ID)
		if err != nil || after.State != rel.State || after.Execution != rel.Execution {
			t.Errorf("release %s is %s of %q (%v), want it untouched", rel.ID, after.State, after.Execution, err)
		}
	}
}
