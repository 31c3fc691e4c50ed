package sim

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// UpdateFunctionCode replaces the code of $LATEST. The change is InProgress for a while.
func (c *LambdaClient) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("UpdateFunctionCode", "UpdateFunctionCode", t.arn()), func() (*lambda.UpdateFunctionCodeOutput, error) {
		v, err := c.updateCode(t, in)
		if err != nil {
			return nil, err
		}
		out := lambda.UpdateFunctionCodeOutput(configOutput(v.describe()))
		return &out, nil
	})
}

func (c *LambdaClient) updateCode(t functionTarget, in *lambda.UpdateFunctionCodeInput) (*version, error) {
	f, err := c.writable(t, in.RevisionId)
	if err != nil {
		return nil, err
	}
	made, err := c.functionCode(types.FunctionCode{
		ImageUri: in.ImageUri, ZipFile: in.ZipFile, S3Bucket: in.S3Bucket, S3Key: in.S3Key,
		S3ObjectVersion: in.S3ObjectVersion, S3ObjectStorageMode: in.S3ObjectStorageMode,
	}, f.latest.config.PackageType, "UpdateFunctionCode")
	if err != nil {
		return nil, err
	}
	if err := checkPackage(made, f.latest.layers); err != nil {
		return nil, err
	}
	if in.DryRun {
		return f.latest, nil
	}
	f.latest.code = made
	made.apply(&f.latest.config)
	if len(in.Architectures) > 0 {
		f.latest.config.Architectures = slices.Clone(in.Architectures)
	}
	f.beginUpdate(c.session.cloud, "UpdateFunctionCode")
	if in.Publish {
		return f.publish(c.session.cloud, "", "UpdateFunctionCode")
	}
	return f.latest, nil
}

// writable finds a function that can be changed now by a caller who has read this revision.
func (c *LambdaClient) writable(t functionTarget, revision *string) (*function, error) {
	f, err := c.function(t)
	if err != nil {
		return nil, err
	}
	if err := f.checkWritable(); err != nil {
		return nil, err
	}
	return f, checkRevision(revision, value(f.latest.config.RevisionId))
}

// UpdateFunctionConfiguration changes those settings of $LATEST that the request sets.
// Layers and Environment are replaced whole. The change is InProgress for a while.
func (c *LambdaClient) UpdateFunctionConfiguration(ctx context.Context, in *lambda.UpdateFunctionConfigurationInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error) {
	t := c.target(in.FunctionName, nil)
	r := c.request("UpdateFunctionConfiguration", "UpdateFunctionConfiguration", t.arn())
	return do(ctx, r, func() (*lambda.UpdateFunctionConfigurationOutput, error) {
		v, err := c.updateConfiguration(r, t, in)
		if err != nil {
			return nil, err
		}
		return ptr(configOutput(v.describe())), nil
	})
}

func (c *LambdaClient) updateConfiguration(r request, t functionTarget, in *lambda.UpdateFunctionConfigurationInput) (*version, error) {
	f, err := c.writable(t, in.RevisionId)
	if err != nil {
		return nil, err
	}
	if in.Role != nil {
		if err := r.authorize("iam:PassRole", *in.Role); err != nil {
			return nil, err
		}
	}
	if err := checkEnvironment(in.Environment); err != nil {
		return nil, err
	}
	layers, err := c.replaceLayers(r, f, in.Layers)
	if err != nil {
		return nil, err
	}
	f.latest.layers = layers
	settingsOf(in).apply(&f.latest.config)
	f.beginUpdate(c.session.cloud, "UpdateFunctionConfiguration")
	return f.latest, nil
}

