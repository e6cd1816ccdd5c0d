//! The outcomes of many runs.

use super::grid::{Grid, Page, Tone, cell, plain};
use super::tone;
use crate::report::wording::count;
use crate::report::{OutcomeTally, Repetition, Tally};

/// The most outcomes that are shown; the JSON report has them all.
const MOST: usize = 10;

/// Writes how often each outcome came. `seed` is that of the run that the rest of the report is about.
pub(super) fn write(repetition: &Repetition, seed: Option<u64>, page: &mut Page) {
    let first = if repetition.seed.is_some() { "First seed" } else { "First run" };
    let mut grid = page.grid();
    grid.header(&["Outcome", "Runs", first]);
    grid.right(1);
    for outcome in repetition.outcomes.iter().take(MOST) {
        row(&mut grid, in_words(outcome), tone(outcome.verdict), outcome.tally);
    }
    if let Some(more) = repetition.outcomes.len().checked_sub(MOST).filter(|more| *more > 0) {
        grid.row([cell(format!("… {more} other outcomes"), Tone::Quiet)]);
    }
    for (word, tally) in &repetition.findings {
        row(&mut grid, format!("found {word}"), Tone::Bad, *tally);
    }
    page.print(grid);
    page.blank();
    page.paragraph(summary(repetition, seed), Tone::Strong);
}

fn row(grid: &mut Grid, what: String, tone: Tone, tally: Tally) {
    let first = tally.first_seed.unwrap_or(tally.first_run);
    grid.row([cell(what, tone), plain(tally.count.to_string()), plain(first.to_string())]);
}

fn in_words(outcome: &OutcomeTally) -> String {
    let OutcomeTally { verdict, succeeded, already_locked, errors, .. } = outcome;
    let errors = count(*errors, "error", "errors");
    format!("{}: {succeeded} succeeded, {already_locked} already locked, {errors}", verdict.word())
}

fn summary(repetition: &Repetition, shown: Option<u64>) -> String {
    let runs = repetition.runs;
    let mut line = format!("{} of {runs} runs as expected", repetition.expected());
    if let (Some(first), Some(shown)) = (repetition.seed, shown) {
        let last = first.wrapping_add(runs.saturating_sub(1));
        line.push_str(&format!(
            ", seeds {first} to {last}; the report above is seed {shown}: repeat it with --virtual --seed \
             {shown}"
        ));
    }
    line
}
