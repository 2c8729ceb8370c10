package syslog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/sinks/describe"
)

// The classes of OCSF 1.8 (https://schema.ocsf.io/1.8.0) that are written, and their categories.
const (
	ocsfVersion = "1.8.0"

	classFinding = 2004 // Detection Finding, category 2 Findings
	classHTTP    = 4002 // HTTP Activity, category 4 Network Activity
	classAPI     = 6003 // API Activity, category 6 Application Activity

	statusNew     = 1 // of a finding
	statusSuccess = 1 // of an activity
	statusFailure = 2
)

// The types below hold the attributes that are written; their names are the schema's.

type ocsfBase struct {
	ActivityID  int          `json:"activity_id"`
	CategoryUID int          `json:"category_uid"`
	ClassUID    int          `json:"class_uid"`
	TypeUID     int          `json:"type_uid"`
	SeverityID  int          `json:"severity_id"`
	Time        int64        `json:"time"` // ms
	Metadata    ocsfMetadata `json:"metadata"`
	StatusID    int          `json:"status_id,omitempty"`
	StatusCode  string       `json:"status_code,omitempty"`
	Message     string       `json:"message,omitempty"`
}

func base(class, activity, severity int, uid string) ocsfBase {
	return ocsfBase{ActivityID: activity, CategoryUID: class / 1000, ClassUID: class, TypeUID: class*100 + activity, SeverityID: severity,
		Metadata: ocsfMetadata{Version: ocsfVersion, UID: uid, Product: ocsfProduct{Name: "Warder", Vendor: "Warder"}}}
}

type ocsfMetadata struct {
	Version string      `json:"version"`
	UID     string      `json:"uid,omitempty"`
	Product ocsfProduct `json:"product"`
}

type ocsfProduct struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type ocsfEndpoint struct {
	IP       string        `json:"ip,omitempty"`
	Port     uint16        `json:"port,omitempty"`
	Hostname string        `json:"hostname,omitempty"`
	Name     string        `json:"name,omitempty"`
	Location *ocsfLocation `json:"location,omitempty"`
	AS       *ocsfAS       `json:"autonomous_system,omitempty"`
}

type ocsfLocation struct {
	Country string `json:"country"`
}

type ocsfAS struct {
	Number uint32 `json:"number"`
}

type ocsfURL struct {
	Hostname string `json:"hostname,omitempty"`
	Path     string `json:"path,omitempty"`
	Query    string `json:"query_string,omitempty"`
}

type ocsfRequest struct {
	Method    string   `json:"http_method,omitempty"`
	URL       *ocsfURL `json:"url,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
	Referrer  string   `json:"referrer,omitempty"`
	Version   string   `json:"version,omitempty"`
	UID       string   `json:"uid,omitempty"`
	Length    int64    `json:"length,omitempty"`
}

type ocsfResponse struct {
	Code    int    `json:"code"`
	Length  int64  `json:"length,omitempty"`
	Latency int64  `json:"latency,omitempty"` // ms
	Type    string `json:"content_type,omitempty"`
}

type ocsfActor struct {
	User ocsfUser `json:"user"`
}

type ocsfUser struct {
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
}

type ocsfAPI struct {
	Operation string       `json:"operation"`
	Version   string       `json:"version,omitempty"`
	Service   *ocsfService `json:"service,omitempty"`
}

type ocsfService struct {
	Name string `json:"name"`
}

// ocsfActivity is HTTP Activity and API Activity: the latter has an actor and an API.
type ocsfActivity struct {
	ocsfBase
	Actor    *ocsfActor     `json:"actor,omitempty"`
	API      *ocsfAPI       `json:"api,omitempty"`
	Src      *ocsfEndpoint  `json:"src_endpoint,omitempty"`
	Dst      *ocsfEndpoint  `json:"dst_endpoint,omitempty"`
	Request  *ocsfRequest   `json:"http_request,omitempty"`
	Response *ocsfResponse  `json:"http_response,omitempty"`
	Unmapped *ocsfEventRest `json:"unmapped,omitempty"`
}

// ocsfEventRest is what the schema has no place for.
type ocsfEventRest struct {
	Tap        string `json:"tap"`
	Route      string `json:"route,omitempty"`
	Auth       string `json:"auth_outcome,omitempty"`
	AuthReason string `json:"auth_reason,omitempty"`
	Decision   string `json:"enforced_by,omitempty"`
	Action     string `json:"enforced_action,omitempty"`
}

type ocsfFinding struct {
	ocsfBase
	IsAlert   bool             `json:"is_alert"`
	Info      ocsfFindingInfo  `json:"finding_info"`
	Evidences []ocsfEvidence   `json:"evidences,omitempty"`
	Observed  []ocsfObservable `json:"observables,omitempty"`
	StartTime int64            `json:"start_time"`
	EndTime   int64            `json:"end_time"`
	Count     int64            `json:"count"`
	Unmapped  ocsfAlertRest    `json:"unmapped"`
}

type ocsfFindingInfo struct {
	UID       string       `json:"uid"`
	Title     string       `json:"title"`
	Desc      string       `json:"desc,omitempty"`
	Created   int64        `json:"created_time"`
	FirstSeen int64        `json:"first_seen_time"`
	LastSeen  int64        `json:"last_seen_time"`
	Analytic  ocsfAnalytic `json:"analytic"`
	Types     []string     `json:"types,omitempty"`
}

type ocsfAnalytic struct {
	TypeID  int    `json:"type_id"` // 1: rule
	UID     string `json:"uid"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type ocsfEvidence struct {
	Src      *ocsfEndpoint `json:"src_endpoint,omitempty"`
	Actor    *ocsfActor    `json:"actor,omitempty"`
	Request  *ocsfRequest  `json:"http_request,omitempty"`
	Response *ocsfResponse `json:"http_response,omitempty"`
}

type ocsfObservable struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"` // 2: IP address, 4: user name
	Value  string `json:"value"`
}

