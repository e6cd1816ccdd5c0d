//! The timeline as one SVG file that needs nothing else. Light or dark as the reader's system is.
//!
//! Nothing overlaps: a text that does not fit is shortened or left out, marks that would lie on one
//! another are one with their number, and so are the flags of findings.

pub(super) mod axis;
pub(super) mod lanes;
pub(super) mod legend;

use super::layout::text::{fit, measure, wrap};
use super::layout::{LISTED, Layout, MARGIN, NORMAL, SMALL, summary, title};
use super::{Remark, Timeline};
use lock_history::text::is_invisible;
use std::io::{self, Write};

/// How wide the picture is.
pub(super) const WIDTH: f64 = 1200.0;
/// The size of the title.
const LARGE: f64 = 20.0;
/// How much wider bold text is.
const BOLD: f64 = 1.14;
/// The height of a flag.
const FLAG: f64 = 18.0;
/// How many colours acquisitions have; then they repeat.
pub const COLOURS: usize = 6;

/// How everything looks, for the SVG file and the page.
pub const STYLE: &str = include_str!("timeline.css");

/// Writes the timeline as a file.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(picture(timeline, WIDTH, true).as_bytes())?;
    out.flush()
}

/// The picture; with its style and all that is said around the lanes, or only these.
pub(super) fn picture(timeline: &Timeline, width: f64, stands_alone: bool) -> String {
    let (mut body, mut above) = (String::new(), -10.0);
    if stands_alone {
        above = head(&mut body, timeline, width);
    }
    let layout = Layout::new(timeline, width, above);
    let out = &mut body;
    axis::draw(out, &layout);
    let flags = lanes::flags(timeline, &layout);
    flags.iter().for_each(|flag| *out += &flag.line(&layout));
    let left_out = layout.rows.iter().map(|row| lanes::draw(out, row, &layout)).sum();
    flags.iter().for_each(|flag| flag.draw(out, &layout));
    let mut end = layout.bottom + 16.0;
    if stands_alone {
        end = legend::draw(out, timeline, &layout, layout.bottom + 40.0);
        end = foot(out, timeline, &layout, left_out, end);
    }
    let (title, description) = (xml(&heading(timeline)), xml(&description(timeline)));
    let style = if stands_alone { format!("<style>{STYLE}</style>\n") } else { String::new() };
    let height = height(end);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"timeline\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"timeline-title timeline-desc\">\n\
         <title id=\"timeline-title\">{title}</title>\n\
         <desc id=\"timeline-desc\">{description}</desc>\n\
         {style}{PATTERNS}<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n\
         {body}</svg>\n"
    )
}

/// How high a picture is whose last line is there.
pub(super) fn height(end: f64) -> f64 {
    (end + MARGIN - 8.0).ceil()
}

/// What the picture is called.
pub(super) fn heading(timeline: &Timeline) -> String {
    format!("Timeline of {}", title(timeline))
}

fn description(timeline: &Timeline) -> String {
    let mut text = summary(timeline);
    for remark in timeline.findings.iter().take(LISTED) {
        text += &format!("\n{}. {}: {}", remark.number, remark.property, remark.text);
    }
    text
}

/// Fillings that can be distinguished without colours.
const PATTERNS: &str = "<defs>\
<pattern id=\"hatch-lost\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" \
patternTransform=\"rotate(45)\"><path class=\"hatch-lost\" d=\"M0 0V7\"/></pattern>\
<pattern id=\"hatch-waits\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<circle class=\"hatch-waits\" cx=\"2.5\" cy=\"2.5\" r=\".9\"/></pattern></defs>\n";

/// Draws the title and what is said of the whole; gives the last line's place.
fn head(out: &mut String, timeline: &Timeline, width: f64) -> f64 {
    let room = width - 2.0 * MARGIN;
    let title = fit(title(timeline), LARGE * BOLD, room).unwrap_or_default();
    *out += &text("title", MARGIN, 40.0, LARGE, &title);
    lines(out, "quiet", MARGIN, 40.0, 20.0, &wrap(&summary(timeline), NORMAL, room))
}

/// Draws the findings in words and what else has to be said, below `y`; gives the end of it.
fn foot(
    out: &mut String,
    timeline: &Timeline,
    layout: &Layout<'_>,
    left_out: usize,
    y: f64,
) -> f64 {
    let mut y = y;
    let listed = timeline.findings.len().min(LISTED);
    let digits = listed.max(1).ilog10() as usize + 1;
    let x = MARGIN + measure(&"0".repeat(digits), SMALL * BOLD) + 20.0;
    for remark in timeline.findings.iter().take(listed) {
        let room = (layout.width - MARGIN - x).min(900.0);
        let number = remark.number.to_string();
        let width = measure(&number, SMALL) * BOLD + 10.0;
        *out += &badge(MARGIN + 1.0, y + 12.0, width.max(FLAG), &number);
        let name = timeline.named(&in_words(remark), remark);
        y = lines(out, "strong", x, y + 8.0, 18.0, &wrap(&name, NORMAL * BOLD, room));
        y = lines(out, "said", x, y, 18.0, &wrap(&remark.text, NORMAL, room));
    }
    let more = (timeline.findings.len() - listed) as u64 + timeline.omitted;
    let notes = [
        (more, format!("and {more} more findings")),
        (left_out as u64, format!("{left_out} bars are too short to be drawn at this scale")),
    ];
    for (_, note) in notes.iter().filter(|(number, _)| *number > 0) {
        let note = wrap(note, NORMAL, layout.width - 2.0 * MARGIN);
        y = lines(out, "quiet", MARGIN, y + 8.0, 18.0, &note);
    }
    y
}

/// Draws lines below `y`, so far apart; gives the last one's place.
fn lines(out: &mut String, class: &str, x: f64, y: f64, apart: f64, lines: &[String]) -> f64 {
    lines.iter().fold(y, |y, line| {
        *out += &text(class, x, y + apart, NORMAL, line);
        y + apart
    })
}

/// A property as a person writes it.
pub(super) fn in_words(remark: &Remark) -> String {
    remark.property.replace('_', " ")
}

/// A number, or several, in a box.
fn badge(x: f64, y: f64, width: f64, number: &str) -> String {
    let inside = x + (width - measure(number, SMALL) * BOLD) / 2.0;
    rect("badge", x, y, &format!("{width:.1}"), &FLAG.to_string(), 4.0)
        + &text("number", inside, y + 13.0, SMALL, number)
}

fn rect(class: &str, x: f64, y: f64, width: &str, height: &str, round: f64) -> String {
    format!(
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" \
         rx=\"{round}\"/>"
    )
}

/// The sign of a break in the axis.
fn zigzag(x: f64, y: f64) -> String {
    format!("<path class=\"break\" d=\"M{:.1} {:.1}l4 -10m4 0l-4 10\"/>", x - 5.0, y + 5.0)
}

/// A text on its base line.
fn text(class: &str, x: f64, y: f64, size: f64, text: &str) -> String {
    element(class, x, y, size, &xml(text))
}

/// The same with this in it.
fn element(class: &str, x: f64, y: f64, size: f64, inside: &str) -> String {
    let small = match size {
        SMALL => " small",
        ..SMALL => " tiny",
        _ => "",
    };
    format!("<text class=\"{class}{small}\" x=\"{x:.1}\" y=\"{y:.1}\">{inside}</text>\n")
}

/// Text for XML. What XML can't hold at all is replaced.
pub(super) fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(character),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ if is_invisible(character) => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
