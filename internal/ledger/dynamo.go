package ledger

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// DynamoAPI is what [DynamoTable] needs of the client of DynamoDB.
type DynamoAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

var _ DynamoAPI = (*dynamodb.Client)(nil)

// DynamoTable is a [Table] in DynamoDB. The table's keys are the strings pk
// (partition) and sk (sort); its time-to-live attribute is expires. All reads
// are consistent.
type DynamoTable struct {
	api  DynamoAPI
	name string
}

var _ Table = (*DynamoTable)(nil)

// NewDynamoTable makes a table of one that exists.
func NewDynamoTable(api DynamoAPI, name string) *DynamoTable {
	return &DynamoTable{api: api, name: name}
}

// Get reads a document.
func (t *DynamoTable) Get(ctx context.Context, key Key) (Item, error) {
	if err := key.Check(); err != nil {
		return Item{}, err
	}
	attrs, err := t.read(ctx, key)
	if err != nil {
		return Item{}, err
	}
	if attrs == nil {
		return Item{}, key.Missing()
	}
	return attrs.item()
}

// read is nil if there is no such document.
func (t *DynamoTable) read(ctx context.Context, key Key) (attributes, error) {
	out, err := t.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: keyAttributes(key), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, t.failure("reading", key, err)
	}
	if len(out.Item) == 0 {
		return nil, nil
	}
	return out.Item, nil
}

// Put writes a document of the expected version. The write carries an id of its
// own: if the answer is lost and the client tries again, the condition fails on
// our own write, which is recognised by the id.
func (t *DynamoTable) Put(ctx context.Context, item Item) error {
	if err := item.Check(); err != nil {
		return err
	}
	write := rand.Text()
	attrs, err := itemAttributes(item, write)
	if err != nil {
		return err
	}
	in := &dynamodb.PutItemInput{
		TableName: &t.name, Item: attrs,
		ConditionExpression:                 aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if item.Version > 0 {
		in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues = versionIs(item.Version)
	}
	_, err = t.api.PutItem(ctx, in)
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return t.compare(ctx, item, write, failed.Item)
	}
	if err != nil {
		return t.failure("writing", item.Key, err)
	}
	return nil
}

// compare decides on a write whose condition failed; stored is what the answer
// shows, empty where there is nothing or the service does not show it.
func (t *DynamoTable) compare(ctx context.Context, item Item, write string, stored attributes) error {
	if len(stored) == 0 {
		var err error
		if stored, err = t.read(ctx, item.Key); err != nil {
			return err
		}
	}
	if stored.text(attrWrite) == write {
		return nil
	}
	version, err := stored.number(attrVersion)
	if len(stored) > 0 && err != nil {
		return err
	}
	return item.Changed(item.Version, version)
}

// Delete removes a document of the expected version.
func (t *DynamoTable) Delete(ctx context.Context, key Key, version int64) error {
	if err := key.Check(); err != nil {
		return err
	}
	in := &dynamodb.DeleteItemInput{TableName: &t.name, Key: keyAttributes(key)}
	in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues = versionIs(version)
	_, err := t.api.DeleteItem(ctx, in)
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		if err != nil {
			return t.failure("deleting", key, err)
		}
		return nil
	}
	stored, err := t.read(ctx, key)
	if err != nil || stored == nil {
		return err // gone, perhaps by our own call whose answer was lost
	}
	got, err := stored.number(attrVersion)
	if err != nil {
		return err
	}
	return key.Changed(version, got)
}

// versionIs is the condition that a document has a version, with its names and values.
func versionIs(version int64) (*string, map[string]string, attributes) {
	return aws.String("#version = :version"), map[string]string{"#version": attrVersion},
		attributes{":version": number(version)}
}

// Query reads documents in the order of their sort keys.
func (t *DynamoTable) Query(ctx context.Context, partition, prefix string, page Page) ([]Item, error) {
	in := &dynamodb.QueryInput{TableName: &t.name, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(!page.Descending)}
	in.ExpressionAttributeValues = attributes{":pk": text(partition)}
	condition, empty := rangeCondition(prefix, page, in.ExpressionAttributeValues)
	if empty {
		return []Item{}, nil
	}
	in.KeyConditionExpression = &condition
	items := []Item{}
	for {
		if page.Limit > 0 {
			// One more than is missing: the range may begin with After itself.
			in.Limit = aws.Int32(int32(min(page.Limit-len(items)+1, 1000)))
		}
		out, err := t.api.Query(ctx, in)
		if err != nil {
			return nil, t.failure("listing", Key{partition, prefix}, err)
		}
		for _, attrs := range out.Items {
			item, err := attributes(attrs).item()
			if err != nil {
				return nil, err
			}
			if page.Includes(prefix, item.Sort) {
				items = append(items, item)
			}
			if page.Limit > 0 && len(items) == page.Limit {
				return items, nil
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return items, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// lastRune is behind every character that keys contain; see [Key.Check].
const lastRune = "\U0010FFFF"

// rangeCondition selects the sort keys of a page, adding its values. The key
// After itself may be among them: a key condition knows no open interval, and a
// start key outside of the condition is an error (DynamoDB, Query). Empty is true where no key can match.
func rangeCondition(prefix string, page Page, values attributes) (condition string, empty bool) {
	from, to := prefix, prefix+lastRune
	switch {
	case page.After == "" && prefix == "":
		return "pk = :pk", false
	case page.After == "":
		values[":prefix"] = text(prefix)
		return "pk = :pk AND begins_with(sk, :prefix)", false
	case page.Descending:
		to = min(to, page.After)
	default:
		from = max(from, page.After)
	}
	if from > to {
		return "", true
	}
	values[":to"] = text(to)
	if from == "" { // DynamoDB takes no empty string for a key
		return "pk = :pk AND sk <= :to", false
	}
	values[":from"] = text(from)
	return "pk = :pk AND sk BETWEEN :from AND :to", false
}
