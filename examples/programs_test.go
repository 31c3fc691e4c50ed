package examples_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/sim/github"
)

const (
	// worldAt is the variable that tells programs where the world is, and workflowRole
	// that whose role they have, as aws-actions/configure-aws-credentials gives it.
	worldAt      = "TAGBOAT_EXAMPLES_WORLD"
	workflowRole = "TAGBOAT_EXAMPLES_ROLE"

	metadataHeader = "Metadata-"
	roleHeader     = "Role"
)

// awsProgram is what the examples use of the AWS CLI, and nothing more.
func awsProgram(args []string) error {
	switch {
	case len(args) >= 4 && args[0] == "s3" && args[1] == "cp":
		return copyToS3(args[2], args[3], args[4:])
	case len(args) > 2 && args[0] == "cloudformation" && args[1] == "deploy":
		return deployStack(args[2:])
	}
	return fmt.Errorf("%q is not known here", args)
}

func copyToS3(file, to string, flags []string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	path, ok := strings.CutPrefix(to, "s3://")
	if !ok {
		return fmt.Errorf("%q is no address in S3", to)
	}
	header := http.Header{}
	if len(flags) == 2 && flags[0] == "--metadata" {
		for key, value := range pairs(strings.Split(flags[1], ",")) {
			header.Set(metadataHeader+key, value)
		}
	} else if len(flags) > 0 {
		return fmt.Errorf("the flags %q are not known here", flags)
	}
	if role := os.Getenv(workflowRole); role != "" {
		header.Set(roleHeader, role)
	}
	return send(http.MethodPut, "/s3/"+path, content, header)
}

// pairs reads key=value.
func pairs(given []string) map[string]string {
	read := map[string]string{}
	for _, pair := range given {
		key, value, _ := strings.Cut(pair, "=")
		read[key] = value
	}
	return read
}

// deployStack wants the parameters that the template has no default for.
func deployStack(args []string) error {
	i, j := slices.Index(args, "--template-file"), slices.Index(args, "--parameter-overrides")
	if i < 0 || j < 0 || !slices.Contains(args, "--stack-name") || !slices.Contains(args, "CAPABILITY_NAMED_IAM") {
		return fmt.Errorf("aws cloudformation deploy %q: a template, a stack's name, parameters and CAPABILITY_NAMED_IAM are needed", args)
	}
	text, err := os.ReadFile(args[i+1])
	if err != nil {
		return err
	}
	given := pairs(args[j+1:])
	var template struct {
		Parameters map[string]struct {
			Default        *string `yaml:"Default"`
			AllowedPattern string  `yaml:"AllowedPattern"`
		} `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		return err
	}
	for name, parameter := range template.Parameters {
		value, ok := given[name]
		if !ok && parameter.Default == nil {
			return fmt.Errorf("parameter %s is missing", name)
		}
		if ok && !regexp.MustCompile(parameter.AllowedPattern).MatchString(value) {
			return fmt.Errorf("parameter %s is %q, want %s", name, value, parameter.AllowedPattern)
		}
	}
	for name := range given {
		if _, ok := template.Parameters[name]; !ok {
			return fmt.Errorf("the template has no parameter %s", name)
		}
	}
	body, err := json.Marshal(given)
	if err != nil {
		return err
	}
	return send(http.MethodPost, "/stacks/oidc", body, nil)
}

// pipProgram installs a package of each requirement.
func pipProgram(args []string) error {
	if len(args) != 5 || args[0] != "install" || args[1] != "--requirement" || args[3] != "--target" {
		return fmt.Errorf("pip %q is not known here", args)
	}
	requirements, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(requirements)) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), "==")
		if !ok {
			return fmt.Errorf("requirement %q names no version", line)
		}
		dir := filepath.Join(args[4], name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "__init__.py"), fmt.Appendf(nil, "__version__ = %q\n", version), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// zipProgram is zip -qr FILE DIRECTORY.
func zipProgram(args []string) error {
	if len(args) != 3 || args[0] != "-qr" {
		return fmt.Errorf("zip %q is not known here", args)
	}
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	err := filepath.WalkDir(args[2], func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out, err := w.Create(filepath.ToSlash(path))
		if err == nil {
			_, err = out.Write(content)
		}
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return os.WriteFile(args[1], archive.Bytes(), 0o644)
}

// workflow is what the examples use of a GitHub Actions workflow.
type workflow struct {
	On struct {
		Push struct {
			Tags []string `yaml:"tags"`
		} `yaml:"push"`
	} `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Steps []step `yaml:"steps"`
	} `yaml:"jobs"`
}

