package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
	"github.com/tagboat/tagboat/internal/release"
)

func TestMemoryTable(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledger.Table { return ledger.NewMemoryTable() })
}

func TestDynamoTable(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledger.Table { return ledger.NewDynamoTable(&fakeDynamo{}, "ledger") })
}

func TestDynamoTableRecognisesItsOwnWriteWhenTheFirstAnswerWasLost(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledger.Table { return ledger.NewDynamoTable(&fakeDynamo{twice: true}, "ledger") })
}

func TestDynamoTableWorksWithServicesThatDoNotShowTheOldItem(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledger.Table { return ledger.NewDynamoTable(&fakeDynamo{hidesOld: true}, "ledger") })

	t.Run("its own write is recognised by reading it", func(t *testing.T) {
		table := ledger.NewDynamoTable(&fakeDynamo{hidesOld: true, twice: true}, "ledger")
		item := ledger.Item{Key: ledger.Key{Partition: "p", Sort: "s"}, Body: json.RawMessage(`1`)}
		ok(t, table.Put(t.Context(), item))
		wantKind(t, table.Put(t.Context(), item), release.Conflict)
		item.Version = 1
		ok(t, table.Put(t.Context(), item))
		ok(t, table.Delete(t.Context(), item.Key, 2))
	})
}

func TestDynamoErrorsBecomeTheKindThatSaysWhatToDo(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want release.Kind
	}{
		{"throttled by the table", &types.ProvisionedThroughputExceededException{}, release.Transient},
		{"throttled by the account", &types.RequestLimitExceeded{}, release.Transient},
		{"throttled by the service", &smithy.GenericAPIError{Code: "ThrottlingException"}, release.Transient},
		{"the service's own fault", &types.InternalServerError{}, release.Transient},
		{"in the middle of a transaction", &types.TransactionConflictException{}, release.Transient},
		{"the time is up", fmt.Errorf("canceled, %w", context.DeadlineExceeded), release.Transient},
		{"the network is down", &net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, release.Transient},
		{"the table is not there", &types.ResourceNotFoundException{}, release.Internal},
		{"the role may not", &smithy.GenericAPIError{Code: "AccessDeniedException"}, release.Denied},
		{"the request is malformed", &smithy.GenericAPIError{Code: "ValidationException", Fault: smithy.FaultClient}, release.Internal},
		{"anything else", errors.New("boom"), release.Internal},
	}
	key := ledger.Key{Partition: "p", Sort: "s"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := ledger.NewDynamoTable(&fakeDynamo{fails: test.err}, "ledger")
			_, getting := table.Get(t.Context(), key)
			_, listing := table.Query(t.Context(), "p", "", ledger.Page{})
			putting := table.Put(t.Context(), ledger.Item{Key: key, Body: json.RawMessage(`1`)})
			deleting := table.Delete(t.Context(), key, 1)
			for call, err := range map[string]error{"get": getting, "query": listing, "put": putting, "delete": deleting} {
				if err == nil || release.KindOf(err) != test.want || !errors.Is(err, test.err) {
					t.Errorf("%s: error of kind %s, want %s: %v", call, release.KindOf(err), test.want, err)
				}
			}
		})
	}
}

func TestDynamoDocumentsOfAnotherProgramAreReported(t *testing.T) {
	api := &fakeDynamo{items: map[string]map[string]types.AttributeValue{"p\x00s": {
		"pk": &types.AttributeValueMemberS{Value: "p"}, "sk": &types.AttributeValueMemberS{Value: "s"},
	}}}
	table := ledger.NewDynamoTable(api, "ledger")
	if item, err := table.Get(t.Context(), ledger.Key{Partition: "p", Sort: "s"}); release.KindOf(err) != release.Internal {
		t.Errorf("got %+v, error %v; want an error of kind internal", item, err)
	}
}
