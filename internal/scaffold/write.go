package scaffold

import (
	"errors"
	"io/fs"
	"os"

	"github.com/tagboat/tagboat/internal/release"
)

// File is a file to write.
type File struct {
	Path string
	Text []byte
}

// Write writes new files: all or none. None is there yet, or nothing is written.
func Write(files ...File) error {
	var made []string
	for _, f := range files {
		created, err := write(f)
		if created {
			made = append(made, f.Path)
		}
		if err == nil {
			continue
		}
		for _, path := range made {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	return nil
}

func write(f File) (created bool, err error) {
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, release.Errorf(release.Conflict, "%s exists already, and nothing was written", f.Path).
			WithRemedy("Move it away, or leave it out with --manifest-only or --registry-only.")
	case err != nil:
		return false, release.Errorf(release.Invalid, "%w", err).WithRemedy("Name a directory that you may write to.")
	}
	_, err = file.Write(f.Text)
	return true, errors.Join(err, file.Close())
}
