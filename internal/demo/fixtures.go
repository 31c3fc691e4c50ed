package demo

import (
	"archive/zip"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/sim/github"
)

// Manifest is the tagboat.yaml of the world's repository.
//
//go:embed tagboat.yaml
var Manifest string

// Upload is the tagboat.yaml of an upload that only replaces the layer.
//
//go:embed upload.yaml
var Upload string

// Handler is app.py in its first version, Broken one that wants a variable that
// only dev has.
const (
	Handler = "import json\n\ndef handler(event, context):\n    return {\"statusCode\": 200, \"body\": \"ok\"}\n"
	Broken  = "import os\n\nURL = os.environ[\"PAYMENTS_URL\"]\n\ndef handler(event, context):\n    return {\"statusCode\": 200, \"body\": URL}\n"
)

// Files are the repository's with an app.py and a version of the dependencies.
func Files(handler, requests string) github.Files {
	return github.Files{
		"tagboat.yaml":                         github.Text(Manifest),
		"src/app.py":                           github.Text(handler),
		"layer/python/requests/__init__.py":    github.Text(fmt.Sprintf("__version__ = %q\n", requests)),
		"layer/python/requests/sessions.py":    github.Text("class Session:\n    pass\n"),
		"layer/python/bin/normalizer":          {Content: []byte("#!/usr/bin/env python3\n"), Mode: github.Executable},
		"layer/python/requests/adapters.py":    github.Text("class HTTPAdapter:\n    pass\n"),
		"README.md":                            github.Text("# orders\n"),
		"layer/.tagboatignore":                 github.Text("*.pyc\n"),
		"layer/python/requests/compat.cpython": github.Text("not ignored\n"),
	}
}

// Zip makes a zip of files.
func Zip(files map[string]string) ([]byte, error) {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		header.SetMode(0o644)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, fmt.Errorf("zip entry %q: %w", name, err)
		}
		if _, err := entry.Write([]byte(files[name])); err != nil {
			return nil, fmt.Errorf("zip entry %q: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("zip: %w", err)
	}
	return buffer.Bytes(), nil
}

func (w *World) put(ctx context.Context, account, region, bucket, key string, body []byte, metadata map[string]string) error {
	_, err := w.Cloud.Root(account).S3(region).PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: metadata,
	})
	return err
}

// createFunction makes a function as somebody deployed it by hand: version 1,
// and a monitoring layer that has nothing to do with us.
func (w *World) createFunction(ctx context.Context, f Function) error {
	site, name := f.Site, f.Name
	layer, err := w.monitoring(ctx, site.Region)
	if err != nil {
		return err
	}
	code, err := Zip(map[string]string{"app.py": "def handler(event, context):\n    return \"by hand\"\n"})
	if err != nil {
		return err
	}
	variables := map[string]string{"LOG_LEVEL": "info"}
	if site.Environment == "dev" {
		variables["PAYMENTS_URL"] = "https://payments.dev.example"
	}
	client := w.Cloud.Root(site.Account).Lambda(site.Region)
	role := "arn:aws:iam::" + site.Account + ":role/orders"
	if _, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Code: &types.FunctionCode{ZipFile: code}, Role: &role, Handler: aws.String("app.handler"),
		Runtime: types.Runtime("python3.13"), Architectures: []types.Architecture{types.ArchitectureX8664},
		Layers: []string{layer}, Environment: &types.Environment{Variables: variables},
	}); err != nil {
		return err
	}
	out, err := client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name})
	if err != nil {
		return err
	}
	if err := w.Clock.Sleep(ctx, time.Minute); err != nil || !f.Aliased {
		return err
	}
	_, err = client.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &name, Name: aws.String("live"), FunctionVersion: out.Version})
	return err
}

// monitoring is the partner's public layer in a region.
func (w *World) monitoring(ctx context.Context, region string) (string, error) {
	const name = "monitoring"
	if versions := w.Cloud.LayerVersions(Partner, region, name); len(versions) > 0 {
		return versions[0].ARN, nil
	}
	content, err := Zip(map[string]string{"python/monitoring.py": "def trace(): pass\n"})
	if err != nil {
		return "", err
	}
	client := w.Cloud.Root(Partner).Lambda(region)
	out, err := client.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
		LayerName: aws.String(name), Content: &types.LayerVersionContentInput{ZipFile: content},
	})
	if err != nil {
		return "", err
	}
	_, err = client.AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
		LayerName: aws.String(name), VersionNumber: &out.Version, StatementId: aws.String("everyone"),
		Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String("*"),
	})
	return *out.LayerVersionArn, err
}
