package layer

import (
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// codePolicyLength is Lambda's refusal of a policy over 20 KB.
const codePolicyLength = "PolicyLengthExceededException"

// general is what AWS's error codes mean here: what they mean everywhere.
var general awserr.Meaning

// refused tells what was attempted where, with the refusal as AWS worded it.
func refused(err error, site release.Site, format string, args ...any) error {
	return general.Refused(err, site, format, args...)
}
