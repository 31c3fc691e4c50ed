package doctor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/doctor"
	"github.com/tagboat/tagboat/internal/release"
)

// server is an installation that a server uses, without a stack.
func (i *installation) server() *doctor.Local {
	return &doctor.Local{
		Clients: i.clients(), State: "state", Uploads: "uploads", WebhookSecret: i.secrets["webhook"], GitHub: i,
		StateFile: "tagboat.db", Inspect: func(string) error { return nil },
		Registry: func(_ context.Context, report *doctor.Report) (release.Registry, bool) {
			return doctor.ParsedRegistry(report, "registry.yaml", []byte(i.registry))
		},
		Inside: func(registry release.Registry) *doctor.Inside {
			return &doctor.Inside{Registry: registry, Roles: assuming(func(in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
				if in.ExternalId == nil {
					return nil, &smithy.GenericAPIError{Code: "AccessDenied"}
				}
				return &sts.AssumeRoleOutput{}, nil
			})}
		},
	}
}

func TestAServerIsLookedAtWithItsOwnCredentials(t *testing.T) {
	report := good().server().Do(t.Context(), doctor.Question{})
	for _, check := range []string{"caller", "webhook secret", "state bucket", "uploads bucket", "uploads events", "state file", "registry", "tools account", "staging bucket", "github", "role"} {
		if !has(report, check, doctor.OK, "") {
			t.Errorf("the %s is not ok: %+v", check, report)
		}
	}
	if report.Count(doctor.Failed) > 0 || !has(report, "function", doctor.NotChecked, "without a stack it is not looked up what was released: add --manifest") {
		t.Errorf("%+v, want nothing failed and no function known", report)
	}
}

func TestWhatIsNotInOrderForAServerIsTold(t *testing.T) {
	i := good()
	i.registry, i.secrets["webhook"] = "apps: []\n", ""
	delete(i.versioned, "uploads")
	l := i.server()
	l.State = ""
	report := l.Do(t.Context(), doctor.Question{})
	for check, want := range map[string]doctor.State{
		"webhook secret": doctor.Failed, "registry": doctor.Failed, "uploads bucket": doctor.Failed,
		"state bucket": doctor.NotChecked, "role": doctor.NotChecked,
	} {
		if !has(report, check, want, "") {
			t.Errorf("no finding %s of the %s in %+v", want, check, report)
		}
	}
	i = good()
	i.github = errors.New("no route")
	if report := i.server().Do(t.Context(), doctor.Question{}); !has(report, "github", doctor.NotChecked, "no route") {
		t.Errorf("%+v, want GitHub not checked", report)
	}
}

func TestTheEventsOfAServersUploadsAreLookedAt(t *testing.T) {
	i := good()
	i.events = false
	report := i.server().Do(t.Context(), doctor.Question{})
	if !has(report, "uploads events", doctor.Failed, "no events") {
		t.Errorf("no finding about the events in %+v", report)
	}
	for _, f := range report {
		if f.Check == "uploads events" && !strings.Contains(f.Remedy, "POST /events") {
			t.Errorf("the remedy is %q, want where they are to go", f.Remedy)
		}
	}
	l := good().server()
	l.Uploads = ""
	if report := l.Do(t.Context(), doctor.Question{}); !has(report, "uploads events", doctor.NotChecked, "not named") {
		t.Errorf("%+v, want the events of no bucket not checked", report)
	}
}

func TestTheStateFileIsLookedAt(t *testing.T) {
	there := filepath.Join(t.TempDir(), "tagboat.db")
	if err := os.WriteFile(there, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file  string
		err   error
		state doctor.State
		says  string
	}{
		"whole":        {there, nil, doctor.OK, "whole"},
		"not made yet": {filepath.Join(t.TempDir(), "new.db"), errors.New("not asked"), doctor.OK, "not there yet"},
		"no directory": {filepath.Join(t.TempDir(), "no", "new.db"), nil, doctor.Failed, "no directory"},
		"in use":       {there, release.Errorf(release.Conflict, "in use"), doctor.OK, "another process"},
		"damaged":      {there, release.Errorf(release.Internal, "it is damaged").WithRemedy("Restore a backup."), doctor.Failed, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			l := good().server()
			l.StateFile, l.Inspect = test.file, func(string) error { return test.err }
			report := l.Do(t.Context(), doctor.Question{})
			if !has(report, "state file", test.state, test.says) {
				t.Errorf("no finding %s (%s) of the state file in %+v", test.state, test.says, report)
			}
		})
	}
}
