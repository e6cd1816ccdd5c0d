//! The built-in scenarios: their names, and what they show.

use super::Style;
use super::grid::{Page, Tone, cell, plain};
use crate::report::catalogue::in_words;
use crate::report::{Catalogue, escape};
use lock_history::check::Property;
use lock_lab::scenario::Scenario;
use std::io::{self, Write};

/// Writes each scenario's name and its one line.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_list(scenarios: &[&Scenario], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    let rows = scenarios.iter();
    page.rows(rows.map(|row| [cell(escape(row.name()), Tone::Strong), plain(row.title())]));
    page.write(out)
}

/// Writes what each scenario shows under each protocol.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_catalogue(catalogue: &Catalogue, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    let mut grid = page.grid();
    let header = ["Hazard", "Scenario"].into_iter().chain(catalogue.protocols());
    grid.header(&header.collect::<Vec<_>>());
    if !page.style.is_narrow() {
        let longest = catalogue.scenarios.iter().map(|row| row.name.len()).max();
        grid.fixed(1, longest.unwrap_or(1).max(8));
    }
    for row in &catalogue.scenarios {
        let about = [plain(row.hazards.join(", ")), cell(escape(&row.name), Tone::Strong)];
        let shown = row.protocols.iter().map(|(_, it)| plain(in_words(it.as_ref())));
        grid.row(about.into_iter().chain(shown));
    }
    page.print(grid);
    page.blank();
    let six = Property::RULED_OUT.map(|property| property.word()).join(", ");
    page.paragraph(format!("The six: {six}."), Tone::Quiet);
    page.write(out)
}
