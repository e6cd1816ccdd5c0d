//! No file makes the room panic or hang. For more cases than are run by default:
//! `PROPTEST_CASES=10000 cargo test --release broken`.

use super::{EXAMPLE, RACE};
use crate::lock::Ttl;
use crate::scenario::catalogue::FILES;
use crate::scenario::{Scenario, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// One change to a text.
#[derive(Debug, Clone)]
enum Change {
    Cut(usize, usize),
    Insert(usize, String),
    Copy(usize, usize, usize),
    SwapLines(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop::sample::select(vec![
        "\"",
        "$",
        "-",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "\\u0000",
        "é",
        "0",
        "9999999999",
        "$ttl",
        "\"\"\"",
        "nan",
        "true",
        "1979-05-27",
        "locked",
        "body = [",
        "{ repeat = 10000, body = [",
        "] }",
        "await = \"rival has it\"",
        "protocol = \"legacy\"",
        "name = \"late write\"",
        "hold_until = ",
        "\n[[rules]]\n",
        "occurrence = 0\n",
        "10000",
        "{key}",
        "- 1",
        "<",
        "'",
        "#",
        ",",
    ]);
    let word = prop_oneof![words.prop_map(str::to_owned), ".{0,6}"];
    let at = 0..usize::MAX;
    prop_oneof![
        (at.clone(), 0..30_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (at.clone(), word).prop_map(|(at, word)| Change::Insert(at, word)),
        (at.clone(), 0..80_usize, at.clone()).prop_map(|(a, length, b)| Change::Copy(a, length, b)),
        (at.clone(), at).prop_map(|(a, b)| Change::SwapLines(a, b)),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let size = chars.len() + 1;
    match change {
        Change::Cut(at, length) => {
            let from = at % size;
            chars.drain(from..(from + length).min(size - 1));
        }
        Change::Insert(at, word) => {
            chars.splice(at % size..at % size, word.chars());
        }
        Change::Copy(at, length, to) => {
            let from = at % size;
            let piece = chars[from..(from + length).min(size - 1)].to_vec();
            chars.splice(to % size..to % size, piece);
        }
        Change::SwapLines(a, b) => {
            let mut lines: Vec<&str> = text.split('\n').collect();
            let count = lines.len();
            lines.swap(a % count, b % count);
            return lines.join("\n");
        }
    }
    chars.into_iter().collect()
}

/// Reads and binds, with all defaults and with the least and the most of everything.
fn exercise(text: &str) {
    let Ok(scenario) = Scenario::parse("x.toml", text).inspect_err(|error| {
        let lines = error.to_string();
        assert!(!lines.replace('\n', "").chars().any(char::is_control), "{error}");
    }) else {
        return;
    };
    for word in ["0", "1", "10000", "0s", "1s", "365d"] {
        let given: BTreeMap<String, Value> = scenario
            .parameters()
            .iter()
            .filter_map(|parameter| Some((parameter.name.clone(), parameter.parse(word).ok()?)))
            .collect();
        for protocol in ["legacy", "hardened", "no such"] {
            let _ = scenario.bind(&given, protocol, Ttl::DEFAULT, Duration::ZERO);
        }
    }
}

/// The number of cases that the environment sets, or a default.
fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    if asked { ProptestConfig::default() } else { ProptestConfig::with_cases(512) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_broken_file_is_an_error_and_no_panic(
        file in 0..FILES.len() + 2,
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let examples = [EXAMPLE, RACE];
        let mut texts = FILES.iter().map(|(_, text)| *text).chain(examples);
        let whole = texts.nth(file).unwrap_or(EXAMPLE);
        let text = changes.iter().fold(whole.to_owned(), |text, change| apply(&text, change));
        exercise(&text);
    }

    #[test]
    fn noise_is_an_error_and_no_panic(text in "(?s).{0,200}") {
        exercise(&text);
    }
}

#[test]
fn a_large_file_is_read_and_a_large_wrong_one_refused() {
    let head = "format=1\nname='a'\ntitle='t'\ntext='t'\nhazards=[]\n[locks.m]\n";
    let actor = |i| format!("[[actors]]\nname='a{i}'\nstart='together'\nsteps=[]\n");
    let actors: String = (0..9000).map(actor).collect();
    let expectations = "[[expect]]\nactor='a8999'\nstatus='error'\n".repeat(12_000);
    let many = format!("{head}{actors}{expectations}");
    assert!(Scenario::parse("x.toml", &many).is_ok());
    let step = "{ sleep = \"1s + 1s - 1s\" },\n";
    let many = step.repeat((1 << 19) / step.len());
    let file = EXAMPLE.replace("{ snapshot = \"main\", label = \"seen late\" },\n", &many);
    assert!(Scenario::parse("x.toml", &file).is_err());
    let sum = format!("\"{}0s\"", "$hold + ".repeat((1 << 19) / 8));
    exercise(&EXAMPLE.replace("\"1.5s\"", &sum));
    exercise(&"[".repeat(1 << 19));
    exercise(&format!("a{} = 1", ".a".repeat(1 << 18)));
    exercise(&"[[a]]\n".repeat(1 << 17));
}
