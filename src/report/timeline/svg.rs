//! The timeline as one SVG file that needs nothing else. Light or dark as the reader's system is.

use super::layout::legend::{FIELD, Sign};
use super::layout::rows::{FLAG, Flag, Row, told};
use super::layout::ticks::Stretch;
use super::layout::{LARGE, Label, Layout, SMALL, summary};
use super::{Bar, BarKind, Lane, LaneKind, MarkKind, Timeline};
use std::fmt::{self, Write as _};
use std::io::{self, Write};

/// How wide the picture is.
const WIDTH: f64 = 1200.0;
/// How many colours acquisitions have; then they repeat.
pub const COLOURS: usize = 6;

/// How everything looks, for the SVG file and the page.
pub const STYLE: &str = include_str!("timeline.css");

/// Writes the timeline as a file.
pub fn write(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(picture(timeline, true).as_bytes())?;
    out.flush()
}

/// The picture; with its style and all that is said around the lanes, or only these.
pub(super) fn picture(timeline: &Timeline, stands_alone: bool) -> String {
    let layout = Layout::new(timeline, WIDTH, stands_alone);
    let mut text = String::new();
    // A String takes everything.
    let _ = draw(&mut text, timeline, &layout, stands_alone);
    text
}

fn draw(out: &mut String, timeline: &Timeline, layout: &Layout, alone: bool) -> fmt::Result {
    let (width, height) = (layout.width, layout.height.ceil());
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"timeline\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"timeline-title timeline-desc\">"
    )?;
    writeln!(out, "<title id=\"timeline-title\">{}</title>", xml(&title(timeline)))?;
    writeln!(out, "<desc id=\"timeline-desc\">{}</desc>", xml(&description(timeline)))?;
    if alone {
        writeln!(out, "<style>{STYLE}</style>")?;
    }
    writeln!(out, "{PATTERNS}<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>")?;
    for (position, line) in layout.head.iter().enumerate() {
        label(out, line, if position == 0 { "title" } else { "quiet" })?;
    }
    axis(out, layout)?;
    for flag in &layout.flags {
        writeln!(
            out,
            "<path class=\"finding-line\" d=\"M{0:.1} {1:.1}V{2:.1}\"/>",
            flag.x,
            flag.top + FLAG,
            flag.bottom
        )?;
    }
    for (lane, row) in timeline.lanes.iter().zip(&layout.rows) {
        self::row(out, lane, row)?;
    }
    for flag in &layout.flags {
        self::flag(out, flag, timeline, layout)?;
    }
    for key in &layout.legend {
        sign(out, key.sign, key.x, key.y)?;
        label(out, &key.label, "key")?;
    }
    for told in &layout.told {
        let number = &told.number;
        badge(out, number.x - 5.0, number.y - 13.0, (number.width + 10.0).max(FLAG), number)?;
        label(out, &told.property, "strong")?;
        told.lines.iter().try_for_each(|line| label(out, line, "said"))?;
    }
    layout.notes.iter().try_for_each(|line| label(out, line, "quiet"))?;
    writeln!(out, "</svg>")
}

/// What the picture is called.
pub(super) fn title(timeline: &Timeline) -> String {
    let what = if timeline.title.is_empty() { "a history" } else { &timeline.title };
    format!("Timeline of {what}")
}

fn description(timeline: &Timeline) -> String {
    let mut text = summary(timeline);
    for remark in timeline.findings.iter().take(super::layout::LISTED) {
        let _ = write!(text, "\n{}. {}: {}", remark.number, remark.property, remark.text);
    }
    text
}

/// Fillings that don't need colours to be told apart.
const PATTERNS: &str = "<defs>\
<pattern id=\"hatch-lost\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" \
patternTransform=\"rotate(45)\"><path class=\"hatch-lost\" d=\"M0 0V7\"/></pattern>\
<pattern id=\"hatch-waits\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<circle class=\"hatch-waits\" cx=\"2.5\" cy=\"2.5\" r=\".9\"/></pattern></defs>\n";

fn axis(out: &mut String, layout: &Layout) -> fmt::Result {
    let (top, bottom) = (layout.top, layout.bottom);
    for stretch in &layout.stretches {
        self::stretch(out, stretch, top, bottom)?;
    }
    for tick in &layout.ticks {
        writeln!(out, "<path class=\"grid\" d=\"M{:.1} {top:.1}V{:.1}\"/>", tick.x, bottom + 4.0)?;
    }
    let (left, right) = (layout.left, layout.left + layout.plot);
    writeln!(out, "<path class=\"base\" d=\"M{left:.1} {bottom:.1}H{right:.1}\"/>")?;
    for stretch in layout.stretches.iter().filter(|stretch| stretch.is_gap) {
        let middle = stretch.x + stretch.width / 2.0;
        writeln!(out, "<path class=\"break\" d=\"{}\"/>", zigzag(middle, bottom))?;
    }
    let ticks = layout.ticks.iter().filter_map(|tick| tick.label.as_ref());
    ticks
        .chain(layout.stretches.iter().filter_map(|it| it.label.as_ref()))
        .try_for_each(|it| label(out, it, "tick"))
}

