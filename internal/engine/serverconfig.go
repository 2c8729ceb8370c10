package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Caches are small because the embedded engine shares the machine with what it protects.
const (
	markCache    = 64 << 20
	schedulePool = 8
	mergePool    = 2
)

// serverTemplate is the engine's configuration. Nothing listens but one port on loopback, and no system log tables are kept.
const serverTemplate = `<clickhouse>
    <logger><level>warning</level><console>1</console></logger>
    <listen_host>127.0.0.1</listen_host>
    <tcp_port>{{.Port}}</tcp_port>
    <path>{{.Data}}/</path>
    <tmp_path>{{.Data}}/tmp/</tmp_path>
    <user_files_path>{{.Data}}/user_files/</user_files_path>
    <format_schema_path>{{.Data}}/format_schemas/</format_schema_path>
    <users_config>{{.Users}}</users_config>
    <user_directories><users_xml><path>{{.Users}}</path></users_xml></user_directories>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <timezone>UTC</timezone>
    <mlock_executable>false</mlock_executable>
    <mark_cache_size>{{.MarkCache}}</mark_cache_size>
    <index_mark_cache_size>{{.MarkCache}}</index_mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <max_server_memory_usage>{{.Memory}}</max_server_memory_usage>
    <max_concurrent_queries>{{.Concurrent}}</max_concurrent_queries>
    <background_pool_size>{{.MergePool}}</background_pool_size>
    <background_schedule_pool_size>{{.SchedulePool}}</background_schedule_pool_size>
    <merge_tree><number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation><number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge><number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition></merge_tree>
    <remote_url_allow_hosts></remote_url_allow_hosts>
    <access_control_improvements><table_engines_require_grant>true</table_engines_require_grant></access_control_improvements>
</clickhouse>
`

// usersTemplate gives the one user what the store needs. What it does not grant is refused by the engine: table functions and
// engines that reach files, other hosts or programs (the SOURCES grants), users, named collections.
const usersTemplate = `<clickhouse>
    <profiles><default>
        <max_memory_usage>{{.QueryMemory}}</max_memory_usage>
        <async_insert>0</async_insert>
    </default></profiles>
    <quotas><default></default></quotas>
    <users><{{.User}}>
        {{.Auth}}
        <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
        <profile>default</profile>
        <quota>default</quota>
        <grants>
            <query>GRANT SHOW, SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE, OPTIMIZE, KILL QUERY, SYSTEM, dictGet ON *.*</query>
            {{- range .Engines}}
            <query>GRANT TABLE ENGINE ON {{.}}</query>
            {{- end}}
        </grants>
    </{{.User}}></users>
</clickhouse>
`

// tableEngines lists the table engines that keep their data in the engine's own folder or in memory.
func tableEngines() []string {
	return []string{"MergeTree", "ReplacingMergeTree", "AggregatingMergeTree", "SummingMergeTree", "Memory", "Null", "Buffer", "Join", "Set", "Merge", "View", "MaterializedView"}
}

// data is the folder of the engine's tables.
func (spec childSpec) data() string { return filepath.Join(spec.Dir, "data") }

func (spec childSpec) configFile() string { return filepath.Join(spec.Dir, "config.xml") }

// writeConfig writes the engine's two configuration files. The password is only there as a hash.
func (spec childSpec) writeConfig() error {
	_, port, err := net.SplitHostPort(spec.Addr)
	if err != nil {
		return fmt.Errorf("the engine's address: %w", err)
	}
	users := filepath.Join(spec.Dir, "users.xml")
	values := map[string]any{
		"Port": port, "Data": escapeXML(spec.data()), "Users": escapeXML(users), "Memory": spec.Memory, "QueryMemory": spec.Memory * 3 / 4,
		"Concurrent": spec.Concurrent, "MarkCache": markCache, "MergePool": mergePool, "SchedulePool": schedulePool, "Engines": tableEngines(),
	}
	if spec.Kind == library { // its HTTP side checks the password; inside, there is only the user "default"
		values["User"], values["Auth"] = "default", "<password></password>"
	} else {
		sum := sha256.Sum256([]byte(spec.Password))
		values["User"], values["Auth"] = spec.User, "<password_sha256_hex>"+hex.EncodeToString(sum[:])+"</password_sha256_hex>"
	}
	for _, f := range []struct{ file, text string }{{spec.configFile(), serverTemplate}, {users, usersTemplate}} {
		t, err := template.New(filepath.Base(f.file)).Parse(f.text)
		if err != nil {
			return fmt.Errorf("engine configuration: %w", err)
		}
		var b bytes.Buffer
		if err = t.Execute(&b, values); err != nil {
			return fmt.Errorf("engine configuration: %w", err)
		}
		if err = os.WriteFile(f.file, b.Bytes(), 0o600); err != nil {
			return fmt.Errorf("engine configuration: %w", err)
		}
	}
	return nil
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
