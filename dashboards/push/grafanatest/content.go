package grafanatest

import (
	"maps"
	"net/http"
	"strings"
)

// board is a dashboard and where it is.
type board struct {
	model       object
	folder      string // uid, "" is General
	provisioned bool
	message     string // of the version
}

func (s *Server) content(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/folders/{uid}", s.getFolder)
	mux.HandleFunc("POST /api/folders", s.newFolder)
	mux.HandleFunc("PUT /api/folders/{uid}", s.setFolder)
	mux.HandleFunc("GET /api/search", s.search)
	mux.HandleFunc("GET /api/datasources/uid/{uid}", s.getSource)
	mux.HandleFunc("GET /api/datasources/name/{name}", s.sourceByName)
	mux.HandleFunc("GET /api/datasources/uid/{uid}/health", s.sourceHealth)
	mux.HandleFunc("POST /api/datasources", s.newSource)
	mux.HandleFunc("PUT /api/datasources/uid/{uid}", s.setSource)
	mux.HandleFunc("GET /api/dashboards/uid/{uid}", s.getBoard)
	mux.HandleFunc("GET /api/dashboards/uid/{uid}/versions", s.getVersions)
	mux.HandleFunc("POST /api/dashboards/db", s.saveBoard)
}

// PutFolder makes a folder as somebody else would.
func (s *Server) PutFolder(uid, title string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders[uid] = object{"id": s.nextID(), "uid": uid, "title": title, "version": 1, "url": "/dashboards/f/" + uid}
}

func (s *Server) getFolder(w http.ResponseWriter, r *http.Request) {
	f, ok := s.folders[r.PathValue("uid")]
	if !ok {
		reply(w, http.StatusNotFound, object{"message": "folder not found", "status": "not-found"})
		return
	}
	reply(w, http.StatusOK, f)
}

func (s *Server) newFolder(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	uid, title := text(in, "uid"), text(in, "title")
	if _, twice := s.folders[uid]; twice || s.folderTitled(title, uid) {
		status := http.StatusConflict
		if s.old() {
			status = http.StatusPreconditionFailed
		}
		reply(w, status, object{"message": "The folder has been changed by someone else", "status": "version-mismatch"})
		return
	}
	s.folders[uid] = object{"id": s.nextID(), "uid": uid, "title": title, "version": 1, "url": "/dashboards/f/" + uid, "hasAcl": false,
		"canSave": true, "canEdit": true, "canAdmin": true, "createdBy": "sa-warder", "updatedBy": "sa-warder"}
	reply(w, http.StatusOK, s.folders[uid])
}

func (s *Server) folderTitled(title, except string) bool {
	for uid, f := range s.folders {
		if uid != except && text(f, "title") == title {
			return true
		}
	}
	return false
}

func (s *Server) setFolder(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	uid := r.PathValue("uid")
	switch {
	case s.folders[uid] == nil:
		reply(w, http.StatusNotFound, object{"message": "folder not found", "status": "not-found"})
	case s.folderTitled(text(in, "title"), uid):
		reply(w, http.StatusConflict, object{"message": "a folder or dashboard in the general folder with the same name already exists"})
	default:
		s.folders[uid]["title"] = in["title"]
		reply(w, http.StatusOK, s.folders[uid])
	}
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	out := []object{}
	for uid, f := range s.folders {
		if strings.Contains(strings.ToLower(text(f, "title")), strings.ToLower(r.URL.Query().Get("query"))) {
			out = append(out, object{"id": f["id"], "uid": uid, "title": f["title"], "type": "dash-folder", "url": f["url"]})
		}
	}
	reply(w, http.StatusOK, out)
}

// PutSource makes a data source as somebody else, or a file of Grafana's provisioning, would.
func (s *Server) PutSource(uid, name, kind string, readOnly bool, settings map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources[uid] = object{"id": s.nextID(), "uid": uid, "name": name, "type": kind, "access": "proxy", "readOnly": readOnly,
		"jsonData": settings, "secureJsonFields": object{}, "version": 1, "isDefault": false}
}

// Source returns what is stored of a data source, secrets included.
func (s *Server) Source(uid string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.sources[uid])
}

func (s *Server) getSource(w http.ResponseWriter, r *http.Request) {
	s.showSource(w, s.sources[r.PathValue("uid")])
}

func (s *Server) sourceByName(w http.ResponseWriter, r *http.Request) {
	for _, d := range s.sources {
		if text(d, "name") == r.PathValue("name") {
			s.showSource(w, d)
			return
		}
	}
	s.showSource(w, nil)
}

func (s *Server) showSource(w http.ResponseWriter, d object) {
	if d == nil {
		reply(w, http.StatusNotFound, object{"message": "Data source not found"})
		return
	}
	shown := maps.Clone(d)
	delete(shown, "secrets")
	fields := object{}
	if secrets, ok := d["secrets"].(object); ok {
		for k := range secrets {
			fields[k] = true
		}
	}
	shown["secureJsonFields"] = fields
	reply(w, http.StatusOK, shown)
}

func (s *Server) sourceHealth(w http.ResponseWriter, r *http.Request) {
	d := s.sources[r.PathValue("uid")]
	if secrets, ok := d["secrets"].(object); !ok || secrets["password"] == nil {
		reply(w, http.StatusBadRequest, object{"status": "ERROR", "message": "code: 516, message: warder: Authentication failed: password is incorrect"})
		return
	}
	reply(w, http.StatusOK, object{"status": "OK", "message": "Data source is working"})
}

