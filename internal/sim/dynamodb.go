package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Limits of DynamoDB. Source: Amazon DynamoDB Developer Guide, "Quotas" and "Query".
const (
	maxItem   = 400 << 10
	queryPage = 1 << 20 // bytes read by one Query
)

// The key of every table: two strings.
const (
	partitionKey = "pk"
	sortKey      = "sk"
)

// record is an item of a table.
type record map[string]types.AttributeValue

// table is a DynamoDB table with the keys pk and sk.
type table struct{ items map[string]record }

// CreateTable makes a table whose partition key pk and sort key sk are strings.
func (c *Cloud) CreateTable(account, region, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.region(account, region).tables[name] = &table{items: map[string]record{}}
}

// DynamoDBClient calls DynamoDB in one region.
type DynamoDBClient struct {
	session *Session
	region  string
}

// DynamoDB is the session's client for DynamoDB in a region.
func (s *Session) DynamoDB(region string) *DynamoDBClient { return &DynamoDBClient{s, region} }

func (c *DynamoDBClient) request(action string, table *string) request {
	return request{
		session: c.session, service: dynamodbService, action: action, region: c.region, permission: "dynamodb:" + action,
		resource: "arn:aws:dynamodb:" + c.region + ":" + c.session.account + ":table/" + value(table),
	}
}

func (c *DynamoDBClient) table(name *string) (*table, error) {
	if t, ok := c.session.cloud.region(c.session.account, c.region).tables[value(name)]; ok {
		return t, nil
	}
	return nil, &types.ResourceNotFoundException{Message: ptr("Requested resource not found: Table: " + value(name) + " not found")}
}

func invalidItem(format string, args ...any) error {
	return apiError("ValidationException", fmt.Sprintf(format, args...))
}

// keyOf is the key of an item as one string that sorts like the pair.
func keyOf(item record) (string, error) {
	var parts [2]string
	for i, name := range []string{partitionKey, sortKey} {
		s, ok := item[name].(*types.AttributeValueMemberS)
		if !ok || s.Value == "" {
			return "", invalidItem("One or more parameter values are not valid. The AttributeValue for a key attribute cannot be missing, of another type or an empty string value. Key: %s", name)
		}
		parts[i] = s.Value
	}
	return parts[0] + "\x00" + parts[1], nil
}

// onlyKey refuses a key with other attributes than those of the key.
func onlyKey(key record) (string, error) {
	if len(key) != 2 {
		return "", invalidItem("The provided key element does not match the schema")
	}
	return keyOf(key)
}

// GetItem reads an item; reads are always consistent here.
func (c *DynamoDBClient) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return do(ctx, c.request("GetItem", in.TableName), func() (*dynamodb.GetItemOutput, error) {
		t, err := c.table(in.TableName)
		if err != nil {
			return nil, err
		}
		key, err := onlyKey(in.Key)
		if err != nil {
			return nil, err
		}
		return &dynamodb.GetItemOutput{Item: cloneItem(t.items[key])}, nil
	})
}

// PutItem writes a whole item if its condition holds.
func (c *DynamoDBClient) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return do(ctx, c.request("PutItem", in.TableName), func() (*dynamodb.PutItemOutput, error) {
		t, err := c.table(in.TableName)
		if err != nil {
			return nil, err
		}
		key, err := keyOf(in.Item)
		if err != nil {
			return nil, err
		}
		if sizeOf(in.Item) > maxItem {
			return nil, invalidItem("Item size has exceeded the maximum allowed size")
		}
		e := expression{in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues}
		old := t.items[key]
		if err := e.require(old, in.ReturnValuesOnConditionCheckFailure); err != nil {
			return nil, err
		}
		t.items[key] = cloneItem(in.Item)
		out := &dynamodb.PutItemOutput{}
		if in.ReturnValues == types.ReturnValueAllOld {
			out.Attributes = cloneItem(old)
		}
		return out, nil
	})
}

// DeleteItem deletes an item if its condition holds; one that is not there counts as deleted.
func (c *DynamoDBClient) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return do(ctx, c.request("DeleteItem", in.TableName), func() (*dynamodb.DeleteItemOutput, error) {
		t, err := c.table(in.TableName)
		if err != nil {
			return nil, err
		}
		key, err := onlyKey(in.Key)
		if err != nil {
			return nil, err
		}
		e := expression{in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues}
		old := t.items[key]
		if err := e.require(old, in.ReturnValuesOnConditionCheckFailure); err != nil {
			return nil, err
		}
		delete(t.items, key)
		out := &dynamodb.DeleteItemOutput{}
		if in.ReturnValues == types.ReturnValueAllOld {
			out.Attributes = cloneItem(old)
		}
		return out, nil
	})
}

