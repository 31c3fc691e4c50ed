package release

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Manifest is the application's file, tagboat.yaml: its artifacts, and the
// layers and functions that are made from them.
type Manifest struct {
	App       string                  `yaml:"app" json:"app"`
	Artifacts map[string]ArtifactSpec `yaml:"artifacts,omitempty" json:"artifacts,omitempty"`
	Layers    []LayerSpec             `yaml:"layers,omitempty" json:"layers,omitempty"`
	Functions []FunctionSpec          `yaml:"functions,omitempty" json:"functions,omitempty"`
}

// ArtifactSpec says where an artifact's bytes come from: exactly one of
// Archive, ReleaseAsset and Object is set.
type ArtifactSpec struct {
	// Archive is a directory of the repository at the release's commit.
	Archive string `yaml:"archive,omitempty" json:"archive,omitempty"`
	// ReleaseAsset is the name of an asset of the tag's GitHub release.
	ReleaseAsset string `yaml:"release_asset,omitempty" json:"release_asset,omitempty"`
	// Object is a name beside the manifest in the uploads bucket.
	Object string `yaml:"object,omitempty" json:"object,omitempty"`
	// SHA256 is the expected digest of Object or ReleaseAsset, in hex; optional.
	SHA256 string `yaml:"sha256,omitempty" json:"sha256,omitempty"`
}

// LayerSpec is a layer to publish and share.
type LayerSpec struct {
	Name          string   `yaml:"name" json:"name"`
	Artifact      string   `yaml:"artifact" json:"artifact"`
	Runtimes      []string `yaml:"runtimes,omitempty" json:"runtimes,omitempty"`
	Architectures []string `yaml:"architectures,omitempty" json:"architectures,omitempty"`
	Description   string   `yaml:"description,omitempty" json:"description,omitempty"`
	Share         Sharing  `yaml:"share,omitempty" json:"share,omitzero"`
	// Keep is how many of the newest versions are kept, and what is needed besides; 0 keeps all.
	Keep int `yaml:"keep,omitempty" json:"keep,omitempty"`
}

// FunctionSpec is a function that exists in every account and region of the
// app's environments, and what it shall run.
type FunctionSpec struct {
	Name string `yaml:"name" json:"name"`
	// Artifact is its code; empty leaves the code as it is.
	Artifact string `yaml:"artifact,omitempty" json:"artifact,omitempty"`
	// Layers are names from Layers; they replace earlier versions of the same layer.
	Layers  []string `yaml:"layers,omitempty" json:"layers,omitempty"`
	Runtime string   `yaml:"runtime,omitempty" json:"runtime,omitempty"`
	Handler string   `yaml:"handler,omitempty" json:"handler,omitempty"`
	// Environment is merged into the function's variables, never replaces them.
	Environment map[string]string `yaml:"environment,omitempty" json:"environment,omitempty"`
	// Alias is what callers use; empty means that they use $LATEST.
	Alias   string  `yaml:"alias,omitempty" json:"alias,omitempty"`
	Traffic Traffic `yaml:"traffic,omitempty" json:"traffic,omitzero"`
	// Alarms are names of CloudWatch alarms that stop the shift and roll back.
	Alarms []string `yaml:"alarms,omitempty" json:"alarms,omitempty"`
	Smoke  *Smoke   `yaml:"smoke,omitempty" json:"smoke,omitempty"`
	// Keep is how many of the newest versions are kept, and what is needed besides; 0 keeps all.
	Keep int `yaml:"keep,omitempty" json:"keep,omitempty"`
}

// Smoke is an invocation of the new version before any traffic reaches it.
type Smoke struct {
	// Payload is the event, any JSON value.
	Payload any `yaml:"payload,omitempty" json:"payload,omitempty"`
	// Expect is a subset of the answer; nil asks only for the absence of a function error.
	Expect any `yaml:"expect,omitempty" json:"expect,omitempty"`
}

// Traffic is how callers are moved to a new version, with the names of SAM's
// DeploymentPreference. The zero value is all at once.
type Traffic struct {
	// Percent is the first step of a canary, or each step of a linear shift; 0 is all at once.
	Percent int
	// Linear repeats the step until all traffic is shifted.
	Linear bool
	// Interval is the time between two steps.
	Interval time.Duration
}

var (
	canary = regexp.MustCompile(`^Canary([1-9][0-9]?)Percent([1-9][0-9]{0,3})Minutes?$`)
	linear = regexp.MustCompile(`^Linear([1-9][0-9]?)PercentEvery([1-9][0-9]{0,3})Minutes?$`)
)

// allAtOnce is the name of the zero [Traffic].
const allAtOnce = "AllAtOnce"

// AllAtOnce tells whether the whole traffic moves in one step.
func (t Traffic) AllAtOnce() bool { return t.Percent == 0 }

// Steps are the percentages that the new version gets one after the other
// before it gets everything.
func (t Traffic) Steps() []int {
	if t.AllAtOnce() {
		return nil
	}
	steps := []int{t.Percent}
	for next := 2 * t.Percent; t.Linear && next < 100; next += t.Percent {
		steps = append(steps, next)
	}
	return steps
}

// Duration is the time from the first step to the last.
func (t Traffic) Duration() time.Duration { return time.Duration(len(t.Steps())) * t.Interval }

// String is the name that UnmarshalText reads.
func (t Traffic) String() string {
	minutes := int(t.Interval / time.Minute)
	switch {
	case t.AllAtOnce():
		return allAtOnce
	case !t.Linear:
		return fmt.Sprintf("Canary%dPercent%dMinutes", t.Percent, minutes)
	case minutes == 1:
		return fmt.Sprintf("Linear%dPercentEvery1Minute", t.Percent)
	default:
		return fmt.Sprintf("Linear%dPercentEvery%dMinutes", t.Percent, minutes)
	}
}

// MarshalText writes the name.
func (t Traffic) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads AllAtOnce, Canary<N>Percent<M>Minutes or
// Linear<N>PercentEvery<M>Minute(s), with N from 1 to 99 and M from 1.
func (t *Traffic) UnmarshalText(text []byte) error {
	*t = Traffic{}
	if string(text) == allAtOnce {
		return nil
	}
	match := canary.FindSubmatch(text)
	if match == nil {
		match = linear.FindSubmatch(text)
		t.Linear = match != nil
	}
	if match == nil {
		return fmt.Errorf("traffic %q: want AllAtOnce, Canary<N>Percent<M>Minutes or Linear<N>PercentEvery<M>Minutes", text)
	}
	t.Percent, _ = strconv.Atoi(string(match[1])) // the pattern has digits only
	minutes, _ := strconv.Atoi(string(match[2]))
	t.Interval = time.Duration(minutes) * time.Minute
	return nil
}

// Function finds a function by name.
func (m Manifest) Function(name string) (FunctionSpec, bool) {
	for _, f := range m.Functions {
		if f.Name == name {
			return f, true
		}
	}
	return FunctionSpec{}, false
}

// Layer finds a layer by name.
func (m Manifest) Layer(name string) (LayerSpec, bool) {
	for _, l := range m.Layers {
		if l.Name == name {
			return l, true
		}
	}
	return LayerSpec{}, false
}
