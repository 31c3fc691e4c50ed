// Dist makes what installs Tagboat without Go: a zip of each function and a
// template that names them, beside what else an installation needs, and one
// archive of it all.
//
//	dist -functions .build/functions/arm64 -out .build/dist -version 1.2.3
//
// It runs at the root of the repository, after the functions are built. The same
// files give the same bytes, whenever and wherever that is: entries are in the
// order of their names and all of one time.
package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	functions := flag.String("functions", ".build/functions/arm64", "where the functions are built, each as NAME/bootstrap")
	out := flag.String("out", ".build/dist", "the folder to make; what is there is replaced")
	version := flag.String("version", "dev", "the version in the archive's name")
	flag.Parse()
	if err := run(".", *functions, *out, *version); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// file is an entry of an archive.
type file struct {
	name    string
	mode    fs.FileMode
	content []byte
}

// run writes the folder and the archive.
func run(root, functions, out, version string) error {
	files, err := collect(root, functions)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join(out, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.content, f.mode); err != nil {
			return err
		}
	}
	archive, err := pack(files)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "tagboat-stack_"+slug(version)+".zip"), archive, 0o644)
}

// slug replaces what the name of a file had better not have.
func slug(version string) string {
	return regexp.MustCompile(`[^0-9A-Za-z._+-]`).ReplaceAllString(strings.TrimPrefix(version, "v"), "-")
}

// besides are the files that an installation needs besides template and functions.
var besides = []string{"samconfig.toml", "LICENSE", "CHANGELOG.md", "statemachine/*.json", "iam/*.yaml", "schemas/*.json"}

// collect is everything of the archive, by name.
func collect(root, functions string) ([]file, error) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	packaged, names, err := template(string(text))
	if err != nil {
		return nil, err
	}
	files := []file{{"template.yaml", 0o644, []byte(packaged)}}
	for _, name := range names {
		content, err := function(filepath.Join(functions, name, "bootstrap"))
		if err != nil {
			return nil, err
		}
		files = append(files, file{zipOf(name), 0o644, content})
	}
	for _, pattern := range besides {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("there is no %s (%v)", pattern, err)
		}
		for _, name := range found {
			content, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			files = append(files, file{path.Join(path.Dir(pattern), filepath.Base(name)), 0o644, content})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// zipOf is the name of a function's zip.
func zipOf(name string) string { return "functions/" + name + ".zip" }

const (
	anyCode = "    CodeUri: .\n"
	made    = "    Metadata: {BuildMethod: makefile}\n    Properties:\n"
)

var named = regexp.MustCompile(regexp.QuoteMeta(made) + `      FunctionName: !Sub \$\{AWS::StackName\}-([a-z]+)\n`)

// template is template.yaml with a zip as the code of each function instead of
// how it is made, and the functions' names.
func template(text string) (packaged string, names []string, err error) {
	packaged = strings.Replace(text, anyCode, "", 1)
	packaged = named.ReplaceAllStringFunc(packaged, func(found string) string {
		name := named.FindStringSubmatch(found)[1]
		names = append(names, name)
		return "    Properties:\n      CodeUri: " + zipOf(name) + "\n" + strings.TrimPrefix(found, made)
	})
	all := strings.Count(text, "    Type: AWS::Serverless::Function\n")
	if len(names) != all || packaged == text || strings.Contains(packaged, "makefile") || strings.Count(packaged, "CodeUri:") != all {
		return "", nil, fmt.Errorf("template.yaml: %d of %d functions have their name right after how they are made; want all, and one CodeUri: . for them", len(names), all)
	}
	return packaged, names, nil
}

// function is the zip of a binary, as Lambda takes it.
func function(name string) ([]byte, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: make functions builds it", err)
	}
	binary, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if binary.Machine != elf.EM_AARCH64 {
		return nil, fmt.Errorf("%s is for %s, want %s as in template.yaml", name, binary.Machine, elf.EM_AARCH64)
	}
	return pack([]file{{"bootstrap", 0o755, content}})
}

// pack makes a zip. What is a zip already is stored as it is.
func pack(files []file) ([]byte, error) {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		if strings.HasSuffix(f.name, ".zip") {
			header.Method = zip.Store
		}
		header.SetMode(f.mode)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if _, err := entry.Write(f.content); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	err := w.Close()
	return buffer.Bytes(), err
}
