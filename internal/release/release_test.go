package release

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestRequestID(t *testing.T) {
	tag := Request{App: "orders", Version: "1.2.3", Attempt: 1, Source: Source{RepositoryID: 1, Repository: "acme/orders", Tag: "v1.2.3"}}
	object := Request{App: "orders", Version: "1.2.3", Attempt: 1, Source: Source{Bucket: "b", Key: "artifacts/orders/1.2.3/tagboat.yaml", VersionID: "a"}}
	change := func(r Request, edit func(r *Request)) Request { edit(&r); return r }
	tests := []struct {
		name string
		a, b Request
		same bool
	}{
		{"the commit is no part of it: push tells it and create does not", tag, change(tag, func(r *Request) { r.Source.Commit = "abc" }), true},
		{"neither are trigger, actor and delivery", tag, change(tag, func(r *Request) { r.Trigger, r.Actor, r.Delivery = "push", "jane", "guid" }), true},
		{"nor the repository's name", tag, change(tag, func(r *Request) { r.Source.Repository = "acme/renamed" }), true},
		{"nor an ETag", object, change(object, func(r *Request) { r.Source.ETag = "e" }), true},
		{"another attempt is another release", tag, change(tag, func(r *Request) { r.Attempt = 2 }), false},
		{"a dry run is another release", tag, change(tag, func(r *Request) { r.DryRun = true }), false},
		{"another app is another release", tag, change(tag, func(r *Request) { r.App = "billing" }), false},
		{"another repository is another release", tag, change(tag, func(r *Request) { r.Source.RepositoryID = 2 }), false},
		{"another version of an object is another release", object, change(object, func(r *Request) { r.Source.VersionID = "b" }), false},
		{"another key is another release", object, change(object, func(r *Request) { r.Source.Key = "drops/orders/deps/1.2.3.zip" }), false},
		{"another bucket is another release", object, change(object, func(r *Request) { r.Source.Bucket = "c" }), false},
		{"a tag and an object are two releases", tag, object, false},
		{"versions that are cut alike stay apart", change(tag, func(r *Request) { r.Version, r.Source.Tag = strings.Repeat("1", 40)+"a", "va" }),
			change(tag, func(r *Request) { r.Version, r.Source.Tag = strings.Repeat("1", 40)+"b", "vb" }), false},
		{"apps that are cut alike stay apart", change(tag, func(r *Request) { r.App = strings.Repeat("a", 40) }),
			change(tag, func(r *Request) { r.App = strings.Repeat("a", 41) }), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if same := test.a.ID() == test.b.ID(); same != test.same {
				t.Errorf("got %q and %q", test.a.ID(), test.b.ID())
			}
		})
	}
}

func TestRequestIDFitsAnExecutionsName(t *testing.T) {
	// Step Functions, StartExecution: up to 80 characters of [0-9A-Za-z_-]. A recovery needs some for its suffix.
	valid := regexp.MustCompile(`^[0-9A-Za-z_-]{1,76}$`)
	for _, version := range []string{"1.2.3", "1.2.3-rc.1+build/7", "ürsion-日本", "a b", "..", strings.Repeat("9", 300), strings.Repeat("日", 100), "\xff"} {
		for _, app := range []string{"a", strings.Repeat("a", 63)} {
			r := Request{App: app, Version: version, Attempt: 9999, Source: Source{Tag: "v" + version}}
			dry := r
			dry.Attempt, dry.DryRun = 99, true
			for _, id := range []string{r.ID(), dry.ID()} {
				if !valid.MatchString(id) {
					t.Errorf("app %q, version %q: got %q of %d characters", app, version, id, len(id))
				}
			}
		}
	}
}

func TestRequestIDIsReadable(t *testing.T) {
	id := Request{App: "orders", Version: "1.2.3", Attempt: 2, Source: Source{RepositoryID: 1, Tag: "v1.2.3"}}.ID()
	if !strings.HasPrefix(id, "orders-1-2-3-") || !strings.HasSuffix(id, "-2") {
		t.Errorf("got %q, want app, version and attempt in it", id)
	}
}

func TestOlder(t *testing.T) {
	tests := []struct {
		version, live string
		older         bool
	}{
		{"1.2.3", "1.2.4", true},
		{"1.2.3", "1.10.0", true},
		{"1.2.3-rc.1", "1.2.3", true},
		{"1.2.3-rc.2", "1.2.3-rc.10", true},
		{"1.2.3", "1.2.3", false},
		{"1.2.3+build.1", "1.2.3+build.2", false},
		{"2.0.0", "1.9.9", false},
		{"1.2.3", "1.2.3-rc.1", false},
		{"1.2", "1.2.4", false},      // not SemVer: no order
		{"v1.2.3", "1.2.4", false},   // nor with a v
		{"01.2.3", "1.2.4", false},   // nor with a leading zero
		{"2020-01-01", "9.9", false}, // nor dates
		{"1.2.3", "nightly", false},
		{"1.2.3", "", false},
		{"", "1.2.3", false},
	}
	for _, test := range tests {
		if got := Older(test.version, test.live); got != test.older {
			t.Errorf("Older(%q, %q): got %t, want %t", test.version, test.live, got, test.older)
		}
	}
}

