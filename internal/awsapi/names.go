package awsapi

import (
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// special are the characters with a meaning in the resources of a policy: the
// wildcards, the $ of a variable, and what divides an ARN (IAM user guide, policy
// elements "Resource" and "Variables").
const special = `*?$:/`

// checkNames refuses a target whose names would stand for others' in a policy.
// The registry's own rules are narrower; here they count.
func checkNames(t release.Target) error {
	for _, name := range []struct{ what, text string }{{"app", t.App}, {"account", t.Account}, {"region", t.Region}} {
		if name.text == "" || strings.ContainsAny(name.text, special) {
			return notNarrow(t, name.what, name.text)
		}
	}
	for _, pattern := range t.Resources {
		// The others are wildcards in the registry only (path.Match).
		if pattern == "" || strings.ContainsAny(pattern, special[1:]+`[\`) {
			return notNarrow(t, "resource", pattern)
		}
	}
	return nil
}

func notNarrow(t release.Target, what, text string) error {
	return release.Errorf(release.Invalid, "session policy for app %.80q in %.80q: the %s %.80q would stand for other names, want none of %s",
		t.App, t.Site, what, text, special).WithRemedy("Correct the name in the registry.")
}
