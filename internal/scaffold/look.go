package scaffold

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Found is what a directory shows.
type Found struct {
	// Name is the directory's, Repository the owner/name of its remote at GitHub; empty if it has none.
	Name, Repository string
	Runtime          string
	// By is the file that told the runtime.
	By string
	// Code and Layer are directories below it; empty if they are not there.
	Code, Layer string
	Built       bool
}

// The runtimes of sources that do not say which.
const (
	pythonRuntime = "python3.13"
	nodeRuntime   = "nodejs22.x"
	// goRuntime runs what a build has compiled.
	goRuntime = "provided.al2023"
)

// Look looks at a directory. What it cannot read is as if it were not there.
func Look(dir string) Found {
	f := Found{Repository: remote(dir)}
	if absolute, err := filepath.Abs(dir); err == nil {
		f.Name = filepath.Base(absolute)
	}
	for _, kind := range []struct {
		file    string
		runtime func(text string) string
	}{
		{"Pipfile", func(text string) string { return versioned(pipfilePython, text, "python", "", pythonRuntime) }},
		{"requirements.txt", func(string) string { return pythonRuntime }},
		{"pyproject.toml", func(text string) string { return versioned(pyprojectPython, text, "python", "", pythonRuntime) }},
		{"package.json", node},
		{"go.mod", func(string) string { return goRuntime }},
	} {
		text, err := os.ReadFile(filepath.Join(dir, kind.file))
		if err == nil {
			f.Runtime, f.By = kind.runtime(string(text)), kind.file
			break
		}
	}
	f.Built = f.Runtime == goRuntime
	if isDir(dir, "src") {
		f.Code = "src"
	}
	if isDir(dir, "layer") {
		f.Layer = "layer"
	}
	return f
}

func isDir(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.IsDir()
}

var (
	pipfilePython   = regexp.MustCompile(`(?m)^python_version\s*=\s*"(3\.[0-9]+)"`)
	pyprojectPython = regexp.MustCompile(`(?m)^requires-python\s*=\s*"[^0-9"]*(3\.[0-9]+)`)
	nodeMajor       = regexp.MustCompile(`^[^0-9]*([0-9]+)`)
)

// versioned is a runtime of the version that a pattern finds.
func versioned(pattern *regexp.Regexp, text, prefix, suffix, otherwise string) string {
	if match := pattern.FindStringSubmatch(text); match != nil {
		return prefix + match[1] + suffix
	}
	return otherwise
}

// node is the runtime that package.json asks for under engines.
func node(text string) string {
	var file struct {
		Engines struct {
			Node string `json:"node"`
		} `json:"engines"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return nodeRuntime
	}
	return versioned(nodeMajor, file.Engines.Node, "nodejs", ".x", nodeRuntime)
}

var (
	originURL = regexp.MustCompile(`(?ms)^\[remote "origin"\]$.*?^\s*url\s*=\s*(\S+)`)
	// ownerName ends https://host/owner/name.git and git@host:owner/name.git.
	ownerName = regexp.MustCompile(`[:/]([A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+?)(?:\.git)?/?$`)
)

// remote is the owner/name of the directory's remote "origin".
func remote(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, ".git", "config"))
	if err != nil {
		return ""
	}
	url := originURL.FindStringSubmatch(strings.ReplaceAll(string(text), "\r\n", "\n"))
	if url == nil {
		return ""
	}
	if match := ownerName.FindStringSubmatch(url[1]); match != nil {
		return match[1]
	}
	return ""
}
