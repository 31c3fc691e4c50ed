package archive

import (
	"archive/zip"
	"fmt"
	"io/fs"
)

// headerMode is the entry's type and permissions, or what is wrong with its header.
func headerMode(f *zip.File) (fs.FileMode, error) {
	const encrypted, strong, masked = 1 << 0, 1 << 6, 1 << 13
	if f.Flags&(encrypted|strong|masked) != 0 {
		return 0, fmt.Errorf("is encrypted, want plain content")
	}
	if f.Method != zip.Store && f.Method != zip.Deflate {
		return 0, fmt.Errorf("has the compression method %s, want store (0) or deflate (8)", methodName(f.Method))
	}
	mode := unixMode(f)
	isDirName := len(f.Name) > 0 && f.Name[len(f.Name)-1] == '/'
	switch mode.Type() {
	case 0, fs.ModeSymlink:
		if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			return 0, fmt.Errorf("has the mode %v, want no setuid and no setgid", mode)
		}
		if mode.Type() == fs.ModeSymlink && f.UncompressedSize64 > maxPath {
			return 0, fmt.Errorf("is a symbolic link of %d bytes, want at most %d", f.UncompressedSize64, maxPath)
		}
		return mode.Type() | mode.Perm(), nil
	case fs.ModeDir:
		if !isDirName {
			return 0, fmt.Errorf(`is a directory by its mode, want a "/" at the end of its name`)
		}
		if f.UncompressedSize64 != 0 {
			return 0, fmt.Errorf("is a directory with %d bytes of content, want none", f.UncompressedSize64)
		}
		return fs.ModeDir | mode.Perm(), nil
	default:
		return 0, fmt.Errorf("has the mode %v, want a file, a directory or a symbolic link", mode)
	}
}

// unixMode is the Unix mode, whichever system the entry says it was made on:
// programs that unpack on Unix look there too. Without one it is the usual mode.
func unixMode(f *zip.File) fs.FileMode {
	const unix, unixShift = 3, 16
	isDir := len(f.Name) > 0 && f.Name[len(f.Name)-1] == '/'
	if f.ExternalAttrs>>unixShift == 0 {
		if isDir {
			return fs.ModeDir | 0o755
		}
		return 0o644
	}
	header := zip.FileHeader{Name: f.Name, CreatorVersion: unix << 8, ExternalAttrs: f.ExternalAttrs}
	return header.Mode()
}

// methodName is a compression method with its number, for a message.
func methodName(method uint16) string {
	names := map[uint16]string{1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz"}
	if name, ok := names[method]; ok {
		return fmt.Sprintf("%s (%d)", name, method)
	}
	return fmt.Sprint(method)
}
