package rules

import "strings"

// radix is a tree of beginnings, or of endings when it is read backwards: one walk along a text meets all that the text has. Each node
// has a label, so that the walk costs the characters that texts share with the rules' words and no more. It is immutable once built.
type radix struct {
	root radixNode
	back bool // read from the end
	fold bool // ASCII letters without regard to case; the words are in lower case
}

type radixNode struct {
	label string // what leads here
	first string // the first bytes of the children's labels
	next  []radixNode
	posts *posts // behind the word that ends here; nil for none
}

// add enters a word that is not empty, and returns where what is behind it belongs.
func (r *radix) add(word string) *posts {
	if r.back {
		word = reversed(word)
	}
	n := &r.root
	for word != "" {
		i := strings.IndexByte(n.first, word[0])
		if i < 0 {
			n.first += word[:1]
			n.next = append(n.next, radixNode{label: word})
			n = &n.next[len(n.next)-1]
			break
		}
		child := &n.next[i]
		same := 0
		for same < min(len(word), len(child.label)) && word[same] == child.label[same] {
			same++
		}
		if same < len(child.label) { // cut in two
			lower := *child
			lower.label = child.label[same:]
			*child = radixNode{label: word[:same], first: lower.label[:1], next: []radixNode{lower}}
		}
		n, word = child, word[same:]
	}
	if n.posts == nil {
		n.posts = new(posts)
	}
	return n.posts
}

// walk calls on the input what is behind the words that the text begins (or ends) with.
func (r *radix) walk(text string, in *input) {
	n, at := &r.root, 0
	for at < len(text) {
		i := strings.IndexByte(n.first, r.char(text, at))
		if i < 0 {
			return
		}
		n = &n.next[i]
		if len(text)-at < len(n.label) {
			return
		}
		for j := 1; j < len(n.label); j++ {
			if r.char(text, at+j) != n.label[j] {
				return
			}
		}
		at += len(n.label)
		if n.posts != nil {
			in.post(n.posts)
		}
	}
}

func (r *radix) char(text string, at int) byte {
	if r.back {
		at = len(text) - 1 - at
	}
	if b := text[at]; r.fold {
		return lower(b)
	} else {
		return b
	}
}

// reversed turns the bytes of the text around.
func reversed(s string) string {
	b := make([]byte, len(s))
	for i := range len(s) {
		b[len(s)-1-i] = s[i]
	}
	return string(b)
}
