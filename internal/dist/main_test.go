package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

// binaries are small programs for a machine, in place of every function's.
func binaries(t *testing.T, machine elf.Machine) string {
	t.Helper()
	folder := t.TempDir()
	mains, err := filepath.Glob(root + "/functions/*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("there are no functions (%v)", err)
	}
	for _, main := range mains {
		name := filepath.Base(filepath.Dir(main))
		var content bytes.Buffer
		header := elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64,
		}
		if err := binary.Write(&content, binary.LittleEndian, header); err != nil {
			t.Fatal(err)
		}
		content.WriteString(name)
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name, "bootstrap"), content.Bytes(), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// unpacked are the contents of an archive, by name.
func unpacked(t *testing.T, content []byte) (map[string][]byte, *zip.Reader) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, entry := range r.File {
		body, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[entry.Name], err = io.ReadAll(body); err != nil {
			t.Fatal(err)
		}
	}
	return files, r
}

func packaged(t *testing.T, functions, version string) (folder string, archive []byte) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "dist")
	if err := run(root, functions, folder, version); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(filepath.Join(folder, "tagboat-stack_1.2.3.zip"))
	if err != nil {
		t.Fatal(err)
	}
	return folder, archive
}

func TestTheArchiveHoldsWhatItsTemplateNames(t *testing.T) {
	_, archive := packaged(t, binaries(t, elf.EM_AARCH64), "v1.2.3")
	checkArchive(t, archive)
}

