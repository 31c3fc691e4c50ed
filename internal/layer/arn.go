package layer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// version is a layer version's ARN in its parts.
type version struct {
	partition, region, account, name string
	number                           int64
}

func (v version) String() string {
	return fmt.Sprintf("arn:%s:lambda:%s:%s:layer:%s:%d", v.partition, v.region, v.account, v.name, v.number)
}

// parseVersion reads arn:<partition>:lambda:<region>:<account>:layer:<name>:<number>.
func parseVersion(arn string) (version, error) {
	parts := strings.Split(arn, ":")
	if len(parts) == 8 && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "layer" {
		number, err := strconv.ParseInt(parts[7], 10, 64)
		if err == nil && number > 0 {
			return version{partition: parts[1], region: parts[3], account: parts[4], name: parts[6], number: number}, nil
		}
	}
	return version{}, release.Errorf(release.Invalid, "%q is not the ARN of a layer version, "+
		"want arn:aws:lambda:<region>:<account>:layer:<name>:<number>", arn)
}
