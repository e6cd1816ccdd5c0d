//! `check`: judges a saved history.

use super::args::{CheckArgs, CheckFormat, Color};
use super::exit::{Exit, Refusal};
use super::output::Output;
use super::timeline::{Drawing, OutputPlace};
use super::{input, say, terminal};
use crate::report::{Judgement, json, table};
use lock_history::check::{Checked, check};
use lock_history::history::History;

/// Prints what the checkers say of the history in this file.
pub(super) fn judge(args: &CheckArgs) -> Result<Exit, Refusal> {
    Drawing::is_possible(args.timeline.as_ref(), args.format == CheckFormat::Json)?;
    let (name, history) = input::history(&args.file)?;
    let checked = check(&history);
    let drawing = Drawing::begin(args.timeline.as_ref(), Color::Auto, OutputPlace::BelowReport)?;
    let judgement = print(name, &history, &checked, args.format)?;
    drawing.draw_checked(&history, &checked)?;
    Ok(match (judgement.findings.is_empty(), judgement.is_complete) {
        (false, _) => Exit::Unexpected,
        (true, false) => Exit::Inconclusive,
        (true, true) => Exit::Success,
    })
}

/// Prints what the checkers say of a history; `name` is that of its file.
pub(super) fn print(
    name: String,
    history: &History,
    checked: &Checked,
    format: CheckFormat,
) -> Result<Judgement, Refusal> {
    let judgement = Judgement::new(name, &history.head, history.events.len(), checked);
    judgement.incomplete.iter().for_each(|why| say(&format!("incomplete: {why}")));
    let style = terminal::style(Color::Auto, false);
    Output::Stdout.write(|out| match format {
        CheckFormat::Table => table::write_judgement(&judgement, style, out),
        CheckFormat::Json => json::write(&judgement, out),
    })?;
    Ok(judgement)
}
