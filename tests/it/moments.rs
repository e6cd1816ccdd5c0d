//! The default report of every built-in scenario shows the verdict and the moment of its race on a terminal of
//! 24 lines and 80 columns.

use lock_lab::scenario::catalogue;
use serde_json::Value;

use crate::program::Program;

/// The words of the marked row, to the next row.
fn marked(screen: &[&str]) -> Option<String> {
    let begin = screen.iter().position(|line| line.starts_with("> "))?;
    let is_next = |line: &&str| line.is_empty() || line.get(2..3).is_some_and(|it| it != " ");
    let rest = screen.get(begin + 1..).unwrap_or_default();
    let rest = rest.iter().take_while(|line| !is_next(line));
    Some(screen[begin..=begin].iter().chain(rest).copied().collect::<Vec<_>>().join(" "))
}

/// What the row of the moment says that the screen must show.
fn said(row: &Value) -> Vec<String> {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut said: Vec<String> = text("did").split(' ').map(str::to_owned).collect();
    let commands = row["commands"].as_array().unwrap();
    said.extend(commands.iter().map(|name| name.as_str().unwrap().to_owned()));
    said.push(match row["key"].as_str().unwrap() {
        "held" if row["ttl_ms"] == -1.0 => "TTL".into(),
        "held" => "left".into(),
        other => other.to_owned(),
    });
    said.push(row["flag"].to_string());
    if row["local_token"].is_string() {
        said.push(text("local_token"));
    }
    if row["states_consistent"] == false {
        said.extend(text("explanation").split(' ').map(str::to_owned));
    }
    said
}

#[test]
fn the_first_24_lines_show_the_verdict_and_the_moment_of_the_race() {
    for scenario in &catalogue().unwrap() {
        for protocol in ["legacy", "current", "hardened"] {
            let name = format!("{} {protocol}", scenario.name());
            let run = |rest: &[&str]| {
                let flags = [scenario.name(), "/tmp/run", "--virtual", "--lock", protocol];
                let program = Program::new(flags.iter().chain(rest)).env("COLUMNS", "80");
                let ended = program.run();
                ended.exits(0);
                ended
            };
            let report = run(&["--format", "json"]).json();
            let rows = report["rows"].as_array().unwrap();
            let moments: Vec<_> = rows.iter().filter(|row| row["is_moment"] == true).collect();
            let [moment] = *moments else { panic!("{name}: {} moments", moments.len()) };
            let text = run(&[]).stdout;
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{name}\n{text}");
            let screen: Vec<&str> = text.lines().take(24).collect();
            let words = ["AS EXPECTED: ", "REPRODUCED: ", "PREVENTED: "];
            let has_verdict = |line: &str| words.iter().any(|word| line.starts_with(word));
            assert!(has_verdict(screen[0]), "{name}\n{text}");
            assert!(text.lines().last().is_some_and(has_verdict), "{name}\n{text}");
            let row = marked(&screen).unwrap_or_else(|| panic!("{name}\n{text}"));
            let actor = moment["actor"].as_str().unwrap_or_default();
            let group = actor.rsplit_once('_').map_or(actor, |(group, _)| group);
            let is_there = row.contains(actor) || row.contains(&format!(" {group}s"));
            assert!(is_there, "{name}: no {actor} in {row}");
            for word in said(moment) {
                assert!(row.contains(&word), "{name}: no {word} in {row}\n{text}");
            }
        }
    }
}

#[test]
fn a_report_through_a_pipe_has_a_line_for_each_row() {
    let ended = Program::new(["ttl_expiration", "/tmp/run", "--virtual"]).run();
    let text = &ended.exits(0).stdout;
    let expiry = text.lines().find(|line| line.starts_with("> 3.000")).unwrap();
    for part in ["long_operation's lease expires", "gone", "true", "still believes it holds"] {
        assert!(expiry.contains(part), "{text}");
    }
}
