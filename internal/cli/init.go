package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/scaffold"
)

// beginning is what tagboat init is asked to write.
type beginning struct {
	*command
	ask                        *prompter
	dir, registry, manifest    string
	registryOnly, manifestOnly bool
	app, alias, runtime        string
	functions, environments    []string
	fromAccount                string
	account, region            string
	repository                 string
	repositoryID               int64
}

func (c *command) initialize() *cobra.Command {
	b := &beginning{command: c, ask: c.prompter()}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a first registry and manifest, from what is found",
		Long: `Init writes registry.yaml and tagboat.yaml, with comments, from what the directory shows: a Pipfile, requirements.txt,
pyproject.toml, package.json or go.mod says the runtime, src/ is the code, layer/ a layer, the git remote the repository. With
--from-account it takes over functions that exist, with their runtime, handler and alias. What it cannot find it asks on a
terminal, and wants as flags elsewhere. It never overwrites: both files are new, or nothing is written.`,
		Args: cobra.NoArgs,
		Example: `  tagboat init                                           asks
  tagboat init --manifest-only --app orders --function orders-api
  tagboat init --app orders --from-account 'orders-*' --tools-account 999999999999 --region us-east-1 \
    --environment dev=111111111111 --environment prod=222222222222 --repository acme/orders --repository-id 186853002`,
	}
	flags := cmd.Flags()
	flags.StringVar(&b.dir, "dir", ".", "the directory to look at, and to write to")
	flags.StringVar(&b.registry, "registry", "registry.yaml", "name of the registry's file, in that directory")
	flags.StringVar(&b.manifest, "manifest", release.DefaultManifest, "name of the manifest's file, in that directory")
	flags.BoolVar(&b.registryOnly, "registry-only", false, "write the registry alone")
	flags.BoolVar(&b.manifestOnly, "manifest-only", false, "write the manifest alone")
	flags.StringVar(&b.app, "app", "", "name of the app")
	flags.StringSliceVar(&b.functions, "function", nil, "names of its functions")
	flags.StringVar(&b.fromAccount, "from-account", "", "take over the functions of your AWS credentials' account whose names match, * being any text")
	flags.StringVar(&b.alias, "alias", "live", "alias that callers of the functions use; empty if they use $LATEST")
	flags.StringVar(&b.runtime, "runtime", "", "runtime of the layer, if it is another than the directory shows")
	flags.StringVar(&b.account, "tools-account", "", "id of the account that Tagboat runs in")
	flags.StringVar(&b.region, "region", c.Getenv("AWS_REGION"), "region that Tagboat and the functions are in [$AWS_REGION]")
	flags.StringSliceVar(&b.environments, "environment", nil, "an environment and its account, as dev=111111111111; in the order of promotion")
	flags.StringVar(&b.repository, "repository", "", "the repository as owner/name, if it is another than the git remote")
	flags.Int64Var(&b.repositoryID, "repository-id", 0, "its number at GitHub; asked there with $GITHUB_TOKEN if left out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) }
	return cmd
}

func (b *beginning) run(ctx context.Context) error {
	if b.registryOnly && b.manifestOnly {
		return release.Errorf(release.Invalid, "--registry-only and --manifest-only leave nothing to write").WithRemedy("Leave one of them out.")
	}
	found := scaffold.Look(b.dir)
	if b.ask == nil {
		if err := b.complete(found); err != nil {
			return err
		}
	}
	app, err := b.describe(ctx, found)
	if err != nil {
		return err
	}
	var files []scaffold.File
	if !b.registryOnly {
		files = append(files, scaffold.File{Path: filepath.Join(b.dir, b.manifest), Text: scaffold.Manifest(app)})
		if _, err := config.ParseManifest(b.manifest, files[0].Text); err != nil {
			return unfit(err)
		}
	}
	if !b.manifestOnly {
		platform, err := b.platform(ctx, found, app)
		if err != nil {
			return err
		}
		text := scaffold.Registry(platform)
		if _, err := config.ParseRegistry(b.registry, text); err != nil {
			return unfit(err)
		}
		files = append(files, scaffold.File{Path: filepath.Join(b.dir, b.registry), Text: text})
	}
	if err := scaffold.Write(files...); err != nil {
		return err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
		fmt.Fprintf(b.Stdout, "wrote %s\n", f.Path)
	}
	_, err = fmt.Fprintf(b.Stdout, "next: tagboat validate %s\n", strings.Join(names, " "))
	return err
}

