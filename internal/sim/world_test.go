package sim_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/sim"
)

const (
	dev, tools, other = "111111111111", "999999999999", "333333333333"
	east, west        = "us-east-1", "eu-west-1"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a cloud on a virtual clock, with the root of each account.
type world struct {
	*testing.T
	ctx   context.Context
	clock *clock.Virtual
	cloud *sim.Cloud
}

// within runs a test in a new cloud.
func within(t *testing.T, test func(w world)) {
	t.Helper()
	c := clock.NewVirtual(start, 1)
	c.Run(func() { test(world{T: t, ctx: t.Context(), clock: c, cloud: sim.New(c)}) })
}

func (w world) sleep(d time.Duration) {
	w.Helper()
	if err := w.clock.Sleep(w.ctx, d); err != nil {
		w.Fatal(err)
	}
}

func (w world) lambda(account string) *sim.LambdaClient { return w.cloud.Root(account).Lambda(east) }

// run adds a sub-test in the same world.
func (w world) run(name string, test func(w world)) {
	w.T.Run(name, func(t *testing.T) {
		w.T = t
		test(w)
	})
}

// must is the answer of a call that has to succeed.
func must[T any](out T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// zipOf makes an archive of files.
func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// zeros is an archive of n zero bytes in files of 4 MiB, which is small and quickly made:
// all whole files share what was compressed once.
func zeros(t testing.TB, n int) []byte {
	t.Helper()
	const chunk = 4 << 20
	var packed bytes.Buffer
	deflate := must(flate.NewWriter(&packed, flate.BestCompression))(t)
	must(deflate.Write(make([]byte, chunk)))(t)
	if err := deflate.Close(); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range n / chunk {
		f := must(w.CreateRaw(&zip.FileHeader{
			Name: fmt.Sprint(i), Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(make([]byte, chunk)),
			CompressedSize64: uint64(packed.Len()), UncompressedSize64: chunk,
		}))(t)
		must(f.Write(packed.Bytes()))(t)
	}
	rest := must(w.Create("rest"))(t)
	must(rest.Write(make([]byte, n%chunk)))(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// function creates orders-api with its code saying v1.
func (w world) function(account string) {
	w.Helper()
	w.create(account, func(*lambda.CreateFunctionInput) {})
}

func (w world) create(account string, change func(*lambda.CreateFunctionInput)) {
	w.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: ptr("orders-api"), Role: ptr(sim.RoleARN(account, "orders")), Runtime: types.RuntimePython313, Handler: ptr("app.handler"),
		Code: &types.FunctionCode{ZipFile: zipOf(w, map[string]string{"app.py": "v1"})},
	}
	change(in)
	if _, err := w.lambda(account).CreateFunction(w.ctx, in); err != nil {
		w.Fatal(err)
	}
}

// release gives orders-api new code, waits, and publishes a version, which is its answer.
func (w world) release(account, code string) string {
	w.Helper()
	if _, err := w.updateCode(account, code); err != nil {
		w.Fatal(err)
	}
	w.sleep(5 * time.Second)
	out, err := w.lambda(account).PublishVersion(w.ctx, &lambda.PublishVersionInput{FunctionName: ptr("orders-api")})
	if err != nil {
		w.Fatal(err)
	}
	w.sleep(5 * time.Second)
	return *out.Version
}

func (w world) updateCode(account, code string) (*lambda.UpdateFunctionCodeOutput, error) {
	return w.lambda(account).UpdateFunctionCode(w.ctx, &lambda.UpdateFunctionCodeInput{
		FunctionName: ptr("orders-api"), ZipFile: zipOf(w, map[string]string{"app.py": code}),
	})
}

func (w world) get(account, qualifier string) *lambda.GetFunctionOutput {
	w.Helper()
	in := &lambda.GetFunctionInput{FunctionName: ptr("orders-api")}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	out, err := w.lambda(account).GetFunction(w.ctx, in)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// layer publishes a version of a layer of the tools account and returns its ARN and number.
func (w world) layer(name, content string) (string, int64) {
	w.Helper()
	out, err := w.lambda(tools).PublishLayerVersion(w.ctx, &lambda.PublishLayerVersionInput{
		LayerName: &name, CompatibleRuntimes: []types.Runtime{types.RuntimePython313},
		Content: &types.LayerVersionContentInput{ZipFile: zipOf(w, map[string]string{"python/deps.py": content})},
	})
	if err != nil {
		w.Fatal(err)
	}
	return *out.LayerVersionArn, out.Version
}

func (w world) grant(layer string, version int64, statement, principal, organization string) error {
	in := &lambda.AddLayerVersionPermissionInput{
		LayerName: &layer, VersionNumber: &version, StatementId: &statement, Principal: &principal, Action: ptr("lambda:GetLayerVersion"),
	}
	if organization != "" {
		in.OrganizationId = &organization
	}
	_, err := w.lambda(tools).AddLayerVersionPermission(w.ctx, in)
	return err
}

func (w world) setLayers(account string, arns ...string) error {
	_, err := w.lambda(account).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: ptr("orders-api"), Layers: append([]string{}, arns...),
	})
	return err
}

// role creates a role with policies and gives its session, as a service would get it.
func (w world) role(account, name string, policies ...string) *sim.Session {
	w.Helper()
	arn, err := w.cloud.CreateRole(account, name, sim.Role{Policies: policies})
	if err != nil {
		w.Fatal(err)
	}
	s, err := w.cloud.AssumeRole(arn, "session")
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// allow is a policy document that allows actions on resources.
func allow(resource string, actions ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"` + resource + `"}]}`
}

// refused checks that an error has a code and, in its message, a text.
func refused(t testing.TB, err error, code, text string) {
	t.Helper()
	var answered smithy.APIError
	if !errors.As(err, &answered) {
		t.Fatalf("got error %v, want code %s", err, code)
	}
	if answered.ErrorCode() != code || !strings.Contains(answered.ErrorMessage(), text) {
		t.Fatalf("got %s: %q, want %s: … %q …", answered.ErrorCode(), answered.ErrorMessage(), code, text)
	}
}

func statusOf(err error) int {
	var answered interface{ HTTPStatusCode() int }
	if !errors.As(err, &answered) {
		return 0
	}
	return answered.HTTPStatusCode()
}

func ptr[T any](v T) *T { return &v }
