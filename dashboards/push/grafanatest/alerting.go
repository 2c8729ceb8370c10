package grafanatest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const provisioning = "/api/v1/provisioning"

func (s *Server) alerting(mux *http.ServeMux) {
	mux.HandleFunc("GET "+provisioning+"/alert-rules", s.listRules)
	mux.HandleFunc("GET "+provisioning+"/alert-rules/{uid}", s.getRule)
	mux.HandleFunc("POST "+provisioning+"/alert-rules", s.newRule)
	mux.HandleFunc("PUT "+provisioning+"/alert-rules/{uid}", s.setRule)
	mux.HandleFunc("DELETE "+provisioning+"/alert-rules/{uid}", s.deleteRule)
	mux.HandleFunc("GET "+provisioning+"/folder/{folder}/rule-groups/{group}", s.getGroup)
	mux.HandleFunc("GET "+provisioning+"/contact-points", s.getContacts)
	mux.HandleFunc("POST "+provisioning+"/contact-points", s.newContact)
	mux.HandleFunc("PUT "+provisioning+"/contact-points/{uid}", s.setContact)
	mux.HandleFunc("GET "+provisioning+"/policies", s.getPolicies)
	mux.HandleFunc("GET "+provisioning+"/templates/{name}", s.getTemplate)
	mux.HandleFunc("PUT "+provisioning+"/templates/{name}", s.setTemplate)
}

// ChangeRule sets a field of an alert rule; provenance is one.
func (s *Server) ChangeRule(uid, field string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules[uid][field] = value
}

// PutRule makes an alert rule.
func (s *Server) PutRule(uid, title, folder, group, provenance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules[uid] = object{"id": s.nextID(), "uid": uid, "title": title, "folderUID": folder, "ruleGroup": group, "provenance": provenance, "for": "5m"}
	s.order = append(s.order, uid)
}

// Rules returns the uids of the alert rules in a group, sorted.
func (s *Server) Rules(folder, group string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for uid, r := range s.rules {
		if text(r, "folderUID") == folder && text(r, "ruleGroup") == group {
			out = append(out, uid)
		}
	}
	slices.Sort(out)
	return out
}

// listRules is not in Grafana 9.3.
func (s *Server) listRules(w http.ResponseWriter, _ *http.Request) {
	if s.old() {
		reply(w, http.StatusNotFound, object{"message": "Not found"})
		return
	}
	out := []object{}
	for _, uid := range s.order {
		out = append(out, s.rules[uid])
	}
	reply(w, http.StatusOK, out)
}

func (s *Server) getRule(w http.ResponseWriter, r *http.Request) {
	rule, ok := s.rules[r.PathValue("uid")]
	if !ok {
		reply(w, http.StatusNotFound, nil)
		return
	}
	reply(w, http.StatusOK, rule)
}

// stored is a rule as Grafana keeps it: durations in their shortest form, limits filled in for each query, its own fields set.
func (s *Server) stored(in object) object {
	in["updated"], in["provenance"], in["orgID"] = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC3339), s.provenance, 1
	in["folderUID"] = text(in, "folderUid")
	delete(in, "folderUid")
	delete(in, "orgId")
	in["for"] = shortest(text(in, "for"))
	data, _ := in["data"].([]any)
	for _, q := range data {
		query, _ := q.(object)
		model, _ := query["model"].(object)
		for k, v := range map[string]float64{"intervalMs": 1000, "maxDataPoints": 43200} {
			if model[k] == nil {
				model[k] = v
			}
		}
		query["queryType"] = text(query, "queryType")
	}
	if s.old() {
		delete(in, "isPaused")
	}
	return in
}

func shortest(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	out := d.String()
	if strings.HasSuffix(out, "m0s") {
		out = strings.TrimSuffix(out, "0s")
	}
	if strings.HasSuffix(out, "h0m") {
		out = strings.TrimSuffix(out, "0m")
	}
	return out
}

func (s *Server) newRule(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	uid := text(in, "uid")
	if _, twice := s.rules[uid]; twice {
		if s.old() {
			reply(w, http.StatusInternalServerError, object{"message": "failed to insert new rules: UNIQUE constraint failed: alert_rule.org_id, alert_rule.uid"})
			return
		}
		reply(w, http.StatusConflict, object{"message": "a conflicting alert rule is found: rule under the same organisation and folder already exists"})
		return
	}
	if s.folders[text(in, "folderUid")] == nil {
		reply(w, http.StatusBadRequest, object{"message": "invalid alert rule: folder does not exist"})
		return
	}
	for _, other := range s.rules {
		if text(other, "folderUID") == text(in, "folderUid") && other["title"] == in["title"] {
			reply(w, http.StatusInternalServerError, object{"message": "a conflicting alert rule is found: rule title under the same organisation and folder should be unique"})
			return
		}
	}
	in["id"] = s.nextID()
	s.rules[uid] = s.stored(in)
	s.order = append(s.order, uid)
	reply(w, http.StatusCreated, s.rules[uid])
}

