package history

import "time"

// Access is who read personal data, or changed something, through the API.
type Access struct {
	Time    time.Time // milliseconds
	Actor   string    // person:<name of the token>
	Action  string    // for example events.search
	Subject string    // what was asked for or changed
	Detail  string    // how: the filter, the span
}
