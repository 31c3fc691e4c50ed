package config

// The limits of Lambda that a manifest can break by itself.
const (
	// maxLayers is how many layers a function can have.
	maxLayers = 5
	// maxRuntimes is how many runtimes a layer version can name (PublishLayerVersion.CompatibleRuntimes).
	maxRuntimes = 15
	// maxArchitectures is how many architectures a layer version can name.
	maxArchitectures = 2
	// maxDescription is how many characters describe a layer version.
	maxDescription = 256
)

// manifestRules are the rules of tagboat.yaml by path. Every field of its Go
// type has one.
func manifestRules() map[string]rule {
	keep := rule{want: "how many versions to keep, a whole number from 1", atLeast: 1}
	return map[string]rule{
		"":    {doc: "the application's file: its artifacts, and the layers and functions that are made from them"},
		"app": appName.says("the app's name, as the registry says it"),

		"artifacts":                 {doc: "where bytes come from, by name", key: &artifactName},
		"artifacts.*":               {doc: "an artifact: exactly one of archive, release_asset and object"},
		"artifacts.*.archive":       relativeFolder.says("a directory of the repository at the tag, its contents at the top"),
		"artifacts.*.release_asset": assetName.says("the name of an asset of the tag's GitHub release"),
		"artifacts.*.object":        relativeFile.says("the name of an object beside this manifest in the uploads bucket"),
		"artifacts.*.sha256":        digest.says("the expected digest of the release asset or object"),

		"layers":                    {doc: "the layers to publish and share"},
		"layers[]":                  {doc: "a layer"},
		"layers[].name":             layerName.says("the layer's name"),
		"layers[].artifact":         artifactName.says("the artifact that is its content"),
		"layers[].runtimes":         {doc: "the runtimes it is for", most: maxRuntimes, distinct: true},
		"layers[].runtimes[]":       runtimeID,
		"layers[].architectures":    {doc: "the architectures it is for", most: maxArchitectures, distinct: true},
		"layers[].architectures[]":  architecture,
		"layers[].description":      {doc: "what its version is described as", longest: maxDescription},
		"layers[].share":            {doc: "with whom each version is shared besides the release's own targets, within the registry's limits"},
		"layers[].share.accounts":   {doc: "the ids of accounts to share with", distinct: true},
		"layers[].share.accounts[]": accountID,
		"layers[].share.organization": {
			doc: "whether to share with the whole organisation"},
		"layers[].share.public": {doc: "whether to share with everyone"},
		"layers[].keep":         keep.says("how many of the newest versions to keep; older ones that a release made and nothing uses are deleted after a release has succeeded; all are kept if left out"),

		"functions":               {doc: "the functions to update; each exists in every account and region of the app's environments"},
		"functions[]":             {doc: "a function, and what it shall run"},
		"functions[].name":        functionName.says("the function's name"),
		"functions[].artifact":    artifactName.says("the artifact that is its code, which stays as it is if left out"),
		"functions[].layers":      {doc: "layers of this manifest, which replace their earlier versions on the function", most: maxLayers, distinct: true},
		"functions[].layers[]":    layerName,
		"functions[].runtime":     runtimeID.says("the function's runtime, which stays as it is if left out"),
		"functions[].handler":     handlerName.says("the function's handler, which stays as it is if left out"),
		"functions[].environment": {doc: "variables that are merged into the function's own", key: &variableName},
		"functions[].environment.*": {
			doc: "a variable's value", secret: true},
		"functions[].alias":         aliasName.says("the alias that callers use; they use $LATEST if left out"),
		"functions[].traffic":       trafficName.says("how callers of the alias are moved to the new version; AllAtOnce is the default"),
		"functions[].alarms":        {doc: "the names of CloudWatch alarms, metric or composite, that stop the release and roll it back", distinct: true},
		"functions[].alarms[]":      alarmName,
		"functions[].smoke":         {doc: "an invocation of the new version before any traffic reaches it"},
		"functions[].smoke.payload": {doc: "the event it is invoked with"},
		"functions[].smoke.expect":  {doc: "a subset of the answer; only a function error fails the test if left out"},
		"functions[].keep":          keep.says("how many of the newest published versions to keep; older ones that a release made and nothing uses are deleted after a release has succeeded; all are kept if left out"),
	}
}
