package app

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/geo/geotest"
)

// geo() of a search answers from the databases as they are now; without any it is refused, for "nowhere" would be a wrong answer.
func TestFiltersAskForPlaces(t *testing.T) {
	const filter = `geo(source.address).country == "DE"`
	e := &event.Event{Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")}}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	write := func(country string) {
		geotest.Write(t, path, map[string]geotest.Map{"203.0.113.0/24": geotest.City(country, "EU", "Somewhere")})
	}
	f := &filters{databases: []string{path}, log: slog.New(slog.DiscardHandler)}
	if _, err := f.compile(filter); err == nil || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("%v, want an error that names the file", err)
	}
	for _, c := range []struct {
		country string
		want    bool
	}{{"DE", true}, {"FR", false}} {
		write(c.country)
		x, err := f.compile(filter)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := x.Match(e); err != nil || got != c.want {
			t.Errorf("in %s: %v, %v", c.country, got, err)
		}
	}
	none := &filters{log: slog.New(slog.DiscardHandler)}
	if _, err := none.compile(filter); err == nil || !strings.Contains(err.Error(), "collector.enrich.geo.databases") {
		t.Errorf("%v, want an error that says what to configure", err)
	}
	if _, err := none.compile(`source.country == "DE"`); err != nil {
		t.Error(err)
	}
}
