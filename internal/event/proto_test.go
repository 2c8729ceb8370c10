package event

import (
	"bytes"
	"context"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// TestProto compiles event.proto and reads with it what the codec wrote: nothing may be unknown, and nothing lost when it is
// written back.
func TestProto(t *testing.T) {
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := c.Compile(context.Background(), "event.proto")
	if err != nil {
		t.Fatal(err)
	}
	desc := files[0].Messages().ByName("Event")
	m := dynamicpb.NewMessage(desc)
	if err := proto.Unmarshal(full().Append(nil), m); err != nil {
		t.Fatal(err)
	}
	if u := m.GetUnknown(); len(u) > 0 {
		t.Errorf("the schema does not know %x", u)
	}
	fields := desc.Fields()
	if fields.Len() != int(fID) {
		t.Errorf("the schema has %d fields, the codec %d", fields.Len(), fID)
	}
	for i := range fields.Len() {
		// Kind is zero in a request.
		if f := fields.Get(i); !m.Has(f) && f.Name() != "kind" {
			t.Errorf("%s was not read", f.Name())
		}
	}
	text := func(name string) string { return m.Get(fields.ByName(protoreflect.Name(name))).String() }
	if text("request_path") != "/a/%2e" || text("response_code") != "401" || text("waf_score") != "-3" ||
		!bytes.Equal(m.Get(fields.ByName("source_address")).Bytes(), []byte{203, 0, 113, 9}) {
		t.Errorf("got %v", m)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(e.Append(nil)) != string(full().Append(nil)) {
		t.Error("what another program wrote back is another event")
	}
}
