//! Timelines in a real browser: nothing overlaps, nothing is cut, nothing is loaded, and what a
//! reader does works.

use crate::chromium::Chromium;
use crate::program::{Place, Program};
use lock_history::check::check;
use lock_history::history::{
    Change, Command, Effect, Event, EventKind, Failure, FailureKind, Head, History, Moment,
    Operation,
};
use nodb_trigger::report::timeline::{Timeline, html, svg};
use std::fmt::Write as _;
use std::path::Path;

/// What the browser runs.
const LOOK: &str = include_str!("timeline.js");
/// The widths at which pages are looked at.
const WIDTHS: [u32; 2] = [1280, 400];

struct Drawn {
    name: String,
    svg: String,
    html: String,
}

fn drawn(name: &str, history: &History) -> Drawn {
    let timeline = Timeline::new(history, &check(history));
    let (mut picture, mut page) = (Vec::new(), Vec::new());
    svg::write(&timeline, &mut picture).unwrap();
    html::write(&timeline, &mut page).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Drawn { name: name.into(), svg: text(picture), html: text(page) }
}

/// What a scenario leaves behind.
fn of_scenario(place: &Place, arguments: &[&str]) -> Drawn {
    let name = arguments.join(" ");
    let file = place.at(&name.replace(' ', "_"));
    let program = Program::new(arguments).arg("--virtual").arg("--history").arg(&file);
    program.arg(place.run()).run();
    let text = std::fs::read(&file).unwrap();
    drawn(&name, &History::read("it", &mut text.as_slice()).unwrap())
}

/// Microseconds beside six hours, and names that mean no good.
fn hostile() -> History {
    let names = [
        "<script>document.title='run'</script><img src=x onerror=alert(1)>",
        "a name that goes on and on and on and on and on and on and on and on and on and on",
        "👩‍👩‍👧‍👦🔒🔑 emoji 🎉🎉🎉",
        "שלום עולם, زمان",
        "two\nlines\u{202e}reversed\u{0}]]>",
        "W".repeat(2000).leak(),
        "",
        "ロックを取得する者の名前はとても長い",
    ];
    let head = Head {
        scenario: "</title><svg onload=alert(1)> & \"quotes\" 'n all".into(),
        protocol: "<b>legacy</b>".into(),
        actors: names.map(str::to_owned).to_vec(),
        locks: vec!["nodb-lock:<&>:שלום.nodb".into(), "x".repeat(500)],
        ..Head::default()
    };
    let mut story = Story { order: 0, events: Vec::new() };
    let hours = 6 * 3600 * 1_000_000_000;
    for actor in 0..names.len() {
        let at = actor as u64 * 7000;
        let lock = actor % 2;
        story.add(at, actor, EventKind::Started);
        story.step(at, at + 2000, actor, "acquire", lock, |step| match actor {
            0 | 1 => Change::Took { token: format!("<{step}>"), fence: None, lease: Some(20_000) },
            _ => Change::Refused,
        });
    }
    for actor in 0..2 {
        story.step(90_000, 90_000 + hours, actor, "<i>work</i> 🔒", actor, |_| {
            Change::Extended { lease: 5 }
        });
        story.step(95_000 + hours, 99_000 + hours, actor, "release", actor, |_| Change::Deleted {
            token: None,
        });
    }
    for actor in 0..names.len() {
        let message = "it <b>crashed</b> & \u{1b}[31m".into();
        let failure = Failure { kind: FailureKind::Crashed, message };
        let failure = (actor > 2).then_some(failure);
        story.add(100_000 + hours, actor, EventKind::Ended { failure });
    }
    story.events.sort_by_key(|event| event.moment);
    History { head, events: story.events, is_complete: true }
}

struct Story {
    order: u64,
    events: Vec<Event>,
}

impl Story {
    fn add(&mut self, at: u64, actor: usize, kind: EventKind) {
        self.order += 1;
        let moment = Moment { order: self.order, at };
        self.events.push(Event { moment, actor: Some(actor), kind });
    }

    fn step(
        &mut self,
        begin: u64,
        end: u64,
        actor: usize,
        verb: &'static str,
        lock: usize,
        change: impl Fn(u64) -> Change,
    ) {
        let operation = Operation { verb: verb.into(), lock: Some(lock), ..Operation::default() };
        self.add(begin, actor, EventKind::Invoked(operation.clone()));
        self.order += 1;
        let sent = Moment { order: self.order, at: begin };
        let effects = vec![Effect { lock, change: change(self.order) }];
        let (text, reply) = ("<x>".into(), "]]>".into());
        self.add(
            end,
            actor,
            EventKind::Command(Command { sent, text, reply, effects, late: None }),
        );
        self.add(end, actor, EventKind::Completed(operation));
    }
}

