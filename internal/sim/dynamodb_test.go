package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type attributes = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

func item(pk, sk string, version int) attributes {
	return attributes{"pk": text(pk), "sk": text(sk), "version": number(version)}
}

func (w world) putItem(in dynamodb.PutItemInput) error {
	in.TableName = ptr("ledger")
	_, err := w.cloud.Root(tools).DynamoDB(east).PutItem(w.ctx, &in)
	return err
}

func TestConditionsOfAPut(t *testing.T) {
	within(t, func(w world) {
		w.cloud.CreateTable(tools, east, "ledger")
		if err := w.putItem(dynamodb.PutItemInput{Item: item("p", "s", 1), ConditionExpression: ptr("attribute_not_exists(pk)")}); err != nil {
			t.Fatal(err)
		}
		one := attributes{":v": number(1)}
		tests := []struct {
			name, code string
			in         dynamodb.PutItemInput
		}{
			{"it exists already", "ConditionalCheckFailedException", dynamodb.PutItemInput{ConditionExpression: ptr("attribute_not_exists(pk)")}},
			{"the version is another", "ConditionalCheckFailedException", dynamodb.PutItemInput{
				ConditionExpression: ptr("#v = :v"), ExpressionAttributeNames: map[string]string{"#v": "version"}, ExpressionAttributeValues: attributes{":v": number(2)}}},
			{"the version is of another type", "ConditionalCheckFailedException", dynamodb.PutItemInput{
				ConditionExpression: ptr("version = :v"), ExpressionAttributeValues: attributes{":v": text("1")}}},
			{"a value is not defined", "ValidationException", dynamodb.PutItemInput{ConditionExpression: ptr("version = :v")}},
			{"a value is not used", "ValidationException", dynamodb.PutItemInput{
				ConditionExpression: ptr("attribute_exists(pk)"), ExpressionAttributeValues: one}},
			{"a name is not defined", "ValidationException", dynamodb.PutItemInput{ConditionExpression: ptr("#v = :v"), ExpressionAttributeValues: one}},
			{"a form that is not simulated", "ValidationException", dynamodb.PutItemInput{
				ConditionExpression: ptr("version = :v OR attribute_not_exists(pk)"), ExpressionAttributeValues: one}},
			{"the item is over 400 KB", "ValidationException", dynamodb.PutItemInput{
				Item: attributes{"pk": text("p"), "sk": text("s"), "body": text(strings.Repeat("x", 400<<10))}}},
			{"the key is empty", "ValidationException", dynamodb.PutItemInput{Item: item("p", "", 1)}},
			{"the condition holds", "", dynamodb.PutItemInput{ConditionExpression: ptr("version = :v AND attribute_exists(pk)"), ExpressionAttributeValues: one}},
		}
		for _, test := range tests {
			w.run(test.name, func(w world) {
				if test.in.Item == nil {
					test.in.Item = item("p", "s", 2)
				}
				err := w.putItem(test.in)
				if test.code != "" {
					refused(w, err, test.code, "")
				} else if err != nil {
					w.Fatal(err)
				}
			})
		}
	})
}

