package dashboards

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/store/storetest"
)

// What docs/dashboards.md has Grafana's user made with is SQL, and grants every system table that a board reads.
func TestGrants(t *testing.T) {
	text, err := os.ReadFile("../docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`(?m)^ {4}((?:CREATE USER|GRANT) .*);$`).FindAllStringSubmatch(string(text), -1)
	if len(said) == 0 {
		t.Fatal("no statement found")
	}
	cfg := storetest.Config(t)
	cfg.Database = "default" // nothing is stored
	conn := storetest.Conn(t, cfg)
	var granted []string
	for _, s := range said {
		var sql string
		if err := conn.QueryRow(t.Context(), "SELECT formatQuerySingleLine({sql:String})", clickhouse.Named("sql", s[1])).Scan(&sql); err != nil {
			t.Errorf("%s: %v", s[1], err)
		}
		if strings.HasPrefix(s[1], "GRANT ") {
			granted = append(granted, systemTables(s[1])...)
		}
	}
	var read []string
	for _, b := range Boards() {
		panels(b, func(p Panel) { read = append(read, systemTables(p.Query)...) })
	}
	if len(read) == 0 {
		t.Error("no board reads a system table: nothing was looked at")
	}
	for _, name := range read {
		if !slices.Contains(granted, name) {
			t.Errorf("a board reads %s, which is not granted", name)
		}
	}
}

func systemTables(sql string) []string {
	return regexp.MustCompile(`\bsystem\.\w+`).FindAllString(sql, -1)
}
