//! The catalogue for a README.

use super::Catalogue;
use super::catalogue::in_words;
use lock_history::check::Property;
use lock_history::text::is_invisible;
use std::io::{self, Write};

/// Writes the catalogue as one table.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write(catalogue: &Catalogue, out: &mut dyn Write) -> io::Result<()> {
    let header: String = catalogue.protocols().map(|name| format!(" `{name}` |")).collect();
    writeln!(out, "| hazard | scenario |{header}")?;
    writeln!(out, "|---|---|{}", "---|".repeat(catalogue.protocols().count()))?;
    for row in &catalogue.scenarios {
        write!(out, "| {} | `{}` |", plain(&row.hazards.join(", ")), row.name)?;
        for (_, shown) in &row.protocols {
            write!(out, " {} |", plain(&in_words(shown.as_ref())))?;
        }
        writeln!(out)?;
    }
    let six = Property::RULED_OUT.map(|property| format!("`{}`", property.word()));
    writeln!(out, "\nThe six: {}.", six.join(", "))
}

/// Text as it is, in a cell.
fn plain(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in text.chars() {
        if "|\\`*<>[]".contains(character) {
            cell.push('\\');
        }
        cell.push(if is_invisible(character) { ' ' } else { character });
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CatalogueRow, Shown};
    use lock_history::check::Property;

    #[test]
    fn a_row_is_a_line_whatever_is_in_it() {
        let legacy = Shown { finds: vec![Property::Overlap], ..Shown::default() };
        let hardened = Shown {
            free_of: [&Property::RULED_OUT[..], &[Property::Overlap]].concat(),
            ends: vec!["a|b: error".into()],
            ..Shown::default()
        };
        let row = CatalogueRow {
            name: "mine".into(),
            title: "Mine.".into(),
            hazards: vec!["one".into(), "two".into()],
            protocols: vec![("legacy".into(), Some(legacy)), ("hardened".into(), Some(hardened))],
        };
        let mut bytes = Vec::new();
        write(&Catalogue::new(vec![row]), &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(
            "| one, two | `mine` | finds overlap | none of the six; free of overlap; a\\|b: error |\n"
        ), "{text}");
        assert!(text.ends_with(
            "The six: `foreign_release`, `foreign_overwrite`, `foreign_extend`, `lost_update`, `silent_loss`, `flag_drift`.\n"
        ));
    }
}
