package coverage

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteJSON writes the matrix as one JSON object.
func (m *Matrix) WriteJSON(w io.Writer) error {
	return encode(w, m)
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	return nil
}

// WriteMarkdown writes the matrix as two tables. Rule ids and names hold no character that means anything in Markdown, because rules
// with others are not loaded.
func (m *Matrix) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## OWASP API Security Top 10 2023\n\n%d of 10 risks have a rule.\n\n| Risk | Rules |\n| --- | --- |\n", m.Covered())
	for _, r := range m.OWASP {
		fmt.Fprintf(&b, "| [%s](%s) %s | %s |\n", r.ID, r.URL, r.Name, codes(r.Rules, "**gap**"))
	}
	fmt.Fprintf(&b, "\n## MITRE ATT&CK\n\nEnterprise, version %s.\n\n| Technique | Tactics | Rules |\n| --- | --- | --- |\n", AttackVersion)
	for _, t := range m.ATTACK {
		fmt.Fprintf(&b, "| [%s](%s) %s | %s | %s |\n", t.ID, t.URL, t.Name, strings.Join(t.Tactics, ", "), codes(t.Rules, ""))
	}
	if len(m.Untagged) > 0 {
		fmt.Fprintf(&b, "\nWithout such a tag: %s.\n", codes(m.Untagged, ""))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func codes(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return "`" + strings.Join(list, "`, `") + "`"
}

// The parts of an ATT&CK Navigator layer, format 4.5:
// https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/v4.5/layerformat.md.
type (
	layer struct {
		Name        string           `json:"name"`
		Versions    versions         `json:"versions"`
		Domain      string           `json:"domain"`
		Description string           `json:"description"`
		Filters     filters          `json:"filters"`
		Sorting     int              `json:"sorting"`
		Layout      layout           `json:"layout"`
		HideOff     bool             `json:"hideDisabled"`
		Techniques  []layerTechnique `json:"techniques"`
		Gradient    gradient         `json:"gradient"`
		Legend      []legendItem     `json:"legendItems"`
		ShowTactics bool             `json:"showTacticRowBackground"`
		Select      bool             `json:"selectTechniquesAcrossTactics"`
		SelectSubs  bool             `json:"selectSubtechniquesWithParent"`
	}
	versions struct {
		Attack    string `json:"attack"`
		Navigator string `json:"navigator"`
		Layer     string `json:"layer"`
	}
	filters struct {
		Platforms []string `json:"platforms"`
	}
	layout struct {
		Layout    string `json:"layout"`
		Aggregate string `json:"aggregateFunction"`
		ShowID    bool   `json:"showID"`
		ShowName  bool   `json:"showName"`
	}
	layerTechnique struct {
		ID       string `json:"techniqueID"`
		Score    int    `json:"score"`
		Comment  string `json:"comment"`
		Enabled  bool   `json:"enabled"`
		ShowSubs bool   `json:"showSubtechniques"`
	}
	gradient struct {
		Colors []string `json:"colors"`
		Min    int      `json:"minValue"`
		Max    int      `json:"maxValue"`
	}
	legendItem struct {
		Label string `json:"label"`
		Color string `json:"color"`
	}
)

// WriteNavigator writes a layer for MITRE's ATT&CK Navigator: a technique's score is how many rules look for it, its comment names
// them. A technique whose sub-technique is covered is shown opened.
func (m *Matrix) WriteNavigator(w io.Writer) error {
	l := layer{Name: "Warder rules", Versions: versions{AttackVersion, "5.1.0", "4.5"}, Domain: "enterprise-attack",
		Description: fmt.Sprintf("What %d Warder rules look for; the score is the number of rules.", m.Rules),
		Filters:     filters{[]string{"Linux", "Windows", "macOS", "Containers", "IaaS", "SaaS"}},
		Layout:      layout{Layout: "side", Aggregate: "max", ShowName: true, ShowID: true}, Techniques: []layerTechnique{},
		Gradient: gradient{Colors: []string{"#e8f1fa", "#1f6fb2"}, Min: 0, Max: 1},
		Legend:   []legendItem{{"at least one rule", "#1f6fb2"}}, ShowTactics: true}
	open := map[string]bool{}
	for _, t := range m.ATTACK {
		if parent, _, sub := strings.Cut(t.ID, "."); sub {
			open[parent] = true
		}
		l.Gradient.Max = max(l.Gradient.Max, len(t.Rules))
	}
	listed := map[string]bool{}
	for _, t := range m.ATTACK {
		listed[t.ID] = true
	}
	for _, t := range m.ATTACK {
		if parent, _, sub := strings.Cut(t.ID, "."); sub && !listed[parent] {
			listed[parent] = true
			l.Techniques = append(l.Techniques, layerTechnique{ID: parent, Enabled: true, ShowSubs: true, Comment: "see the sub-techniques"})
		}
		l.Techniques = append(l.Techniques, layerTechnique{ID: t.ID, Score: len(t.Rules), Comment: strings.Join(t.Rules, ", "), Enabled: true, ShowSubs: open[t.ID]})
	}
	return encode(w, l)
}
