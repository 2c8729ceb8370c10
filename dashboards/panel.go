package dashboards

import "slices"

const (
	nothingText = "Nothing in this time span"
	noNumber    = "–"
)

func panel(p Panel) object {
	o := object{"type": string(p.Kind), "title": p.Title, "description": p.Description, "options": options(p)}
	if p.Kind == Text {
		return o
	}
	o["datasource"], o["targets"], o["fieldConfig"] = source(), []object{target(p)}, object{"defaults": defaults(p), "overrides": overrides(p)}
	o["interval"] = step(p.Query)
	return o
}

// target is a query of the data source plugin, version 4.
func target(p Panel) object {
	o := object{
		"refId": "A", "datasource": source(), "editorType": "sql", "pluginVersion": PluginVersion, "rawSql": p.Query,
		"queryType": "table", "format": 1,
	}
	if overTime(p) {
		o["queryType"], o["format"] = "timeseries", 0
	}
	return o
}

func overTime(p Panel) bool {
	switch p.Kind {
	case TimeSeries, Heatmap:
		return true
	case Stat:
		return p.Columns[0] == "time"
	}
	return false
}

// byRow tells whether each row is a slice or bar, named by its first column.
func byRow(p Panel) bool { return (p.Kind == Pie || p.Kind == Gauge) && len(p.Columns) == 2 }

func options(p Panel) object {
	switch p.Kind {
	case Stat:
		return statOptions(p)
	case TimeSeries:
		return object{"legend": legend("bottom", p.By != "" || len(p.Columns) > 2), "tooltip": object{"mode": "multi", "sort": "desc"}}
	case Table:
		return object{"frameIndex": 0, "showHeader": true, "cellHeight": "sm"}
	case Bars:
		return barOptions(p)
	case Gauge:
		return object{
			"displayMode": "gradient", "valueMode": "color", "namePlacement": "auto", "showUnfilled": true, "sizing": "auto",
			"minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 60, "orientation": "horizontal", "legend": legend("bottom", false), "reduceOptions": reduce(p),
		}
	case Pie:
		l := legend("right", true)
		l["displayMode"], l["values"] = "table", []string{"value", "percent"}
		return object{"pieType": "donut", "displayLabels": []string{}, "orientation": "auto", "tooltip": object{"mode": "single", "sort": "none"}, "legend": l, "reduceOptions": reduce(p)}
	case Heatmap:
		return heatmapOptions(p)
	}
	return object{"mode": "markdown", "content": p.Text}
}

func legend(place string, show bool) object {
	return object{"displayMode": "list", "placement": place, "showLegend": show, "calcs": []string{}}
}

func reduce(p Panel) object {
	return object{"calcs": []string{"lastNotNull"}, "fields": "", "values": byRow(p)}
}

func statOptions(p Panel) object {
	o := object{
		"graphMode": "none", "colorMode": "value", "justifyMode": "auto", "textMode": "auto", "wideLayout": true, "orientation": "auto",
		"showPercentChange": false, "percentChangeColorMode": "standard", "reduceOptions": reduce(p),
	}
	if overTime(p) {
		o["graphMode"] = "area"
	}
	return o
}

func barOptions(p Panel) object {
	stacking, orientation := "none", "horizontal"
	if p.Stack {
		stacking = "normal"
	}
	if p.Columns[0] == "time" || p.Columns[0] == "day" {
		orientation = "vertical"
	}
	return object{
		"xField": p.Columns[0], "orientation": orientation, "stacking": stacking, "showValue": "auto", "barWidth": 0.8, "groupWidth": 0.7,
		"xTickLabelRotation": 0, "xTickLabelMaxLength": 40, "xTickLabelSpacing": 0, "fullHighlight": false,
		"legend": legend("bottom", len(p.Columns) > 2), "tooltip": object{"mode": "multi", "sort": "none"},
	}
}

func heatmapOptions(p Panel) object {
	return object{
		"calculate": false, "cellGap": 1, "showValue": "never", "rowsFrame": object{"layout": "auto"}, "cellValues": object{"unit": p.Unit},
		"color":  object{"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "exponent": 0.5, "steps": 64, "reverse": false},
		"yAxis":  object{"axisPlacement": "left"},
		"legend": object{"show": true}, "tooltip": object{"mode": "single", "yHistogram": false}, "exemplars": object{"color": "rgba(255,0,255,0.7)"},
	}
}

// defaults are what holds for every column of a panel.
func defaults(p Panel) object {
	o := object{"color": color(p), "mappings": []object{}, "noValue": noValue(p), "thresholds": thresholds(p.Thresholds)}
	if p.Unit != "" {
		o["unit"] = p.Unit
	}
	if d, ok := decimals(p.Unit); ok {
		o["decimals"] = d
	}
	if p.Kind == Gauge {
		o["min"] = 0
	}
	if p.Unit == "percentunit" && slices.Contains([]Kind{Gauge, TimeSeries}, p.Kind) {
		o["min"], o["max"] = 0, 1
	}
	if p.By != "" {
		o["displayName"] = "${__field.labels." + p.By + "}"
	}
	if c := custom(p); c != nil {
		o["custom"] = c
	}
	return o
}

func noValue(p Panel) string {
	if p.Kind == Stat {
		return noNumber
	}
	return nothingText
}

// decimals are set where Grafana's own choice shows more digits than anybody reads.
func decimals(unit string) (int, bool) {
	switch unit {
	case "percentunit", "percent", "reqps", "ms":
		return 1, true
	}
	return 0, false
}

func color(p Panel) object {
	switch {
	case p.Kind == Pie, p.Kind == TimeSeries, p.Kind == Bars && len(p.Thresholds) == 0:
		return object{"mode": "palette-classic"}
	}
	return object{"mode": "thresholds"}
}

func thresholds(in []Threshold) object {
	if len(in) == 0 {
		in = []Threshold{{Color: "text"}}
	}
	steps := list(in, func(t Threshold) object { return object{"color": t.Color, "value": t.Value} })
	steps[0]["value"] = nil
	return object{"mode": "absolute", "steps": steps}
}

// custom are the settings of a kind's own.
func custom(p Panel) object {
	switch p.Kind {
	case TimeSeries:
		return seriesSettings(p)
	case Table:
		return object{"align": "auto", "filterable": true, "inspect": false, "displayMode": "auto", "cellOptions": object{"type": "auto"}}
	case Bars:
		return object{"fillOpacity": 80, "lineWidth": 0, "gradientMode": "none", "axisPlacement": "auto", "axisLabel": ""}
	}
	return nil
}

// seriesSettings draws what adds up as stacked bars, and everything else as lines.
func seriesSettings(p Panel) object {
	o := object{
		"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": 8, "gradientMode": "none", "showPoints": "auto", "pointSize": 4,
		"spanNulls": false, "axisPlacement": "auto", "axisLabel": "", "axisSoftMin": 0, "scaleDistribution": object{"type": "linear"},
		"stacking": object{"mode": "none", "group": "A"}, "thresholdsStyle": object{"mode": "off"},
	}
	if p.Stack {
		o["drawStyle"], o["lineWidth"], o["fillOpacity"], o["showPoints"] = "bars", 0, 80, "never"
		o["stacking"] = object{"mode": "normal", "group": "A"}
	}
	if len(p.Thresholds) > 1 {
		o["thresholdsStyle"] = object{"mode": "dashed"}
	}
	return o
}
