package expression

import "context"

type Program struct{}
type Template struct{}

func Compile(src string, s *Scope) (*Program, error)                  { panic("stub") }
func CompileTemplate(src string, s *Scope) (*Template, error)         { panic("stub") }
func (p *Program) Source() string                                     { panic("stub") }
func (p *Program) Refs() []Ref                                        { panic("stub") }
func (p *Program) Eval(ctx context.Context, env *Env) (any, error)    { panic("stub") }
func (p *Program) Bool(ctx context.Context, env *Env) (bool, error)   { panic("stub") }
func (p *Program) Explain(ctx context.Context, env *Env) []Comparison { panic("stub") }
func (t *Template) Source() string                                    { panic("stub") }
func (t *Template) Refs() []Ref                                       { panic("stub") }
func (t *Template) Eval(ctx context.Context, env *Env) (any, error)   { panic("stub") }
func (t *Tree) Eval(ctx context.Context, env *Env) (any, error)       { panic("stub") }
func (t *Tree) Refs() []Ref                                           { panic("stub") }
