package push

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	gapi "github.com/grafana/grafana-api-golang-client"

	"github.com/warder/warder/dashboards"
	"github.com/warder/warder/internal/console"
)

// Labels that every rule has, for notification policies to match.
const sourceLabel, sourceValue = "source", "warder"

// provisioned returns the rule as the provisioning API takes it: the query A, its last value B, and the condition C.
func (r *alertRule) provisioned() gapi.AlertRule {
	noData, failed := gapi.NoDataOk, gapi.ErrOK
	if r.Silent {
		noData, failed = gapi.NoDataAlerting, gapi.ErrAlerting
	}
	return gapi.AlertRule{
		UID: ownedRules + r.ID, Title: r.Title, FolderUID: FolderUID, RuleGroup: ruleGroup, OrgID: 1, Condition: "C", For: r.For,
		NoDataState: noData, ExecErrState: failed,
		Annotations: map[string]string{"summary": r.Summary, "description": r.Action, "dashboard": "/d/" + r.Board},
		Labels:      map[string]string{sourceLabel: sourceValue, "severity": r.Severity},
		Data: []*gapi.AlertQuery{
			{RefID: "A", DatasourceUID: DataSourceUID, QueryType: "table", RelativeTimeRange: seconds(r.Span), Model: map[string]any{
				"refId": "A", "datasource": map[string]any{"type": PluginID, "uid": DataSourceUID}, "pluginVersion": dashboards.PluginVersion,
				"editorType": "sql", "queryType": "table", "format": 1, "rawSql": r.Query, "intervalMs": 1000, "maxDataPoints": 43200}},
			expression("B", "reduce", "A", map[string]any{"reducer": "last"}),
			expression("C", "threshold", "B", map[string]any{"conditions": []any{map[string]any{"type": "query",
				"evaluator": map[string]any{"type": "gt", "params": []any{r.Above}}, "operator": map[string]any{"type": "and"},
				"query": map[string]any{"params": []any{"C"}}, "reducer": map[string]any{"type": "last", "params": []any{}}}}}),
		},
	}
}

func expression(ref, kind, of string, more map[string]any) *gapi.AlertQuery {
	const engine = "__expr__"
	model := map[string]any{"refId": ref, "type": kind, "expression": of, "datasource": map[string]any{"type": engine, "uid": engine},
		"intervalMs": 1000, "maxDataPoints": 43200}
	for k, v := range more {
		model[k] = v
	}
	return &gapi.AlertQuery{RefID: ref, DatasourceUID: engine, Model: model}
}

// seconds is a span until now. The API counts in seconds, although the library's type says nanoseconds.
func seconds(n int) gapi.RelativeTimeRange { return gapi.RelativeTimeRange{From: time.Duration(n)} }

// compared is what of a rule is compared: the rest (id, organisation, time of the change, provenance) is Grafana's.
func compared(r gapi.AlertRule) map[string]any {
	return map[string]any{"title": r.Title, "folderUid": r.FolderUID, "ruleGroup": r.RuleGroup, "condition": r.Condition, "for": span(r.For),
		"noDataState": r.NoDataState, "execErrState": r.ExecErrState, "annotations": r.Annotations, "labels": r.Labels, "data": r.Data,
		"isPaused": r.IsPaused}
}

// span is a duration in one form: Grafana writes 60s as 1m.
func span(text string) string {
	if d, err := time.ParseDuration(text); err == nil {
		return d.String()
	}
	return text
}

func (p *planner) rules() error {
	group, err := p.AlertRuleGroup(FolderUID, ruleGroup)
	if err != nil && !has(err, http.StatusNotFound) {
		return err
	}
	have := map[string]gapi.AlertRule{}
	for _, r := range group.Rules {
		have[r.UID] = r
	}
	for _, r := range alertRules() {
		want := r.provisioned()
		old, ok := have[want.UID]
		delete(have, want.UID)
		if !ok {
			// It may have been moved to another group; making it again would be refused.
			if old, err = p.AlertRule(want.UID); err != nil && !has(err, http.StatusNotFound) {
				return err
			}
			ok = err == nil
		}
		if err := p.rule(want, old, ok); err != nil {
			return err
		}
	}
	for _, uid := range keys(have) {
		if old := have[uid]; strings.HasPrefix(uid, ownedRules) && old.Provenance == "api" {
			p.add("alert rule", old.Title, "", Remove, nil, func(s *session) error { return s.DeleteAlertRule(uid) })
		}
	}
	return nil
}

func (p *planner) rule(want, old gapi.AlertRule, exists bool) error {
	link := "/alerting/grafana/" + want.UID + "/view"
	if !exists {
		p.add("alert rule", want.Title, link, Create, nil, func(s *session) error {
			_, err := s.NewAlertRule(&want)
			return err
		})
		return nil
	}
	fields := differences(compared(want), compared(old))
	if old.Provenance != "" && old.Provenance != "api" && len(fields) > 0 {
		return fmt.Errorf("alert rule %s comes from a file of Grafana's provisioning (provenance %s), which the API may not change: "+
			"update the file (`warder dashboards export` writes it), or take it away and push again", want.UID, console.Clean(old.Provenance, 20))
	}
	p.add("alert rule", want.Title, link, Update, fields, func(s *session) error {
		want.ID = old.ID
		return s.UpdateAlertRule(&want)
	})
	return nil
}
