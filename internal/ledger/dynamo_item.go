package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// The attributes of a document in DynamoDB.
const (
	attrPartition = "pk"
	attrSort      = "sk"
	attrVersion   = "version"
	attrWrite     = "write"
	attrExpires   = "expires"
	// Exactly one of these is there: the JSON text, or the gzip of a long one.
	attrBody   = "body"
	attrPacked = "packed"
)

// packFrom is the size from which a body is compressed: an item has at most
// 400 KB (DynamoDB quotas), and the results of many steps at a site come to more.
const packFrom = 32 << 10

// maxBody is the largest body that is written and read, in bytes: what 400 KB of
// gzip can unpack to is more than a Lambda has memory for.
const maxBody = 32 << 20

// attributes is a document as DynamoDB has it.
type attributes map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func keyAttributes(key Key) attributes {
	return attributes{attrPartition: text(key.Partition), attrSort: text(key.Sort)}
}

// itemAttributes is the document with its next version.
func itemAttributes(item Item, write string) (attributes, error) {
	attrs := keyAttributes(item.Key)
	attrs[attrVersion] = number(item.Version + 1)
	attrs[attrWrite] = text(write)
	if !item.Expires.IsZero() {
		attrs[attrExpires] = number(item.Expires.Unix())
	}
	if len(item.Body) < packFrom {
		attrs[attrBody] = text(string(item.Body))
		return attrs, nil
	}
	if len(item.Body) > maxBody {
		return nil, release.Errorf(release.Internal, "document %q has %d bytes, want at most %d", item.Key, len(item.Body), maxBody)
	}
	packed, err := pack(item.Body)
	if err != nil {
		return nil, release.Errorf(release.Internal, "document %q cannot be compressed: %w", item.Key, err)
	}
	attrs[attrPacked] = &types.AttributeValueMemberB{Value: packed}
	return attrs, nil
}

// item reads a document back.
func (a attributes) item() (Item, error) {
	item := Item{Key: Key{a.text(attrPartition), a.text(attrSort)}}
	var err error
	if item.Version, err = a.number(attrVersion); err != nil {
		return Item{}, err
	}
	if _, found := a[attrExpires]; found {
		seconds, err := a.number(attrExpires)
		if err != nil {
			return Item{}, err
		}
		item.Expires = time.Unix(seconds, 0).UTC()
	}
	item.Body = []byte(a.text(attrBody))
	if packed, found := a[attrPacked].(*types.AttributeValueMemberB); found {
		if item.Body, err = unpack(packed.Value); err != nil {
			return Item{}, release.Errorf(release.Internal, "document %q is damaged: %w", item.Key, err)
		}
	}
	return item, nil
}

// text is empty if there is no such attribute of that type.
func (a attributes) text(name string) string {
	value, ok := a[name].(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return value.Value
}

func (a attributes) number(name string) (int64, error) {
	value, ok := a[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, a.badNumber(name, errors.New("there is none"))
	}
	n, err := strconv.ParseInt(value.Value, 10, 64)
	if err != nil {
		return 0, a.badNumber(name, err)
	}
	return n, nil
}

func (a attributes) badNumber(name string, cause error) error {
	return release.Errorf(release.Internal, "document %q is not one of Tagboat's: attribute %q: want a whole number: %w",
		Key{a.text(attrPartition), a.text(attrSort)}, name, cause)
}

func pack(body []byte) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return packed.Bytes(), err
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("it unpacks to more than %d bytes", maxBody)
	}
	return body, err
}

// failure is an error of the service in the words of the domain.
func (t *DynamoTable) failure(doing string, key Key, err error) error {
	kind := dynamoKind(err)
	var missing *types.ResourceNotFoundException
	failed := release.Errorf(kind, "%s document %q in table %q: %w", doing, key, t.name, awserr.Brief(err))
	if errors.As(err, &missing) {
		return failed.WithRemedy("Check that table %q exists in this account and region.", t.name)
	}
	return failed
}

// dynamoKind sorts the errors of DynamoDB: what its client would try again (throttling, the
// service's own faults, the network) is transient.
func dynamoKind(err error) release.Kind {
	var busy *types.TransactionConflictException
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &busy):
		return release.Transient
	case retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary:
		return release.Transient
	case !errors.As(err, &api):
		return release.Internal
	case api.ErrorCode() == "AccessDeniedException":
		return release.Denied
	case api.ErrorFault() == smithy.FaultServer:
		return release.Transient
	}
	return release.Internal
}
