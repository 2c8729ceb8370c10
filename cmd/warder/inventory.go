package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/history"
)

func newInventory(s streams) *cobra.Command {
	f := &apiFlags{}
	var span spanFlags
	var q history.InventoryFilter
	output, newSince := "", ""
	c := &cobra.Command{Use: "inventory", GroupID: "work", Short: "List the API endpoints that are called",
		Long: `Lists what is called, since when, by how many and how it answers. The note tells
shadow endpoints: called, but without a route template or a version.`,
		Example: `  warder inventory --name shop --since 7d
  warder inventory --new-since 1d
  warder inventory --unauthenticated --output csv`, Args: noArgs}
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		now := time.Now()
		if q.Span, err = span.span(c, now); err != nil {
			return err
		}
		if q.NewSince, err = moment(c, "new-since", newSince, now); err != nil {
			return err
		}
		h, err := f.history()
		if err != nil {
			return err
		}
		rows, err := h.Inventory(c.Context(), q)
		if err != nil {
			return err
		}
		if err := list(s, output, "no endpoints", endpointColumns(), rows, nil); err != nil {
			return err
		}
		tellShadows(s, rows)
		return nil
	}
	f.register(c.Flags())
	span.register(c, "30d")
	c.Flags().StringVar(&q.API, "name", "", "only the API of this `name`")
	c.Flags().StringVar(&q.Route, "route", "", "only routes that begin with this")
	c.Flags().StringVar(&newSince, "new-since", "", "only endpoints first seen at this `time` or later, written like --since")
	c.Flags().BoolVar(&q.Unauthenticated, "unauthenticated", false, "only endpoints that answered anonymous callers with success")
	limitFlag(c, &q.Limit, 1000)
	outputFlag(c, &output)
	return c
}

func endpointColumns() []column[history.Endpoint] {
	number := func(of func(history.Endpoint) uint64) func(history.Endpoint) string {
		return func(x history.Endpoint) string { return strconv.FormatUint(of(x), 10) }
	}
	return []column[history.Endpoint]{
		{"method", func(x history.Endpoint) string { return x.Method }},
		{"route", func(x history.Endpoint) string { return x.Route }},
		{"note", shadow},
		{"api", func(x history.Endpoint) string { return x.API }},
		{"version", func(x history.Endpoint) string { return x.Version }},
		{"host", func(x history.Endpoint) string { return x.Host }},
		{"requests", number(func(x history.Endpoint) uint64 { return x.Requests })},
		{"anonymous", number(func(x history.Endpoint) uint64 { return x.Anonymous })},
		{"failed", number(func(x history.Endpoint) uint64 { return x.Failed })},
		{"4xx", number(func(x history.Endpoint) uint64 { return x.ClientErrors })},
		{"5xx", number(func(x history.Endpoint) uint64 { return x.ServerErrors })},
		{"clients", number(func(x history.Endpoint) uint64 { return x.Clients })},
		{"principals", number(func(x history.Endpoint) uint64 { return x.Principals })},
		{"largest", number(func(x history.Endpoint) uint64 { return x.Largest })},
		{"first seen", func(x history.Endpoint) string { return x.First.UTC().Format(stamp) }},
		{"last seen", func(x history.Endpoint) string { return x.Last.UTC().Format(stamp) }},
	}
}

// shadow says why an endpoint looks like one that nobody described.
func shadow(x history.Endpoint) string {
	switch {
	case x.Route == "" && x.Version == "":
		return "no template, no version"
	case x.Route == "":
		return "no template"
	case x.Version == "":
		return "no version"
	}
	return ""
}

func tellShadows(s streams, rows []history.Endpoint) {
	n := 0
	for _, x := range rows {
		if shadow(x) != "" {
			n++
		}
	}
	if n > 0 {
		fmt.Fprintf(s.err, "%d of %d endpoints look like shadow endpoints: they are called, but have no route template or no version\n", n, len(rows))
	}
}
