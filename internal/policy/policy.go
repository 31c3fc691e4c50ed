// Package policy writes the IAM policies that an installation asks of others:
// of whoever deploys template.yaml, of an account that is released to, and of a
// CI that uploads artifacts.
//
// The lists have one source each: [github.com/tagboat/tagboat/internal/awsapi]
// for what the tasks do in a target account, this package for the rest. The
// templates under iam/ are held to the same lists by a test, and the installer's
// to the resource types that template.yaml becomes.
package policy

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/release"
)

// version is that of the policy language (IAM user guide, Version).
const version = "2012-10-17"

// Document is a policy, as IAM takes it in JSON.
type Document struct {
	Version   string
	Statement []Statement
}

// Statement allows actions: on resources in a permission policy, to principals in a trust policy.
type Statement struct {
	Sid       string                         `json:",omitempty"`
	Effect    string                         //
	Principal map[string][]string            `json:",omitempty"`
	Action    []string                       //
	Resource  []string                       `json:",omitempty"`
	Condition map[string]map[string][]string `json:",omitempty"`
}

func document(statements ...Statement) Document { return Document{version, statements} }

func allow(sid string, actions []string, resources ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources}
}

// when adds a condition on one key.
func (s Statement) when(operator, key string, values ...string) Statement {
	s.Condition = map[string]map[string][]string{operator: {key: values}}
	return s
}

// Place is where an installation is: the stack's name, its account and its region.
type Place struct{ Stack, Account, Region string }

// DefaultStack is the stack's name in samconfig.toml and in the templates under iam/.
const DefaultStack = "tagboat"

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	// stackPattern leaves room for what the names of buckets add; S3 takes 63 characters.
	stackPattern  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,25}$`)
	regionPattern = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]$`)
)

// Check tells what is wrong with a place, by the flags of the command.
func (p Place) Check() error {
	if err := match("--stack", p.Stack, stackPattern, "a stack's name of at most 26 characters a-z, 0-9 and -", DefaultStack); err != nil {
		return err
	}
	if err := match("--account", p.Account, accountPattern, "the 12 digits of the account that Tagboat runs in", "999999999999"); err != nil {
		return err
	}
	return match("--region", p.Region, regionPattern, "Tagboat's region", "us-east-1")
}

func match(flag, value string, pattern *regexp.Regexp, want, example string) error {
	if pattern.MatchString(value) {
		return nil
	}
	return release.Errorf(release.Invalid, "%s is %q, want %s", flag, value, want).WithRemedy("For example %s %s.", flag, example)
}

func (p Place) partition() string { return awsapi.Partition(p.Region) }

// arn is the ARN of a resource in the place's account and region.
func (p Place) arn(service, resource string) string {
	return strings.Join([]string{"arn", p.partition(), service, p.Region, p.Account, resource}, ":")
}

// global is the ARN of a resource whose service knows no regions.
func (p Place) global(service, account, resource string) string {
	return strings.Join([]string{"arn", p.partition(), service, "", account, resource}, ":")
}

// UploadsBucket is the name that template.yaml gives the uploads bucket.
func (p Place) UploadsBucket() string {
	return strings.Join([]string{p.Stack, "uploads", p.Account, p.Region}, "-")
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
