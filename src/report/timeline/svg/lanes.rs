//! The lanes, with what lies on them, and the findings' flags above them.

use super::super::layout::text::{fit, measure};
use super::super::layout::{Layout, MARGIN, Row, SMALL};
use super::super::{Bar, BarKind, Lane, LaneKind, Mark, Remark, Timeline, letters};
use super::legend::{class, glyph, mark_style};
use super::{BOLD, COLOURS, FLAG, badge, element, in_words, rect, text, xml};
use crate::report::wording::nanoseconds;

/// How far apart the middles of two marks are at least.
const MARK: f64 = 15.0;
/// Bars of one lane beyond this number are drawn only where they can be seen.
const MANY: usize = 2000;
/// Narrower than this, in pixels, a bar among many is not drawn if it lies on the last one.
const UNSEEN: f64 = 0.3;
/// How many of several things at one place are shown in full.
const READ: usize = 6;

/// Draws a lane; gives how many of its bars are too short to be drawn.
pub(super) fn draw(out: &mut String, row: &Row<'_>, layout: &Layout<'_>) -> usize {
    for (position, name) in row.names.iter().enumerate() {
        let is_main =
            row.lane.kind == LaneKind::Actor || row.lane.kind == LaneKind::Lock && position == 0;
        let class = if is_main { "name" } else { "quiet" };
        let is_last = position + 1 == row.names.len();
        let title = format!("<title>{}</title>", xml(&row.lane.name));
        let shown = format!("{}{}", if is_last { &title } else { "" }, xml(&name.shown));
        *out += &element(class, MARGIN, name.y, name.size, &shown);
    }
    let left_out = bars(out, row, layout);
    marks(out, row, layout);
    left_out
}

fn bars(out: &mut String, row: &Row<'_>, layout: &Layout<'_>) -> usize {
    let lane = row.lane;
    let mut left_out = 0;
    let mut last: Option<f64> = None;
    for (position, bar) in lane.bars.iter().enumerate() {
        let (x, end) = (layout.x(bar.begin), layout.x(bar.end));
        let next = lane.bars.get(position + 1);
        let next = next.map_or(layout.left + layout.plot, |next| layout.x(next.begin));
        // What lasts no time is seen all the same, as far as the next leaves room.
        let width = (end - x).max((next - x).clamp(0.0, 2.0));
        let is_unseen = width < UNSEEN && last.is_some_and(|last| x - last < UNSEEN);
        if lane.bars.len() > MANY && is_unseen {
            left_out += 1;
            continue;
        }
        last = Some(x);
        let (class, detail) = (classes(lane.kind, bar), xml(&bar.detail));
        *out += &format!("<g class=\"bar {class}\"><title>{detail}</title>\n");
        shape(out, row, bar, x, width);
        if let Some(said) = on_bar(lane, bar, width - 8.0) {
            *out += &text("on-bar", x + 5.0, row.bar_y + row.bar_height / 2.0 + 4.0, SMALL, &said);
        }
        *out += "</g>\n";
    }
    left_out
}

fn shape(out: &mut String, row: &Row<'_>, bar: &Bar, x: f64, width: f64) {
    let (y, height) = (row.bar_y, row.bar_height);
    let round = if width > 6.0 { 2.5 } else { 0.0 };
    for class in ["fill"].into_iter().chain(over(row.lane, bar)) {
        *out += &rect(class, x, y, &format!("{width:.2}"), &format!("{height:.1}"), round);
    }
    if bar.is_open && width > 6.0 {
        let end = x + width;
        *out += &format!("<path class=\"open\" d=\"M{end:.1} {y:.1}v{height:.1}\"/>");
    }
}

/// What is drawn over a bar's filling.
pub fn over(lane: &Lane, bar: &Bar) -> Option<&'static str> {
    match bar.kind {
        _ if bar.is_lost => Some("lost"),
        BarKind::Waits if lane.kind == LaneKind::Actor => Some("dots"),
        _ => None,
    }
}

/// A bar's classes: what it is, and the colour of its acquisition.
pub fn classes(lane: LaneKind, bar: &Bar) -> String {
    let kind = if lane == LaneKind::Lock { "owned" } else { class(bar.kind) };
    let token = bar.token.map(|token| format!(" t{}", token % COLOURS)).unwrap_or_default();
    format!("{kind}{token}{}", if bar.is_lost { " is-lost" } else { "" })
}

/// The most that fits of what can be said on a bar.
fn on_bar(lane: &Lane, bar: &Bar, room: f64) -> Option<String> {
    let said = said(lane, bar);
    let fits = |text: &String| measure(text, SMALL) <= room;
    if let Some(whole) = said.iter().find(|text| fits(text)) {
        return Some(whole.clone());
    }
    let is_wide = room >= 60.0 && bar.kind != BarKind::Many;
    let part = said.get(1).filter(|_| is_wide).and_then(|text| fit(text, SMALL, room));
    part.or_else(|| bar.token.map(letters).filter(fits))
}

/// What can be said on a bar, the longest first.
pub fn said(lane: &Lane, bar: &Bar) -> Vec<String> {
    let label = &bar.label;
    if lane.kind == LaneKind::Flag {
        return Vec::new();
    }
    if bar.kind == BarKind::Many {
        let number = label.split(' ').next().filter(|_| !label.contains(','));
        return [Some(label.as_str()), number].into_iter().flatten().map(str::to_owned).collect();
    }
    let letter = bar.token.map(|token| letters(token) + " · ").unwrap_or_default();
    let lost = if bar.is_lost { " without the lock" } else { "" };
    let what = match (lane.kind, bar.kind) {
        (LaneKind::Actor, BarKind::Holds) if bar.is_lost => "believes to hold".to_owned(),
        _ => format!("{label}{lost}"),
    };
    let lasted = bar.end.at.saturating_sub(bar.begin.at);
    let longest = (lasted > 0).then(|| format!("{letter}{what} · {}", nanoseconds(lasted)));
    longest.into_iter().chain([format!("{letter}{what}"), format!("{letter}{label}")]).collect()
}

