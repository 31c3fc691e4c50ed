package sim

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

// Archive is a zip that was uploaded as a function's code or as a layer.
type Archive struct {
	data     []byte
	digest   [sha256.Size]byte
	unzipped int64 // real bytes, counted while reading, at most maxUnzipped+1
	files    *zip.Reader
}

// Bytes is the zip itself; not to be changed.
func (a *Archive) Bytes() []byte { return a.data }

// CodeSha256 is the hash as Lambda writes it: SHA-256 in base64.
func (a *Archive) CodeSha256() string { return base64.StdEncoding.EncodeToString(a.digest[:]) }

// Names are the names of the files, sorted; directories are left out.
func (a *Archive) Names() []string {
	var names []string
	for _, f := range a.files.File {
		if !f.FileInfo().IsDir() {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// ReadFile is the content of one file.
func (a *Archive) ReadFile(name string) ([]byte, error) {
	for _, f := range a.files.File {
		if f.Name == name {
			return readEntry(f, maxUnzipped)
		}
	}
	return nil, fmt.Errorf("archive %s: no file %q", hex.EncodeToString(a.digest[:]), name)
}

// Files is the content of every file by its name.
func (a *Archive) Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range a.Names() {
		content, err := a.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[name] = content
	}
	return files, nil
}

// readArchive opens a zip and counts its real bytes.
func readArchive(data []byte, digest [sha256.Size]byte) (*Archive, error) {
	files, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	a := &Archive{data: data, digest: digest, files: files}
	for _, f := range files.File {
		n, err := countEntry(f, maxUnzipped+1-a.unzipped)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f.Name, err)
		}
		a.unzipped += n
		if a.unzipped > maxUnzipped {
			break
		}
	}
	return a, nil
}

func countEntry(f *zip.File, limit int64) (int64, error) {
	content, err := f.Open()
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(content, limit))
	return n, closing(content, err)
}

func readEntry(f *zip.File, limit int64) ([]byte, error) {
	content, err := f.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(content, limit))
	return data, closing(content, err)
}

// closing closes c and reports its error unless there is one already.
func closing(c io.Closer, err error) error {
	if closeErr := c.Close(); err == nil {
		return closeErr
	}
	return err
}

// archive is the archive with these bytes, which nobody changes, opened once for the
// whole cloud; c.mu is held.
func (c *Cloud) archive(data []byte) (*Archive, error) {
	digest := sha256.Sum256(data)
	key := hex.EncodeToString(digest[:])
	if known, ok := c.archives[key]; ok {
		return known, nil
	}
	a, err := readArchive(data, digest)
	if err != nil {
		return nil, err
	}
	c.archives[key] = a
	return a, nil
}
