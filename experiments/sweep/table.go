package sweep

import (
	"fmt"
	"io"

	"github.com/edgebft/edgebft/experiments/result"
	"github.com/edgebft/edgebft/experiments/stats"
	"github.com/edgebft/edgebft/experiments/store"
	"github.com/edgebft/edgebft/experiments/suite"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// WriteTable prints a table for people.
func WriteTable(w io.Writer, header []string, rows [][]string) error {
	t := tablewriter.NewTable(w,
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off},
				Lines:      tw.Lines{ShowHeaderLine: tw.On},
			},
		})),
	)
	t.Header(header)
	for _, row := range rows {
		if err := t.Append(row); err != nil {
			return err
		}
	}
	return t.Render()
}

// WriteResults prints one line per configuration, then what is wrong with cells,
// then the verdicts on the claims.
func WriteResults(w io.Writer, rep *Report) error {
	header, rows := stats.Table(rep.Groups)
	if err := WriteTable(w, header, rows); err != nil {
		return err
	}
	for _, c := range rep.Cells {
		if c.State != result.OK {
			fmt.Fprintf(w, "%s  cell %s (%s): %s\n", c.State, c.ID, c.Label, c.Reason)
		}
	}
	for _, c := range rep.Claims {
		fmt.Fprintf(w, "claim %s %s: %s (%s)\n", c.Claim.ID, c.Verdict, c.Claim.Text, c.Sentence)
	}
	for _, b := range rep.Breaches {
		fmt.Fprintf(w, "threshold broken: %s\n", b.Sentence)
	}
	return nil
}

// WriteStatuses prints the status of every cell and the counts.
func WriteStatuses(w io.Writer, cells []*suite.Cell, list []store.CellStatus) error {
	rows := make([][]string, len(list))
	for i, c := range list {
		rows[i] = []string{c.ID, cells[i].Label(), string(c.Status), c.Reason}
	}
	if err := WriteTable(w, []string{"cell", "what", "status", "reason"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w, Counts(list))
	return nil
}
