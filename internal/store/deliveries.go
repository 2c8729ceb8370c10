package store

import (
	"context"
	"encoding/hex"
	"time"
)

// Delivery is an attempt to tell a person, a receiver or a SIEM something, as it came to an end.
type Delivery struct {
	ID       [16]byte      // the attempt's identity: the same attempt has the same ID whenever it is told of
	Time     time.Time     // the end of the attempt, milliseconds
	Sink     string        // the configured name of the sink or receiver
	Kind     string        // "slack", "webhook", …
	Result   string        // "delivered", "retry", "failed" or "dropped"
	Alert    string        // id of the alert, of the first one when the attempt carried several; "" when it carried none
	Records  uint32        // how many records it carried
	Attempt  uint32        // 1 is the first
	Duration time.Duration // not negative
	Error    string        // "" when it was delivered
}

func deliveryColumns() []column[Delivery] {
	return []column[Delivery]{
		fixed("id", func(d Delivery) [16]byte { return d.ID }),
		col("time", func(d Delivery) time.Time { return storedTime(d.Time) }),
		low("sink", func(d Delivery) string { return d.Sink }),
		low("kind", func(d Delivery) string { return d.Kind }),
		low("result", func(d Delivery) string { return d.Result }),
		col("alert", func(d Delivery) string { return d.Alert }),
		col("records", func(d Delivery) uint32 { return d.Records }),
		col("attempt", func(d Delivery) uint32 { return d.Attempt }),
		col("duration", func(d Delivery) uint64 { return uint64(max(0, d.Duration)) }),
		col("error", func(d Delivery) string { return d.Error }),
	}
}

// InsertDeliveries inserts the deliveries that the table does not have, by id. nil says that all are in the table. After an error some
// may be; the same ones can be given again. Two calls at once must not hold the same delivery.
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []Delivery) error {
	return insertOnce(ctx, s, "deliveries", deliveryColumns(), deliveries, keyed[Delivery, Delivery]{
		id:       func(d Delivery) string { return hex.EncodeToString(d.ID[:]) },
		time:     func(d Delivery) time.Time { return d.Time.Truncate(time.Millisecond) },
		row:      func(d Delivery) (Delivery, error) { return d, nil },
		existing: "SELECT lower(hex(id)) FROM deliveries WHERE id IN arrayMap(x -> toFixedString(unhex(x), 16), {ids:Array(String)}) AND time BETWEEN {from:DateTime64(9, 'UTC')} AND {to:DateTime64(9, 'UTC')}",
	})
}
