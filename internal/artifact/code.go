package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"

	"github.com/tagboat/tagboat/internal/release"
)

// SaveCode stages the archive of a function's code from the address that
// GetFunction answered, so that a rollback can restore it. The address is a
// secret for as long as it is valid: it appears in no error.
func (s *Stager) SaveCode(ctx context.Context, app, region, bucket, codeSHA256, url string) (release.Object, error) {
	want, err := base64.StdEncoding.DecodeString(codeSHA256)
	if err != nil || len(want) != sha256.Size {
		return release.Object{}, release.Errorf(release.Internal, "code digest %q: want a sha256 in base64", codeSHA256)
	}
	file, err := os.CreateTemp("", "tagboat-*.zip")
	if err != nil {
		return release.Object{}, fmt.Errorf("saving the code of a function: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	size, got, err := s.download(ctx, url, file)
	if err != nil {
		return release.Object{}, err
	}
	if got != hex.EncodeToString(want) {
		return release.Object{}, release.Errorf(release.Conflict, "the function's code has sha256 %s, want %s: somebody changed it meanwhile", got, hex.EncodeToString(want))
	}
	return s.put(ctx, app, region, bucket, file, content{got, size})
}

func (s *Stager) download(ctx context.Context, url string, file *os.File) (size int64, sha256Hex string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", release.Errorf(release.Internal, "the address of the function's code cannot be parsed")
	}
	client := s.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	switch { // the error's text has the address, or that of a redirection
	case err != nil && ctx.Err() != nil:
		return 0, "", release.Errorf(release.Transient, "the function's code could not be fetched: %w", ctx.Err())
	case err != nil:
		return 0, "", release.Errorf(release.Transient, "the function's code could not be fetched")
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, "", release.Errorf(release.Transient, "the function's code could not be fetched: %d %s",
			response.StatusCode, http.StatusText(response.StatusCode))
	}
	if size, sha256Hex, err = save(response.Body, file); err != nil {
		return 0, "", release.Errorf(release.KindOf(err), "the function's code: %w", err)
	}
	return size, sha256Hex, nil
}
