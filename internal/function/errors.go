package function

import (
	"errors"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// codeNoProvisioned is Lambda's answer where an alias has no provisioned concurrency.
const codeNoProvisioned = "ProvisionedConcurrencyConfigNotFoundException"

// meaning is what AWS's error codes mean for functions: a conflict is an update
// that has not settled, which waiting ends.
var meaning = awserr.Meaning{awserr.Conflict: release.Transient}

// refused tells what was attempted where, with the refusal as AWS worded it.
func refused(err error, site release.Site, format string, args ...any) error {
	told := meaning.Refused(err, site, format, args...)
	var e *release.Error
	if errors.As(told, &e) && e.Kind == release.NotFound && release.RemedyOf(told) == "" {
		return e.WithRemedy("Create it in account %s, %s, or correct its name in the manifest.", site.Account, site.Region)
	}
	return told
}