// replaceLayers is the layers that $LATEST will have; nil arns keep them.
func (c *LambdaClient) replaceLayers(r request, f *function, arns []string) ([]*layerVersion, error) {
	if arns == nil {
		return f.latest.layers, nil
	}
	if f.latest.config.PackageType == types.PackageTypeImage && len(arns) > 0 {
		return nil, invalid("Please don't provide layers when updating a function with packageType Image.")
	}
	layers, err := c.attach(r, arns, f.latest.layers)
	if err != nil {
		return nil, err
	}
	return layers, checkPackage(f.latest.code, layers)
}

// settings are the parts of a configuration that a request may set; nil leaves a part.
type settings struct {
	role, handler, description, kmsKey *string
	runtime                            types.Runtime
	environment                        *types.Environment
	memory, timeout                    *int32
	deadLetter                         *types.DeadLetterConfig
	tracing                            *types.TracingConfig
	storage                            *types.EphemeralStorage
	logging                            *types.LoggingConfig
	vpc                                *types.VpcConfig
	image                              *types.ImageConfig
	snapStart                          *types.SnapStart
}

func settingsOf(in *lambda.UpdateFunctionConfigurationInput) settings {
	return settings{
		role: in.Role, handler: in.Handler, description: in.Description, kmsKey: in.KMSKeyArn, runtime: in.Runtime,
		environment: in.Environment, memory: in.MemorySize, timeout: in.Timeout, deadLetter: in.DeadLetterConfig,
		tracing: in.TracingConfig, storage: in.EphemeralStorage, logging: in.LoggingConfig, vpc: in.VpcConfig,
		image: in.ImageConfig, snapStart: in.SnapStart,
	}
}

// apply changes what is set.
func (s settings) apply(config *types.FunctionConfiguration) {
	replace(&config.Role, s.role)
	replace(&config.Handler, s.handler)
	replace(&config.Description, s.description)
	replace(&config.KMSKeyArn, s.kmsKey)
	replace(&config.MemorySize, s.memory)
	replace(&config.Timeout, s.timeout)
	replace(&config.EphemeralStorage, s.storage)
	replace(&config.LoggingConfig, s.logging)
	if s.runtime != "" {
		config.Runtime = s.runtime
	}
	if s.environment != nil {
		config.Environment = nil
		if len(s.environment.Variables) > 0 {
			config.Environment = &types.EnvironmentResponse{Variables: maps.Clone(s.environment.Variables)}
		}
	}
	s.applyConnections(config)
}

// applyConnections changes what ties a function to other services.
func (s settings) applyConnections(config *types.FunctionConfiguration) {
	if s.deadLetter != nil {
		config.DeadLetterConfig = nil
		if value(s.deadLetter.TargetArn) != "" { // an empty target removes it
			config.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: s.deadLetter.TargetArn}
		}
	}
	if s.tracing != nil {
		config.TracingConfig = &types.TracingConfigResponse{Mode: s.tracing.Mode}
	}
	if s.vpc != nil {
		config.VpcConfig = &types.VpcConfigResponse{
			SubnetIds: slices.Clone(s.vpc.SubnetIds), SecurityGroupIds: slices.Clone(s.vpc.SecurityGroupIds),
		}
	}
	if s.image != nil {
		config.ImageConfigResponse = &types.ImageConfigResponse{ImageConfig: s.image}
	}
	if s.snapStart != nil {
		config.SnapStart = &types.SnapStartResponse{ApplyOn: s.snapStart.ApplyOn}
	}
}

// replace sets a field to a copy of what is given, if anything is.
func replace[T any](field **T, given *T) {
	if given != nil {
		*field = ptr(*given)
	}
}

// checkEnvironment refuses variables that are too large together. Lambda's own message
// repeats them all, values included, and so does this one.
func checkEnvironment(e *types.Environment) error {
	if e == nil {
		return nil
	}
	size := 0
	for name, v := range e.Variables {
		size += len(name) + len(v)
	}
	if size <= maxEnvironment {
		return nil
	}
	measured, err := json.Marshal(e.Variables)
	if err != nil {
		return err
	}
	return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: %s", measured)
}
