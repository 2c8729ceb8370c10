package history

import "time"

// Access is something that a person or a token did: what they looked for, changed or were refused.
type Access struct {
	Time    time.Time // milliseconds
	Actor   string    // "person:<name>", "token:<name>"
	Action  string    // "alert.triage", "events.search", …: few different ones
	Subject string    // what it was done to, such as an alert's id
	Detail  string    // whatever else a reader of the log wants to know
}
