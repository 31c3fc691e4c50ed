package cli

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/boltstore"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

const (
	// startTimeout limits the looks at the world before serve is ready.
	startTimeout = time.Minute
	// tasksAtOnce bounds the memory of tasks, which hold archives, and the calls to
	// AWS and GitHub that are under way.
	tasksAtOnce = 32
	// resumeInterval is how soon an execution goes on that stopped because the
	// state file could not be written.
	resumeInterval = 5 * time.Second
	// sweepInterval is that of the stack's schedule.
	sweepInterval = 5 * time.Minute
	// reportInterval is how often GitHub is told what is new.
	reportInterval = 30 * time.Second
)

// station is Tagboat on this machine: the engine, its state file, and clients
// of AWS and GitHub.
type station struct {
	local   *app.Local
	file    *boltstore.File
	clock   clock.Clock
	log     *slog.Logger
	stop    context.CancelFunc
	sweeper sync.WaitGroup
}

// open wires everything and makes sure that it can work: the registry is right,
// the buckets are there and versioned, and the state file is ours.
func open(ctx context.Context, s settings, c clock.Clock, log *slog.Logger) (*station, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	clients, err := loadClients(ctx, s, log)
	if err != nil {
		return nil, err
	}
	parts := &app.Parts{
		Clock: c, Log: log, UploadsBucket: s.Uploads,
		State:   &artifact.S3Store{S3: clients.S3(""), Bucket: s.Bucket},
		Parsed:  &app.Parsed{},
		S3:      func(region string) artifact.API { return clients.S3(region) },
		Remover: func(region string) artifact.Remover { return clients.S3(region) },
		Lambda:  lambdas(clients), Alarms: alarms(clients),
	}
	if s.EventBus != "" {
		parts.Announcer = app.EventBridge{API: eventbridge.NewFromConfig(clients.Config("")), Bus: s.EventBus}
	}
	if parts.Registries, err = registries(s, clients, parts.State); err != nil {
		return nil, err
	}
	if err := checkStores(ctx, parts, clients, s, log); err != nil {
		return nil, err
	}
	s.GitHub.Clock, s.GitHub.Name = c, repositoryName(parts.Registries)
	if parts.GitHub, err = ghapi.New(s.GitHub); err != nil {
		return nil, err
	}
	file, err := boltstore.Open(s.State)
	if err != nil {
		return nil, err
	}
	if file.Made() {
		path, _ := filepath.Abs(s.State) // else as it was named
		log.WarnContext(ctx, "the state file is new: nothing is known of earlier releases; if there were any, stop and start with the file that has them",
			"file", cmp.Or(path, s.State))
	}
	parts.Table = file.Table()
	local, err := app.NewLocal(parts, app.LocalOptions{Store: file.Executions(), Concurrency: tasksAtOnce})
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, err
	}
	return &station{local: local, file: file, clock: c, log: log, stop: func() {}}, nil
}

func lambdas(clients *awsapi.Clients) func(context.Context, release.Target, release.Phase) (app.LambdaClient, error) {
	return func(ctx context.Context, t release.Target, phase release.Phase) (app.LambdaClient, error) {
		return clients.Lambda(ctx, t, phase)
	}
}

func alarms(clients *awsapi.Clients) func(context.Context, release.Target) (function.AlarmsAPI, error) {
	return func(ctx context.Context, t release.Target) (function.AlarmsAPI, error) {
		return clients.CloudWatch(ctx, t, release.PhaseBake)
	}
}

// loadClients makes clients whose own region is the registry's home, where the
// state bucket is.
func loadClients(ctx context.Context, s settings, log *slog.Logger) (*awsapi.Clients, error) {
	bucket, key, inS3, err := s3Location(s.Registry)
	switch {
	case err != nil:
		return nil, err
	case inS3:
		return loadClientsByS3(ctx, bucket, key, log)
	}
	text, err := os.ReadFile(s.Registry)
	if err != nil {
		return nil, release.Errorf(release.NotFound, "registry: %w", err).WithRemedy("Name the file with --registry.")
	}
	registry, err := config.ParseRegistry(s.Registry, text)
	if err != nil {
		return nil, err
	}
	return awsapi.Load(ctx, registry.Tools.Home())
}

