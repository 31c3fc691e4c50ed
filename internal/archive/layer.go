package archive

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// knownFolders are the folders at the top of a layer that Lambda looks into by
// itself: bin (PATH) and lib (LD_LIBRARY_PATH) for all runtimes, extensions for
// Lambda extensions, and the runtimes' own.
// Sources: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html,
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
var knownFolders = append([]string{"bin", "lib", "extensions"}, runtimeFolders...)

// architectures are those that a layer version can be declared for.
// Source: https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
var architectures = []string{"x86_64", "arm64"}

// want is what a runtime needs to find in a layer.
type want struct {
	// folder is the runtime's own at the top.
	folder string
	// accepts tells whether one of [Layout.Folders] serves the runtime.
	accepts func(folder string) bool
	// example is where files should be.
	example string
}

// family is a line of runtimes that look into the same folder.
type family struct {
	name *regexp.Regexp // of the runtime; its group is the version
	want func(version string) want
}

// families are the runtimes with rules. Every other runtime (provided.al2023,
// dotnet8, one that is newer than this code) finds a layer under /opt by its own
// rules, and is content with any file.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
var families = []family{
	{regexp.MustCompile(`^python(3\.[0-9]+)$`), wantPython},
	{regexp.MustCompile(`^nodejs([0-9]+)\.x$`), wantNode},
	{regexp.MustCompile(`^java([0-9]+)(?:\.al2)?$`), wantJava},
	{regexp.MustCompile(`^ruby([0-9]+\.[0-9]+)$`), wantRuby},
}

// wantPython: anything under python/, but not only the site-packages of other versions.
func wantPython(version string) want {
	own := "python/lib/python" + version + "/site-packages"
	return want{
		folder:  "python",
		accepts: func(folder string) bool { return folder == "python" || folder == own },
		example: fmt.Sprintf("%q or %q", "python/", own+"/"),
	}
}

// wantNode: node_modules for this version or for all; also files right under
// nodejs/, which functions load as /opt/nodejs/….
func wantNode(version string) want {
	own := "nodejs/node" + version + "/node_modules"
	return want{
		folder: "nodejs",
		accepts: func(folder string) bool {
			return folder == "nodejs" || folder == "nodejs/node_modules" || folder == own
		},
		example: fmt.Sprintf("%q or %q", "nodejs/node_modules/", own+"/"),
	}
}

// wantJava: java/lib is the class path.
func wantJava(string) want {
	return want{
		folder:  "java",
		accepts: func(folder string) bool { return folder == "java/lib" },
		example: `"java/lib/"`,
	}
}

// wantRuby: gems are kept by Ruby's API version, 3.4.0 for every 3.4.
func wantRuby(version string) want {
	own := "ruby/gems/" + version + ".0"
	return want{
		folder:  "ruby",
		accepts: func(folder string) bool { return folder == "ruby/lib" || folder == own },
		example: fmt.Sprintf("%q or %q", own+"/", "ruby/lib/"),
	}
}

// CheckLayer judges the layout of a layer that is declared for these runtimes
// and architectures. Each runtime must find something in its own folder; bin/,
// lib/ and anything else may be there too. Without runtimes one of the folders
// that Lambda looks into must hold a file.
func CheckLayer(info Info, runtimes, architecturesDeclared []string) error {
	for _, architecture := range architecturesDeclared {
		if !slices.Contains(architectures, architecture) {
			return release.Errorf(release.Invalid, "layer: architecture %q is unknown, want one of %q", architecture, architectures)
		}
	}
	if info.Entries == 0 {
		return release.Errorf(release.Invalid, "layer: the archive holds no files (%s), want at least one", info.Layout.found())
	}
	if len(runtimes) == 0 {
		return info.Layout.checkAny()
	}
	for _, runtime := range runtimes {
		if err := info.Layout.checkRuntime(runtime); err != nil {
			return err
		}
	}
	return nil
}

// CheckFunction judges an archive that becomes a function's code.
func CheckFunction(info Info) error {
	if info.Entries == 0 {
		return release.Errorf(release.Invalid, "function code: the archive holds no files (%s), want at least one", info.Layout.found())
	}
	return nil
}

// checkRuntime judges the layout for one runtime.
func (l Layout) checkRuntime(runtime string) error {
	for _, f := range families {
		match := f.name.FindStringSubmatch(runtime)
		if match == nil {
			continue
		}
		w := f.want(match[1])
		if slices.ContainsFunc(l.Folders, w.accepts) {
			return nil
		}
		return release.Errorf(release.Invalid, "layer for runtime %q: want files under %s; %s", runtime, w.example, l.found()).
			WithRemedy("%s", l.remedy(w))
	}
	return nil
}

// checkAny judges a layer that is declared for no runtime.
func (l Layout) checkAny() error {
	for _, folder := range l.Folders {
		top, _, _ := strings.Cut(folder, "/")
		if slices.Contains(knownFolders, top) {
			return nil
		}
	}
	err := release.Errorf(release.Invalid, "layer: want files under at least one of %s; %s", folderList(knownFolders), l.found())
	if len(l.Nested) > 0 {
		return err.WithRemedy("%s", unwrap(l.Nested[0]))
	}
	return err.WithRemedy("Move the files into the folder of their runtime, or declare a custom runtime " +
		"(such as provided.al2023) for the layer if functions read the files from /opt by themselves.")
}

// remedy is the next step after the likeliest mistake.
func (l Layout) remedy(w want) string {
	for _, nested := range l.Nested {
		if strings.HasSuffix(nested, "/"+w.folder) {
			return unwrap(nested)
		}
	}
	var others []string
	for _, folder := range l.Folders {
		if folder == w.folder || strings.HasPrefix(folder, w.folder+"/") {
			others = append(others, folder)
		}
	}
	if len(others) > 0 {
		return fmt.Sprintf("Files are only in %s, where this runtime does not look: build the layer for it, or leave the runtime out of the layer's runtimes.",
			folderList(others))
	}
	if slices.Contains(l.Top, w.folder+"/") {
		return fmt.Sprintf("The folder %q is there and holds no files: was the build step that fills it left out?", w.folder+"/")
	}
	return fmt.Sprintf("Put the packages under %s instead of at the top; if the layer holds only bin/, lib/ or extensions/, leave its runtimes out.", w.example)
}

// unwrap is the remedy for a folder that is one level too deep.
func unwrap(nested string) string {
	outer, inner, _ := strings.Cut(nested, "/")
	return fmt.Sprintf("The folder %q is inside of %q: archive what is in %q, not the folder itself.", inner+"/", outer+"/", outer+"/")
}

// found says what is at the top.
func (l Layout) found() string {
	if l.TopCount == 0 {
		return "found nothing at the top"
	}
	text := fmt.Sprintf("found at the top: %s", quotedList(l.Top))
	if more := l.TopCount - len(l.Top); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// folderList names folders, each with a slash at its end.
func folderList(folders []string) string {
	slashed := make([]string, len(folders))
	for i, folder := range folders {
		slashed[i] = folder + "/"
	}
	return quotedList(slashed)
}

// quotedList is names for a message.
func quotedList(names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = quoted(name)
	}
	return strings.Join(texts, ", ")
}
