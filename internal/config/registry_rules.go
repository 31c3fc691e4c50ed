package config

import "github.com/tagboat/tagboat/internal/release"

// registryRules are the rules of registry.yaml by path. Every field of
// its Go type has one.
func registryRules() map[string]rule {
	return map[string]rule{
		"":             {doc: "the platform team's file: where releases go, which apps there are and what each may touch"},
		"organization": organizationID.says("the AWS organisation's id, needed for sharing with the whole organisation"),

		"tools":           {doc: "the account in which Tagboat runs and layers are published"},
		"tools.account":   accountID.says("the tools account's id, 12 digits in quotes"),
		"tools.regions":   {doc: "the regions in which layers can be published; the first is home", fewest: 1, distinct: true},
		"tools.regions[]": region,
		"tools.buckets":   {doc: "the staging bucket of each further region", key: &region},
		"tools.buckets.*": bucketName,

		"environments":               {doc: "the environments in the order of promotion", fewest: 1},
		"environments[]":             {doc: "one account with its regions, and the role to take there"},
		"environments[].name":        environmentName.says("the environment's name, as apps refer to it"),
		"environments[].account":     accountID.says("the environment's account id, 12 digits in quotes"),
		"environments[].regions":     {doc: "the regions to release in; each is one of the tools regions", fewest: 1, distinct: true},
		"environments[].regions[]":   region,
		"environments[].role":        roleName.says("the name of the role that the account grants"),
		"environments[].external_id": externalID.says("the external id that the role's trust policy asks for"),
		"environments[].bake": duration.says("how long alarms are watched after the last shift, " +
			"before the release counts as good; at most 24h"),
		"environments[].approval": oneOf(release.ApprovalNone, release.ApprovalRequired).
			says("whether somebody has to approve each release to the environment; none is the default"),

		"apps":                   {doc: "the applications that may be released"},
		"apps[]":                 {doc: "an application: the repository it comes from and what it may touch"},
		"apps[].name":            appName.says("the app's name, as its manifest says it"),
		"apps[].repository":      {doc: "the GitHub repository that its tags are in"},
		"apps[].repository.id":   {doc: "the repository's id at GitHub, which decides", want: "a repository's id, a whole number from 1", atLeast: 1},
		"apps[].repository.name": repositoryName.says("the repository's owner/name, for people"),
		"apps[].tags":            tagPattern.says("the pattern of its tags, with {version} in it once"),
		"apps[].branches": {doc: "the branches of which the tagged commit must be on one; any commit will do if left out",
			fewest: 1, distinct: true},
		"apps[].branches[]": branchName,
		"apps[].trigger": oneOf(release.TriggerTag, release.TriggerRelease, release.TriggerUpload).
			says("what starts a release besides uploads and drops: the tag (the default), the GitHub release that is published for it, or with upload nothing"),
		"apps[].manifest":             relativeFile.says("the manifest's path in the repository; " + release.DefaultManifest + " if left out"),
		"apps[].environments":         {doc: "the environments it is released to, no two of them in the same account and region", fewest: 1, distinct: true},
		"apps[].environments[]":       environmentName,
		"apps[].resources":            {doc: "the names it may touch, of every kind; * stands for any characters", fewest: 1, distinct: true},
		"apps[].resources[]":          resourcePattern,
		"apps[].sharing":              {doc: "with whom its manifest may ask to share layers, at most"},
		"apps[].sharing.accounts":     {doc: "the ids of accounts that may be shared with", distinct: true},
		"apps[].sharing.accounts[]":   accountID,
		"apps[].sharing.organization": {doc: "whether layers may be shared with the whole organisation"},
		"apps[].sharing.public":       {doc: "whether layers may be shared with everyone"},
		"apps[].concurrency": oneOf(release.ConcurrencyQueue, release.ConcurrencySupersede).
			says("what a newer release does to those that still wait: queue behind them (the default) or replace them. An older version whose event comes late replaces none that is newer, unless it is forced: it is replaced itself"),
		"apps[].drop_manifest": relativeFile.says("the key in the state bucket of the manifest for drops"),
	}
}
