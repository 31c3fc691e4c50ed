package house_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fenced   = regexp.MustCompile("(?ms)^ *```.*?^ *```[^\n]*$")
	inline   = regexp.MustCompile("`[^`\n]*`")
	linked   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// TestEveryLinkOfADocumentLeadsSomewhere holds that relative links name a file or
// folder of the repository and, in a document, a heading that it has.
func TestEveryLinkOfADocumentLeadsSomewhere(t *testing.T) {
	found := 0
	for _, document := range documents(t) {
		text := inline.ReplaceAllString(fenced.ReplaceAllString(read(t, document), ""), "")
		for _, match := range linked.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(match[1], "://") && !strings.HasPrefix(match[1], "mailto:") {
				found++
				checkLink(t, document, match[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("%d links were found, want the many of the documents", found)
	}
}

// TestTheReadmeLeadsToEveryDocument holds that whoever begins there finds each.
func TestTheReadmeLeadsToEveryDocument(t *testing.T) {
	readme := read(t, root+"/README.md")
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("docs/*.md: %d found, %v", len(pages), err)
	}
	for _, page := range pages {
		if !strings.Contains(readme, "](docs/"+filepath.Base(page)+")") {
			t.Errorf("README.md has no link to docs/%s", filepath.Base(page))
		}
	}
}

func checkLink(t *testing.T, document, link string) {
	t.Helper()
	path, anchor, _ := strings.Cut(link, "#")
	target := document
	if path != "" {
		target = filepath.Join(filepath.Dir(document), path)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s links to %s: %v", document, link, err)
		return
	}
	if anchor != "" && !anchors(read(t, target))[anchor] {
		t.Errorf("%s links to %s: %s has no such heading", document, link, target)
	}
}

// documents are all of the tree.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".github" || entry.Name() == "testdata" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case strings.HasSuffix(path, ".md"):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// anchors are the names that GitHub gives to a document's headings: in lower case,
// without punctuation, spaces as hyphens. (One that comes twice is not linked to.)
func anchors(text string) map[string]bool {
	known := map[string]bool{}
	for _, heading := range headings.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		known[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, linkText.ReplaceAllString(heading[1], "$1"))] = true
	}
	return known
}

var (
	shell    = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```")
	used     = regexp.MustCompile(`\$\{?([A-Z][A-Z_0-9]*)`)
	assigned = regexp.MustCompile(`(?m)(?:^|[ ;])([A-Z][A-Z_0-9]*)=`)
)

// installed is the line that defines the variables of docs/install.md.
const installed = ". ./install.env"

// TestEveryVariableOfADocumentIsDefined holds that a command can be copied: what it
// uses was assigned above it in the same document, or is in install.env and that was read.
func TestEveryVariableOfADocumentIsDefined(t *testing.T) {
	install := map[string]bool{}
	guide := shell.FindStringSubmatch(read(t, root+"/docs/install.md"))
	for _, name := range assigned.FindAllStringSubmatch(guide[1], -1) {
		install[name[1]] = true
	}
	if !install["STACK"] || !install["TOOLS_ACCOUNT"] {
		t.Fatalf("install.env defines %v, want STACK and others", install)
	}
	for _, document := range documents(t) {
		known, withInstall := map[string]bool{"PATH": true, "HOME": true, "PWD": true}, false
		for _, block := range shell.FindAllStringSubmatch(read(t, document), -1) {
			for line := range strings.Lines(block[1]) {
				withInstall = withInstall || strings.Contains(line, installed)
				line, _, _ = strings.Cut(line, " # ") // a remark
				for _, name := range used.FindAllStringSubmatch(line, -1) {
					if !known[name[1]] && !(withInstall && install[name[1]]) {
						t.Errorf("%s uses $%s, which no command above it defines: %s", document, name[1], strings.TrimSpace(line))
					}
				}
				for _, name := range assigned.FindAllStringSubmatch(line, -1) {
					known[name[1]] = true
				}
			}
		}
	}
}
