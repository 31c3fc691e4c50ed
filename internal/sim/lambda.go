package sim

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Limits of Lambda. Source: Lambda Developer Guide, "Lambda quotas".
const (
	maxUnzipped         = 262_144_000 // of a function's code with all its layers
	maxDirectUpload     = 50 << 20    // of a zip in the request itself
	maxLayers           = 5
	maxEnvironment      = 4096 // bytes of all variables
	maxLayerPolicy      = 20 << 10
	maxSynchronousEvent = 6 << 20
	maxEvent            = 1 << 20
	pageOfVersions      = 50
)

// latestVersion is the name of the version that can be changed.
const latestVersion = "$LATEST"

// LambdaClient calls Lambda in one region.
type LambdaClient struct {
	session *Session
	region  string
}

// Lambda is the session's client for Lambda in a region.
func (s *Session) Lambda(region string) *LambdaClient { return &LambdaClient{s, region} }

// functionTarget is a function as a request names it.
type functionTarget struct {
	account, region, name string
	qualifier             string // version or alias; empty if none was given
}

func (t functionTarget) arn() string {
	arn := functionARN(t.account, t.region, t.name)
	if t.qualifier != "" {
		arn += ":" + t.qualifier
	}
	return arn
}

func functionARN(account, region, name string) string {
	return "arn:aws:lambda:" + region + ":" + account + ":function:" + name
}

// functionNamePattern is the four ways to name a function: name, partial ARN, ARN, each
// with or without a qualifier. Source: Lambda API Reference, Invoke, FunctionName.
var functionNamePattern = regexp.MustCompile(
	`^(?:(?:arn:aws:lambda:([a-z0-9-]+):)?(\d{12}):function:)?([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_]+))?$`)

// target reads a function's name and qualifier. What cannot be read is kept as the
// name, and is not found.
func (c *LambdaClient) target(name, qualifier *string) functionTarget {
	t := functionTarget{account: c.session.account, region: c.region, name: value(name), qualifier: value(qualifier)}
	m := functionNamePattern.FindStringSubmatch(value(name))
	if m == nil {
		return t
	}
	if m[1] != "" {
		t.region = m[1]
	}
	if m[2] != "" {
		t.account = m[2]
	}
	t.name = m[3]
	if t.qualifier == "" {
		t.qualifier = m[4]
	}
	return t
}

// request is a call about a function or a layer that only the caller's own policies
// permit: functions have no resource policies here.
func (c *LambdaClient) request(action, permission, resource string) request {
	return request{
		session: c.session, service: lambdaService, action: action, region: c.region,
		resource: resource, permission: "lambda:" + permission,
	}
}

// function finds the target, settled up to now; the cloud's lock is held.
func (c *LambdaClient) function(t functionTarget) (*function, error) {
	if t.region != c.region {
		return nil, notFound("Functions from '%s' are not reachable in this region ('%s')", t.region, c.region)
	}
	f, ok := c.session.cloud.region(t.account, t.region).functions[t.name]
	if !ok {
		return nil, notFound("Function not found: %s", t.arn())
	}
	f.settle(c.session.cloud)
	return f, nil
}

func notFound(format string, args ...any) error {
	return &types.ResourceNotFoundException{Message: ptr(fmt.Sprintf(format, args...)), Type: ptr("User")}
}

func conflict(format string, args ...any) error {
	return &types.ResourceConflictException{Message: ptr(fmt.Sprintf(format, args...)), Type: ptr("User")}
}

func invalid(format string, args ...any) error {
	return &types.InvalidParameterValueException{Message: ptr(fmt.Sprintf(format, args...)), Type: ptr("User")}
}

// checkRevision compares a RevisionId that the caller gave with the present one.
func checkRevision(given *string, present string) error {
	if given == nil || *given == present {
		return nil
	}
	return &types.PreconditionFailedException{
		Message: ptr("The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"),
		Type:    ptr("User"),
	}
}

// page cuts a list at marker, an index in decimal, and returns the marker of the rest.
func page[T any](all []T, marker *string, items *int32, limit int) ([]T, *string, error) {
	start := 0
	if marker != nil {
		n, err := strconv.Atoi(*marker)
		if err != nil || n < 0 || n > len(all) {
			return nil, nil, invalid("Invalid Marker %q", *marker)
		}
		start = n
	}
	if n := int(value(items)); n > 0 && n < limit {
		limit = n
	}
	end := min(start+limit, len(all))
	if end == len(all) {
		return all[start:end], nil, nil
	}
	return all[start:end], ptr(strconv.Itoa(end)), nil
}
