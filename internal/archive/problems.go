package archive

import (
	"fmt"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// maxProblems is how many problems one refusal spells out.
const maxProblems = 20

// problems collects what is wrong with an archive, so that all of it is told at once.
type problems struct {
	told []string
	more int
}

// add records one problem; from the 21st on they are only counted.
func (p *problems) add(format string, args ...any) {
	if len(p.told) == maxProblems {
		p.more++
		return
	}
	p.told = append(p.told, fmt.Sprintf(format, args...))
}

// err is the refusal, or nil if there is nothing to refuse. The subject is what
// was checked.
func (p *problems) err(subject string) error {
	switch {
	case len(p.told) == 0:
		return nil
	case len(p.told) == 1:
		return release.Errorf(release.Invalid, "%s: %s", subject, p.told[0])
	}
	text := fmt.Sprintf("%s has %d problems:\n  %s", subject, len(p.told)+p.more, strings.Join(p.told, "\n  "))
	if p.more > 0 {
		text += fmt.Sprintf("\n  and %d more", p.more)
	}
	return release.Errorf(release.Invalid, "%s", text)
}
