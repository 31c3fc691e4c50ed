package asl

import (
	"encoding/json"
	"fmt"
	"strings"
)

// call is a call of an intrinsic function.
type call struct {
	name string
	fn   intrinsic
	args []argument
}

// argument is a literal or an expression. raw keeps a string literal's escapes
// for States.Format, whose \{ is a brace and not a placeholder.
type argument struct {
	literal any
	raw     string
	expr    *expression
}

func (c *call) evaluate(e env) (any, error) {
	values := make([]any, len(c.args))
	for i, arg := range c.args {
		values[i] = arg.literal
		if arg.expr == nil {
			continue
		}
		value, err := arg.evaluate(e)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return c.fn.apply(invocation{args: values, call: c, frame: e.frame})
}

func (a argument) evaluate(e env) (any, error) {
	if a.expr.call != nil {
		return a.expr.call.evaluate(e)
	}
	value, ok := a.expr.path.find(e)
	if !ok {
		return nil, fmt.Errorf("the path %s is not in the input", a.expr.text)
	}
	return value, nil
}

func (c *call) paths() []*path {
	var all []*path
	for _, arg := range c.args {
		if arg.expr != nil {
			all = append(all, arg.expr.paths()...)
		}
	}
	return all
}

// parseCall reads States.Name(argument, …).
func parseCall(text string) (*call, error) {
	p := &callParser{rest: text}
	c, err := p.call()
	if err != nil {
		return nil, fmt.Errorf("is the intrinsic %q, in which %w", text, err)
	}
	if p.skip(); p.rest != "" {
		return nil, fmt.Errorf("is the intrinsic %q, after which %q follows", text, p.rest)
	}
	return c, nil
}

type callParser struct {
	rest  string
	depth int
}

// maxCallDepth is how deep calls may nest (Step Functions quota on intrinsics).
const maxCallDepth = 10

func (p *callParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *callParser) call() (*call, error) {
	name, rest, ok := strings.Cut(p.rest, "(")
	if !ok {
		return nil, fmt.Errorf("no ( follows the name")
	}
	name, p.rest = strings.TrimSpace(name), rest
	fn, known := intrinsics[name]
	if !known {
		return nil, fmt.Errorf("the function %q is not implemented; there are %s", name, strings.Join(sortedNames(intrinsics), ", "))
	}
	if p.depth++; p.depth > maxCallDepth {
		return nil, fmt.Errorf("calls nest deeper than %d", maxCallDepth)
	}
	args, err := p.arguments()
	p.depth--
	if err != nil {
		return nil, err
	}
	if len(args) < fn.least || fn.most >= 0 && len(args) > fn.most {
		return nil, fmt.Errorf("%s has %d argument(s), want %s", name, len(args), fn.arity())
	}
	return &call{name: name, fn: fn, args: args}, nil
}

func (p *callParser) arguments() ([]argument, error) {
	var args []argument
	if p.skip(); strings.HasPrefix(p.rest, ")") {
		p.rest = p.rest[1:]
		return nil, nil
	}
	for {
		p.skip()
		arg, err := p.argument()
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		p.skip()
		switch {
		case strings.HasPrefix(p.rest, ","):
			p.rest = p.rest[1:]
		case strings.HasPrefix(p.rest, ")"):
			p.rest = p.rest[1:]
			return args, nil
		default:
			return nil, fmt.Errorf("a ) or a , is missing at %q", p.rest)
		}
	}
}

func (p *callParser) argument() (argument, error) {
	switch {
	case strings.HasPrefix(p.rest, "'"):
		return p.quoted()
	case strings.HasPrefix(p.rest, "States."):
		c, err := p.call()
		return argument{expr: &expression{text: "States", call: c}}, err
	}
	word := p.word()
	if strings.HasPrefix(word, "$") {
		path, err := parsePath(word)
		return argument{expr: &expression{text: word, path: path}}, err
	}
	return literalArgument(word)
}

func literalArgument(word string) (argument, error) {
	value, err := decode([]byte(word))
	if err != nil {
		return argument{}, fmt.Errorf("the argument %q is not a string in single quotes, a number, true, false, null, a path or a function", word)
	}
	switch value.(type) {
	case json.Number, bool, nil:
		return argument{literal: value}, nil
	}
	return argument{}, fmt.Errorf("the argument %q is %s, which is not allowed here", word, describe(value))
}

// word is what comes before the next comma or parenthesis outside of brackets.
func (p *callParser) word() string {
	brackets := 0
	end := len(p.rest)
scan:
	for i, r := range p.rest {
		switch {
		case r == '[':
			brackets++
		case r == ']':
			brackets--
		case (r == ',' || r == ')') && brackets <= 0:
			end = i
			break scan
		}
	}
	word := strings.TrimSpace(p.rest[:end])
	p.rest = p.rest[end:]
	return word
}

// quoted reads a string literal; ' { } and \ are escaped by a backslash.
func (p *callParser) quoted() (argument, error) {
	var plain, raw strings.Builder
	for i := 1; i < len(p.rest); i++ {
		b := p.rest[i]
		switch {
		case b == '\'':
			p.rest = p.rest[i+1:]
			return argument{literal: plain.String(), raw: raw.String()}, nil
		case b == '\\' && i+1 < len(p.rest) && strings.IndexByte(`'{}\`, p.rest[i+1]) >= 0:
			i++
			plain.WriteByte(p.rest[i])
			raw.WriteByte('\\')
			raw.WriteByte(p.rest[i])
		case b == '\\':
			return argument{}, fmt.Errorf("a backslash escapes nothing but ' { } and \\ at %q", p.rest[i:])
		default:
			plain.WriteByte(b)
			raw.WriteByte(b)
		}
	}
	return argument{}, fmt.Errorf("a ' is not closed")
}