// loadClientsByS3 reads the registry in the region of the environment first.
func loadClientsByS3(ctx context.Context, bucket, key string, log *slog.Logger) (*awsapi.Clients, error) {
	clients, err := awsapi.Load(ctx, "")
	if err != nil {
		return nil, err
	}
	own := clients.Config("").Region
	if own == "" {
		return nil, release.Errorf(release.Invalid, "no AWS region is set to read the registry in").
			WithRemedy("Set AWS_REGION to the region of the state bucket.")
	}
	if err := checkVersioned(ctx, clients.S3(""), bucket, "--registry", log); err != nil {
		return nil, err
	}
	stored := &app.StoredRegistries{Store: &artifact.S3Store{S3: clients.S3(""), Bucket: bucket}, Key: key}
	registry, _, err := stored.Current(ctx)
	if err != nil {
		return nil, unreadable(err, "--registry")
	}
	if registry.Tools.Home() == own {
		return clients, nil
	}
	return awsapi.Load(ctx, registry.Tools.Home())
}

// start takes up what has not ended, and looks regularly for what was forgotten.
func (s *station) start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	problem := s.resume(ctx, "")
	s.sweeper.Go(func() { s.sweep(ctx) })
	s.sweeper.Go(func() { s.lookForMissed(ctx) })
	s.sweeper.Go(func() {
		for reporting := s.local.Reporting(); s.clock.Sleep(ctx, reportInterval) == nil; {
			reporting.Watch(ctx)
		}
	})
	s.sweeper.Go(func() {
		for s.clock.Sleep(ctx, resumeInterval) == nil {
			problem = s.resume(ctx, problem)
		}
	})
}

// resume takes up the executions that do not run: those of the process before,
// and those that stopped because the state file could not be written. The same problem is told once.
func (s *station) resume(ctx context.Context, before string) (problem string) {
	resumed, err := s.local.Engine.Resume(ctx)
	if err != nil && ctx.Err() == nil {
		if problem = err.Error(); problem != before {
			s.log.ErrorContext(ctx, "executions could not be taken up; that is tried again", "error", err, "wait", resumeInterval.String())
		}
	}
	if resumed > 0 {
		s.log.InfoContext(ctx, "unfinished executions are taken up", "count", resumed)
	}
	return problem
}

func (s *station) sweep(ctx context.Context) {
	recovery := s.local.Recovery()
	for {
		swept, err := recovery.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.ErrorContext(ctx, "a sweep failed", "error", err)
		case swept != app.Swept{}:
			s.log.InfoContext(ctx, "swept", "started", swept.Started, "recovered", swept.Recovered, "handed_on", swept.HandedOn)
		}
		if s.clock.Sleep(ctx, sweepInterval) != nil {
			return
		}
	}
}

// close leaves what has not ended for the next start.
func (s *station) close() {
	s.stop()
	s.sweeper.Wait()
	s.local.Engine.Close()
	if err := s.file.Close(); err != nil {
		s.log.Error("the state file could not be closed", "error", err)
	}
}

func (s *station) secrets(given settings) webhook.Secrets {
	return &webhook.CachedSecrets{
		Clock: s.clock, Read: func(context.Context) ([]string, error) { return given.Secrets, nil },
	}
}

// repositoryName tells GitHub's client the name of a repository by its id.
func repositoryName(registries app.Registries) func(int64) string {
	return func(id int64) string {
		registry, _, err := registries.Current(context.Background())
		if err != nil {
			return "" // the repository is found by its id alone
		}
		for _, app := range registry.Apps {
			if app.Repository.ID == id {
				return app.Repository.Name
			}
		}
		return ""
	}
}
