package archive

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/tagboat/tagboat/internal/release"
)

// readError gives an error met while reading its kind: what the source itself
// says keeps its kind or is transient, everything else is a corrupt archive.
func readError(what string, err error) error {
	var known *release.Error
	if errors.As(err, &known) {
		return err
	}
	var failure *readFailure
	if errors.As(err, &failure) {
		return release.Errorf(release.Transient, "%s: cannot be read: %w", what, failure.err)
	}
	return release.Errorf(release.Invalid, "%s: is %s: %w", what, defect(err), err)
}

// entryError is readError for one entry of a zip.
func entryError(f *zip.File, err error) error {
	return readError(fmt.Sprintf("%s: entry %s", subject, quoted(f.Name)), err)
}

// defect says in a word what is wrong with an archive.
func defect(err error) string {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "truncated"
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, gzip.ErrChecksum):
		return "corrupt, its content does not have the checksum that it should have"
	case errors.Is(err, gzip.ErrHeader):
		return "not gzipped, or corrupt"
	case errors.Is(err, zip.ErrFormat), errors.Is(err, tar.ErrHeader), errors.As(err, &corrupt):
		return "corrupt, or of another format"
	default:
		return "unreadable"
	}
}
