//! The catalogue for a README, and the outcome of scenarios for the summary of a CI job.

use super::catalogue::in_words;
use super::exploration::{CounterexampleRow, picture};
use super::{Catalogue, Entry, Exploration, Report, escape};
use lock_history::check::{Property, Verdict};
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

/// Writes a row for each scenario, and what was not as expected below.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write_summary(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| scenario | protocol | outcome |\n|---|---|---|")?;
    for [scenario, protocol, outcome] in entries.iter().flat_map(outcomes) {
        writeln!(out, "| {} | {} | {} |", plain(&scenario), plain(&protocol), plain(&outcome))?;
    }
    for entry in entries {
        match entry {
            Entry::Report(report) => unmet(report, out)?,
            Entry::Exploration(exploration) => orderings(exploration, out)?,
            Entry::Failure(failure) => {
                writeln!(out, "\n**{}** was not run:\n", plain(&failure.file))?;
                block(failure.message.lines().map(str::to_owned), out)?;
            }
        }
    }
    Ok(())
}

/// The rows of an entry.
fn outcomes(entry: &Entry) -> Vec<[String; 3]> {
    match entry {
        Entry::Report(report) => {
            let outcome = report.outcome.word().to_owned();
            vec![[report.scenario.clone(), report.protocol.clone(), outcome]]
        }
        Entry::Exploration(exploration) => {
            let row = |row: &super::exploration::ProtocolRow| {
                let scenario = format!("{}, all orderings", exploration.scenario);
                [scenario, row.name.clone(), row.outcome.word().to_owned()]
            };
            exploration.protocols.iter().map(row).collect()
        }
        Entry::Failure(failure) => {
            vec![[
                failure.file.clone(),
                String::new(),
                format!("NOT RUN ({})", failure.cause.word()),
            ]]
        }
    }
}

/// What a run did not show, with all that it found.
fn unmet(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let unmet: Vec<String> = report.unmet().collect();
    let inconclusive = (report.verdict == Verdict::Inconclusive).then(|| report.inconclusive());
    if unmet.is_empty() && inconclusive.is_none() {
        return Ok(());
    }
    writeln!(out, "\n**{}** ({})\n", plain(&report.scenario), plain(&report.protocol))?;
    let found = report.findings.iter().map(|row| format!("{}: {}", row.property.word(), row.text));
    let lines = unmet.into_iter().chain(inconclusive.map(str::to_owned)).chain(found);
    block(lines.chain(report.replay.iter().map(|command| format!("replay: {command}"))), out)
}

/// What orderings show, and how far that goes.
fn orderings(exploration: &Exploration, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n**{}**, all orderings\n", plain(&exploration.scenario))?;
    for row in &exploration.protocols {
        for found in row.wrongly_found() {
            writeln!(out, "{}\n", plain(&row.found(found)))?;
            ordering(found, out)?;
        }
    }
    writeln!(out, "{}", plain(&exploration.verdict_line()))
}

fn ordering(found: &CounterexampleRow, out: &mut dyn Write) -> io::Result<()> {
    let lanes = picture(&found.lanes);
    let lines = lanes.lines().chain([&*found.text]).map(str::to_owned);
    block(lines.chain([format!("replay: {}", found.replay())]), out)?;
    writeln!(out)
}

/// Lines as they are.
fn block(lines: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "~~~text")?;
    for line in lines {
        // No line ends the block.
        let begins = if line.trim_start().starts_with("~~~") { "    " } else { "" };
        writeln!(out, "{begins}{}", escape(&line))?;
    }
    writeln!(out, "~~~")
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
    use crate::report::exploration::samples::exploration;
    use crate::report::{CatalogueRow, Cause, Failure, Shown, samples};
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

    fn summary(entries: &[Entry]) -> String {
        let mut bytes = Vec::new();
        write_summary(entries, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn failure(message: &str) -> Entry {
        let (file, message) = ("mine|d.toml".into(), message.into());
        Entry::Failure(Failure { file, cause: Cause::Scenario, message })
    }

    #[test]
    fn golden_summary_has_a_row_for_each_scenario_and_what_was_not_as_expected() {
        let mut unmet = exploration("check_then_delete", None);
        // Under these, what must be found must not be there.
        unmet.protocols.iter_mut().for_each(|row| {
            row.counterexamples.iter_mut().for_each(|found| found.expected = false);
        });
        let entries = [
            Entry::Report(Box::new(samples::herd(3))),
            Entry::Report(Box::new(samples::orphan())),
            Entry::Report(Box::new(samples::interrupted())),
            Entry::Exploration(Box::new(unmet)),
            failure("no member \"name\""),
        ];
        samples::assert_golden("summary.md", &summary(&entries));
    }

    #[test]
    fn nothing_in_a_message_ends_its_block() {
        let text = summary(&[failure("~~~\n# mine\n  ~~~~\u{1b}[31m")]);
        assert!(
            text.starts_with("| scenario | protocol | outcome |\n|---|---|---|\n| mine\\|d.toml |"),
            "{text}"
        );
        let ends = text.lines().filter(|line| line.starts_with("~~~"));
        assert_eq!(ends.collect::<Vec<_>>(), ["~~~text", "~~~"]);
        assert!(text.contains("\\u{1b}[31m"), "{text}");
    }
}
