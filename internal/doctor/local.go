package doctor

import (
	"context"

	"github.com/tagboat/tagboat/internal/release"
)

// Local is an installation without a stack: a server, with the credentials of its process.
type Local struct {
	Clients
	State, Uploads string
	// WebhookSecret is the text of the secret, as the server gets it.
	WebhookSecret string
	GitHub        GitHub
	// Inside looks with the server's credentials.
	Inside func(release.Registry) *Inside
	// Registry reads the registry where the server reads it.
	Registry func(context.Context, *Report) (release.Registry, bool)
}

// Do looks at what the server uses.
func (l *Local) Do(ctx context.Context, q Question) Report {
	report := &Report{}
	account := l.Clients.identity(ctx, report)
	WebhookSecret(report, "TAGBOAT_WEBHOOK_SECRET", l.WebhookSecret)
	for _, bucket := range []struct{ check, name string }{{"state bucket", l.State}, {"uploads bucket", l.Uploads}} {
		if bucket.name == "" {
			report.look(bucket.check, "").skip("it was not named")
			continue
		}
		l.Clients.Bucket(ctx, report, bucket.check, "", bucket.name)
	}
	registry, valid := l.Registry(ctx, report)
	if !valid {
		report.look("role", "").skip("without a registry nobody knows which there are")
		return *report
	}
	tools(report, registry, account)
	l.Clients.Staging(ctx, report, registry)
	Repositories(ctx, report, l.GitHub, registry)
	*report = append(*report, l.Inside(registry).Do(ctx, q)...)
	return *report
}
