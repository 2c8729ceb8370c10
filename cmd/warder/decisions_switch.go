package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
)

func newDecisionsSwitch(s streams, f *apiFlags) *cobra.Command {
	note, asJSON := "", false
	c := &cobra.Command{Use: "switch [observe|enforce]", Short: "Turn every gateway to observe at once, or back",
		Long: `Turns every gateway to observe within a second: nothing is refused any more,
what would have been is recorded. Back to enforce needs the role approve.
Without an argument it says how the switch stands.`,
		Example: "  warder decisions switch\n  warder decisions switch observe --note \"customers report 403\""}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 1 || len(args) == 1 && args[0] != string(decision.Observe) && args[0] != string(decision.Enforce) {
			return wrong(c, "the switch goes to observe or to enforce, not to %.40q", args[len(args)-1])
		}
		if len(args) == 0 && note != "" {
			return wrong(c, "--note needs observe or enforce")
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		return reading(c, s, f, asJSON, func(cl *apiClient, sw *api.Switch) error {
			if len(args) == 0 {
				return cl.Call(c.Context(), http.MethodGet, "switch", nil, nil, sw)
			}
			return cl.Call(c.Context(), http.MethodPut, "switch", nil, api.SwitchRequest{Mode: decision.Mode(args[0]), Note: note}, sw)
		}, func(sw *api.Switch) { printSwitch(s, sw) })
	}
	c.Flags().StringVar(&note, "note", "", "why, for people and the audit ledger")
	jsonFlag(c, &asJSON)
	return c
}

func printSwitch(s streams, sw *api.Switch) {
	p := console.NewPalette(console.WantsColour(s.out))
	text := p.Green("enforce") + ": decisions do what they say"
	if sw.Mode == decision.Observe {
		text = p.Yellow("observe") + ": no gateway refuses anything"
	}
	if sw.By != "" {
		text += "; by " + console.Clean(sw.By, 100) + " " + clock(sw.At)
	}
	if sw.Note != "" {
		text += ": " + console.Clean(sw.Note, api.MaxNote)
	}
	fmt.Fprintln(s.out, text)
}

func newDecisionsGateways(s streams, f *apiFlags) *cobra.Command {
	asJSON := false
	c := &cobra.Command{Use: "gateways", Short: "List the gateways and how far they follow",
		Long:    "Lists the gateways: what is in force there, and whether they have fallen behind.",
		Example: "  warder decisions gateways", Args: noArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		cl, err := f.client()
		if err != nil {
			return err
		}
		var list api.Gateways
		if err := cl.Call(c.Context(), http.MethodGet, "gateways", nil, nil, &list); err != nil {
			return err
		}
		if asJSON {
			return eachJSON(s, list.Gateways)
		}
		return gatewayTable(s, list)
	}
	jsonFlag(c, &asJSON)
	return c
}

func gatewayTable(s streams, list api.Gateways) error {
	p := console.NewPalette(console.WantsColour(s.out))
	if len(list.Gateways) == 0 {
		fmt.Fprintln(s.out, "no gateway has acknowledged anything yet")
		return nil
	}
	t := console.NewTable("gateway", "kind", "state", "decisions", "behind", "repaired", "seen", "error")
	for _, g := range list.Gateways {
		state := console.Clean(g.State, 20)
		switch g.State {
		case "in line":
			state = p.Green(state)
		case "behind", "silent":
			state = p.Yellow(state)
		}
		t.Row(console.Clean(g.Gateway, 60), console.Clean(g.Kind, 20), state, strconv.Itoa(g.Held), strconv.FormatInt(g.Behind, 10),
			strconv.FormatUint(g.Repaired, 10), clock(g.Seen), console.Clean(g.Error, 200))
	}
	return t.Write(s.out, p, console.Width(s.out))
}
