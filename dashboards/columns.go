package dashboards

import (
	"maps"
	"slices"
	"strings"
)

// shade is a word and its colour.
type shade struct{ word, color string }

// severities have the same colours on every board.
func severities() []shade {
	return []shade{{"critical", "red"}, {"high", "orange"}, {"medium", "yellow"}, {"low", "blue"}, {"info", "#8e8e8e"}}
}

// states are those of alerts, decisions and gateways.
func states() []shade {
	return []shade{
		{"open", "red"}, {"acknowledged", "yellow"}, {"closed", "green"},
		{"active", "orange"}, {"proposed", "yellow"}, {"expired", "#8e8e8e"}, {"revoked", "blue"},
	}
}

// outcomes are series that mean the same on every board.
func outcomes() []shade {
	return []shade{
		{"allowed", "green"}, {"denied", "orange"}, {"refused", "purple"}, {"errors", "red"},
		{"block", "red"}, {"limit", "orange"}, {"challenge", "yellow"}, {"log", "blue"},
	}
}

// overrides are what holds for single columns.
func overrides(p Panel) []object {
	out := []object{}
	for _, c := range p.Columns {
		if props := properties(p, c); len(props) > 0 {
			out = append(out, object{"matcher": object{"id": "byName", "options": c}, "properties": props})
		}
	}
	return out
}

func properties(p Panel, column string) []object {
	var out []object
	set := func(id string, value any) { out = append(out, object{"id": id, "value": value}) }
	if name := shown(p, column); name != column && column != p.By && column != "time" {
		set("displayName", name)
	}
	if unit := p.Units[column]; unit != "" {
		set("unit", unit)
		if d, ok := decimals(unit); ok {
			set("decimals", d)
		}
	}
	if p.Kind == Table {
		out = append(out, cell(column)...)
		if column == p.Judged {
			out = append(out, coloured()...)
		}
	} else if c := colorOf(column); c != "" && p.By == "" {
		set("color", object{"mode": "fixed", "fixedColor": c})
	}
	if l := links(p, column); len(l) > 0 {
		set("links", l)
	}
	return out
}

// shown is the name that people see.
func shown(p Panel, column string) string {
	if p.Kind == Table {
		return sentence(strings.TrimPrefix(column, "_"))
	}
	return strings.ReplaceAll(column, "_", " ")
}

// coloured writes a cell in the colour of its word, or of its threshold. Both names of the cell's kind are given: cellOptions is read from
// Grafana 9.5 on, displayMode before.
func coloured() []object {
	return []object{{"id": "custom.displayMode", "value": "color-text"}, {"id": "custom.cellOptions", "value": object{"type": "color-text"}}}
}

// cell is how a table shows a column: hidden, or with the colours of its words.
func cell(column string) []object {
	if strings.HasPrefix(column, "_") {
		return []object{{"id": "custom.hidden", "value": true}}
	}
	var words []shade
	switch column {
	case "severity":
		words = severities()
	case "state":
		words = states()
	default:
		return nil
	}
	mapping := object{}
	for i, w := range words {
		mapping[w.word] = object{"color": w.color, "index": i, "text": w.word}
	}
	return append([]object{{"id": "mappings", "value": []object{{"type": "value", "options": mapping}}}}, coloured()...)
}

// colorOf is the colour of a series whose name means the same everywhere, "" for others.
func colorOf(column string) string {
	for _, s := range slices.Concat(severities(), states(), outcomes()) {
		if s.word == column {
			return s.color
		}
	}
	return ""
}

// links are a column's ways to other boards; they keep the time span.
func links(p Panel, column string) []object {
	var out []object
	for _, l := range p.Links {
		if l.Column != column {
			continue
		}
		out = append(out, object{"title": l.Title, "url": linkURL(l), "targetBlank": false})
	}
	return out
}

// linkURL fills in the value percent-encoded: it may be whatever a client sent.
func linkURL(l Link) string {
	url := "/d/" + l.Board + "?${__url_time_range}"
	for _, name := range slices.Sorted(maps.Keys(l.Set)) {
		url += "&var-" + name + "=" + l.Set[name]
	}
	if l.Variable == "" {
		return url
	}
	if l.From == "" || l.From == l.Column {
		return url + "&var-" + l.Variable + "=${__value.raw:percentencode}"
	}
	return url + "&var-" + l.Variable + "=${__data.fields." + l.From + ":percentencode}"
}
