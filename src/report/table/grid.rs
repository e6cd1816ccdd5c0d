//! Rows and columns without lines, except one below the header.

use super::Style;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table,
    TableStyle, Width,
};
use std::io::{self, Write};

/// Spaces between two columns, besides the one that comfy-table puts there.
const GAP: u16 = 1;

const LINES: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// What a text means to the reader. The words say it too: a tone only adds colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Tone {
    Plain,
    Strong,
    Quiet,
    Good,
    Odd,
    Bad,
}

/// A piece of text, escaped already if it comes from outside.
pub(in crate::report) fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    let cell = Cell::new_owned(text.into());
    match tone {
        Tone::Plain => cell,
        Tone::Strong => cell.add_attribute(Attribute::Bold),
        Tone::Quiet => cell.add_attribute(Attribute::Dim),
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Odd => cell.fg(Color::DarkYellow),
        Tone::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
    }
}

/// How many columns of the screen a text takes, as the grid counts them.
pub(in crate::report) fn columns(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut table = Table::new();
    table.add_row([text]);
    table.column_max_content_widths().first().copied().map_or(0, usize::from)
}

/// A table in the making.
pub(in crate::report) struct Grid {
    table: Table,
    right: Option<usize>,
    fixed: Vec<(usize, u16)>,
}

impl Grid {
    pub(in crate::report) fn new(style: Style) -> Self {
        let mut table = Table::new();
        table
            .load_style(LINES)
            .force_no_tty()
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(style.width)
            .style_text_only();
        if style.color {
            table.enforce_styling();
        }
        Self { table, right: None, fixed: Vec::new() }
    }

    pub(in crate::report) fn header(&mut self, names: &[&str]) {
        self.table.set_header(names.iter().map(|name| cell(*name, Tone::Strong)));
    }

    pub(in crate::report) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.table.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    /// Aligns a column of numbers.
    pub(in crate::report) fn right(&mut self, column: usize) {
        self.right = Some(column);
    }

    /// Gives a column so much width, whatever is in it.
    pub(in crate::report) fn fixed(&mut self, column: usize, width: u16) {
        self.fixed.push((column, width));
    }

    /// Draws what was collected.
    pub(in crate::report) fn print(mut self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.table.column_count();
        for (index, column) in self.table.column_iter_mut().enumerate() {
            let gap = if index + 1 < columns { GAP } else { 0 };
            column.set_padding((0, gap));
            if self.right == Some(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if let Some((_, width)) = self.fixed.iter().find(|(fixed, _)| *fixed == index) {
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + gap)));
            }
        }
        writeln!(out, "{}", self.table.trim_fmt())
    }
}
