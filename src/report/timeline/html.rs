//! The timeline as one HTML file that needs nothing else: the picture, and a script that redraws it
//! for each width and zoom. Nothing is loaded, and no script but its own may run.

use super::layout::{LISTED, Layout, NORMAL, Row, summary, title};
use super::svg::lanes::{classes, over, said};
use super::svg::legend::{FIELD, drawn, mark_style, meaning, signs};
use super::svg::{self, STYLE, axis, in_words, xml};
use super::text::MARKS;
use super::{LaneKind, MarkKind, Timeline, letters};
use serde_json::{Value, json};
use std::io::{self, Write};

const PAGE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("timeline.js");

/// Writes the timeline as a page.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    // For readers without scripts; with them, only its numbers are used.
    let layout = Layout::new(timeline, svg::WIDTH, -10.0);
    let model = model(timeline, &layout).to_string().replace('<', "\\u003c");
    let (heading, title) = (xml(&svg::heading(timeline)), xml(title(timeline)));
    let summary = xml(&summary(timeline));
    let picture = svg::picture(timeline, svg::WIDTH, false);
    let (legend, findings) = (legend(timeline, &layout), findings(timeline));
    // No script runs but one that has the digest of all that a history puts into the page: nothing in
    // it can hold its own digest.
    let parts = [&heading, &title, &summary, &picture, &legend, &findings, &model];
    let mut digest = sha1_smol::Sha1::from(SCRIPT);
    parts.iter().for_each(|part| digest.update(part.as_bytes()));
    let nonce = digest.digest();
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; base-uri 'none'; \
         form-action 'none'\">\n\
         <title>{heading}</title>\n<style>{STYLE}{PAGE}</style>\n</head>\n\
         <body class=\"timeline\">\n<h1>{title}</h1>\n<p class=\"summary\">{summary}</p>\n{TOOLS}\
         <div id=\"stage\">\n{picture}</div>\n{legend}{findings}{KEYS}\
         <div id=\"tip\" role=\"tooltip\" hidden></div>\n\
         <script type=\"application/json\" id=\"model\">{model}</script>\n\
         <script nonce=\"{nonce}\">{SCRIPT}</script>\n</body>\n</html>\n",
    )?;
    out.flush()
}

const TOOLS: &str = "<div class=\"tools\" role=\"toolbar\" aria-label=\"Zoom and colours\">\
<button type=\"button\" data-do=\"in\" aria-label=\"Zoom in\">+</button>\
<button type=\"button\" data-do=\"out\" aria-label=\"Zoom out\">−</button>\
<button type=\"button\" data-do=\"all\">all</button>\
<button type=\"button\" data-do=\"left\" aria-label=\"Earlier\">←</button>\
<button type=\"button\" data-do=\"right\" aria-label=\"Later\">→</button>\
<button type=\"button\" data-do=\"theme\">light / dark</button>\
<button type=\"button\" data-do=\"keys\" aria-label=\"Keys\">?</button>\
<output id=\"shown\"></output></div>\n";

const KEYS: &str = "<section id=\"keys\" hidden aria-label=\"Keys\"><strong>Keys</strong><dl>\
<dt><kbd>+</kbd> <kbd>-</kbd></dt><dd>zoom in, zoom out</dd>\
<dt><kbd>0</kbd></dt><dd>show all</dd>\
<dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>earlier, later</dd>\
<dt><kbd>Home</kbd> <kbd>End</kbd></dt><dd>the beginning, the end</dd>\
<dt><kbd>Tab</kbd></dt><dd>from item to item, with its details</dd>\
<dt><kbd>t</kbd></dt><dd>light or dark</dd>\
<dt><kbd>?</kbd> <kbd>Esc</kbd></dt><dd>show this, close it</dd>\
<dt>wheel</dt><dd>zoom; with Ctrl where the page scrolls</dd>\
<dt>drag, Shift + wheel</dt><dd>earlier, later</dd></dl></section>\n";