// Query reads the items of one partition in the order of their sort keys, a page at a time.
func (c *DynamoDBClient) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return do(ctx, c.request("Query", in.TableName), func() (*dynamodb.QueryOutput, error) {
		t, err := c.table(in.TableName)
		if err != nil {
			return nil, err
		}
		if in.IndexName != nil || in.FilterExpression != nil || in.ProjectionExpression != nil {
			return nil, invalidItem("indexes, filters and projections are not simulated")
		}
		matching, err := t.matching(in)
		if err != nil {
			return nil, err
		}
		return pageOfItems(matching, in.Limit), nil
	})
}

// matching are the items that a query selects, after its start key, in its order.
func (t *table) matching(in *dynamodb.QueryInput) ([]record, error) {
	e := expression{in.KeyConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues}
	if err := e.checkKeyCondition(); err != nil {
		return nil, err
	}
	var keys []string
	for key, item := range t.items {
		holds, err := e.holds(item)
		if err != nil {
			return nil, err
		}
		if holds {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	start, err := e.startKey(in.ExclusiveStartKey)
	if err != nil {
		return nil, err
	}
	backward := in.ScanIndexForward != nil && !*in.ScanIndexForward
	if backward {
		slices.Reverse(keys)
	}
	var items []record
	for _, key := range keys {
		order := strings.Compare(key, start)
		if start == "" || order > 0 && !backward || order < 0 && backward {
			items = append(items, t.items[key])
		}
	}
	return items, nil
}

// pageOfItems is as much as one answer holds. The key to go on from is told whenever a
// limit was reached, also if nothing follows.
func pageOfItems(items []record, limit *int32) *dynamodb.QueryOutput {
	out := &dynamodb.QueryOutput{}
	size := 0
	for _, item := range items {
		out.Items = append(out.Items, cloneItem(item))
		size += sizeOf(item)
		if limit != nil && len(out.Items) == int(*limit) || size >= queryPage {
			out.LastEvaluatedKey = cloneItem(record{partitionKey: item[partitionKey], sortKey: item[sortKey]})
			break
		}
	}
	out.Count, out.ScannedCount = int32(len(out.Items)), int32(len(out.Items))
	return out
}

// cloneItem is a deep copy of an item; nil of nil.
func cloneItem(item record) map[string]types.AttributeValue {
	if item == nil {
		return nil
	}
	copied := make(map[string]types.AttributeValue, len(item))
	for name, v := range item {
		copied[name] = cloneAttribute(v)
	}
	return copied
}

func cloneAttribute(v types.AttributeValue) types.AttributeValue {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return &types.AttributeValueMemberS{Value: v.Value}
	case *types.AttributeValueMemberN:
		return &types.AttributeValueMemberN{Value: v.Value}
	case *types.AttributeValueMemberB:
		return &types.AttributeValueMemberB{Value: slices.Clone(v.Value)}
	case *types.AttributeValueMemberBOOL:
		return &types.AttributeValueMemberBOOL{Value: v.Value}
	case *types.AttributeValueMemberSS:
		return &types.AttributeValueMemberSS{Value: slices.Clone(v.Value)}
	case *types.AttributeValueMemberM:
		return &types.AttributeValueMemberM{Value: cloneItem(v.Value)}
	case *types.AttributeValueMemberL:
		list := make([]types.AttributeValue, len(v.Value))
		for i, e := range v.Value {
			list[i] = cloneAttribute(e)
		}
		return &types.AttributeValueMemberL{Value: list}
	}
	return v
}

// sizeOf is about the size by which DynamoDB measures an item.
func sizeOf(item record) int {
	size := 0
	for name, v := range item {
		size += len(name) + sizeOfAttribute(v)
	}
	return size
}

func sizeOfAttribute(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 1
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberSS:
		return len(strings.Join(v.Value, ""))
	case *types.AttributeValueMemberM:
		return sizeOf(v.Value) + 3
	case *types.AttributeValueMemberL:
		size := 3
		for _, e := range v.Value {
			size += sizeOfAttribute(e) + 1
		}
		return size
	}
	return 1
}
