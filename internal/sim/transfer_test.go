//lint:file-ignore SA1019 The deprecated manager is the transfer client that the module has; its successor calls the same methods.

package sim_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestTheSDKsUploaderAndDownloader(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		content := bytes.Repeat([]byte("0123456789abcdef"), 12<<20/16)
		uploader := manager.NewUploader(w.s3(tools))
		out := must(uploader.Upload(w.ctx, &s3.PutObjectInput{
			Bucket: ptr("state"), Key: ptr("big"), Body: io.MultiReader(bytes.NewReader(content)), Metadata: map[string]string{"Commit": "abc"},
		}))(t)
		if !strings.HasSuffix(*out.ETag, `-3"`) {
			t.Errorf("got ETag %s, want that of three parts", *out.ETag)
		}
		objects := w.cloud.Objects("state")
		if len(objects) != 1 || !bytes.Equal(objects[0].Body, content) || objects[0].VersionID != *out.VersionID || objects[0].Metadata["commit"] != "abc" {
			t.Errorf("got %d objects, metadata %v", len(objects), objects[0].Metadata)
		}
		if got := w.cloud.PendingUploads("state"); got != 0 {
			t.Errorf("%d uploads are pending", got)
		}
		buffer := manager.NewWriteAtBuffer(nil)
		must(manager.NewDownloader(w.s3(tools)).Download(w.ctx, buffer, &s3.GetObjectInput{Bucket: ptr("state"), Key: ptr("big")}))(t)
		if !bytes.Equal(buffer.Bytes(), content) {
			t.Error("the download differs from the upload")
		}
	})
}
