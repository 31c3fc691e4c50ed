package archive

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ignoreCase is an ignore file at the top, files, and which of them it leaves out.
type ignoreCase struct {
	name    string
	rules   string
	files   string // separated by "|"
	ignored string
}

var ignoreCases = []ignoreCase{
	{"a name matches at every depth", "a", "a|b/a|b/c/a|ab", "a|b/a|b/c/a"},
	{"a leading slash anchors", "/a", "a|b/a", "a"},
	{"a slash in the middle anchors", "b/a", "b/a|c/b/a", "b/a"},
	{"a trailing slash means directories only", "a/", "a/x|b/a", "a/x"},
	{"what is in an ignored directory is ignored", "a", "a/b/c", "a/b/c"},
	{"a star stays in its component", "*.pyc\nx/*.c", "a.pyc|b/c.pyc|x/a.c|x/y/a.c", "a.pyc|b/c.pyc|x/a.c"},
	{"a question mark is one byte but no slash", "a?c", "abc|ac|a/c|aéc", "abc"},
	{"two stars and a slash are any directories", "**/a/b", "a/b|x/a/b|x/y/a/b|xa/b", "a/b|x/a/b|x/y/a/b"},
	{"two stars in the middle", "a/**/b", "a/b|a/x/b|a/x/y/b|ab|x/a/b", "a/b|a/x/b|a/x/y/b"},
	{"two stars at the end are what is inside", "a/**", "a/b|a/c/d|b/a", "a/b|a/c/d"},
	{"two stars beside a letter are one", "a/x**y", "a/xzy|a/x/z/y", "a/xzy"},
	{"three stars are two", "a/***/b", "a/b|a/x/b", "a/b|a/x/b"},
	{"a double star alone is everything", "**", "a|b/c", "a|b/c"},
	{"the last rule wins", "*.a\n!k.a\nk.a\n!k.a", "k.a|l.a", "l.a"},
	{"nothing comes back from an ignored directory", "d/\n!d/k", "d/k|d/l", "d/k|d/l"},
	{"what is in a directory comes back if it is not ignored itself", "d/*\n!d/k", "d/k|d/l", "d/l"},
	{"comments and empty lines", "# a\n\n\\#b\n", "# a|#b|a", "#b"},
	{"an escaped exclamation mark", "\\!a", "!a|a", "!a"},
	{"an exclamation mark alone", "!\na", "a|!", "a"},
	{"trailing spaces are cut", "a   \nb\\ \nc\\  ", "a|b |b|c |c", "a|b |c "},
	{"other spaces are not", " a\nb\t", " a|a|b\t|b", " a|b\t"},
	{"lines that end as on Windows", "a\r\nb/\r\n", "a|b/c|a\r", "a|b/c"},
	{"a byte order mark", "\ufeffa\nb", "a|b", "a|b"},
	{"a last line without its end", "a\nb", "b", "b"},
	{"ranges and sets", "[a-c]x\n[!a-c]y\n[^d]z", "ax|dx|ay|dy|dz|ez", "ax|dy|ez"},
	{"brackets in sets", "[]a]x\n[!]]y\n[a\\]b]z", "]x|ax|ay|]y|]z|bz|cz", "]x|ax|ay|]z|bz"},
	{"a hyphen at an edge of a set", "[-a]x\n[a-]y", "-x|ax|-y|bx", "-x|ax|-y"},
	{"escapes in ranges", "[\\a-\\c]x", "bx|dx|\\x", "bx"},
	{"classes", "[[:digit:][:upper:]]x\n[[:space:]]y\n[[:punct:]]z\n[[:xdigit:]]w", "1x|Ax|ax| y|.z|az|fw|gw|Fw", "1x|Ax| y|.z|fw|Fw"},
	{"a class that does not exist matches nothing", "[[:nope:]a]x", "ax|:x", ""},
	{"half a class is a set", "[[:a]x", ":x|ax|[x|bx", ":x|ax|[x"},
	{"an open bracket matches nothing", "a[bc\n[", "a[bc|ab|[", ""},
	{"a set never matches a slash", "a[/]b\na[!x]b", "a/b|ayb|axb", "ayb"},
	{"a set may have a slash in it", "a[x/y]b\n[!/a]c", "axb|ayb|a/b|x/axb|bc|ac", "axb|ayb|bc"},
	{"a last backslash matches nothing", "a\\", "a|a\\", ""},
	{"escaped letters are themselves", "\\a\\*", "a*|ab", "a*"},
	{"an escaped slash is a slash", "a\\/b", "a/b|x/a/b", "a/b"},
	{"a slash alone is nothing", "/\n//", "a|b/c", ""},
	{"double slashes match nothing", "a//b\nc//", "a/b|c/d", ""},
	{"hidden files are like others", "*\n!.keep", ".a|.keep|b", ".a|b"},
	{"bytes of other alphabets", "größe*\n[é]x", "größe.txt|b", "größe.txt"},
	{"many stars end in time", strings.Repeat("*a", 40) + "b", strings.Repeat("a", 200), ""},
}

