package doctor_test

import (
	"context"
	"errors"

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
	for _, check := range []string{"caller", "webhook secret", "state bucket", "uploads bucket", "registry", "tools account", "staging bucket", "github", "role"} {
		if !has(report, check, doctor.OK, "") {
			t.Errorf("the %s is not ok: %+v", check, report)
		}
	}
	if report.Count(doctor.Failed) > 0 || !has(report, "function", doctor.NotChecked, "nothing was released yet") {
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
