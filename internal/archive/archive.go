// Package archive makes and checks the zips that become layers and function
// code.
//
// [FromTarball] turns a directory of a repository, as GitHub serves it in a
// gzipped tarball, into a zip. The same tree gives the same bytes on every
// machine: entries sorted by name, one timestamp, modes 0644 and 0755 only, no
// extra fields, one compression level. [Inspect] checks any zip before it is
// used, ours or somebody else's, without trusting what its headers claim.
// [CheckLayer] and [CheckFunction] then judge what was found against what
// Lambda does with it.
//
// Both ways end in an [Info]. Its TreeDigest identifies the unpacked tree,
// whatever tool packed it: compressed bytes may change with the release of Go
// that made them, and the digest does not. It is
//
//	sha256("tagboat tree 1\n" + for each entry, sorted by name:
//	       name NUL mode NUL (hex sha256 of the content | link target) NUL)
//
// with the mode in octal as Unix has it, without its write bits: Lambda mounts
// code and layers read-only. A directory counts if nothing is in it, or if not
// everybody may read and enter it.
//
// Memory stays bounded by the number of entries, never by their sizes: contents
// are streamed, and what has to wait for its turn waits in a temporary file.
package archive

import (
	"encoding/base64"
	"encoding/hex"
)

const (
	// MaxUnzipped is Lambda's quota for a function's code together with all of
	// its layers, 250 MB unzipped. Lambda counts in MiB: it refuses with
	// "Unzipped size must be smaller than 262144000 bytes".
	// Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	MaxUnzipped int64 = 262_144_000
	// MaxEntries is how many entries a zip may have unless [Limits] says otherwise.
	MaxEntries = 100_000
)

// Limits are what an archive may hold at most. A zero field means the default.
type Limits struct {
	// Unzipped is the most bytes of content; the default is [MaxUnzipped].
	Unzipped int64
	// Entries is the most entries, directories included; the default is [MaxEntries].
	Entries int
}

// orDefault fills in what was left out.
func (l Limits) orDefault() Limits {
	if l.Unzipped == 0 {
		l.Unzipped = MaxUnzipped
	}
	if l.Entries == 0 {
		l.Entries = MaxEntries
	}
	return l
}

// Info says what a checked archive is and holds. It is small and survives JSON,
// so that the checks of this package can be made later than the reading.
type Info struct {
	// SHA256 is the digest of the zip's bytes, in hex.
	SHA256 string `json:"sha256"`
	// Size is the zip's size in bytes.
	Size int64 `json:"size"`
	// UnzippedSize is the sum of the bytes that were really in the entries.
	UnzippedSize int64 `json:"unzipped_size"`
	// Entries counts files and symbolic links, not directories.
	Entries int `json:"entries"`
	// TreeDigest identifies the unpacked tree, in hex; see the package's comment.
	TreeDigest string `json:"tree_digest"`
	// Layout is what [CheckLayer] needs to know.
	Layout Layout `json:"layout"`
}

// SHA256Base64 is SHA256 in the form of Lambda's CodeSha256; empty if SHA256 is
// not hex.
// Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
func (i Info) SHA256Base64() string {
	sum, err := hex.DecodeString(i.SHA256)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(sum)
}
