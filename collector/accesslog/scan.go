package accesslog

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks one JSON object and hands out its scalar values with their paths: members joined by ".", elements by index. It
// is here because a map for each line costs ten times as much. It takes a little more than JSON (numbers are not checked) and
// bounds depth and elements.
type scanner struct {
	s     string
	at    int
	path  []byte
	visit func(path []byte, value string, isString bool)
}

const (
	maxDepth    = 8
	maxElements = 8 // of an array that are handed out
)

var (
	errJSONEnd   = errors.New("object is cut off")
	errJSONDepth = errors.New("nested too deeply")
)

func (c *scanner) object(depth int) error {
	if depth > maxDepth {
		return errJSONDepth
	}
	c.at++ // {
	if c.peek() == '}' {
		c.at++
		return nil
	}
	base := len(c.path)
	for {
		if c.peek() != '"' {
			return c.unexpected()
		}
		key, err := c.text()
		if err != nil {
			return err
		}
		if c.peek() != ':' {
			return c.unexpected()
		}
		c.at++
		if base > 0 {
			c.path = append(c.path, '.')
		}
		c.path = append(c.path, key...)
		if err := c.value(depth, true); err != nil {
			return err
		}
		c.path = c.path[:base]
		if done, err := c.next('}'); done || err != nil {
			return err
		}
	}
}

func (c *scanner) array(depth int, hand bool) error {
	if depth > maxDepth {
		return errJSONDepth
	}
	c.at++ // [
	if c.peek() == ']' {
		c.at++
		return nil
	}
	base := len(c.path)
	for i := 0; ; i++ {
		c.path = strconv.AppendInt(append(c.path, '.'), int64(i), 10)
		if err := c.value(depth, hand && i < maxElements); err != nil {
			return err
		}
		c.path = c.path[:base]
		if done, err := c.next(']'); done || err != nil {
			return err
		}
	}
}

// next reads the comma or the end of a list.
func (c *scanner) next(end byte) (done bool, err error) {
	switch c.peek() {
	case ',':
		c.at++
		return false, nil
	case end:
		c.at++
		return true, nil
	}
	return false, c.unexpected()
}

func (c *scanner) value(depth int, hand bool) error {
	switch c.peek() {
	case '{':
		return c.object(depth + 1)
	case '[':
		return c.array(depth+1, hand)
	case '"':
		v, err := c.text()
		if err == nil && hand {
			c.visit(c.path, v, true)
		}
		return err
	}
	start := c.at
	for c.at < len(c.s) && strings.IndexByte(",}] \t\"{[:", c.s[c.at]) < 0 {
		c.at++
	}
	if c.at == start {
		return c.unexpected()
	}
	if hand {
		c.visit(c.path, c.s[start:c.at], false)
	}
	return nil
}

// peek skips white space and returns the next byte; 0 at the end.
func (c *scanner) peek() byte {
	for c.at < len(c.s) {
		switch c.s[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return c.s[c.at]
		}
	}
	return 0
}

func (c *scanner) unexpected() error {
	if c.at >= len(c.s) {
		return errJSONEnd
	}
	return errors.New("unexpected " + strconv.QuoteToASCII(c.s[c.at:c.at+1]) + " at column " + strconv.Itoa(c.at+1))
}

// text reads a string; without escapes it shares the line's memory.
func (c *scanner) text() (string, error) {
	c.at++ // "
	start := c.at
	for c.at < len(c.s) {
		switch c.s[c.at] {
		case '"':
			c.at++
			return c.s[start : c.at-1], nil
		case '\\':
			return c.escaped(start)
		}
		c.at++
	}
	return "", errJSONEnd
}

func (c *scanner) escaped(start int) (string, error) {
	b := append(make([]byte, 0, 2*(c.at-start)+32), c.s[start:c.at]...)
	for c.at < len(c.s) {
		ch := c.s[c.at]
		c.at++
		switch {
		case ch == '"':
			return string(b), nil
		case ch != '\\':
			b = append(b, ch)
			continue
		case c.at >= len(c.s):
			return "", errJSONEnd
		}
		esc := c.s[c.at]
		c.at++
		switch esc {
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'u':
			b = utf8.AppendRune(b, c.rune())
		case 'x': // what NGINX writes without escape=json, into hand-made JSON
			v, ok := hexByte(c.s[c.at:])
			if !ok {
				return "", c.unexpected()
			}
			b = append(b, v)
			c.at += 2
		default:
			b = append(b, esc)
		}
	}
	return "", errJSONEnd
}

// rune reads the four digits of \uXXXX and the second half of a surrogate pair.
func (c *scanner) rune() rune {
	r, ok := c.hex4()
	if !ok {
		return utf8.RuneError
	}
	if utf16.IsSurrogate(r) && strings.HasPrefix(c.s[c.at:], `\u`) {
		save := c.at
		c.at += 2
		if low, ok := c.hex4(); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full
			}
		}
		c.at = save
	}
	return r
}

func (c *scanner) hex4() (rune, bool) {
	if c.at+4 > len(c.s) {
		return 0, false
	}
	v, err := strconv.ParseUint(c.s[c.at:c.at+4], 16, 16)
	if err != nil {
		return 0, false
	}
	c.at += 4
	return rune(v), true
}