fn stretch(out: &mut String, stretch: &Stretch, top: f64, bottom: f64) -> fmt::Result {
    let Stretch { x, width, .. } = stretch;
    let class = if stretch.is_gap { "gap" } else { "order" };
    let height = bottom - top;
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
    )?;
    if !stretch.is_gap {
        let (y, end) = (bottom + 4.0, x + width);
        writeln!(
            out,
            "<path class=\"bracket\" d=\"M{x:.1} {bottom:.1}V{y:.1}H{end:.1}V{bottom:.1}\"/>"
        )?;
    }
    Ok(())
}

/// The sign of a break in the axis.
fn zigzag(x: f64, y: f64) -> String {
    format!("M{:.1} {:.1}l4 -10m4 0l-4 10", x - 5.0, y + 5.0)
}

fn row(out: &mut String, lane: &Lane, row: &Row) -> fmt::Result {
    for (position, name) in row.names.iter().enumerate() {
        let class = match (lane.kind, position) {
            (LaneKind::Actor, _) | (LaneKind::Lock, 0) => "name",
            _ => "quiet",
        };
        match position + 1 == row.names.len() {
            true => titled_label(out, name, class, &lane.name)?,
            false => label(out, name, class)?,
        }
    }
    for piece in &row.pieces {
        let Some(bar) = lane.bars.get(piece.bar) else { continue };
        let (x, width, y, height) = (piece.x, piece.width, row.bar_y, row.bar_height);
        writeln!(
            out,
            "<g class=\"bar {}\"><title>{}</title>",
            class(lane.kind, bar),
            xml(&bar.detail)
        )?;
        bar_shape(out, lane.kind, bar, [x, y, width, height])?;
        piece.label.iter().try_for_each(|it| label(out, it, "on-bar"))?;
        writeln!(out, "</g>")?;
    }
    for spot in &row.spots {
        let marks = lane.marks.get(spot.first..spot.first + spot.marks).unwrap_or_default();
        write!(out, "<g class=\"mark {}\"><title>{}</title>", name(spot.kind), xml(&told(marks)))?;
        glyph(out, spot.kind, spot.x, row.mark_y)?;
        spot.label.iter().try_for_each(|it| label(out, it, "times"))?;
        writeln!(out, "</g>")?;
    }
    Ok(())
}

fn bar_shape(out: &mut String, lane: LaneKind, bar: &Bar, place: [f64; 4]) -> fmt::Result {
    let [x, y, width, height] = place;
    let round = if width > 6.0 { 2.5 } else { 0.0 };
    let rect = |class: &str| {
        format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.2}\" \
             height=\"{height:.1}\" rx=\"{round}\"/>"
        )
    };
    out.push_str(&rect("fill"));
    if bar.is_lost {
        out.push_str(&rect("lost"));
    } else if bar.kind == BarKind::Waits && lane == LaneKind::Actor {
        out.push_str(&rect("dots"));
    }
    if bar.is_open && width > 6.0 {
        let end = x + width;
        write!(out, "<path class=\"open\" d=\"M{end:.1} {y:.1}v{height:.1}\"/>")?;
    }
    Ok(())
}

/// A bar's classes: what it is, and the colour of its acquisition.
pub(super) fn class(lane: LaneKind, bar: &Bar) -> String {
    let kind = match (lane, bar.kind) {
        (LaneKind::Lock, _) => "owned",
        (_, BarKind::Holds) => "holds",
        (_, BarKind::Raised) => "raised",
        (_, BarKind::Waits) => "waits",
        (_, BarKind::Works) => "works",
        (_, BarKind::Writes) => "writes",
        (_, BarKind::Asks) => "asks",
        (_, BarKind::Many) => "many",
    };
    let token = bar.token.map(|token| format!(" t{}", token % COLOURS)).unwrap_or_default();
    format!("{kind}{token}{}", if bar.is_lost { " is-lost" } else { "" })
}

/// A mark's class.
pub(super) fn name(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Refused => "refused",
        MarkKind::Failed => "failed",
        MarkKind::Expired => "expired",
        MarkKind::Extended => "extended",
        MarkKind::Cleared => "cleared",
        MarkKind::Fault => "fault",
        MarkKind::Crashed => "crashed",
    }
}

