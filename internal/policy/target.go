package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/release"
)

// Target is an account that is released to, as iam/target-account.yaml has it.
type Target struct {
	Tools Place
	// Account is the target's.
	Account    string
	ExternalID string
	// Functions are names of functions that may be released, or patterns with *.
	Functions []string
}

var (
	// externalIDPattern is IAM's, without the white space that a copy brings along.
	externalIDPattern = regexp.MustCompile(`^[A-Za-z0-9+=,.@:/_-]{2,}$`)
	functionPattern   = regexp.MustCompile(`^[A-Za-z0-9_*-]{1,64}$`)
)

// Check tells what is wrong with a target, by the flags of the command.
func (t Target) Check(trust bool) error {
	if err := t.Tools.Check(); err != nil {
		return err
	}
	if trust {
		return match("--external-id", t.ExternalID, externalIDPattern, "the external_id of the account's environment in the registry", "tagboat-dev")
	}
	if err := match("--target-account", t.Account, accountPattern, "the 12 digits of the account that is released to", "111111111111"); err != nil {
		return err
	}
	if len(t.Functions) == 0 {
		return release.Errorf(release.Invalid, "--functions is missing: want names of functions, or patterns").
			WithRemedy("For example --functions 'orders-*,billing-*'.")
	}
	for _, name := range t.Functions {
		if err := match("--functions", name, functionPattern, "names of functions, or patterns with *", "'orders-*,billing-*'"); err != nil {
			return err
		}
	}
	return nil
}

// phases are those in which tasks act in target accounts.
func phases() []release.Phase {
	return []release.Phase{
		release.PhaseSnapshot, release.PhaseAccess, release.PhaseUpdate, release.PhaseShift, release.PhaseBake, release.PhaseRollBack,
		release.PhasePrune,
	}
}

// TrustedTasks are the functions whose roles assume the target's.
func TrustedTasks() []string {
	return []string{"snapshot", "access", "update", "shift", "rollback", "prune", "doctor"}
}

// Permissions are what the target's role allows: the union of what the phases
// need. A session policy narrows each use of it.
func (t Target) Permissions() Document {
	var union awsapi.Permissions
	for _, phase := range phases() {
		p := awsapi.PhasePermissions(phase)
		union.Functions = join(union.Functions, p.Functions)
		union.Versions = join(union.Versions, p.Versions)
		union.Layers = join(union.Layers, p.Layers)
		union.Staged = join(union.Staged, p.Staged)
		union.Any = join(union.Any, p.Any)
	}
	partition := t.Tools.partition()
	var functions, versions []string
	for _, pattern := range t.Functions {
		arn := strings.Join([]string{"arn", partition, "lambda", "*", t.Account, "function", pattern}, ":")
		functions = append(functions, arn)
		versions = append(versions, arn+":*") // and aliases
	}
	staged := func(kind string) string {
		return t.Tools.global("s3", "", t.Tools.Stack+"-"+kind+"-"+t.Tools.Account+"-*/staged/*")
	}
	return document(
		allow("Functions", union.Functions, slices.Concat(functions, versions)...),
		allow("Versions", union.Versions, versions...),
		allow("Layers", union.Layers, "arn:"+partition+":lambda:*:*:layer:*"),
		allow("Staged", union.Staged, staged("state"), staged("staging")),
		allow("Any", union.Any, "*"),
	)
}

// join adds actions that are not there yet.
func join(actions, more []string) []string {
	for _, action := range more {
		if !slices.Contains(actions, action) {
			actions = append(actions, action)
		}
	}
	return actions
}

// Trust is who may assume the target's role: the tasks that act in target
// accounts, with the external id.
func (t Target) Trust() Document {
	var roles []string
	for _, task := range TrustedTasks() {
		roles = append(roles, t.Tools.global("iam", t.Tools.Account, "role/"+t.Tools.Stack+"-"+task))
	}
	trust := Statement{Effect: "Allow", Action: []string{"sts:AssumeRole"}, Principal: map[string][]string{"AWS": roles}}
	return document(trust.when("StringEquals", "sts:ExternalId", t.ExternalID))
}
