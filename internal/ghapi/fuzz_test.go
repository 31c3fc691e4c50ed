package ghapi

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScrub shortens foreign words: to no more characters than GitHub takes, by
// whole characters, and without the token and what may be one in a URL.
func FuzzScrub(f *testing.F) {
	f.Add("Bad credentials: a-token-of-this-test", "a-token-of-this-test", 140)
	f.Add(`Get "https://api.github.com/x?access_token=abc&x=1": refused`, "ghs_0123456789", 20)
	f.Add(strings.Repeat("é", 139)+"日本", "", 140)
	f.Add(strings.Repeat("\xff", 300)+"?q", "0123456789", 1)
	f.Add(strings.Repeat("x", maxMessage-5)+"?query??", "0123456789", 300)
	f.Fuzz(func(t *testing.T, text, token string, limit int) {
		if limit < 1 || limit > 1000 {
			return
		}
		short := cut(text, limit)
		if utf8.RuneCountInString(short) > limit {
			t.Errorf("%q cut to %d characters has %d", text, limit, utf8.RuneCountInString(short))
		}
		if kept, isCut := strings.CutSuffix(short, "…"); short != text && (!isCut || utf8.ValidString(text) && !strings.HasPrefix(text, kept)) {
			t.Errorf("%q cut to %d characters is %q", text, limit, short)
		}
		if again := cut(short, limit); again != short {
			t.Errorf("%q cut once more is %q", short, again)
		}
		clean := scrub(text, token)
		if len(token) >= 10 && !strings.Contains("[removed]?[removed]…", token) && strings.Contains(clean, token) {
			t.Errorf("%q shows the token %q", clean, token)
		}
		for _, after := range strings.Split(clean, "?")[1:] {
			shown, _, _ := strings.Cut(after, "…")
			if !strings.HasPrefix(shown, "[removed]") && !strings.HasPrefix("[removed]", shown) && !strings.ContainsAny(shown[:1], " \t\r\n\f\v\"'<>") {
				t.Errorf("%q shows a query", clean)
			}
		}
		if utf8.RuneCountInString(clean) > maxMessage {
			t.Errorf("scrubbed words have %d characters", utf8.RuneCountInString(clean))
		}
	})
}