type ocsfAlertRest struct {
	Group  map[string]string  `json:"group"`
	Values map[string]float64 `json:"values"`
	Texts  map[string]string  `json:"texts,omitempty"`
	Events []string           `json:"events"`
	Mode   string             `json:"mode"`
}

// encodeOCSF writes one line of JSON with the characters as they are. The types above always encode.
func encodeOCSF(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "{}"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func ocsfSeverity(s alert.Severity) int { return s.Rank() + 1 } // 1 informational … 5 critical

// ocsfMethods numbers HTTP Activity's activities.
func ocsfMethod(method string) int {
	for i, m := range [...]string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PATCH"} {
		if m == method {
			return i + 1
		}
	}
	return 99 // other
}

// ocsfCRUD numbers API Activity's activities: create, read, update, delete.
func ocsfCRUD(method string) int {
	switch method {
	case "POST":
		return 1
	case "GET", "HEAD", "OPTIONS":
		return 2
	case "PUT", "PATCH":
		return 3
	case "DELETE":
		return 4
	}
	return 99
}

// ocsfEvent writes an event as API Activity when somebody was authenticated and the source is known, else as HTTP Activity.
func ocsfEvent(e *event.Event, text int) string {
	cut := func(s string) string { return clean(s, text) }
	asAPI := e.Principal.ID != "" && e.Auth.Outcome == "success" && e.Source.Address.IsValid()
	severity := 1
	if e.Auth.Outcome == "failure" || e.Refused() {
		severity = 2
	}
	a := ocsfActivity{
		Src: source(e),
		Dst: &ocsfEndpoint{Hostname: cut(e.Request.Host), Name: cut(first(e.API.Name, first(e.Request.Host, e.Tap)))},
		Request: &ocsfRequest{Method: cut(e.Request.Method), UserAgent: cut(e.Request.UserAgent), Referrer: cut(e.Request.Referer),
			Version: cut(e.Request.Protocol), UID: cut(e.Request.ID), Length: e.Request.Size,
			URL: &ocsfURL{Hostname: cut(e.Request.Host), Path: first(cut(e.Request.Path), "/"), Query: cut(e.Request.Query)}},
		Response: &ocsfResponse{Code: e.Response.Code, Length: e.Response.Size, Latency: e.Request.Duration.Milliseconds(), Type: cut(e.Response.ContentType)},
		Unmapped: &ocsfEventRest{Tap: cut(e.Tap), Route: cut(e.API.Route), Auth: cut(e.Auth.Outcome), AuthReason: cut(e.Auth.Reason),
			Decision: cut(e.Enforced.By), Action: cut(e.Enforced.Action)},
	}
	if asAPI {
		a.ocsfBase = base(classAPI, ocsfCRUD(e.Request.Method), severity, e.ID.String())
		a.Actor = &ocsfActor{User: ocsfUser{UID: cut(e.Principal.ID), Type: cut(e.Principal.Type)}}
		a.API = &ocsfAPI{Operation: cut(strings.TrimSpace(e.Request.Method + " " + first(e.API.Route, e.Request.Path))), Version: cut(e.API.Version)}
		if e.API.Name != "" {
			a.API.Service = &ocsfService{Name: cut(e.API.Name)}
		}
	} else {
		a.ocsfBase = base(classHTTP, ocsfMethod(e.Request.Method), severity, e.ID.String())
	}
	a.Time = e.Time.UnixMilli()
	a.StatusID = statusSuccess
	if e.Response.Code >= 400 {
		a.StatusID = statusFailure
	}
	return encodeOCSF(a)
}

