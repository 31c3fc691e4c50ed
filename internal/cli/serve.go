package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/server"
)

// defaultUnfinished is far beyond what people release, and bounds the memory
// that waiting releases take.
const defaultUnfinished = 5000

// defaultState is the state file where none is named.
const defaultState = "tagboat.db"

func (c *command) serve() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run Tagboat here, against the AWS that the SDK's environment names",
		Long: `Serve runs the same state machine and the same tasks as the stack in AWS, on an embedded engine. It
keeps its state in a local file and takes up unfinished releases when it starts again.

It takes GitHub's webhooks at POST /webhooks/github and EventBridge's events of the uploads bucket at
POST /events, and prints one line when it is ready. Its log goes to stderr, as JSON.

Environment, besides the flags' own:
  TAGBOAT_WEBHOOK_SECRET           signs the webhooks; required
  TAGBOAT_WEBHOOK_SECRET_PREVIOUS  also valid, during a rotation
  TAGBOAT_TOKEN                    bearer token of everything but the webhook and /healthz;
                                   required to listen on anything but loopback
  GITHUB_TOKEN                     reads repositories, writes deployments and statuses; or, for a GitHub App,
  GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY
  GITHUB_API_URL                   for GitHub Enterprise
  AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and whatever else the AWS SDK reads`,
		Example: `  export TAGBOAT_WEBHOOK_SECRET=$(openssl rand -hex 32) GITHUB_TOKEN=… AWS_PROFILE=tools
  tagboat serve --registry registry.yaml --bucket tagboat-state --uploads-bucket tagboat-uploads
  TAGBOAT_TOKEN=… tagboat serve --listen 0.0.0.0:8787 --registry s3://tagboat-state/config/registry.yaml --bucket tagboat-state`,
		Args: cobra.NoArgs,
	}
	for _, flag := range []struct {
		value                           *string
		name, variable, fallback, usage string
	}{
		{&s.Listen, "listen", "TAGBOAT_LISTEN", defaultListen, "address to listen at; port 0 takes a free one"},
		{&s.Registry, "registry", "TAGBOAT_REGISTRY", "", "the registry: a file or s3://bucket/key"},
		{&s.Bucket, "bucket", "TAGBOAT_BUCKET", "", "state bucket, versioned, in the registry's first region"},
		{&s.Uploads, "uploads-bucket", "TAGBOAT_UPLOADS_BUCKET", "", "bucket where artifacts are uploaded and dropped"},
		{&s.State, "state", "TAGBOAT_STATE", defaultState, "local state file"},
		{&s.EventBus, "event-bus", "TAGBOAT_EVENT_BUS", "", "EventBridge bus, in the registry's first region, that is told what becomes of releases"},
	} {
		cmd.Flags().StringVar(flag.value, flag.name, cmp.Or(c.Getenv(flag.variable), flag.fallback), flag.usage+" [$"+flag.variable+"]")
	}
	cmd.Flags().IntVar(&s.MaxUnfinished, "max-unfinished", defaultUnfinished,
		"with how many releases under way events are answered with 503; 0 is no limit")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := s.environment(c.Getenv); err != nil {
			return err
		}
		return c.runServer(cmd.Context(), s, slog.New(slog.NewJSONHandler(c.Stderr, nil)))
	}
	return cmd
}

// runServer serves until ctx is done. What has not ended then is taken up by the next start.
func (c *command) runServer(ctx context.Context, s settings, log *slog.Logger) error {
	station, err := open(ctx, s, c.Clock, log)
	if err != nil {
		if ctx.Err() != nil {
			return release.Errorf(release.Transient, "interrupted before it was ready").WithRemedy("Start it again.")
		}
		return err
	}
	defer station.close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return release.Errorf(release.Invalid, "--listen: %w", err).WithRemedy("Stop what listens there, or choose another address.")
	}
	station.start(ctx)
	handler := server.New(server.Config{
		Parts: station.local.Parts, Secrets: station.secrets(s), Token: s.Token, Log: log,
		Unfinished: station.local.Engine.Running, MaxUnfinished: s.MaxUnfinished,
	})
	if _, err := fmt.Fprintf(c.Stdout, "tagboat is ready on http://%s\n", listener.Addr()); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	if err := server.Run(ctx, listener, handler, log); err != nil {
		return coded{exitFailed, err}
	}
	return nil
}
