//! What came of many runs.

use super::grid::{Grid, Tone, cell};
use super::{Style, paragraph};
use crate::check::Verdict;
use crate::report::wording::count;
use crate::report::{OutcomeTally, Repetition, Tally};
use std::io::{self, Write};

/// So many different outcomes are shown; the JSON report has them all.
const MOST: usize = 10;

/// Writes how often what came. `seed` is that of the run that the rest of the report is about.
pub(super) fn write(
    repetition: &Repetition,
    seed: Option<u64>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let first = if repetition.seed.is_some() { "First seed" } else { "First run" };
    let mut grid = Grid::new(style);
    grid.header(&["What came", "Runs", first]);
    grid.right(1);
    for outcome in repetition.outcomes.iter().take(MOST) {
        let tone = match outcome.verdict {
            Verdict::Expected => Tone::Good,
            Verdict::Unexpected => Tone::Bad,
            Verdict::Inconclusive => Tone::Odd,
        };
        row(&mut grid, in_words(outcome), tone, outcome.tally);
    }
    if let Some(more) = repetition.outcomes.len().checked_sub(MOST).filter(|more| *more > 0) {
        grid.row([cell(format!("… {more} other outcomes"), Tone::Quiet)]);
    }
    for (word, tally) in &repetition.findings {
        row(&mut grid, format!("found {word}"), Tone::Bad, *tally);
    }
    grid.print(out)?;
    writeln!(out)?;
    paragraph(cell(summary(repetition, seed), Tone::Strong), style, out)
}

fn row(grid: &mut Grid, what: String, tone: Tone, tally: Tally) {
    let first = tally.first_seed.unwrap_or(tally.first_run);
    let number = |number: u64| cell(number.to_string(), Tone::Plain);
    grid.row([cell(what, tone), number(tally.count), number(first)]);
}

fn in_words(outcome: &OutcomeTally) -> String {
    let OutcomeTally { verdict, succeeded, already_locked, errors, .. } = outcome;
    let errors = count(*errors, "error", "errors");
    format!("{}: {succeeded} succeeded, {already_locked} already locked, {errors}", verdict.word())
}

fn summary(repetition: &Repetition, shown: Option<u64>) -> String {
    let runs = repetition.runs;
    let expected = repetition.verdicts.get(Verdict::Expected.word()).copied().unwrap_or_default();
    let mut line = format!("{expected} of {runs} runs as expected");
    if let (Some(first), Some(shown)) = (repetition.seed, shown) {
        let last = first.wrapping_add(runs.saturating_sub(1));
        line.push_str(&format!(
            ", seeds {first} to {last}; shown is seed {shown}: --virtual --seed {shown} repeats it"
        ));
    }
    line
}
