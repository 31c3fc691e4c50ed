package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// leastSecret is how many characters a secret should have: half of what
// openssl rand -hex 32 prints.
const leastSecret = 32

// placeholders are what stands in secrets until somebody means it.
var placeholders = []string{"changeme", "change-me", "change_me", "placeholder", "replace-me", "replaceme", "secret", "webhook-secret", "todo", "xxx"}

// webhookSecret reads the secret that GitHub signs with. Its text is told to nobody.
func (o *Outside) webhookSecret(ctx context.Context, report *Report, id string) {
	l := report.look("webhook secret", id)
	text, ok := o.secret(ctx, l, id)
	if ok {
		WebhookSecret(report, id, text)
	}
}

// WebhookSecret looks at the text of a webhook secret.
func WebhookSecret(report *Report, name, text string) {
	l := report.look("webhook secret", name)
	trimmed := strings.TrimSpace(text)
	lower := strings.ToLower(trimmed)
	const anew = "Make one with openssl rand -hex 32, and give it to GitHub and to the secret."
	switch {
	case trimmed == "":
		l.fail(anew, "it is empty: every delivery is refused")
	case slices.Contains(placeholders, lower) || strings.HasPrefix(trimmed, "<"):
		l.fail(anew, "it is a placeholder, which others know too")
	case strings.TrimRight(text, "\r\n") != text:
		l.warn("Store it without: printf %s \"$SECRET\" instead of echo.",
			"it ends with a line break: Tagboat drops it, but what is pasted into GitHub must not have it")
	case trimmed != text:
		l.warn("Store it without.", "there is white space around it: Tagboat drops it, but what is pasted into GitHub must not have it")
	case len(trimmed) < leastSecret:
		l.warn(anew, "it has %d characters, want at least %d", len(trimmed), leastSecret)
	default:
		l.ok("it is there")
	}
}

func (o *Outside) secret(ctx context.Context, l look, id string) (string, bool) {
	if id == "" {
		l.fail("Deploy the stack of this version's template.yaml.", "the stack has no parameter that names it")
		return "", false
	}
	out, err := o.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		l.refused(err, "Create it: aws secretsmanager create-secret; then deploy the stack with its ARN.")
		return "", false
	}
	return aws.ToString(out.SecretString), true
}

func (o *Outside) gitHub(ctx context.Context, report *Report, registry release.Registry, parameters map[string]string) {
	id := parameters[parameterGitHubSecret]
	l := report.look("github", id)
	text, ok := o.secret(ctx, l, id)
	if !ok {
		return
	}
	if strings.TrimSpace(text) == "" {
		l.fail("Put a token or the GitHub App's JSON into it.", "the secret is empty")
		return
	}
	client, err := o.GitHub(strings.TrimSpace(text), parameters[parameterGitHubAPI])
	if err != nil {
		l.fail(release.RemedyOf(err), "%v", err)
		return
	}
	Repositories(ctx, report, client, registry)
}

// Repositories looks at what a credential may do in each repository of the registry.
func Repositories(ctx context.Context, report *Report, client GitHub, registry release.Registry) {
	for _, repository := range repositories(registry) {
		l := report.look("github", repository.Name)
		if l.ended(ctx) {
			continue
		}
		held, err := client.Permissions(ctx, repository.ID)
		switch kind := release.KindOf(err); {
		case err == nil:
			permissions(l, held)
		case kind == release.Transient || kind == release.Internal:
			l.skip("GitHub could not be asked: %v", err)
		default:
			l.fail(release.RemedyOf(err), "%v", err)
		}
	}
}

// permissions tells what is missing, what nobody knows, or that all is there.
func permissions(l look, held []ghapi.Permission) {
	var missing, unknown []string
	for _, p := range held {
		switch p.State {
		case ghapi.Missing:
			missing = append(missing, p.Name)
		case ghapi.Unknown:
			unknown = append(unknown, p.Name)
		}
	}
	if len(missing) > 0 {
		l.fail("Give it to the token, or to the GitHub App, and accept it for the organization.", "the credential lacks %s", strings.Join(missing, ", "))
	}
	if len(unknown) > 0 {
		l.skip("GitHub does not tell whether the token has %s; the first release shows it", strings.Join(unknown, ", "))
	}
	if len(missing) == 0 && len(unknown) == 0 {
		l.ok("it can be reached, with every permission that is needed")
	}
}