/// Draws a lane's marks, those that would lie on one another together.
fn marks(out: &mut String, row: &Row<'_>, layout: &Layout<'_>) {
    let mut spots: Vec<(f64, usize, Vec<&Mark>)> = Vec::new();
    for mark in &row.lane.marks {
        let x = layout.x(mark.at);
        let reaches = |(left, times, _): &&mut (f64, usize, Vec<&Mark>)| {
            let more = said_times(*times).map_or(0.0, |text| measure(&text, SMALL - 1.0) + 2.0);
            x < *left + MARK + more
        };
        match spots.last_mut().filter(reaches) {
            Some((_, times, marks)) => {
                *times += mark.times;
                marks.push(mark);
            }
            None => spots.push((x, mark.times, vec![mark])),
        }
    }
    for (x, times, marks) in spots {
        let Some(kind) = marks.iter().map(|it| it.kind).max_by_key(|it| mark_style(*it).gravity)
        else {
            continue;
        };
        let mut said: Vec<&str> = marks.iter().take(READ).map(|mark| &*mark.detail).collect();
        let more = marks.len().checked_sub(READ).filter(|more| *more > 0);
        let more = more.map(|more| format!("and {more} more"));
        said.extend(more.as_deref());
        let (name, title) = (mark_style(kind).name, xml(&said.join("\n")));
        *out += &format!("<g class=\"mark {name}\"><title>{title}</title>");
        *out += &glyph(kind, x, row.mark_y);
        if let Some(said) = said_times(times) {
            *out += &text("times", x + 7.0, row.mark_y + 4.0, SMALL - 1.0, &said);
        }
        *out += "</g>\n";
    }
}

/// What is said of a number of marks beside them.
fn said_times(times: usize) -> Option<String> {
    match times {
        0 | 1 => None,
        2..1000 => Some(format!("×{times}")),
        _ => Some("×1000+".into()),
    }
}

/// Findings at their place.
pub(super) struct Flag<'a> {
    findings: &'a [Remark],
    x: f64,
    left: f64,
    width: f64,
    text: String,
}

/// The findings' flags, those that would lie on one another together.
pub(super) fn flags<'a>(timeline: &'a Timeline, layout: &Layout<'_>) -> Vec<Flag<'a>> {
    let mut flags: Vec<Flag<'a>> = Vec::new();
    for (position, remark) in timeline.findings.iter().enumerate() {
        let (mut first, mut x) = (position, layout.x(remark.at));
        loop {
            let findings = timeline.findings.get(first..=position).unwrap_or_default();
            let flag = Flag::new(findings, x, layout);
            // A flag with more numbers is wider, and may reach the one before.
            match flags.pop_if(|last| flag.left < last.left + last.width + 6.0) {
                Some(last) => (first, x) = (first - last.findings.len(), last.x),
                None => {
                    flags.push(flag);
                    break;
                }
            }
        }
    }
    flags
}

impl<'a> Flag<'a> {
    fn new(findings: &'a [Remark], x: f64, layout: &Layout<'_>) -> Self {
        let number = |remark: Option<&Remark>| remark.map_or(0, |remark| remark.number);
        let (first, last) = (number(findings.first()), number(findings.last()));
        let text = if first == last { first.to_string() } else { format!("{first}–{last}") };
        let width = (measure(&text, SMALL * BOLD) + 8.0).max(FLAG);
        let right = layout.left + layout.plot + 40.0;
        let left = (x - width / 2.0).max(layout.left - 40.0).min(right - width);
        Self { findings, x, left, width, text }
    }

    /// The lanes on which it has a ring.
    fn rows<'l>(&self, layout: &'l Layout<'_>) -> impl Iterator<Item = &'l Row<'l>> {
        let mut lanes: Vec<usize> =
            self.findings.iter().flat_map(|it| &it.lanes).copied().collect();
        if self.findings.len() > 1 {
            lanes.sort_unstable();
            lanes.dedup();
        }
        lanes.into_iter().filter_map(|lane| layout.rows.get(lane))
    }

    /// Its line, behind the lanes.
    pub(super) fn line(&self, layout: &Layout<'_>) -> String {
        let top = layout.flags_top + FLAG;
        let bottoms = self.rows(layout).map(|row| row.bar_y + row.bar_height);
        let bottom = bottoms.fold(top, f64::max);
        format!("<path class=\"finding-line\" d=\"M{:.1} {top:.1}V{bottom:.1}\"/>\n", self.x)
    }

    /// The rest, before them.
    pub(super) fn draw(&self, out: &mut String, layout: &Layout<'_>) {
        let said = |it: &Remark| format!("{}. {}: {}", it.number, in_words(it), it.text);
        let said: Vec<String> = self.findings.iter().take(READ).map(said).collect();
        *out += &format!("<g class=\"flag\"><title>{}</title>", xml(&said.join("\n")));
        for row in self.rows(layout) {
            let (x, y) = (self.x, row.bar_y);
            *out += &format!("<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\n");
        }
        *out += &badge(self.left, layout.flags_top, self.width, &self.text);
        *out += "</g>\n";
    }
}