// TestOfTwoReleasesOneReplacesTheOther as what comes last if they run one after the other: of
// those that came in this order, the second unless it would be refused as older.
func TestOfTwoReleasesOneReplacesTheOther(t *testing.T) {
	tests := []struct {
		name, first, second string
		forced              string
		drops               [2]string
		winner              string
	}{
		{name: "the versions are in order", first: "1.1.0", second: "1.2.0", winner: "1.2.0"},
		{name: "an event came late", first: "1.2.0", second: "1.1.0", winner: "1.2.0"},
		{name: "an older one is forced", first: "1.2.0", second: "1.1.0", forced: "1.1.0", winner: "1.1.0"},
		{name: "a newer one comes after a forced one", first: "1.1.0", second: "1.2.0", forced: "1.1.0", winner: "1.2.0"},
		{name: "an older one comes after a forced one", first: "1.2.0", second: "1.1.0", forced: "1.2.0", winner: "1.2.0"},
		{name: "a forced one is newer", first: "1.1.0", second: "1.2.0", forced: "1.2.0", winner: "1.2.0"},
		{name: "versions without an order", first: "nightly-2", second: "nightly-1", winner: "nightly-1"},
		{name: "one without an order", first: "1.2.0", second: "nightly", winner: "nightly"},
		{name: "drops of one artifact", first: "1.2.0", second: "1.1.0", drops: [2]string{"code", "code"}, winner: "1.2.0"},
		{name: "drops of different artifacts", first: "1.2.0", second: "1.1.0", drops: [2]string{"deps", "code"}, winner: "1.1.0"},
		{name: "a drop after all", first: "1.2.0", second: "1.1.0", drops: [2]string{"", "code"}, winner: "1.2.0"},
		{name: "the same core", first: "1.2.0+b", second: "1.2.0+a", winner: "1.2.0+a"},
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range tests {
		first, second := Release{ID: "a", Version: test.first, Created: now}, Release{ID: "b", Version: test.second, Created: now.Add(time.Second)}
		first.Request.Force, second.Request.Force = test.first == test.forced, test.second == test.forced
		first.Request.Artifact, second.Request.Artifact = test.drops[0], test.drops[1]
		if got, want := second.Replaces(&first), test.second == test.winner; got != want {
			t.Errorf("%s: %s replaces %s: got %t, want %t", test.name, test.second, test.first, got, want)
		}
		if got, want := first.Replaces(&second), test.first == test.winner; got != want {
			t.Errorf("%s: %s replaces %s: got %t, want %t", test.name, test.first, test.second, got, want)
		}
		first.Created = second.Created
		if first.Replaces(&second) == second.Replaces(&first) {
			t.Errorf("%s, created at the same time: neither replaces the other, or each", test.name)
		}
	}
}

func TestSourceForPeople(t *testing.T) {
	tag := Source{RepositoryID: 1, Repository: "acme/orders", Tag: "v1"}
	if got, want := tag.String(), `tag "v1" of acme/orders`; got != want || !tag.IsTag() {
		t.Errorf("got %q, want %q", got, want)
	}
	object := Source{Bucket: "b", Key: "k", VersionID: "v"}
	if got, want := object.String(), "s3://b/k (version v)"; got != want || object.IsTag() {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEndedStates(t *testing.T) {
	for state, ended := range map[State]bool{
		Received: false, Running: false, Waiting: false, WaitingApproval: false, RollingBack: false,
		Succeeded: true, FailedClean: true, FailedDirty: true, Refused: true, Superseded: true, Rejected: true, Expired: true,
	} {
		if got := state.Ended(); got != ended {
			t.Errorf("state %q: got %t, want %t", state, got, ended)
		}
	}
}

func TestReleaseFindsItsEnvironments(t *testing.T) {
	rel := Release{Environments: []Progress{{Name: "dev", State: EnvironmentDone}, {Name: "prod", State: EnvironmentOpen}}}
	if open, ok := rel.Open(); !ok || open.Name != "prod" {
		t.Errorf("open: got %+v", open)
	}
	dev, ok := rel.Environment("dev")
	if !ok || dev.Name != "dev" {
		t.Fatalf("dev: got %+v", dev)
	}
	dev.State = EnvironmentDirty
	if rel.Environments[0].State != EnvironmentDirty {
		t.Error("a change of what was found is lost")
	}
	if _, ok := rel.Environment("test"); ok {
		t.Error("an environment was found that is not there")
	}
	rel.Environments[1].State = EnvironmentDone
	if open, ok := rel.Open(); ok {
		t.Errorf("open: got %+v, want none", open)
	}
}
