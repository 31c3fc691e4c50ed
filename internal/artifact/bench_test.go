package artifact_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
)

// BenchmarkStage stages 250 MB end to end: download, checks, upload. The network
// is a local file in and nothing out.
func BenchmarkStage(b *testing.B) {
	dropped := &release.Release{App: "orders", Source: release.Source{Bucket: uploadsBucket, Key: "drops/orders/deps/1.zip", VersionID: "1"}}
	dropped.Request.Artifact = "deps"
	tagged := &release.Release{App: "orders", Source: release.Source{Repository: "acme/orders", Tag: "v1", Commit: largeCommit}}
	for _, bench := range []struct {
		name  string
		rel   *release.Release
		spec  release.ArtifactSpec
		write func(io.Writer) error
	}{
		{"object", dropped, release.ArtifactSpec{Object: "1.zip"}, writeLargeZip},
		{"archive", tagged, release.ArtifactSpec{Archive: "layer"}, writeLargeTarball},
	} {
		b.Run(bench.name, func(b *testing.B) {
			remote := fileRemote{path: largeFile(b, bench.write)}
			stager := &artifact.Stager{Source: &artifact.Source{GitHub: remote, Uploads: remote}, S3: func(string) artifact.API { return remote }}
			wanted := artifact.Wanted{Name: "deps", Spec: bench.spec, Layers: []release.LayerSpec{layer}, Buckets: oneRegion}
			b.SetBytes(largeSize)
			resetPeak()
			for b.Loop() {
				if _, err := stager.Stage(b.Context(), bench.rel, wanted); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(peakRSS(b))/1024, "peak-RSS-MiB")
		})
	}
}

func largeFile(b *testing.B, write func(io.Writer) error) string {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "large"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	buffered := bufio.NewWriter(file)
	if err := write(buffered); err != nil {
		b.Fatal(err)
	}
	if err := buffered.Flush(); err != nil {
		b.Fatal(err)
	}
	return file.Name()
}

// fileRemote is a GitHub and an S3 that serve one file and forget what they receive.
type fileRemote struct {
	artifact.Repositories
	artifact.API
	path string
}

func (f fileRemote) Tarball(context.Context, int64, string) (io.ReadCloser, error) {
	return os.Open(f.path)
}

func (f fileRemote) GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	file, err := os.Open(f.path)
	return &s3.GetObjectOutput{Body: file}, err
}

func (f fileRemote) HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	return nil, &types.NotFound{}
}

func (f fileRemote) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	_, err := io.Copy(io.Discard, in.Body)
	return &s3.PutObjectOutput{VersionId: aws.String("1")}, err
}
