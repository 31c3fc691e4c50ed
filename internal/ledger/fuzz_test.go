package ledger_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// The bits of a fuzzed item of DynamoDB: what it has, and as what.
const (
	noVersion = 1 << iota
	versionIsText
	hasExpiry
	expiryIsText
	hasPacked
	packIt
	noBody
)

// maxUnpacked is more than any document is, and less than a Lambda's memory, in bytes.
const maxUnpacked = 32 << 20

func TestADocumentThatUnpacksToMoreThanMemoryIsRefused(t *testing.T) {
	key := ledger.Key{Partition: "p", Sort: "s"}
	for size, want := range map[int]release.Kind{maxUnpacked: "", maxUnpacked + 1: release.Internal} {
		table := ledger.NewDynamoTable(&fakeDynamo{items: map[string]map[string]types.AttributeValue{
			"p\x00s": fuzzedItem(t, key, "1", "", "", zipped(t, make([]byte, size)), hasPacked|noBody),
		}}, "ledger")
		if _, err := table.Get(t.Context(), key); (err != nil) != (want != "") || err != nil && release.KindOf(err) != want {
			t.Errorf("%d bytes: got %v, want the kind %q", size, err, want)
		}
		err := table.Put(t.Context(), ledger.Item{Key: ledger.Key{Partition: "p", Sort: "new"}, Body: make([]byte, size)})
		if (err != nil) != (want != "") {
			t.Errorf("writing %d bytes: got %v, want the kind %q", size, err, want)
		}
	}
}

// FuzzItem reads any item that may stand in the table: it is refused in words
// that show nothing of it, or read, and what was read survives being written.
func FuzzItem(f *testing.F) {
	f.Add("release", "r-1", "7", "1893456000", `{"a":1}`, []byte(nil), uint8(hasExpiry))
	f.Add("release", "r-1", "-9223372036854775808", "9223372036854775807", "", []byte(`{"a":1}`), uint8(hasExpiry|hasPacked|packIt))
	f.Add("lease", "env/orders/prod", "1e3", "x", "text", []byte("\x1f\x8b"), uint8(hasPacked|noBody|expiryIsText))
	f.Add("", "\x00", "", "", "secret", []byte(nil), uint8(noVersion|versionIsText))
	f.Fuzz(func(t *testing.T, pk, sk, version, expires, body string, packed []byte, bits uint8) {
		key := ledger.Key{Partition: pk, Sort: sk}
		table := ledger.NewDynamoTable(&fakeDynamo{items: map[string]map[string]types.AttributeValue{
			pk + "\x00" + sk: fuzzedItem(t, key, version, expires, body, packed, bits),
		}}, "ledger")
		got, err := table.Get(t.Context(), key)
		if err != nil {
			if kind := release.KindOf(err); kind != release.Internal && (kind != release.Invalid || key.Check() == nil) {
				t.Errorf("got the kind %q: %v", kind, err)
			}
			if len(body) > 8 && strings.Contains(err.Error(), body) && !strings.Contains(pk+sk+version+expires, body) {
				t.Errorf("the error shows the document: %v", err)
			}
			return
		}
		if got.Key != key || len(got.Body) > maxUnpacked {
			t.Errorf("got %q with %d bytes, want %q", got.Key, len(got.Body), key)
		}
		if !utf8.Valid(got.Body) {
			return // no document is
		}
		rewritten(t, got)
	})
}

// rewritten writes an item into every table and reads it back.
func rewritten(t *testing.T, item ledger.Item) {
	t.Helper()
	for name, table := range map[string]ledger.Table{
		"memory": ledger.NewMemoryTable(), "dynamodb": ledger.NewDynamoTable(&fakeDynamo{}, "ledger"),
	} {
		fresh := item
		fresh.Version = 0
		if err := table.Put(t.Context(), fresh); err != nil {
			if len(item.Body) < 32<<10 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		read, err := table.Get(t.Context(), item.Key)
		if err != nil || read.Version != 1 || !bytes.Equal(read.Body, item.Body) || !read.Expires.Equal(item.Expires) {
			t.Errorf("%s: got %+v (%v), want %+v", name, read, err, item)
		}
	}
}

func fuzzedItem(t *testing.T, key ledger.Key, version, expires, body string, packed []byte, bits uint8) map[string]types.AttributeValue {
	t.Helper()
	attrs := map[string]types.AttributeValue{"pk": s(key.Partition), "sk": s(key.Sort), "write": s("w")}
	if bits&noVersion == 0 {
		attrs["version"] = numberOrText(version, bits&versionIsText != 0)
	}
	if bits&hasExpiry != 0 {
		attrs["expires"] = numberOrText(expires, bits&expiryIsText != 0)
	}
	if bits&noBody == 0 {
		attrs["body"] = s(body)
	}
	if bits&packIt != 0 {
		packed = zipped(t, packed)
	}
	if bits&hasPacked != 0 {
		attrs["packed"] = &types.AttributeValueMemberB{Value: packed}
	}
	return attrs
}

func s(text string) types.AttributeValue { return &types.AttributeValueMemberS{Value: text} }

func numberOrText(text string, isText bool) types.AttributeValue {
	if isText {
		return s(text)
	}
	return &types.AttributeValueMemberN{Value: text}
}

func zipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(content)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzQuery lists any part of any documents: DynamoDB's table answers what the
// one in memory does, which is what the plain rule of a page says.
func FuzzQuery(f *testing.F) {
	f.Add("a\nb\nc\nab\nabc", "a", "ab", uint8(2), false)
	f.Add("a\nb\nc", "", "", uint8(0), true)
	f.Add("r/1\nr/2\nr/10\ns", "r/", "r/2", uint8(1), true)
	f.Add("é\n日本\n\U0010fffe\n\U0010fffex\n\U0010ffff", "\U0010fffe", "b", uint8(9), false)
	f.Add("1\n2\n3\n4\n5\n6\n7\n8\n9", "", "4", uint8(5), false)
	f.Add("b\nc", "b", "a", uint8(1), true)
	f.Fuzz(func(t *testing.T, names, prefix, after string, limit uint8, descending bool) {
		if prefix+after != "" && (ledger.Key{Partition: "p", Sort: prefix + after}).Check() != nil {
			return // no such text is a key
		}
		tables := []ledger.Table{ledger.NewMemoryTable(), ledger.NewDynamoTable(&fakeDynamo{}, "ledger")}
		for name := range strings.SplitSeq(names, "\n") {
			for _, table := range tables {
				item := ledger.Item{Key: ledger.Key{Partition: "p", Sort: name}, Body: json.RawMessage(`{}`), Expires: time.Unix(7, 0).UTC()}
				if err := table.Put(t.Context(), item); err != nil && item.Check() == nil && release.KindOf(err) != release.Conflict {
					t.Fatal(err)
				}
			}
		}
		page := ledger.Page{Descending: descending, Limit: int(limit), After: after}
		var answers [2]string
		for i, table := range tables {
			items, err := table.Query(t.Context(), "p", prefix, page)
			if err != nil {
				t.Fatal(err)
			}
			for j, item := range items {
				answers[i] += item.Sort + "\x00"
				if !page.Includes(prefix, item.Sort) || j > 0 && (items[j-1].Sort < item.Sort) == descending {
					t.Errorf("the page %+v of %q has %q after %q", page, prefix, item.Sort, answers[i])
				}
			}
			if limit > 0 && len(items) > int(limit) {
				t.Errorf("the page %+v of %q has %d items", page, prefix, len(items))
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("the page %+v of %q of %q is %q in memory and %q in DynamoDB", page, prefix, names, answers[0], answers[1])
		}
	})
}
