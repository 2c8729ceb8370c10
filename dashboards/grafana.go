package dashboards

//go:generate go run ./generate grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	// DataSource is the UID of the ClickHouse data source that every panel asks.
	DataSource = "warder"
	// DataSourceType is the id of Grafana's plugin for ClickHouse.
	DataSourceType = "grafana-clickhouse-datasource"
	// PluginVersion is the version of the plugin that the queries are written for; they are of the form that version 4 brought.
	PluginVersion = "4.10.2"
	// Tag is on every board.
	Tag = "warder"

	schemaVersion = 37 // Grafana 9.3's; newer ones bring it up to date when they load it
	columns       = 24
)

// object is a JSON object. What Grafana takes is checked against its own types in the tests.
type object = map[string]any

// Encode returns the dashboard as the JSON that Grafana reads. The same board gives the same bytes.
func Encode(b Board) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(dashboard(b)); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", b.UID, err)
	}
	return buf.Bytes(), nil
}

func dashboard(b Board) object {
	tags := b.Tags
	if !slices.Contains(tags, Tag) {
		tags = append([]string{Tag}, tags...)
	}
	return object{
		"uid": b.UID, "title": b.Title, "description": b.Description, "tags": tags,
		"schemaVersion": schemaVersion, "version": 1, "editable": true, "graphTooltip": 1, "timezone": "browser", "weekStart": "",
		"fiscalYearStartMonth": 0, "liveNow": false,
		"time":        object{"from": b.Span, "to": "now"},
		"timepicker":  object{"refresh_intervals": []string{"30s", "1m", "5m", "15m", "1h"}},
		"refresh":     b.Refresh,
		"annotations": object{"list": []object{}},
		"templating":  object{"list": list(b.Variables, variable)},
		"links":       boardLinks(b),
		"panels":      arrange(b.Rows),
	}
}

func list[T any](in []T, f func(T) object) []object {
	out := make([]object, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func source() object { return object{"type": DataSourceType, "uid": DataSource} }

// boardLinks are the links at the top: the boards to go to next, then a menu of all.
func boardLinks(b Board) []object {
	out := list(b.Links, func(uid string) object {
		return boardLink(object{"title": titleOf(uid), "type": "link", "url": "/d/" + uid, "icon": "dashboard"})
	})
	return append(out, boardLink(object{"title": "All boards", "type": "dashboards", "tags": []string{Tag}, "asDropdown": true, "icon": "external link"}))
}

func boardLink(o object) object {
	usual := object{"tags": []string{}, "asDropdown": false, "tooltip": "", "targetBlank": false, "includeVars": false, "keepTime": true}
	for k, v := range usual {
		if _, ok := o[k]; !ok {
			o[k] = v
		}
	}
	return o
}

// titleOf is the title of a board, or its UID when there is no such board, which the tests do not let pass.
func titleOf(uid string) string {
	for _, b := range Boards() {
		if b.UID == uid {
			return b.Title
		}
	}
	return uid
}

// sentence makes words of a name: "last_seen" is "Last seen".
func sentence(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

func variable(v Variable) object {
	o := object{"name": v.Name, "label": v.Label, "hide": 0, "skipUrlSync": false}
	if v.Query == "" {
		current := object{"selected": true, "text": v.Value, "value": v.Value}
		o["type"], o["query"], o["current"], o["options"] = "textbox", v.Value, current, []object{current}
		return o
	}
	o["type"], o["datasource"], o["query"], o["definition"] = "query", source(), v.Query, v.Query
	o["multi"], o["includeAll"], o["options"], o["sort"], o["regex"] = v.Multi, v.Multi, []object{}, 0, ""
	o["refresh"] = 1 // when the board is opened
	if strings.Contains(v.Query, "$__") {
		o["refresh"] = 2 // when the time span changes, too
	}
	switch {
	case v.Multi && v.Value == "":
		o["current"] = object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}
	case v.Multi:
		o["current"] = object{"selected": true, "text": []string{v.Value}, "value": []string{v.Value}}
	case v.Value != "":
		o["current"] = object{"selected": true, "text": v.Value, "value": v.Value}
	default:
		o["current"] = object{}
	}
	return o
}

// arrange numbers the panels and puts them on the grid: a row's from left to right, in a new line where the width is used up.
func arrange(rows []Row) []object {
	var out []object
	x, y, line := 0, 0, 0
	place := func(o object, w, h int) {
		if x+w > columns {
			x, y, line = 0, y+line, 0
		}
		o["id"], o["gridPos"] = len(out)+1, object{"x": x, "y": y, "w": w, "h": h}
		x, line = x+w, max(line, h)
		out = append(out, o)
	}
	for _, r := range rows {
		x, y, line = 0, y+line, 0
		if r.Title != "" {
			place(object{"type": "row", "title": r.Title, "collapsed": false, "panels": []object{}}, columns, 1)
		}
		for _, p := range r.Panels {
			place(panel(p), p.Width, p.Height)
		}
	}
	return out
}
