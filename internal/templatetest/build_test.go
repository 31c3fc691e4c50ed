package templatetest

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxBinary is the largest binary of a function, in bytes: a cold start loads it.
const maxBinary = 12 << 20

// `sam build` runs make build-<LogicalId> for each function, and says in
// ARTIFACTS_DIR where the code belongs (SAM developer guide: building custom
// runtimes). What comes out has to be what the template's runtime and
// architecture run: a static bootstrap for Linux on arm64.
func TestSAMBuildsEachFunctionSmallForArm(t *testing.T) {
	if testing.Short() {
		t.Skip("builds every function")
	}
	t.Parallel()
	template := load(t, mainTemplate)
	if got := at(template, "Globals", "Function", "Architectures"); len(texts(got)) != 1 || texts(got)[0] != "arm64" {
		t.Fatalf("the functions are for %v, want arm64", got)
	}
	for id := range ofType(template, "AWS::Serverless::Function") {
		t.Run(id, func(t *testing.T) {
			artifacts := t.TempDir()
			cmd := exec.Command("make", "--makefile", "Makefile", "build-"+id)
			cmd.Dir, cmd.Env = root, append(os.Environ(), "ARTIFACTS_DIR="+artifacts)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("make build-%s: %v\n%s", id, err, out)
			}
			entries, err := os.ReadDir(artifacts)
			if err != nil || len(entries) != 1 || entries[0].Name() != "bootstrap" {
				t.Fatalf("make build-%s leaves %v, %v; want bootstrap alone", id, entries, err)
			}
			checkBootstrap(t, filepath.Join(artifacts, "bootstrap"))
		})
	}
}

func checkBootstrap(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%5.2f MiB", float64(info.Size())/(1<<20))
	if info.Size() > maxBinary || info.Mode()&0o111 == 0 {
		t.Errorf("the bootstrap has %d bytes and the mode %s, want at most %d and executable", info.Size(), info.Mode(), maxBinary)
	}
	binary, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if binary.Machine != elf.EM_AARCH64 || binary.Type != elf.ET_EXEC {
		t.Errorf("the bootstrap is a %s for %s, want an executable for arm64", binary.Type, binary.Machine)
	}
	for _, part := range binary.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("the bootstrap wants a dynamic linker")
		}
	}
}
