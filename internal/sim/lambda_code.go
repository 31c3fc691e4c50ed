package sim

import (
	"bytes"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// source is where an upload comes from: a zip in the request, or an object.
type source struct {
	zip                  []byte
	bucket, key, version *string
}

// archive fetches and opens an upload, with the caller's permissions on the object;
// the cloud's lock is held.
func (c *LambdaClient) archive(from source, action string) (*Archive, error) {
	data := bytes.Clone(from.zip)
	switch {
	case from.bucket != nil && from.zip != nil:
		return nil, invalid("Please provide either ZipFile or S3Bucket and S3Key, not both.")
	case from.bucket != nil:
		object, err := c.object(from)
		if err != nil {
			return nil, err
		}
		data = object
	case from.zip == nil:
		return nil, invalid("Please provide a source for function code.")
	case len(from.zip) > maxDirectUpload:
		return nil, apiError("RequestEntityTooLargeException", "Request must be smaller than 69905067 bytes for the "+action+" operation")
	}
	a, err := c.session.cloud.archive(data)
	if err != nil {
		return nil, invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	if a.unzipped > maxUnzipped {
		return nil, invalid("Unzipped size must be smaller than %d bytes", maxUnzipped)
	}
	return a, nil
}

// object reads the object as Lambda does: with the caller's credentials, in Lambda's
// region. What S3 refuses, Lambda tells in S3's words.
func (c *LambdaClient) object(from source) ([]byte, error) {
	r := request{session: c.session, service: s3Service, region: c.region}
	o, err := r.readable(value(from.bucket), value(from.key), from.version)
	if err == nil {
		return o.body, nil
	}
	code, message := "InternalError", err.Error()
	var said smithy.APIError
	if errors.As(err, &said) {
		code, message = said.ErrorCode(), said.ErrorMessage()
	}
	if code == "AccessDenied" {
		return nil, apiError("AccessDeniedException",
			"Your access has been denied by S3, please make sure your request credentials have permission to GetObject for "+
				value(from.bucket)+"/"+value(from.key)+". S3 Error Code: AccessDenied. S3 Error Message: "+message)
	}
	return nil, invalid("Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", code, message)
}

// functionCode reads the code of a new function, or new code of an existing one.
func (c *LambdaClient) functionCode(in types.FunctionCode, kind types.PackageType, action string) (code, error) {
	if kind == types.PackageTypeImage {
		if in.ImageUri == nil || in.S3Bucket != nil || in.ZipFile != nil {
			return code{}, invalid("Please provide ImageUri when updating a function with packageType Image.")
		}
		return code{image: *in.ImageUri}, nil
	}
	if in.ImageUri != nil {
		return code{}, invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
	}
	from := source{zip: in.ZipFile, bucket: in.S3Bucket, key: in.S3Key, version: in.S3ObjectVersion}
	a, err := c.archive(from, action)
	if err != nil {
		return code{}, err
	}
	made := code{archive: a}
	if in.S3ObjectStorageMode == types.S3ObjectStorageModeReference {
		made.reference = &types.ResolvedS3Object{S3Bucket: in.S3Bucket, S3Key: in.S3Key, S3ObjectVersion: in.S3ObjectVersion}
	}
	return made, nil
}

// apply writes the code's own fields into a configuration.
func (c code) apply(config *types.FunctionConfiguration) {
	if c.archive != nil {
		config.CodeSha256 = ptr(c.archive.CodeSha256())
		config.CodeSize = int64(len(c.archive.data))
		return
	}
	config.CodeSha256, config.CodeSize = ptr(imageDigest(c.image)), 0
}