func (s *Server) setRule(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	uid := r.PathValue("uid")
	old, ok := s.rules[uid]
	switch {
	case !ok:
		reply(w, http.StatusNotFound, nil)
	case text(old, "provenance") == "file":
		reply(w, http.StatusInternalServerError, object{"message": "cannot changed provenance from 'file' to 'api'"})
	default:
		in["id"] = old["id"]
		s.rules[uid] = s.stored(in)
		reply(w, http.StatusOK, s.rules[uid])
	}
}

func (s *Server) deleteRule(w http.ResponseWriter, r *http.Request) {
	uid := r.PathValue("uid")
	delete(s.rules, uid)
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == uid })
	reply(w, http.StatusNoContent, nil)
}

func (s *Server) getGroup(w http.ResponseWriter, r *http.Request) {
	rules := []object{}
	for _, uid := range s.order {
		rule := s.rules[uid]
		if text(rule, "folderUID") == r.PathValue("folder") && text(rule, "ruleGroup") == r.PathValue("group") {
			rules = append(rules, rule)
		}
	}
	if len(rules) == 0 {
		reply(w, http.StatusNotFound, object{"message": "rule group not found"})
		return
	}
	reply(w, http.StatusOK, object{"title": r.PathValue("group"), "folderUid": r.PathValue("folder"), "interval": 60, "rules": rules})
}

// Contacts returns the contact points as they are stored, secrets included.
func (s *Server) Contacts() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.contacts)
}

// secretSettings are hidden in answers, by type.
func secretSettings(kind string) []string {
	switch kind {
	case "slack":
		return []string{"url", "token"}
	case "webhook":
		return []string{"password", "authorization_credentials"}
	}
	return nil
}

func (s *Server) getContacts(w http.ResponseWriter, r *http.Request) {
	out := []object{{"uid": "", "name": "grafana-default-email", "type": "email", "settings": object{"addresses": "<example@email.com>"}}}
	for _, c := range s.contacts {
		shown := maps.Clone(c)
		settings := maps.Clone(c["settings"].(object))
		for _, k := range secretSettings(text(c, "type")) {
			if settings[k] != nil {
				settings[k] = "[REDACTED]"
			}
		}
		shown["settings"] = settings
		out = append(out, shown)
	}
	name := r.URL.Query().Get("name")
	if !s.old() && name != "" {
		out = slices.DeleteFunc(out, func(c object) bool { return text(c, "name") != name })
	}
	reply(w, http.StatusOK, out)
}

// valid tells what is missing of a contact point.
func valid(c object) string {
	settings, _ := c["settings"].(object)
	need := map[string]string{"email": "addresses", "webhook": "url", "slack": "url"}[text(c, "type")]
	switch {
	case need == "":
		return "contact point is not valid: unknown integration type " + text(c, "type")
	case text(settings, need) == "":
		return "contact point is not valid: could not find " + need + " in settings"
	}
	return ""
}

func (s *Server) newContact(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	if wrong := valid(in); wrong != "" {
		reply(w, http.StatusBadRequest, object{"message": wrong})
		return
	}
	for _, c := range s.contacts {
		if c["uid"] == in["uid"] {
			reply(w, http.StatusInternalServerError, object{"message": "receiver configuration validation failed: duplicate UID"})
			return
		}
	}
	in["provenance"] = s.provenance
	s.contacts = append(s.contacts, in)
	reply(w, http.StatusAccepted, in)
}

func (s *Server) setContact(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	for i, c := range s.contacts {
		if text(c, "uid") != r.PathValue("uid") {
			continue
		}
		settings, _ := in["settings"].(object)
		for k, v := range settings {
			if v == "[REDACTED]" {
				settings[k] = c["settings"].(object)[k]
			}
		}
		if wrong := valid(in); wrong != "" {
			reply(w, http.StatusBadRequest, object{"message": wrong})
			return
		}
		in["provenance"] = s.provenance
		s.contacts[i] = in
		reply(w, http.StatusAccepted, object{"message": "contactpoint updated"})
		return
	}
	reply(w, http.StatusNotFound, object{"message": "contact point not found"})
}

func (s *Server) getTemplate(w http.ResponseWriter, r *http.Request) {
	t, ok := s.templates[r.PathValue("name")]
	if !ok {
		reply(w, http.StatusNotFound, nil)
		return
	}
	reply(w, http.StatusOK, t)
}

// setTemplate keeps the text without blanks around it, inside a definition of its name if it defines nothing.
func (s *Server) setTemplate(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	name, body := r.PathValue("name"), strings.TrimSpace(text(in, "template"))
	if !strings.Contains(body, "{{ define") {
		body = "{{ define \"" + name + "\" }}\n  " + body + "\n{{ end }}"
	}
	s.templates[name] = object{"name": name, "template": body, "provenance": s.provenance}
	reply(w, http.StatusAccepted, s.templates[name])
}

// Route adds a notification policy that leads to a contact point.
func (s *Server) Route(receiver string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes = append(s.routes, object{"receiver": "grafana-default-email", "routes": []object{{"receiver": receiver,
		"object_matchers": [][]string{{"source", "=", "warder"}}}}})
}

func (s *Server) getPolicies(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, object{"receiver": "grafana-default-email", "group_by": []string{"grafana_folder", "alertname"}, "routes": s.routes})
}
