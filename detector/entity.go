package detector

// entity is one group of one rule: its window, and when it last alerted.
type entity struct {
	seat       *seat // what it is the group's entity in
	prev, next *entity
	list       *list
	tap        *tapClock // who touched it last; its clock says when the entity is idle
	last       *tapClock // who touched it before
	touched    int64     // tap's time when it touched it
	// cur is the window that counted last. other is kept beside it when a time jumped: a single garbled timestamp then costs
	// nothing, because the next honest event finds its window as it was, and two taps of which one lags do not disturb each
	// other. Both are nil while the entity is only remembered for its suppression.
	cur, other span
	otherTap   *tapClock // who touched it last while other was cur
	// alerted has the ends of the last two alerts, newest first; 0 for none.
	alerted [2]int64
	bytes   int
	own     *ring // a window that is ready for use
	home    *home
}

const costEntity = 140 // the struct and its place in the map, as measured by BenchmarkEntity

func (n *entity) cost() int {
	c := costEntity + len(n.seat.key)
	if n.cur != nil {
		c += n.cur.cost()
	}
	if n.other != nil {
		c += n.other.cost()
	}
	return c
}

// silent tells whether an alert at the end of a window is suppressed. Time may go back a little, so it looks both ways.
func (n *entity) silent(end, suppress int64) bool {
	for _, at := range n.alerted {
		if at != 0 && (at == end || near(end, at, suppress-1)) {
			return true
		}
	}
	return false
}

func (n *entity) alertAt(end int64) {
	n.alerted[1] = n.alerted[0]
	n.alerted[0] = end
}

// idle returns for how long the entity has not been touched, by the clock of the tap that touched it last. Its own newest time
// is believed only when the tap has come that far by now.
func (n *entity) idle() int64 {
	at := n.touched
	if n.cur != nil && n.cur.newest() <= n.tap.now {
		at = max(at, n.cur.newest())
	} else if n.cur == nil && n.alerted[0] <= n.tap.now {
		at = max(at, n.alerted[0])
	}
	return n.tap.now - at
}

// list is a doubly linked list of entities: the front was touched last.
type list struct {
	front, back *entity
	len         int
}

func (l *list) pushFront(n *entity) {
	n.list, n.prev, n.next = l, nil, l.front
	if l.front != nil {
		l.front.prev = n
	} else {
		l.back = n
	}
	l.front = n
	l.len++
}

func (l *list) remove(n *entity) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.front = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.back = n.prev
	}
	n.list, n.prev, n.next = nil, nil, nil
	l.len--
}

// moveFront puts the entity in front of l, from whatever list it is in.
func (l *list) moveFront(n *entity) {
	if l.front == n {
		return
	}
	if n.list != nil {
		n.list.remove(n)
	}
	l.pushFront(n)
}
