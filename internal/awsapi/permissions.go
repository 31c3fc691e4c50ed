package awsapi

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// Partition is the AWS partition of a region: aws, aws-cn or aws-us-gov.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// RoleARN is the ARN of the role that a target grants.
func RoleARN(t release.Target) string {
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", Partition(t.Region), t.Account, t.Role)
}

// Permissions are the actions that a phase needs in a target account, by what
// they act on. The target role allows their union; a session policy narrows
// each call to its phase's.
type Permissions struct {
	// Functions are actions on the app's functions, their versions and aliases.
	Functions []string
	// Versions are actions on published versions and aliases alone: their ARNs have
	// one part more than those of functions, which no name can have.
	Versions []string
	// Layers are actions on layer versions, of any account: a function may use foreign ones.
	Layers []string
	// Staged are actions on the app's staged objects.
	Staged []string
	// Any are actions for which AWS knows no narrower resource.
	Any []string
}

var (
	readFunctions  = []string{"lambda:GetFunction", "lambda:GetAlias"}
	writeFunctions = []string{
		"lambda:GetFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:PublishVersion",
	}
	shiftFunctions = []string{
		"lambda:GetAlias", "lambda:CreateAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig",
	}
	// lookBehindVersions finds out who would miss a version.
	lookBehindVersions = []string{
		"lambda:ListVersionsByFunction", "lambda:ListAliases", "lambda:GetProvisionedConcurrencyConfig",
		"lambda:GetFunctionEventInvokeConfig", "lambda:GetPolicy",
	}
	// Lists have no resource to name (Service Authorization Reference).
	listFunctions = []string{"lambda:ListFunctions", "lambda:ListEventSourceMappings"}
	readLayers    = []string{"lambda:GetLayerVersion"}
	readStaged    = []string{"s3:GetObject", "s3:GetObjectVersion"}
	// DescribeAlarms returns composite alarms only to who may describe all
	// (CloudWatch API reference, DescribeAlarms).
	readAlarms = []string{"cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmHistory"}
)

// PhasePermissions are the permissions of a phase in a target account.
func PhasePermissions(phase release.Phase) Permissions {
	switch phase {
	case release.PhaseSnapshot:
		return Permissions{Functions: readFunctions}
	case release.PhaseAccess:
		return Permissions{Layers: readLayers}
	case release.PhaseUpdate:
		return Permissions{Functions: with(writeFunctions, "lambda:InvokeFunction"), Layers: readLayers, Staged: readStaged}
	case release.PhaseShift:
		return Permissions{Functions: shiftFunctions}
	case release.PhaseBake:
		return Permissions{Any: readAlarms}
	case release.PhaseRollBack:
		functions := with(with(writeFunctions, shiftFunctions...), "lambda:DeleteAlias")
		return Permissions{Functions: functions, Layers: readLayers, Staged: readStaged}
	case release.PhasePrune:
		return Permissions{Functions: lookBehindVersions, Versions: []string{"lambda:DeleteFunction"}, Any: listFunctions}
	case release.PhaseUnshare:
		return Permissions{Any: listFunctions[:1]}
	}
	return Permissions{}
}

func with(actions []string, more ...string) []string {
	return append(append([]string{}, actions...), more...)
}

type statement struct {
	Effect   string   `json:"Effect"`
	Action   []string `json:"Action"`
	Resource []string `json:"Resource"`
}

// SessionPolicy is the policy that narrows the target role for one phase to the
// app's functions and staged objects. STS takes at most 2,048 characters (API
// reference, AssumeRole).
func SessionPolicy(t release.Target, phase release.Phase) (string, error) {
	if err := checkNames(t); err != nil {
		return "", err
	}
	partition := Partition(t.Region)
	p := PhasePermissions(phase)
	var functions, versions []string
	for _, pattern := range t.Resources {
		functions = append(functions, fmt.Sprintf("arn:%s:lambda:%s:%s:function:%s", partition, t.Region, t.Account, pattern))
		versions = append(versions, functions[len(functions)-1]+":*")
		if !strings.HasSuffix(pattern, "*") { // its versions and aliases; a trailing * covers them
			functions = append(functions, versions[len(versions)-1])
		}
	}
	statements := []statement{}
	add := func(actions []string, resources ...string) {
		if len(actions) > 0 && len(resources) > 0 {
			statements = append(statements, statement{Effect: "Allow", Action: actions, Resource: resources})
		}
	}
	add(p.Functions, functions...)
	add(p.Versions, versions...)
	add(p.Layers, fmt.Sprintf("arn:%s:lambda:%s:*:layer:*", partition, t.Region))
	add(p.Staged, fmt.Sprintf("arn:%s:s3:::*/staged/%s/*", partition, t.App))
	add(p.Any, "*")
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		return "", fmt.Errorf("session policy of %s: %w", t.Site, err)
	}
	if len(text) > maxSessionPolicy {
		return "", release.Errorf(release.Invalid,
			"session policy for app %q in %s has %d characters, more than the %d that STS takes", t.App, t.Site, len(text), maxSessionPolicy).
			WithRemedy("Give the app fewer or shorter patterns under resources in the registry.")
	}
	return string(text), nil
}

const maxSessionPolicy = 2048