fn legend(timeline: &Timeline, layout: &Layout<'_>) -> String {
    let signs = signs(timeline, &layout.axis);
    let key = |sign| {
        format!(
            "<li><svg class=\"timeline\" viewBox=\"0 0 {FIELD} 14\" aria-hidden=\"true\">{}</svg>\
             {}</li>",
            drawn(sign, 0.0, 1.0),
            meaning(sign)
        )
    };
    let keys: String = signs.into_iter().map(key).collect();
    if keys.is_empty() { keys } else { format!("<ul class=\"legend\">{keys}</ul>\n") }
}

fn findings(timeline: &Timeline) -> String {
    let mut list = String::from("<ol class=\"findings\">");
    for remark in timeline.findings.iter().take(LISTED) {
        list += &format!(
            "<li><span class=\"n\">{}</span><p><strong>{}</strong><br>{}</p></li>",
            remark.number,
            xml(&timeline.named(&in_words(remark), remark)),
            xml(&remark.text)
        );
    }
    list += "</ol>\n";
    match timeline.findings.len().saturating_sub(LISTED) as u64 + timeline.omitted {
        0 => list,
        more => format!("{list}<p class=\"note\">and {more} more findings</p>\n"),
    }
}

/// What the script draws: places in time are parts of 1, places from top to bottom are pixels.
fn model(timeline: &Timeline, layout: &Layout<'_>) -> Value {
    let segments = layout.axis.segments.iter().map(|it| {
        json!({
            "kind": it.kind, "from": part(it.from), "to": part(it.to), "begin": it.begin,
            "end": it.end, "said": axis::in_short(it), "origin": axis::origin(it, 0),
        })
    });
    let findings = timeline.findings.iter().map(|it| {
        json!({
            "at": part(layout.axis.place(it.at)), "number": it.number, "lanes": it.lanes,
            "property": in_words(it), "text": it.text,
        })
    });
    let lanes = layout.rows.iter().map(|row| lane(row, layout));
    let form = |kind: MarkKind| (mark_style(kind).name.to_owned(), mark_style(kind).form.into());
    let forms: serde_json::Map<String, Value> = MARKS.map(form).into_iter().collect();
    json!({
        "height": svg::height(layout.bottom + 16.0), "top": layout.top, "bottom": layout.bottom,
        "flags_top": layout.flags_top, "segments": segments.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(), "lanes": lanes.collect::<Vec<_>>(),
        "forms": forms, "steps": axis::steps().collect::<Vec<_>>(),
    })
}

fn lane(row: &Row<'_>, layout: &Layout<'_>) -> Value {
    let lane = row.lane;
    let place = |moment| part(layout.axis.place(moment));
    let names = row.names.iter().enumerate().map(|(line, name)| {
        let kind = if line == 0 && lane.kind != LaneKind::Flag { "name" } else { "quiet" };
        let size = if name.size == NORMAL { 13 } else { 11 };
        json!([name.full, name.y, size, kind, row.alike])
    });
    let bars = lane.bars.iter().map(|bar| {
        json!({
            "from": place(bar.begin), "to": place(bar.end), "kind": classes(lane.kind, bar),
            "over": over(lane, bar), "open": bar.is_open, "said": said(lane, bar),
            "letter": bar.token.filter(|_| lane.kind != LaneKind::Flag).map(letters),
            "detail": bar.detail,
        })
    });
    let marks = lane.marks.iter().map(|mark| {
        let mark_style = mark_style(mark.kind);
        json!({
            "at": place(mark.at), "kind": mark_style.name, "gravity": mark_style.gravity,
            "times": mark.times, "detail": mark.detail,
        })
    });
    json!({
        "names": names.collect::<Vec<_>>(), "bar_y": row.bar_y, "bar_height": row.bar_height,
        "mark_y": row.mark_y, "bars": bars.collect::<Vec<_>>(), "marks": marks.collect::<Vec<_>>(),
    })
}

/// A place, as exact as the deepest zoom needs it.
fn part(place: f64) -> f64 {
    (place * 1e9).round() / 1e9
}
