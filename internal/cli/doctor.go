package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/doctor"
	"github.com/tagboat/tagboat/internal/release"
)

// examination is what tagboat doctor is asked to look at.
type examination struct {
	*command
	stack, region             string
	registry, bucket, uploads string
	state                     string
	server                    string
	manifests                 []string
	asJSON, strict            bool
	timeout                   time.Duration
}

// doctorTime is how long the looks may take: a little longer than those from inside.
const doctorTime = 6 * time.Minute

func (c *command) doctor() *cobra.Command {
	e := &examination{command: c}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check an installation: roles, buckets, table, state machine, secrets, GitHub, functions and layers",
		Long: `Doctor looks, with your own AWS credentials, whether an installed stack can release, and changes nothing. What only Tagboat's
own roles may do, the stack's doctor function tries: to assume each target's role with its external id, to be refused
without it, to see the functions and to read their layers and staged code. A line for each check says how it ended, the
line after it what to do. What could not be checked is told as such; it is never "ok".

Without a stack, it looks at what tagboat serve would use in this environment (the same flags and variables).

Exit codes: 0 nothing failed; 1 something failed, or with --strict was not as it should be or not checked; 2 bad input.`,
		Args: cobra.NoArgs,
		Example: `  tagboat doctor --stack tagboat --region us-east-1
  tagboat doctor --stack tagboat --manifest tagboat.yaml     also functions that were never released
  tagboat doctor --stack tagboat --json | jq -r '.[] | select(.state == "failed") | .remedy'
  tagboat doctor --registry registry.yaml --bucket tagboat-state`,
	}
	flags := cmd.Flags()
	flags.StringVar(&e.stack, "stack", c.Getenv("TAGBOAT_STACK"), "name of the installed stack [$TAGBOAT_STACK]")
	flags.StringVar(&e.region, "region", "", "region of the stack; the AWS SDK's own if left out")
	flags.StringVar(&e.registry, "registry", c.Getenv("TAGBOAT_REGISTRY"), "without a stack: the registry's file, or s3://bucket/key [$TAGBOAT_REGISTRY]")
	flags.StringVar(&e.bucket, "bucket", c.Getenv("TAGBOAT_BUCKET"), "without a stack: the state bucket [$TAGBOAT_BUCKET]")
	flags.StringVar(&e.uploads, "uploads-bucket", c.Getenv("TAGBOAT_UPLOADS_BUCKET"), "without a stack: the uploads bucket [$TAGBOAT_UPLOADS_BUCKET]")
	flags.StringVar(&e.state, "state", cmp.Or(c.Getenv("TAGBOAT_STATE"), defaultState), "without a stack: the local state file [$TAGBOAT_STATE]")
	flags.StringVar(&e.server, "server", c.Getenv("TAGBOAT_SERVER"), "without a stack: address of the running tagboat serve, asked as well [$TAGBOAT_SERVER]")
	flags.StringSliceVar(&e.manifests, "manifest", nil, "manifests whose functions are looked for as well")
	flags.BoolVar(&e.asJSON, "json", false, "print JSON")
	flags.BoolVar(&e.strict, "strict", false, "exit with 1 also for warnings and for what was not checked")
	flags.DurationVar(&e.timeout, "timeout", doctorTime, "how long the checks may take")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := e.choose(flags); err != nil {
			return err
		}
		return e.run(cmd.Context())
	}
	return cmd
}

// choose decides between a stack and what serve uses: what was typed counts more
// than what the environment says.
func (e *examination) choose(flags *pflag.FlagSet) error {
	for _, name := range []string{"registry", "bucket", "uploads-bucket", "server"} {
		switch {
		case !flags.Changed(name):
		case flags.Changed("stack"):
			return release.Errorf(release.Invalid, "want --stack or --%s, got both: --%s is of what tagboat serve uses", name, name).
				WithRemedy("Leave out the one that is not to be looked at.")
		default:
			e.stack = ""
		}
	}
	return nil
}

