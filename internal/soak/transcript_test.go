package soak

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// transcript is what happened, in virtual time. Lines are put into words only
// when somebody reads them.
type transcript struct {
	began   time.Time
	now     func() time.Time
	entries []entry
}

type entry struct {
	at     time.Duration
	who    string
	format string
	args   []any
}

func (t *transcript) add(who, format string, args ...any) {
	t.entries = append(t.entries, entry{t.now().Sub(t.began), who, format, args})
}

func (e entry) String() string {
	return fmt.Sprintf("%12s %-24s %s", e.at.Round(time.Millisecond), e.who, fmt.Sprintf(e.format, e.args...))
}

// tail is the last n lines, 0 being all, of those that keep says yes to.
func (t *transcript) tail(n int, keep func(line string) bool) string {
	var lines []string
	for _, e := range t.entries {
		if line := e.String(); keep == nil || keep(line) {
			lines = append(lines, line)
		}
	}
	if n > 0 && len(lines) > n {
		lines = append([]string{fmt.Sprintf("… %d lines before", len(lines)-n)}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}

// digest tells two histories apart.
func (t *transcript) digest() uint64 {
	sum := fnv.New64a()
	for _, e := range t.entries {
		_, _ = sum.Write([]byte(e.String())) // never fails
	}
	return sum.Sum64()
}
