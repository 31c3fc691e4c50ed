package ledger

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"github.com/tagboat/tagboat/internal/release"
)

// stagedCode is what is known of one content in the staging bucket of a region.
type stagedCode struct {
	// Object is the version that is told to who asks.
	release.Object
	// Others are further versions of the same bytes: two that staged at the same
	// time, or one that was about to be deleted when the content came again.
	Others []release.Object `json:"others,omitempty"`
	// Purposes are what it was staged for.
	Purposes []string `json:"for,omitempty"`
	// Retired is set before its versions are deleted, and stays until it is staged anew.
	Retired *retirement `json:"retired,omitempty"`
	// Gone are the last versions that were deleted. A task that comes late, of a
	// release that has ended, must not make one of them known again.
	Gone []string `json:"gone,omitempty"`
}

// maxGone is how many deleted versions of a content are remembered.
const maxGone = 100

// versions are those that may be there.
func (c *stagedCode) versions() []release.Object {
	all := append([]release.Object{c.Object}, c.Others...)
	return slices.DeleteFunc(all, func(o release.Object) bool { return slices.Contains(c.Gone, o.VersionID) })
}

// has tells whether a version is known and may be there.
func (c *stagedCode) has(object release.Object) bool {
	return slices.ContainsFunc(c.versions(), func(o release.Object) bool { return o.VersionID == object.VersionID })
}

// doomed tells whether a version is deleted, or about to be.
func (c *stagedCode) doomed(object release.Object) bool {
	return slices.Contains(c.Gone, object.VersionID) || c.Retired != nil && c.has(object)
}

func codeKey(app, region, codeSHA256 string) Key {
	return Key{"code/" + joined(app, region), joined(codeSHA256)}
}

// StagedCode finds the staged copy of a content in a region, by Lambda's
// CodeSha256. One that is retired is not found.
func (l *Ledger) StagedCode(ctx context.Context, app, region, codeSHA256 string) (object release.Object, found bool, err error) {
	doc, item, err := load[stagedCode](ctx, l, codeKey(app, region, codeSHA256))
	if err != nil || item.Version == 0 || doc.Retired != nil {
		return release.Object{}, false, err
	}
	return doc.Object, true, nil
}

// CodeRetired tells whether what lies in the bucket of a content must not be
// used: it is about to be deleted. Whoever stages the content puts it anew then.
func (l *Ledger) CodeRetired(ctx context.Context, app, region, codeSHA256 string) (bool, error) {
	doc, _, err := load[stagedCode](ctx, l, codeKey(app, region, codeSHA256))
	return doc.Retired != nil, err
}

// PutStagedCode records a staged copy and what it is for. The error is of kind
// [release.Transient] if that copy is being deleted, which was not so a moment
// ago: staging again puts another.
func (l *Ledger) PutStagedCode(ctx context.Context, app, region, codeSHA256 string, object release.Object, purpose string) error {
	_, err := edit(ctx, l, codeKey(app, region, codeSHA256), func(doc *stagedCode, found bool) error {
		switch {
		case !found:
			doc.Object = object
		case doc.doomed(object):
			return release.Errorf(release.Transient, "s3://%s/%s (version %s) is being deleted: it has to be staged again", object.Bucket, object.Key, object.VersionID)
		case doc.Retired != nil:
			doc.Others = doc.versions()
			doc.Object, doc.Retired = object, nil
		case !doc.has(object):
			doc.Others = append(doc.Others, object)
		}
		if !slices.Contains(doc.Purposes, purpose) {
			doc.Purposes = append(doc.Purposes, purpose)
		}
		return nil
	})
	return err
}

// StagedFor reads which contents of an app are staged in a region, by Lambda's
// CodeSha256, with what each was staged for. What was deleted is not among them.
func (l *Ledger) StagedFor(ctx context.Context, app, region string) (map[string][]string, error) {
	items, err := l.table.Query(ctx, codeKey(app, region, "-").Partition, "", Page{})
	if err != nil {
		return nil, err
	}
	staged := make(map[string][]string, len(items))
	for _, item := range items {
		var doc stagedCode
		if err := decode(item, &doc); err != nil {
			return nil, err
		}
		digest, err := url.PathUnescape(item.Sort)
		if err != nil {
			return nil, release.Errorf(release.Internal, "document %q: %w", item.Key, err)
		}
		if len(doc.versions()) > 0 {
			staged[digest] = doc.Purposes
		}
	}
	return staged, nil
}

// RetireStagedCode makes a content one whose copies nobody uses any more, and
// answers those: they may be deleted once it is known that nobody began to use
// them before. There are none if another release has retired it a short while
// ago and is at it.
func (l *Ledger) RetireStagedCode(ctx context.Context, app, region, codeSHA256, by string) ([]release.Object, error) {
	now := l.clock.Now()
	doc, err := edit(ctx, l, codeKey(app, region, codeSHA256), func(doc *stagedCode, found bool) error {
		if !found || len(doc.versions()) == 0 || doc.Retired.busy(by, now) {
			return errKept
		}
		doc.Retired = &retirement{By: by, At: now, Again: doc.Retired != nil}
		return nil
	})
	if err != nil {
		if errors.Is(err, errKept) {
			err = nil
		}
		return nil, err
	}
	return doc.versions(), nil
}

// RestoreStagedCode ends the retirement that a release began, of a content whose
// copies are not deleted after all. Where an earlier try may have deleted them,
// it stays: the content is staged anew when it is needed.
func (l *Ledger) RestoreStagedCode(ctx context.Context, app, region, codeSHA256, by string) error {
	_, err := edit(ctx, l, codeKey(app, region, codeSHA256), func(doc *stagedCode, _ bool) error {
		if doc.Retired != nil && doc.Retired.By == by && !doc.Retired.Again {
			doc.Retired = nil
		}
		return nil
	})
	return err
}

// ForgetStagedCode records that copies of a content were deleted. Those that were
// put meanwhile stay known.
func (l *Ledger) ForgetStagedCode(ctx context.Context, app, region, codeSHA256 string, deleted []release.Object) error {
	_, err := edit(ctx, l, codeKey(app, region, codeSHA256), func(doc *stagedCode, _ bool) error {
		for _, object := range deleted {
			if !slices.Contains(doc.Gone, object.VersionID) {
				doc.Gone = append(doc.Gone, object.VersionID)
			}
		}
		doc.Others = slices.DeleteFunc(doc.Others, func(o release.Object) bool { return slices.Contains(doc.Gone, o.VersionID) })
		doc.Gone = doc.Gone[max(0, len(doc.Gone)-maxGone):]
		return nil
	})
	return err
}