func source(e *event.Event) *ocsfEndpoint {
	if !e.Source.Address.IsValid() {
		return nil
	}
	s := &ocsfEndpoint{IP: e.Source.Address.String(), Port: e.Source.Port}
	if e.Source.Country != "" {
		s.Location = &ocsfLocation{Country: clean(e.Source.Country, 2)}
	}
	if e.Source.ASN != 0 {
		s.AS = &ocsfAS{Number: e.Source.ASN}
	}
	return s
}

func ocsfAlert(a *alert.Alert, text int) string {
	cut := func(s string) string { return clean(s, text) }
	f := ocsfFinding{
		ocsfBase: base(classFinding, 1, ocsfSeverity(a.Severity), clean(a.ID, 64)),
		IsAlert:  true,
		Info: ocsfFindingInfo{UID: clean(a.ID, 64), Title: cut(first(a.Title, a.Rule)), Desc: cut(a.Description), Created: a.Time.UnixMilli(),
			FirstSeen: a.Window.Start.UnixMilli(), LastSeen: a.Window.End.UnixMilli(), Types: cutAll(a.Tags, text),
			Analytic: ocsfAnalytic{TypeID: 1, UID: cut(a.Rule), Name: cut(first(a.Title, a.Rule)), Version: cut(a.RuleVersion)}},
		StartTime: a.Window.Start.UnixMilli(), EndTime: a.Window.End.UnixMilli(), Count: a.EventCount,
		Unmapped: ocsfAlertRest{Group: make(map[string]string), Values: make(map[string]float64), Events: evidence(a, text), Mode: cut(string(a.Mode))},
	}
	f.Time, f.StatusID, f.Message = a.Time.UnixMilli(), statusNew, cut(describe.Sentence(a))
	for _, g := range pairList(a.Group) {
		f.Unmapped.Group[cut(g)] = cut(a.Group[g])
	}
	for _, v := range pairList(a.Values) {
		f.Unmapped.Values[cut(v)] = finite(a.Values[v])
	}
	for _, v := range pairList(a.Texts) {
		if f.Unmapped.Texts == nil {
			f.Unmapped.Texts = make(map[string]string)
		}
		f.Unmapped.Texts[cut(v)] = cut(a.Texts[v])
	}
	address, principal := a.Group["source.address"], a.Group["principal.id"]
	if a.Sample != nil {
		address, principal = first(address, a.Sample.Address), first(principal, a.Sample.Principal)
	}
	f.observe(address, cut(principal), a.Sample, cut)
	return encodeOCSF(f)
}

// observe adds who was seen, and the sample request as evidence. Evidence needs a source or an actor in the schema.
func (f *ocsfFinding) observe(address, principal string, s *alert.Sample, cut func(string) string) {
	var ev ocsfEvidence
	if ip, err := netip.ParseAddr(address); err == nil {
		ev.Src = &ocsfEndpoint{IP: ip.WithZone("").String()}
		f.Observed = append(f.Observed, ocsfObservable{Name: "evidences[].src_endpoint.ip", TypeID: 2, Value: ev.Src.IP})
	}
	if principal != "" {
		ev.Actor = &ocsfActor{User: ocsfUser{UID: principal}}
		f.Observed = append(f.Observed, ocsfObservable{Name: "evidences[].actor.user.uid", TypeID: 4, Value: principal})
	}
	if ev.Src == nil && ev.Actor == nil {
		return
	}
	if s != nil {
		ev.Request = &ocsfRequest{Method: cut(s.Method), UserAgent: cut(s.UserAgent),
			URL: &ocsfURL{Hostname: cut(s.Host), Path: first(cut(s.Path), "/"), Query: cut(s.Query)}}
		ev.Response = &ocsfResponse{Code: s.Code}
	}
	f.Evidences = []ocsfEvidence{ev}
}