func (s *Server) newSource(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	uid := text(in, "uid")
	if _, twice := s.sources[uid]; twice {
		reply(w, http.StatusConflict, object{"message": "data source with the same uid already exists", "traceID": ""})
		return
	}
	for _, d := range s.sources {
		if d["name"] == in["name"] {
			reply(w, http.StatusConflict, object{"message": "data source with the same name already exists", "traceID": ""})
			return
		}
	}
	in["id"], in["version"], in["readOnly"] = s.nextID(), 1, false
	s.keepSecrets(in, nil)
	s.sources[uid] = in
	reply(w, http.StatusOK, object{"id": in["id"], "message": "Datasource added", "name": in["name"]})
}

// keepSecrets puts secrets where they are not shown; those that are not sent stay.
func (s *Server) keepSecrets(in, had object) {
	kept := object{}
	if old, ok := had["secrets"].(object); ok {
		maps.Copy(kept, old)
	}
	if sent, ok := in["secureJsonData"].(object); ok {
		maps.Copy(kept, sent)
	}
	delete(in, "secureJsonData")
	in["secrets"] = kept
}

func (s *Server) setSource(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	uid := r.PathValue("uid")
	had := s.sources[uid]
	switch {
	case had == nil:
		reply(w, http.StatusNotFound, object{"message": "Data source not found"})
	case had["readOnly"] == true:
		reply(w, http.StatusForbidden, object{"message": "Cannot update read-only data source"})
	default:
		in["id"], in["readOnly"] = had["id"], false
		s.keepSecrets(in, had)
		s.sources[uid] = in
		reply(w, http.StatusOK, object{"id": in["id"], "message": "Datasource updated", "name": in["name"]})
	}
}

// PutBoard makes a dashboard as somebody else, or a file of Grafana's provisioning, would.
func (s *Server) PutBoard(uid, title, folder string, provisioned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boards[uid] = board{object{"id": s.nextID(), "uid": uid, "title": title, "version": 1.0}, folder, provisioned, ""}
}

// ChangeBoard sets a field of a dashboard, as a person in the browser would.
func (s *Server) ChangeBoard(uid, field string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boards[uid]
	b.model[field], b.message = value, ""
	b.model["version"] = b.model["version"].(float64) + 1
	s.boards[uid] = b
}

// Board returns a dashboard and the uid of its folder.
func (s *Server) Board(uid string) (model map[string]any, folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boards[uid]
	return maps.Clone(b.model), b.folder
}

func (s *Server) getBoard(w http.ResponseWriter, r *http.Request) {
	b, ok := s.boards[r.PathValue("uid")]
	if !ok {
		reply(w, http.StatusNotFound, object{"message": "Dashboard not found"})
		return
	}
	title := text(s.folders[b.folder], "title")
	if title == "" {
		title = "General"
	}
	reply(w, http.StatusOK, object{"dashboard": b.model, "meta": object{"folderUid": b.folder, "folderTitle": title, "provisioned": b.provisioned,
		"version": b.model["version"], "type": "db", "canSave": true, "slug": "x", "url": "/d/" + r.PathValue("uid") + "/x"}})
}

// getVersions knows the newest only.
func (s *Server) getVersions(w http.ResponseWriter, r *http.Request) {
	b := s.boards[r.PathValue("uid")]
	list := []object{{"id": 1, "dashboardId": b.model["id"], "version": b.model["version"], "message": b.message, "createdBy": "sa-warder"}}
	if strings.HasPrefix(s.Version, "12.") {
		reply(w, http.StatusOK, object{"continueToken": "", "versions": list})
		return
	}
	reply(w, http.StatusOK, list)
}

// saveBoard wants the version of a dashboard that is there, which it reads together with an id only.
func (s *Server) saveBoard(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	model, _ := in["dashboard"].(object)
	uid, title, folder := text(model, "uid"), text(model, "title"), text(in, "folderUid")
	if folder != "" && s.folders[folder] == nil {
		reply(w, http.StatusBadRequest, object{"message": "folder not found"})
		return
	}
	had, exists := s.boards[uid]
	version := 0.0
	if _, ok := model["id"].(float64); ok {
		version, _ = model["version"].(float64)
	}
	switch {
	case had.provisioned:
		reply(w, http.StatusBadRequest, object{"message": "Cannot save provisioned dashboard"})
		return
	case exists && version != had.model["version"] && in["overwrite"] != true:
		reply(w, http.StatusPreconditionFailed, object{"message": "The dashboard has been changed by someone else", "status": "version-mismatch"})
		return
	}
	for other, b := range s.boards {
		if other != uid && b.folder == folder && text(b.model, "title") == title {
			reply(w, http.StatusPreconditionFailed, object{"message": "A dashboard with the same name in the folder already exists", "status": "name-exists"})
			return
		}
	}
	if exists {
		model["id"] = had.model["id"]
	} else {
		model["id"] = s.nextID()
	}
	model["version"] = version + 1
	if s.Rewrite {
		model["schemaVersion"], model["panels"] = 42.0, []any{}
	}
	s.boards[uid] = board{model, folder, false, text(in, "message")}
	reply(w, http.StatusOK, object{"id": model["id"], "uid": uid, "slug": "x", "status": "success", "url": "/d/" + uid + "/x", "version": model["version"]})
}
