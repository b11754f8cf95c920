package workflow

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// Source reads a YAML file of another format under the limits and the rules of every file of the house, and collects
// what is wrong with it, each with its place.
type Source struct{ reporter }

// OpenSource begins to read a file. name is the file's name as problems show it.
func OpenSource(name string, src []byte) *Source { return &Source{newReporter(name, src)} }

// Document returns the root of the file, which is a mapping; nil when it cannot be read. what is the format in words,
// such as "connector".
func (s *Source) Document(src []byte, what string) *yaml.Node { return s.document(src, what) }

// Errorf reports a mistake at n; hint says what to do and may be empty.
func (s *Source) Errorf(n *yaml.Node, hint, format string, args ...any) {
	s.errorf(place(n), hint, format, args...)
}

// Warnf reports at n what may be meant so.
func (s *Source) Warnf(n *yaml.Node, hint, format string, args ...any) {
	s.warnf(place(n), hint, format, args...)
}

// Misread reports an expression of the scalar n that does not compile, at its place inside of the scalar.
func (s *Source) Misread(n *yaml.Node, what string, err error) { s.misread(n, what, err, "") }

// Whole reports a text that YAML ends in the middle of an expression; false: that is an error.
func (s *Source) Whole(n *yaml.Node) bool { return s.cut(n) }

// Object begins to read n as a mapping; what names it in messages, such as "an action".
func (s *Source) Object(n *yaml.Node, what string) *Object { return &Object{s.object(n, what)} }

// Text reads n as a text.
func (s *Source) Text(n *yaml.Node, what string) (string, bool) { return s.text(n, what) }

// List reads n as a list.
func (s *Source) List(n *yaml.Node, what string) []*yaml.Node { return s.list(n, what) }

// Data reads n as plain data.
func (s *Source) Data(n *yaml.Node) any { return s.data(n) }

// Problems returns what was collected, in the order of the file.
func (s *Source) Problems() Problems { return s.finish() }

// Known is a hint with the name that was probably meant, or with all of them.
func Known(word string, names []string) string { return known(word, names) }

// Object is a mapping whose keys are taken one by one. The keys asked for are the ones it may have.
type Object struct{ o *object }

// Keys are the keys as they stand.
func (o *Object) Keys() []*yaml.Node { return o.o.keys }

// Key returns the node of a key, or nil.
func (o *Object) Key(name string) *yaml.Node { return o.o.key(name) }

// Take returns the value of a key, which may be null; nil when the key is not there.
func (o *Object) Take(key string) *yaml.Node { return o.o.take(key) }

// Value is Take for a key that must have a value where it stands.
func (o *Object) Value(key string) *yaml.Node { return o.o.value(key) }

// Need is Value for a key that must be there.
func (o *Object) Need(key, hint string) *yaml.Node { return o.o.need(key, hint) }

// Text reads a text.
func (o *Object) Text(key string) string { return o.o.text(key) }

// Word reads one of a few words.
func (o *Object) Word(key, otherwise string, words ...string) string {
	return o.o.word(key, otherwise, words...)
}

// Bool reads true or false.
func (o *Object) Bool(key string, otherwise bool) bool { return o.o.boolean(key, otherwise) }

// Int reads a whole number from least to most.
func (o *Object) Int(key string, otherwise, least, most int) int {
	return o.o.whole(key, otherwise, least, most)
}

// Duration reads a span of time.
func (o *Object) Duration(key string, otherwise time.Duration) time.Duration {
	return o.o.duration(key, otherwise)
}

// Texts reads a list of texts.
func (o *Object) Texts(key string) []string {
	texts, _ := o.o.texts(key)
	return texts
}

// Done reports the keys that nobody asked for.
func (o *Object) Done() { o.o.done() }
