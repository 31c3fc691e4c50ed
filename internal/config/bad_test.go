package config

import (
	"fmt"
	"strings"
	"testing"
)

// bad is a change of an example that makes it wrong.
type bad struct {
	edited
	// want are the problems, without the file's name before them.
	want string
	// beyond tells that no JSON Schema can say it: it is about YAML itself, or
	// about values that refer to each other.
	beyond bool
}

// badRegistries are wrong registries.
func badRegistries() []bad {
	file := func(name, want string, edits ...string) bad {
		return bad{edited: edited{name, "registry.yaml", edits}, want: want}
	}
	beyond := func(name, want string, edits ...string) bad {
		return bad{edited: edited{name, "registry.yaml", edits}, want: want, beyond: true}
	}
	return []bad{
		file("an unknown field at the top", `1:1: organisation: want one of the fields organization, tools, environments, apps, got "organisation"; did you mean "organization"?
28:57: apps[0].sharing.organization: want the organisation's id in organization, got none`,
			"organization:", "organisation:"),
		file("an unknown field that is like none", `3:3: tools.xyzzy: want one of the fields account, regions, buckets, got "xyzzy"
3:3: tools: want the field "account" (the tools account's id, 12 digits in quotes), got none`,
			`account: "999999999999"`, `xyzzy: 1`),
		file("a field in camel case", `7:5: environments[0]: want the field "external_id" (the external id that the role's trust policy asks for), got none
11:5: environments[0].externalId: want one of the fields name, account, regions, role, external_id, bake, approval, got "externalId"; did you mean "external_id"?`,
			"external_id: tagboat-dev", "externalId: tagboat-dev"),
		beyond("a field twice", `4:3: tools.account: want each name once, got "account" a second time; the first is on line 3`,
			`account: "999999999999"`, "account: \"999999999999\"\n  account: \"888888888888\""),
		file("an account that lost its quotes", `3:12: tools.account: want an account id of 12 digits in quotes, got the number 999999999999; write it in quotes with all its digits, leading zeros too: "999999999999"`,
			`account: "999999999999"`, "account: 999999999999"),
		file("an account that lost its zeros", `3:12: tools.account: want an account id of 12 digits in quotes, got the number 1234567890; write it in quotes with all its digits, leading zeros too: "001234567890"`,
			`account: "999999999999"`, "account: 1234567890"),
		file("an account with zeros but no quotes", `3:12: tools.account: want an account id of 12 digits in quotes, got the number 012345678901; write it in quotes with all its digits, leading zeros too: "012345678901"`,
			`account: "999999999999"`, "account: 012345678901"),
		file("an account that is too short", `3:12: tools.account: want an account id of 12 digits in quotes, got "99999999999"`,
			`account: "999999999999"`, `account: "99999999999"`),
		file("null", `3:11: tools.account: want an account id of 12 digits in quotes, got null; a field without a value is left out`,
			`account: "999999999999"`, "account:"),
		file("a text for a list", `9:14: environments[0].regions: want a list, got "us-east-1"; write a list: ["us-east-1"]`,
			"[us-east-1]\n", "us-east-1\n"),
		file("a list for a mapping", `2:8: tools: want a mapping, got a list
3:1: tools1: want one of the fields organization, tools, environments, apps, got "tools1"; did you mean "tools"?`,
			"tools: ", "tools: []\ntools1: "),
		file("a text for a truth value", `28:57: apps[0].sharing.organization: want true or false, got "yes"`,
			"organization: true", "organization: yes"),
		file("a quoted number", `21:22: apps[0].repository.id: want a repository's id, a whole number from 1, got "186853002"; write it without quotes`,
			"186853002", `"186853002"`),
		file("a repository without an id", `21:22: apps[0].repository.id: want a repository's id, a whole number from 1, got the number 0`,
			"186853002", "0"),
		file("a repository without an owner", `21:39: apps[0].repository.name: want a repository as owner/name, got "orders"`,
			"acme/orders", "orders"),
		file("an organisation's id of another shape", `1:15: organization: want an organisation's id such as o-abc1234567, got "o-ABC"`,
			"o-abc1234567", "o-ABC"),
		file("a region of another shape", `9:15: environments[0].regions[0]: want a region such as eu-west-1, got "Virginia"
9:15: environments[0].regions[0]: want one of the tools regions "us-east-1", "eu-west-1", got "Virginia"; functions there need code staged there: add the region to tools.regions and its bucket to tools.buckets`,
			"[us-east-1]\n", "[Virginia]\n"),
		beyond("an environment's region that is none of tools'", `9:15: environments[0].regions[0]: want one of the tools regions "us-east-1", "eu-west-1", got "ap-south-1"; functions there need code staged there: add the region to tools.regions and its bucket to tools.buckets`,
			"[us-east-1]\n", "[ap-south-1]\n"),
		beyond("a further region without a bucket", `4:24: tools.regions[1]: want a staging bucket for "eu-west-1" in tools.buckets, got none; Lambda takes code from a bucket in its own region only`,
			"buckets: {eu-west-1: tagboat-staging-999999999999-eu-west-1}", ""),
		beyond("a bucket for home", `5:42: tools.buckets.us-east-1: want buckets of further regions only, got one for the home region "us-east-1"; the state bucket is home's staging bucket`,
			"{eu-west-1: tagboat-staging-999999999999-eu-west-1}", "{eu-west-1: eu-bk, us-east-1: home-bk}"),
		beyond("a bucket for a region that is not listed", `5:42: tools.buckets.eu-west-2: want a region of tools.regions, got "eu-west-2"; did you mean "eu-west-1"?`,
			"{eu-west-1: tagboat-staging-999999999999-eu-west-1}", "{eu-west-1: eu-bk, eu-west-2: else-bk}"),
		beyond("one bucket for two regions", `5:41: tools.buckets.eu-west-2: want a bucket in "eu-west-2", got "same", which is the bucket of "eu-west-1" already; a bucket is in one region`,
			"[us-east-1, eu-west-1]", "[us-east-1, eu-west-1, eu-west-2]", "{eu-west-1: tagboat-staging-999999999999-eu-west-1}", "{eu-west-1: same, eu-west-2: same}"),
		file("a bucket's name in capitals", `5:24: tools.buckets.eu-west-1: want a bucket's name of 3 to 63 lower-case letters, digits, dots and hyphens, got "Tagboat"`,
			"tagboat-staging-999999999999-eu-west-1}", "Tagboat}"),
		file("a region twice", `14:26: environments[1].regions[1]: want each value once, got "us-east-1" a second time`,
			"    regions: [us-east-1, eu-west-1]", "    regions: [us-east-1, us-east-1]"),
		file("a role's ARN", `10:11: environments[0].role: want a role's name of up to 64 letters, digits and _+=,.@-, without path and ARN, got "arn:aws:iam::111111111111:role/tagboat"`,
			"tagboat-target ", "arn:aws:iam::111111111111:role/tagboat "),
		file("an external id that is too short", `11:18: environments[0].external_id: want an external id of 2 to 1224 letters, digits and _+=,.@:/-, got "x"`,
			"tagboat-dev", "x"),
		file("an external id that is too long", `11:18: environments[0].external_id: want an external id of 2 to 1224 letters, digits and _+=,.@:/-, got "`+strings.Repeat("x", 64)+`…" with 1225 characters`,
			"tagboat-dev", strings.Repeat("x", 1225)),
		file("a negative bake time", `17:11: environments[1].bake: want a duration such as 10m or 1h30m, got "-10m"`,
			"bake: 10m", "bake: -10m"),
		file("a bake time without a unit", `17:11: environments[1].bake: want a duration such as 10m or 1h30m, got the number 600; write it in quotes: "600"`,
			"bake: 10m", "bake: 600"),
		beyond("a bake time of days", `17:11: environments[1].bake: want a bake time of at most 24h, got 24h0m1s`,
			"bake: 10m", "bake: 24h1s"),
		beyond("a bake time that no clock holds", `17:11: environments[1].bake: want a duration such as 10m or 1h30m, got "9999999999h"; time: invalid duration "9999999999h"`,
			"bake: 10m", "bake: 9999999999h"),
		file("an unknown approval", `18:15: environments[1].approval: want "none" or "required", got "requierd"; did you mean "required"?`,
			"approval: required", "approval: requierd"),
		file("an unknown trigger", `24:14: apps[0].trigger: want "tag", "release" or "upload", got "push"`,
			"trigger: tag", "trigger: push"),
		file("an unknown concurrency", `29:18: apps[0].concurrency: want "queue" or "supersede", got "que"; did you mean "queue"?`,
			"concurrency: queue", "concurrency: que"),
		file("a tag pattern without a version", `22:11: apps[0].tags: want a tag pattern with {version} once, such as "v{version}", got "v*"`,
			`"v{version}"`, `"v*"`),
		file("a tag pattern with two versions", `22:11: apps[0].tags: want a tag pattern with {version} once, such as "v{version}", got "{version}-{version}"`,
			`"v{version}"`, `"{version}-{version}"`),
		file("no branches", `23:15: apps[0].branches: want at least 1 in the list, got an empty list`,
			"[main]", "[]"),
		file("an empty pattern", `27:17: apps[0].resources[0]: want a pattern of letters, digits, dots, hyphens, underscores and the wildcard *, got ""`,
			`["orders-*"]`, `[""]`),
		file("another wildcard", `27:17: apps[0].resources[0]: want a pattern of letters, digits, dots, hyphens, underscores and the wildcard *, got "orders-?"`,
			`["orders-*"]`, `["orders-?"]`),
		file("a manifest outside the repository", `25:15: apps[0].manifest: want a relative path without . and .., such as dir/file.yaml, got "../tagboat.yaml"`,
			"manifest: tagboat.yaml", "manifest: ../tagboat.yaml"),
		file("an absolute drop manifest", `30:20: apps[0].drop_manifest: want a relative path without . and .., such as dir/file.yaml, got "/manifests/orders.yaml"`,
			"drop_manifest: manifests", "drop_manifest: /manifests"),
		file("a path that is not clean", `25:15: apps[0].manifest: want a relative path without . and .., such as dir/file.yaml, got "a//b.yaml"`,
			"manifest: tagboat.yaml", "manifest: a//b.yaml"),
		file("an app's name in capitals", `20:11: apps[0].name: want an app's name of up to 63 lower-case letters, digits and hyphens, got "Orders"`,
			"name: orders", "name: Orders"),
		beyond("an unknown environment", `26:20: apps[0].environments[0]: want an environment of this registry ("dev", "prod"), got "deev"; did you mean "dev"?`,
			"[dev, prod]", "[deev, prod]"),
		beyond("two environments of one name", `12:11: environments[1].name: want one environment of each name, got "dev" again; the first is environments[0]
26:25: apps[0].environments[1]: want an environment of this registry ("dev", "dev"), got "prod"`,
			"name: prod", "name: dev"),
		beyond("two environments of an app at one place", `26:25: apps[0].environments[1]: want an environment of its own account or regions, got "prod", which is in account 111111111111, us-east-1, as "dev" is; a function has one name in all environments, so that two releases would change it at once: give one of them another account or region, or leave it out here`,
			`"222222222222"`, `"111111111111"`),
		beyond("two apps of one name", `21:11: apps[1].name: want one app of each name, got "billing" again; the first is apps[0]`,
			"apps:\n", "apps:\n"+secondApp("[billing]"), "name: orders", "name: billing"),
		file("sharing with an organisation that is not named", `28:57: apps[0].sharing.organization: want the organisation's id in organization, got none`,
			"organization: o-abc1234567", "#"),
		beyond("two apps with patterns that meet", `28:17: apps[1].resources[0]: want names that no other app may touch in account 111111111111, got "orders-*" of app "orders", which meets "*-api" of app "billing"
28:29: apps[1].resources[1]: want names that no other app may touch in account 111111111111, got "shared" of app "orders", which meets "sh*d" of app "billing"`,
			"apps:\n", "apps:\n"+secondApp(`["*-api", "sh*d"]`), `["orders-*"]`, `["orders-*", shared]`),
		beyond("two apps with one manifest", `21:5: apps[1].manifest: want a manifest of its own, got "tagboat.yaml", which app "billing" of the same repository reads too`,
			"apps:\n", "apps:\n"+secondApp("[billing]"), "id: 186853002", "id: 2", "    manifest: tagboat.yaml ", "    #"),
		beyond("a merge key", `20:5: apps[0]["<<"]: want one of the fields name, repository, tags, branches, trigger, manifest, environments, resources, sharing, concurrency, drop_manifest, got "<<"; merge keys are not read: write the fields out`,
			"  - name: orders\n", "  - <<: {}\n    name: orders\n"),
	}
}

