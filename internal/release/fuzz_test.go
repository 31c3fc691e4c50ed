package release

import (
	"encoding/json"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// semVer is the pattern that https://semver.org suggests, with its groups for the
// core's numbers and the pre-release.
var semVer = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)` +
	`(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

var digits = regexp.MustCompile(`^\d+$`)

// FuzzOlder compares any three versions: the order is that of SemVer, written
// down a second time, and so antisymmetric, transitive and total; what is not
// SemVer has none.
func FuzzOlder(f *testing.F) {
	f.Add("1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0")
	f.Add("1.0.0-rc.2+5", "1.0.0-rc.11", "1.0.0-rc.2")
	f.Add("1.2.3", "1.2", "v1.2.3")
	f.Add("1.0.0--", "1.0.0-0", "1.0.0-00a")
	f.Add("1.0.0-99999999999999999999", "1.0.0-100000000000000000000", "1.0.0-2")
	f.Add("18446744073709551616.0.0", "2.0.0", "18446744073709551615.0.0")
	f.Add("1.0.0-20260131.1", "1.0.0-20260131.10", "1.0.0-20260131.a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		versions := []string{a, b, c}
		for _, v := range versions {
			if Older(v, v) {
				t.Errorf("%q is older than itself", v)
			}
			for _, w := range versions {
				want := ordered(v) && ordered(w) && precedence(v, w) < 0
				if got := Older(v, w); got != want {
					t.Errorf("%q is older than %q: %v, want %v", v, w, got, want)
				}
			}
		}
		if Older(a, b) && Older(b, c) && !Older(a, c) || Older(a, b) && Older(b, a) {
			t.Errorf("%q, %q and %q have no order", a, b, c)
		}
	})
}

// ordered tells whether a version has an order: SemVer of numbers that are no
// larger than programs count.
func ordered(version string) bool {
	groups := semVer.FindStringSubmatch(version)
	if groups == nil || len(version) > 256 {
		return false
	}
	for _, number := range append(groups[1:4:4], strings.Split(groups[4], ".")...) {
		if n, _ := new(big.Int).SetString(number, 10); digits.MatchString(number) && !n.IsUint64() {
			return false
		}
	}
	return true
}

// precedence is -1, 0 or 1 (SemVer 2.0.0, 11).
func precedence(a, b string) int {
	left, right := semVer.FindStringSubmatch(a), semVer.FindStringSubmatch(b)
	for i := 1; i <= 3; i++ {
		if order := identifiers(left[i], right[i]); order != 0 {
			return order
		}
	}
	if left[4] == "" || right[4] == "" {
		return map[bool]int{true: 1}[left[4] == "" && right[4] != ""] - map[bool]int{true: 1}[left[4] != "" && right[4] == ""]
	}
	l, r := strings.Split(left[4], "."), strings.Split(right[4], ".")
	for i := range min(len(l), len(r)) {
		if order := identifiers(l[i], r[i]); order != 0 {
			return order
		}
	}
	return len(l) - len(r)
}

// identifiers compares two: numbers as such and below words, words by their bytes.
func identifiers(a, b string) int {
	switch number := [2]bool{digits.MatchString(a), digits.MatchString(b)}; number {
	case [2]bool{true, true}:
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		return x.Cmp(y)
	case [2]bool{true, false}:
		return -1
	case [2]bool{false, true}:
		return 1
	}
	return strings.Compare(a, b)
}

// id is what an execution may be called (Step Functions, StartExecution).
var id = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// FuzzTags reads any tag by any pattern: a version read is the one that makes
// the tag again, ids name executions and tell sources and attempts apart, and a
// way to shift traffic is written as it is read.
func FuzzTags(f *testing.F) {
	f.Add("v{version}", "v1.2.3", "orders", uint8(1), "Canary10Percent5Minutes")
	f.Add("orders/v{version}-final", "orders/v1-final", "a", uint8(9), "Linear10PercentEvery1Minute")
	f.Add("{version}", "日本\x00", strings.Repeat("a", 63), uint8(255), "AllAtOnce")
	f.Add("aa{version}aa", "aaa", "o", uint8(0), "Linear99PercentEvery9999Minutes")
	f.Add("v{version}{version}", "v1{version}", "orders", uint8(2), "Canary5Percent1Minute")
	f.Fuzz(func(t *testing.T, pattern, tag, name string, attempt uint8, traffic string) {
		app := App{Name: name, Tags: pattern}
		version, ok := app.Version(tag)
		if ok && (version == "" || app.Tag(version) != tag) {
			t.Errorf("pattern %q reads version %q of tag %q, and makes tag %q of it", pattern, version, tag, app.Tag(version))
		}
		if again, read := app.Version(app.Tag("1.2.3")); strings.Contains(pattern, "{version}") && (!read || again != "1.2.3") {
			t.Errorf("pattern %q reads version %q of the tag that it makes of 1.2.3", pattern, again)
		}
		checkIDs(t, Request{App: strings.Trim(id.FindString(name), "-"), Version: tag, Attempt: int(attempt), Source: Source{RepositoryID: 7, Tag: tag}})
		checkTraffic(t, traffic)
	})
}

func checkIDs(t *testing.T, r Request) {
	if r.App == "" || r.Source.Tag == "" || r.Attempt < 1 {
		return
	}
	next, plan, moved, object := r, r, r, r
	next.Attempt++
	plan.DryRun = true
	moved.Source.RepositoryID++
	object.Source = Source{Bucket: "b", Key: r.Source.Tag, VersionID: "7"}
	seen := map[string]Request{}
	for _, one := range []Request{r, next, plan, moved, object} {
		if !id.MatchString(one.ID()) {
			t.Errorf("%+v has the id %q", one, one.ID())
		}
		if other, twice := seen[one.ID()]; twice {
			t.Errorf("%+v and %+v have the same id", one, other)
		}
		seen[one.ID()] = one
	}
	r.Actor, r.Delivery, r.Source.Repository = "somebody", "else", "renamed"
	if _, same := seen[r.ID()]; !same {
		t.Errorf("%+v has another id than without its names", r)
	}
}

func checkTraffic(t *testing.T, text string) {
	var read, again Traffic
	if err := read.UnmarshalText([]byte(text)); err != nil {
		return
	}
	if err := again.UnmarshalText([]byte(read.String())); err != nil || again != read {
		t.Errorf("%q is read as %+v, written as %q and read as %+v (%v)", text, read, read, again, err)
	}
	inJSON, err := json.Marshal(FunctionSpec{Traffic: read})
	var back FunctionSpec
	if err != nil || json.Unmarshal(inJSON, &back) != nil || !reflect.DeepEqual(back.Traffic, read) {
		t.Errorf("%+v is %+v after JSON (%v)", read, back.Traffic, err)
	}
	last := 0
	for _, step := range read.Steps() {
		if step <= last || step >= 100 {
			t.Errorf("%q shifts by %v", text, read.Steps())
		}
		last = step
	}
	if read.Duration() < 0 || read.Duration() > 99*9999*time.Minute {
		t.Errorf("%q takes %v", text, read.Duration())
	}
}