type step struct {
	Uses string            `yaml:"uses"`
	Run  string            `yaml:"run"`
	With map[string]string `yaml:"with"`
	Env  map[string]string `yaml:"env"`
}

// runWorkflows runs the workflows of a pushed tag, as a runner does.
func runWorkflows(w *world, files github.Files, tag, commit string) error {
	for name, file := range files {
		if filepath.ToSlash(filepath.Dir(name)) != ".github/workflows" {
			continue
		}
		var flow workflow
		if err := yaml.Unmarshal(file.Content, &flow); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !slices.ContainsFunc(flow.On.Push.Tags, func(pattern string) bool { ok, _ := filepath.Match(pattern, tag); return ok }) {
			continue
		}
		for _, job := range flow.Jobs {
			r := &runner{world: w, files: files, flow: flow, variables: map[string]string{
				"vars.TAGBOAT_UPLOAD_ROLE": w.uploadRole, "vars.TAGBOAT_UPLOADS_BUCKET": "tagboat-uploads",
			}}
			r.env = append(os.Environ(), "GITHUB_REF_NAME="+tag, "GITHUB_SHA="+commit, "GITHUB_ACTOR=jane", worldAt+"="+w.url)
			if err := r.job(job.Steps); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// runner runs one job.
type runner struct {
	world     *world
	files     github.Files
	flow      workflow
	variables map[string]string
	env       []string
	dir       string
}

func (r *runner) job(steps []step) error {
	defer func() { _ = os.RemoveAll(r.dir) }()
	for _, s := range steps {
		action, _, _ := strings.Cut(s.Uses, "@")
		var err error
		switch {
		case s.Run != "":
			err = r.run(s)
		case action == "actions/checkout":
			r.dir, err = checkout(r.files)
		case action == "actions/setup-python":
		case action == "aws-actions/configure-aws-credentials":
			err = r.assume(s)
		default:
			err = fmt.Errorf("%q is not known here", s.Uses)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// assume gives the role to later steps, as OIDC does: only to a job that may have a token.
func (r *runner) assume(s step) error {
	if r.flow.Permissions["id-token"] != "write" {
		return errors.New("the job may not have an id-token")
	}
	role := r.expand(s.With["role-to-assume"])
	if role == "" || s.With["aws-region"] == "" {
		return fmt.Errorf("configure-aws-credentials has %v", s.With)
	}
	r.env = append(r.env, workflowRole+"="+role)
	for _, to := range []string{"s3://tagboat-state/config/registry.yaml", "s3://tagboat-uploads/artifacts/other/1.0.0/tagboat.yaml"} {
		if err := r.run(step{Run: "aws s3 cp tagboat.yaml " + to}); err == nil {
			return fmt.Errorf("the role may write to %s", to)
		}
	}
	return nil
}

func (r *runner) run(s step) error {
	cmd := exec.Command("bash", "-e", "-c", r.expand(s.Run))
	cmd.Dir, cmd.Env = r.dir, append(slices.Clone(r.env), "PATH="+r.world.programs+":"+os.Getenv("PATH"))
	for name, value := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+r.expand(value))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", s.Run, err, out)
	}
	return nil
}

var expression = regexp.MustCompile(`\$\{\{ *([a-zA-Z_.]+) *\}\}`)

// expand puts in what an expression stands for.
func (r *runner) expand(text string) string {
	return expression.ReplaceAllStringFunc(text, func(found string) string {
		return r.variables[expression.FindStringSubmatch(found)[1]]
	})
}