/// A mark's form around 0: each kind has its own, also without colours.
pub(super) fn form(kind: MarkKind) -> &'static str {
    match kind {
        // A circle with a bar; a triangle; an hourglass; an arrow; scissors; a bolt; a cross.
        MarkKind::Refused => "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M-2.5 0h5",
        MarkKind::Failed => "M0-5.5L5.5 4.5H-5.5ZM0-2V1.2M0 2.6V3",
        MarkKind::Expired => "M-4-5H4L-4 5H4Z",
        MarkKind::Extended => "M-5 0H4M1-3.5L4.5 0L1 3.5",
        MarkKind::Cleared => "M0-5.5L5.5 0L0 5.5L-5.5 0ZM-2-2L2 2M2-2L-2 2",
        MarkKind::Fault => "M1.5-6L-3.5 1H0L-1.5 6L3.5-1H0Z",
        MarkKind::Crashed => "M-4.5-4.5L4.5 4.5M4.5-4.5L-4.5 4.5",
    }
}

fn glyph(out: &mut String, kind: MarkKind, x: f64, y: f64) -> fmt::Result {
    write!(
        out,
        "<path class=\"glyph\" transform=\"translate({x:.1} {y:.1})\" d=\"{}\"/>",
        form(kind)
    )
}

fn flag(out: &mut String, flag: &Flag, timeline: &Timeline, layout: &Layout) -> fmt::Result {
    let found = timeline.findings.get(flag.first..flag.first + flag.findings).unwrap_or_default();
    let said: Vec<String> = found
        .iter()
        .take(6)
        .map(|it| format!("{}. {}: {}", it.number, it.property.replace('_', " "), it.text))
        .collect();
    write!(out, "<g class=\"flag\"><title>{}</title>", xml(&said.join("\n")))?;
    for row in flag.rows.iter().filter_map(|row| layout.rows.get(*row)) {
        writeln!(
            out,
            "<circle class=\"ring\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
            flag.x, row.bar_y
        )?;
    }
    badge(out, flag.left, flag.top, flag.width, &flag.label)?;
    writeln!(out, "</g>")
}

fn badge(out: &mut String, x: f64, y: f64, width: f64, number: &Label) -> fmt::Result {
    write!(
        out,
        "<rect class=\"badge\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{FLAG}\" rx=\"4\"/>"
    )?;
    let text = x + (width - number.width) / 2.0;
    label(out, &Label { x: text, ..number.clone() }, "number")
}

/// A sign of the legend, in its field.
pub(super) fn sign(out: &mut String, sign: Sign, x: f64, y: f64) -> fmt::Result {
    let bar = |class: &str, more: &str| {
        let rect = |class: &str| {
            format!(
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{FIELD}\" height=\"12\" rx=\"2.5\"/>"
            )
        };
        let more = if more.is_empty() { String::new() } else { rect(more) };
        format!("<g class=\"bar {class}\">{}{more}</g>", rect("fill"))
    };
    let drawn = match sign {
        Sign::Owned => bar("owned t0", ""),
        Sign::Raised => bar("raised", ""),
        Sign::Lost => bar("works t0 is-lost", "lost"),
        Sign::Bar(BarKind::Waits) => bar("waits", "dots"),
        Sign::Bar(BarKind::Works) => bar("works t0", ""),
        Sign::Bar(BarKind::Holds) => bar("holds t0", ""),
        Sign::Bar(BarKind::Writes) => bar("writes", ""),
        Sign::Bar(BarKind::Asks) => bar("asks", ""),
        Sign::Bar(BarKind::Raised | BarKind::Many) => bar("many", ""),
        Sign::Open => format!("<path class=\"open\" d=\"M{:.1} {y:.1}v12\"/>", x + FIELD / 2.0),
        Sign::Finding => format!(
            "<rect class=\"badge\" x=\"{:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" rx=\"3\"/>",
            x + 4.0
        ),
        Sign::Order => format!(
            "<rect class=\"order\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{FIELD}\" height=\"12\"/><path class=\"bracket\" d=\"M{x:.1} {0:.1}v3h{FIELD}v-3\"/>",
            y + 9.0
        ),
        Sign::Gap => format!("<path class=\"break\" d=\"{}\"/>", zigzag(x + FIELD / 2.0, y + 6.0)),
        Sign::Mark(kind) => {
            let mut sign = format!("<g class=\"mark {}\">", name(kind));
            glyph(&mut sign, kind, x + FIELD / 2.0, y + 6.0)?;
            sign + "</g>"
        }
    };
    out.push_str(&drawn);
    Ok(())
}

fn label(out: &mut String, label: &Label, class: &str) -> fmt::Result {
    let Label { x, y, text, .. } = label;
    let size = size(label.size);
    writeln!(out, "<text class=\"{class}{size}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", xml(text))
}

fn titled_label(out: &mut String, label: &Label, class: &str, title: &str) -> fmt::Result {
    let Label { x, y, text, .. } = label;
    let size = size(label.size);
    writeln!(
        out,
        "<text class=\"{class}{size}\" x=\"{x:.1}\" y=\"{y:.1}\"><title>{}</title>{}</text>",
        xml(title),
        xml(text)
    )
}

fn size(size: f64) -> &'static str {
    match size {
        LARGE.. => "",
        SMALL => " small",
        ..SMALL => " tiny",
        _ => "",
    }
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
            _ if character.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}