// complete tells all flags at once that are missing where nobody can be asked.
func (b *beginning) complete(found scaffold.Found) error {
	registry := !b.manifestOnly
	var missing []string
	for _, flag := range []struct {
		name   string
		wanted bool
	}{
		{"--app", b.app == ""},
		{"--function", len(b.functions) == 0 && b.fromAccount == ""},
		{"--tools-account", registry && b.account == ""},
		{"--region", registry && b.region == ""},
		{"--environment", registry && len(b.environments) == 0},
		{"--repository", registry && b.repository == "" && found.Repository == ""},
		{"--repository-id", registry && b.repositoryID == 0 && b.Getenv("GITHUB_TOKEN") == ""},
	} {
		if flag.wanted {
			missing = append(missing, flag.name)
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return noTerminal(missing[0])
	}
	return release.Errorf(release.Invalid, "%s are missing, and there is no terminal to ask on", strings.Join(missing, ", ")).
		WithRemedy("Add them; tagboat init --help shows an example.")
}

// unfit is what a flag or an answer made wrong.
func unfit(err error) error {
	lines, _ := problems(err)
	return release.Errorf(release.Invalid, "nothing was written, since it would not be valid: %s", strings.Join(lines, "; ")).
		WithRemedy("Give other names by flags: tagboat init --help")
}

// describe finds out what the app consists of.
func (b *beginning) describe(ctx context.Context, found scaffold.Found) (scaffold.App, error) {
	app := scaffold.App{Runtime: found.Runtime, Code: found.Code, Layer: found.Layer, Built: found.Built}
	if b.runtime != "" {
		app.Runtime = b.runtime
	}
	if app.Code == "" {
		app.Code = "."
	}
	var err error
	if app.Name, err = b.ask.value(ctx, b.app, "--app", "The app's name", appName(found.Name)); err != nil {
		return app, err
	}
	if b.fromAccount != "" {
		app.Functions, err = b.existing(ctx)
		return app, err
	}
	names, err := b.ask.values(ctx, b.functions, "--function", "Its functions, with commas between them", app.Name+"-api")
	for _, name := range names {
		app.Functions = append(app.Functions, scaffold.Function{Name: name, Alias: b.alias})
	}
	return app, err
}

var notInAppName = regexp.MustCompile(`[^a-z0-9-]+`)

// appName is a directory's name as an app's.
func appName(dir string) string {
	return strings.Trim(notInAppName.ReplaceAllString(strings.ToLower(dir), "-"), "-")
}

// platform finds out what the registry says besides the app.
func (b *beginning) platform(ctx context.Context, found scaffold.Found, app scaffold.App) (p scaffold.Platform, err error) {
	p.App = app
	if p.Account, err = b.ask.value(ctx, b.account, "--tools-account", "The account that Tagboat runs in", ""); err != nil {
		return p, err
	}
	if p.Region, err = b.ask.value(ctx, b.region, "--region", "The region", "us-east-1"); err != nil {
		return p, err
	}
	named, err := b.ask.values(ctx, b.environments, "--environment", "Environments and their accounts, as dev=111111111111,prod=222222222222", "")
	if err != nil {
		return p, err
	}
	for _, each := range named {
		name, account, ok := strings.Cut(each, "=")
		if !ok {
			return p, release.Errorf(release.Invalid, "--environment is %q, want a name and an account", each).WithRemedy("For example --environment dev=111111111111.")
		}
		p.Environments = append(p.Environments, scaffold.Environment{Name: name, Account: account})
	}
	if b.repository == "" && b.ask == nil {
		b.repository = found.Repository
	}
	if p.Repository.Name, err = b.ask.value(ctx, b.repository, "--repository", "The repository at GitHub, as owner/name", found.Repository); err != nil {
		return p, err
	}
	p.Repository.ID, err = b.numberOf(ctx, p.Repository.Name)
	return p, err
}

// numberOf is a repository's number: the flag's, GitHub's, or an answer.
func (b *beginning) numberOf(ctx context.Context, name string) (int64, error) {
	if b.repositoryID != 0 {
		return b.repositoryID, nil
	}
	if b.Getenv("GITHUB_TOKEN") != "" {
		settings, err := githubConfig(b.Getenv)
		if err != nil {
			return 0, err
		}
		client, err := ghapi.New(settings)
		if err != nil {
			return 0, err
		}
		return client.RepositoryID(ctx, name)
	}
	answer, err := b.ask.value(ctx, "", "--repository-id", "Its number (gh api repos/"+name+" --jq .id)", "")
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseInt(answer, 10, 64)
	if err != nil {
		return 0, release.Errorf(release.Invalid, "the number of repository %s is %q, want digits", name, answer).
			WithRemedy("gh api repos/%s --jq .id tells it.", name)
	}
	return id, nil
}

// existing are the functions of the account that match, by name.
func (b *beginning) existing(ctx context.Context) ([]scaffold.Function, error) {
	functions, err := functionsOf(ctx, b.region, b.fromAccount, b.alias)
	if err != nil {
		return nil, err
	}
	if len(b.functions) > 0 {
		functions = slices.DeleteFunc(functions, func(f scaffold.Function) bool { return !slices.Contains(b.functions, f.Name) })
	}
	if len(functions) == 0 {
		return nil, release.Errorf(release.NotFound, "no function matches --from-account %q", b.fromAccount).
			WithRemedy("Look with aws lambda list-functions, in the account and region of the functions.")
	}
	return functions, nil
}
