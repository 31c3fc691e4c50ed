package release

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// PlanSchema is the version of the stored form of a [Plan]. A task refuses a
// plan of another version.
const PlanSchema = 1

// Site is one account and region, in an environment or, with Environment
// [ToolsEnvironment], where layers are published.
type Site struct {
	Environment string `json:"environment"`
	Account     string `json:"account"`
	Region      string `json:"region"`
}

// ToolsEnvironment stands for the tools account in a [Site]. It cannot be the
// name of an environment.
const ToolsEnvironment = "_tools"

// String is environment/account/region.
func (s Site) String() string { return s.Environment + "/" + s.Account + "/" + s.Region }

// InTools tells whether the site is the tools account's own.
func (s Site) InTools() bool { return s.Environment == ToolsEnvironment }

// Target is a site with what is needed to act there.
type Target struct {
	Site
	// Role is the name of the role to take; empty is to act as oneself (the tools account's own sites).
	Role       string
	ExternalID string
	// Resources are the app's name patterns; the role's session is narrowed to them.
	Resources []string
	// App names the app, whose staged objects the session may read.
	App string
}

// Phase is a part of a release in which sites work side by side.
type Phase string

// The phases in their order.
const (
	PhaseStage    Phase = "stage"
	PhaseSnapshot Phase = "snapshot"
	PhasePublish  Phase = "publish"
	PhaseShare    Phase = "share"
	PhaseAccess   Phase = "access"
	PhaseUpdate   Phase = "update"
	PhaseShift    Phase = "shift"
	PhaseBake     Phase = "bake"
	PhaseRollBack Phase = "rollback"
	PhasePrune    Phase = "prune"
)

// PhaseUnshare is no part of a release: a person takes a grant of a layer back,
// and looks before who uses it.
const PhaseUnshare Phase = "unshare"

// StepKind is what a step does.
type StepKind string

// The kinds of steps.
const (
	PublishLayer   StepKind = "publish_layer"
	ShareLayer     StepKind = "share_layer"
	UpdateFunction StepKind = "update_function"
	ShiftTraffic   StepKind = "shift_traffic"
)

// Phase is the phase that carries steps of the kind out.
func (k StepKind) Phase() Phase {
	switch k {
	case PublishLayer:
		return PhasePublish
	case ShareLayer:
		return PhaseShare
	case UpdateFunction:
		return PhaseUpdate
	case ShiftTraffic:
		return PhaseShift
	}
	return ""
}

// Plan is everything that will be changed and what was there before. It is
// stored and carried out exactly as stored.
type Plan struct {
	Schema  int    `json:"schema"`
	Release string `json:"release"`
	App     string `json:"app"`
	Version string `json:"version"`
	// Environment is empty for the plan of the whole release.
	Environment string    `json:"environment,omitempty"`
	Made        time.Time `json:"made"`
	Steps       []Step    `json:"steps"`
	// Layers are the ARNs of the release's own layer versions that are published,
	// by [LayerKey].
	Layers map[string]string `json:"layers,omitempty"`
	// Access is what each site's role must be able to read before any function changes.
	Access []LayerAccess `json:"access,omitempty"`
	// Bake is how long alarms are watched after the last shift.
	Bake Duration `json:"bake,omitempty"`
	// Poll is how long a site waits between two looks during shifts and bakes.
	Poll Duration `json:"poll"`
	// Events is how many history events of Step Functions the release may cost.
	Events int `json:"events"`
	// Approvals are the environments of the plan in which somebody has to approve it.
	Approvals []string `json:"approvals,omitempty"`
	// Warnings are what a person should know before it is carried out.
	Warnings []string `json:"warnings,omitempty"`
}

// LayerAccess is a layer version that a function of a site is going to use.
type LayerAccess struct {
	Site     Site   `json:"site"`
	Function string `json:"function"`
	// Layer is the version's full ARN.
	Layer string `json:"layer"`
}

// Step is one change to one object. Exactly one of Layer, Share, Function and
// Shift is set, as Kind says.
type Step struct {
	// ID is unique in the release: kind/environment/account/region/target.
	ID     string   `json:"id"`
	Kind   StepKind `json:"kind"`
	Target string   `json:"target"`
	Site   Site     `json:"site"`
	// Change is false where the world already is as wanted: nothing will be written.
	Change bool `json:"change"`
	// Before and After say for people what is there and what will be.
	Before string `json:"before"`
	After  string `json:"after"`

	Layer    *LayerStep    `json:"layer,omitempty"`
	Share    *ShareStep    `json:"share,omitempty"`
	Function *FunctionStep `json:"function,omitempty"`
	Shift    *ShiftStep    `json:"shift,omitempty"`
}

