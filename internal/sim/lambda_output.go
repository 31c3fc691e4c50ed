package sim

import (
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// configOutput is a configuration as the answer of the operations that change one; the
// answers of the others convert from it.
func configOutput(c types.FunctionConfiguration) lambda.UpdateFunctionConfigurationOutput {
	return lambda.UpdateFunctionConfigurationOutput{
		Architectures: c.Architectures, CodeSha256: c.CodeSha256, CodeSize: c.CodeSize,
		DeadLetterConfig: c.DeadLetterConfig, Description: c.Description, Environment: c.Environment,
		EphemeralStorage: c.EphemeralStorage, FunctionArn: c.FunctionArn, FunctionName: c.FunctionName,
		Handler: c.Handler, ImageConfigResponse: c.ImageConfigResponse, KMSKeyArn: c.KMSKeyArn,
		LastModified: c.LastModified, LastUpdateStatus: c.LastUpdateStatus,
		LastUpdateStatusReason: c.LastUpdateStatusReason, LastUpdateStatusReasonCode: c.LastUpdateStatusReasonCode,
		Layers: c.Layers, LoggingConfig: c.LoggingConfig, MasterArn: c.MasterArn, MemorySize: c.MemorySize,
		PackageType: c.PackageType, RevisionId: c.RevisionId, Role: c.Role, Runtime: c.Runtime, SnapStart: c.SnapStart,
		State: c.State, StateReason: c.StateReason, StateReasonCode: c.StateReasonCode, Timeout: c.Timeout,
		TracingConfig: c.TracingConfig, Version: c.Version, VpcConfig: c.VpcConfig,
	}
}