// checkArchive checks that the template of an archive finds everything in it.
func checkArchive(t *testing.T, archive []byte) {
	t.Helper()
	files, _ := unpacked(t, archive)
	var template struct {
		Resources map[string]struct {
			Type       string               `yaml:"Type"`
			Metadata   map[string]any       `yaml:"Metadata"`
			Properties map[string]yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(files["template.yaml"], &template); err != nil {
		t.Fatal(err)
	}
	functions := 0
	for id, resource := range template.Resources {
		switch resource.Type {
		case "AWS::Serverless::Function":
			functions++
			if resource.Metadata != nil {
				t.Errorf("%s has %v, want nothing that sam build would make", id, resource.Metadata)
			}
			checkFunction(t, id, files[text(resource.Properties["CodeUri"])])
		case "AWS::Serverless::StateMachine":
			if uri := text(resource.Properties["DefinitionUri"]); len(files[uri]) == 0 {
				t.Errorf("the definition %q is not in the archive", uri)
			}
		}
	}
	folders, err := filepath.Glob(root + "/functions/*/main.go")
	if err != nil || functions != len(folders) {
		t.Errorf("the template has %d functions, want %d (%v)", functions, len(folders), err)
	}
	for _, name := range []string{"iam/region.yaml", "iam/target-account.yaml", "iam/github-oidc.yaml", "schemas/manifest.schema.json", "samconfig.toml", "LICENSE"} {
		want, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(files[name], want) {
			t.Errorf("%s is not in the archive as it is in the repository (%v)", name, err)
		}
	}
}

func text(node yaml.Node) string { return node.Value }

// checkFunction checks that a zip is what Lambda takes: an executable bootstrap for arm64 alone.
func checkFunction(t *testing.T, id string, content []byte) {
	t.Helper()
	if len(content) == 0 {
		t.Errorf("the code of %s is not in the archive", id)
		return
	}
	files, r := unpacked(t, content)
	if len(r.File) != 1 || r.File[0].Name != "bootstrap" || r.File[0].Mode().Perm() != 0o755 {
		t.Errorf("the zip of %s has %d entries, want bootstrap alone, executable", id, len(r.File))
		return
	}
	program, err := elf.NewFile(bytes.NewReader(files["bootstrap"]))
	if err != nil || program.Machine != elf.EM_AARCH64 {
		t.Errorf("bootstrap of %s is no program for arm64 (%v)", id, err)
	}
}

func TestTheSameFilesGiveTheSameBytes(t *testing.T) {
	functions := binaries(t, elf.EM_AARCH64)
	_, first := packaged(t, functions, "1.2.3")
	again := binaries(t, elf.EM_AARCH64) // elsewhere, and of another time
	err := filepath.WalkDir(again, func(name string, _ os.DirEntry, err error) error {
		return cmp.Or(err, os.Chtimes(name, time.Time{}, time.Unix(1, 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
	_, second := packaged(t, again, "1.2.3")
	if !bytes.Equal(first, second) {
		t.Error("the archives differ")
	}
}

func TestTheFolderIsTheArchiveUnpacked(t *testing.T) {
	folder, archive := packaged(t, binaries(t, elf.EM_AARCH64), "1.2.3")
	files, r := unpacked(t, archive)
	if !slices.IsSortedFunc(r.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the entries are not in the order of their names")
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not in the folder as it is in the archive (%v)", name, err)
		}
	}
}

func TestWhatCannotBePackagedIsRefused(t *testing.T) {
	err := run(root, binaries(t, elf.EM_X86_64), filepath.Join(t.TempDir(), "dist"), "1.2.3")
	if err == nil || !strings.Contains(err.Error(), "want EM_AARCH64") {
		t.Errorf("functions for another machine: got %v", err)
	}
	err = run(root, t.TempDir(), filepath.Join(t.TempDir(), "dist"), "1.2.3")
	if err == nil || !strings.Contains(err.Error(), "make functions") {
		t.Errorf("functions that are not built: got %v", err)
	}
	whole, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"    Metadata: {BuildMethod: makefile}\n", ""},
		{"      FunctionName: !Sub ${AWS::StackName}-prune\n", "      Description: x\n"},
	} {
		if _, _, err := template(strings.Replace(string(whole), change[0], change[1], 1)); err == nil {
			t.Errorf("a template with %q in place of %q is packaged", change[1], change[0])
		}
	}
}

// TestThePackagedTemplateIsSound asks cfn-lint and SAM's own translator.
func TestThePackagedTemplateIsSound(t *testing.T) {
	folder, _ := packaged(t, binaries(t, elf.EM_AARCH64), "1.2.3")
	for _, tool := range []struct{ probe, run []string }{
		{[]string{"cfn-lint", "--version"}, []string{"cfn-lint", filepath.Join(folder, "template.yaml")}},
		{[]string{"python3", "-c", "import samtranslator"}, []string{"python3", root + "/internal/templatetest/testdata/sam2cfn.py", filepath.Join(folder, "template.yaml"), "code-bucket"}},
	} {
		if err := exec.Command(tool.probe[0], tool.probe[1:]...).Run(); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%q: %v; make python installs it", tool.probe, err)
			}
			t.Logf("%q: %v; make python installs it", tool.probe, err)
			continue
		}
		out, err := exec.Command(tool.run[0], tool.run[1:]...).CombinedOutput()
		if err != nil || tool.run[0] == "cfn-lint" && len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%q: %v\n%s", tool.run, err, out)
		}
	}
}

// TestGoReleaserNamesWhatIsThere checks its configuration against the repository:
// what goreleaser itself would say only on a release.
func TestGoReleaserNamesWhatIsThere(t *testing.T) {
	config, err := os.ReadFile(root + "/.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Version  int
		Before   struct{ Hooks []string }
		Builds   []struct{ Main string }
		Archives []struct{ Files []string }
		Checksum struct {
			ExtraFiles []struct{ Glob string } `yaml:"extra_files"`
		}
		Release struct {
			ExtraFiles []struct{ Glob string } `yaml:"extra_files"`
		}
	}
	if err := yaml.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	if c.Version != 2 || len(c.Builds) != 1 || len(c.Before.Hooks) != 1 || len(c.Archives) != 1 {
		t.Fatalf("the configuration is %+v", c)
	}
	target, found := strings.CutPrefix(c.Before.Hooks[0], "make ")
	target, _, _ = strings.Cut(target, " ")
	if !found || !regexp.MustCompile(fmt.Sprintf(`(?m)^%s:`, regexp.QuoteMeta(target))).Match(makefile) {
		t.Errorf("the hook %q is no target of the Makefile", c.Before.Hooks[0])
	}
	if _, err := os.Stat(filepath.Join(root, c.Builds[0].Main, "main.go")); err != nil {
		t.Error(err)
	}
	for _, pattern := range c.Archives[0].Files {
		if found, err := filepath.Glob(filepath.Join(root, pattern)); err != nil || len(found) == 0 {
			t.Errorf("there is nothing of the name %q (%v)", pattern, err)
		}
	}
	folder, _ := packaged(t, binaries(t, elf.EM_AARCH64), "1.2.3")
	for what, extra := range map[string][]struct{ Glob string }{"checksum": c.Checksum.ExtraFiles, "release": c.Release.ExtraFiles} {
		if len(extra) != 1 {
			t.Fatalf("%s has the extra files %v, want one pattern", what, extra)
		}
		name, here := strings.CutPrefix(extra[0].Glob, ".build/dist/")
		if found, err := filepath.Glob(filepath.Join(folder, name)); err != nil || !here || len(found) != 1 {
			t.Errorf("%s has the extra files %q, which are %v of what make dist makes (%v)", what, extra[0].Glob, found, err)
		}
	}
}
