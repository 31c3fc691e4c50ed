package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// CreateFunction makes a function from a zip, an object or an image.
func (c *LambdaClient) CreateFunction(ctx context.Context, in *lambda.CreateFunctionInput, _ ...func(*lambda.Options)) (*lambda.CreateFunctionOutput, error) {
	t := c.target(in.FunctionName, nil)
	r := c.request("CreateFunction", "CreateFunction", t.arn())
	return do(ctx, r, func() (*lambda.CreateFunctionOutput, error) {
		v, err := c.createFunction(r, t, in)
		if err != nil {
			return nil, err
		}
		out := lambda.CreateFunctionOutput(configOutput(v.describe()))
		return &out, nil
	})
}

func (c *LambdaClient) createFunction(r request, t functionTarget, in *lambda.CreateFunctionInput) (*version, error) {
	cloud := c.session.cloud
	functions := cloud.region(t.account, t.region).functions
	if _, ok := functions[t.name]; ok {
		return nil, conflict("Function already exist: %s", t.name)
	}
	if err := checkNewFunction(in); err != nil {
		return nil, err
	}
	if err := r.authorize("iam:PassRole", value(in.Role)); err != nil {
		return nil, err
	}
	made, err := c.functionCode(*in.Code, packageType(in.PackageType), "CreateFunction")
	if err != nil {
		return nil, err
	}
	layers, err := c.attach(r, in.Layers, nil)
	if err != nil {
		return nil, err
	}
	if err := checkPackage(made, layers); err != nil {
		return nil, err
	}
	f := &function{
		account: t.account, region: t.region, name: t.name,
		aliases: map[string]*alias{}, provisioned: map[string]*provisioned{}, tags: maps.Clone(in.Tags),
	}
	f.latest = cloud.newLatest(f, in, made, layers)
	f.serving = f.latest.clone()
	functions[t.name] = f
	if in.Publish {
		return f.publish(cloud, value(in.Description), "CreateFunction")
	}
	return f.latest, nil
}

// checkNewFunction checks what each kind of package requires.
func checkNewFunction(in *lambda.CreateFunctionInput) error {
	switch {
	case in.Code == nil || value(in.Role) == "" || value(in.FunctionName) == "":
		return apiError("ValidationException", "FunctionName, Role and Code are required")
	case packageType(in.PackageType) == types.PackageTypeImage:
		if len(in.Layers) > 0 || in.Runtime != "" || in.Handler != nil {
			return invalid("Please don't provide handler or runtime or layer when the intent is to create a function with PackageType Image.")
		}
	case in.Runtime == "" || in.Handler == nil:
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	return checkEnvironment(in.Environment)
}

func packageType(given types.PackageType) types.PackageType {
	if given == "" {
		return types.PackageTypeZip
	}
	return given
}

// newLatest is the $LATEST of a new function, with Lambda's defaults; c.mu is held.
func (c *Cloud) newLatest(f *function, in *lambda.CreateFunctionInput, made code, layers []*layerVersion) *version {
	now := c.clock.Now()
	config := types.FunctionConfiguration{
		FunctionName: ptr(f.name), FunctionArn: ptr(f.arn()), Version: ptr(latestVersion),
		Role: in.Role, Runtime: in.Runtime, Handler: in.Handler, Description: ptr(value(in.Description)),
		PackageType: packageType(in.PackageType), Architectures: slices.Clone(in.Architectures),
		MemorySize: ptr(int32(128)), Timeout: ptr(int32(3)),
		TracingConfig:    &types.TracingConfigResponse{Mode: types.TracingModePassThrough},
		EphemeralStorage: &types.EphemeralStorage{Size: ptr(int32(512))},
		LoggingConfig:    &types.LoggingConfig{LogFormat: types.LogFormatText, LogGroup: ptr("/aws/lambda/" + f.name)},
		LastModified:     ptr(lambdaTime(now)), RevisionId: ptr(c.uuid()),
		State: types.StatePending, StateReason: ptr("The function is being created."), StateReasonCode: types.StateReasonCodeCreating,
		LastUpdateStatus: types.LastUpdateStatusSuccessful,
	}
	if len(config.Architectures) == 0 {
		config.Architectures = []types.Architecture{types.ArchitectureX8664}
	}
	settings{
		environment: in.Environment, memory: in.MemorySize, timeout: in.Timeout, deadLetter: in.DeadLetterConfig,
		tracing: in.TracingConfig, storage: in.EphemeralStorage, logging: in.LoggingConfig, vpc: in.VpcConfig,
		image: in.ImageConfig, snapStart: in.SnapStart, kmsKey: in.KMSKeyArn,
	}.apply(&config)
	made.apply(&config)
	settles, failure := c.failureOf(f, latestVersion, "CreateFunction").delayed(now.Add(c.timing.Create))
	return &version{config: config, code: made, layers: layers, settlesAt: settles, failure: failure}
}

// GetFunction tells the configuration of a version and where its code can be fetched.
func (c *LambdaClient) GetFunction(ctx context.Context, in *lambda.GetFunctionInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("GetFunction", "GetFunction", t.arn()), func() (*lambda.GetFunctionOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		v, err := f.resolve(t)
		if err != nil {
			return nil, err
		}
		config := v.describe()
		if t.qualifier != "" {
			config.FunctionArn = ptr(t.arn())
		}
		return &lambda.GetFunctionOutput{
			Configuration: &config, Code: c.session.cloud.codeLocation(v.code), Tags: maps.Clone(f.tags),
		}, nil
	})
}

