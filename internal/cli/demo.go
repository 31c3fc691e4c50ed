package cli

import (
	"log/slog"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/server"
	"github.com/tagboat/tagboat/internal/webhook"
)

func (c *command) demo() *cobra.Command {
	options := demo.Options{Out: c.Stdout}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See whole releases on an AWS and a GitHub in memory",
		Long: `Demo runs the real state machine with the real tasks and real zips, on an AWS of four accounts and a
GitHub in memory that enforce the services' rules. Its exit code says whether the end was right.`,
		Example: `  tagboat demo
  tagboat demo --keep              and leave it serving, for your own webhooks and zips
  tagboat demo --keep --pace 2s    with time passing, to watch: tagboat release --app orders --tag v1.3.0`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&options.Keep, "keep", false, "leave the world serving until Ctrl-C")
	cmd.Flags().DurationVar(&options.Pace, "pace", 0, "with --keep, how long a minute of that world takes (0: waits take no time, and nobody is in time to approve)")
	cmd.Flags().StringVar(&options.Listen, "listen", defaultListen, "address to serve at with --keep")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		token := c.Getenv("TAGBOAT_TOKEN")
		if err := checkListen(options.Listen, token); err != nil {
			return err
		}
		options.Handler = func(local *app.Local, secrets webhook.Secrets) (http.Handler, error) {
			log := slog.New(slog.NewJSONHandler(c.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			return server.New(server.Config{Parts: local.Parts, Secrets: secrets, Token: token, Log: log}), nil
		}
		if err := demo.Run(cmd.Context(), options); err != nil {
			return coded{exitFailed, err}
		}
		return nil
	}
	return cmd
}
