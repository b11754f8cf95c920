package expression

import "net/url"

// Functions that give the address at which somebody outside answers a step.
const (
	ApprovalURL = "approval_url"
	CallbackURL = "callback_url"
)

var linkFunctions = []Function{
	{
		Name: ApprovalURL, Group: "links", Signature: "approval_url(step)", min: 1, max: 1, call: link,
		Summary: "Gives the address of the page on which an `approve` step of this run is answered. Whoever has it can answer.",
		Example: `approval_url("ask")`,
	},
	{
		Name: CallbackURL, Group: "links", Signature: "callback_url(step)", min: 1, max: 1, call: link,
		Summary: "Gives the address that lets a `wait` step with a callback of this run go on. Whoever has it can call it.",
		Example: `callback_url("paid")`,
	},
}

func isLink(name string) bool { return name == ApprovalURL || name == CallbackURL }

func link(m *machine, s *site, args []any) (any, error) {
	step, err := s.textOf(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	if err := m.grow(512); err != nil {
		return nil, err
	}
	if m.env.Link == nil {
		return "https://bellhop.example/" + s.name + "/" + url.PathEscape(step), nil
	}
	address, err := m.env.Link(s.name, step)
	if err != nil {
		return nil, faultf("%v", err)
	}
	return address, nil
}
