package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/server"
)

const (
	defaultServer  = "http://127.0.0.1:8787"
	requestTimeout = time.Minute
	// maxAnswer is the largest answer that is read, in bytes: the plan of a large release.
	maxAnswer = 256 << 20
)

// remote are the flags of the subcommands that ask a server, or an installed stack.
type remote struct {
	address, stack, region string
	flags                  *pflag.FlagSet // nil: nothing was typed
}

func (c *command) remote(cmd *cobra.Command) *remote {
	r := &remote{flags: cmd.Flags()}
	cmd.Flags().StringVar(&r.address, "server", cmp.Or(c.Getenv("TAGBOAT_SERVER"), defaultServer),
		"address of the running tagboat serve, whatever $TAGBOAT_STACK says [$TAGBOAT_SERVER]; it is sent $TAGBOAT_TOKEN if that is set")
	cmd.Flags().StringVar(&r.stack, "stack", c.Getenv("TAGBOAT_STACK"),
		"name of the installed stack, asked with your AWS credentials instead of a server [$TAGBOAT_STACK]")
	cmd.Flags().StringVar(&r.region, "region", "", "region of the stack; the AWS SDK's own if left out")
	return r
}

// stackAsked is the stack that is to be asked, empty for a server. What was typed
// counts more than what the environment says.
func (r *remote) stackAsked() (string, error) {
	if r.flags == nil || !r.flags.Changed("server") {
		return r.stack, nil
	}
	if r.flags.Changed("stack") {
		return "", release.Errorf(release.Invalid, "want --server or --stack, got both: %q and %q", r.address, r.stack).
			WithRemedy("Leave out the one that is not to be asked.")
	}
	return "", nil
}

// client asks a server.
type client struct {
	base  *url.URL
	token string
	http  *http.Client
}

func (c *command) client(r *remote) (*client, error) {
	name, err := r.stackAsked()
	if err != nil {
		return nil, err
	}
	if name != "" {
		log := slog.New(slog.NewTextHandler(c.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		return &client{
			base: &url.URL{Scheme: "http", Host: "localhost"},
			http: &http.Client{Timeout: requestTimeout, Transport: &stack{name: name, region: r.region, log: log}},
		}, nil
	}
	base, err := url.Parse(strings.TrimSuffix(r.address, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, release.Errorf(release.Invalid, "the server's address is not http(s)://host").
			WithRemedy("Set --server or TAGBOAT_SERVER to an address like %s.", defaultServer)
	}
	return &client{base: base, token: strings.TrimSpace(c.Getenv("TAGBOAT_TOKEN")), http: &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// get reads a document. Elements of the path are escaped.
func (c *client) get(ctx context.Context, query url.Values, into any, path ...string) error {
	return c.do(ctx, http.MethodGet, query, nil, into, path...)
}

// post sends a document and reads the answer's.
func (c *client) post(ctx context.Context, body, into any, path ...string) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return c.do(ctx, http.MethodPost, nil, text, into, path...)
}

func (c *client) do(ctx context.Context, method string, query url.Values, body []byte, into any, path ...string) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url(query, path...), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	if resp.StatusCode/100 != 2 {
		return c.problem(resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return c.stranger(resp.StatusCode)
	}
	return nil
}

func (c *client) url(query url.Values, path ...string) string {
	escaped := make([]string, len(path))
	for i, element := range path {
		escaped[i] = url.PathEscape(element)
	}
	address := c.base.String() + "/" + strings.Join(escaped, "/")
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address
}

func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return release.Errorf(release.Transient, "interrupted").WithRemedy("Run it again; what the server was asked to do, it may do all the same.")
	}
	var known *release.Error // of an installed stack
	if errors.As(err, &known) {
		return known
	}
	failure := release.Errorf(release.Transient, "the server at %s: %w", c.base, err)
	if errors.Is(err, syscall.ECONNREFUSED) {
		failure = release.Errorf(release.Transient, "no tagboat answers at %s: connection refused", c.base)
	}
	return failure.WithRemedy("Start one with tagboat serve (or tagboat demo --keep), or say where it runs with --server or TAGBOAT_SERVER.")
}

func (c *client) stranger(status int) error {
	return release.Errorf(release.Invalid, "what answers at %s is not tagboat serve: status %d, not its JSON", c.base, status).
		WithRemedy("Say where it runs with --server or TAGBOAT_SERVER.")
}

// problem is the error that a server answered, by its kind.
func (c *client) problem(status int, text []byte) error {
	var answered struct {
		server.Problem
		Reason string `json:"reason"` // of an answer
	}
	if err := json.Unmarshal(text, &answered); err != nil || answered.Error+answered.Reason == "" {
		return c.stranger(status)
	}
	kind := answered.Kind
	if status == http.StatusServiceUnavailable {
		kind = release.Transient
	}
	return release.Errorf(cmp.Or(kind, release.Internal), "%s", cmp.Or(answered.Error, answered.Reason)).WithRemedy("%s", answered.Remedy)
}

// printJSON prints a document as the server sent it, indented.
func (c *command) printJSON(document json.RawMessage) error {
	var text bytes.Buffer
	if err := json.Indent(&text, document, "", "  "); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	_, err := fmt.Fprintln(c.Stdout, text.String())
	return err
}
