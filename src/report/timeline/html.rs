//! The timeline as one HTML file that needs nothing else: the picture, and a script that draws it
//! anew for each width and zoom. Nothing is loaded, and no script but its own may run.

use super::layout::legend::{FIELD, meaning, signs};
use super::layout::rows::{gravity, letter, said};
use super::layout::ticks::{in_short, origin};
use super::layout::{LISTED, Layout, NORMAL, summary};
use super::svg::{self, STYLE, class, form, name, picture, xml};
use super::{Bar, BarKind, Lane, LaneKind, MarkKind, Timeline};
use serde_json::{Value, json};
use std::io::{self, Write};

const PAGE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("timeline.js");

/// What the page's policy knows its script by. It must change with the script, otherwise no browser
/// runs it: `openssl dgst -sha256 -binary src/report/timeline/timeline.js | base64`.
const SCRIPT_HASH: &str = "sha256-8VJfor1FlbUw6QZMk/GobB+m390xSJx+V1xxNspCotA=";

/// How wide the picture is drawn for readers without scripts.
const WIDTH: f64 = 1200.0;

/// What every mark is called and looks like.
const MARKS: [MarkKind; 7] = [
    MarkKind::Refused,
    MarkKind::Failed,
    MarkKind::Expired,
    MarkKind::Extended,
    MarkKind::Cleared,
    MarkKind::Fault,
    MarkKind::Crashed,
];

/// Writes the timeline as a page.
pub fn write(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    let layout = Layout::new(timeline, WIDTH, false);
    let title = xml(&svg::title(timeline));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src '{SCRIPT_HASH}'; base-uri 'none'; \
         form-action 'none'\">\n\
         <title>{title}</title>\n<style>{STYLE}{PAGE}</style>\n</head>\n\
         <body class=\"timeline\">\n<h1>{}</h1>\n<p class=\"summary\">{}</p>\n{TOOLS}\
         <div id=\"stage\">\n{}</div>\n",
        xml(if timeline.title.is_empty() { "a history" } else { &timeline.title }),
        xml(&summary(timeline)),
        picture(timeline, false),
    )?;
    write_legend(timeline, &layout, out)?;
    write_findings(timeline, out)?;
    let model = model(timeline, &layout).to_string().replace('<', "\\u003c");
    write!(
        out,
        "{KEYS}<div id=\"tip\" role=\"tooltip\" hidden></div>\n\
         <script type=\"application/json\" id=\"model\">{model}</script>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n"
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

fn write_legend(timeline: &Timeline, layout: &Layout, out: &mut dyn Write) -> io::Result<()> {
    let signs = signs(timeline, &layout.stretches);
    if signs.is_empty() {
        return Ok(());
    }
    write!(out, "<ul class=\"legend\">")?;
    for sign in signs {
        let mut drawn = String::new();
        // A String takes everything.
        let _ = svg::sign(&mut drawn, sign, 0.0, 1.0);
        write!(
            out,
            "<li><svg class=\"timeline\" viewBox=\"0 0 {FIELD} 14\" aria-hidden=\"true\">{drawn}\
             </svg>{}</li>",
            meaning(sign)
        )?;
    }
    writeln!(out, "</ul>")
}

fn write_findings(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<ol class=\"findings\">")?;
    for remark in timeline.findings.iter().take(LISTED) {
        write!(
            out,
            "<li><span class=\"n\">{}</span><p><strong>{}</strong><br>{}</p></li>",
            remark.number,
            xml(&remark.property.replace('_', " ")),
            xml(&remark.text)
        )?;
    }
    writeln!(out, "</ol>")?;
    let more = timeline.findings.len().saturating_sub(LISTED) as u64 + timeline.omitted;
    match more {
        0 => Ok(()),
        _ => writeln!(out, "<p class=\"note\">and {more} more findings</p>"),
    }
}

/// What the script draws: places in time are parts of 1, places from top to bottom are pixels.
fn model(timeline: &Timeline, layout: &Layout) -> Value {
    let segments: Vec<Value> = layout
        .axis
        .segments
        .iter()
        .map(|it| {
            json!({
                "kind": it.kind, "from": part(it.from), "to": part(it.to),
                "begin": it.begin, "end": it.end, "said": in_short(it), "origin": origin(it, 0),
            })
        })
        .collect();
    let findings: Vec<Value> = timeline
        .findings
        .iter()
        .map(|it| {
            json!({
                "at": part(layout.axis.place(it.at)), "number": it.number, "lanes": it.lanes,
                "property": it.property.replace('_', " "), "text": it.text,
            })
        })
        .collect();
    let lanes: Vec<Value> =
        (0..timeline.lanes.len()).filter_map(|position| lane(timeline, layout, position)).collect();
    let forms: serde_json::Map<String, Value> =
        MARKS.iter().map(|kind| (name(*kind).to_owned(), form(*kind).into())).collect();
    json!({
        "height": layout.height.ceil(), "top": layout.top, "bottom": layout.bottom,
        "flags_top": layout.flags_top, "segments": segments, "findings": findings,
        "lanes": lanes, "forms": forms,
    })
}

fn lane(timeline: &Timeline, layout: &Layout, position: usize) -> Option<Value> {
    let (lane, row) = (timeline.lanes.get(position)?, layout.rows.get(position)?);
    let place = |moment| part(layout.axis.place(moment));
    let names: Vec<Value> = full_names(lane)
        .iter()
        .zip(&row.names)
        .enumerate()
        .map(|(line, (full, shown))| {
            let kind = if line == 0 && lane.kind != LaneKind::Flag { "name" } else { "quiet" };
            let size = if shown.size == NORMAL { 13 } else { 11 };
            json!([full, shown.y, size, kind, row.alike])
        })
        .collect();
    let bars: Vec<Value> = lane
        .bars
        .iter()
        .map(|bar| {
            json!({
                "from": place(bar.begin), "to": place(bar.end), "kind": class(lane.kind, bar),
                "over": over(lane, bar), "open": bar.is_open, "said": said(lane, bar),
                "letter": bar.token.filter(|_| lane.kind != LaneKind::Flag).map(letter),
                "detail": bar.detail,
            })
        })
        .collect();
    let marks: Vec<Value> = lane
        .marks
        .iter()
        .map(|mark| {
            json!({
                "at": place(mark.at), "kind": name(mark.kind), "gravity": gravity(mark.kind),
                "times": mark.times, "detail": mark.detail,
            })
        })
        .collect();
    Some(json!({
        "names": names, "bar_y": row.bar_y, "bar_height": row.bar_height, "mark_y": row.mark_y,
        "bars": bars, "marks": marks,
    }))
}

fn full_names(lane: &Lane) -> Vec<&str> {
    match (lane.kind, lane.name.split_once(": ").filter(|_| lane.stands_for > 1)) {
        (_, Some((number, outcome))) => vec![number, outcome],
        (LaneKind::Actor, _) => vec![&lane.name],
        (LaneKind::Flag, _) => vec!["flag"],
        (LaneKind::Lock, _) => vec!["lock", &lane.name],
    }
}

/// What is drawn over a bar's filling.
fn over(lane: &Lane, bar: &Bar) -> Option<&'static str> {
    match bar.kind {
        _ if bar.is_lost => Some("lost"),
        BarKind::Waits if lane.kind == LaneKind::Actor => Some("dots"),
        _ => None,
    }
}

/// A place, as exact as the deepest zoom needs it.
fn part(place: f64) -> f64 {
    (place * 1e9).round() / 1e9
}
