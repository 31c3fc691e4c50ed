package sim

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/smithy-go"
)

// BucketOptions is what a bucket is made with.
type BucketOptions struct {
	// Versioned keeps every version of an object.
	Versioned bool
	// EventBridge sends an event for every object that is created to [Cloud.OnEvent].
	EventBridge bool
	// Policy is a policy document in JSON; empty for none.
	Policy string
}

// bucket is an S3 bucket. Its name is unique in the whole cloud.
type bucket struct {
	account, region, name  string
	versioned, eventBridge bool
	policy                 *policy
	objects                map[string][]*object // by key, oldest version first
	uploads                map[string]*upload   // by id
}

// object is one version of an object, or a delete marker.
type object struct {
	key, versionID string // versionID is "null" without versioning
	body           []byte
	etag           string // with its quotes
	checksum       string // SHA-256 in base64, if the uploader asked for one
	contentType    *string
	metadata       map[string]string
	modified       time.Time
	deleteMarker   bool
}

// S3Client calls S3 in one region.
type S3Client struct {
	session *Session
	region  string
}

// S3 is the session's client for S3 in a region.
func (s *Session) S3(region string) *S3Client { return &S3Client{s, region} }

// CreateBucket makes a bucket.
func (c *Cloud) CreateBucket(account, region, name string, options BucketOptions) error {
	made := &bucket{
		account: account, region: region, name: name, versioned: options.Versioned, eventBridge: options.EventBridge,
		objects: map[string][]*object{}, uploads: map[string]*upload{},
	}
	if options.Policy != "" {
		p, err := parsePolicy(options.Policy)
		if err != nil {
			return fmt.Errorf("bucket %q: %w", name, err)
		}
		made.policy = p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.buckets[name]; ok {
		return fmt.Errorf("bucket %q: %w", name, apiError("BucketAlreadyExists", "The requested bucket name is not available."))
	}
	c.buckets[name] = made
	return nil
}

func bucketARN(name string) string      { return "arn:aws:s3:::" + name }
func objectARN(name, key string) string { return bucketARN(name) + "/" + key }

// request is a call about an object, or about the bucket if key is empty. The method
// checks permissions by itself, since the bucket's policy takes part.
func (c *S3Client) request(action, bucket, key string) request {
	resource := bucketARN(bucket)
	if key != "" {
		resource = objectARN(bucket, key)
	}
	return request{session: c.session, service: s3Service, action: action, region: c.region, resource: resource}
}

// bucket finds a bucket of the client's region; the cloud's lock is held.
func (r request) bucket(name string) (*bucket, error) {
	b, ok := r.session.cloud.buckets[name]
	if !ok {
		return nil, apiError("NoSuchBucket", "The specified bucket does not exist")
	}
	if b.region != r.region {
		return nil, apiError("PermanentRedirect",
			"The bucket is in this region: "+b.region+". Please use this region to retry the request")
	}
	return b, nil
}

// permitted checks a permission on an object of the bucket, or on the bucket if key is empty.
func (r request) permitted(b *bucket, permission, key, prefix string) error {
	resource := bucketARN(b.name)
	if key != "" {
		resource = objectARN(b.name, key)
	}
	sub := r.session.subject(permission, resource)
	sub.prefix = prefix
	return r.authorizeOn(sub, b.account, b.policy)
}

// readable is a version of an object that the caller may read; the last one if version is nil.
func (r request) readable(bucketName, key string, version *string) (*object, error) {
	b, err := r.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	permission := "s3:GetObject"
	if version != nil {
		permission = "s3:GetObjectVersion"
	}
	if err := r.permitted(b, permission, key, ""); err != nil {
		return nil, err
	}
	o, err := b.find(key, version)
	if err == nil {
		return o, nil
	}
	// Source: Amazon S3 API Reference, GetObject: without s3:ListBucket, what does not
	// exist is answered with 403.
	if listErr := r.permitted(b, "s3:ListBucket", "", ""); listErr != nil {
		return nil, listErr
	}
	return nil, err
}

// find is a version of an object; the last one if version is nil.
func (b *bucket) find(key string, version *string) (*object, error) {
	if version == nil {
		if o := b.current(key); o != nil {
			return o, nil
		}
		return nil, apiError("NoSuchKey", "The specified key does not exist.")
	}
	for _, o := range b.objects[key] {
		if o.versionID != *version {
			continue
		}
		if o.deleteMarker {
			return nil, apiError("MethodNotAllowed", "The specified method is not allowed against this resource.")
		}
		return o, nil
	}
	return nil, apiError("NoSuchVersion", "The specified version does not exist.")
}

// current is the last version of an object, or nil if there is none or it is deleted.
func (b *bucket) current(key string) *object {
	versions := b.objects[key]
	if len(versions) == 0 || versions[len(versions)-1].deleteMarker {
		return nil
	}
	return versions[len(versions)-1]
}

// store keeps an object as the last version of its key; c.mu is held.
func (c *Cloud) store(b *bucket, o *object) {
	o.modified = c.clock.Now()
	o.versionID = "null"
	if !b.versioned {
		b.objects[o.key] = []*object{o}
		return
	}
	o.versionID = fmt.Sprintf("simversion%022d", c.next())
	b.objects[o.key] = append(b.objects[o.key], o)
}

// version is the VersionId of an answer: nil where the bucket keeps no versions.
func (b *bucket) version(o *object) *string {
	if !b.versioned {
		return nil
	}
	return ptr(o.versionID)
}

// checkWrite enforces the conditions of a write on what is there.
//
// Source: Amazon S3 User Guide, "Conditional writes".
func (b *bucket) checkWrite(key string, ifMatch, ifNoneMatch *string) error {
	present := b.current(key)
	switch {
	case ifNoneMatch != nil && *ifNoneMatch != "*":
		return apiError("NotImplemented", "A header you provided implies functionality that is not implemented")
	case ifNoneMatch != nil && present != nil:
		return preconditionFailed()
	case ifMatch != nil && present == nil:
		return apiError("NoSuchKey", "The specified key does not exist.")
	case ifMatch != nil && unquoted(*ifMatch) != unquoted(present.etag):
		return preconditionFailed()
	}
	return nil
}

func preconditionFailed() error {
	return apiError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

// deleteVersion removes one version of an object for good.
func (b *bucket) deleteVersion(key, version string) (removed *object) {
	b.objects[key] = slices.DeleteFunc(b.objects[key], func(o *object) bool {
		if o.versionID == version {
			removed = o
		}
		return o.versionID == version
	})
	if len(b.objects[key]) == 0 {
		delete(b.objects, key)
	}
	return removed
}

// etagOf is the ETag of a body that was put in one piece, with its quotes.
func etagOf(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func unquoted(etag string) string {
	if len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		return etag[1 : len(etag)-1]
	}
	return etag
}

// codeOf is the code of an API error, or empty.
func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}
