//! Rows and columns without lines, except one below the header; and the page that they stand on.

use super::Style;
use crate::report::escape;
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

/// A piece of plain text, which is escaped here.
pub(super) fn plain(text: impl AsRef<str>) -> Cell {
    cell(escape(text.as_ref()), Tone::Plain)
}

/// The same, or a dash if there is none.
pub(super) fn or_dash(text: Option<impl AsRef<str>>) -> Cell {
    text.map_or(cell("-", Tone::Quiet), plain)
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

/// A report in the making.
pub(in crate::report) struct Page {
    pub(in crate::report) style: Style,
    text: String,
}

impl Page {
    pub(in crate::report) fn new(style: Style) -> Self {
        Self { style: style.usable(), text: String::new() }
    }

    /// A line as it is, however long: a command that is there to be copied, or a drawing.
    pub(in crate::report) fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// An empty line.
    pub(in crate::report) fn blank(&mut self) {
        self.line("");
    }

    /// A text that is wrapped as wide as the style.
    pub(in crate::report) fn paragraph(&mut self, text: impl Into<String>, tone: Tone) {
        self.rows([[cell(text, tone)]]);
    }

    /// Rows without a header.
    pub(in crate::report) fn rows<R>(&mut self, rows: impl IntoIterator<Item = R>)
    where
        R: IntoIterator<Item = Cell>,
    {
        let mut grid = self.grid();
        rows.into_iter().for_each(|row| grid.row(row));
        self.print(grid);
    }

    /// Rows below a header, if it has one, after an empty line; nothing, if there are no rows.
    pub(super) fn section<R>(&mut self, header: &[&str], rows: impl IntoIterator<Item = R>)
    where
        R: IntoIterator<Item = Cell>,
    {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_some() {
            self.blank();
            let mut grid = self.grid();
            if !header.is_empty() {
                grid.header(header);
            }
            rows.for_each(|row| grid.row(row));
            self.print(grid);
        }
    }

    /// Names, each with what it stands for.
    pub(super) fn facts<N: Into<String>, V: AsRef<str>>(
        &mut self,
        facts: impl IntoIterator<Item = (N, V)>,
    ) {
        self.rows(facts.into_iter().map(|(name, value)| [cell(name, Tone::Quiet), plain(value)]));
    }

    /// A table in the making.
    pub(in crate::report) fn grid(&self) -> Grid {
        let mut table = Table::new();
        table
            .load_style(LINES)
            .force_no_tty()
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.style.width)
            .style_text_only();
        if self.style.color {
            table.enforce_styling();
        }
        Grid { table, right: None, fixed: Vec::new() }
    }

    /// Draws what was collected.
    pub(in crate::report) fn print(&mut self, mut grid: Grid) {
        let columns = grid.table.column_count();
        for (index, column) in grid.table.column_iter_mut().enumerate() {
            let gap = if index + 1 < columns { GAP } else { 0 };
            column.set_padding((0, gap));
            if grid.right == Some(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if let Some((_, width)) = grid.fixed.iter().find(|(fixed, _)| *fixed == index) {
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(
                    width.saturating_add(gap),
                )));
            }
        }
        self.line(&grid.table.trim_fmt());
    }

    /// Writes all of it.
    pub(in crate::report) fn write(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.text.as_bytes())
    }
}

/// A table in the making.
pub(in crate::report) struct Grid {
    table: Table,
    right: Option<usize>,
    fixed: Vec<(usize, u16)>,
}

impl Grid {
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
    pub(in crate::report) fn fixed(&mut self, column: usize, width: usize) {
        self.fixed.push((column, u16::try_from(width).unwrap_or(u16::MAX)));
    }
}