// badManifests are wrong manifests.
func badManifests() []bad {
	file := func(name, want string, edits ...string) bad {
		return bad{edited: edited{name, "tagboat.yaml", edits}, want: want}
	}
	beyond := func(name, want string, edits ...string) bad {
		return bad{edited: edited{name, "tagboat.yaml", edits}, want: want, beyond: true}
	}
	return []bad{
		file("no app", `1:1: app1: want one of the fields app, artifacts, layers, functions, got "app1"; did you mean "app"?
1:1: want the field "app" (the app's name, as the registry says it), got none`, "app:", "app1:"),
		file("two sources of one artifact", `4:9: artifacts.code: want exactly one of archive, release_asset and object, got archive and object`,
			"{archive: src}", "{archive: src, object: code.zip}"),
		file("no source of an artifact", `4:9: artifacts.code: want exactly one of archive, release_asset and object, got none`,
			"{archive: src}", "{}"),
		file("a digest of an archive", `4:32: artifacts.code.sha256: want sha256 with release_asset or object only, got it with archive; the commit pins what the archive holds`,
			"{archive: src}", "{archive: src, sha256: "+strings.Repeat("ab", 32)+"}"),
		file("a digest that is too short", `4:33: artifacts.code.sha256: want a sha256 of 64 lower-case hexadecimal digits, got "abc"`,
			"{archive: src}", "{object: a.zip, sha256: abc}"),
		file("an archive outside the repository", `4:19: artifacts.code.archive: want a directory's relative path without .. and without / at its end, or . for the whole repository, got "src/../.."`,
			"{archive: src}", "{archive: src/../..}"),
		file("a release asset in a directory", `4:25: artifacts.code.release_asset: want the name of a release asset, without a path, got "dist/code.zip"`,
			"{archive: src}", "{release_asset: dist/code.zip}"),
		file("an artifact's name with a slash", `5:3: artifacts["a/b"]: want an artifact's name of up to 64 letters, digits, dots, hyphens and underscores, got "a/b"
5:8: artifacts["a/b"]: want a layer or function that uses the artifact, got none`,
			"  # also:", "  a/b: {archive: ab} # also:"),
		beyond("an artifact's name that is a number", `5:3: artifacts: want a name, got the number 7; write it in quotes: "7"`,
			"  # also:", "  7: {archive: ab} # also:"),
		beyond("an artifact that nothing uses", `5:9: artifacts.more: want a layer or function that uses the artifact, got none`,
			"  # also:", "  more: {archive: more} # also:"),
		beyond("a layer of an unknown artifact", `3:9: artifacts.deps: want a layer or function that uses the artifact, got none
10:15: layers[0].artifact: want an artifact of this manifest ("code", "deps"), got "dep"; did you mean "deps"?`,
			"artifact: deps", "artifact: dep"),
		file("a layer's name with a dot", `9:11: layers[0].name: want a layer's name of up to 140 letters, digits, hyphens and underscores, got "orders.deps"
19:14: functions[0].layers[0]: want a layer of this manifest ("orders.deps"), got "orders-deps"; did you mean "orders.deps"?`,
			"name: orders-deps", "name: orders.deps"),
		beyond("two layers of one name", `10:11: layers[1].name: want one layer of each name, got "orders-deps" again; the first is layers[0]`,
			"layers:\n", "layers:\n  - {name: orders-deps, artifact: deps}\n"),
		file("an unknown architecture", `12:21: layers[0].architectures[0]: want "x86_64" or "arm64", got "x86-64"; did you mean "x86_64"?`,
			"[x86_64]", "[x86-64]"),
		file("too many runtimes", `11:15: layers[0].runtimes: want at most 15 in the list, got 16`,
			"[python3.13]", "[r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15, r16]"),
		file("a runtime that Lambda's names are not like", `20:14: functions[0].runtime: want a runtime such as python3.13, got "Python 3.13"`,
			"runtime: python3.13", "runtime: Python 3.13"),
		file("a runtime that is a number", `20:14: functions[0].runtime: want a runtime such as python3.13, got the number 3.13; write it in quotes: "3.13"`,
			"runtime: python3.13", "runtime: 3.13"),
		file("a long description", `13:18: layers[0].description: want at most 256 characters, got "`+strings.Repeat("ö", 64)+`…" with 257 characters`,
			"requests 2.32.3", strings.Repeat("ö", 257)),
		file("keeping nothing", `15:11: layers[0].keep: want how many versions to keep, a whole number from 1, got the number 0`,
			"keep: 10", "keep: 0"),
		file("keeping half a version", `27:11: functions[0].keep: want how many versions to keep, a whole number from 1, got the number 1.5`,
			"keep: 5", "keep: 1.5"),
		file("an account to share with that is too short", `14:24: layers[0].share.accounts[0]: want an account id of 12 digits in quotes, got "3333"`,
			`"333333333333"`, `"3333"`),
		file("a function's ARN", `17:11: functions[0].name: want a function's name of up to 64 letters, digits, hyphens and underscores, got "arn:aws:lambda:eu-west-1:111111111111:function:orders-api"`,
			"name: orders-api", "name: arn:aws:lambda:eu-west-1:111111111111:function:orders-api"),
		beyond("two functions of one name", `18:11: functions[1].name: want one function of each name, got "orders-api" again; the first is functions[0]`,
			"functions:\n", "functions:\n  - {name: orders-api, handler: a.b}\n"),
		beyond("a function with an unknown layer", `19:27: functions[0].layers[1]: want a layer of this manifest ("orders-deps"), got "order-deps"; did you mean "orders-deps"?`,
			"[orders-deps]", "[orders-deps, order-deps]"),
		file("a layer twice", `19:27: functions[0].layers[1]: want each value once, got "orders-deps" a second time`,
			"[orders-deps]", "[orders-deps, orders-deps]"),
		file("six layers", `19:13: functions[0].layers: want at most 5 in the list, got 6`+unknownLayers(),
			"[orders-deps]", "[a, b, c, d, e, f]"),
		file("an alias of digits", `21:12: functions[0].alias: want an alias of up to 128 letters, digits, hyphens and underscores, not of digits alone, got "42"`,
			"alias: live", `alias: "42"`),
		file("unknown traffic", `22:14: functions[0].traffic: want AllAtOnce, Canary<N>Percent<M>Minutes or Linear<N>PercentEvery<M>Minute(s), got "Canary100Percent5Minutes"`,
			"Canary10Percent", "Canary100Percent"),
		file("gradual traffic and a smoke test without an alias", `21:14: functions[0].traffic: want an alias with gradual traffic, got no alias; callers of $LATEST see every change at once
24:12: functions[0].smoke: want an alias with a smoke test, got no alias; callers of $LATEST see the change before any test`,
			"    alias: live                        # leave out: $LATEST is what callers use (no gradual shift, no smoke test)\n", ""),
		file("a handler with a space", `28:14: functions[0].handler: want a handler of up to 128 characters without spaces, got "app main"`,
			"keep: 5\n", "keep: 5\n    handler: app main\n"),
		file("a variable's name with a hyphen", `28:19: functions[0].environment.A-B: want a variable's name: a letter, then at least one letter, digit or underscore, got "A-B"`,
			"keep: 5\n", "keep: 5\n    environment: {A-B: x}\n"),
		beyond("a variable that Lambda reserves", `28:31: functions[0].environment.AWS_REGION: want a variable that Lambda does not set itself, got "AWS_REGION"`,
			"keep: 5\n", "keep: 5\n    environment: {AWS_REGION: x}\n"),
		file("a variable's value that is a number", `28:25: functions[0].environment.PORT: want a text, got a number; write it in quotes`,
			"keep: 5\n", "keep: 5\n    environment: {PORT: 8080}\n"),
		file("a function with nothing to change", `28:5: functions[1]: want at least one of artifact, layers, runtime, handler and environment, got none; there is nothing to change`,
			"keep: 5\n", "keep: 5\n  - {name: orders-job, alias: live}\n"),
		beyond("a number that JSON does not keep", `25:29: functions[0].smoke.payload.ping: want a number that JSON keeps, for a whole one up to 9007199254740991, got 9007199254740993; write it in quotes if it is an identifier`,
			"{ping: true}", "{ping: 9007199254740993}"),
		beyond("a number that JSON cannot write", `25:29: functions[0].smoke.payload.ping: want a number as JSON writes it, got .inf`,
			"{ping: true}", "{ping: .inf}"),
		file("an event that is null", `25:22: functions[0].smoke.payload: want a JSON value, got null; a field without a value is left out`,
			"{ping: true}", "null"),
		beyond("a tag of YAML", `13:18: layers[0].description: want a text without a tag, got the tag "!!binary"`,
			"requests 2.32.3", "!!binary aGk="),
	}
}

// unknownLayers are the problems of six layers that are not there.
func unknownLayers() string {
	var lines strings.Builder
	for i, name := range strings.Split("abcdef", "") {
		fmt.Fprintf(&lines, "\n19:%d: functions[0].layers[%d]: want a layer of this manifest (\"orders-deps\"), got %q", 14+3*i, i, name)
	}
	return lines.String()
}

// located puts the file's name before each problem.
func located(file, want string) string {
	return file + ":" + strings.ReplaceAll(want, "\n", "\n"+file+":")
}

func TestEachProblemIsToldWithItsPlaceAndWhatWasWanted(t *testing.T) {
	for _, test := range append(badRegistries(), badManifests()...) {
		t.Run(test.name, func(t *testing.T) {
			err := parseFile(test.file, test.text(t))
			if err == nil {
				t.Fatalf("got no error, want\n%s", located(test.file, test.want))
			}
			if got, want := err.Error(), located(test.file, test.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
