package push

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	gapi "github.com/grafana/grafana-api-golang-client"

	"github.com/warder/warder/internal/console"
)

const folderPage = "/dashboards/f/" + FolderUID

func (p *planner) folder() error {
	title := p.want.Folder
	f, err := p.FolderByUID(FolderUID)
	switch {
	case err == nil:
		p.add("folder", title, folderPage, Update, differences(map[string]any{"title": title}, f), func(s *session) error {
			return taken(title, s.UpdateFolder(FolderUID, title))
		})
		return nil
	case !has(err, http.StatusNotFound):
		return err
	}
	found, err := p.FolderDashboardSearch(url.Values{"type": {"dash-folder"}, "query": {title}, "limit": {"1000"}})
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Title == title && f.FolderUID == "" {
			return fmt.Errorf("there is a folder %q already (uid %s) that Warder did not make: rename it, or choose another title with --folder",
				title, console.Clean(f.UID, 60))
		}
	}
	p.add("folder", title, folderPage, Create, nil, func(s *session) error {
		_, err := s.NewFolder(title, FolderUID)
		return taken(title, err)
	})
	return nil
}

// taken explains the answers to a title that is in use: 412 from Grafana 9, 409 from newer ones.
func taken(title string, err error) error {
	if has(err, http.StatusConflict, http.StatusPreconditionFailed) {
		return fmt.Errorf("%w; a folder or dashboard named %q may be there that the token cannot see: choose another title with --folder", plain(err), title)
	}
	return err
}

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
		_, err := s.NewDashboard(gapi.Dashboard{Model: model, FolderUID: FolderUID, Message: "warder dashboards push"})
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
