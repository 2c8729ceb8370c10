package store

// SetStep has f called before each step of a block: "journal", "events", "rollups", "done", "recover".
func (w *EventWriter) SetStep(f func(name string) error) { w.step = f }