// split is the list that a test writes with bars.
func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, "|")
}

// ignoredOf are the files that ignore files leave out.
func ignoredOf(rules map[string]string, files []string) []string {
	g := newIgnorer()
	for dir, text := range rules {
		g.rules[dir] = parseRules(text)
	}
	var ignored []string
	for _, file := range files {
		if g.ignores(file) {
			ignored = append(ignored, file)
		}
	}
	return ignored
}

func TestIgnoreRules(t *testing.T) {
	for _, test := range ignoreCases {
		t.Run(test.name, func(t *testing.T) {
			if got := ignoredOf(map[string]string{".": test.rules}, split(test.files)); !slices.Equal(got, split(test.ignored)) {
				t.Errorf("rules %q ignore %q, want %q", test.rules, got, split(test.ignored))
			}
		})
	}
}

func TestNestedIgnoreFiles(t *testing.T) {
	rules := map[string]string{".": "*.log\n/only-top\nshut/\n", "d": "!keep.log\n/only-d\n", "d/e": "keep.log\n", "shut": "!x\n"}
	files := split("a.log|only-top|d/only-top|d/only-d|d/e/only-d|d/keep.log|d/e/keep.log|shut/x|x")
	want := split("a.log|only-top|d/only-d|d/e/keep.log|shut/x")
	if got := ignoredOf(rules, files); !slices.Equal(got, want) {
		t.Errorf("ignored are %q, want %q", got, want)
	}
	if got := gitIgnored(t, rules, files); !slices.Equal(got, want) {
		t.Errorf("git ignores %q, want %q", got, want)
	}
}

func TestIgnoreRulesAreGits(t *testing.T) {
	for _, test := range ignoreCases {
		t.Run(test.name, func(t *testing.T) {
			if got := gitIgnored(t, map[string]string{".": test.rules}, split(test.files)); !slices.Equal(got, split(test.ignored)) {
				t.Errorf("git ignores %q with %q, the table says %q", got, test.rules, split(test.ignored))
			}
		})
	}
}

// undocumented finds the patterns in which git does something that it does not
// document: in "a**/b" the two stars should be one, and it takes them for
// directories; in "**\/b" it wants one directory at least.
var undocumented = regexp.MustCompile(`^!?[^*?\[\\]*[^*?\[\\/]\*\*+/|\*\\/`)

func TestRandomIgnoreRulesAreGits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string, least, most int) string {
		var text strings.Builder
		for range least + random.IntN(most-least+1) {
			text.WriteString(from[random.IntN(len(from))])
		}
		return text.String()
	}
	patterns := []string{"a", "b", "c", "a", "b", "/", "/", "*", "**", "?", "[a-b]", "[!a]", "\\", "!", "[", "]", "-", " ", "**/", "/**"}
	letters := []string{"a", "b", "c", "ab", "-", "]"}
	for range 40 {
		rules := map[string]string{}
		for _, dir := range []string{".", "a", "a/b"} {
			for range random.IntN(4) {
				if pattern := pick(patterns, 1, 6); !undocumented.MatchString(pattern) {
					rules[dir] += pattern + "\n"
				}
			}
		}
		var files []string
		for range 40 {
			file := pick(letters, 1, 2)
			for range random.IntN(4) {
				file += "/" + pick(letters, 1, 2)
			}
			files = append(files, file)
		}
		for dir := range rules {
			files = append(files, path.Join(dir, "z")) // so that no file has its name
		}
		files = withoutParents(files)
		if got, want := ignoredOf(rules, files), gitIgnored(t, rules, files); !slices.Equal(got, want) {
			t.Errorf("rules %q: ignored are\n%q, git ignores\n%q", rules, got, want)
		}
	}
}

// withoutParents drops names that others are in, and doubles.
func withoutParents(files []string) []string {
	slices.Sort(files)
	files = slices.Compact(files)
	return slices.DeleteFunc(slices.Clone(files), func(name string) bool {
		return slices.ContainsFunc(files, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
}

// gitIgnored asks git.
func gitIgnored(t *testing.T, rules map[string]string, files []string) []string {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	run := func(input string, args ...string) []byte {
		command := exec.Command(git, args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		command.Stdin = strings.NewReader(input)
		out, err := command.Output()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: nothing is ignored
			t.Fatalf("git %q: %v", args, err)
		}
		return out
	}
	run("", "init", "-q", "--template=")
	for _, file := range files {
		must(t, os.MkdirAll(filepath.Join(dir, path.Dir(file)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, file), nil, 0o644))
	}
	for at, text := range rules {
		must(t, os.MkdirAll(filepath.Join(dir, at), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, at, ".gitignore"), []byte(text), 0o644))
	}
	var paths strings.Builder
	for _, file := range files {
		paths.WriteString("./" + file + "\x00") // a colon at the start would be magic
	}
	out := run(paths.String(), "check-ignore", "--no-index", "--stdin", "-z")
	var ignored []string
	for name := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		if len(name) > 0 {
			ignored = append(ignored, strings.TrimPrefix(string(name), "./"))
		}
	}
	return ignored
}
