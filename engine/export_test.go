package engine

// Draining is closed when Run has stopped claiming.
func (e *Engine) Draining() <-chan struct{} { return e.drain }
