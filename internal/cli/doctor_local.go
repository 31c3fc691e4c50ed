package cli

import (
	"context"
	"encoding/json"
	"os"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/boltstore"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/doctor"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// local looks at what tagboat serve uses in this environment.
func (e *examination) local(ctx context.Context, q doctor.Question) (doctor.Report, error) {
	bucket, key, inS3, err := s3Location(e.registry)
	if err != nil {
		return nil, err
	}
	var text []byte
	region := e.region
	if !inS3 {
		if text, err = os.ReadFile(e.registry); err != nil {
			return nil, release.Errorf(release.NotFound, "registry: %w", err).WithRemedy("Name the file with --registry.")
		}
		if registry, err := config.ParseRegistry(e.registry, text); err == nil { // else it is told with the rest
			region = registry.Tools.Home()
		}
	}
	clients, err := awsapi.Load(ctx, region)
	if err != nil {
		return nil, err
	}
	l := &doctor.Local{
		Clients: doctorClients(clients), State: e.bucket, Uploads: e.uploads, WebhookSecret: e.Getenv("TAGBOAT_WEBHOOK_SECRET"),
		StateFile: e.state, Inspect: boltstore.Inspect,
	}
	l.Registry = func(ctx context.Context, report *doctor.Report) (release.Registry, bool) {
		if inS3 {
			return l.StoredRegistry(ctx, report, bucket, key)
		}
		return doctor.ParsedRegistry(report, e.registry, text)
	}
	l.Inside = func(registry release.Registry) *doctor.Inside {
		return (&app.Parts{Clock: e.Clock, Lambda: lambdas(clients)}).Doctor(clients, registry)
	}
	github, err := githubConfig(e.Getenv)
	if err != nil {
		return nil, err
	}
	if l.GitHub, err = ghapi.New(github); err != nil {
		return nil, err
	}
	return append(l.Do(ctx, q), e.running(ctx)...), nil
}

// running asks the server, if there is one to ask, with $TAGBOAT_TOKEN.
func (e *examination) running(ctx context.Context) doctor.Report {
	if e.server == "" {
		return nil
	}
	f := doctor.Finding{Check: "server", Object: e.server, State: doctor.OK, Detail: "it answers, and takes the token"}
	cl, err := e.client(&remote{address: e.server})
	if err == nil {
		var leases json.RawMessage
		err = cl.get(ctx, nil, &leases, "leases")
	}
	if err != nil {
		f.State, f.Detail, f.Remedy = doctor.Failed, err.Error(), release.RemedyOf(err)
	}
	return doctor.Report{f}
}