func (e *examination) run(ctx context.Context) error {
	if e.stack == "" && e.registry == "" {
		return release.Errorf(release.Invalid, "want an installed stack, or what tagboat serve uses: --stack and --registry are missing").
			WithRemedy("%s", e.example())
	}
	question, err := e.question()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	look := e.installed
	if e.stack == "" {
		look = e.local
	}
	report, err := look(ctx, question)
	if err != nil {
		return err
	}
	if err := e.print(report); err != nil {
		return err
	}
	bad := report.Count(doctor.Failed)
	if e.strict {
		bad += report.Count(doctor.Warning) + report.Count(doctor.NotChecked)
	}
	if bad > 0 {
		return coded{code: exitFailed}
	}
	return nil
}

// example is how doctor is called: as far as it can be told, for what was asked about.
func (e *examination) example() string {
	served := fmt.Sprintf("tagboat doctor --registry registry.yaml --bucket %s", cmp.Or(e.bucket, "tagboat-state"))
	if e.uploads != "" {
		served += " --uploads-bucket " + e.uploads
	}
	if e.server != "" {
		served += " --server " + e.server
	}
	if e.bucket+e.uploads+e.server != "" {
		return "Name what tagboat serve was started with, for example: " + served
	}
	return "For a stack: tagboat doctor --stack tagboat --region us-east-1. For tagboat serve: " + served
}

// question names the functions of the manifests, and nothing else of them: what
// they say of variables and payloads is nobody's business here.
func (e *examination) question() (doctor.Question, error) {
	var q doctor.Question
	for _, name := range e.manifests {
		text, err := os.ReadFile(name)
		if err != nil {
			return q, release.Errorf(release.NotFound, "manifest: %w", err).WithRemedy("Name the file with --manifest.")
		}
		manifest, err := config.ParseManifest(name, text)
		if err != nil {
			return q, err
		}
		asked := release.Manifest{App: manifest.App}
		for _, f := range manifest.Functions {
			asked.Functions = append(asked.Functions, release.FunctionSpec{Name: f.Name, Alias: f.Alias})
		}
		q.Manifests = append(q.Manifests, asked)
	}
	return q, nil
}

// installed looks at a stack.
func (e *examination) installed(ctx context.Context, q doctor.Question) (doctor.Report, error) {
	clients, err := awsapi.Load(ctx, e.region)
	if err != nil {
		return nil, err
	}
	o := &doctor.Outside{Clients: doctorClients(clients), Stack: e.stack, RegistryKey: app.RegistryKey}
	return o.Do(ctx, q), nil
}

func doctorClients(clients *awsapi.Clients) doctor.Clients {
	own := clients.Config("")
	return doctor.Clients{
		Identity: sts.NewFromConfig(own),
		Stacks:   cloudformation.NewFromConfig(own),
		Buckets:  func(region string) doctor.Buckets { return clients.S3(region) },
		Tables:   dynamodb.NewFromConfig(own),
		Machines: sfn.NewFromConfig(own),
		Lambda:   lambda.NewFromConfig(own),
		Secrets:  secretsmanager.NewFromConfig(own),
		GitHub: func(secret, address string) (doctor.GitHub, error) {
			return app.GitHubBySecret(secret, address)
		},
	}
}

// print prints a line for each finding, and the remedy on the line after it.
func (e *examination) print(report doctor.Report) error {
	if e.asJSON {
		document, err := json.Marshal(report)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		return e.printJSON(document)
	}
	words := map[doctor.State]string{
		doctor.OK: "ok", doctor.Warning: "warning", doctor.Failed: "FAILED", doctor.NotChecked: "unknown",
	}
	for _, f := range report {
		subject := f.Check
		if f.Object != "" {
			subject += " " + f.Object
		}
		fmt.Fprintf(e.Stdout, "%-8s %s: %s\n", words[f.State], readable(subject), readable(f.Detail))
		if f.Remedy != "" && f.State != doctor.OK {
			fmt.Fprintf(e.Stdout, "%-8s next: %s\n", "", readable(f.Remedy))
		}
	}
	_, err := fmt.Fprintf(e.Stdout, "%s: %d ok, %s, %d failed, %d not checked.\n", count(len(report), "check"),
		report.Count(doctor.OK), count(report.Count(doctor.Warning), "warning"), report.Count(doctor.Failed), report.Count(doctor.NotChecked))
	return err
}
