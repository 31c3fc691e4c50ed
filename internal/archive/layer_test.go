package archive

import (
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

// infoOf is the info of a zip of these files, separated by spaces.
func infoOf(t *testing.T, files string) Info {
	t.Helper()
	var entries []zipEntry
	for _, name := range strings.Fields(files) {
		entries = append(entries, zipEntry{name: name})
	}
	info, err := inspect(t, makeZip(t, entries...), Limits{})
	must(t, err)
	return info
}

func TestCheckLayer(t *testing.T) {
	tests := []struct {
		name     string
		files    string
		runtimes string
		parts    []string // none: it is fine
	}{
		{"python packages in python/", "python/requests/__init__.py", "python3.13", nil},
		{"a python module in python/", "python/orders.py bin/tool lib/libx.so LICENSE", "python3.12 python3.13", nil},
		{"site-packages of the version", "python/lib/python3.13/site-packages/a.py", "python3.13", nil},
		{"site-packages of another version", "python/lib/python3.12/site-packages/a.py", "python3.13", []string{`"python3.13"`, `only in "python/lib/python3.12/site-packages/"`}},
		{"site-packages of one of two versions", "python/lib/python3.12/site-packages/a.py", "python3.12 python3.13", []string{`runtime "python3.13"`}},
		{"python packages at the top", "requests/__init__.py six.py", "python3.13", []string{`found at the top: "requests/", "six.py"`, `Put the packages under "python/"`}},
		{"a virtual environment at the top", "lib/python3.13/site-packages/a.py bin/pip", "python3.13", []string{`want files under "python/"`, `"lib/"`}},
		{"python/ inside of another folder", "orders-deps/python/a.py", "python3.13", []string{`"python/" is inside of "orders-deps/"`, `archive what is in "orders-deps/"`}},
		{"an empty python/", "python/ README.md", "python3.13", []string{`"python/" is there and holds no files`}},
		{"a file that is called python", "python", "python3.13", []string{`found at the top: "python"`}},
		{"Python in capitals", "Python/a.py", "python3.13", []string{`"Python/"`}},
		{"an empty archive", "", "python3.13", []string{"holds no files", "found nothing at the top"}},
		{"node modules", "nodejs/node_modules/left-pad/index.js", "nodejs22.x", nil},
		{"node modules of the version", "nodejs/node22/node_modules/a.js", "nodejs22.x", nil},
		{"node modules of another version", "nodejs/node20/node_modules/a.js", "nodejs22.x", []string{`only in "nodejs/node20/node_modules/"`}},
		{"files right in nodejs/", "nodejs/helper.js", "nodejs22.x", nil},
		{"node modules at the top", "node_modules/a/index.js package.json", "nodejs22.x", []string{`"nodejs/node_modules/"`, `"node_modules/"`}},
		{"jars in java/lib", "java/lib/jackson.jar", "java21", nil},
		{"jars in java/lib for an older runtime", "java/lib/jackson.jar", "java8.al2", nil},
		{"jars right in java/", "java/jackson.jar", "java21", []string{`want files under "java/lib/"`, `only in "java/"`}},
		{"gems of the version", "ruby/gems/3.4.0/gems/json/json.rb", "ruby3.4", nil},
		{"gems of another version", "ruby/gems/3.3.0/gems/json/json.rb", "ruby3.4", []string{`"ruby/gems/3.4.0/"`, `only in "ruby/gems/3.3.0/"`}},
		{"ruby's lib", "ruby/lib/a.rb", "ruby3.4", nil},
		{"one layer for two languages", "python/a.py nodejs/node_modules/a.js", "python3.13 nodejs22.x", nil},
		{"one layer for two languages of which one is missing", "python/a.py", "python3.13 nodejs22.x", []string{`runtime "nodejs22.x"`}},
		{"anything for a custom runtime", "bootstrap", "provided.al2023", nil},
		{"anything for a runtime without rules", "store/a.dll", "dotnet8", nil},
		{"nothing for a custom runtime", "d/", "provided.al2023", []string{"holds no files", `"d/"`}},
		{"binaries for no runtime", "bin/jq", "", nil},
		{"an extension for no runtime", "extensions/agent", "", nil},
		{"packages for no runtime", "python/a.py", "", nil},
		{"none of the known folders for no runtime", "requests/a.py", "", []string{`"bin/"`, `"python/"`, `"requests/"`, "provided.al2023"}},
		{"a known folder that is too deep, for no runtime", "deps/nodejs/node_modules/a.js", "", []string{`"nodejs/" is inside of "deps/"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := CheckLayer(infoOf(t, test.files), strings.Fields(test.runtimes), []string{"arm64", "x86_64"})
			if test.parts == nil {
				must(t, err)
				return
			}
			wantError(t, err, release.Invalid, test.parts...)
		})
	}
}

func TestCheckLayerOfManyNames(t *testing.T) {
	var files []string
	for i := range 300 {
		files = append(files, strings.Repeat("a", i+1)[:min(i+1, 200)]+string(rune('a'+i%26))+".py")
	}
	names := map[string]bool{}
	for _, name := range files {
		names[name] = true
	}
	var unique []string
	for name := range names {
		unique = append(unique, name)
	}
	err := CheckLayer(infoOf(t, strings.Join(unique, " ")), []string{"python3.13"}, nil)
	wantError(t, err, release.Invalid, " more")
	must(t, CheckLayer(infoOf(t, strings.Join(unique, " ")+" python/x.py"), []string{"python3.13"}, nil))
}

func TestCheckLayerRefusesAnUnknownArchitecture(t *testing.T) {
	err := CheckLayer(infoOf(t, "python/a.py"), []string{"python3.13"}, []string{"amd64"})
	wantError(t, err, release.Invalid, `"amd64"`, `"x86_64"`)
}

func TestCheckFunction(t *testing.T) {
	must(t, CheckFunction(infoOf(t, "index.py")))
	wantError(t, CheckFunction(infoOf(t, "src/")), release.Invalid, "holds no files", `"src/"`)
}
