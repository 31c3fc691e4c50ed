package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestACacheAnswersWhatParsingWould(t *testing.T) {
	text := example(t, "registry.yaml")
	cache := &Cache{}
	for range 2 {
		for _, text := range []string{text, edit(t, text, "bake: 10m", "bake: 11m"), "apps: nonsense"} {
			want, wantErr := ParseRegistry("registry.yaml", []byte(text))
			got, err := cache.Registry("registry.yaml", []byte(text))
			if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
				t.Errorf("Registry(%.40q…): got %+v, %v; want %+v, %v", text, got, err, want, wantErr)
			}
		}
	}
	if got := len(cache.registries); got != 2 {
		t.Errorf("%d registries are remembered, want the 2 that are right", got)
	}
}

func TestACacheKeepsAFewRegistries(t *testing.T) {
	cache := &Cache{}
	for i := range 3 * maxCached {
		if _, err := cache.Registry("registry.yaml", []byte(example(t, "registry.yaml")+strings.Repeat("\n", i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(cache.registries); got > maxCached {
		t.Errorf("%d registries are remembered, want %d at most", got, maxCached)
	}
}
