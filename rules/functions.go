package rules

import (
	"net/netip"
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
)

// The functions that rules have beyond CEL's libraries. Each is pure and total: it never fails, whatever an event holds, and
// looks at a bounded part of its text.
const inListName = "inList"

// functions declares them. They read the lists and places of the environment.
func (env *environment) functions() []cel.EnvOption {
	text := func(name, overload string, result *cel.Type, fn func(string) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(overload, []*cel.Type{cel.StringType}, result,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return fn(string(v.(types.String))) })))
	}
	pair := func(name, overload string, result *cel.Type, fn func(a, b string) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(overload, []*cel.Type{cel.StringType, cel.StringType}, result,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val { return fn(string(a.(types.String)), string(b.(types.String))) })))
	}
	object := func(v any) *cel.Type { return cel.ObjectType(reflect.TypeOf(v).String()) }
	return []cel.EnvOption{
		ext.NativeTypes(reflect.TypeFor[place](), reflect.TypeFor[urlParts](), types.ParseStructTags(true)),
		text("decode", decodeOverload, cel.StringType, func(s string) ref.Val { return types.String(Decode(s)) }),
		text("entropy", "entropy_string", cel.DoubleType, func(s string) ref.Val { return types.Double(Entropy(s)) }),
		text("luhn", "luhn_string", cel.BoolType, func(s string) ref.Val { return types.Bool(Luhn(s)) }),
		text("hasCardNumber", "has_card_number_string", cel.BoolType, func(s string) ref.Val { return types.Bool(HasCardNumber(s)) }),
		text("url", "url_string", object(urlParts{}), func(s string) ref.Val { return env.adapter().NativeToValue(parseURL(s)) }),
		text("geo", "geo_string", object(place{}), func(s string) ref.Val { return env.adapter().NativeToValue(env.place(s)) }),
		pair("queryParam", "query_param_string_string", cel.StringType, func(q, name string) ref.Val { return types.String(QueryParam(q, name)) }),
		pair(inListName, "in_list_string_string", cel.BoolType, func(v, name string) ref.Val { return types.Bool(env.inList(v, name)) }),
	}
}

func (env *environment) adapter() types.Adapter { return env.bare.CELTypeAdapter() }

// place is where an address is, as geo() shows it.
type place struct {
	Country   string `cel:"country"`
	Continent string `cel:"continent"`
	City      string `cel:"city"`
	Org       string `cel:"org"`
	ASN       int64  `cel:"asn"`
}

func (env *environment) place(address string) place {
	if env.geo == nil {
		return place{}
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return place{}
	}
	p := env.geo.Place(a.Unmap().WithZone(""))
	return place{Country: p.Country, Continent: p.Continent, City: p.City, Org: p.Org, ASN: int64(p.ASN)}
}

// callCost is what a call costs at most, in CEL's units: one and a tenth of the characters that are read, as often as they are.
func callCost(overload string, size uint64) (cost uint64, ok bool) {
	tenth := func(limit uint64) uint64 { return min(size, limit) / 10 }
	switch overload {
	case decodeOverload:
		return 1 + 2*decodeRounds*tenth(maxDecoded), true
	case "entropy_string":
		return 30 + tenth(maxEntropy), true
	case "luhn_string":
		return 2 + tenth(maxLuhn), true
	case "has_card_number_string":
		return 1 + 4*tenth(maxCardText), true
	case "url_string":
		return 5 + 2*tenth(maxURL), true
	case "query_param_string_string":
		return 2 + 2*tenth(maxQuery), true
	case "geo_string":
		return 20, true
	case "in_list_string_string":
		return 2 + tenth(maxListValue), true
	}
	return 0, false
}

// resultSize is how long the text can be that a function returns.
func resultSize(overload string) *checker.SizeEstimate {
	switch overload {
	case decodeOverload:
		return &checker.SizeEstimate{Max: maxDecoded}
	case "query_param_string_string":
		return &checker.SizeEstimate{Max: maxQuery}
	}
	return nil
}

// callCosts tells CEL what calls cost while an expression runs.
type callCosts struct{}

// CallCost implements interpreter.ActualCostEstimator.
func (callCosts) CallCost(_, overload string, args []ref.Val, result ref.Val) *uint64 {
	size := uint64(0)
	for _, v := range append(args[:len(args):len(args)], result) {
		if s, ok := v.(types.String); ok {
			size = max(size, uint64(len(s)))
		}
	}
	if cost, ok := callCost(overload, size); ok {
		return &cost
	}
	return nil
}
