package config

import (
	"fmt"
	"regexp"
)

// The rules of values that occur in several places, with their sources. The
// patterns use only what Go and ECMAScript read alike.
var (
	// appName and environmentName are Tagboat's own: they become parts of keys,
	// of execution names and of role session names.
	appName = rule{
		want:    "an app's name of up to 63 lower-case letters, digits and hyphens",
		pattern: regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`), longest: 63,
	}
	environmentName = rule{
		want:    "an environment's name of up to 63 lower-case letters, digits and hyphens",
		pattern: regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`), longest: 63,
	}
	// artifactName is Tagboat's own: it is a part of the keys of drops.
	artifactName = rule{
		want:    "an artifact's name of up to 64 letters, digits, dots, hyphens and underscores",
		pattern: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`), longest: 64,
	}
	// accountID: AWS Organizations, CreateAccountStatus.AccountId.
	accountID = rule{
		want:    "an account id of 12 digits in quotes",
		pattern: regexp.MustCompile(`^[0-9]{12}$`), longest: 12, digits: 12,
	}
	// organizationID: AWS Organizations, Organization.Id.
	organizationID = rule{
		want:    "an organisation's id such as o-abc1234567",
		pattern: regexp.MustCompile(`^o-[a-z0-9]{10,32}$`), longest: 34,
	}
	// region has the shape of AWS's region codes; new ones keep appearing.
	region = rule{
		want:    "a region such as eu-west-1",
		pattern: regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[1-9][0-9]?$`), longest: 32,
	}
	// bucketName: S3, general purpose bucket naming rules.
	bucketName = rule{
		want:    "a bucket's name of 3 to 63 lower-case letters, digits, dots and hyphens",
		pattern: regexp.MustCompile(`^[a-z0-9]([a-z0-9-]|\.[a-z0-9])+[a-z0-9]$`), longest: 63,
	}
	// roleName: IAM, CreateRole.RoleName.
	roleName = rule{
		want:    "a role's name of up to 64 letters, digits and _+=,.@-, without path and ARN",
		pattern: regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]+$`), longest: 64,
	}
	// externalID: STS, AssumeRole.ExternalId.
	externalID = rule{
		want:    "an external id of 2 to 1224 letters, digits and _+=,.@:/-",
		pattern: regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]{2,}$`), longest: 1224,
	}
	// duration is what time.ParseDuration reads, without a sign.
	duration = rule{
		want:    "a duration such as 10m or 1h30m",
		pattern: regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`), longest: 40,
	}
	// repositoryName: GitHub's login and repository names.
	repositoryName = rule{
		want:    "a repository as owner/name",
		pattern: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+$`), longest: 140,
	}
	// tagPattern and branchName keep to what git check-ref-format allows.
	tagPattern = rule{
		want:    `a tag pattern with {version} once, such as "v{version}"`,
		pattern: regexp.MustCompile(`^[^{}\s~^:?*\[\\]*\{version\}[^{}\s~^:?*\[\\]*$`), longest: 200,
	}
	branchName = rule{
		want:    "a branch's name, without wildcards",
		pattern: regexp.MustCompile(`^[^\s~^:?*\[\\]+$`), longest: 250,
	}
	// resourcePattern: the names of layers and functions (Lambda), services
	// (ECS) and packages (PyPI), and * for any characters.
	resourcePattern = rule{
		want:    "a pattern of letters, digits, dots, hyphens, underscores and the wildcard *",
		pattern: regexp.MustCompile(`^[A-Za-z0-9._*-]+$`), longest: 140,
	}
	// relativeFile and relativeFolder are clean: no empty step, no . or .., no backslash.
	relativeFile = rule{
		want:    "a relative path without . and .., such as dir/file.yaml",
		pattern: regexp.MustCompile(`^` + pathStep + `(/` + pathStep + `)*$`), longest: 1000,
	}
	relativeFolder = rule{
		want:    "a directory's relative path without .. and without / at its end, or . for the whole repository",
		pattern: regexp.MustCompile(`^(\.|` + pathStep + `(/` + pathStep + `)*)$`), longest: 1000,
	}
	assetName = rule{
		want:    "the name of a release asset, without a path",
		pattern: regexp.MustCompile(`^` + pathStep + `$`), longest: 255,
	}
	digest = rule{
		want:    "a sha256 of 64 lower-case hexadecimal digits",
		pattern: regexp.MustCompile(`^[0-9a-f]{64}$`), longest: 64, digits: 64,
	}
	// layerName: Lambda, PublishLayerVersion.LayerName, the name alone.
	layerName = rule{
		want:    "a layer's name of up to 140 letters, digits, hyphens and underscores",
		pattern: regexp.MustCompile(`^[A-Za-z0-9_-]+$`), longest: 140,
	}
	// functionName: Lambda, CreateFunction.FunctionName, the name alone.
	functionName = rule{
		want:    "a function's name of up to 64 letters, digits, hyphens and underscores",
		pattern: regexp.MustCompile(`^[A-Za-z0-9_-]+$`), longest: 64,
	}
	// aliasName: Lambda, CreateAlias.Name; only digits would be a version.
	aliasName = rule{
		want:    "an alias of up to 128 letters, digits, hyphens and underscores, not of digits alone",
		pattern: regexp.MustCompile(`^[0-9]*[A-Za-z_-][A-Za-z0-9_-]*$`), longest: 128,
	}
	// runtimeID has the shape of Lambda's runtime identifiers; new ones keep appearing.
	runtimeID = rule{
		want:    "a runtime such as python3.13",
		pattern: regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z0-9]+)*$`), longest: 40,
	}
	// architecture: Lambda, Architecture.
	architecture = oneOf("x86_64", "arm64")
	// handlerName: Lambda, CreateFunction.Handler.
	handlerName = rule{
		want:    "a handler of up to 128 characters without spaces",
		pattern: regexp.MustCompile(`^\S+$`), longest: 128,
	}
	// variableName: Lambda, EnvironmentVariables keys.
	variableName = rule{
		want:    "a variable's name: a letter, then at least one letter, digit or underscore",
		pattern: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+$`), longest: 1000,
	}
	// trafficName is SAM's DeploymentPreference.
	trafficName = rule{
		want: "AllAtOnce, Canary<N>Percent<M>Minutes or Linear<N>PercentEvery<M>Minute(s)",
		pattern: regexp.MustCompile(`^(AllAtOnce|Canary[1-9][0-9]?Percent[1-9][0-9]{0,3}Minutes?` +
			`|Linear[1-9][0-9]?PercentEvery[1-9][0-9]{0,3}Minutes?)$`), longest: 50,
	}
	// alarmName: CloudWatch, PutMetricAlarm.AlarmName.
	alarmName = rule{
		want:    "an alarm's name of up to 255 characters",
		pattern: regexp.MustCompile(`^[^\x00-\x1f]+$`), longest: 255,
	}
)

// pathStep is one step of a relative path: neither empty, nor . or .. .
const pathStep = `([^./\\\x00-\x1f][^/\\\x00-\x1f]*|\.[^./\\\x00-\x1f][^/\\\x00-\x1f]*|\.\.[^/\\\x00-\x1f]+)`

// oneOf is the rule of a text that is one of some words, two at least.
func oneOf(words ...string) rule {
	want := fmt.Sprintf("%q", words[0])
	for _, word := range words[1 : len(words)-1] {
		want += fmt.Sprintf(", %q", word)
	}
	return rule{want: fmt.Sprintf("%s or %q", want, words[len(words)-1]), enum: words}
}
