package event

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Version is the schema version that Append writes. Decode reads this one; fields that it does not know are skipped, so a
// newer writer may add fields without a new version.
const Version = 1

// ErrVersion is wrapped by Decode's error when the record was written by an incompatible schema.
var ErrVersion = errors.New("unknown schema version")

// The wire form is Protocol Buffers; event.proto beside this file describes it, so that other programs can read the topic.
// Field numbers are never used twice.
const (
	fVersion protowire.Number = iota + 1
	fTap
	fSeq
	fDropped
	fKind
	fTime
	fReqID
	fMethod
	fScheme
	fProtocol
	fHost
	fPath
	fQuery
	fUserAgent
	fReferer
	fHeaders
	fReqSize
	fDuration
	fCode
	fRespSize
	fContentType
	fAddress
	fPort
	fPeer
	fCountry
	fASN
	fPrincipal
	fPrincipalType
	fTenant
	fRoles
	fOutcome
	fAuthReason
	fRoute
	fAPIVersion
	fAPIName
	fTLSVersion
	fSNI
	fFingerprint
	fModel
	fPromptTokens
	fCompletionTokens
	fEnforcedBy
	fEnforcedAction
	fWAFScore
	fWAFRules
	fIntel
	fExt
	fTruncated
	fID
)

// Append appends the event's encoding to b. The encoding is deterministic.
func (e *Event) Append(b []byte) []byte {
	w := writer{b}
	w.uint(fVersion, Version)
	w.bytes(fID, e.ID[:])
	w.text(fTap, e.Tap)
	w.uint(fSeq, e.Seq)
	w.uint(fDropped, e.Dropped)
	w.uint(fKind, uint64(e.Kind))
	if !e.Time.IsZero() {
		w.int(fTime, e.Time.UnixNano())
	}
	w.text(fReqID, e.Request.ID)
	w.text(fMethod, e.Request.Method)
	w.text(fScheme, e.Request.Scheme)
	w.text(fProtocol, e.Request.Protocol)
	w.text(fHost, e.Request.Host)
	w.text(fPath, e.Request.Path)
	w.text(fQuery, e.Request.Query)
	w.text(fUserAgent, e.Request.UserAgent)
	w.text(fReferer, e.Request.Referer)
	w.table(fHeaders, e.Request.Headers)
	w.int(fReqSize, e.Request.Size)
	w.int(fDuration, int64(e.Request.Duration))
	w.int(fCode, int64(e.Response.Code))
	w.int(fRespSize, e.Response.Size)
	w.text(fContentType, e.Response.ContentType)
	w.addr(fAddress, e.Source.Address)
	w.uint(fPort, uint64(e.Source.Port))
	w.addr(fPeer, e.Source.Peer)
	w.text(fCountry, e.Source.Country)
	w.uint(fASN, uint64(e.Source.ASN))
	w.text(fPrincipal, e.Principal.ID)
	w.text(fPrincipalType, e.Principal.Type)
	w.text(fTenant, e.Principal.Tenant)
	w.list(fRoles, e.Principal.Roles)
	w.text(fOutcome, e.Auth.Outcome)
	w.text(fAuthReason, e.Auth.Reason)
	w.text(fRoute, e.API.Route)
	w.text(fAPIVersion, e.API.Version)
	w.text(fAPIName, e.API.Name)
	w.text(fTLSVersion, e.TLS.Version)
	w.text(fSNI, e.TLS.SNI)
	w.text(fFingerprint, e.TLS.Fingerprint)
	w.text(fModel, e.LLM.Model)
	w.int(fPromptTokens, e.LLM.PromptTokens)
	w.int(fCompletionTokens, e.LLM.CompletionTokens)
	w.text(fEnforcedBy, e.Enforced.By)
	w.text(fEnforcedAction, e.Enforced.Action)
	w.int(fWAFScore, e.WAF.Score)
	w.list(fWAFRules, e.WAF.Rules)
	w.list(fIntel, e.Intel.Lists)
	w.table(fExt, e.Ext)
	if e.Truncated {
		w.uint(fTruncated, 1)
	}
	return w.b
}

type writer struct{ b []byte }

func (w *writer) uint(n protowire.Number, v uint64) {
	if v != 0 {
		w.b = protowire.AppendVarint(protowire.AppendTag(w.b, n, protowire.VarintType), v)
	}
}

func (w *writer) int(n protowire.Number, v int64) { w.uint(n, uint64(v)) }

func (w *writer) bytes(n protowire.Number, v []byte) {
	w.b = protowire.AppendBytes(protowire.AppendTag(w.b, n, protowire.BytesType), v)
}

func (w *writer) text(n protowire.Number, v string) {
	if v != "" {
		w.b = protowire.AppendString(protowire.AppendTag(w.b, n, protowire.BytesType), v)
	}
}

func (w *writer) list(n protowire.Number, l []string) {
	for _, v := range l {
		w.b = protowire.AppendString(protowire.AppendTag(w.b, n, protowire.BytesType), v)
	}
}

func (w *writer) addr(n protowire.Number, a netip.Addr) {
	if a.Is4() {
		v := a.As4()
		w.bytes(n, v[:])
	} else if a.IsValid() {
		v := a.As16()
		w.bytes(n, v[:])
	}
}

// table writes a proto map<string, string>, names in order.
func (w *writer) table(n protowire.Number, m map[string]string) {
	for _, k := range sortedKeys(m) {
		size := protowire.SizeTag(1) + protowire.SizeBytes(len(k)) + protowire.SizeTag(2) + protowire.SizeBytes(len(m[k]))
		w.b = protowire.AppendVarint(protowire.AppendTag(w.b, n, protowire.BytesType), uint64(size))
		w.b = protowire.AppendString(protowire.AppendTag(w.b, 1, protowire.BytesType), k)
		w.b = protowire.AppendString(protowire.AppendTag(w.b, 2, protowire.BytesType), m[k])
	}
}

