package push

import (
	"fmt"
	"net/http"
	"net/url"

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