// StepID makes the id of a step.
func StepID(kind StepKind, site Site, target string) string {
	return fmt.Sprintf("%s/%s/%s", kind, site, target)
}

// LayerStep publishes a layer version in the tools account.
type LayerStep struct {
	Name string `json:"name"`
	// Digest identifies what is published: see [LayerDigest].
	Digest        string   `json:"digest"`
	Content       Object   `json:"content"`
	CodeSHA256    string   `json:"code_sha256"` // base64, as Lambda answers
	Runtimes      []string `json:"runtimes,omitempty"`
	Architectures []string `json:"architectures,omitempty"`
	Description   string   `json:"description,omitempty"`
	// Existing is the ARN of a version with this digest, empty if there is none.
	Existing string `json:"existing,omitempty"`
}

// LayerDigest identifies a layer's content: the same tree for the same runtimes
// and architectures is the same layer version, however it was compressed.
func LayerDigest(treeDigest string, spec LayerSpec) string {
	text, _ := json.Marshal([]any{treeDigest, sorted(spec.Runtimes), sorted(spec.Architectures)}) // strings always marshal
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// ShareStep grants others the use of a layer version.
type ShareStep struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// Layer is the version's ARN where it is known already; else the publishing step's result has it.
	Layer string `json:"layer,omitempty"`
	// Grants are all that shall exist, Missing those that don't yet.
	Grants  []Grant `json:"grants"`
	Missing []Grant `json:"missing"`
}

// Grant is the right of a principal to use a layer version. Exactly one field is set.
type Grant struct {
	Account      string `json:"account,omitempty"`
	Organization string `json:"organization,omitempty"`
	Public       bool   `json:"public,omitempty"`
}

// StatementID is the id of the grant's statement in the layer version's policy.
func (g Grant) StatementID() string {
	switch {
	case g.Public:
		return "tagboat-public"
	case g.Organization != "":
		return "tagboat-organization-" + g.Organization
	default:
		return "tagboat-account-" + g.Account
	}
}

// String says it for people.
func (g Grant) String() string {
	switch {
	case g.Public:
		return "everyone"
	case g.Organization != "":
		return "organization " + g.Organization
	default:
		return "account " + g.Account
	}
}

// Flag names it as the flags of tagboat unshare do.
func (g Grant) Flag() string {
	switch {
	case g.Public:
		return "--public"
	case g.Organization != "":
		return "--organization=" + g.Organization
	default:
		return "--account " + g.Account
	}
}

// FunctionStep brings a function to new code, layers or settings, and publishes
// a version of it if it has an alias.
type FunctionStep struct {
	Name  string `json:"name"`
	Alias string `json:"alias,omitempty"`
	// Code is nil where the code stays.
	Code *Code `json:"code,omitempty"`
	// Layers are the full list in its order; nil where they stay. A layer of the
	// release stands there as a [LayerRef], any other as its version's ARN.
	Layers  []string `json:"layers,omitempty"`
	Runtime string   `json:"runtime,omitempty"`
	Handler string   `json:"handler,omitempty"`
	// Environment is merged into the function's variables.
	Environment map[string]string `json:"environment,omitempty"`
	// Former is what the function ran at the release that is brought back, nil in any
	// other release. It becomes that again: what the fields above leave open, too. The
	// values of its variables are read from its version when the step is carried out.
	Former *Content `json:"former,omitempty"`
	Smoke  *Smoke   `json:"smoke,omitempty"`
	// Description is that of the published version.
	Description string `json:"description,omitempty"`
	// Before is what was there, and what a rollback restores.
	Before FunctionState `json:"before"`
}