func TestAFailedConditionShowsWhatIsThereIfAsked(t *testing.T) {
	within(t, func(w world) {
		w.cloud.CreateTable(tools, east, "ledger")
		if err := w.putItem(dynamodb.PutItemInput{Item: item("p", "s", 7)}); err != nil {
			t.Fatal(err)
		}
		err := w.putItem(dynamodb.PutItemInput{
			Item: item("p", "s", 1), ConditionExpression: ptr("attribute_not_exists(pk)"),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
		var failed *types.ConditionalCheckFailedException
		if !errors.As(err, &failed) || failed.Item["version"].(*types.AttributeValueMemberN).Value != "7" {
			t.Errorf("got %v", err)
		}
	})
}

func TestGetAndDeleteItem(t *testing.T) {
	within(t, func(w world) {
		w.cloud.CreateTable(tools, east, "ledger")
		client := w.cloud.Root(tools).DynamoDB(east)
		key := attributes{"pk": text("p"), "sk": text("s")}
		if err := w.putItem(dynamodb.PutItemInput{Item: item("p", "s", 1)}); err != nil {
			t.Fatal(err)
		}
		got := must(client.GetItem(w.ctx, &dynamodb.GetItemInput{TableName: ptr("ledger"), Key: key}))(t)
		if len(got.Item) != 3 {
			t.Errorf("got %v", got.Item)
		}
		got.Item["version"].(*types.AttributeValueMemberN).Value = "changed"
		_, err := client.DeleteItem(w.ctx, &dynamodb.DeleteItemInput{
			TableName: ptr("ledger"), Key: key, ConditionExpression: ptr("version = :v"), ExpressionAttributeValues: attributes{":v": number(2)}})
		refused(t, err, "ConditionalCheckFailedException", "")
		for range 2 {
			must(client.DeleteItem(w.ctx, &dynamodb.DeleteItemInput{TableName: ptr("ledger"), Key: key}))(t)
		}
		if got := must(client.GetItem(w.ctx, &dynamodb.GetItemInput{TableName: ptr("ledger"), Key: key}))(t); got.Item != nil {
			t.Errorf("after deleting: got %v", got.Item)
		}
		_, err = client.GetItem(w.ctx, &dynamodb.GetItemInput{TableName: ptr("none"), Key: key})
		refused(t, err, "ResourceNotFoundException", "")
	})
}

func TestQuery(t *testing.T) {
	within(t, func(w world) {
		w.cloud.CreateTable(tools, east, "ledger")
		for _, sk := range []string{"b#2", "a#1", "b#1", "c#1", "b#3"} {
			if err := w.putItem(dynamodb.PutItemInput{Item: item("p", sk, 1)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.putItem(dynamodb.PutItemInput{Item: item("other", "b#9", 1)}); err != nil {
			t.Fatal(err)
		}
		query := func(in dynamodb.QueryInput, values ...string) (*dynamodb.QueryOutput, error) {
			in.TableName, in.ExpressionAttributeValues = ptr("ledger"), attributes{":pk": text("p")}
			for i := 0; i < len(values); i += 2 {
				in.ExpressionAttributeValues[values[i]] = text(values[i+1])
			}
			return w.cloud.Root(tools).DynamoDB(east).Query(w.ctx, &in)
		}
		keys := func(out *dynamodb.QueryOutput) string {
			var got []string
			for _, i := range out.Items {
				got = append(got, i["sk"].(*types.AttributeValueMemberS).Value)
			}
			return strings.Join(got, " ")
		}
		prefix := ptr("pk = :pk AND begins_with(sk, :prefix)")
		tests := []struct {
			name, want string
			in         dynamodb.QueryInput
			values     []string
		}{
			{"a partition", "a#1 b#1 b#2 b#3 c#1", dynamodb.QueryInput{KeyConditionExpression: ptr("pk = :pk")}, nil},
			{"a prefix", "b#1 b#2 b#3", dynamodb.QueryInput{KeyConditionExpression: prefix}, []string{":prefix", "b#"}},
			{"backwards", "b#3 b#2 b#1", dynamodb.QueryInput{KeyConditionExpression: prefix, ScanIndexForward: ptr(false)}, []string{":prefix", "b#"}},
			{"a range", "b#2 b#3", dynamodb.QueryInput{KeyConditionExpression: ptr("pk = :pk AND sk BETWEEN :from AND :to")}, []string{":from", "b#2", ":to", "b#9"}},
			{"up to a key", "a#1 b#1", dynamodb.QueryInput{KeyConditionExpression: ptr("pk = :pk AND sk <= :to")}, []string{":to", "b#1"}},
			{"after a start key", "b#3", dynamodb.QueryInput{KeyConditionExpression: prefix, ExclusiveStartKey: attributes{"pk": text("p"), "sk": text("b#2")}}, []string{":prefix", "b#"}},
			{"after a start key backwards", "b#1", dynamodb.QueryInput{
				KeyConditionExpression: prefix, ScanIndexForward: ptr(false), ExclusiveStartKey: attributes{"pk": text("p"), "sk": text("b#2")}}, []string{":prefix", "b#"}},
		}
		for _, test := range tests {
			w.run(test.name, func(w world) {
				out := must(query(test.in, test.values...))(w)
				if got := keys(out); got != test.want || out.LastEvaluatedKey != nil {
					w.Errorf("got %q, more %v; want %q", got, out.LastEvaluatedKey, test.want)
				}
			})
		}
		w.run("a limit tells where to go on", func(w world) {
			out := must(query(dynamodb.QueryInput{KeyConditionExpression: prefix, Limit: ptr(int32(2))}, ":prefix", "b#"))(w)
			if keys(out) != "b#1 b#2" || out.LastEvaluatedKey["sk"].(*types.AttributeValueMemberS).Value != "b#2" {
				w.Errorf("got %q, %v", keys(out), out.LastEvaluatedKey)
			}
		})
		w.run("refusals", func(w world) {
			_, err := query(dynamodb.QueryInput{KeyConditionExpression: prefix, ExclusiveStartKey: attributes{"pk": text("p"), "sk": text("c#1")}}, ":prefix", "b#")
			refused(w, err, "ValidationException", "outside query boundaries")
			_, err = query(dynamodb.QueryInput{KeyConditionExpression: prefix}, ":prefix", "")
			refused(w, err, "ValidationException", "not empty")
			_, err = query(dynamodb.QueryInput{KeyConditionExpression: ptr("version = :pk")})
			refused(w, err, "ValidationException", "not supported")
			_, err = query(dynamodb.QueryInput{KeyConditionExpression: ptr("pk = :pk AND sk BETWEEN :from AND :to")}, ":from", "b", ":to", "a")
			refused(w, err, "ValidationException", "BETWEEN")
		})
	})
}
