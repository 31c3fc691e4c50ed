package sim

import (
	"maps"
	"slices"
	"time"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// FunctionState is a copy of what a function is, for those who judge the outcome.
type FunctionState struct {
	Name, ARN string
	Latest    VersionState
	// Published are the published versions in the order of their numbers.
	Published []VersionState
	Aliases   map[string]AliasState
	Tags      map[string]string
}

// Version is the published version with a number, or $LATEST.
func (f FunctionState) Version(name string) (VersionState, bool) {
	if name == latestVersion {
		return f.Latest, true
	}
	for _, v := range f.Published {
		if v.Version == name {
			return v, true
		}
	}
	return VersionState{}, false
}

// VersionState is a copy of $LATEST or of a published version.
type VersionState struct {
	Version    string
	RevisionID string
	// Code is the archive; nil for an image.
	Code       *Archive
	Image      string
	CodeSha256 string
	// Layers are the ARNs of the layer versions in their order.
	Layers      []string
	Environment map[string]string
	// Configuration is everything else, as GetFunction tells it.
	Configuration lambdatypes.FunctionConfiguration
	// Invocations counts how often this version was run, through aliases too.
	Invocations int
}

// AliasState is a copy of an alias.
type AliasState struct {
	Version    string
	Weights    map[string]float64 // of the additional version
	RevisionID string
	// Invocations counts the runs through the alias by version.
	Invocations map[string]int
}

// Function is a copy of a function, settled up to now; false if there is none.
func (c *Cloud) Function(account, region, name string) (FunctionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.region(account, region).functions[name]
	if !ok {
		return FunctionState{}, false
	}
	f.settle(c)
	state := FunctionState{
		Name: f.name, ARN: f.arn(), Latest: f.latest.state(), Aliases: map[string]AliasState{}, Tags: maps.Clone(f.tags),
	}
	for _, v := range f.published {
		state.Published = append(state.Published, v.state())
	}
	for name, a := range f.aliases {
		state.Aliases[name] = AliasState{
			Version: a.version, Weights: maps.Clone(a.weights), RevisionID: a.revision, Invocations: maps.Clone(a.invocations),
		}
	}
	return state, true
}

func (v *version) state() VersionState {
	config := v.describe()
	return VersionState{
		Version: v.name(), RevisionID: value(config.RevisionId), Code: v.code.archive, Image: v.code.image,
		CodeSha256: value(config.CodeSha256), Layers: v.layerARNs(), Environment: maps.Clone(v.environment()),
		Configuration: config, Invocations: v.invocations,
	}
}

// Functions are the names of an account's functions in a region, sorted.
func (c *Cloud) Functions(account, region string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.region(account, region).functions))
}

// LayerVersionState is a copy of a layer version that is not deleted.
type LayerVersionState struct {
	ARN           string
	Version       int64
	Content       *Archive
	CodeSha256    string
	Runtimes      []lambdatypes.Runtime
	Architectures []lambdatypes.Architecture
	Description   string
	Grants        []Grant
	Created       time.Time
}

// Grant is one statement of a layer version's policy.
type Grant struct {
	StatementID string
	// Principal is an account, the ARN of its root, or "*".
	Principal string
	// OrganizationID limits "*" to an organisation, unless it is empty.
	OrganizationID string
}

// LayerVersions are copies of a layer's versions, oldest first.
func (c *Cloud) LayerVersions(account, region, name string) []LayerVersionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.region(account, region).layers[name]
	if !ok {
		return nil
	}
	var states []LayerVersionState
	for _, v := range l.versions {
		s := LayerVersionState{
			ARN: v.arn(), Version: v.target.number, Content: v.archive, CodeSha256: v.archive.CodeSha256(),
			Runtimes: slices.Clone(v.runtimes), Architectures: slices.Clone(v.architectures),
			Description: v.description, Created: v.created,
		}
		for _, g := range v.grants {
			s.Grants = append(s.Grants, Grant{StatementID: g.statementID, Principal: g.principal, OrganizationID: g.organization})
		}
		states = append(states, s)
	}
	return states
}

// Layers are the names of an account's layers in a region, sorted.
func (c *Cloud) Layers(account, region string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.region(account, region).layers))
}

// ObjectState is a copy of one version of an object; its body is not to be changed.
type ObjectState struct {
	Key, VersionID, ETag string
	Body                 []byte
	Metadata             map[string]string
	Modified             time.Time
	DeleteMarker         bool
	// Latest tells whether it is the last version of its key.
	Latest bool
}

// Objects are the versions and delete markers of a bucket: by key, oldest first.
func (c *Cloud) Objects(bucket string) []ObjectState {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.buckets[bucket]
	if !ok {
		return nil
	}
	var states []ObjectState
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		versions := b.objects[key]
		for i, o := range versions {
			states = append(states, ObjectState{
				Key: key, VersionID: o.versionID, ETag: unquoted(o.etag), Body: o.body, Metadata: maps.Clone(o.metadata),
				Modified: o.modified, DeleteMarker: o.deleteMarker, Latest: i == len(versions)-1,
			})
		}
	}
	return states
}

// PendingUploads is how many multipart uploads of a bucket are neither completed nor aborted.
func (c *Cloud) PendingUploads(bucket string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.buckets[bucket]; ok {
		return len(b.uploads)
	}
	return 0
}
