package report

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// Console is the address of a service in the AWS console, in the partition of
// the region (AWS General Reference, "AWS Management Console endpoints").
func Console(region, service string) string {
	domain := "console.aws.amazon.com"
	switch {
	case strings.HasPrefix(region, "cn-"):
		domain = "console.amazonaws.cn"
	case strings.HasPrefix(region, "us-gov-"):
		domain = "console.amazonaws-us-gov.com"
	}
	return fmt.Sprintf("https://%s.%s/%s/home?region=%s", region, domain, service, region)
}

// FunctionLink is the address of a function, or of its alias, in the AWS console.
// The console shows the account that somebody is signed in to.
func FunctionLink(region, function, alias string) string {
	link := Console(region, "lambda") + "#/functions/" + url.PathEscape(function)
	if alias != "" {
		link += "/aliases/" + url.PathEscape(alias)
	}
	return link
}

// EnvironmentLink is the address of what a release runs in an environment: the
// first function that it changes there or, if it changes none, the first one.
// It is empty where the plans have no function.
func EnvironmentLink(plans []*release.Plan, environment string) string {
	link, changed := "", false
	for _, plan := range plans {
		for _, step := range plan.Steps {
			if step.Kind != release.UpdateFunction || step.Site.Environment != environment || step.Function == nil {
				continue
			}
			if link == "" || step.Change && !changed {
				link, changed = FunctionLink(step.Site.Region, step.Target, step.Function.Alias), step.Change
			}
		}
	}
	return link
}