func sortedKeys(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

// Decode reads what Append wrote. The event shares no memory with b. It refuses records above MaxEncoded, of another version,
// or that are not well-formed, and bounds what it returns.
func Decode(b []byte) (*Event, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("decode event: %d bytes, limit is %d", len(b), MaxEncoded)
	}
	e := new(Event)
	version := uint64(0)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, fmt.Errorf("decode event: %w", protowire.ParseError(n))
		}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return nil, fmt.Errorf("decode event: field %d: %w", num, protowire.ParseError(n))
			}
			b = b[n:]
			if num == fVersion {
				version = v
			}
			e.setNumber(num, v)
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return nil, fmt.Errorf("decode event: field %d: %w", num, protowire.ParseError(n))
			}
			b = b[n:]
			if err := e.setBytes(num, v); err != nil {
				return nil, fmt.Errorf("decode event: field %d: %w", num, err)
			}
		default:
			n := protowire.ConsumeFieldValue(num, typ, b)
			if n < 0 {
				return nil, fmt.Errorf("decode event: field %d: %w", num, protowire.ParseError(n))
			}
			b = b[n:]
		}
	}
	if version != Version {
		return nil, fmt.Errorf("decode event: %w %d, this program reads %d", ErrVersion, version, Version)
	}
	if e.ID.IsZero() || e.Tap == "" {
		return nil, errors.New("decode event: id or tap is missing")
	}
	e.Bound()
	return e, nil
}

func (e *Event) setNumber(num protowire.Number, v uint64) {
	switch num {
	case fSeq:
		e.Seq = v
	case fDropped:
		e.Dropped = v
	case fKind:
		e.Kind = Kind(min(v, uint64(math.MaxUint8)))
	case fTime:
		if v != 0 {
			e.Time = time.Unix(0, int64(v)).UTC()
		}
	case fReqSize:
		e.Request.Size = int64(v)
	case fDuration:
		e.Request.Duration = time.Duration(v)
	case fCode:
		e.Response.Code = int(int32(v))
	case fRespSize:
		e.Response.Size = int64(v)
	case fPort:
		e.Source.Port = uint16(v)
	case fASN:
		e.Source.ASN = uint32(v)
	case fPromptTokens:
		e.LLM.PromptTokens = int64(v)
	case fCompletionTokens:
		e.LLM.CompletionTokens = int64(v)
	case fWAFScore:
		e.WAF.Score = int64(v)
	case fTruncated:
		e.Truncated = v != 0
	}
}

func (e *Event) setBytes(num protowire.Number, v []byte) error {
	if s := e.textField(num); s != nil {
		*s = string(v)
		return nil
	}
	switch num {
	case fID:
		if len(v) != len(e.ID) {
			return fmt.Errorf("id has %d bytes", len(v))
		}
		copy(e.ID[:], v)
	case fAddress:
		return setAddr(&e.Source.Address, v)
	case fPeer:
		return setAddr(&e.Source.Peer, v)
	case fHeaders:
		return setEntry(&e.Request.Headers, v)
	case fExt:
		return setEntry(&e.Ext, v)
	case fRoles:
		e.Principal.Roles = append(e.Principal.Roles, string(v))
	case fWAFRules:
		e.WAF.Rules = append(e.WAF.Rules, string(v))
	case fIntel:
		e.Intel.Lists = append(e.Intel.Lists, string(v))
	}
	return nil
}

func (e *Event) textField(num protowire.Number) *string {
	switch num {
	case fTap:
		return &e.Tap
	case fReqID:
		return &e.Request.ID
	case fMethod:
		return &e.Request.Method
	case fScheme:
		return &e.Request.Scheme
	case fProtocol:
		return &e.Request.Protocol
	case fHost:
		return &e.Request.Host
	case fPath:
		return &e.Request.Path
	case fQuery:
		return &e.Request.Query
	case fUserAgent:
		return &e.Request.UserAgent
	case fReferer:
		return &e.Request.Referer
	case fContentType:
		return &e.Response.ContentType
	case fCountry:
		return &e.Source.Country
	case fPrincipal:
		return &e.Principal.ID
	case fPrincipalType:
		return &e.Principal.Type
	case fTenant:
		return &e.Principal.Tenant
	case fOutcome:
		return &e.Auth.Outcome
	case fAuthReason:
		return &e.Auth.Reason
	case fRoute:
		return &e.API.Route
	case fAPIVersion:
		return &e.API.Version
	case fAPIName:
		return &e.API.Name
	case fTLSVersion:
		return &e.TLS.Version
	case fSNI:
		return &e.TLS.SNI
	case fFingerprint:
		return &e.TLS.Fingerprint
	case fModel:
		return &e.LLM.Model
	case fEnforcedBy:
		return &e.Enforced.By
	case fEnforcedAction:
		return &e.Enforced.Action
	}
	return nil
}

func setAddr(a *netip.Addr, v []byte) error {
	addr, ok := netip.AddrFromSlice(v)
	if !ok {
		return fmt.Errorf("address has %d bytes", len(v))
	}
	*a = addr.Unmap()
	return nil
}

func setEntry(m *map[string]string, b []byte) error {
	var kv [2]string
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if typ == protowire.BytesType && (num == 1 || num == 2) {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			kv[num-1], b = string(v), b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[kv[0]] = kv[1]
	return nil
}
