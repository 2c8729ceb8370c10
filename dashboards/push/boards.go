package push

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	gapi "github.com/grafana/grafana-api-golang-client"

	"github.com/warder/warder/internal/console"
)

func (p *planner) boards() error {
	for _, b := range p.want.Boards {
		if err := p.board(b); err != nil {
			return fmt.Errorf("dashboard %s: %w", b.UID, plain(err))
		}
	}
	return nil
}

func (p *planner) board(b Board) error {
	var have struct {
		Dashboard map[string]any `json:"dashboard"`
		Meta      struct {
			FolderUID   string `json:"folderUid"`
			FolderTitle string `json:"folderTitle"`
			Provisioned bool   `json:"provisioned"`
		} `json:"meta"`
	}
	link := "/d/" + b.UID
	err := p.get("/api/dashboards/uid/"+b.UID, nil, &have)
	if has(err, http.StatusNotFound) {
		p.add("dashboard", b.Title, link, Create, nil, saveBoard(b, nil))
		return nil
	}
	if err != nil {
		return err
	}
	if m := have.Meta; m.FolderUID != FolderUID {
		where := cmp.Or(m.FolderTitle, m.FolderUID, "General")
		return fmt.Errorf("its uid is in use by a dashboard in the folder \"%s\": move that into the folder \"%s\" in Grafana, or delete it, and push again",
			console.Clean(where, 120), console.Clean(p.want.Folder, 120))
	}
	fields := differences(b.Model, have.Dashboard)
	if len(fields) > 0 && p.rewritten(b, have.Dashboard["version"]) {
		fields = nil
	}
	if len(fields) > 0 && have.Meta.Provisioned {
		return errors.New("it comes from a file of Grafana's provisioning, which the API may not change: " +
			"update the file (`warder dashboards export` writes it), or take it away and push again")
	}
	p.add("dashboard", b.Title, link, Update, fields, saveBoard(b, have.Dashboard))
	return nil
}

// saveBoard writes the dashboard if the one in Grafana still is the one that was looked at, nil for none. Grafana takes the version for what
// it is only together with its own id.
func saveBoard(b Board, have map[string]any) func(*session) error {
	return func(s *session) error {
		model := maps.Clone(b.Model)
		model["id"], model["version"] = have["id"], have["version"]
		_, err := s.NewDashboard(gapi.Dashboard{Model: model, FolderUID: FolderUID, Message: b.message()})
		var a *Answer
		if !errors.As(err, &a) || a.Status != http.StatusPreconditionFailed {
			return err
		}
		if a.Reason == "name-exists" {
			return fmt.Errorf("%w: rename or delete that one, and push again", a)
		}
		return fmt.Errorf("%w: it was saved just now; push again to see the difference", a)
	}
}

// message is what a saved version says of itself: which model it was made of.
func (b Board) message() string {
	text, err := json.Marshal(b.Model)
	if err != nil {
		text = nil // was read from JSON
	}
	return fmt.Sprintf("warder dashboards push %x", sha256.Sum256(text))
}

// rewritten tells whether Grafana's current version is the wanted model as Grafana itself rewrote it: from version 12 on it brings
// dashboards to its own schema when it stores them. What cannot be found out is taken for a difference.
func (p *planner) rewritten(b Board, version any) bool {
	var raw json.RawMessage
	if err := p.get("/api/dashboards/uid/"+b.UID+"/versions", url.Values{"limit": {"1"}}, &raw); err != nil {
		return false
	}
	type saved struct {
		Version float64 `json:"version"`
		Message string  `json:"message"`
	}
	var list []saved
	var page struct {
		Versions []saved `json:"versions"` // of Grafana 11 and newer
	}
	if json.Unmarshal(raw, &list) != nil && json.Unmarshal(raw, &page) == nil {
		list = page.Versions
	}
	return slices.ContainsFunc(list, func(s saved) bool { return s.Version == version && s.Message == b.message() })
}
