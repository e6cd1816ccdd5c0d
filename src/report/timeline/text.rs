//! The timeline for a terminal: characters in a given width. Every kind of thing has a character of
//! its own and every acquisition a letter, so that it reads without colour.

mod legend;
mod names;
mod scale;
mod signs;
mod strip;
#[cfg(test)]
mod tests;
mod ticks;

use super::{Remark, Timeline};
use crate::report::table::grid::{Page, Tone, cell};
use crate::report::{Style, escape};
use crossterm::style::{Color, Stylize};
use lock_history::history::Moment;
use names::NameColumn;
use redis_sim::clock::in_words;
use scale::Scale;
pub(super) use signs::MARKS;
use std::collections::BTreeSet;
use std::io::{self, Write};
use strip::{Ink, Strip, strip};

/// How many rows the numbers of what was found may take.
const MOST_ROWS: usize = 4;
/// How many findings are shown.
const MOST_FINDINGS: usize = 12;
/// There is a line down to the axis for every finding, if each has this number of columns.
const COLUMNS_A_LINE: usize = 6;

/// The colours of the acquisitions, in turn. Red is for what went wrong.
const COLOURS: [Color; 6] = [
    Color::DarkCyan,
    Color::DarkYellow,
    Color::DarkMagenta,
    Color::DarkGreen,
    Color::Blue,
    Color::Cyan,
];

/// Draws it. No line is wider than the style, and none ends with blanks.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write(timeline: &Timeline, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    let width = usize::from(page.style.width);
    let names = NameColumn::of(&timeline.lanes, width);
    let scale = Scale::new(timeline, width.saturating_sub(names.columns()));
    page.paragraph(title(timeline), Tone::Strong);
    page.blank();
    if timeline.lanes.is_empty() {
        page.line("nothing happened");
    } else {
        picture(timeline, &names, &scale, &mut page);
    }
    findings(timeline, &mut page);
    let mut entries = legend::entries(timeline);
    if scale.shows_order() {
        entries.push(legend::at_once());
    }
    if !entries.is_empty() {
        page.blank();
    }
    legend::rows(entries, width).iter().for_each(|row| ink(row, &mut page));
    if !timeline.is_complete {
        page.blank();
        let text = "The history is not whole: what came after its last event is not known.";
        page.paragraph(text, Tone::Odd);
    }
    page.write(out)
}

fn title(timeline: &Timeline) -> String {
    let time = |moment: &Moment| in_words(moment.time());
    let Timeline { title, protocol, begin, end, .. } = timeline;
    let during = format!("{} to {}", time(begin), time(end));
    let times = timeline.time_span().map(|span| format!(" ({span})")).unwrap_or_default();
    format!("{} under {}, {during}{times}", escape(title), escape(protocol))
}

/// The lanes, the axis, and the numbers of what was found.
fn picture(timeline: &Timeline, names: &NameColumn, scale: &Scale, page: &mut Page) {
    let place = |remark: &Remark| (scale.column(remark.at), remark.number);
    let places: Vec<(usize, usize)> = timeline.findings.iter().map(place).collect();
    let columns: BTreeSet<usize> = places.iter().map(|(column, _)| *column).collect();
    let with_lines = columns.len() * COLUMNS_A_LINE <= scale.columns;
    for lane in &timeline.lanes {
        let mut strip = strip(lane, scale);
        for column in columns.iter().filter(|_| with_lines) {
            strip.put_behind(*column, '┊', Ink::Quiet);
        }
        line(&names.name(lane), &strip, page);
    }
    axis(names, scale, page);
    numbers(&places, scale.columns).iter().for_each(|strip| line(&names.blank(), strip, page));
}

/// The axis with its ticks and, below, when they are.
fn axis(names: &NameColumn, scale: &Scale, page: &mut Page) {
    let (mut rule, mut labels) = (Strip::blank(scale.columns), Strip::blank(scale.columns));
    for column in 0..scale.columns {
        rule.put(column, '─', Ink::Quiet);
    }
    for instant in scale.instants.iter().filter(|instant| instant.more > 0) {
        for column in instant.first..instant.first + instant.more {
            rule.put(column, signs::AT_ONCE, Ink::Quiet);
        }
    }
    for tick in ticks::ticks(scale) {
        rule.put(tick.column, '┬', Ink::Quiet);
        if let Some(begin) = tick.label_at {
            labels.put_text(begin, &tick.label, Ink::Plain);
        }
    }
    for gap in &scale.breaks {
        rule.put_text(gap.first, &gap.text, Ink::Odd);
    }
    line(&names.blank(), &rule, page);
    line(&names.blank(), &labels, page);
}

/// The numbers below their columns, each in the first row that has room for it, if any has.
fn numbers(places: &[(usize, usize)], columns: usize) -> Vec<Strip> {
    let mut rows = vec![Strip::blank(columns); MOST_ROWS];
    for (column, number) in places {
        let text = number.to_string();
        let begin = (*column).min(columns.saturating_sub(text.len()));
        let around = begin.saturating_sub(1)..begin + text.len() + 1;
        if let Some(row) = rows.iter_mut().find(|row| row.is_blank(around.clone())) {
            row.put_text(begin, &text, Ink::Bad);
        }
    }
    rows.retain(|row| !row.is_blank(0..columns));
    rows
}

/// What was found, by the numbers in the picture.
fn findings(timeline: &Timeline, page: &mut Page) {
    let findings = &timeline.findings;
    if findings.is_empty() {
        return;
    }
    page.blank();
    let row = |remark: &Remark| {
        let name = timeline.named(remark.property, remark);
        let text = format!("{name}: {}", escape(&remark.text));
        [cell(remark.number.to_string(), Tone::Bad), cell(text, Tone::Plain)]
    };
    let more =
        (findings.len().saturating_sub(MOST_FINDINGS) as u64).saturating_add(timeline.omitted);
    let more =
        (more > 0).then(|| [cell("…", Tone::Bad), cell(format!("{more} more"), Tone::Quiet)]);
    page.rows(findings.iter().take(MOST_FINDINGS).map(row).chain(more));
}

/// A line of the picture: a name and what stands beside it.
fn line(name: &str, strip: &Strip, page: &mut Page) {
    let mut pieces = strip.pieces();
    let name = if pieces.is_empty() { name.trim_end() } else { name };
    pieces.insert(0, (name.to_owned(), Ink::Plain));
    ink(&pieces, page);
}

fn ink(pieces: &[(String, Ink)], page: &mut Page) {
    let colour = |(text, ink): &(String, Ink)| match ink {
        _ if !page.style.color => text.clone(),
        Ink::Plain => text.clone(),
        Ink::Strong => text.as_str().bold().to_string(),
        Ink::Quiet => text.as_str().dim().to_string(),
        Ink::Odd => text.as_str().dark_yellow().to_string(),
        Ink::Bad => text.as_str().dark_red().bold().to_string(),
        Ink::Token(token) => {
            let colour = COLOURS.iter().cycle().nth(token % COLOURS.len());
            text.as_str().with(colour.copied().unwrap_or(Color::Reset)).to_string()
        }
    };
    page.line(&pieces.iter().map(colour).collect::<String>());
}
