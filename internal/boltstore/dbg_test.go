package boltstore
import ("testing";"bytes";"os";"time";"fmt")
func TestDbg(t *testing.T) {
	path, _, raw := filled(t)
	for at := 0; at < len(raw); at += 61 {
		wrong := bytes.Clone(raw)
		wrong[at] ^= 1 << (at % 8)
		_ = os.WriteFile(path, wrong, 0o600)
		s := time.Now()
		file, err := Open(path)
		if d := time.Since(s); d > 500*time.Millisecond { fmt.Println(at, d, err, len(raw)); return }
		if err == nil { _, e := content(t.Context(), file); e2 := file.Close(); fmt.Println(at, "ok", e, e2, time.Since(s)) } else { fmt.Println(at, err) }
	}
}
