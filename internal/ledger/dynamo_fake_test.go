package ledger_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// fakeDynamo is one table of DynamoDB that understands the expressions which
// the ledger sends and refuses all others.
type fakeDynamo struct {
	// twice carries every write out twice and answers with the second outcome, as
	// a client does that tries again because the first answer was lost.
	twice bool
	// hidesOld leaves the old item out of failed conditions, as some emulators do.
	hidesOld bool
	// fails is what every call answers, if not nil.
	fails error

	mu    sync.Mutex
	items map[string]map[string]types.AttributeValue
}

// fakePage is how many items a query answers at most.
const fakePage = 4

// fakeItemLimit is the size of an item that is refused.
const fakeItemLimit = 400 << 10

func (f *fakeDynamo) GetItem(_ context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return nil, f.fails
	}
	if in.ConsistentRead == nil || !*in.ConsistentRead {
		return nil, fmt.Errorf("fake: want consistent reads only")
	}
	return &dynamodb.GetItemOutput{Item: f.items[itemKey(in.Key)]}, nil
}

func (f *fakeDynamo) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	err := f.write(func() error {
		key := itemKey(in.Item)
		if err := f.check(key, *in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues,
			in.ReturnValuesOnConditionCheckFailure); err != nil {
			return err
		}
		size := 0
		for name, value := range in.Item {
			size += len(name) + len(str(value))
		}
		if size > fakeItemLimit {
			return fmt.Errorf("fake: item has %d bytes, want at most %d", size, fakeItemLimit)
		}
		f.items[key] = maps.Clone(in.Item)
		return nil
	})
	return &dynamodb.PutItemOutput{}, err
}

func (f *fakeDynamo) DeleteItem(_ context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	err := f.write(func() error {
		key := itemKey(in.Key)
		if err := f.check(key, *in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues,
			in.ReturnValuesOnConditionCheckFailure); err != nil {
			return err
		}
		delete(f.items, key)
		return nil
	})
	return &dynamodb.DeleteItemOutput{}, err
}

func (f *fakeDynamo) write(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return f.fails
	}
	if f.items == nil {
		f.items = map[string]map[string]types.AttributeValue{}
	}
	if f.twice {
		_ = do() // its answer is lost
	}
	return do()
}

func (f *fakeDynamo) check(key, condition string, names map[string]string, values map[string]types.AttributeValue,
	returns types.ReturnValuesOnConditionCheckFailure) error {
	stored, found := f.items[key]
	holds := false
	switch condition {
	case "attribute_not_exists(pk)":
		holds = !found
	case "#version = :version":
		holds = found && str(stored[names["#version"]]) == str(values[":version"])
	default:
		return fmt.Errorf("fake: unknown condition %q", condition)
	}
	if holds {
		return nil
	}
	failed := &types.ConditionalCheckFailedException{}
	if returns == types.ReturnValuesOnConditionCheckFailureAllOld && !f.hidesOld {
		failed.Item = stored
	}
	return failed
}

func (f *fakeDynamo) Query(_ context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return nil, f.fails
	}
	matches, err := keyCondition(*in.KeyConditionExpression, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	keys := slices.Sorted(maps.Keys(f.items))
	keys = slices.DeleteFunc(keys, func(key string) bool { return !matches(f.items[key]) })
	if !*in.ScanIndexForward {
		slices.Reverse(keys)
	}
	if in.ExclusiveStartKey != nil {
		keys = keys[slices.Index(keys, itemKey(in.ExclusiveStartKey))+1:]
	}
	limit := fakePage
	if in.Limit != nil {
		limit = min(limit, int(*in.Limit))
	}
	out := &dynamodb.QueryOutput{}
	for _, key := range keys[:min(limit, len(keys))] {
		out.Items = append(out.Items, f.items[key])
		out.LastEvaluatedKey = map[string]types.AttributeValue{"pk": f.items[key]["pk"], "sk": f.items[key]["sk"]}
	}
	if len(keys) < limit {
		out.LastEvaluatedKey = nil
	}
	return out, nil
}

func keyCondition(expression string, values map[string]types.AttributeValue) (func(map[string]types.AttributeValue) bool, error) {
	used := 1
	var matches func(sk string) bool
	switch expression {
	case "pk = :pk":
		matches = func(string) bool { return true }
	case "pk = :pk AND begins_with(sk, :prefix)":
		used, matches = 2, func(sk string) bool { return strings.HasPrefix(sk, str(values[":prefix"])) }
	case "pk = :pk AND sk <= :to":
		used, matches = 2, func(sk string) bool { return sk <= str(values[":to"]) }
	case "pk = :pk AND sk BETWEEN :from AND :to":
		used, matches = 3, func(sk string) bool { return str(values[":from"]) <= sk && sk <= str(values[":to"]) }
	default:
		return nil, fmt.Errorf("fake: unknown key condition %q", expression)
	}
	if len(values) != used {
		return nil, fmt.Errorf("fake: %d values for key condition %q, want %d", len(values), expression, used)
	}
	for name, value := range values {
		if str(value) == "" {
			return nil, fmt.Errorf("fake: value %s of a key is empty", name)
		}
	}
	if values[":from"] != nil && str(values[":from"]) > str(values[":to"]) {
		return nil, fmt.Errorf("fake: BETWEEN wants its upper bound last")
	}
	return func(item map[string]types.AttributeValue) bool {
		return str(item["pk"]) == str(values[":pk"]) && matches(str(item["sk"]))
	}, nil
}

func itemKey(item map[string]types.AttributeValue) string {
	return str(item["pk"]) + "\x00" + str(item["sk"])
}

func str(value types.AttributeValue) string {
	switch value := value.(type) {
	case *types.AttributeValueMemberS:
		return value.Value
	case *types.AttributeValueMemberN:
		return value.Value
	case *types.AttributeValueMemberB:
		return string(value.Value)
	}
	return ""
}