// codeLocation is where code can be fetched; c.mu is held.
func (c *Cloud) codeLocation(from code) *types.FunctionCodeLocation {
	if from.archive == nil {
		return &types.FunctionCodeLocation{
			RepositoryType: ptr("ECR"), ImageUri: ptr(from.image), ResolvedImageUri: ptr(from.image + "@sha256:" + imageDigest(from.image)),
		}
	}
	return &types.FunctionCodeLocation{
		RepositoryType: ptr("S3"), Location: ptr(c.location(from.archive)), ResolvedS3Object: from.reference,
	}
}

// imageDigest stands for the digest of an image's content.
func imageDigest(uri string) string {
	sum := sha256.Sum256([]byte(uri))
	return hex.EncodeToString(sum[:])
}

// DeleteFunction deletes a published version, or without a qualifier the whole function.
func (c *LambdaClient) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionInput, _ ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("DeleteFunction", "DeleteFunction", t.arn()), func() (*lambda.DeleteFunctionOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		if t.qualifier == "" {
			delete(c.session.cloud.region(t.account, t.region).functions, t.name)
			return &lambda.DeleteFunctionOutput{}, nil
		}
		return &lambda.DeleteFunctionOutput{}, f.deleteVersion(t)
	})
}

// deleteVersion deletes a published version that no alias points at, with or without weight.
func (f *function) deleteVersion(t functionTarget) error {
	if t.qualifier == latestVersion {
		return invalid("$LATEST version cannot be deleted without deleting the function.")
	}
	if _, ok := f.aliases[t.qualifier]; ok {
		return invalid("Deletion of an alias is not supported by this operation: %s", t.arn())
	}
	if users := f.aliasesOf(t.qualifier); len(users) > 0 {
		return conflict("Unable to delete version because the following aliases reference it: %v", users)
	}
	if f.find(t.qualifier) == nil {
		return notFound("Function not found: %s", t.arn())
	}
	f.published = slices.DeleteFunc(f.published, func(v *version) bool { return v.name() == t.qualifier })
	delete(f.provisioned, t.qualifier)
	if of := f.callers[t.qualifier]; of != nil { // event source mappings stay, and find nothing any more
		of.grants, of.invoke = nil, false
	}
	return nil
}
