//! The table of the book's page says which command shows which line of the seed, and what comes out. Each
//! command is run as it stands, and must end and print as the table says.

use crate::pages::Page;
use crate::readme::shell;
use crate::redis_server::redis_or_skip;

const PAGE: &str = "docs/book/src/seed.md";
const HEADING: &str = "# The seed, line by line";
const REDIS: &str = "--redis";

/// A line of the table that has a command.
#[derive(Debug, PartialEq)]
struct Row {
    line: usize,
    command: String,
    status: i32,
    /// What must be printed.
    outcomes: Vec<String>,
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows with a command. A row without one says why, and is left out; anything else is a mistake.
fn rows(markdown: &str) -> Vec<Row> {
    let lines = markdown.lines().enumerate().skip_while(|(_, line)| *line != HEADING);
    let table = lines.skip_while(|(_, line)| !line.starts_with("|---"));
    let body = table.skip(1).take_while(|(_, line)| line.starts_with('|'));
    body.filter_map(|(index, text)| {
        let line = index + 1;
        let cells: Vec<&str> = text.trim_matches('|').split('|').map(str::trim).collect();
        let [seed, command, status, prints] = cells[..] else {
            panic!("{PAGE}:{line}: {} cells instead of 4", cells.len())
        };
        assert!(!seed.is_empty() && !prints.is_empty(), "{PAGE}:{line}: an empty cell");
        if command == "–" {
            assert!(status == "–" && prints.ends_with('.'), "{PAGE}:{line}: says no reason");
            return None;
        }
        let [command] = &code(command)[..] else { panic!("{PAGE}:{line}: one command a row") };
        let outcomes = code(prints);
        assert!(command.starts_with("nodb-trigger "), "{PAGE}:{line}: {command}");
        assert!(!outcomes.is_empty(), "{PAGE}:{line}: nothing is said to be printed");
        let status = status.parse().unwrap_or_else(|_| panic!("{PAGE}:{line}: {status:?}"));
        Some(Row { line, command: command.clone(), status, outcomes })
    })
    .collect()
}

fn table() -> Vec<Row> {
    rows(&Page::read(PAGE).text)
}

/// Runs the command in a directory of its own, and says what isn't as the row says.
fn wrong(row: &Row, port: &str) -> Option<String> {
    let temp = tempfile::tempdir().unwrap();
    let directory = format!("{}/", temp.path().display());
    let script = row.command.replace("/tmp/", &directory).replace("6379", port);
    let ended = shell(&script, temp.path());
    let stdout = String::from_utf8_lossy(&ended.stdout);
    let words: Vec<&str> = stdout.split_whitespace().collect();
    let printed = words.join(" ");
    let missing = row.outcomes.iter().filter(|outcome| !printed.contains(outcome.as_str()));
    let missing: Vec<&String> = missing.collect();
    if missing.is_empty() && ended.status.code() == Some(row.status) {
        return None;
    }
    let stderr = String::from_utf8_lossy(&ended.stderr);
    Some(format!(
        "{PAGE}:{} {script}: {} instead of {}, not printed: {missing:?}\n{stdout}{stderr}",
        row.line, ended.status, row.status
    ))
}

#[test]
fn each_line_of_the_seed_is_shown_by_its_command() {
    let table = table();
    assert!(table.len() > 70, "only {} rows were found", table.len());
    let rows = table.iter().filter(|row| !row.command.contains(REDIS));
    let wrong: Vec<String> = rows.filter_map(|row| wrong(row, "6379")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_look_at_redis_shows_what_the_table_says() {
    let server = redis_or_skip!();
    let rows: Vec<Row> = table().into_iter().filter(|row| row.command.contains(REDIS)).collect();
    assert!(rows.len() >= 3, "only {} rows look at Redis", rows.len());
    let port = server.port().to_string();
    let wrong: Vec<String> = rows.iter().filter_map(|row| wrong(row, &port)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rows_are_read_with_command_status_and_outcomes() {
    let markdown = format!(
        "| x | `nodb-trigger before` | 0 | `no` |\n{HEADING}\n\n| a | b | c | d |\n|---|---|---|---|\n\
         | `one` | `nodb-trigger x --virtual` | 4 | `two` and `three` |\n| none | – | – | Because. |\n\n\
         | x | `nodb-trigger after` | 0 | `no` |\n"
    );
    let row = Row {
        line: 6,
        command: "nodb-trigger x --virtual".into(),
        status: 4,
        outcomes: vec!["two".into(), "three".into()],
    };
    assert_eq!(rows(&markdown), [row]);
}

#[test]
fn a_row_whose_outcome_does_not_come_is_noticed() {
    let row = |status, outcome: &str| Row {
        line: 1,
        command: "nodb-trigger thundering_herd --virtual".into(),
        status,
        outcomes: vec![outcome.into()],
    };
    assert_eq!(wrong(&row(0, "1/5 succeeded"), "6379"), None);
    assert!(wrong(&row(0, "2/5 succeeded"), "6379").is_some());
    assert!(wrong(&row(1, "1/5 succeeded"), "6379").is_some());
}
