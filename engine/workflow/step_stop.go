package workflow

import "go.yaml.in/yaml/v4"

// stop reads `stop: {as, message}`.
func (r *reader) stop(n *yaml.Node, _ *object, sc scope) Do {
	end := &Stop{As: "succeeded"}
	if isNull(n) {
		return end
	}
	o := r.object(n, "stop")
	end.As = o.word("as", "succeeded", "succeeded", "failed", "filtered", "canceled")
	if message := o.value("message"); message != nil {
		end.Message = r.tree(message, "message", sc)
		if message.Kind != yaml.ScalarNode {
			r.errorf(place(message), "", "message is a text, this is %s", describe(message))
		}
	}
	o.done()
	return end
}
