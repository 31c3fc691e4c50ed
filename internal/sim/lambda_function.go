package sim

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// function is a Lambda function.
type function struct {
	account, region, name string
	latest                *version
	// serving is what an invocation of $LATEST runs: the last version of it that settled well.
	serving     *version
	published   []*version // in the order of their numbers
	lastNumber  int        // numbers are not used twice
	aliases     map[string]*alias
	provisioned map[string]*provisioned // by qualifier
	callers     map[string]*callers     // by qualifier
	tags        map[string]string
}

// version is the code and configuration of $LATEST, or a published version.
type version struct {
	// config is what GetFunction answers; Layers is filled from layers.
	config types.FunctionConfiguration
	code   code
	layers []*layerVersion // kept even when the layer version is deleted
	// settlesAt is when the update or publication in progress ends; zero: none is.
	settlesAt   time.Time
	failure     *Failure // how it will end
	invocations int
	fingerprint string // of a published version: see fingerprintOf
}

// code is what a version runs: an archive or an image.
type code struct {
	archive *Archive
	image   string
	// reference is the object that S3ObjectStorageMode REFERENCE keeps reading.
	reference *types.ResolvedS3Object
}

func (v *version) name() string { return value(v.config.Version) }

func (v *version) environment() map[string]string {
	if v.config.Environment == nil {
		return nil
	}
	return v.config.Environment.Variables
}

// layerARNs are the versions' layers in their order.
func (v *version) layerARNs() []string {
	var arns []string
	for _, l := range v.layers {
		arns = append(arns, l.arn())
	}
	return arns
}

// describe is a copy of the configuration that the caller may keep.
func (v *version) describe() types.FunctionConfiguration {
	c := v.config
	c.Architectures = slices.Clone(c.Architectures)
	if c.Environment != nil {
		c.Environment = &types.EnvironmentResponse{Variables: maps.Clone(c.Environment.Variables)}
	}
	c.Layers = nil
	for _, l := range v.layers {
		c.Layers = append(c.Layers, types.Layer{Arn: ptr(l.arn()), CodeSize: int64(len(l.archive.data))})
	}
	return c
}

// clone is a copy with its own configuration.
func (v *version) clone() *version {
	copied := *v
	copied.config = v.describe()
	copied.layers = slices.Clone(v.layers)
	copied.invocations = 0
	return &copied
}

// find is the version with a number, or $LATEST; nil if there is none.
func (f *function) find(name string) *version {
	if name == latestVersion || name == "" {
		return f.latest
	}
	for _, v := range f.published {
		if v.name() == name {
			return v
		}
	}
	return nil
}

// resolve is the version that a qualifier means, an alias being its main version.
func (f *function) resolve(t functionTarget) (*version, error) {
	name := t.qualifier
	if a, ok := f.aliases[name]; ok {
		name = a.version
	}
	if v := f.find(name); v != nil {
		return v, nil
	}
	return nil, notFound("Function not found: %s", t.arn())
}

// settle ends what was in progress and whose time has come. The end of an update gives
// $LATEST another RevisionId.
func (f *function) settle(c *Cloud) {
	now := c.clock.Now()
	if f.latest.isDue(now) {
		f.latest.end()
		f.latest.config.RevisionId = ptr(c.uuid())
		if f.latest.failure == nil {
			f.serving = f.latest.clone()
		}
	}
	for _, v := range f.published {
		if v.isDue(now) {
			v.end()
		}
	}
	for _, p := range f.provisioned {
		p.settle(now)
	}
}

func (v *version) isDue(now time.Time) bool {
	return !v.settlesAt.IsZero() && !now.Before(v.settlesAt)
}

// end gives the state and the status in which what was in progress ends. A failed
// update leaves the function Active on what it served before.
func (v *version) end() {
	v.settlesAt = time.Time{}
	c := &v.config
	pending := c.State == types.StatePending
	c.State, c.StateReason, c.StateReasonCode = types.StateActive, nil, ""
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = types.LastUpdateStatusSuccessful, nil, ""
	if v.failure == nil {
		return
	}
	if pending {
		c.State = types.StateFailed
		c.StateReason, c.StateReasonCode = ptr(v.failure.Reason), types.StateReasonCode(v.failure.Code)
		return
	}
	c.LastUpdateStatus = types.LastUpdateStatusFailed
	c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = ptr(v.failure.Reason), v.failure.Code
}

// beginUpdate marks $LATEST as changed by an action that settles later.
func (f *function) beginUpdate(c *Cloud, action string) {
	v := f.latest
	now := c.clock.Now()
	v.settlesAt, v.failure = c.failureOf(f, latestVersion, action).delayed(now.Add(c.timing.Update))
	v.config.LastModified = ptr(lambdaTime(now))
	v.config.RevisionId = ptr(c.uuid())
	v.config.LastUpdateStatus = types.LastUpdateStatusInProgress
	v.config.LastUpdateStatusReason = ptr("The function is being created.")
	v.config.LastUpdateStatusReasonCode = "Creating"
}

// checkWritable refuses a change while another is in progress. A function whose last
// update failed can be changed.
func (f *function) checkWritable() error {
	if f.latest.config.State == types.StatePending {
		return conflict("The operation cannot be performed at this time. The function is currently in the following state: Pending")
	}
	if f.latest.config.LastUpdateStatus == types.LastUpdateStatusInProgress {
		return conflict("The operation cannot be performed at this time. An update is in progress for resource: %s", f.arn())
	}
	return nil
}

func (f *function) arn() string { return functionARN(f.account, f.region, f.name) }

// fingerprintOf is the same for two versions with the same code and configuration:
// that is when PublishVersion makes no new one.
func fingerprintOf(v *version) (string, error) {
	c := v.describe()
	c.Version, c.FunctionArn, c.RevisionId, c.LastModified, c.MasterArn = nil, nil, nil, nil, nil
	c.State, c.StateReason, c.StateReasonCode = "", nil, ""
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = "", nil, ""
	print, err := json.Marshal(c)
	return string(print) + v.code.image, err
}

// nextNumber is the next version number.
func (f *function) nextNumber() string {
	f.lastNumber++
	return strconv.Itoa(f.lastNumber)
}

// lambdaTime is a time as Lambda writes it.
func lambdaTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-0700") }
