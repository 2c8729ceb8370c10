package active

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/decision"
)

// fill gives every field below v another value.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(string(rune('a'+*n%26)) + "é" + string(rune('a'+*n/26)))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) * 1_000_003)
	case reflect.Float64:
		v.SetFloat(1 / float64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(start.Add(time.Duration(*n) * 1_000_000_007)))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

func TestCodecForgetsNoField(t *testing.T) {
	full, n := new(decision.Decision), 0
	fill(t, reflect.ValueOf(full).Elem(), &n)
	full.Version = decision.Version
	for name, want := range map[string]*decision.Decision{"full": full, "empty": {Version: decision.Version}} {
		b := string(appendDecision(nil, want))
		got, err := decode(b)
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for i := range b {
			if _, err := decode(b[:i]); err == nil {
				t.Errorf("%s: cut off at %d of %d and not noticed", name, i, len(b))
			}
		}
	}
}
