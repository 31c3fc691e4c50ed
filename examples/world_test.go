package examples_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/policy"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/server"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// minute is how long a minute of the world takes, so that a release that waits
// for an approval is still there when the next command comes: its seven days are a hundred seconds.
const minute = 10 * time.Millisecond

// world is AWS and GitHub, with Tagboat in them.
type world struct {
	*demo.World
	url       string
	functions []demo.Function
	layers    []string
	repo      *github.Repository
	// programs is the folder of the programs that stand in for others.
	programs string
	// uploadRole is the role that the stack of iam/github-oidc.yaml made; empty before.
	uploadRole string
}

func newWorld(t *testing.T, text string, registry release.Registry, manifest release.Manifest) *world {
	t.Helper()
	w := &world{functions: functions(registry, manifest), programs: programs(t)}
	for _, layer := range manifest.Layers {
		w.layers = append(w.layers, layer.Name)
	}
	var err error
	if w.World, err = demo.NewWorld(t.Context(), demo.WorldOptions{Registry: text, Functions: w.functions}); err != nil {
		t.Fatal(err)
	}
	repository := registry.Apps[0].Repository
	w.repo = w.GitHub.AddRepository(repository.ID, repository.Name)
	w.Pace(t.Context(), minute)
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /s3/{bucket}/{key...}", w.putObject)
	mux.HandleFunc("POST /stacks/{stack}", w.deployed)
	mux.HandleFunc("POST /pushed", w.pushed)
	mux.Handle("/", w.Handler(server.New(server.Config{Parts: w.Local.Parts, Secrets: w.Hooks.Secrets, Log: slog.New(slog.DiscardHandler)})))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

// putObject is S3: with the role of a workflow, if it says so, else with all rights in the account.
func (w *world) putObject(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	metadata := map[string]string{}
	for name := range r.Header {
		if key, ok := strings.CutPrefix(name, metadataHeader); ok {
			metadata[strings.ToLower(key)] = r.Header.Get(name)
		}
	}
	bucket, key := r.PathValue("bucket"), r.PathValue("key")
	w.Clock.Run(func() {
		session := w.Cloud.Root(demo.Tools)
		if arn := r.Header.Get(roleHeader); arn != "" {
			if session, err = w.Cloud.AssumeRole(arn, "workflow"); err != nil {
				return
			}
		}
		_, err = session.S3(demo.Home).PutObject(context.WithoutCancel(r.Context()), &s3.PutObjectInput{
			Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: metadata,
		})
	})
	if err == nil {
		err = w.wait(r.Context())
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusForbidden)
	}
}

// wait waits until every release has ended, or asks for an approval.
func (w *world) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		var active []release.Release
		var err error
		w.Clock.Run(func() { active, err = w.Local.Core().Ledger.Active(ctx) })
		busy := false
		for _, rel := range active {
			busy = busy || rel.State != release.WaitingApproval
		}
		if err != nil || !busy {
			return err
		}
		time.Sleep(minute)
	}
	return ctx.Err()
}

// deployed is CloudFormation with the stack of iam/github-oidc.yaml. A test of that
// template holds its role to the same policy.
func (w *world) deployed(rw http.ResponseWriter, r *http.Request) {
	var given map[string]string
	err := json.NewDecoder(r.Body).Decode(&given)
	if err == nil {
		upload := policy.Upload{Tools: policy.Place{Account: demo.Tools, Region: demo.Home}, Bucket: given["UploadsBucket"], Apps: []string{given["App"]}}
		var text []byte
		if text, err = json.Marshal(upload.Permissions()); err == nil {
			w.uploadRole, err = w.Cloud.CreateRole(demo.Tools, "tagboat-upload-"+given["App"], sim.Role{
				Trust: []string{"arn:aws:iam::" + demo.Tools + ":root"}, Policies: []string{string(text)},
			})
		}
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
	}
}

// pushed is GitHub: a ref was pushed. Its webhook is delivered, and its workflows run.
func (w *world) pushed(rw http.ResponseWriter, r *http.Request) {
	files, err := tree(r.Body)
	ref := r.URL.Query().Get("ref")
	tag, isTag := strings.CutPrefix(ref, "refs/tags/")
	if err != nil || ref != "refs/heads/main" && !isTag {
		http.Error(rw, fmt.Sprintf("ref %q: %v", ref, err), http.StatusBadRequest)
		return
	}
	ctx := context.WithoutCancel(r.Context())
	if !isTag {
		w.repo.Commit("main", ref, files)
		w.Deliver(ctx, w.GitHub.PushBranch(w.repo, "main"))
		return
	}
	commit := w.repo.Commit("main", tag, files)
	w.repo.Tag(tag, commit)
	w.Deliver(ctx, w.GitHub.Push(w.repo, tag))
	w.Deliver(ctx, w.GitHub.Create(w.repo, tag))
	if err := errors.Join(w.wait(ctx), runWorkflows(w, files, tag, commit), w.wait(ctx)); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	}
}

// tree reads the files of a tar.
func tree(archive io.Reader) (github.Files, error) {
	files := github.Files{}
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		mode := github.Regular
		if header.Mode&0o100 != 0 {
			mode = github.Executable
		}
		files[header.Name] = github.File{Content: content, Mode: mode}
	}
}

// checkout writes files to a folder.
func checkout(files github.Files) (string, error) {
	dir, err := os.MkdirTemp("", "workflow")
	if err != nil {
		return "", err
	}
	for name, file := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, file.Content, file.Mode); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// pushedProgram is the hook of the repository at GitHub: it tells the world.
func pushedProgram([]string) error {
	lines, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(lines)) {
		fields := strings.Fields(line) // before, after, ref
		archive, err := exec.Command("git", "archive", "--format", "tar", fields[1]).Output()
		if err != nil {
			return fmt.Errorf("git archive %s: %w", fields[1], err)
		}
		if err := send(http.MethodPost, "/pushed?ref="+fields[2], archive, nil); err != nil {
			return err
		}
	}
	return nil
}

// send tells the world something.
func send(method, path string, body []byte, header http.Header) error {
	req, err := http.NewRequest(method, os.Getenv(worldAt)+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name := range header {
		req.Header[name] = header[name]
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return nil
}
