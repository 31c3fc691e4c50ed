package release

import (
	"slices"
	"time"
)

// Snapshot is what was found at one site. It holds no values of environment
// variables and no presigned URLs.
type Snapshot struct {
	Site      Site                     `json:"site"`
	Taken     time.Time                `json:"taken"`
	Functions map[string]FunctionState `json:"functions,omitempty"`
	// Layers are the published versions of the tools account, by [LayerDigest].
	Layers map[string]LayerState `json:"layers,omitempty"`
}

// FunctionState is a function as it was found.
type FunctionState struct {
	Name string `json:"name"`
	// Missing is true if there is no such function; the rest is then empty.
	Missing bool `json:"missing,omitempty"`
	// Latest is $LATEST; nil where it was not read because the live version
	// already is as wanted.
	Latest *Content `json:"latest,omitempty"`
	// Alias is nil if the function has none of the wanted name.
	Alias *AliasState `json:"alias,omitempty"`
	// Live is the content of the version that the alias points at.
	Live *Content `json:"live,omitempty"`
}

// Content is a version's code and settings, or $LATEST's.
type Content struct {
	Version     string `json:"version"`
	PackageType string `json:"package_type"`
	CodeSHA256  string `json:"code_sha256"` // base64
	CodeSize    int64  `json:"code_size"`
	Layers      []Used `json:"layers,omitempty"`
	Runtime     string `json:"runtime,omitempty"`
	Handler     string `json:"handler,omitempty"`
	// Environment holds a hash of each variable's value, by name; Unreadable is true
	// if they are under a key that nobody let Tagboat use.
	Environment   map[string]string `json:"environment,omitempty"`
	Unreadable    bool              `json:"unreadable,omitempty"`
	Role          string            `json:"role"`
	DeadLetter    string            `json:"dead_letter,omitempty"`
	Architectures []string          `json:"architectures,omitempty"`
	// Signed is true if the code carries a signature: code signing is in use.
	Signed bool `json:"signed,omitempty"`
	// ObjectReference is true if the function reads its code from its object for
	// ever (S3ObjectStorageMode REFERENCE).
	ObjectReference bool   `json:"object_reference,omitempty"`
	UpdateStatus    string `json:"update_status,omitempty"`
	RevisionID      string `json:"revision_id,omitempty"`
}

// Used is a layer version that a function uses.
type Used struct {
	ARN      string `json:"arn"`
	CodeSize int64  `json:"code_size"` // zipped
}

// LayerARNs are the ARNs of the layers in their order.
func (c *Content) LayerARNs() []string {
	arns := make([]string, len(c.Layers))
	for i, used := range c.Layers {
		arns[i] = used.ARN
	}
	return arns
}

// AliasState is an alias as it was found.
type AliasState struct {
	// Version is empty if there is no such alias yet.
	Version string `json:"version"`
	// Weights are the additional versions' shares, from 0 to 1.
	Weights    map[string]float64 `json:"weights,omitempty"`
	RevisionID string             `json:"revision_id,omitempty"`
}

// LayerState is a published layer version.
type LayerState struct {
	ARN     string  `json:"arn"`
	Version int64   `json:"version"`
	Digest  string  `json:"digest"`
	Grants  []Grant `json:"grants,omitempty"`
}

// withoutRevisions leaves out what changes by itself when an update settles.
func (f FunctionState) withoutRevisions() FunctionState {
	if f.Latest != nil {
		latest := *f.Latest
		latest.RevisionID, latest.UpdateStatus = "", ""
		f.Latest = &latest
	}
	if f.Live != nil {
		live := *f.Live
		live.RevisionID, live.UpdateStatus = "", ""
		f.Live = &live
	}
	if f.Alias != nil {
		alias := *f.Alias
		alias.RevisionID = ""
		f.Alias = &alias
	}
	return f
}

func sorted(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return values
}
