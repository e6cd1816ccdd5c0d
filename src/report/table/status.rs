//! Who holds which lock, the worst first, and what to type.

use super::grid::{Grid, Tone, cell};
use super::{Style, paragraph};
use crate::lock::State;
use crate::report::status::{LockRow, Next};
use crate::report::wording::ttl_left;
use crate::report::{Status, escape};
use std::io::{self, Write};

/// Writes what was seen; the last lines say what mends it.
pub fn write_status(status: &Status, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let style = style.usable();
    let rows: Vec<LockRow> = status.locks().collect();
    let mut grid = Grid::new(style);
    grid.header(&["State", "File", "Owner", "TTL left"]);
    for row in &rows {
        grid.row([
            cell(word(row.state), Tone::Plain),
            cell(escape(&row.file), Tone::Plain),
            cell(escape(row.owner.as_deref().unwrap_or("-")), Tone::Plain),
            cell(ttl_left(row.ttl_ms), Tone::Plain),
        ]);
    }
    grid.print(out)?;
    for row in &rows {
        paragraph(cell(escape(&row.diagnosis), Tone::Plain), style, out)?;
        if let Some(Next::Command(command)) = &row.next {
            writeln!(out, "  {}", escape(command))?;
        }
    }
    Ok(())
}

fn word(state: State) -> &'static str {
    match state {
        State::ForeignPayload => "foreign payload",
        State::Orphaned => "orphaned",
        State::NoTtl => "no TTL",
        State::FlagDrift => "flag drift",
        State::ExpiredFlag => "expired flag",
        State::Held => "held",
        State::Free => "free",
    }
}