fn all(place: &Place) -> Vec<Drawn> {
    let scenarios: [&[&str]; 11] = [
        &["ttl_expiration"],
        &["ttl_expiration", "--lock", "hardened"],
        &["check_then_delete"],
        &["deadlock_sim"],
        &["starvation"],
        &["amnesia"],
        &["thundering_herd", "--threads", "2"],
        &["thundering_herd", "--threads", "10"],
        &["thundering_herd", "--threads", "40"],
        &["thundering_herd", "--threads", "100"],
        &["thundering_herd", "--threads", "1000"],
    ];
    let mut all: Vec<Drawn> = scenarios.iter().map(|it| of_scenario(place, it)).collect();
    all.push(drawn("hostile", &hostile()));
    all.push(drawn("nothing", &History::default()));
    all
}

/// One page with every picture in it: as a file of its own, and as pages in both widths.
fn board(pictures: &[Drawn], screenshots: &[(&str, Vec<u8>)]) -> String {
    let mut board = String::from("<!doctype html><meta charset=utf-8><pre id=verdict></pre>");
    let quoted = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
    for Drawn { name, svg, html } in pictures {
        for theme in ["light", "dark"] {
            let id = quoted(&format!("{name} as svg, {theme}"));
            let _ =
                write!(board, "<div class={theme}><div class=still id=\"{id}\">{svg}</div></div>");
        }
        for width in WIDTHS.iter().filter(|_| name != "nothing") {
            let id = quoted(&format!("{name} in {width}"));
            let html = quoted(html);
            let _ = write!(
                board,
                "<iframe id=\"{id}\" width={width} height=700 style=border:0 srcdoc=\"{html}\"></iframe>"
            );
        }
    }
    for (name, png) in screenshots {
        let _ = write!(board, "<img id={name} src=\"data:image/png;base64,{}\">", base64(png));
    }
    let _ = write!(board, "<script>{LOOK}</script>");
    board
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0, |sum, at| sum << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let letter = char::from(LETTERS[(number >> (18 - 6 * at) & 63) as usize]);
            text.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

fn screenshot(browser: &Chromium, page: &Path, png: &Path, more: &[&str]) -> Vec<u8> {
    let shot = format!("--screenshot={}", png.display());
    let said = browser.open(page, &[&[&*shot, "--window-size=1280,640"], more].concat());
    no_complaints(&said.log);
    std::fs::read(png).unwrap_or_else(|error| panic!("no screenshot: {error}\n{}", said.log))
}

/// Fails if the browser's console says anything.
#[track_caller]
fn no_complaints(log: &str) {
    let said: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn timelines_in_a_browser_are_whole_and_usable_and_load_nothing() {
    let Some(browser) = Chromium::find("timeline::timelines_in_a_browser") else { return };
    let place = Place::new();
    let pictures = all(&place);
    let page = place.at("page.html");
    std::fs::write(&page, &pictures[2].html).unwrap();
    let light = screenshot(&browser, &page, &place.at("light.png"), &[]);
    let dark = ["--blink-settings=preferredColorScheme=0"];
    let dark = screenshot(&browser, &page, &place.at("dark.png"), &dark);

    let file = place.at("board.html");
    std::fs::write(&file, board(&pictures, &[("light", light), ("dark", dark)])).unwrap();
    let said = browser.open(&file, &["--dump-dom", "--window-size=1400,900"]);
    no_complaints(&said.log);
    let verdict = said.page.split_once("<pre id=\"verdict\">").map(|(_, rest)| rest);
    let verdict = verdict.and_then(|rest| rest.split_once("</pre>")).map(|(verdict, _)| verdict);
    let verdict = verdict.unwrap_or_else(|| panic!("no verdict: {}", said.log));
    assert!(verdict.starts_with("fine, "), "{verdict}");
}

#[test]
fn names_from_outside_never_become_markup() {
    let Drawn { svg, html, .. } = drawn("hostile", &hostile());
    for bad in ["<img", "<i>", "<b>", "onload=alert(1)>", "\u{0}", "\u{1b}", "\u{202e}"] {
        assert!(!svg.contains(bad) && !html.contains(bad), "{bad:?}");
    }
    assert_eq!(html.matches("<script").count(), 2, "the model and the page's own");
    assert!(!svg.contains("<script"));
}