// Goal is what $LATEST becomes by the step, whose layers are resolved to ARNs.
func (s *FunctionStep) Goal(layers []string) Content {
	goal := *s.Before.Latest
	if s.Former != nil {
		goal.CodeSHA256, goal.Runtime, goal.Handler, goal.Environment = s.Former.CodeSHA256, s.Former.Runtime, s.Former.Handler, s.Former.Environment
	}
	if s.Code != nil {
		goal.CodeSHA256 = s.Code.CodeSHA256
	}
	if s.Layers != nil || s.Former != nil {
		goal.Layers = make([]Used, len(layers))
		for i, layer := range layers {
			goal.Layers[i].ARN = layer
		}
	}
	goal.Runtime, goal.Handler = cmp.Or(s.Runtime, goal.Runtime), cmp.Or(s.Handler, goal.Handler)
	if len(s.Environment) > 0 {
		variables := maps.Clone(goal.Environment)
		if variables == nil {
			variables = map[string]string{}
		}
		maps.Copy(variables, HashVariables(s.Environment))
		goal.Environment = variables
	}
	return goal
}

// Code is a function's code: a staged zip in the function's region.
type Code struct {
	Object     Object `json:"object"`
	CodeSHA256 string `json:"code_sha256"` // base64, as Lambda answers
}

// ShiftStep moves an alias to the version that the function's own step published.
type ShiftStep struct {
	Name    string     `json:"name"`
	Alias   string     `json:"alias"`
	Traffic Traffic    `json:"traffic"`
	Alarms  []string   `json:"alarms,omitempty"`
	Before  AliasState `json:"before"`
}

// Object is one version of an object in a bucket.
type Object struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"version_id"`
	Size      int64  `json:"size,omitempty"`
}

// Artifact is staged bytes, the same in every region that needs them.
type Artifact struct {
	Name string `json:"name"`
	// SHA256 is the zip's digest in hex, TreeDigest that of its content.
	SHA256     string `json:"sha256"`
	CodeSHA256 string `json:"code_sha256"`
	TreeDigest string `json:"tree_digest"`
	Size       int64  `json:"size"`
	// Unzipped is the size of the content in bytes.
	Unzipped int64 `json:"unzipped"`
	// Objects are by region.
	Objects map[string]Object `json:"objects"`
	// Origin says for people where the bytes came from.
	Origin string `json:"origin"`
}

// LayerRef stands in a plan for the version of a layer with a digest, whether it
// is published yet or not.
func LayerRef(name, digest string) string { return name + "@" + digest }

// LayerKey is the key of [Plan.Layers].
func LayerKey(region, ref string) string { return region + "/" + ref }

// LayerARNs are the ARNs that layers of a step stand for in a region.
func (p *Plan) LayerARNs(region string, layers []string) ([]string, error) {
	arns := make([]string, len(layers))
	for i, layer := range layers {
		arns[i] = layer
		if strings.HasPrefix(layer, "arn:") {
			continue
		}
		arn, published := p.Layers[LayerKey(region, layer)]
		if !published {
			return nil, Errorf(Internal, "layer %q is not published in %s", layer, region)
		}
		arns[i] = arn
	}
	return arns, nil
}

// Fingerprint identifies what a plan does in an environment. Two plans with the
// same fingerprint change the same things from the same state to the same
// state; when they were made is not part of it.
func (p *Plan) Fingerprint(environment string) string {
	var steps []Step
	for _, step := range p.Steps {
		if step.Site.Environment != environment {
			continue
		}
		if step.Function != nil {
			f := *step.Function
			f.Before = f.Before.withoutRevisions()
			step.Function = &f
		}
		if step.Shift != nil {
			s := *step.Shift
			s.Before.RevisionID = ""
			step.Shift = &s
		}
		steps = append(steps, step)
	}
	text, _ := json.Marshal(steps)                                  // plain data always marshals
	sum := sha256.Sum256(append([]byte(environment+"\n"), text...)) // nothing is not the same in two environments
	return hex.EncodeToString(sum[:])
}

// Sites are those with a step of the phase that changes something, in the
// plan's order.
func (p *Plan) Sites(phase Phase) []Site {
	seen := map[Site]bool{}
	sites := []Site{}
	for _, step := range p.Steps {
		if step.Change && step.Kind.Phase() == phase && !seen[step.Site] {
			seen[step.Site] = true
			sites = append(sites, step.Site)
		}
	}
	return sites
}

// Changes counts the steps that change something.
func (p *Plan) Changes() int {
	n := 0
	for _, step := range p.Steps {
		if step.Change {
			n++
		}
	}
	return n
}
