//! The built-in scenarios: their names, and what they show.

use super::grid::{Grid, Tone, cell};
use super::{Style, paragraph};
use crate::check::Property;
use crate::report::{Catalogue, escape};
use std::io::{self, Write};

/// Writes each scenario's name and its one line.
pub fn write_list(catalogue: &Catalogue, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style.usable());
    for row in &catalogue.scenarios {
        grid.row([cell(escape(&row.name), Tone::Strong), cell(escape(&row.title), Tone::Plain)]);
    }
    grid.print(out)
}

/// Writes what each scenario shows under each protocol.
pub fn write_catalogue(catalogue: &Catalogue, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let style = style.usable();
    let mut grid = Grid::new(style);
    let header = ["Hazard", "Scenario"].into_iter().chain(catalogue.protocols());
    let header: Vec<&str> = header.collect();
    grid.header(&header);
    if !style.is_narrow() {
        let longest = catalogue.scenarios.iter().map(|row| row.name.len()).max();
        grid.fixed(1, longest.and_then(|longest| u16::try_from(longest).ok()).unwrap_or(1).max(8));
    }
    for row in &catalogue.scenarios {
        let about = [
            cell(escape(&row.hazards.join(", ")), Tone::Plain),
            cell(escape(&row.name), Tone::Strong),
        ];
        let shown = row.protocols.iter().map(|(_, it)| cell(escape(&it.words()), Tone::Plain));
        grid.row(about.into_iter().chain(shown));
    }
    grid.print(out)?;
    writeln!(out)?;
    let four = Property::RULED_OUT.map(|property| property.word()).join(", ");
    paragraph(cell(format!("The four: {four}."), Tone::Quiet), style, out)
}
